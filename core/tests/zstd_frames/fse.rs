//! Finite state entropy, RFC 8878 section 4.1: distributions, their descriptions, their states.

use super::bits::Forward;
use super::dice::Dice;

/// How often each symbol occurs, of `1 << log`; -1 stands for less than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    pub counts: Vec<i16>,
    pub log: u32,
}

impl Distribution {
    /// Any in which these symbols occur, each named once and not more than `1 << log` of them.
    pub fn random(symbols: &[u8], log: u32, dice: &mut Dice<'_>) -> Self {
        let last = symbols.iter().copied().max().map_or(0, usize::from);
        let mut counts = vec![0; last + 1];
        let mut left = (1_usize << log) - symbols.len();
        for symbol in symbols {
            let more = if dice.one_in(3) {
                0
            } else {
                dice.small(left + 1)
            };
            left -= more;
            counts[usize::from(*symbol)] = 1 + more as i16;
        }
        counts[usize::from(dice.pick(symbols))] += left as i16;
        for count in &mut counts {
            if *count == 1 && dice.one_in(2) {
                *count = -1;
            }
        }
        Self { counts, log }
    }

    /// The description, section 4.1.1.
    pub fn describe(&self) -> Vec<u8> {
        let mut bits = Forward::default();
        // An accuracy below five cannot be said.
        bits.push(self.log.wrapping_sub(5) & 15, 4);
        let mut left = (1_i32 << self.log) + 1;
        let mut counts = self.counts.iter().copied().peekable();
        while left > 1 {
            let Some(count) = counts.next() else {
                break;
            };
            // Values up to `left`; small ones take one bit less.
            let value = i32::from(count) + 1;
            let width = 32 - left.leading_zeros();
            let half = 1 << (width - 1);
            let spare = 2 * half - 1 - left;
            if value < spare {
                bits.push(value as u32, width - 1);
            } else if value < half {
                bits.push(value as u32, width);
            } else {
                bits.push((value + spare) as u32, width);
            }
            left -= i32::from(count).abs();
            if count == 0 {
                let mut zeros = 0;
                while counts.next_if_eq(&0).is_some() {
                    zeros += 1;
                }
                while zeros >= 3 {
                    bits.push(3, 2);
                    zeros -= 3;
                }
                bits.push(zeros, 2);
            }
        }
        bits.finish()
    }

    /// The states, section 4.1.2. The counts must add up.
    pub fn table(&self) -> Table {
        let size = 1_usize << self.log;
        let mut symbols = vec![0_u8; size];
        let mut free = size;
        for (symbol, count) in self.counts.iter().enumerate() {
            if *count == -1 {
                free -= 1;
                symbols[free] = symbol as u8;
            }
        }
        let mut place = 0;
        for (symbol, count) in self.counts.iter().enumerate() {
            for _ in 0..*count {
                symbols[place] = symbol as u8;
                loop {
                    place = (place + size / 2 + size / 8 + 3) % size;
                    if place < free || free == 0 {
                        break;
                    }
                }
            }
        }
        let mut next: Vec<u32> = self
            .counts
            .iter()
            .map(|count| u32::from(count.unsigned_abs()))
            .collect();
        let cells = symbols
            .iter()
            .map(|symbol| {
                let number = next[usize::from(*symbol)];
                next[usize::from(*symbol)] += 1;
                let bits = self.log - number.ilog2();
                Cell {
                    symbol: *symbol,
                    bits: bits as u8,
                    base: ((number << bits) - size as u32) as u16,
                }
            })
            .collect();
        let symbols = (0..=255)
            .zip(&self.counts)
            .filter_map(|(symbol, count)| (*count != 0).then_some(symbol))
            .collect();
        Table {
            log: self.log,
            cells,
            symbols,
        }
    }
}

/// What a state stands for.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub symbol: u8,
    /// Bits that lead to the next state.
    pub bits: u8,
    /// What is added to them.
    pub base: u16,
}

/// All states.
#[derive(Clone, Debug)]
pub struct Table {
    pub log: u32,
    pub cells: Vec<Cell>,
    /// The symbols that occur.
    pub symbols: Vec<u8>,
}

impl Table {
    /// One that has one symbol and needs no bits.
    pub fn only(symbol: u8) -> Self {
        let cell = Cell {
            symbol,
            bits: 0,
            base: 0,
        };
        Self {
            log: 0,
            cells: vec![cell],
            symbols: vec![symbol],
        }
    }

    /// A state of this symbol that needs at least so many bits to go on.
    pub fn last(&self, symbol: u8, bits: u8, dice: &mut Dice<'_>) -> Option<u16> {
        let size = self.cells.len();
        let start = dice.below(size);
        (0..size)
            .map(|step| (start + step) % size)
            .find(|state| self.cells[*state].symbol == symbol && self.cells[*state].bits >= bits)
            .map(|state| state as u16)
    }

    /// The state of this symbol that leads to `next`, and the bits for that.
    fn before(&self, symbol: u8, next: u16) -> (u16, u32) {
        self.cells
            .iter()
            .enumerate()
            .find_map(|(state, cell)| {
                let more = next.checked_sub(cell.base)?;
                (cell.symbol == symbol && u32::from(more) >> cell.bits == 0)
                    .then_some((state as u16, more.into()))
            })
            .expect("each symbol that occurs leads to every state")
    }

    /// The first state for these symbols, and for each but the last the bits to the next.
    pub fn encode(&self, symbols: &[u8], last: u16) -> (u16, Vec<(u32, u8)>) {
        let mut state = last;
        let mut fields = vec![(0, 0); symbols.len().saturating_sub(1)];
        for (symbol, field) in symbols.iter().zip(&mut fields).rev() {
            let (before, more) = self.before(*symbol, state);
            *field = (more, self.cells[usize::from(before)].bits);
            state = before;
        }
        (state, fields)
    }
}
