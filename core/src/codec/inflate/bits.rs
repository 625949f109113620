//! The bits of a stream, which arrives in pieces: section 3.1.1.

/// The low half.
#[inline(always)]
pub(super) const fn low_half(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The low `bits` bits, at most 31; of `bits` the low five bits count.
#[inline(always)]
pub(super) fn low_bits(word: u64, bits: u32) -> u32 {
    low_half(word) & !u32::MAX.wrapping_shl(bits)
}

/// The bits that are left of a piece of input, after those that were kept of the piece before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    input: &'a [u8],
    /// The input from which nothing was taken.
    rest: &'a [u8],
    /// Bits that were taken from the input, the first at the low end. Above their number lies
    /// what follows in the input, or zeros.
    word: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(input: &'a [u8], word: u64, count: u32) -> Self {
        Self {
            input,
            rest: input,
            word,
            count,
        }
    }

    /// The bits that are to be kept for the next piece, and their number.
    pub(super) const fn kept(&self) -> (u64, u32) {
        let above = u64::MAX.wrapping_shl(self.count);
        (self.word & !above, self.count)
    }

    /// How many bytes of the input were taken.
    pub(super) const fn consumed(&self) -> usize {
        self.input.len().saturating_sub(self.rest.len())
    }

    /// Gives whole bytes back that were taken from the input. After that fewer than eight bits
    /// are left, where what was taken last was from this piece of input.
    pub(super) fn give_back(&mut self) {
        let bytes = self.consumed().min((self.count >> 3) as usize);
        let start = self.consumed().saturating_sub(bytes);
        self.rest = self.input.get(start..).unwrap_or(self.rest);
        // At most seven.
        self.count = self.count.wrapping_sub(low_half(bytes as u64) << 3);
    }

    /// Sees to it that there are at least 56 bits, or all that the input has.
    #[inline]
    fn refill(&mut self) {
        if let Some(word) = self.rest.first_chunk() {
            self.word |= u64::from_le_bytes(*word).wrapping_shl(self.count);
            let bytes = 63_u32.wrapping_sub(self.count) >> 3;
            self.rest = self.rest.get(bytes as usize..).unwrap_or(&[]);
            self.count |= 56;
            return;
        }
        while self.count < 56
            && let Some((byte, rest)) = self.rest.split_first()
        {
            self.word |= u64::from(*byte).wrapping_shl(self.count);
            self.count = self.count.wrapping_add(8);
            self.rest = rest;
        }
    }

    /// The next bits, the first at the low end: `wanted` at least, up to 56, or all that there
    /// are, whose number is [`Self::count`]. What lies above is not said.
    #[inline(always)]
    pub(super) fn peek(&mut self, wanted: u32) -> u64 {
        if self.count < wanted {
            self.refill();
        }
        self.word
    }

    /// How many bits of what was peeked at there are.
    #[inline]
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Leaves bits out that were peeked at.
    #[inline]
    pub(super) const fn skip(&mut self, bits: u32) {
        self.word = self.word.wrapping_shr(bits);
        self.count = self.count.wrapping_sub(bits);
    }

    /// Takes up to 32 bits; none when there are fewer.
    pub(super) fn take(&mut self, bits: u32) -> Option<u32> {
        let word = self.peek(bits);
        if self.count < bits {
            return None;
        }
        self.skip(bits);
        Some(low_half(word & !u64::MAX.wrapping_shl(bits)))
    }

    /// Leaves out the bits up to the start of a byte.
    pub(super) const fn align(&mut self) {
        self.skip(self.count & 7);
    }

    /// The input behind the bits that were taken.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Leaves bytes out, where no bits are left before them.
    pub(super) fn skip_bytes(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or(&[]);
        self.word = 0;
    }

    /// The input that is left, and the bits before it with their number.
    #[inline]
    pub(super) const fn parts(&self) -> (&'a [u8], u64, u32) {
        (self.rest, self.word, self.count)
    }

    /// Goes on from where the fast loop has come to.
    #[inline]
    pub(super) const fn set(&mut self, rest: &'a [u8], word: u64, count: u32) {
        self.rest = rest;
        self.word = word;
        self.count = count;
    }
}
