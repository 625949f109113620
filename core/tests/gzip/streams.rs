//! Deflate streams made by hand: every kind of block, codes of any shape, and some of it wrong.

use crate::support::Random;

/// Bits from the low end of each byte on.
#[derive(Debug, Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn put(&mut self, value: u32, bits: u32) {
        for bit in 0..bits {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= u8::from(value >> bit & 1 == 1) << (self.count % 8);
            self.count += 1;
        }
    }

    fn align(&mut self) {
        self.count = self.bytes.len() * 8;
    }
}

/// The lengths of codes for so many symbols that use up all bits, at most `most` bits each.
fn complete(random: &mut Random, symbols: usize, most: u8) -> Vec<u8> {
    let mut lengths = vec![0_u8];
    let skewed = random.below(3) == 0;
    while lengths.len() < symbols {
        let place = if skewed && random.below(4) > 0 {
            lengths.len() - 1
        } else {
            random.below(lengths.len())
        };
        if lengths[place] < most {
            lengths[place] += 1;
            lengths.push(lengths[place]);
        }
    }
    lengths
}

/// The codes of these lengths, RFC 1951 section 3.2.2, the first bit at the low end.
fn codes(lengths: &[u8]) -> Vec<(u32, u32)> {
    let mut codes = vec![(0, 0); lengths.len()];
    let mut code = 0_u32;
    for length in 1..=15 {
        code <<= 1;
        for (symbol, _) in lengths.iter().enumerate().filter(|(_, l)| **l == length) {
            let bits = u32::from(length);
            codes[symbol] = (code.reverse_bits() >> (32 - bits), bits);
            code += 1;
        }
    }
    codes
}

/// Lengths for an alphabet: of some of its symbols, this one among them.
fn some(random: &mut Random, alphabet: usize, must: Option<usize>) -> Vec<u8> {
    let mut symbols: Vec<usize> = (0..alphabet).collect();
    for place in 0..alphabet {
        symbols.swap(place, place + random.below(alphabet - place));
    }
    let most = [3, 12, alphabet, alphabet][random.below(4)].min(alphabet);
    symbols.truncate(2 + random.below(most - 1));
    if let Some(must) = must.filter(|must| !symbols.contains(must)) {
        symbols[0] = must;
    }
    let mut lengths = vec![0; alphabet];
    for (symbol, length) in symbols.iter().zip(complete(random, symbols.len(), 15)) {
        lengths[*symbol] = length;
    }
    lengths
}

const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Makes streams.
pub(crate) struct Maker {
    random: Random,
    bits: Bits,
    /// One in so many things is wrong; none when it is 0.
    wrong: usize,
    /// How much content there is.
    content: usize,
}

impl Maker {
    /// A stream of blocks up to its end, at which more bytes may follow.
    pub(crate) fn make(seed: u64, wrong: usize) -> Vec<u8> {
        let mut maker = Self {
            random: Random(seed.wrapping_mul(2) + 1),
            bits: Bits::default(),
            wrong,
            content: 0,
        };
        for _ in 0..8 {
            maker.random.next();
        }
        let blocks = 1 + maker.random.below(4);
        for block in 1..=blocks {
            maker.bits.put(u32::from(block == blocks), 1);
            match maker.random.below(8) {
                0 => maker.stored(),
                1 | 2 => maker.fixed(),
                _ => maker.dynamic(),
            }
        }
        maker.bits.bytes
    }

    fn is_wrong(&mut self) -> bool {
        self.wrong > 0 && self.random.below(self.wrong) == 0
    }

    fn stored(&mut self) {
        self.bits.put(0, 2);
        self.bits.align();
        let length = [0, 1, 300, 5000][self.random.below(4)];
        let other = if self.is_wrong() { 0x0100 } else { 0 };
        self.bits.put(length, 16);
        self.bits.put(!length ^ other, 16);
        for _ in 0..length {
            let byte = self.random.next().to_be_bytes()[0];
            self.bits.put(byte.into(), 8);
        }
        self.content += length as usize;
    }

    fn fixed(&mut self) {
        self.bits.put(1, 2);
        let mut lengths = vec![8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.symbols(&lengths, &[5; 32]);
    }

    fn dynamic(&mut self) {
        let kind = if self.is_wrong() { 3 } else { 2 };
        self.bits.put(kind, 2);
        let mut literals = some(&mut self.random, 286, Some(256));
        let mut distances = match self.random.below(6) {
            0 => vec![0; 30],
            1 => {
                let mut one = vec![0; 30];
                one[self.random.below(30)] = 1;
                one
            }
            _ => some(&mut self.random, 30, None),
        };
        if self.random.below(40) == 0 {
            // Nothing but the end.
            literals.fill(0);
            literals[256] = 1;
        }
        if self.is_wrong() {
            let place = self.random.below(286);
            literals[place] = u8::try_from(self.random.below(16)).unwrap();
        }
        if self.is_wrong() {
            let place = self.random.below(30);
            distances[place] = u8::try_from(self.random.below(16)).unwrap();
        }
        let used = |lengths: &[u8], least| {
            let last = lengths.iter().rposition(|length| *length != 0);
            last.map_or(0, |last| last + 1).max(least)
        };
        let more = if self.is_wrong() { 2 } else { 0 };
        literals.resize(286 + more, 0);
        distances.resize(30 + more, 0);
        let few = self.random.below(2) == 0;
        let literal_count = if few {
            used(&literals, 257)
        } else {
            literals.len()
        };
        let distance_count = if few {
            used(&distances, 1)
        } else {
            distances.len()
        };
        let all = [&literals[..literal_count], &distances[..distance_count]].concat();

        let mut pieces = self.repeats(&all);
        if self.is_wrong() {
            pieces[0] = (16, 0, 2);
        }
        if self.is_wrong() {
            pieces.push((18, 127, 7));
        }
        let mut lengths = vec![0; 19];
        let mut symbols: Vec<usize> = pieces.iter().map(|piece| piece.0).collect();
        symbols.sort_unstable();
        symbols.dedup();
        if symbols.len() == 1 {
            symbols.push((symbols[0] + 1) % 19);
        }
        for (symbol, length) in symbols
            .iter()
            .zip(complete(&mut self.random, symbols.len(), 7))
        {
            lengths[*symbol] = length;
        }
        if self.is_wrong() {
            lengths[self.random.below(19)] = u8::try_from(self.random.below(8)).unwrap();
        }
        if self.is_wrong() && self.random.below(4) == 0 {
            lengths.fill(0);
        }
        let sent = ORDER.iter().rposition(|symbol| lengths[*symbol] != 0);
        let sent = sent.map_or(4, |last| last + 1).max(4);
        self.bits
            .put(u32::try_from(literal_count).unwrap() - 257, 5);
        self.bits.put(u32::try_from(distance_count).unwrap() - 1, 5);
        self.bits.put(u32::try_from(sent).unwrap() - 4, 4);
        for symbol in &ORDER[..sent] {
            self.bits.put(lengths[*symbol].into(), 3);
        }
        let codes = codes(&lengths);
        for (symbol, extra, bits) in pieces {
            self.bits.put(codes[symbol].0, codes[symbol].1);
            self.bits.put(extra, bits);
        }
        self.symbols(&literals, &distances);
    }

    /// Lengths of codes as symbols with their extra bits, section 3.2.7.
    fn repeats(&mut self, lengths: &[u8]) -> Vec<(usize, u32, u32)> {
        let mut pieces = Vec::new();
        let mut at = 0;
        while at < lengths.len() {
            let length = lengths[at];
            let run = lengths[at..].iter().take_while(|other| **other == length);
            let run = run.count();
            let before = at > 0 && lengths[at - 1] == length;
            let repeat = self.random.below(5) > 0;
            let (symbol, least, most, bits) = match length {
                _ if before && run >= 3 && repeat => (16, 3, 6, 2),
                0 if run >= 11 && repeat => (18, 11, 138, 7),
                0 if run >= 3 && repeat => (17, 3, 10, 3),
                _ => {
                    pieces.push((length.into(), 0, 0));
                    at += 1;
                    continue;
                }
            };
            let taken = least + self.random.below(run.min(most) - least + 1);
            pieces.push((symbol, u32::try_from(taken - least).unwrap(), bits));
            at += taken;
        }
        pieces
    }

    fn symbols(&mut self, literals: &[u8], distances: &[u8]) {
        let literal_codes = codes(literals);
        let distance_codes = codes(distances);
        let having = |lengths: &[u8], from: usize, to: usize| -> Vec<usize> {
            (from..lengths.len().min(to))
                .filter(|symbol| lengths[*symbol] > 0)
                .collect()
        };
        let bytes = having(literals, 0, 256);
        // The last two are not used.
        let last = if self.is_wrong() { 288 } else { 286 };
        let lengths = having(literals, 257, last);
        let last = if self.is_wrong() { 32 } else { 30 };
        let fars = having(distances, 0, last);
        let count = [3, 40, 400, 4000][self.random.below(4)];
        let share = self.random.below(5);
        for _ in 0..self.random.below(count) {
            let wrong = self.is_wrong();
            if self.random.below(4) < share
                && !bytes.is_empty()
                && let (code, bits) = literal_codes[bytes[self.random.below(bytes.len())]]
            {
                self.bits.put(code, bits);
                self.content += 1;
                continue;
            }
            if lengths.is_empty() || (fars.is_empty() && !wrong) {
                continue;
            }
            let far = if fars.is_empty() {
                None
            } else {
                Some(fars[self.random.below(fars.len())])
            };
            let (base, extra) = match u32::try_from(far.unwrap_or(0)).unwrap() {
                far @ 0..4 => (far, 0),
                far => ((far % 2 + 2) << (far / 2 - 1), far / 2 - 1),
            };
            let more = u32::try_from(self.random.below(1 << extra)).unwrap();
            let distance = (base + more + 1) as usize;
            if distance > self.content && !wrong {
                continue;
            }
            let symbol = lengths[self.random.below(lengths.len())];
            let bits = match symbol {
                265..285 => u32::try_from((symbol - 261) / 4).unwrap(),
                _ => 0,
            };
            self.bits
                .put(literal_codes[symbol].0, literal_codes[symbol].1);
            let value = u32::try_from(self.random.below(1 << bits)).unwrap();
            self.bits.put(value, bits);
            // At least so much.
            self.content += 3;
            match far {
                Some(far) => self.bits.put(distance_codes[far].0, distance_codes[far].1),
                // A code where there is none.
                None => self.bits.put(1, 1),
            }
            self.bits.put(more, extra);
        }
        if !self.is_wrong() {
            self.bits.put(literal_codes[256].0, literal_codes[256].1);
        }
    }
}
