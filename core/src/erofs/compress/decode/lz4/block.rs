//! A whole LZ4 block.
//!
//! It takes and refuses what `LZ4_decompress_safe` of the kernel does (`lib/lz4/lz4_decompress.c`,
//! `LZ4_decompress_generic`), the rules of a block's end with it, but for a match of distance
//! zero, of which that makes whatever lies in the memory. What is wrong is not told here.

use core::cell::Cell;

use super::copy::{self, PIECE};
use super::{LENGTH_GOES_ON, MATCH_MIN};
use crate::bytes;

/// A block is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// How many literals a block ends with at least (`LASTLITERALS`).
const LITERALS_MIN: usize = 5;
/// No match starts in so many bytes at the end (`MFLIMIT`).
const LAST_MATCH: usize = 12;
/// What comes after literals that are not the last: a distance, a token, literals.
const BEHIND_LITERALS: usize = 2 + 1 + LITERALS_MIN;
/// A short sequence: a token, up to 14 literals, a distance; one byte more, as the kernel has it.
const SHORT: usize = 1 + 14 + 2 + 1;
/// What a short match writes: up to `14 + MATCH_MIN` bytes.
const SHORT_MATCH: usize = 18;
/// What a short sequence writes: 14 literals and a match.
const SHORT_ROOM: usize = 14 + SHORT_MATCH;
/// The smallest token that says more than 14 literals.
const MANY_LITERALS: u8 = 0xF0;

/// Decodes a block that has exactly the bytes of `output`.
///
/// # Errors
///
/// When it has not, or is no block.
// By itself the compiler keeps all of it in registers.
#[inline(never)]
pub(super) fn decode(input: &[u8], output: &mut [u8]) -> Result<(), Corrupt> {
    let size = output.len();
    let last_match = size.saturating_sub(LAST_MATCH);
    let last_literals = size.saturating_sub(LITERALS_MIN);
    let mut rest = input;
    let mut at = 0_usize;
    loop {
        let cells = Cell::from_mut(&mut *output).as_slice_of_cells();
        let mut length;
        let distance;
        // Nearly all sequences are short, and not at the end: pieces of one size are copied, and
        // what is too much is written over by what comes next.
        if let Some(sequence) = rest.first_chunk::<SHORT>()
            && let Some(room) = cells
                .get(at..)
                .and_then(|to| to.first_chunk::<SHORT_ROOM>())
            && let [token, from @ .., _] = sequence
            && *token < MANY_LITERALS
        {
            let literals = usize::from(*token >> 4);
            length = usize::from(*token & 15);
            copy::write(copy::part(room, 0)?, from);
            distance = le_u16(sequence, literals.wrapping_add(1))?;
            rest = rest.get(literals.wrapping_add(3)..).ok_or(Corrupt)?;
            at = at.wrapping_add(literals);
            if length != LENGTH_GOES_ON && distance >= 8 {
                let from = copy::part::<SHORT_MATCH>(cells, at.wrapping_sub(distance))?;
                let to = copy::part::<SHORT_MATCH>(room, literals)?;
                copy::sixteen(copy::part(from, 0)?, copy::part(to, 0)?)?;
                copy::two(copy::part(from, 16)?, copy::part(to, 16)?);
                at = at.wrapping_add(length).wrapping_add(MATCH_MIN);
                continue;
            }
        } else {
            let (token, behind) = rest.split_first().ok_or(Corrupt)?;
            let mut literals = usize::from(*token >> 4);
            length = usize::from(*token & 15);
            rest = behind;
            if literals == LENGTH_GOES_ON {
                literals = literals.wrapping_add(more(&mut rest)?);
            }
            let end = at.wrapping_add(literals);
            if end > last_match || literals.wrapping_add(BEHIND_LITERALS) > rest.len() {
                return last(rest, literals, output.get_mut(at..).ok_or(Corrupt)?);
            }
            if literals <= PIECE
                && let Some(from) = rest.first_chunk::<PIECE>()
                && let Some(to) = output.get_mut(at..)
                && let Some(to) = to.first_chunk_mut::<PIECE>()
            {
                *to = *from;
            } else {
                let to = output.get_mut(at..end).ok_or(Corrupt)?;
                bytes::copy(rest, to);
            }
            at = end;
            distance = le_u16(rest, literals)?;
            rest = rest.get(literals.wrapping_add(2)..).ok_or(Corrupt)?;
        }
        if length == LENGTH_GOES_ON {
            length = length.wrapping_add(more(&mut rest)?);
            if rest.len() < LITERALS_MIN {
                return Err(Corrupt);
            }
        }
        length = length.wrapping_add(MATCH_MIN);
        let end = at.wrapping_add(length);
        if distance == 0 || distance > at || end > last_literals {
            return Err(Corrupt);
        }
        let cells = Cell::from_mut(&mut *output).as_slice_of_cells();
        if end.wrapping_add(PIECE) <= size {
            copy::matched(cells, at, distance, length)?;
        } else {
            copy::matched_exact(cells, at, distance, length)?;
        }
        at = end;
    }
}

/// The literals at the end of a block, which must be all that is left of it and of the output.
#[cold]
fn last(rest: &[u8], literals: usize, output: &mut [u8]) -> Result<(), Corrupt> {
    if rest.len() != literals || output.len() != literals {
        return Err(Corrupt);
    }
    bytes::copy(rest, output);
    Ok(())
}

/// What a length is more than its token says. It is far from what wraps: the input is not longer
/// than the largest pcluster, and a byte says 255 at most.
#[inline(always)]
fn more(rest: &mut &[u8]) -> Result<usize, Corrupt> {
    let mut length = 0_usize;
    loop {
        let (byte, behind) = rest.split_first().ok_or(Corrupt)?;
        *rest = behind;
        length = length.wrapping_add(usize::from(*byte));
        if *byte != u8::MAX {
            return Ok(length);
        }
    }
}

/// The number of two bytes from `start` on.
#[inline(always)]
fn le_u16(from: &[u8], start: usize) -> Result<usize, Corrupt> {
    let two = from.get(start..).and_then(|from| from.first_chunk());
    Ok(u16::from_le_bytes(*two.ok_or(Corrupt)?).into())
}
