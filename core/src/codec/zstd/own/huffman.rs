//! Huffman coding of literals: descriptions of trees, and the streams.
//!
//! RFC 8878 section 4.2.

use core::fmt;
use core::mem;

use super::Corrupt;
use super::bits::{Lane, Reverse, low_byte};
use super::fse::Distribution;

/// `Max_Number_of_Bits`, section 4.2.1.
const BITS: u32 = 11;
/// What a code is looked up with is one of so many.
const ENTRIES: usize = 1 << BITS;
/// The longest description of a tree, in bytes.
#[cfg(feature = "alloc")]
pub(super) const DESCRIPTION: usize = 128;

/// How long the description of a tree is that `data` starts with, in bytes (section 4.2.1).
#[cfg(feature = "alloc")]
pub(super) fn description_size(data: &[u8]) -> Option<usize> {
    let header = usize::from(*data.first()?);
    let rest = match header.checked_sub(127) {
        Some(stated @ 1..) => stated.div_ceil(2),
        _ => header,
    };
    rest.checked_add(1)
}

/// Codes that are read before the stream is refilled: 55 bits.
const ROUND: usize = 5;
/// The weights that there can be, and one more.
const WEIGHTS: usize = BITS as usize + 2;
/// The weights that there can be: none, and up to as many as a code has bits.
const STATED_WEIGHTS: usize = BITS as usize + 1;
/// Entries of the table that are written at once.
const RUN: usize = 8;

/// A table with the symbol of each code. It is looked up with the next [`BITS`] bits.
#[derive(Clone)]
pub(super) struct Table {
    /// The length of the code in bits (low byte), and its symbol (high byte).
    /// Behind them is room for what is written too far.
    entries: [u16; ENTRIES + RUN],
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            entries: [0; ENTRIES + RUN],
        }
    }

    /// Reads a tree description (section 4.2.1) and says how many bytes it took. After an error
    /// the table is not to be used.
    #[inline(never)]
    pub(super) fn read(&mut self, data: &[u8]) -> Result<usize, Corrupt> {
        let mut weights = [0; 256];
        let (header, data) = data.split_first().ok_or(Corrupt)?;
        let (stated, taken) = match header.checked_sub(127) {
            // Section 4.2.1.1: four bits each.
            Some(stated @ 1..) => {
                let taken = usize::from(stated.div_ceil(2));
                let bytes = data.get(..taken).ok_or(Corrupt)?;
                for (pair, byte) in weights.chunks_exact_mut(2).zip(bytes) {
                    if let [first, second] = pair {
                        (*first, *second) = (byte >> 4, byte & 15);
                    }
                }
                (usize::from(stated), taken)
            }
            _ => {
                let taken = usize::from(*header);
                let bytes = data.get(..taken).ok_or(Corrupt)?;
                (compressed_weights(bytes, &mut weights)?, taken)
            }
        };
        self.build(&mut weights, stated)?;
        Ok(taken.wrapping_add(1))
    }

    /// Fills the table from all weights but the last, which is the one that is missing (section
    /// 4.2.1), by section 4.2.1.3.
    #[inline(never)]
    fn build(&mut self, weights: &mut [u8; 256], stated: usize) -> Result<(), Corrupt> {
        let mut sum = 0_u32;
        let mut numbers = [0_usize; WEIGHTS];
        for weight in weights.iter().take(stated) {
            let number = numbers.get_mut(usize::from(*weight)).ok_or(Corrupt)?;
            *number = number.wrapping_add(1);
            sum = sum.wrapping_add(1_u32.wrapping_shl((*weight).into()) >> 1);
        }
        let bits = sum.checked_ilog2().ok_or(Corrupt)?.wrapping_add(1);
        if bits > BITS {
            return Err(Corrupt);
        }
        let missing = 1_u32.wrapping_shl(bits).wrapping_sub(sum);
        if !missing.is_power_of_two() {
            return Err(Corrupt);
        }
        let last = missing.ilog2().wrapping_add(1);
        *weights.get_mut(stated).ok_or(Corrupt)? = low_byte(last);
        let number = numbers.get_mut(last as usize).ok_or(Corrupt)?;
        *number = number.wrapping_add(1);
        // Of the longest codes there are at least two, since only both bits make a tree.
        if numbers
            .get(1)
            .is_none_or(|longest| *longest < 2 || longest & 1 == 1)
        {
            return Err(Corrupt);
        }
        // The symbols of each weight, the longest codes first.
        let mut symbols = [0_u8; 256];
        let mut places = [0_usize; WEIGHTS];
        let mut start = 0_usize;
        for (place, number) in places.iter_mut().zip(numbers).skip(1) {
            *place = start;
            start = start.wrapping_add(number);
        }
        let weights = (0..=u8::MAX).zip(weights.iter().copied());
        for (symbol, weight) in weights.take(stated.wrapping_add(1)) {
            if weight == 0 {
                continue;
            }
            let place = places.get_mut(usize::from(weight)).ok_or(Corrupt)?;
            *symbols.get_mut(*place).ok_or(Corrupt)? = symbol;
            *place = place.wrapping_add(1);
        }
        // A table of fewer bits is stretched to all.
        let mut size = 1_usize.wrapping_shl(BITS.wrapping_sub(bits));
        let mut symbols = symbols.iter();
        let mut at = 0_usize;
        for (length, number) in (1..=low_byte(bits)).rev().zip(numbers.iter().skip(1)) {
            for symbol in symbols.by_ref().take(*number) {
                // What goes too far is written again.
                let end = at.wrapping_add(size.max(RUN));
                let room = self.entries.get_mut(at..end).ok_or(Corrupt)?;
                for run in room.as_chunks_mut::<RUN>().0 {
                    *run = [u16::from_le_bytes([length, *symbol]); RUN];
                }
                at = at.wrapping_add(size);
            }
            size = size.wrapping_mul(2);
        }
        Ok(())
    }

    /// Length and symbol of the code at the high end.
    #[inline(always)]
    fn entry(&self, bits: u64) -> [u8; 2] {
        let place = usize::try_from(bits >> (64 - BITS)).unwrap_or(0);
        // Always there: there are as many.
        let entry = self.entries.get(place & (ENTRIES - 1));
        entry.copied().unwrap_or(0).to_le_bytes()
    }

    #[inline(always)]
    fn next(&self, stream: &mut Reverse<'_>) -> u8 {
        let [length, symbol] = self.entry(stream.peek());
        stream.skip(length.into());
        symbol
    }

    #[inline(always)]
    fn next_of(&self, lane: &mut Lane<'_>) -> u8 {
        let [length, symbol] = self.entry(lane.peek());
        lane.skip(length.into());
        symbol
    }

    /// Decodes one stream, which must hold just as many symbols as there is room for.
    pub(super) fn one(&self, data: &[u8], output: &mut [u8]) -> Result<(), Corrupt> {
        let mut stream = Reverse::new(data)?;
        self.finish(&mut stream, output)
    }

    /// Decodes four streams behind the sizes of the first three (section 4.2.2).
    pub(super) fn four(&self, data: &[u8], output: &mut [u8]) -> Result<(), Corrupt> {
        let (sizes, mut data) = data.split_first_chunk::<6>().ok_or(Corrupt)?;
        let [a, b, c, d, e, f] = *sizes;
        let sizes = [[a, b], [c, d], [e, f]].map(|size| usize::from(u16::from_le_bytes(size)));
        let quarter = output.len().div_ceil(4);
        let mut rest = output;
        let mut next = |size: Option<usize>| {
            let Some(size) = size else {
                return Ok((Reverse::new(data)?, mem::take(&mut rest)));
            };
            let (stream, others) = data.split_at_checked(size).ok_or(Corrupt)?;
            let (output, behind) = mem::take(&mut rest)
                .split_at_mut_checked(quarter)
                .ok_or(Corrupt)?;
            (data, rest) = (others, behind);
            Ok((Reverse::new(stream)?, output))
        };
        let [a, b, c] = sizes;
        let mut streams = [next(Some(a))?, next(Some(b))?, next(Some(c))?, next(None)?];
        self.together(&mut streams);
        for (stream, output) in &mut streams {
            self.finish(stream, output)?;
        }
        Ok(())
    }

    /// Decodes from four streams at once while each has so much left that it need not be looked
    /// at.
    #[inline(never)]
    fn together(&self, streams: &mut [(Reverse<'_>, &mut [u8]); 4]) {
        let [a, b, c, d] = streams;
        let (Some(mut lane_a), Some(mut lane_b), Some(mut lane_c), Some(mut lane_d)) =
            (a.0.lane(), b.0.lane(), c.0.lane(), d.0.lane())
        else {
            return;
        };
        loop {
            let rounds = [&lane_a, &lane_b, &lane_c, &lane_d].map(Lane::rounds);
            let rounds = rounds.into_iter().min().unwrap_or(0);
            // The last output is the shortest.
            let rounds = rounds.min(d.1.len() / ROUND);
            if rounds == 0 {
                break;
            }
            let all = cut(&mut a.1, rounds)
                .zip(cut(&mut b.1, rounds))
                .zip(cut(&mut c.1, rounds))
                .zip(cut(&mut d.1, rounds));
            for (((to_a, to_b), to_c), to_d) in all {
                for (((a, b), c), d) in to_a.iter_mut().zip(to_b).zip(to_c).zip(to_d) {
                    *a = self.next_of(&mut lane_a);
                    *b = self.next_of(&mut lane_b);
                    *c = self.next_of(&mut lane_c);
                    *d = self.next_of(&mut lane_d);
                }
                lane_a.refill();
                lane_b.refill();
                lane_c.refill();
                lane_d.refill();
            }
        }
        (a.0, b.0) = (lane_a.stream(), lane_b.stream());
        (c.0, d.0) = (lane_c.stream(), lane_d.stream());
    }

    /// Decodes what is left of a stream, which must end with its output.
    fn finish(&self, stream: &mut Reverse<'_>, output: &mut [u8]) -> Result<(), Corrupt> {
        let mut rounds = output.chunks_exact_mut(ROUND);
        for round in &mut rounds {
            stream.refill();
            for place in round {
                *place = self.next(stream);
            }
        }
        stream.refill();
        for place in rounds.into_remainder() {
            *place = self.next(stream);
        }
        stream.refill();
        if stream.is_finished() {
            Ok(())
        } else {
            Err(Corrupt)
        }
    }
}

/// The output of so many rounds, cut off its front.
#[inline(always)]
fn cut<'a>(output: &mut &'a mut [u8], rounds: usize) -> core::slice::ChunksExactMut<'a, u8> {
    let size = rounds.wrapping_mul(ROUND);
    let (head, tail) = mem::take(output)
        .split_at_mut_checked(size)
        .unwrap_or_default();
    *output = tail;
    head.chunks_exact_mut(ROUND)
}

/// Weights that are compressed with FSE (section 4.2.1.2); says how many there are.
#[inline(never)]
fn compressed_weights(data: &[u8], weights: &mut [u8; 256]) -> Result<usize, Corrupt> {
    // libzstd too has no room for a distribution of weights that there cannot be.
    let (distribution, taken) = Distribution::read(data, STATED_WEIGHTS, 6)?;
    // Weight, bits, and what is added to them.
    let mut states = [(0, 0, 0); 64];
    distribution.fill(&mut states, |weight, bits, base| (weight, bits, base));
    let entry = |state: u32| states.get(state as usize).copied().unwrap_or_default();
    let mut stream = Reverse::new(data.get(taken..).ok_or(Corrupt)?)?;
    stream.refill();
    let mut state = stream.take(low_byte(distribution.log()));
    let mut other = stream.take(low_byte(distribution.log()));
    stream.refill();
    // There must be bits for two states at least.
    if stream.is_overdrawn() {
        return Err(Corrupt);
    }
    let mut stated = 0_usize;
    // The last weight of all is not stated.
    let mut places = weights.iter_mut().take(255);
    let mut put = |weight| {
        *places.next().ok_or(Corrupt)? = weight;
        stated = stated.wrapping_add(1);
        Ok::<(), Corrupt>(())
    };
    loop {
        let (weight, bits, base) = entry(state);
        put(weight)?;
        let value = stream.take(bits);
        stream.refill();
        if stream.is_overdrawn() {
            // The bits do not suffice for another state: the other one is the last.
            let (weight, ..) = entry(other);
            put(weight)?;
            return Ok(stated);
        }
        state = u32::from(base).wrapping_add(value);
        mem::swap(&mut state, &mut other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_tree_of_the_specification() {
        // Section 4.2.1: weights 4, 3, 2, 0, 1, and 1 that is not stated.
        let mut table = Table::new();
        assert_eq!(table.read(&[127 + 5, 0x43, 0x20, 0x10]), Ok(4));
        let code = |bits: u64, length: u32| table.entry(bits << (64 - length));
        assert_eq!(code(0b0000, 4), [4, 4]);
        assert_eq!(code(0b0001, 4), [4, 5]);
        assert_eq!(code(0b001, 3), [3, 2]);
        assert_eq!(code(0b01, 2), [2, 1]);
        assert_eq!(code(0b1, 1), [1, 0]);
    }

    #[test]
    fn trees_that_are_none() {
        let read = |data: &[u8]| Table::new().read(data).is_err();
        assert!(read(&[]));
        // No weight at all; a weight over eleven bits; three missing.
        assert!(read(&[127 + 1, 0x00]));
        assert!(read(&[127 + 1, 0xC0]));
        assert!(read(&[127 + 2, 0x31]));
        // One longest code alone.
        assert!(read(&[127 + 1, 0x20]));
        // Cut off.
        assert!(read(&[127 + 5, 0x43, 0x20]));
        assert!(read(&[9, 0x10]));
    }

    #[test]
    fn streams_end_with_their_output() {
        let mut table = Table::new();
        // Two symbols of one bit.
        assert_eq!(table.read(&[127 + 1, 0x10]), Ok(2));
        let data = [0b0110_1001, 0b1];
        let mut output = [0; 8];
        assert_eq!(table.one(&data, &mut output), Ok(()));
        assert_eq!(output, [0, 1, 1, 0, 1, 0, 0, 1]);
        assert!(table.one(&data, &mut output[1..]).is_err());
        assert!(table.one(&data, &mut [0; 9]).is_err());
        assert!(table.one(&[], &mut []).is_err());
    }

    #[test]
    fn four_streams_of_any_size() {
        let mut table = Table::new();
        assert_eq!(table.read(&[127 + 1, 0x10]), Ok(2));
        // Miri is slow.
        let step = if cfg!(miri) { 37 } else { 1 };
        for size in (1..400_usize).step_by(step) {
            let symbols: Vec<u8> = (0..size).map(|n| u8::from(n * n % 7 < 3)).collect();
            let stream = |symbols: &[u8]| {
                let mut bits: Vec<u8> = symbols.iter().rev().copied().collect();
                bits.push(1);
                let byte = |bits: &[u8]| bits.iter().rev().fold(0, |sum, bit| sum << 1 | bit);
                bits.chunks(8).map(byte).collect::<Vec<u8>>()
            };
            let quarter = size.div_ceil(4);
            let mut parts: Vec<Vec<u8>> = symbols.chunks(quarter).map(stream).collect();
            parts.resize(4, std::vec![1]);
            let mut data = Vec::new();
            for part in &parts[..3] {
                data.extend((part.len() as u16).to_le_bytes());
            }
            data.extend(parts.concat());
            let mut output = std::vec![9; size];
            let decoded = table.four(&data, &mut output);
            // Where three quarters are more than all, there are no four streams.
            if quarter * 3 > size {
                assert_eq!(decoded, Err(Corrupt), "{size}");
                continue;
            }
            assert_eq!(decoded, Ok(()), "{size}");
            assert_eq!(output, symbols);
            data[size % 6] ^= 1;
            assert!(table.four(&data, &mut output).is_err(), "{size}");
        }
    }
}
