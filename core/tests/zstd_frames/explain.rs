//! Decodes a stream as plainly as RFC 8878 says it, slowly, and says in words what is wrong with
//! it first. What libzstd is known to let pass has a name.

use std::hash::Hasher as _;
use std::rc::Rc;

use super::fse::{Distribution, Table};
use super::huffman::Tree;
use super::sequences::{self, LITERALS, MATCHES, PREDEFINED};

/// What is wrong.
pub type Why = &'static str;

/// What libzstd takes; our own decoder refuses it.
pub const NAMED: &[Why] = &[
    WIDE,
    PLAIN_SIZE,
    BLOCK_CONTENT,
    WINDOW,
    STREAM_END,
    NEAR,
    TWELVE,
    WEIGHTS,
    CUT_OFF,
    EMPTY,
];

/// libzstd asks for no limit of the window where the whole stream is in memory.
pub const WIDE: Why = "a window over the limit";
/// Nor does it hold those blocks against the largest size there.
pub const PLAIN_SIZE: Why = "a raw or RLE block over Block_Maximum_Size";
/// Nor what compressed blocks decode to.
pub const BLOCK_CONTENT: Why = "a block of more content than Block_Maximum_Size";
/// Nor are matches held against the window: what was decoded is all within reach.
pub const WINDOW: Why = "a match from before the window";
/// It decodes such streams with loops that do not ask at their end whether bits are left, or were
/// missing, nor at their start for the mark.
pub const STREAM_END: Why =
    "one of four streams of literals, each of 8 bytes or more, does not end with its last symbol";
/// Where it decodes two symbols at a time it takes the last one together with what would follow, as
/// far as there are bits.
pub const NEAR: Why =
    "a stream of literals ends with one symbol less or more, or inside of one of these";
/// Its tables have room for them.
pub const TWELVE: Why = "codes of 12 bits";
/// It has room for those of an accuracy of 5, and refuses those of 6.
pub const WEIGHTS: Why = "a distribution of weights that there cannot be";
/// Behind the end of one it reads the last bits again.
pub const CUT_OFF: Why = "a distribution whose end is missing";
/// Where the whole stream is in memory, that may have no frame at all.
pub const EMPTY: Why = "nothing";

struct Back<'a> {
    data: &'a [u8],
    /// Bits that are left; below zero when more were read than there were.
    left: isize,
}

impl<'a> Back<'a> {
    fn new(data: &'a [u8]) -> Result<Self, Why> {
        let last = data.last().copied().unwrap_or(0);
        if last == 0 {
            return Err("a bit stream without a mark at its end");
        }
        let left = data.len() * 8 - 1 - last.leading_zeros() as usize;
        Ok(Self {
            data,
            left: left as isize,
        })
    }

    /// The next bits, zeros before the start.
    fn read(&mut self, bits: u8) -> u32 {
        (0..bits).fold(0, |value, _| {
            self.left -= 1;
            let bit = usize::try_from(self.left)
                .map_or(0, |place| self.data[place / 8] >> (place % 8) & 1);
            value << 1 | u32::from(bit)
        })
    }
}

struct Explainer<'a> {
    rest: &'a [u8],
    content: Vec<u8>,
    window_limit: u64,
}

struct Frame {
    /// Where its content begins in that of the stream.
    start: usize,
    window: u64,
    maximum: usize,
    tree: Option<Rc<Tree>>,
    tables: Option<[Rc<Table>; 3]>,
    repeats: [u32; 3],
}

/// Decodes a stream; windows may be up to so large.
///
/// # Errors
///
/// What is wrong with it first.
pub fn explain(stream: &[u8], window_limit: u64) -> Result<Vec<u8>, Why> {
    if stream.is_empty() {
        return Err(EMPTY);
    }
    let mut explainer = Explainer {
        rest: stream,
        content: Vec::new(),
        window_limit,
    };
    loop {
        explainer.frame()?;
        if explainer.rest.is_empty() {
            return Ok(explainer.content);
        }
    }
}

/// Takes bytes from the front.
fn take<'a>(from: &mut &'a [u8], size: usize) -> Result<&'a [u8], Why> {
    let (taken, rest) = from.split_at_checked(size).ok_or("the end is missing")?;
    *from = rest;
    Ok(taken)
}

fn number(from: &mut &[u8], size: usize) -> Result<u64, Why> {
    let bytes = take(from, size)?.iter().rev();
    Ok(bytes.fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

impl Explainer<'_> {
    fn frame(&mut self) -> Result<(), Why> {
        let magic = number(&mut self.rest, 4)?;
        if magic & !15 == 0x184D_2A50 {
            let size = number(&mut self.rest, 4)?;
            take(&mut self.rest, size as usize)?;
            return Ok(());
        }
        if magic != 0xFD2F_B528 {
            return Err("no magic");
        }
        let descriptor = number(&mut self.rest, 1)?;
        if descriptor & 8 != 0 {
            return Err("the reserved bit of a frame header");
        }
        let single = descriptor & 32 != 0;
        let mut window = 0;
        if !single {
            let byte = number(&mut self.rest, 1)?;
            let base = 1024_u64 << (byte >> 3);
            window = base + base / 8 * (byte & 7);
        }
        if number(&mut self.rest, [0, 1, 2, 4][descriptor as usize & 3])? != 0 {
            return Err("a dictionary");
        }
        let declared = match descriptor >> 6 {
            0 if !single => None,
            0 => Some(number(&mut self.rest, 1)?),
            1 => Some(number(&mut self.rest, 2)? + 256),
            2 => Some(number(&mut self.rest, 4)?),
            _ => Some(number(&mut self.rest, 8)?),
        };
        if single {
            window = declared.unwrap_or(0);
        }
        if window > self.window_limit {
            return Err(WIDE);
        }
        let mut frame = Frame {
            start: self.content.len(),
            window,
            maximum: window.min(128 << 10) as usize,
            tree: None,
            tables: None,
            repeats: [1, 4, 8],
        };
        loop {
            let header = number(&mut self.rest, 3)?;
            let size = (header >> 3) as usize;
            if size > frame.maximum {
                return Err(match header >> 1 & 3 {
                    0 | 1 => PLAIN_SIZE,
                    2 => "a compressed block over Block_Maximum_Size",
                    _ => "a block of the reserved type",
                });
            }
            let before = self.content.len();
            match header >> 1 & 3 {
                0 => self.content.extend(take(&mut self.rest, size)?),
                1 => {
                    let byte = number(&mut self.rest, 1)? as u8;
                    self.content.resize(before + size, byte);
                }
                2 => {
                    let body = take(&mut self.rest, size)?;
                    self.block(&mut frame, body)?;
                    if self.content.len() - before > frame.maximum {
                        return Err(BLOCK_CONTENT);
                    }
                }
                _ => return Err("a block of the reserved type"),
            }
            if header & 1 != 0 {
                break;
            }
        }
        let content = &self.content[frame.start..];
        if declared.is_some_and(|declared| declared != content.len() as u64) {
            return Err("another size than the declared one");
        }
        if descriptor & 4 != 0 {
            let mut hasher = twox_hash::XxHash64::with_seed(0);
            hasher.write(content);
            if number(&mut self.rest, 4)? != hasher.finish() & 0xFFFF_FFFF {
                return Err("another checksum");
            }
        }
        Ok(())
    }

    fn block(&mut self, frame: &mut Frame, mut body: &[u8]) -> Result<(), Why> {
        let literals = literals(frame, &mut body)?;
        let mut left = literals.as_slice();
        let count = match number(&mut body, 1)? {
            255 => number(&mut body, 2)? + 0x7F00,
            byte @ 128.. => (byte - 128) << 8 | number(&mut body, 1)?,
            byte => byte,
        };
        if count == 0 {
            self.content.extend(left);
            return if body.is_empty() {
                Ok(())
            } else {
                Err("bytes behind no sequences")
            };
        }
        let modes = number(&mut body, 1)?;
        if modes & 3 != 0 {
            return Err("the reserved bits of the modes");
        }
        let mut tables = Vec::new();
        for (which, shift) in [6, 4, 2].into_iter().enumerate() {
            let codes = [36, 32, 53][which];
            tables.push(match modes >> shift & 3 {
                0 => Rc::new(PREDEFINED[which].table()),
                1 => {
                    let code = number(&mut body, 1)?;
                    if code >= codes {
                        return Err("a code that there is not");
                    }
                    Rc::new(Table::only(code as u8))
                }
                2 => {
                    let largest = [9, 8, 9][which];
                    let distribution = distribution(&mut body, codes as usize, largest)?;
                    Rc::new(distribution.table())
                }
                _ => match &frame.tables {
                    Some(tables) => tables[which].clone(),
                    None => return Err("no table to repeat"),
                },
            });
        }
        let [lengths, offsets, matches] = <[Rc<Table>; 3]>::try_from(tables).expect("three");
        let mut stream = Back::new(body)?;
        let mut states = [&lengths, &offsets, &matches].map(|t| stream.read(t.log as u8));
        for number in 0..count {
            let cell = |t: &Table, state: u32| t.cells[state as usize];
            let cells = [
                cell(&lengths, states[0]),
                cell(&offsets, states[1]),
                cell(&matches, states[2]),
            ];
            let code = cells[1].symbol;
            let value = (1_u64 << code) + u64::from(stream.read(code));
            let (base, bits) = MATCHES[usize::from(cells[2].symbol)];
            let length = base + stream.read(bits) as usize;
            let (base, bits) = LITERALS[usize::from(cells[0].symbol)];
            let literals = base + stream.read(bits) as usize;
            if number + 1 < count {
                for which in [0, 2, 1] {
                    let cell = cells[which];
                    states[which] = u32::from(cell.base) + stream.read(cell.bits);
                }
            }
            if stream.left < 0 {
                return Err("the bits of the sequences do not suffice");
            }
            self.content
                .extend(take(&mut left, literals).map_err(|_| "too few literals")?);
            let (offset, repeats) = sequences::repeat(frame.repeats, value as u32, literals == 0);
            frame.repeats = repeats;
            let offset = offset as usize;
            let there = self.content.len() - frame.start;
            if offset == 0 || offset > there {
                return Err("a match from before the frame");
            }
            if offset as u64 > frame.window {
                return Err(WINDOW);
            }
            for _ in 0..length {
                self.content.push(self.content[self.content.len() - offset]);
            }
        }
        if stream.left != 0 {
            return Err("bits are left of the sequences");
        }
        self.content.extend(left);
        frame.tables = Some([lengths, offsets, matches]);
        Ok(())
    }
}

/// A distribution, section 4.1.1.
fn distribution(from: &mut &[u8], symbols: usize, largest: u32) -> Result<Distribution, Why> {
    let mut taken = 0;
    let distribution = distribution_of(from, &mut taken, symbols, largest);
    // Whatever the zeros behind the end came to.
    take(from, taken.div_ceil(8)).map_err(|_| CUT_OFF)?;
    distribution
}

/// The same, with the number of bits that were taken.
fn distribution_of(
    data: &[u8],
    taken: &mut usize,
    symbols: usize,
    largest: u32,
) -> Result<Distribution, Why> {
    let mut read = |bits: u32, keep: bool| {
        let value = (0..bits as usize).fold(0, |value, place| {
            let byte = data.get((*taken + place) / 8).copied().unwrap_or(0);
            value | i32::from(byte >> ((*taken + place) % 8) & 1) << place
        });
        if keep {
            *taken += bits as usize;
        }
        value
    };
    let log = read(4, true) as u32 + 5;
    if log > largest {
        return Err("too large an accuracy");
    }
    let mut counts = Vec::new();
    let mut left = (1 << log) + 1;
    while left > 1 {
        let width = 32 - i32::leading_zeros(left);
        let half = 1 << (width - 1);
        let spare = 2 * half - 1 - left;
        let low = read(width - 1, false);
        let value = if low < spare {
            read(width - 1, true)
        } else {
            let value = read(width, true);
            if value >= half { value - spare } else { value }
        };
        counts.push((value - 1) as i16);
        left -= (value - 1).abs();
        if value == 1 {
            loop {
                let zeros = read(2, true) as usize;
                counts.resize(counts.len() + zeros, 0);
                if zeros < 3 {
                    break;
                }
                if counts.len() > symbols {
                    return Err("a distribution of too many symbols");
                }
            }
        }
        if counts.len() > symbols || left > 1 && counts.len() == symbols {
            return Err("a distribution of too many symbols");
        }
    }
    if left < 1 {
        return Err("a distribution of too much");
    }
    Ok(Distribution { counts, log })
}

/// A literals section.
fn literals(frame: &mut Frame, body: &mut &[u8]) -> Result<Vec<u8>, Why> {
    let first = *body.first().ok_or("no literals section")?;
    let (kind, format) = (first & 3, usize::from(first >> 2 & 3));
    if kind < 2 {
        let (length, shift) = [(1, 3), (2, 4), (1, 3), (3, 4)][format];
        let size = (number(body, length)? >> shift) as usize;
        if size > frame.maximum {
            return Err("more literals than Block_Maximum_Size");
        }
        if kind == 0 {
            return Ok(take(body, size)?.to_vec());
        }
        return Ok(vec![number(body, 1)? as u8; size]);
    }
    let (length, bits) = [(3, 10), (3, 10), (4, 14), (5, 18)][format];
    let header = number(body, length)? >> 4;
    let size = (header & ((1 << bits) - 1)) as usize;
    let mut data =
        take(body, (header >> bits) as usize).map_err(|_| "literals that are cut off")?;
    if size > frame.maximum {
        return Err("more literals than Block_Maximum_Size");
    }
    if kind == 2 {
        frame.tree = Some(Rc::new(tree(&mut data)?));
    }
    let tree = frame.tree.as_ref().ok_or("no tree to use again")?;
    let mut literals = Vec::new();
    if format == 0 {
        return match symbols(tree, data, size, &mut literals)? {
            End::Exact => Ok(literals),
            End::Near => Err(NEAR),
            End::Other => Err("the stream of literals does not end with its last symbol"),
        };
    }
    let quarter = size.div_ceil(4);
    if size < 6 || quarter * 3 > size {
        return Err("too few literals for four streams");
    }
    let mut sizes = [0; 3];
    for size in &mut sizes {
        *size = number(&mut data, 2)? as usize;
    }
    let mut streams = Vec::new();
    for size in sizes {
        streams.push(take(&mut data, size)?);
    }
    streams.push(data);
    let last = size - 3 * quarter;
    let mut worst = End::Exact;
    for (place, stream) in streams.iter().enumerate() {
        let count = if place < 3 { quarter } else { last };
        let end = symbols(tree, stream, count, &mut literals).unwrap_or(End::Other);
        worst = worst.max(end);
    }
    Err(match worst {
        End::Exact => return Ok(literals),
        _ if streams.iter().all(|stream| stream.len() >= 8) && last > 0 => STREAM_END,
        End::Near => NEAR,
        End::Other => "one of four streams of literals does not end with its last symbol",
    })
}

/// How a stream of literals ends.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// With its last symbol.
    Exact,
    /// Before its last symbol or inside of it, or with one symbol more.
    Near,
    /// Anywhere else.
    Other,
}

/// Decodes so many symbols, and says how the stream ends.
fn symbols(tree: &Tree, data: &[u8], count: usize, to: &mut Vec<u8>) -> Result<End, Why> {
    let mut stream = Back::new(data)?;
    let mut before = 0;
    for _ in 0..count {
        before = stream.left;
        to.push(symbol(tree, &mut stream));
    }
    if stream.left > 0 && count > 0 {
        symbol(tree, &mut stream);
        return Ok(if stream.left <= 0 {
            End::Near
        } else {
            End::Other
        });
    }
    Ok(match stream.left {
        0 => End::Exact,
        _ if before >= 0 => End::Near,
        _ => End::Other,
    })
}

/// The next symbol.
fn symbol(tree: &Tree, stream: &mut Back<'_>) -> u8 {
    let (mut code, mut length) = (0, 0);
    loop {
        code = code << 1 | stream.read(1) as u16;
        length += 1;
        if let Some(symbol) = tree.symbol(code, length) {
            return symbol;
        }
    }
}

/// A tree description.
fn tree(data: &mut &[u8]) -> Result<Tree, Why> {
    let header = number(data, 1)? as usize;
    let mut weights = Vec::new();
    if header > 127 {
        for byte in take(data, (header - 127).div_ceil(2))? {
            weights.extend([byte >> 4, byte & 15]);
        }
        weights.truncate(header - 127);
    } else {
        let mut data = take(data, header).map_err(|_| "a tree that is cut off")?;
        let distribution = distribution(&mut data, 256, 6)?;
        if distribution.counts.len() > 12 {
            return Err(WEIGHTS);
        }
        let table = distribution.table();
        let mut stream = Back::new(data)?;
        let mut states = [stream.read(table.log as u8), stream.read(table.log as u8)];
        if stream.left < 0 {
            return Err("the bits of the weights do not suffice");
        }
        for turn in 0.. {
            let cell = table.cells[states[turn % 2] as usize];
            weights.push(cell.symbol);
            if weights.len() > 255 {
                return Err("too many weights");
            }
            states[turn % 2] = u32::from(cell.base) + stream.read(cell.bits);
            if stream.left < 0 {
                weights.push(table.cells[states[(turn + 1) % 2] as usize].symbol);
                break;
            }
        }
    }
    if weights.len() > 255 {
        return Err("too many weights");
    }
    if weights.iter().any(|weight| *weight > 12) {
        return Err("a weight that there is not");
    }
    let sum: u32 = weights.iter().map(|weight| (1 << weight) >> 1).sum();
    if sum == 0 {
        return Err("no weights");
    }
    let whole = 2 << sum.ilog2();
    if whole == 1 << 12 {
        return Err(TWELVE);
    }
    if whole > 1 << 11 {
        return Err("codes of more than 12 bits");
    }
    if !(whole - sum).is_power_of_two() {
        return Err("weights that are no tree");
    }
    weights.push((whole - sum).ilog2() as u8 + 1);
    let longest = weights.iter().filter(|weight| **weight == 1).count();
    if longest < 2 || longest % 2 == 1 {
        return Err("weights that are no tree");
    }
    Ok(Tree::of(weights))
}
