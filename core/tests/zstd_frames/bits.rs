//! Bit streams as they are written.

/// A stream whose first bit is the lowest of its first byte.
#[derive(Debug, Default)]
pub struct Forward {
    bytes: Vec<u8>,
    word: u64,
    used: u32,
}

impl Forward {
    /// Writes a value of at most 32 bits.
    pub fn push(&mut self, value: u32, bits: u32) {
        let value = u64::from(value) & ((1 << bits) - 1);
        self.word |= value << self.used;
        self.used += bits;
        while self.used >= 8 {
            self.bytes.push(self.word as u8);
            self.word >>= 8;
            self.used -= 8;
        }
    }

    /// The bytes, with zeros behind the last bit.
    pub fn finish(mut self) -> Vec<u8> {
        if self.used > 0 {
            self.bytes.push(self.word as u8);
        }
        self.bytes
    }
}

/// A stream that is read from its end. It is written in the order in which it is read.
#[derive(Clone, Debug, Default)]
pub struct Reverse {
    fields: Vec<(u32, u8)>,
}

impl Reverse {
    /// What is read next.
    pub fn push(&mut self, value: u32, bits: u8) {
        if bits > 0 {
            self.fields.push((value, bits));
        }
    }

    /// Takes back what would be read last.
    pub fn pop(&mut self) {
        self.fields.pop();
    }

    /// The bytes, with the mark at their end.
    pub fn finish(&self) -> Vec<u8> {
        let mut bits = Forward::default();
        for (value, size) in self.fields.iter().rev() {
            bits.push(*value, (*size).into());
        }
        bits.push(1, 1);
        bits.finish()
    }
}
