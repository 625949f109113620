//! Sequences of a block: what they do.
//!
//! RFC 8878 sections 3.1.1.3.2.1.2 (bit stream), 3.1.1.4 (execution), 3.1.1.5 (repeat offsets).

use core::hint::select_unpredictable;
use core::ops::Range;

use super::bits::Reverse;
use super::copy::{self, Sequence};
use super::tables::{Entry, Tables};
use super::{Corrupt, Room, SLACK};
use crate::bytes;

/// The repeat offsets, section 3.1.1.5.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeats([u32; 3]);

impl Repeats {
    /// Those at the start of a frame.
    pub(super) const START: Self = Self([1, 4, 8]);

    /// What an offset stands for: a new one of this value, or, where the code is 0 or 1, the
    /// repeat offset that the value counts from one. Without literals it is one further.
    #[inline(always)]
    pub(super) fn resolve(&mut self, code: u8, value: u32, none: bool) -> Result<u32, Corrupt> {
        let Self([first, second, third]) = *self;
        if code == 1 {
            let which = value.wrapping_add(u32::from(none));
            let repeated = match which {
                2 => second,
                3 => third,
                _ => first.wrapping_sub(1),
            };
            if repeated == 0 {
                return Err(Corrupt);
            }
            *self = Self([repeated, first, if which == 2 { third } else { second }]);
            return Ok(repeated);
        }
        // Whether the first repeat offset, the second, or a new one: nobody can tell beforehand,
        // the processor neither.
        let new = code > 1;
        let repeated = select_unpredictable(none, second, first);
        let distance = select_unpredictable(new, value, repeated);
        *self = Self([
            distance,
            select_unpredictable(new | none, first, second),
            select_unpredictable(new, second, third),
        ]);
        Ok(distance)
    }
}

/// A sequence as it is decoded.
#[derive(Clone, Copy)]
pub(super) struct Decoded {
    /// The code of the offset.
    pub(super) code: u8,
    /// What the code stands for with its extra bits, see [`Repeats::resolve`].
    pub(super) value: u32,
    /// How many literals.
    pub(super) literals: u32,
    /// How long the match is.
    pub(super) matched: u32,
}

/// The bit stream of sequences.
pub(super) struct Decoder<'a> {
    tables: &'a Tables,
    stream: Reverse<'a>,
    literal: &'a Entry,
    offset: &'a Entry,
    matched: &'a Entry,
    left: u32,
}

impl<'a> Decoder<'a> {
    /// Starts with the first of `count`, not zero.
    #[inline(always)]
    pub(super) fn new(tables: &'a Tables, count: u32, data: &'a [u8]) -> Result<Self, Corrupt> {
        let mut stream = Reverse::new(data)?;
        stream.refill();
        let [literal, offset, matched] = tables.start(&mut stream);
        Ok(Self {
            tables,
            stream,
            literal,
            offset,
            matched,
            left: count,
        })
    }

    /// Decodes the next one, of which there must be one.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Result<Decoded, Corrupt> {
        let Self {
            tables,
            stream,
            literal,
            offset,
            matched,
            left,
        } = self;
        // Section 3.1.1.3.2.1.2: the extra bits of offset, match and literals, then the bits
        // for the next states: at most 31, 16, 16 and 26.
        stream.refill();
        let mut decoded = Decoded {
            code: offset.extra,
            value: offset.base.wrapping_add(stream.take(offset.extra)),
            literals: literal.base,
            matched: matched.base,
        };
        if literal.extra | matched.extra != 0 {
            let more = stream.take(matched.extra);
            decoded.matched = decoded.matched.wrapping_add(more);
            stream.refill();
            let more = stream.take(literal.extra);
            decoded.literals = decoded.literals.wrapping_add(more);
        }
        *left = left.wrapping_sub(1);
        if *left > 0 {
            let next = u32::from(literal.next).wrapping_add(stream.take(literal.bits));
            *literal = tables.literals.entry(next);
            let next = u32::from(matched.next).wrapping_add(stream.take(matched.bits));
            *matched = tables.matches.entry(next);
            let next = u32::from(offset.next).wrapping_add(stream.take(offset.bits));
            *offset = tables.offsets.entry(next);
        }
        Ok(decoded)
    }

    /// Whether that was the last one.
    #[inline(always)]
    pub(super) const fn is_last(&self) -> bool {
        self.left == 0
    }

    /// Must be the end of the stream.
    #[inline(always)]
    pub(super) fn finish(mut self) -> Result<(), Corrupt> {
        self.stream.refill();
        if self.stream.is_finished() {
            Ok(())
        } else {
            Err(Corrupt)
        }
    }
}

/// The part of the memory that a block has to do with: it starts where the frame's content does,
/// or with the memory, when that has let go of it, and ends with the slack behind the room.
#[inline(always)]
pub(super) fn extent(output: &[u8], room: Room) -> Range<usize> {
    let begin = room.start.saturating_sub(room.history);
    begin..room.end.saturating_add(SLACK).min(output.len())
}

/// Decodes and executes the bit stream `data` of `count` sequences, not zero, and the literals
/// behind them, and says where the block ends. `literals` has [`SLACK`] bytes more.
pub(super) fn run(
    tables: &Tables,
    repeats: &mut Repeats,
    count: u32,
    data: &[u8],
    literals: &[u8],
    output: &mut [u8],
    room: Room,
) -> Result<usize, Corrupt> {
    if extent(output, room).len() < copy::SHORT {
        execute::<false>(tables, repeats, count, data, literals, output, room)
    } else {
        execute::<true>(tables, repeats, count, data, literals, output, room)
    }
}

/// As [`run`]. `SHORT` says whether [`extent`] is long enough for short sequences.
#[inline(never)]
fn execute<const SHORT: bool>(
    tables: &Tables,
    repeats: &mut Repeats,
    count: u32,
    data: &[u8],
    mut literals: &[u8],
    output: &mut [u8],
    room: Room,
) -> Result<usize, Corrupt> {
    let extent = extent(output, room);
    let begin = extent.start;
    let output = output.get_mut(extent).ok_or(Corrupt)?;
    let limit = room.end.saturating_sub(begin);
    let mut at = room.start.saturating_sub(begin);
    let last = if SHORT {
        output.len().checked_sub(copy::SHORT).ok_or(Corrupt)?
    } else {
        0
    };
    let mut decoder = Decoder::new(tables, count, data)?;
    let mut now = *repeats;
    loop {
        let Decoded {
            code,
            value,
            literals: length,
            matched,
        } = decoder.next()?;
        let sequence = Sequence {
            literals: length as usize,
            matched: matched as usize,
            distance: now.resolve(code, value, length == 0)? as usize,
        };
        if sequence.distance > room.window {
            return Err(Corrupt);
        }
        if SHORT && let Some(done) = copy::quick(output, at, literals, sequence, last) {
            (at, literals) = done;
        } else {
            at = copy::any(output, at, literals, sequence, limit)?;
            literals = literals.get(sequence.literals..).ok_or(Corrupt)?;
        }
        if decoder.is_last() {
            break;
        }
    }
    decoder.finish()?;
    *repeats = now;
    last_literals(literals, output, at, limit).map(|end| end.wrapping_add(begin))
}

/// The literals that no sequence took, all but the slack, end the block.
pub(super) fn last_literals(
    literals: &[u8],
    output: &mut [u8],
    at: usize,
    limit: usize,
) -> Result<usize, Corrupt> {
    let length = literals.len().checked_sub(SLACK).ok_or(Corrupt)?;
    let end = at.wrapping_add(length);
    if end > limit {
        return Err(Corrupt);
    }
    let room = output.get_mut(at..end).ok_or(Corrupt)?;
    bytes::copy(literals, room);
    Ok(end)
}
