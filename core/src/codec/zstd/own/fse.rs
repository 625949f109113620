//! Finite state entropy: descriptions of tables, and what the states of a table stand for.
//!
//! RFC 8878 section 4.1.

use super::Corrupt;
use super::bits::{Forward, low_byte};

/// The most symbols that a table is described for.
const SYMBOLS: usize = 256;
/// The most states that a table has: `Accuracy_Log` 9.
const STATES: usize = 512;
/// Symbols that are written at once.
const RUN: usize = 8;

/// How often each symbol of an alphabet occurs.
#[derive(Clone, Debug)]
pub(super) struct Distribution {
    /// Probabilities times the number of states; -1 stands for less than one.
    counts: [i16; SYMBOLS],
    /// How many of them are stated.
    symbols: usize,
    /// `Accuracy_Log`: the states have so many bits.
    log: u32,
}

impl Distribution {
    /// One that the specification states.
    pub(super) fn predefined(stated: &[i16], log: u32) -> Self {
        let mut counts = [0; SYMBOLS];
        for (to, from) in counts.iter_mut().zip(stated) {
            *to = *from;
        }
        Self {
            counts,
            symbols: stated.len(),
            log,
        }
    }

    /// Reads a description (section 4.1.1) of up to `symbols` symbols and states of up to
    /// `max_log` bits, at most 9, and says how many bytes it took.
    pub(super) fn read(
        data: &[u8],
        symbols: usize,
        max_log: u32,
    ) -> Result<(Self, usize), Corrupt> {
        let mut bits = Forward::new(data);
        let log = bits.peek(4).wrapping_add(5);
        bits.skip(4);
        if log > max_log {
            return Err(Corrupt);
        }
        let mut counts = [0; SYMBOLS];
        let symbols = symbols.min(SYMBOLS);
        let mut stated = 0_usize;
        // What is left to be given out, and one more.
        let mut left = 1_u32.wrapping_shl(log).wrapping_add(1);
        while left > 1 {
            if stated >= symbols {
                return Err(Corrupt);
            }
            let count = count(&mut bits, left);
            if let Some(place) = counts.get_mut(stated) {
                *place = count;
            }
            stated = stated.wrapping_add(1);
            left = left
                .checked_sub(u32::from(count.unsigned_abs()))
                .filter(|left| *left > 0)
                .ok_or(Corrupt)?;
            if count == 0 {
                // How many more have none, three at a time.
                loop {
                    let more = bits.peek(2);
                    bits.skip(2);
                    // That it is too much shows before the next count, of which there is one.
                    stated = stated.wrapping_add(more as usize);
                    if more != 3 {
                        break;
                    }
                }
            }
        }
        let taken = bits.finish()?;
        let distribution = Self {
            counts,
            symbols: stated,
            log,
        };
        Ok((distribution, taken))
    }

    /// `Accuracy_Log`.
    pub(super) const fn log(&self) -> u32 {
        self.log
    }

    /// Makes an entry for each state (section 4.1.2) of its symbol, the number of bits that lead to
    /// the next state, and what is added to them.
    #[inline(always)]
    pub(super) fn fill<T>(&self, entries: &mut [T], make: impl Fn(u8, u8, u16) -> T) {
        let mut symbols = [0_u8; STATES];
        // The number that the next state of each symbol gets.
        let mut numbers = [0_u16; SYMBOLS];
        self.spread(&mut symbols, &mut numbers);
        // One more than the number of bits that the highest number takes.
        let width = self.log.wrapping_add(1);
        let size = 1_u32.wrapping_shl(self.log);
        let states = entries.iter_mut().zip(&symbols).take(size as usize);
        for (entry, symbol) in states {
            let Some(next) = numbers.get_mut(usize::from(*symbol)) else {
                continue;
            };
            let number = u32::from(*next);
            *next = next.wrapping_add(1);
            // Of a symbol with a state the number is not zero.
            let bits = width.wrapping_sub(32_u32.wrapping_sub(number.leading_zeros()));
            // Below the number of states.
            let [low, high, ..] = number.wrapping_shl(bits).wrapping_sub(size).to_le_bytes();
            *entry = make(*symbol, low_byte(bits), u16::from_le_bytes([low, high]));
        }
    }

    /// Gives each state its symbol, and to each symbol the number of its first state.
    fn spread(&self, symbols: &mut [u8; STATES], numbers: &mut [u16; SYMBOLS]) {
        let size = 1_usize.wrapping_shl(self.log);
        let mask = size.wrapping_sub(1) & STATES.wrapping_sub(1);
        let step = (size >> 1).wrapping_add(size >> 3).wrapping_add(3);
        let counts = || {
            let counts = self.counts.iter().take(self.symbols);
            (0..=u8::MAX).zip(counts.copied())
        };
        // Symbols of less than one have the last states.
        let mut high = size;
        // The others in order.
        let mut run = [0_u8; STATES + RUN];
        let mut end = 0_usize;
        for ((symbol, count), number) in counts().zip(numbers) {
            if count < 0 {
                high = high.wrapping_sub(1);
                if let Some(place) = symbols.get_mut(high) {
                    *place = symbol;
                }
                *number = 1;
                continue;
            }
            *number = count.unsigned_abs();
            let start = end;
            end = end.wrapping_add(usize::from(*number));
            // What goes too far is written again.
            let rest = run.get_mut(start..).unwrap_or_default();
            if let Some(first) = rest.first_chunk_mut::<RUN>() {
                *first = [symbol; RUN];
            }
            if usize::from(*number) > RUN
                && let Some(all) = rest.get_mut(..usize::from(*number))
            {
                all.fill(symbol);
            }
        }
        let mut state = 0_usize;
        for symbol in run.iter().take(end) {
            if let Some(place) = symbols.get_mut(state & mask) {
                *place = *symbol;
            }
            state = state.wrapping_add(step) & mask;
            while state >= high {
                state = state.wrapping_add(step) & mask;
            }
        }
    }
}

/// The next count, where `left` is what is left and one more.
fn count(bits: &mut Forward<'_>, left: u32) -> i16 {
    // A value from 0 to `left`, in as many bits as that takes, or one less for small ones.
    let width = left.max(1).ilog2().wrapping_add(1);
    let half = 1_u32.wrapping_shl(width.wrapping_sub(1));
    let spare = half.wrapping_mul(2).wrapping_sub(1).wrapping_sub(left);
    let low = bits.peek(width.wrapping_sub(1));
    let value = if low < spare {
        bits.skip(width.wrapping_sub(1));
        low
    } else {
        let value = bits.peek(width);
        bits.skip(width);
        if value >= half {
            value.wrapping_sub(spare)
        } else {
            value
        }
    };
    // At most 513.
    let [low, high, ..] = value.wrapping_sub(1).to_le_bytes();
    i16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_description_by_hand() {
        // Accuracy 5: of 32 states the first symbol has 16, the second none, as two more have,
        // the fifth less than one, the sixth 15. Values are one more than counts.
        // 4 bits: 0. 33 is left: 6 bits, 17 (of up to 30 five bits). 17: 5 bits, 1 (under 14
        // four). Repeats: 2. Less than one: 0, four bits. 16: 5 bits, 16, over the half: it has
        // 15 spare, so 31 is written.
        let fields = [(0, 4), (17, 5), (1, 4), (2, 2), (0, 4), (31, 5)];
        let mut word = 0_u64;
        let mut place = 0;
        for (value, bits) in fields {
            word |= value << place;
            place += bits;
        }
        let bytes = word.to_le_bytes();
        let (read, taken) = Distribution::read(&bytes, 53, 9).unwrap();
        assert_eq!(taken, 3);
        assert_eq!(read.log, 5);
        assert_eq!(read.symbols, 6);
        assert_eq!(read.counts[..6], [16, 0, 0, 0, -1, 15]);
        assert!(Distribution::read(&bytes, 5, 9).is_err());
        assert!(Distribution::read(&bytes[..2], 53, 9).is_err());
    }

    #[test]
    fn the_states_of_offsets_are_those_of_the_specification() {
        // Section A.3 of RFC 8878: the default table of offset codes.
        let stated = [
            1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1,
            -1,
        ];
        let mut symbols = Vec::new();
        let mut bits = Vec::new();
        let mut bases = Vec::new();
        let mut states = [(0, 0, 0); 32];
        let make = |symbol, bits, base| (symbol, bits, base);
        Distribution::predefined(&stated, 5).fill(&mut states, make);
        for (symbol, bit, base) in states {
            symbols.push(symbol);
            bits.push(bit);
            bases.push(base);
        }
        assert_eq!(
            symbols,
            [
                0, 6, 9, 15, 21, 3, 7, 12, 18, 23, 5, 8, 14, 20, 2, 7, 11, 17, 22, 4, 8, 13, 19, 1,
                6, 10, 16, 28, 27, 26, 25, 24
            ]
        );
        assert_eq!(
            bits,
            [
                5, 4, 5, 5, 5, 5, 4, 5, 5, 5, 5, 4, 5, 5, 5, 4, 5, 5, 5, 5, 4, 5, 5, 5, 4, 5, 5, 5,
                5, 5, 5, 5
            ]
        );
        assert_eq!(bases.iter().filter(|base| **base == 16).count(), 3);
        assert_eq!(bases.iter().filter(|base| **base == 0).count(), 29);
    }

    #[test]
    fn an_accuracy_over_the_limit() {
        assert!(Distribution::read(&[5, 0, 0, 0], 53, 9).is_err());
        assert!(Distribution::read(&[], 53, 9).is_err());
    }
}
