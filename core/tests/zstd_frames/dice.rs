//! Choices: first those that bytes state, as a fuzzer gives them, then random ones.

/// Makes choices, the same ones for the same bytes and seed.
#[derive(Clone, Debug)]
pub struct Dice<'a> {
    bytes: &'a [u8],
    state: u64,
}

impl<'a> Dice<'a> {
    /// Random ones alone.
    pub const fn new(seed: u64) -> Self {
        Self {
            bytes: &[],
            state: seed,
        }
    }

    /// Two bytes for each choice, as far as they go.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            state: bytes.len() as u64,
        }
    }

    /// A word; SplitMix64 once there are no more bytes.
    pub fn word(&mut self) -> u64 {
        if let Some((bytes, rest)) = self.bytes.split_first_chunk() {
            self.bytes = rest;
            return u16::from_le_bytes(*bytes).into();
        }
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (self.state ^ self.state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ value >> 31
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    /// A number from `low` to `high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// A number below `end`, rather a small one.
    pub fn small(&mut self, end: usize) -> usize {
        let end = self.between(1, end);
        self.below(end)
    }

    /// Whether the one case of so many came up.
    pub fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// So many bits, at most 32.
    pub fn bits(&mut self, bits: u32) -> u32 {
        let word = if bits > 16 {
            self.word() << 16 ^ self.word()
        } else {
            self.word()
        };
        (word & ((1 << bits) - 1)) as u32
    }
}
