//! What a sequence does: literals are copied, then a match is.
//!
//! In pieces whose size the compiler knows. A piece may go over the end of what is wanted: what
//! lies there is written later, or is slack.

use super::Corrupt;
use super::bits::low_half;

/// Bytes that are copied at once.
pub(super) const PIECE: usize = 16;
/// Bytes that a short sequence may write to.
pub(super) const SHORT: usize = 4 * PIECE;

/// One sequence, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    /// How many literals.
    pub(super) literals: usize,
    /// How long the match is, at least one.
    pub(super) matched: usize,
    /// How far back it lies, at least one.
    pub(super) distance: usize,
}

/// Does a short sequence that is far from the end of the memory, which most are, and says where it
/// ends and what literals are left; `None` for others, of which nothing is done that matters.
///
/// `last` is [`SHORT`] less than the length of `output`. From the comparison with it the compiler
/// must see that all other places are there: this function should hold no other comparison with a
/// length but that of the literals.
#[inline(always)]
pub(super) fn quick<'a>(
    output: &mut [u8],
    at: usize,
    literals: &'a [u8],
    sequence: Sequence,
    last: usize,
) -> Option<(usize, &'a [u8])> {
    let Sequence {
        literals: length,
        matched,
        distance,
    } = sequence;
    if length > PIECE || matched > 2 * PIECE || distance < PIECE {
        return None;
    }
    let piece = *literals.first_chunk::<PIECE>()?;
    let others = literals.get(length..)?;
    if at > last {
        return None;
    }
    let match_at = at.checked_add(length)?;
    let from = match_at.checked_sub(distance)?;
    *output.get_mut(at..)?.first_chunk_mut()? = piece;
    let [piece, _] = *pieces(output.get(from..)?)?;
    let [to, _] = pieces_mut(output.get_mut(match_at..)?)?;
    *to = piece;
    let [_, piece] = *pieces(output.get(from..)?)?;
    let [_, to] = pieces_mut(output.get_mut(match_at..)?)?;
    *to = piece;
    Some((match_at.wrapping_add(matched), others))
}

#[inline(always)]
fn pieces(data: &[u8]) -> Option<&[[u8; PIECE]; 2]> {
    data.first_chunk::<{ 2 * PIECE }>()?
        .as_chunks::<PIECE>()
        .0
        .first_chunk()
}

#[inline(always)]
fn pieces_mut(data: &mut [u8]) -> Option<&mut [[u8; PIECE]; 2]> {
    data.first_chunk_mut::<{ 2 * PIECE }>()?
        .as_chunks_mut::<PIECE>()
        .0
        .first_chunk_mut()
}

/// Does any sequence, and says where it ends. Nothing is written at `limit` and behind it, but
/// where there is room for pieces. `literals` has a piece more.
#[inline(always)]
pub(super) fn any(
    output: &mut [u8],
    at: usize,
    literals: &[u8],
    sequence: Sequence,
    limit: usize,
) -> Result<usize, Corrupt> {
    let Sequence {
        literals: length,
        matched,
        distance,
    } = sequence;
    slow(output, at, literals, length, matched, distance, limit)
}

/// As [`any`]. A sequence as such would lie in memory here, and be put there for all.
#[cold]
#[inline(never)]
fn slow(
    output: &mut [u8],
    at: usize,
    literals: &[u8],
    length: usize,
    match_length: usize,
    distance: usize,
    limit: usize,
) -> Result<usize, Corrupt> {
    let match_at = at.wrapping_add(length);
    let end = match_at.wrapping_add(match_length);
    if distance > match_at || end > limit {
        return Err(Corrupt);
    }
    if output.len().saturating_sub(end) < SHORT {
        literals_exact(literals, output, at, length)?;
        matched_exact(output, match_at, distance, match_length)?;
    } else {
        copied(literals, output, at, length)?;
        matched(output, match_at, distance, match_length)?;
    }
    Ok(end)
}

/// Copies the first `length` bytes of `from` to `to[at..]`. Up to [`PIECE`] bytes more are read
/// and written.
///
/// # Errors
///
/// When a piece does not fit.
#[inline(always)]
fn copied(from: &[u8], to: &mut [u8], at: usize, length: usize) -> Result<(), Corrupt> {
    let rounded = length.wrapping_add(PIECE) & !PIECE.wrapping_sub(1);
    let from = from.get(..rounded).ok_or(Corrupt)?;
    let to = to.get_mut(at..).and_then(|to| to.get_mut(..rounded));
    let (to, _) = to.ok_or(Corrupt)?.as_chunks_mut();
    for (to, from) in to.iter_mut().zip(from.as_chunks::<PIECE>().0) {
        *to = *from;
    }
    Ok(())
}

/// Repeats what lies `distance` bytes, at least one, before `at`, for `length` bytes. Up to
/// [`PIECE`] bytes more are written.
///
/// # Errors
///
/// When a piece does not fit.
#[inline(always)]
fn matched(data: &mut [u8], at: usize, distance: usize, length: usize) -> Result<(), Corrupt> {
    if distance < PIECE {
        return near(data, at, distance, length);
    }
    let rounded = length.wrapping_add(PIECE) & !PIECE.wrapping_sub(1);
    let from = at.checked_sub(distance).ok_or(Corrupt)?;
    let all = data.get_mut(from..).ok_or(Corrupt)?;
    let all = all
        .get_mut(..distance.wrapping_add(rounded))
        .ok_or(Corrupt)?;
    if rounded <= distance {
        let (from, to) = all.split_at_mut_checked(distance).ok_or(Corrupt)?;
        let (to, _) = to.as_chunks_mut();
        for (to, from) in to.iter_mut().zip(from.as_chunks::<PIECE>().0) {
            *to = *from;
        }
        return Ok(());
    }
    let mut done = 0_usize;
    while done < rounded {
        let next = piece::<PIECE>(all, done)?;
        put(all, done.wrapping_add(distance), next)?;
        done = done.wrapping_add(PIECE);
    }
    Ok(())
}

#[inline(always)]
fn piece<const SIZE: usize>(data: &[u8], at: usize) -> Result<[u8; SIZE], Corrupt> {
    let piece = data.get(at..).and_then(<[u8]>::first_chunk);
    piece.copied().ok_or(Corrupt)
}

#[inline(always)]
fn put<const SIZE: usize>(data: &mut [u8], at: usize, piece: [u8; SIZE]) -> Result<(), Corrupt> {
    let room = data.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
    *room.ok_or(Corrupt)? = piece;
    Ok(())
}

/// Half of a piece.
const HALF: usize = PIECE / 2;

/// What repeats the bytes of a distance of less than [`HALF`], and the largest multiple of the
/// distance that is not more than it.
const PERIODS: [(u64, usize); HALF] = [
    (0, 1),
    (0x0101_0101_0101_0101, 8),
    (0x0001_0001_0001_0001, 8),
    (0x0001_0000_0100_0001, 6),
    (0x0000_0001_0000_0001, 8),
    (0x0000_0100_0000_0001, 5),
    (0x0001_0000_0000_0001, 6),
    (0x0100_0000_0000_0001, 7),
];

/// As [`matched`], for a distance of less than a piece.
fn near(data: &mut [u8], at: usize, distance: usize, length: usize) -> Result<(), Corrupt> {
    let from = at.checked_sub(distance).ok_or(Corrupt)?;
    let all = data.get_mut(from..).ok_or(Corrupt)?;
    let over = length.wrapping_add(distance).wrapping_add(HALF);
    let all = all.get_mut(..over).ok_or(Corrupt)?;
    let mut done = 0_usize;
    let Some((repeat, step)) = PERIODS.get(distance) else {
        while done < length {
            let next = piece::<HALF>(all, done)?;
            put(all, done.wrapping_add(distance), next)?;
            done = done.wrapping_add(HALF);
        }
        return Ok(());
    };
    // The first bytes, over and over.
    let bits = low_half(distance as u64).wrapping_mul(8);
    let first = u64::from_le_bytes(piece::<HALF>(all, 0)?) & !u64::MAX.wrapping_shl(bits);
    let pattern = first.wrapping_mul(*repeat).to_le_bytes();
    while done < length {
        put(all, done.wrapping_add(distance), pattern)?;
        done = done.wrapping_add(*step);
    }
    Ok(())
}

/// As [`copied`], for the end of the memory: not a byte more is read or written.
#[cold]
#[inline(never)]
fn literals_exact(from: &[u8], to: &mut [u8], at: usize, length: usize) -> Result<(), Corrupt> {
    let to = to.get_mut(at..).and_then(|to| to.get_mut(..length));
    let from = from.get(..length).ok_or(Corrupt)?;
    for (to, from) in to.ok_or(Corrupt)?.iter_mut().zip(from) {
        *to = *from;
    }
    Ok(())
}

/// As [`matched`], for the end of the memory: not a byte more is written.
#[cold]
#[inline(never)]
fn matched_exact(data: &mut [u8], at: usize, offset: usize, length: usize) -> Result<(), Corrupt> {
    let end = at.checked_add(length).ok_or(Corrupt)?;
    let start = at.checked_sub(offset).ok_or(Corrupt)?;
    for (to, from) in (at..end).zip(start..) {
        let byte = data.get(from).copied().ok_or(Corrupt)?;
        *data.get_mut(to).ok_or(Corrupt)? = byte;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn every_offset_and_length() {
        let history: Vec<u8> = (0..100).collect();
        // Miri is slow.
        let step = if cfg!(miri) { 11 } else { 1 };
        for offset in (1..=100).step_by(step) {
            for length in (0..=70).step_by(step) {
                let mut wanted = history.clone();
                for place in 0..length {
                    wanted.push(wanted[100 - offset + place]);
                }
                let mut data = history.clone();
                data.resize(100 + length, 0);
                assert_eq!(matched_exact(&mut data, 100, offset, length), Ok(()));
                assert_eq!(data, wanted, "{offset} {length}");
                let mut data = history.clone();
                data.resize(100 + length + 2 * PIECE, 0xAA);
                assert_eq!(matched(&mut data, 100, offset, length), Ok(()));
                assert_eq!(data[..wanted.len()], wanted, "{offset} {length}");
                let behind = wanted.len() + PIECE;
                assert!(data[behind..].iter().all(|byte| *byte == 0xAA));
            }
        }
    }

    /// What a sequence does, byte by byte.
    fn slowly(output: &mut [u8], at: usize, literals: &[u8], sequence: Sequence) -> usize {
        let match_at = at + sequence.literals;
        output[at..match_at].copy_from_slice(&literals[..sequence.literals]);
        for place in match_at..match_at + sequence.matched {
            output[place] = output[place - sequence.distance];
        }
        match_at + sequence.matched
    }

    #[test]
    fn short_sequences_and_others() {
        let literals: Vec<u8> = (100..180).collect();
        let history: Vec<u8> = (0..40).collect();
        // Miri is slow.
        let step = if cfg!(miri) { 9 } else { 1 };
        for length in (0..=18).step_by(step) {
            for match_length in (1..=40).step_by(step).chain([100]) {
                for distance in (1..=40 + length).step_by(step).chain([60]) {
                    for slack in [0, 5, SHORT - 1, SHORT, SHORT + 40] {
                        let sequence = Sequence {
                            literals: length,
                            matched: match_length,
                            distance,
                        };
                        let mut before = history.clone();
                        let end = 40 + length + match_length;
                        before.resize(end + slack, 0);
                        let mut data = before.clone();
                        let last = data.len().checked_sub(SHORT);
                        let done =
                            last.and_then(|last| quick(&mut data, 40, &literals, sequence, last));
                        let possible = length <= PIECE && match_length <= 2 * PIECE;
                        let near = distance < PIECE || distance > 40 + length;
                        let room = last.is_some_and(|last| 40 <= last);
                        assert_eq!(done.is_some(), possible && !near && room);
                        let any = any(&mut before, 40, &literals, sequence, end);
                        if distance > 40 + length {
                            assert_eq!(any, Err(Corrupt));
                            continue;
                        }
                        assert_eq!(any, Ok(end));
                        let mut wanted = history.clone();
                        wanted.resize(end, 0);
                        assert_eq!(slowly(&mut wanted, 40, &literals, sequence), end);
                        assert_eq!(before[..end], wanted);
                        assert!(slack >= SHORT || before[end..].iter().all(|byte| *byte == 0));
                        if let Some((to, others)) = done {
                            assert_eq!(to, end);
                            assert_eq!(others, &literals[length..]);
                            assert_eq!(data[..end], wanted);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_sequence_stays_within_its_limit() {
        let sequence = Sequence {
            literals: 5,
            matched: 6,
            distance: 4,
        };
        let mut data = [0; 200];
        assert_eq!(any(&mut data, 20, &[1; 80], sequence, 30), Err(Corrupt));
        assert_eq!(any(&mut data, 20, &[1; 4], sequence, 31), Err(Corrupt));
        assert_eq!(any(&mut data, 20, &[1; 80], sequence, 31), Ok(31));
        assert_eq!(
            any(&mut data[..30], 20, &[1; 80], sequence, 31),
            Err(Corrupt)
        );
        let sequence = Sequence {
            distance: 16,
            ..sequence
        };
        assert_eq!(quick(&mut data, 20, &[1; 15], sequence, 136), None);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut data = [0; 40];
        assert!(matched(&mut data, 20, 21, 4).is_err());
        assert!(matched(&mut data, 30, 20, 4).is_err());
        assert!(matched(&mut data, 41, 20, 4).is_err());
        assert!(matched(&mut data, 30, 3, 4).is_err());
        assert!(matched_exact(&mut data, 30, 20, 11).is_err());
        assert!(matched_exact(&mut data, 30, 31, 1).is_err());
        assert!(matched_exact(&mut data, usize::MAX, 1, 1).is_err());
        assert!(copied(&[1; 15], &mut data, 0, 3).is_err());
        assert!(copied(&[1; 20], &mut data, 0, 17).is_err());
        assert!(copied(&[1; 64], &mut data, 25, 3).is_err());
        assert!(literals_exact(&[1; 2], &mut data, 0, 3).is_err());
        assert!(literals_exact(&[1; 9], &mut data, 35, 6).is_err());
    }

    #[test]
    fn literals_of_every_length() {
        let from: Vec<u8> = (0..100).collect();
        let step = if cfg!(miri) { 5 } else { 1 };
        for length in (0..=80).step_by(step) {
            let mut to = vec![0xAA; 120];
            assert_eq!(copied(&from, &mut to, 5, length), Ok(()));
            assert_eq!(to[5..5 + length], from[..length]);
            assert!(to[5 + length + PIECE..].iter().all(|byte| *byte == 0xAA));
            let mut to = vec![0xAA; 5 + length];
            assert_eq!(literals_exact(&from, &mut to, 5, length), Ok(()));
            assert_eq!(to[5..], from[..length]);
        }
    }
}
