//! The symbols of a block as long as there is more input and room than any of them can take.

use super::bits::Bits;
use super::huffman::Tables;
use super::{Corrupt, Output, Past, copy};

/// The longest match, section 3.2.5.
const LONGEST: usize = 258;

/// What one round may write: literals, a match, and what is behind its end.
const WRITE: usize = 3 + LONGEST + SLACK;

/// Less than this is written behind the end of what is wanted.
const SLACK: usize = copy::PIECE;

/// What one round may read: it takes up to seven bytes, and then looks at eight.
const READ: usize = 16;

/// Takes eight bytes into the word, and counts those that fit: at least 56 bits are there then.
/// Of the count the low six bits count.
macro_rules! refill {
    ($rest:ident, $word:ident, $count:ident) => {
        $word |= u64::from_le_bytes(*$rest.first_chunk().ok_or(Corrupt)?).wrapping_shl($count);
        $rest = $rest.get((!$count >> 3 & 7) as usize..).ok_or(Corrupt)?;
        $count |= 56;
    };
}

/// Leaves out the bits of an entry.
macro_rules! skip {
    ($entry:expr, $word:ident, $count:ident) => {
        $word = $word.wrapping_shr($entry.low_bits());
        $count = $count.wrapping_sub($entry.low_bits());
    };
}

/// Decodes symbols until there is little input or room, or the block ends, and says whether it
/// does.
///
/// `before` is how much content lies before the memory, and wraps when that is less than none.
#[inline(never)]
pub(super) fn run(
    tables: &Tables,
    bits: &mut Bits<'_>,
    output: &mut Output<'_>,
    before: usize,
) -> Result<bool, Corrupt> {
    let (mut rest, mut word, mut count) = bits.parts();
    // Where the content begins in the memory, and how much of it is before.
    let begin = 0_usize.wrapping_sub(before);
    let (begin, before) = if begin <= output.at {
        (begin, 0)
    } else {
        (0, before)
    };
    let past = output.past;
    let end = output.memory.len().saturating_sub(SLACK).min(output.end);
    let memory = output
        .memory
        .get_mut(begin..end.saturating_add(SLACK))
        .unwrap_or(&mut []);
    let mut at = output.at.saturating_sub(begin);
    // What comes first reads too.
    if memory.len().saturating_sub(at) < WRITE || rest.len() < READ + 7 {
        return Ok(false);
    }
    let mut ended = false;
    refill!(rest, word, count);
    let mut entry = tables.first_literal(word);
    // What is said to be an error here is one of the stream, or cannot be.
    while let Some(room) = room(memory, at)
        && rest.len() >= READ
    {
        // At most 11 bits for each of two literals; then 15 of a length, and 5 extra bits.
        let mut saved = word;
        skip!(entry, word, count);
        if let Some(byte) = entry.byte() {
            let [first, second, third, ..] = room;
            *first = byte;
            at = at.wrapping_add(1);
            entry = tables.first_literal(word);
            saved = word;
            skip!(entry, word, count);
            if let Some(byte) = entry.byte() {
                *second = byte;
                at = at.wrapping_add(1);
                entry = tables.first_literal(word);
                saved = word;
                skip!(entry, word, count);
                if let Some(byte) = entry.byte() {
                    refill!(rest, word, count);
                    entry = tables.first_literal(word);
                    *third = byte;
                    at = at.wrapping_add(1);
                    continue;
                }
            }
        }
        if entry.is_special() {
            if entry.is_further() {
                entry = tables.further_literal(entry, word);
                saved = word;
                skip!(entry, word, count);
                if let Some(byte) = entry.byte() {
                    refill!(rest, word, count);
                    entry = tables.first_literal(word);
                    *memory.get_mut(at).ok_or(Corrupt)? = byte;
                    at = at.wrapping_add(1);
                    continue;
                }
            }
            if entry.is_special() {
                if !entry.is_end() {
                    output.at = at.wrapping_add(begin);
                    return Err(Corrupt);
                }
                ended = true;
                break;
            }
        }
        let length = entry.value(saved);

        // 15 bits of a distance, and 13 extra bits.
        if count & 63 < 28 {
            refill!(rest, word, count);
        }
        let mut far = tables.first_distance(word);
        saved = word;
        skip!(far, word, count);
        if far.is_special() {
            if far.is_further() {
                far = tables.further_distance(far, word);
                saved = word;
                skip!(far, word, count);
            }
            if far.is_special() {
                output.at = at.wrapping_add(begin);
                return Err(Corrupt);
            }
        }
        let distance = far.value(saved);
        refill!(rest, word, count);
        entry = tables.first_literal(word);
        if copy::matched(memory, at, distance, length).is_none() {
            if distance > before.wrapping_add(at) {
                output.at = at.wrapping_add(begin);
                return Err(Corrupt);
            }
            from_past(memory, at, past, distance, length);
        }
        at = at.wrapping_add(length);
    }
    bits.set(rest, word, count & 63);
    output.at = at.wrapping_add(begin);
    Ok(ended)
}

/// What one round may write to.
#[inline(always)]
fn room(memory: &mut [u8], at: usize) -> Option<&mut [u8; WRITE]> {
    memory.get_mut(at..)?.first_chunk_mut()
}

/// Copies a match that begins before the memory.
#[cold]
#[inline(never)]
fn from_past(memory: &mut [u8], at: usize, past: Past<'_>, distance: usize, length: usize) {
    let end = at.wrapping_add(length);
    let mut output = Output {
        memory,
        at,
        end,
        past,
    };
    output.repeat(distance, length);
}
