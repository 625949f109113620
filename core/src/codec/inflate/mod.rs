//! Raw deflate streams, RFC 1951, decoded into memory that also holds what came before.
//!
//! There is no allocation: the tables have a fixed size, and the memory is the caller's. The
//! stream may arrive in any pieces.
//!
//! As strict as zlib, and at the same bits of the stream: codes that are over-subscribed or
//! incomplete are refused, but for a single code of one bit; so is a block of more than 286
//! literal and length codes or of more than 30 distance codes, one without a code for its end,
//! and a distance to before the start of the stream.

mod bits;
mod copy;
mod fast;
mod history;
mod huffman;
mod lengths;

use core::fmt;

use self::bits::Bits;
pub(crate) use self::history::{History, Past};
use self::huffman::Tables;
use self::lengths::Lengths;
use crate::bytes;

/// The farthest that a match reaches back, section 2.
pub(crate) const WINDOW: usize = 32 << 10;

/// A stream that is not what the specification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Corrupt;

/// Why a stretch has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// All input is used up, and all that it gives is there.
    Input,
    /// There is more content than room.
    Output,
    /// The stream is complete. The input was used up to its last byte and no further.
    End,
    /// The stream is corrupt. What comes before the fault is there.
    Corrupt,
}

/// What a stretch has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stretch {
    /// How many bytes of the input were used.
    pub(crate) consumed: usize,
    /// Where in the memory the content ends.
    pub(crate) end: usize,
    pub(crate) status: Status,
}

/// Where content goes.
pub(crate) struct Output<'a> {
    /// What lies behind `end` in it may be overwritten, by less than [`fast::SLACK`] bytes.
    pub(crate) memory: &'a mut [u8],
    /// Where the next byte goes.
    pub(crate) at: usize,
    /// Where the content must end at the latest.
    pub(crate) end: usize,
    /// What came before the memory.
    pub(crate) past: Past<'a>,
}

impl Output<'_> {
    /// Writes as much of the content as there is room for, and says how much that was.
    fn content(&mut self, content: &[u8]) -> usize {
        let room = self.memory.get_mut(self.at..self.end).unwrap_or(&mut []);
        let length = bytes::copy(content, room);
        self.at = self.at.saturating_add(length);
        length
    }

    /// Repeats what lies `distance` bytes back, which must be there, for as much of `length` as
    /// there is room for, and says how much that was.
    fn repeat(&mut self, distance: usize, length: usize) -> usize {
        let start = self.at;
        let end = self.end.min(start.saturating_add(length));
        while self.at < end {
            let before = distance.saturating_sub(self.at);
            let room = self.memory.get_mut(self.at..end).unwrap_or(&mut []);
            let done = if before == 0 {
                copy::exact(self.memory, self.at, distance, end)
            } else {
                bytes::copy(self.past.back(before), room)
            };
            if done == 0 {
                break;
            }
            self.at = self.at.saturating_add(done);
        }
        self.at.saturating_sub(start)
    }
}

/// What comes next in the stream.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The header of a block, section 3.2.3.
    Block,
    /// The length of a stored block, section 3.2.4.
    Length,
    /// So many bytes of a stored block.
    Stored(usize),
    /// The lengths of the codes of a block, section 3.2.7.
    Lengths,
    /// The symbols of a block, section 3.2.5.
    Symbols,
    /// The rest of a match of so many bytes, from so far back.
    Match { length: usize, distance: usize },
    /// Nothing: the stream is complete.
    End,
    /// Nothing: the stream is corrupt.
    Corrupt,
}

/// Decodes a stream.
pub(crate) struct Inflate {
    state: State,
    /// Whether this block is the last.
    last: bool,
    /// Bits that were taken from the input, and their number.
    bits: (u64, u32),
    /// How much content there was, up to the window.
    history: usize,
    lengths: Lengths,
    tables: Tables,
}

impl fmt::Debug for Inflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// How a step has ended that did not break.
enum Step {
    /// The next may follow.
    Made,
    /// More bits are wanted than there are.
    Starved,
    /// There is no room.
    Full,
}

impl Inflate {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Block,
            last: false,
            bits: (0, 0),
            history: 0,
            lengths: Lengths::new(),
            tables: Tables::new(),
        }
    }

    /// Makes ready for another stream.
    pub(crate) const fn reset(&mut self) {
        self.state = State::Block;
        self.bits = (0, 0);
        self.history = 0;
    }

    /// How much of the content so far a match may reach back to: the window, or less at the start
    /// of a stream.
    pub(crate) const fn history(&self) -> usize {
        self.history
    }

    /// Decodes until the input is used up, the output is full, or the stream ends or breaks.
    ///
    /// As much of the content so far as the window reaches back to must lie in the memory before
    /// [`Output::at`] and in the past. It is quicker where there is memory behind the end.
    pub(crate) fn run(&mut self, input: &[u8], mut output: Output<'_>) -> Stretch {
        let start = output.at;
        let (word, count) = self.bits;
        let mut bits = Bits::new(input, word, count);
        // How much content lies before the start of the memory; less than nothing, when the
        // content begins in the memory. What is not there cannot be reached, whoever is to blame.
        let there = start.saturating_add(output.past.len());
        let before = self.history.min(there).wrapping_sub(start);
        let status = loop {
            match self.step(&mut bits, &mut output, before) {
                Ok(Step::Made) => {}
                Ok(Step::Starved) => break Status::Input,
                Ok(Step::Full) => break Status::Output,
                Err(Corrupt) => {
                    self.state = State::Corrupt;
                    break Status::Corrupt;
                }
            }
            if matches!(self.state, State::End) {
                break Status::End;
            }
        };
        if status != Status::Input {
            bits.give_back();
        }
        self.bits = bits.kept();
        let produced = output.at.saturating_sub(start);
        self.history = match status {
            Status::End => 0,
            _ => self.history.saturating_add(produced).min(WINDOW),
        };
        Stretch {
            consumed: bits.consumed(),
            end: output.at,
            status,
        }
    }

    fn step(
        &mut self,
        bits: &mut Bits<'_>,
        output: &mut Output<'_>,
        before: usize,
    ) -> Result<Step, Corrupt> {
        match self.state {
            State::Block => {
                let Some(header) = bits.take(3) else {
                    return Ok(Step::Starved);
                };
                self.last = header & 1 != 0;
                self.state = match header >> 1 {
                    0 => {
                        bits.align();
                        State::Length
                    }
                    1 => {
                        self.tables.fix();
                        State::Symbols
                    }
                    2 => {
                        self.lengths.start();
                        State::Lengths
                    }
                    _ => return Err(Corrupt),
                };
            }
            State::Length => {
                let Some(length) = bits.take(32) else {
                    return Ok(Step::Starved);
                };
                let [a, b, c, d] = length.to_le_bytes();
                let length = u16::from_le_bytes([a, b]);
                if length != !u16::from_le_bytes([c, d]) {
                    return Err(Corrupt);
                }
                bits.give_back();
                self.state = State::Stored(length.into());
            }
            State::Stored(0) => self.end_block(),
            State::Stored(left) => {
                let rest = bits.rest();
                let done = output.content(rest.get(..left).unwrap_or(rest));
                bits.skip_bytes(done);
                self.state = State::Stored(left.saturating_sub(done));
                if done == 0 {
                    return Ok(if rest.is_empty() {
                        Step::Starved
                    } else {
                        Step::Full
                    });
                }
            }
            State::Lengths => {
                if !self.lengths.read(bits, &mut self.tables)? {
                    return Ok(Step::Starved);
                }
                self.state = State::Symbols;
            }
            State::Symbols => return self.symbols(bits, output, before),
            State::Match { length, distance } => {
                let done = output.repeat(distance, length);
                if done < length {
                    if output.at < output.end {
                        return Err(Corrupt);
                    }
                    self.state = State::Match {
                        length: length.saturating_sub(done),
                        distance,
                    };
                    return Ok(Step::Full);
                }
                self.state = State::Symbols;
            }
            State::End => return Ok(Step::Starved),
            State::Corrupt => return Err(Corrupt),
        }
        Ok(Step::Made)
    }

    const fn end_block(&mut self) {
        self.state = if self.last { State::End } else { State::Block };
    }

    /// Decodes symbols, at least one: many where there is input and room for it, and the next.
    fn symbols(
        &mut self,
        bits: &mut Bits<'_>,
        output: &mut Output<'_>,
        before: usize,
    ) -> Result<Step, Corrupt> {
        if fast::run(&self.tables, bits, output, before)? {
            self.end_block();
            return Ok(Step::Made);
        }
        // A length, a distance and their extra bits: 15, 5, 15 and 13.
        let word = bits.peek(48);
        let symbol = self.tables.literal(word);
        let mut used = symbol.bits();
        if used > bits.count() {
            return Ok(Step::Starved);
        }
        if let Some(byte) = symbol.byte() {
            if output.content(&[byte]) == 0 {
                return Ok(Step::Full);
            }
            bits.skip(used);
            return Ok(Step::Made);
        }
        if symbol.is_end() {
            bits.skip(used);
            self.end_block();
            return Ok(Step::Made);
        }
        if symbol.is_invalid() {
            return Err(Corrupt);
        }
        let length = symbol.value(word);
        let word = word.wrapping_shr(used);
        let symbol = self.tables.distance(word);
        used = used.wrapping_add(symbol.bits());
        if used > bits.count() {
            return Ok(Step::Starved);
        }
        if symbol.is_invalid() {
            return Err(Corrupt);
        }
        let distance = symbol.value(word);
        if distance > before.wrapping_add(output.at) {
            return Err(Corrupt);
        }
        if output.at >= output.end {
            return Ok(Step::Full);
        }
        bits.skip(used);
        self.state = State::Match { length, distance };
        Ok(Step::Made)
    }
}
