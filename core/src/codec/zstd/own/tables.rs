//! Codes of sequences, and their tables.
//!
//! RFC 8878 section 3.1.1.3.2 (sequences section, up to its bit stream).

use core::fmt;

use super::Corrupt;
use super::bits::{Reverse, low_byte};
use super::fse::Distribution;

/// One of the three alphabets.
pub(super) struct Alphabet {
    /// For each code what is added to the extra bits, and their number.
    codes: &'static [(u32, u8)],
    /// The largest accuracy of its tables.
    log: u32,
    /// The predefined distribution.
    predefined: &'static [i16],
    /// The accuracy of that.
    predefined_log: u32,
}

#[cfg(feature = "alloc")]
impl Alphabet {
    /// How many codes there are, and the largest accuracy of its tables.
    pub(super) const fn bounds(&self) -> (usize, u32) {
        (self.codes.len(), self.log)
    }
}

/// Those of literals lengths, offsets and match lengths.
#[cfg(feature = "alloc")]
pub(super) const ALPHABETS: [&Alphabet; 3] = [&LITERALS, &OFFSETS, &MATCHES];

/// No alphabet has as many codes.
const CODES: usize = 64;

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
pub(super) struct Entry {
    /// What is added to the extra bits.
    pub(super) base: u32,
    /// What is added to the bits that lead to the next state.
    pub(super) next: u16,
    /// The number of those.
    pub(super) bits: u8,
    /// The number of extra bits.
    pub(super) extra: u8,
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
pub(super) struct Table<const SIZE: usize> {
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
    pub(super) fn entry(&self, state: u32) -> &Entry {
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
        match mode {
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
        let mut codes = [(0, 0); CODES];
        for (to, from) in codes.iter_mut().zip(alphabet.codes) {
            *to = *from;
        }
        distribution.fill(&mut self.entries, |code, bits, next| {
            // The code is one of the alphabet.
            let (base, extra) = codes
                .get(usize::from(code) & (CODES - 1))
                .copied()
                .unwrap_or((0, 0));
            Entry {
                base,
                next,
                bits,
                extra,
            }
        });
    }
}

/// The tables of the three alphabets.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) literals: Table<512>,
    pub(super) offsets: Table<256>,
    pub(super) matches: Table<512>,
    /// Whether they are this frame's.
    repeatable: bool,
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables")
            .field("repeatable", &self.repeatable)
            .finish_non_exhaustive()
    }
}

impl Tables {
    pub(super) const fn new() -> Self {
        Self {
            literals: Table::new(),
            offsets: Table::new(),
            matches: Table::new(),
            repeatable: false,
        }
    }

    /// Makes ready for another frame.
    pub(super) const fn reset(&mut self) {
        self.repeatable = false;
    }

    /// Takes the front of a sequences section, makes the tables, and says how many sequences
    /// there are. Of none there is no bit stream, and nothing is made.
    pub(super) fn read(&mut self, data: &mut &[u8]) -> Result<u32, Corrupt> {
        let count = count(data)?;
        if count == 0 {
            return Ok(0);
        }
        let modes = Modes::read(data)?;
        self.set(modes, data)?;
        Ok(count)
    }

    /// Makes the tables that these modes ask for, and takes what describes them.
    pub(super) fn set(&mut self, modes: Modes, data: &mut &[u8]) -> Result<(), Corrupt> {
        let repeatable = self.repeatable;
        self.literals
            .read(modes.literals, data, &LITERALS, repeatable)?;
        self.offsets
            .read(modes.offsets, data, &OFFSETS, repeatable)?;
        self.matches
            .read(modes.matches, data, &MATCHES, repeatable)?;
        self.repeatable = true;
        Ok(())
    }

    /// The first states: of literals lengths, offsets and match lengths.
    #[inline(always)]
    pub(super) fn start(&self, stream: &mut Reverse<'_>) -> [&Entry; 3] {
        [
            self.literals
                .entry(stream.take(low_byte(self.literals.log))),
            self.offsets.entry(stream.take(low_byte(self.offsets.log))),
            self.matches.entry(stream.take(low_byte(self.matches.log))),
        ]
    }
}

/// Where the tables come from, section 3.1.1.3.2.1: 0 predefined, 1 one code, 2 described, 3 those
/// before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) literals: u8,
    pub(super) offsets: u8,
    pub(super) matches: u8,
}

impl Modes {
    /// Takes them.
    pub(super) fn read(data: &mut &[u8]) -> Result<Self, Corrupt> {
        let (modes, rest) = data.split_first().ok_or(Corrupt)?;
        // The reserved bits.
        if modes & 3 != 0 {
            return Err(Corrupt);
        }
        *data = rest;
        Ok(Self {
            literals: modes >> 6,
            offsets: modes >> 4 & 3,
            matches: modes >> 2 & 3,
        })
    }
}

/// Takes `Number_of_Sequences`, section 3.1.1.3.2.1.
pub(super) fn count(data: &mut &[u8]) -> Result<u32, Corrupt> {
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
