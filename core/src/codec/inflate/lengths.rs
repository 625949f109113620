//! The head of a block with codes of its own: the lengths of the codes, section 3.2.7.

use super::Corrupt;
use super::bits::Bits;
use super::huffman::Tables;

/// In which order the lengths of the codes of the code lengths come.
const ORDER: [u8; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// The most literals and lengths; 286 and 287 are never used.
const LITERALS: usize = 286;
/// The most distances; 30 and 31 are never used.
const DISTANCES: usize = 30;

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// How many lengths there are.
    Counts,
    /// The lengths of the codes of the code lengths; so many of them were read.
    Codes(usize),
    /// The lengths; so many of them are there.
    Lengths(usize),
}

/// Reads the lengths of the codes of a block.
#[derive(Clone, Debug)]
pub(super) struct Lengths {
    part: Part,
    literals: usize,
    distances: usize,
    codes: usize,
    /// Of the codes of the code lengths, then of the literals and lengths, and behind those at
    /// once of the distances.
    lengths: [u8; LITERALS + DISTANCES],
}

impl Lengths {
    pub(super) const fn new() -> Self {
        Self {
            part: Part::Counts,
            literals: 0,
            distances: 0,
            codes: 0,
            lengths: [0; LITERALS + DISTANCES],
        }
    }

    /// Makes ready for another block.
    pub(super) const fn start(&mut self) {
        self.part = Part::Counts;
    }

    /// Goes on reading, and says whether all was read and the tables are made.
    pub(super) fn read(
        &mut self,
        bits: &mut Bits<'_>,
        tables: &mut Tables,
    ) -> Result<bool, Corrupt> {
        loop {
            match self.part {
                Part::Counts => {
                    let Some(counts) = bits.take(14) else {
                        return Ok(false);
                    };
                    self.literals = (counts & 31).wrapping_add(257) as usize;
                    self.distances = (counts >> 5 & 31).wrapping_add(1) as usize;
                    self.codes = (counts >> 10).wrapping_add(4) as usize;
                    if self.literals > LITERALS || self.distances > DISTANCES {
                        return Err(Corrupt);
                    }
                    self.lengths = [0; LITERALS + DISTANCES];
                    self.part = Part::Codes(0);
                }
                Part::Codes(read) if read < self.codes => {
                    let Some(length) = bits.take(3) else {
                        return Ok(false);
                    };
                    let place = ORDER.get(read).copied().unwrap_or(0);
                    if let Some(place) = self.lengths.get_mut(usize::from(place)) {
                        // At most seven.
                        *place = length.to_le_bytes()[0];
                    }
                    self.part = Part::Codes(read.wrapping_add(1));
                }
                Part::Codes(_) => {
                    tables.lengths(self.lengths.get(..ORDER.len()).unwrap_or(&[]))?;
                    self.part = Part::Lengths(0);
                }
                Part::Lengths(read) => {
                    let all = self.literals.wrapping_add(self.distances);
                    let read = self.symbols(read, all, bits, tables)?;
                    self.part = Part::Lengths(read);
                    if read < all {
                        return Ok(false);
                    }
                    return self.build(tables);
                }
            }
        }
    }

    /// Reads lengths until there are `all` or bits are missing, and says how many there are.
    fn symbols(
        &mut self,
        mut read: usize,
        all: usize,
        bits: &mut Bits<'_>,
        tables: &Tables,
    ) -> Result<usize, Corrupt> {
        while read < all {
            // A code and its extra bits.
            let word = bits.peek(14);
            let entry = tables.length(word);
            let (least, extra) = match entry.symbol() {
                16 => (3, 2),
                17 => (3, 3),
                18 => (11, 7),
                length => {
                    if entry.bits() > bits.count() {
                        break;
                    }
                    bits.skip(entry.bits());
                    if let Some(place) = self.lengths.get_mut(read) {
                        *place = length;
                    }
                    read = read.wrapping_add(1);
                    continue;
                }
            };
            if entry.bits().wrapping_add(extra) > bits.count() {
                break;
            }
            bits.skip(entry.bits());
            let more = bits.take(extra).unwrap_or(0) as usize;
            let repeated = if extra == 2 {
                let last = read.checked_sub(1).ok_or(Corrupt)?;
                self.lengths.get(last).copied().ok_or(Corrupt)?
            } else {
                0
            };
            let end = read.wrapping_add(more).wrapping_add(least);
            if end > all {
                return Err(Corrupt);
            }
            self.lengths
                .get_mut(read..end)
                .unwrap_or(&mut [])
                .fill(repeated);
            read = end;
        }
        Ok(read)
    }

    /// Makes the tables.
    fn build(&self, tables: &mut Tables) -> Result<bool, Corrupt> {
        let (literals, rest) = self
            .lengths
            .split_at_checked(self.literals)
            .ok_or(Corrupt)?;
        // The code of the end of the block.
        if literals.get(256).is_none_or(|length| *length == 0) {
            return Err(Corrupt);
        }
        tables.dynamic(literals, rest.get(..self.distances).unwrap_or(&[]))?;
        Ok(true)
    }
}
