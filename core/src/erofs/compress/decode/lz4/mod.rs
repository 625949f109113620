//! LZ4 blocks.
//!
//! Whole blocks are decoded in `block`, as fast as it goes. Here is what is rare: blocks of which
//! only the start is wanted, and why one was not decoded. The kernel asks its library for the
//! start (`LZ4_decompress_safe_partial`) of extents that are a part of what their pcluster
//! decodes to, and always in images without zeros in front of the data, where what follows the
//! data is not known.
//!
//! By the format's description in `doc/lz4_Block_format.md` of lz4.

mod block;
mod copy;
#[cfg(test)]
mod tests;

use super::fault::Fault;
use crate::bytes;

/// Shortest match.
const MATCH_MIN: usize = 4;
/// A length of this in a token goes on in the bytes after it.
const LENGTH_GOES_ON: usize = 15;

/// Decodes a block that has exactly the bytes of `output`.
pub(super) fn whole(input: &[u8], output: &mut [u8]) -> Result<(), Fault> {
    block::decode(input, output).map_err(|_| fault(input, output.len()))
}

/// Decodes the start of a block, as much as `output` has room for. What follows in `input` is
/// not looked at.
pub(super) fn partial(input: &[u8], output: &mut [u8]) -> Result<(), Fault> {
    let mut input = Input(input);
    let mut filled = 0_usize;
    loop {
        let token = input.byte()?;
        let literals = input.length(token >> 4)?;
        let room = output.get_mut(filled..).unwrap_or_default();
        filled = filled.saturating_add(bytes::copy(input.take(literals.min(room.len()))?, room));
        if filled >= output.len() {
            return Ok(());
        }
        if input.0.is_empty() {
            // The last sequence has no match.
            return Err(Fault::Length(filled));
        }
        let distance = input.distance()?;
        let length = input.match_length(token)?;
        let start = filled.checked_sub(distance).ok_or(Fault::Corrupt)?;
        let end = filled.saturating_add(length).min(output.len());
        // A match may reach into itself: then what was just written is what comes next.
        while filled < end {
            let (before, after) = output.split_at_mut_checked(filled).unwrap_or_default();
            let room = after
                .get_mut(..end.saturating_sub(filled))
                .unwrap_or_default();
            filled =
                filled.saturating_add(bytes::copy(before.get(start..).unwrap_or_default(), room));
        }
        if filled >= output.len() {
            return Ok(());
        }
    }
}

/// What is wrong with a block that does not decode to this many bytes. One that would, and only
/// does not end as the format says, is corrupt.
#[cold]
fn fault(input: &[u8], size: usize) -> Fault {
    match length(input, size) {
        Ok(length) if length == size => Fault::Corrupt,
        Ok(length) => Fault::Length(length),
        Err(fault) => fault,
    }
}

/// How many bytes a block decodes to, if that is not more than `size`; only its sequences are
/// looked at.
fn length(input: &[u8], size: usize) -> Result<usize, Fault> {
    let mut input = Input(input);
    let mut filled = 0_usize;
    let within = |filled: usize| match filled <= size {
        true => Ok(filled),
        false => Err(Fault::Length(size.saturating_add(1))),
    };
    loop {
        let token = input.byte()?;
        let literals = input.length(token >> 4)?;
        input.take(literals)?;
        filled = within(filled.saturating_add(literals))?;
        if input.0.is_empty() {
            return Ok(filled);
        }
        let distance = input.distance()?;
        let end = within(filled.saturating_add(input.match_length(token)?))?;
        if distance > filled {
            return Err(Fault::Corrupt);
        }
        filled = end;
    }
}

/// What is left of the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, Fault> {
        let (byte, rest) = self.0.split_first().ok_or(Fault::Corrupt)?;
        self.0 = rest;
        Ok(*byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Fault::Corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    /// How far back a match lies; never zero.
    fn distance(&mut self) -> Result<usize, Fault> {
        match u16::from_le_bytes([self.byte()?, self.byte()?]) {
            0 => Err(Fault::Corrupt),
            distance => Ok(distance.into()),
        }
    }

    /// The length of a match.
    fn match_length(&mut self, token: u8) -> Result<usize, Fault> {
        Ok(self.length(token & 15)?.saturating_add(MATCH_MIN))
    }

    /// A length that starts in a token.
    fn length(&mut self, start: u8) -> Result<usize, Fault> {
        let mut length = usize::from(start);
        if length == LENGTH_GOES_ON {
            loop {
                let byte = self.byte()?;
                length = length.saturating_add(byte.into());
                if byte != u8::MAX {
                    break;
                }
            }
        }
        Ok(length)
    }
}

#[cfg(test)]
mod known {
    use super::*;
    use std::vec;

    /// "abcabcabcabcX" and five literals more.
    const BLOCK: [u8; 15] = [
        0x35, b'a', b'b', b'c', 3, 0, 0x60, b'X', b'1', b'2', b'3', b'4', b'5', 0, 0,
    ];
    const CONTENT: &[u8] = b"abcabcabcabcX12345";

    #[test]
    fn every_length_of_the_start() {
        for length in 1..=CONTENT.len() {
            let mut output = vec![0; length];
            assert_eq!(partial(&BLOCK, &mut output), Ok(()), "{length}");
            assert_eq!(output, &CONTENT[..length]);
        }
        let mut output = vec![0; CONTENT.len() + 1];
        assert_eq!(partial(&BLOCK[..13], &mut output), Err(Fault::Length(18)));
        // The zeros that follow are no sequence.
        assert_eq!(partial(&BLOCK, &mut output), Err(Fault::Corrupt));
    }

    #[test]
    fn a_whole_block_has_one_length() {
        let mut output = vec![0; CONTENT.len()];
        assert_eq!(whole(&BLOCK[..13], &mut output), Ok(()));
        assert_eq!(output, CONTENT);
        assert_eq!(
            whole(&BLOCK[..13], &mut output[..17]),
            Err(Fault::Length(18))
        );
        assert_eq!(whole(&BLOCK[..13], &mut output[..8]), Err(Fault::Length(9)));
        assert_eq!(whole(&BLOCK[..13], &mut [0; 19]), Err(Fault::Length(18)));
        assert_eq!(whole(&BLOCK, &mut output), Err(Fault::Corrupt));
        assert_eq!(whole(&[], &mut output), Err(Fault::Corrupt));
        assert_eq!(whole(&BLOCK[..10], &mut output), Err(Fault::Corrupt));
        assert_eq!(whole(&BLOCK[..5], &mut output), Err(Fault::Corrupt));
    }

    #[test]
    fn a_match_before_the_start_is_corrupt() {
        for distance in [0, 4] {
            let mut block = BLOCK;
            block[4] = distance;
            assert_eq!(partial(&block, &mut [0; 10]), Err(Fault::Corrupt));
            assert_eq!(whole(&block[..13], &mut [0; 18]), Err(Fault::Corrupt));
        }
    }
}
