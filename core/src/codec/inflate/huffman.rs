//! Huffman codes, sections 3.2.2, 3.2.5 and 3.2.6: tables in which the next bits of the stream
//! are looked up.

use super::Corrupt;
use super::bits::low_bits;

/// How many bits of a literal or length code its first table decides.
const LITERAL_BITS: u32 = 11;
/// How many bits of a distance code its first table decides.
const DISTANCE_BITS: u32 = 8;
/// The longest code of the code lengths, section 3.2.7; all are decided by one table.
const LENGTH_BITS: u32 = 7;
/// The longest code.
const LONGEST: usize = 15;

/// The most entries that tables of 288 codes with 11 bits can take, as computed by zlib's
/// `enough`.
const LITERALS: usize = 2342;
/// The most entries that tables of 32 codes with 8 bits can take.
const DISTANCES: usize = 402;

/// What a code stands for.
///
/// From the low end: the number of bits with the extra bits (6 bits); those of the code without
/// them, or those that a further table decides (4 bits from the 9th); marks; what is added to
/// the extra bits, the literal, or where the further table begins (15 bits from the 17th); the
/// mark of a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(u32);

/// The mark of a literal.
const LITERAL: u32 = 1 << 31;
/// The mark of what is neither a literal nor a length nor a distance.
const SPECIAL: u32 = 1 << 15;
/// With it: there is a further table.
const FURTHER: u32 = 1 << 14;
/// With it: the block ends.
const END: u32 = 1 << 13;

impl Entry {
    /// No code, or one that must not be used.
    const INVALID: Self = Self(SPECIAL);

    const fn literal(byte: u8) -> Self {
        Self(LITERAL | (byte as u32) << 16)
    }

    /// A length, a distance or the length of a code.
    const fn number(base: u16, extra: u16) -> Self {
        Self((base as u32) << 16 | extra as u32)
    }

    /// The same with this many bits.
    const fn with_bits(self, bits: u32) -> Self {
        Self(self.0.wrapping_add(bits << 8 | bits))
    }

    const fn further(start: u32, first: u32, bits: u32) -> Self {
        Self(start << 16 | SPECIAL | FURTHER | bits << 8 | first)
    }

    /// The literal, if it is one.
    #[inline(always)]
    pub(super) const fn byte(self) -> Option<u8> {
        let [_, _, byte, _] = self.0.to_le_bytes();
        if self.0 & LITERAL != 0 {
            Some(byte)
        } else {
            None
        }
    }

    /// Whether it is neither a literal nor a length nor a distance.
    #[inline(always)]
    pub(super) const fn is_special(self) -> bool {
        self.0 & SPECIAL != 0
    }

    #[inline(always)]
    pub(super) const fn is_further(self) -> bool {
        self.0 & FURTHER != 0 && self.is_special()
    }

    pub(super) const fn is_end(self) -> bool {
        self.0 & END != 0 && self.is_special()
    }

    pub(super) const fn is_invalid(self) -> bool {
        self.is_special() && self.0 & (FURTHER | END) == 0
    }

    /// Its bits, with the extra bits, in the low six bits of what is given.
    #[inline(always)]
    pub(super) const fn low_bits(self) -> u32 {
        self.0
    }

    /// Its bits, with the extra bits.
    #[inline(always)]
    pub(super) const fn bits(self) -> u32 {
        self.0 & 63
    }

    /// What is added to the extra bits.
    #[inline(always)]
    const fn base(self) -> u32 {
        self.0 >> 16
    }

    /// The length or distance whose bits these are.
    #[inline(always)]
    pub(super) fn value(self, word: u64) -> usize {
        let extra = low_bits(word, self.0).wrapping_shr(self.0 >> 8);
        self.base().wrapping_add(extra) as usize
    }

    /// The length of a code, or what it says of others.
    pub(super) const fn symbol(self) -> u8 {
        let [_, _, symbol, _] = self.0.to_le_bytes();
        symbol
    }
}

/// Section 3.2.5: the literals, the end of the block, the lengths, and two codes that are not
/// used.
const LITERAL_CODES: [Entry; 288] = {
    let mut codes = [Entry::INVALID; 288];
    let mut rest: &mut [Entry] = &mut codes;
    let mut code = 0_u16;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = match code {
            0..=255 => Entry::literal(code.to_le_bytes()[0]),
            256 => Entry(SPECIAL | END),
            // Four for each number of extra bits, and eight without.
            257..=264 => Entry::number(code.wrapping_sub(254), 0),
            265..=284 => {
                let place = code.wrapping_sub(257);
                let extra = (place / 4).wrapping_sub(1);
                let base = (place % 4).wrapping_add(4) << extra;
                Entry::number(base.wrapping_add(3), extra)
            }
            285 => Entry::number(258, 0),
            _ => Entry::INVALID,
        };
        code = code.wrapping_add(1);
        rest = others;
    }
    codes
};

/// Section 3.2.5: the distances, and two codes that are not used.
const DISTANCE_CODES: [Entry; 32] = {
    let mut codes = [Entry::INVALID; 32];
    let mut rest: &mut [Entry] = &mut codes;
    let mut code = 0_u16;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = match code {
            // Two for each number of extra bits, and four without.
            0..=3 => Entry::number(code.wrapping_add(1), 0),
            4..=29 => {
                let extra = (code / 2).wrapping_sub(1);
                let base = (code % 2).wrapping_add(2) << extra;
                Entry::number(base.wrapping_add(1), extra)
            }
            _ => Entry::INVALID,
        };
        code = code.wrapping_add(1);
        rest = others;
    }
    codes
};

/// Section 3.2.7: the lengths of codes, and three codes for repeats.
const LENGTH_CODES: [Entry; 19] = {
    let mut codes = [Entry::INVALID; 19];
    let mut rest: &mut [Entry] = &mut codes;
    let mut symbol = 0_u16;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = Entry::number(symbol, 0);
        symbol = symbol.wrapping_add(1);
        rest = others;
    }
    codes
};

/// The tables of a block.
#[derive(Clone)]
pub(super) struct Tables {
    literals: [Entry; LITERALS],
    distances: [Entry; DISTANCES],
    /// Whether they are those of the fixed codes.
    fixed: bool,
}

impl Tables {
    pub(super) const fn new() -> Self {
        Self {
            literals: [Entry::INVALID; LITERALS],
            distances: [Entry::INVALID; DISTANCES],
            fixed: false,
        }
    }

    /// Makes those of the fixed codes, section 3.2.6.
    pub(super) fn fix(&mut self) {
        if self.fixed {
            return;
        }
        let mut lengths = [8; 288];
        for (place, length) in (0_u16..).zip(&mut lengths) {
            match place {
                144..=255 => *length = 9,
                256..=279 => *length = 7,
                _ => {}
            }
        }
        // They are complete.
        let built = self.dynamic(&lengths, &[5; 32]);
        self.fixed = built.is_ok();
    }

    /// Makes those of the codes with these lengths, at most 288 and 32.
    pub(super) fn dynamic(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), Corrupt> {
        self.fixed = false;
        let alphabet = Alphabet {
            codes: &LITERAL_CODES,
            first: LITERAL_BITS,
            single: true,
            none: Entry::INVALID,
        };
        alphabet.build(literals, &mut self.literals)?;
        let alphabet = Alphabet {
            codes: &DISTANCE_CODES,
            first: DISTANCE_BITS,
            single: true,
            none: Entry::INVALID,
        };
        alphabet.build(distances, &mut self.distances)
    }

    /// Makes the table of the code of the code lengths, in the place of the distances.
    pub(super) fn lengths(&mut self, lengths: &[u8]) -> Result<(), Corrupt> {
        self.fixed = false;
        let alphabet = Alphabet {
            codes: &LENGTH_CODES,
            first: LENGTH_BITS,
            single: false,
            // As zlib has it: without any code all lengths are zero, which is refused when all of
            // them were read.
            none: Entry::number(0, 0),
        };
        alphabet.build(lengths, &mut self.distances)
    }

    /// What the next bits are of the code of the code lengths.
    #[inline(always)]
    pub(super) fn length(&self, word: u64) -> Entry {
        let place = low_bits(word, LENGTH_BITS) as usize;
        self.distances.get(place).copied().unwrap_or(Entry::INVALID)
    }

    /// What the next bits are of the literal and length code: in the first table.
    #[inline(always)]
    pub(super) fn first_literal(&self, word: u64) -> Entry {
        let place = low_bits(word, LITERAL_BITS) as usize;
        self.literals.get(place).copied().unwrap_or(Entry::INVALID)
    }

    /// The same of the distance code.
    #[inline(always)]
    pub(super) fn first_distance(&self, word: u64) -> Entry {
        let place = low_bits(word, DISTANCE_BITS) as usize;
        self.distances.get(place).copied().unwrap_or(Entry::INVALID)
    }

    /// What the bits behind those of the first table are, where that says that there is more. Its
    /// bits are counted from there.
    #[inline(always)]
    pub(super) fn further_literal(&self, entry: Entry, word: u64) -> Entry {
        let place = entry.place(word);
        self.literals.get(place).copied().unwrap_or(Entry::INVALID)
    }

    /// The same of the distance code.
    #[inline(always)]
    pub(super) fn further_distance(&self, entry: Entry, word: u64) -> Entry {
        let place = entry.place(word);
        self.distances.get(place).copied().unwrap_or(Entry::INVALID)
    }

    /// What the next bits are of the literal and length code.
    #[inline]
    pub(super) fn literal(&self, word: u64) -> Entry {
        let entry = self.first_literal(word);
        if !entry.is_further() {
            return entry;
        }
        self.further_literal(entry, word.wrapping_shr(LITERAL_BITS))
            .with_bits(LITERAL_BITS)
    }

    /// What the next bits are of the distance code.
    #[inline]
    pub(super) fn distance(&self, word: u64) -> Entry {
        let entry = self.first_distance(word);
        if !entry.is_further() {
            return entry;
        }
        self.further_distance(entry, word.wrapping_shr(DISTANCE_BITS))
            .with_bits(DISTANCE_BITS)
    }
}

impl Entry {
    /// Where in the tables it is said what the word is, whose bits follow those of the first
    /// table.
    #[inline(always)]
    fn place(self, word: u64) -> usize {
        self.base().wrapping_add(low_bits(word, self.0 >> 8 & 15)) as usize & 0x7FFF
    }
}

/// What the codes of an alphabet stand for, and what is allowed for them.
struct Alphabet {
    codes: &'static [Entry],
    /// How many bits the first table decides.
    first: u32,
    /// Whether a single code of one bit is allowed, which leaves the other bit unused.
    single: bool,
    /// What any bit is when there are no codes at all.
    none: Entry,
}

impl Alphabet {
    /// Makes the tables of codes of these lengths, section 3.2.2.
    fn build(&self, lengths: &[u8], entries: &mut [Entry]) -> Result<(), Corrupt> {
        let mut counts = [0_u16; LONGEST + 1];
        for length in lengths {
            if let Some(count) = counts.get_mut(usize::from(*length)) {
                *count = count.wrapping_add(1);
            }
        }
        // How many codes of the length there could be that are not there, and where the codes of
        // the length begin among all.
        let mut unused = 1_i32;
        let mut starts = [0_u16; LONGEST + 1];
        let mut start = 0_u16;
        let mut longest = 0;
        for ((length, count), place) in (0_u32..).zip(&counts).zip(&mut starts).skip(1) {
            unused = unused.wrapping_mul(2).wrapping_sub((*count).into());
            if unused < 0 {
                return Err(Corrupt);
            }
            *place = start;
            start = start.wrapping_add(*count);
            if *count > 0 {
                longest = length;
            }
        }
        let mut sorted = [0_u16; 288];
        for (code, length) in (0_u16..).zip(lengths) {
            if *length == 0 {
                continue;
            }
            if let Some(start) = starts.get_mut(usize::from(*length))
                && let Some(place) = sorted.get_mut(usize::from(*start))
            {
                *place = code;
                *start = start.wrapping_add(1);
            }
        }
        let mut codes = sorted.iter().map(|code| {
            let code = self.codes.get(usize::from(*code)).copied();
            code.unwrap_or(Entry::INVALID)
        });
        if unused > 0 {
            if longest > 1 || (longest == 1 && !self.single) {
                return Err(Corrupt);
            }
            let (zero, one) = match codes.next() {
                Some(only) if longest == 1 => (only, Entry::INVALID),
                _ => (self.none, self.none),
            };
            let size = 1_usize.wrapping_shl(self.first);
            let pair = [zero.with_bits(1), one.with_bits(1)];
            for (entry, zero_or_one) in entries.iter_mut().take(size).zip(pair.iter().cycle()) {
                *entry = *zero_or_one;
            }
            return Ok(());
        }

        // In the stream a code's first bit is the lowest; all that follows in higher bits leads
        // to the same entry. So a table for one bit more is the table twice.
        let mut code = 0_u32;
        let (table, mut room) = entries
            .split_at_mut_checked(1_usize.wrapping_shl(self.first))
            .ok_or(Corrupt)?;
        let mut further_start = 1_u32.wrapping_shl(self.first);
        let mut further: &mut [Entry] = &mut [];
        let mut size = 1_usize;
        let mut prefix = u32::MAX;
        for (length, count) in (1_u32..).zip(counts.iter().skip(1)) {
            if length <= self.first {
                size = double(table, size);
                for entry in codes.by_ref().take((*count).into()) {
                    if let Some(place) = table.get_mut(code as usize) {
                        *place = entry.with_bits(length);
                    }
                    code = next(code, length);
                }
                continue;
            }
            let behind = length.wrapping_sub(self.first);
            let mut left = *count;
            for entry in codes.by_ref().take((*count).into()) {
                let begin = code & !u32::MAX.wrapping_shl(self.first);
                if begin != prefix {
                    // A further table, with as many bits as the codes that begin like this have.
                    prefix = begin;
                    let mut bits = behind;
                    let mut used = u32::from(left);
                    while used < 1_u32.wrapping_shl(bits) {
                        bits = bits.wrapping_add(1);
                        let more = counts.get(self.first.wrapping_add(bits) as usize);
                        used = used
                            .wrapping_mul(2)
                            .wrapping_add(more.copied().ok_or(Corrupt)?.into());
                    }
                    let size = 1_usize.wrapping_shl(bits);
                    if let Some(place) = table.get_mut(begin as usize) {
                        *place = Entry::further(further_start, self.first, bits);
                    }
                    further_start = further_start.wrapping_add(1_u32.wrapping_shl(bits));
                    (further, room) = room.split_at_mut_checked(size).ok_or(Corrupt)?;
                }
                let places = further
                    .iter_mut()
                    .skip(code.wrapping_shr(self.first) as usize)
                    .step_by(1_usize.wrapping_shl(behind).max(1));
                for place in places {
                    *place = entry.with_bits(behind);
                }
                code = next(code, length);
                left = left.wrapping_sub(1);
            }
        }
        Ok(())
    }
}

/// Makes of a table of this size one of the double, and says how large that is.
fn double(table: &mut [Entry], size: usize) -> usize {
    if let Some((once, twice)) = table.split_at_mut_checked(size) {
        for (to, from) in twice.iter_mut().zip(once.iter()) {
            *to = *from;
        }
    }
    size.wrapping_mul(2)
}

/// The code behind this one, of the same length, both with their first bit as the lowest. The
/// last has none behind it.
fn next(code: u32, length: u32) -> u32 {
    let zeros = !code & !u32::MAX.wrapping_shl(length);
    // Ones behind the last zero become zero, and it becomes one.
    match zeros.checked_ilog2() {
        Some(last) => code & !u32::MAX.wrapping_shl(last) | 1_u32.wrapping_shl(last),
        None => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn lengths_and_distances_are_those_of_the_specification() {
        let value = |entry: Entry, extra: u64| entry.value(extra);
        let lengths: Vec<_> = LITERAL_CODES[257..286]
            .iter()
            .map(|code| value(*code, 0))
            .collect();
        assert_eq!(
            lengths,
            [
                3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83,
                99, 115, 131, 163, 195, 227, 258
            ]
        );
        // The extra bits lead up to the next; the last but one may also say 258.
        for pair in LITERAL_CODES[257..284].windows(2) {
            assert_eq!(value(pair[0], u64::MAX) + 1, value(pair[1], 0));
        }
        assert_eq!(value(LITERAL_CODES[284], u64::MAX), 258);
        assert_eq!(value(DISTANCE_CODES[0], 0), 1);
        for pair in DISTANCE_CODES[..30].windows(2) {
            assert_eq!(value(pair[0], u64::MAX) + 1, value(pair[1], 0));
        }
        assert_eq!(value(DISTANCE_CODES[29], u64::MAX), 32768);
        assert!(DISTANCE_CODES[30].is_invalid() && LITERAL_CODES[286].is_invalid());
        assert!(LITERAL_CODES[256].is_end());
        assert_eq!(LITERAL_CODES[65].byte(), Some(65));
    }

    #[test]
    fn codes_are_looked_up_however_long() {
        // One code of each length, and two of the longest.
        let mut lengths: Vec<u8> = (1..=15).collect();
        lengths.push(15);
        let mut literals = vec![0; 257];
        literals[..16].copy_from_slice(&lengths);
        let mut tables = Tables::new();
        tables.dynamic(&literals, &lengths).unwrap();
        for (place, length) in lengths.iter().enumerate() {
            // So many ones, then a zero.
            let word = u64::MAX >> (64 - place.max(1)) & !u64::from(place == 0);
            let entry = tables.literal(word);
            assert_eq!(entry.byte().map(usize::from), Some(place));
            assert_eq!(entry.bits(), u32::from(*length));
            let extra = DISTANCE_CODES[place].bits();
            assert_eq!(tables.distance(word).bits(), u32::from(*length) + extra);
        }
    }

    #[test]
    fn codes_that_do_not_use_their_bits_up_are_refused() {
        let mut tables = Tables::new();
        let mut check = |lengths: &[u8]| {
            let mut literals = vec![0; 257];
            literals[..lengths.len()].copy_from_slice(lengths);
            let literal = tables.dynamic(&literals, &[0]).is_ok();
            literals.truncate(30);
            let distance = tables.dynamic(&[1, 1], &literals).is_ok();
            literals.truncate(19);
            (literal, distance, tables.lengths(&literals).is_ok())
        };
        assert_eq!(check(&[1, 1]), (true, true, true));
        assert_eq!(check(&[1, 2, 2]), (true, true, true));
        // A single code, which leaves a bit unused; none at all.
        assert_eq!(check(&[1]), (true, true, false));
        assert_eq!(check(&[0]), (true, true, true));
        assert_eq!(check(&[2]), (false, false, false));
        assert_eq!(check(&[1, 2]), (false, false, false));
        assert_eq!(check(&[1, 1, 1]), (false, false, false));
        assert_eq!(check(&[1, 2, 2, 7]), (false, false, false));
    }

    #[test]
    fn what_a_single_code_leaves_is_no_code() {
        let mut tables = Tables::new();
        tables.dynamic(&[1, 1], &[0, 1]).unwrap();
        assert_eq!(tables.distance(0).value(0), 2);
        assert!(tables.distance(1).is_invalid());
        assert_eq!(tables.distance(1).bits(), 1);
        tables.dynamic(&[1, 1], &[0]).unwrap();
        assert!(tables.distance(0).is_invalid() && tables.distance(1).is_invalid());
    }
}
