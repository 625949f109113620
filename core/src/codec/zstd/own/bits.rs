//! Bit streams: those that are read backwards, and the forward one of FSE's table descriptions.
//!
//! RFC 8878 sections 4.1 (FSE), 4.2.2 (Huffman-coded streams), 4.1.1 (table descriptions).

use super::Corrupt;

/// The low half.
#[inline(always)]
pub(super) const fn low_half(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The low byte.
#[inline(always)]
pub(super) const fn low_byte(word: u32) -> u8 {
    let [byte, ..] = word.to_le_bytes();
    byte
}

/// A word of as many low bits as its place says, up to all. A look at this table is quicker than
/// what makes the mask on processors without an instruction for it; with a place for every byte it
/// is one without a check.
const MASKS: [u32; 256] = {
    let mut masks = [u32::MAX; 256];
    let mut rest: &mut [u32] = &mut masks;
    let mut mask = 0;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = mask;
        mask = mask << 1 | 1;
        rest = others;
    }
    masks
};

/// A bit stream that is read from its end to its start.
///
/// Bits are taken from the high end of `word`, which holds the last eight bytes of `data`; a
/// stream of fewer bytes lies in its high end, over zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reverse<'a> {
    data: &'a [u8],
    word: u64,
    /// Bits of `word` that are left. When more were taken than there are, it has wrapped or is
    /// less than `end`.
    left: u32,
    /// What `left` is at the start of the data.
    end: u32,
}

impl<'a> Reverse<'a> {
    /// Starts below the mark, the highest bit that is set in the last byte.
    #[inline]
    pub(super) fn new(data: &'a [u8]) -> Result<Self, Corrupt> {
        let left = match data.last() {
            None | Some(0) => return Err(Corrupt),
            Some(last) => 63_u32.wrapping_sub(last.leading_zeros()),
        };
        if let Some(word) = data.last_chunk() {
            return Ok(Self {
                data,
                word: u64::from_le_bytes(*word),
                left,
                end: 0,
            });
        }
        let mut end = 64_u32;
        let mut word = 0;
        for byte in data {
            word = word >> 8 | u64::from(*byte) << 56;
            end = end.wrapping_sub(8);
        }
        Ok(Self {
            data: &[],
            word,
            left,
            end,
        })
    }

    /// Makes sure that 57 bits can be taken, where the stream has as many.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let back = 64_u32.wrapping_sub(self.left) >> 3;
        let keep = self.data.len().wrapping_sub(back as usize);
        if let Some(data) = self.data.get(..keep)
            && let Some(word) = data.last_chunk()
        {
            self.data = data;
            self.word = u64::from_le_bytes(*word);
            self.left = self.left.wrapping_add(back << 3);
        } else {
            self.refill_at_start();
        }
    }

    /// As [`Self::refill`], where fewer bytes are left than were used.
    #[cold]
    fn refill_at_start(&mut self) {
        if let Some((word, more)) = self.data.split_first_chunk()
            && self.left <= 64
        {
            // Fewer than eight: else it would not be the start.
            let bits = low_half(more.len() as u64) << 3;
            self.data = self.data.get(..8).unwrap_or(&[]);
            self.word = u64::from_le_bytes(*word);
            self.left = self.left.wrapping_add(bits);
        }
    }

    /// Whether more was taken than there was. It stays so: no stream is so long that `left` could
    /// come round.
    pub(super) const fn is_overdrawn(&self) -> bool {
        self.left > 64 || self.left < self.end
    }

    /// Whether everything was taken, and no more. Asked after a [`Self::refill`].
    #[inline(always)]
    pub(super) const fn is_finished(&self) -> bool {
        self.data.len() <= 8 && self.left == self.end
    }

    /// The bits that are left, at the high end, over zeros.
    #[inline(always)]
    pub(super) const fn peek(&self) -> u64 {
        self.word.wrapping_shl(64_u32.wrapping_sub(self.left))
    }

    /// Leaves bits out.
    #[inline(always)]
    pub(super) const fn skip(&mut self, bits: u32) {
        self.left = self.left.wrapping_sub(bits);
    }

    /// Takes up to 57 bits, of which the low 32 are given.
    #[inline(always)]
    pub(super) fn take(&mut self, bits: u8) -> u32 {
        self.left = self.left.wrapping_sub(u32::from(bits));
        let value = self.word.wrapping_shr(self.left);
        if cfg!(target_family = "wasm") {
            // What makes machine code of it knows instructions for this.
            return low_half(value & !u64::MAX.wrapping_shl(bits.into()));
        }
        // Always there.
        low_half(value) & MASKS.get(usize::from(bits)).copied().unwrap_or(0)
    }

    /// The same stream for many reads of few bits; `None` where that does not pay.
    pub(super) fn lane(&mut self) -> Option<Lane<'a>> {
        self.refill();
        if self.is_overdrawn() || self.data.len() < 16 {
            return None;
        }
        Some(Lane {
            data: self.data,
            bits: (self.word | 1).wrapping_shl(64_u32.wrapping_sub(self.left)),
        })
    }
}

/// A [`Reverse`] of at least eight bytes, for many reads of a few bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane<'a> {
    data: &'a [u8],
    /// The bits that are left, at the high end; below them a mark in the place of the lowest,
    /// which tells how many were taken. A refill comes before that one is wanted.
    bits: u64,
}

impl<'a> Lane<'a> {
    /// How many times 55 bits may be taken, with a [`Self::refill`] behind each time.
    pub(super) const fn rounds(&self) -> usize {
        // Each takes at most seven bytes, and eight stay.
        self.data.len().saturating_sub(8) / 8
    }

    /// The next bits, at the high end.
    #[inline(always)]
    pub(super) const fn peek(&self) -> u64 {
        self.bits
    }

    /// Leaves bits out: as many as the low six bits of `bits` say.
    #[inline(always)]
    pub(super) const fn skip(&mut self, bits: u32) {
        self.bits = self.bits.wrapping_shl(bits);
    }

    /// Makes sure that 56 bits can be taken.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        let used = self.bits.trailing_zeros();
        let keep = self.data.len().wrapping_sub((used >> 3) as usize);
        // Always there, by `rounds`.
        if let Some(data) = self.data.get(..keep)
            && let Some(word) = data.last_chunk()
        {
            self.data = data;
            self.bits = (u64::from_le_bytes(*word) | 1).wrapping_shl(used & 7);
        }
    }

    /// The stream, from where this has come to.
    pub(super) fn stream(self) -> Reverse<'a> {
        let word = self.data.last_chunk();
        Reverse {
            data: self.data,
            word: word.map_or(0, |word| u64::from_le_bytes(*word)),
            left: 64_u32.wrapping_sub(self.bits.trailing_zeros()),
            end: 0,
        }
    }
}

/// A bit stream that is read from its start.
#[derive(Debug)]
pub(super) struct Forward<'a> {
    data: &'a [u8],
    /// Bits that were taken.
    taken: usize,
}

impl<'a> Forward<'a> {
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self { data, taken: 0 }
    }

    /// The next bits, at most 16, with zeros behind the end.
    pub(super) fn peek(&self, bits: u32) -> u32 {
        let byte = |place: usize| {
            let place = (self.taken >> 3).wrapping_add(place);
            self.data.get(place).copied().unwrap_or(0)
        };
        let word = u32::from_le_bytes([byte(0), byte(1), byte(2), 0]);
        let begun = low_half(self.taken as u64) & 7;
        word.wrapping_shr(begun) & !u32::MAX.wrapping_shl(bits)
    }

    /// Takes bits.
    pub(super) const fn skip(&mut self, bits: u32) {
        self.taken = self.taken.saturating_add(bits as usize);
    }

    /// How many bytes were begun; an error when that is more than there are.
    pub(super) const fn finish(self) -> Result<usize, Corrupt> {
        let bytes = self.taken.div_ceil(8);
        if bytes > self.data.len() {
            return Err(Corrupt);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A stream of these numbers, each of so many bits, the first at the end.
    fn written(numbers: &[(u32, u32)]) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        for (value, size) in numbers.iter().rev() {
            bits.extend((0..*size).map(|bit| value >> bit & 1 == 1));
        }
        bits.push(true);
        bits.chunks(8)
            .map(|byte| {
                byte.iter()
                    .enumerate()
                    .fold(0, |sum, (place, bit)| sum | u8::from(*bit) << place)
            })
            .collect()
    }

    #[test]
    fn what_was_written_is_read_back() {
        // Miri is slow.
        let step = if cfg!(miri) { 13 } else { 1 };
        for count in (0..40_u32).step_by(step) {
            for size in (0..=31).step_by(step) {
                let numbers: Vec<_> = (0..count)
                    .map(|n| {
                        (
                            n.wrapping_mul(0x9E37_79B1) & !u32::MAX.wrapping_shl(size),
                            size,
                        )
                    })
                    .collect();
                let data = written(&numbers);
                let mut stream = Reverse::new(&data).unwrap();
                for (value, size) in &numbers {
                    stream.refill();
                    assert!(*size == 0 || !stream.is_finished());
                    assert_eq!(stream.take(low_byte(*size)), *value, "{count} of {size}");
                }
                stream.refill();
                assert!(stream.is_finished(), "{count} of {size}");
                stream.skip(1);
                stream.refill();
                assert!(stream.is_overdrawn(), "{count} of {size}");
                assert!(!stream.is_finished(), "{count} of {size}");
            }
        }
    }

    #[test]
    fn a_lane_reads_the_same() {
        let numbers: Vec<_> = (0..900_u32).map(|n| (n * 7 % 1999, 11)).collect();
        let data = written(&numbers);
        let mut stream = Reverse::new(&data).unwrap();
        let mut numbers = numbers.iter();
        while let Some(mut lane) = stream.lane()
            && lane.rounds() > 0
        {
            for (value, size) in numbers.by_ref().take(5) {
                assert_eq!(lane.peek() >> 53, u64::from(*value));
                lane.skip(*size);
            }
            lane.refill();
            stream = lane.stream();
        }
        for (value, size) in numbers {
            stream.refill();
            assert_eq!(stream.take(low_byte(*size)), *value);
        }
        stream.refill();
        assert!(stream.is_finished());
    }

    #[test]
    fn a_lane_pays_from_sixteen_bytes_on() {
        let lane = |size: usize| Reverse::new(&[0x80; 40][..size]).unwrap().lane().is_some();
        assert!(!lane(7) && !lane(8) && !lane(15));
        assert!(lane(16) && lane(17) && lane(40));
    }

    #[test]
    fn there_must_be_a_mark() {
        assert!(Reverse::new(&[]).is_err());
        assert!(Reverse::new(&[7, 0]).is_err());
        let stream = Reverse::new(&[1]).unwrap();
        assert!(stream.is_finished());
    }

    #[test]
    fn forwards() {
        let mut bits = Forward::new(&[0b1010_0110, 0xFF, 1]);
        assert_eq!(bits.peek(4), 6);
        bits.skip(4);
        assert_eq!(bits.peek(5), 0b11010);
        bits.skip(13);
        assert_eq!(bits.peek(9), 0);
        assert_eq!(bits.finish(), Ok(3));
        let mut bits = Forward::new(&[1]);
        bits.skip(9);
        assert_eq!(bits.finish(), Err(Corrupt));
    }
}
