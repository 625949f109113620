//! Sequences of a block: their codes, their tables, and what they do.
//!
//! RFC 8878 sections 3.1.1.3.2 (sequences section), 3.1.1.4 (execution), 3.1.1.5 (repeat
//! offsets).

use core::fmt;
use core::hint::select_unpredictable;

use super::bits::{Reverse, low_byte};
use super::fse::Distribution;
use super::copy::{self, Sequence};
use super::{Corrupt, Room, SLACK};
use crate::bytes;

/// One of the three alphabets.
struct Alphabet {
    /// For each code what is added to the extra bits, and their number.
    codes: &'static [(u32, u8)],
    /// The largest accuracy of its tables.
    log: u32,
    /// The predefined distribution.
    predefined: &'static [i16],
    /// The accuracy of that.
    predefined_log: u32,
}

/// Literals lengths, sections 3.1.1.3.2.1.1 and 3.1.1.3.2.2.1.
const LITERALS: Alphabet = Alphabet {
    #[rustfmt::skip]
    codes: &[
        (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0),
        (11, 0), (12, 0), (13, 0), (14, 0), (15, 0), (16, 1), (18, 1), (20, 1), (22, 1), (24, 2),
        (28, 2), (32, 3), (40, 3), (48, 4), (64, 6), (128, 7), (256, 8), (512, 9), (1024, 10),
        (2048, 11), (4096, 12), (8192, 13), (16384, 14), (32768, 15), (65536, 16),
    ],
    log: 9,
    #[rustfmt::skip]
    predefined: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1,
        1, 1, -1, -1, -1, -1,
    ],
    predefined_log: 6,
};

/// Match lengths, of at least 3, sections 3.1.1.3.2.1.1 and 3.1.1.3.2.2.2.
const MATCHES: Alphabet = Alphabet {
    #[rustfmt::skip]
    codes: &[
        (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 0), (12, 0),
        (13, 0), (14, 0), (15, 0), (16, 0), (17, 0), (18, 0), (19, 0), (20, 0), (21, 0), (22, 0),
        (23, 0), (24, 0), (25, 0), (26, 0), (27, 0), (28, 0), (29, 0), (30, 0), (31, 0), (32, 0),
        (33, 0), (34, 0), (35, 1), (37, 1), (39, 1), (41, 1), (43, 2), (47, 2), (51, 3), (59, 3),
        (67, 4), (83, 4), (99, 5), (131, 7), (259, 8), (515, 9), (1027, 10), (2051, 11),
        (4099, 12), (8195, 13), (16387, 14), (32771, 15), (65539, 16),
    ],
    log: 9,
    #[rustfmt::skip]
    predefined: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    predefined_log: 6,
};

/// Offsets, sections 3.1.1.3.2.1.1 and 3.1.1.3.2.2.3. From code 2 on three is taken off what
/// `Offset_Value` is, which leaves the offset; the first two codes are those of repeat offsets.
/// Code 31 is the largest that libzstd reads too.
const OFFSETS: Alphabet = Alphabet {
    #[rustfmt::skip]
    codes: &[
        (1, 0), (2, 1), (1, 2), (5, 3), (13, 4), (29, 5), (61, 6), (125, 7), (253, 8), (509, 9),
        (1021, 10), (2045, 11), (4093, 12), (8189, 13), (16381, 14), (32765, 15), (65533, 16),
        (131_069, 17), (262_141, 18), (524_285, 19), (1_048_573, 20), (2_097_149, 21),
        (4_194_301, 22), (8_388_605, 23), (16_777_213, 24), (33_554_429, 25), (67_108_861, 26),
        (134_217_725, 27), (268_435_453, 28), (536_870_909, 29), (1_073_741_821, 30),
        (2_147_483_645, 31),
    ],
    log: 8,
    #[rustfmt::skip]
    predefined: &[
        1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
    ],
    predefined_log: 5,
};

/// What a state stands for.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// What is added to the extra bits.
    base: u32,
    /// What is added to the bits that lead to the next state.
    next: u16,
    /// The number of those.
    bits: u8,
    /// The number of extra bits.
    extra: u8,
}

impl Entry {
    const NONE: Self = Self {
        base: 0,
        next: 0,
        bits: 0,
        extra: 0,
    };
}

/// The states of one alphabet: `SIZE` at most, a power of two.
#[derive(Clone, Debug)]
struct Table<const SIZE: usize> {
    entries: [Entry; SIZE],
    log: u32,
    /// Whether it is the predefined one, which need not be made again.
    predefined: bool,
}

impl<const SIZE: usize> Table<SIZE> {
    const fn new() -> Self {
        Self {
            entries: [Entry::NONE; SIZE],
            log: 0,
            predefined: false,
        }
    }

    #[inline(always)]
    fn entry(&self, state: u32) -> &Entry {
        let place = state as usize & SIZE.wrapping_sub(1);
        // Always there: no state has more bits.
        self.entries.get(place).unwrap_or(&Entry::NONE)
    }

    /// Makes the table that a mode (section 3.1.1.3.2.1) asks for, and takes what describes it.
    fn read(
        &mut self,
        mode: u8,
        data: &mut &[u8],
        alphabet: &Alphabet,
        repeatable: bool,
    ) -> Result<(), Corrupt> {
        match mode & 3 {
            0 if self.predefined => {}
            0 => {
                let Alphabet {
                    predefined,
                    predefined_log,
                    ..
                } = alphabet;
                let distribution = Distribution::predefined(predefined, *predefined_log);
                self.build(&distribution, alphabet);
                self.predefined = true;
            }
            1 => {
                let (code, rest) = data.split_first().ok_or(Corrupt)?;
                let (base, extra) = *alphabet.codes.get(usize::from(*code)).ok_or(Corrupt)?;
                let only = self.entries.first_mut().ok_or(Corrupt)?;
                *only = Entry {
                    base,
                    extra,
                    ..Entry::NONE
                };
                self.log = 0;
                self.predefined = false;
                *data = rest;
            }
            2 => {
                let (distribution, taken) =
                    Distribution::read(data, alphabet.codes.len(), alphabet.log)?;
                self.build(&distribution, alphabet);
                self.predefined = false;
                *data = data.get(taken..).ok_or(Corrupt)?;
            }
            _ if repeatable => {}
            _ => return Err(Corrupt),
        }
        Ok(())
    }

    fn build(&mut self, distribution: &Distribution, alphabet: &Alphabet) {
        self.log = distribution.log();
        distribution.states(|state, code, bits, next| {
            let code = alphabet.codes.get(usize::from(code)).copied();
            let (base, extra) = code.unwrap_or_default();
            if let Some(entry) = self.entries.get_mut(state) {
                *entry = Entry {
                    base,
                    next,
                    bits,
                    extra,
                };
            }
        });
    }
}

/// The tables of the three alphabets, and the repeat offsets.
#[derive(Clone)]
pub(super) struct Sequences {
    literals: Table<512>,
    offsets: Table<256>,
    matches: Table<512>,
    /// Whether the tables are this frame's.
    repeatable: bool,
    repeats: [u32; 3],
}

impl fmt::Debug for Sequences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequences")
            .field("repeats", &self.repeats)
            .finish_non_exhaustive()
    }
}

impl Sequences {
    pub(super) const fn new() -> Self {
        Self {
            literals: Table::new(),
            offsets: Table::new(),
            matches: Table::new(),
            repeatable: false,
            repeats: REPEATS,
        }
    }

    /// Makes ready for another frame.
    pub(super) const fn reset(&mut self) {
        self.repeatable = false;
        self.repeats = REPEATS;
    }

    /// Decodes and executes the sequences section `data`, and says where the block ends.
    /// `literals` has [`SLACK`] bytes more.
    pub(super) fn run(
        &mut self,
        mut data: &[u8],
        literals: &[u8],
        output: &mut [u8],
        room: Room,
    ) -> Result<usize, Corrupt> {
        let count = count(&mut data)?;
        if count == 0 {
            if !data.is_empty() {
                return Err(Corrupt);
            }
            return last_literals(literals, output, room.start, room.end);
        }
        let (modes, mut data) = data.split_first().ok_or(Corrupt)?;
        // The reserved bits.
        if modes & 3 != 0 {
            return Err(Corrupt);
        }
        let repeatable = self.repeatable;
        self.literals
            .read(modes >> 6, &mut data, &LITERALS, repeatable)?;
        self.offsets
            .read(modes >> 4, &mut data, &OFFSETS, repeatable)?;
        self.matches
            .read(modes >> 2, &mut data, &MATCHES, repeatable)?;
        self.repeatable = true;
        if output.len() < copy::SHORT {
            self.execute::<false>(count, data, literals, output, room)
        } else {
            self.execute::<true>(count, data, literals, output, room)
        }
    }

    /// Decodes and executes `count` sequences, not zero.
    #[inline(never)]
    fn execute<const SHORT: bool>(
        &mut self,
        count: u32,
        data: &[u8],
        literals: &[u8],
        output: &mut [u8],
        room: Room,
    ) -> Result<usize, Corrupt> {
        // From where the frame's content begins, or the memory, when that has let go of it.
        let begin = room.start.saturating_sub(room.history);
        let behind = room.end.saturating_add(SLACK).min(output.len());
        let output = output.get_mut(begin..behind).ok_or(Corrupt)?;
        let limit = room.end.saturating_sub(begin);
        let mut at = room.start.saturating_sub(begin);
        let window = room.window;
        let last = if SHORT {
            output.len().checked_sub(copy::SHORT).ok_or(Corrupt)?
        } else {
            0
        };

        let mut stream = Reverse::new(data)?;
        stream.refill()?;
        let mut literal = self.literals.entry(stream.take(low_byte(self.literals.log)));
        let mut offset = self.offsets.entry(stream.take(low_byte(self.offsets.log)));
        let mut matched = self.matches.entry(stream.take(low_byte(self.matches.log)));
        let [mut first, mut second, mut third] = self.repeats;
        let mut literals = literals;
        let mut left = count;
        loop {
            // Section 3.1.1.3.2.1.2: the extra bits of offset, match and literals, then the bits
            // for the next states: at most 31, 16, 16 and 26.
            stream.refill()?;
            let offset_bits = offset.extra;
            let value = offset.base.wrapping_add(stream.take(offset_bits));
            let mut match_length = matched.base;
            let mut literals_length = literal.base;
            if literal.extra | matched.extra != 0 {
                match_length = match_length.wrapping_add(stream.take(matched.extra));
                stream.refill()?;
                literals_length = literals_length.wrapping_add(stream.take(literal.extra));
            }
            left = left.wrapping_sub(1);
            if left > 0 {
                let next = u32::from(literal.next).wrapping_add(stream.take(literal.bits));
                literal = self.literals.entry(next);
                let next = u32::from(matched.next).wrapping_add(stream.take(matched.bits));
                matched = self.matches.entry(next);
                let next = u32::from(offset.next).wrapping_add(stream.take(offset.bits));
                offset = self.offsets.entry(next);
            }

            // Section 3.1.1.5. Without literals it is one repeat offset further.
            let none = literals_length == 0;
            if offset_bits == 1 {
                let which = value.wrapping_add(u32::from(none));
                let repeated = match which {
                    2 => second,
                    3 => third,
                    _ => first.wrapping_sub(1),
                };
                if repeated == 0 {
                    return Err(Corrupt);
                }
                if which != 2 {
                    third = second;
                }
                second = first;
                first = repeated;
            } else {
                // Whether the first repeat offset, the second, or a new one: nobody can tell
                // beforehand, the processor neither.
                let new = offset_bits > 1;
                let (one, two, three) = (first, second, third);
                first = select_unpredictable(none, two, one);
                first = select_unpredictable(new, value, first);
                second = select_unpredictable(new | none, one, two);
                third = select_unpredictable(new, two, three);
            }

            // Section 3.1.1.4.
            let distance = first as usize;
            if distance > window {
                return Err(Corrupt);
            }
            let literals_length = literals_length as usize;
            let match_length = match_length as usize;
            if SHORT
                && let Some(done) = copy::quick(
                    output,
                    at,
                    literals,
                    literals_length,
                    match_length,
                    distance,
                    last,
                )
            {
                (at, literals) = done;
            } else {
                let sequence = Sequence {
                    literals: literals_length,
                    matched: match_length,
                    distance,
                };
                at = copy::any(output, at, literals, sequence, limit)?;
                literals = literals.get(literals_length..).ok_or(Corrupt)?;
            }
            if left == 0 {
                break;
            }
        }
        stream.refill()?;
        if !stream.is_finished() {
            return Err(Corrupt);
        }
        self.repeats = [first, second, third];
        last_literals(literals, output, at, limit).map(|end| end.wrapping_add(begin))
    }
}

/// The repeat offsets at the start of a frame, section 3.1.1.5.
const REPEATS: [u32; 3] = [1, 4, 8];

/// Takes `Number_of_Sequences`, section 3.1.1.3.2.1.
fn count(data: &mut &[u8]) -> Result<u32, Corrupt> {
    let mut byte = || {
        let (byte, rest) = data.split_first().ok_or(Corrupt)?;
        *data = rest;
        Ok::<u32, Corrupt>((*byte).into())
    };
    Ok(match byte()? {
        255 => byte()?.wrapping_add(byte()? << 8).wrapping_add(0x7F00),
        first @ 128.. => (first.wrapping_sub(128) << 8).wrapping_add(byte()?),
        first => first,
    })
}

/// The literals that no sequence took, all but the slack, end the block.
fn last_literals(
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
