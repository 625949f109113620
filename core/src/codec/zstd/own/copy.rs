//! What a sequence does: literals are copied, then a match is.
//!
//! In pieces whose size the compiler knows. A piece may go over the end of what is wanted: what
//! lies there is written later, or is slack.

use super::Corrupt;

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
/// `limit` is [`SHORT`] less than the length of `output`.
#[inline(always)]
pub(super) fn quick<'a>(
    output: &mut [u8],
    at: usize,
    literals: &'a [u8],
    length: usize,
    matched: usize,
    distance: usize,
    last: usize,
) -> Option<(usize, &'a [u8])> {
    if length > PIECE || matched > 2 * PIECE || distance < PIECE {
        return None;
    }
    let piece = *literals.first_chunk::<PIECE>()?;
    let others = literals.get(length..)?;
    // With this known the compiler sees that the other places are there.
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

/// Does any sequence, and says where it ends and what literals are left. Nothing is written at
/// `limit` and behind it, but where there is room for pieces.
#[cold]
#[inline(never)]
pub(super) fn any(
    output: &mut [u8],
    at: usize,
    literals: &[u8],
    sequence: Sequence,
    limit: usize,
) -> Result<usize, Corrupt> {
    let Sequence {
        literals: length,
        matched: match_length,
        distance,
    } = sequence;
    let match_at = at.wrapping_add(length);
    let end = match_at.wrapping_add(match_length);
    if distance > match_at || end > limit {
        return Err(Corrupt);
    }
    if end.wrapping_add(PIECE) <= output.len() {
        copied(literals, output, at, length)?;
        matched(output, match_at, distance, match_length)?;
    } else {
        literals_exact(literals, output, at, length)?;
        matched_exact(output, match_at, distance, match_length)?;
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
fn copied(
    from: &[u8],
    to: &mut [u8],
    at: usize,
    length: usize,
) -> Result<(), Corrupt> {
    let to = to.get_mut(at..).ok_or(Corrupt)?;
    let (piece, mut from) = from.split_first_chunk::<PIECE>().ok_or(Corrupt)?;
    let (room, mut to) = to.split_first_chunk_mut::<PIECE>().ok_or(Corrupt)?;
    *room = *piece;
    let mut left = length;
    while left > PIECE {
        left = left.wrapping_sub(PIECE);
        let (piece, from_there) = from.split_first_chunk::<PIECE>().ok_or(Corrupt)?;
        let (room, to_there) = to.split_first_chunk_mut::<PIECE>().ok_or(Corrupt)?;
        *room = *piece;
        (from, to) = (from_there, to_there);
    }
    Ok(())
}

/// Repeats what lies `offset` bytes, at least one, before `at`, for `length` bytes. Up to
/// [`PIECE`] bytes more are written.
///
/// # Errors
///
/// When a piece does not fit.
#[inline(always)]
fn matched(
    data: &mut [u8],
    at: usize,
    offset: usize,
    length: usize,
) -> Result<(), Corrupt> {
    let (before, to) = data.split_at_mut_checked(at).ok_or(Corrupt)?;
    let from = before
        .get(before.len().wrapping_sub(offset)..)
        .ok_or(Corrupt)?;
    let Some((piece, mut from)) = from.split_first_chunk::<PIECE>() else {
        return near(data, at, offset, length);
    };
    let (room, mut to) = to.split_first_chunk_mut::<PIECE>().ok_or(Corrupt)?;
    *room = *piece;
    let mut left = length;
    while left > PIECE {
        left = left.wrapping_sub(PIECE);
        let Some((piece, from_there)) = from.split_first_chunk::<PIECE>() else {
            return overlapping(data, at, offset, length);
        };
        let (room, to_there) = to.split_first_chunk_mut::<PIECE>().ok_or(Corrupt)?;
        *room = *piece;
        (from, to) = (from_there, to_there);
    }
    Ok(())
}

#[inline(always)]
fn piece(data: &[u8], at: usize) -> Result<[u8; PIECE], Corrupt> {
    let piece = data.get(at..).and_then(<[u8]>::first_chunk);
    piece.copied().ok_or(Corrupt)
}

#[inline(always)]
fn put(data: &mut [u8], at: usize, piece: [u8; PIECE]) -> Result<(), Corrupt> {
    let room = data.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
    *room.ok_or(Corrupt)? = piece;
    Ok(())
}

/// As [`matched`], for a match that is longer than its offset, which is not less than a piece.
#[inline(never)]
fn overlapping(data: &mut [u8], at: usize, offset: usize, length: usize) -> Result<(), Corrupt> {
    let from = at.wrapping_sub(offset);
    let mut done = 0_usize;
    while done < length {
        let next = piece(data, from.wrapping_add(done))?;
        put(data, at.wrapping_add(done), next)?;
        done = done.wrapping_add(PIECE);
    }
    Ok(())
}

/// As [`matched`], for an offset of less than a piece.
#[inline(never)]
fn near(data: &mut [u8], at: usize, offset: usize, length: usize) -> Result<(), Corrupt> {
    // The bytes of one period, over and over.
    let bits = u32::try_from(offset).map_err(|_| Corrupt)?.wrapping_mul(8);
    let start = u128::from_le_bytes(piece(data, at.wrapping_sub(offset))?);
    let mut pattern = start & !u128::MAX.wrapping_shl(bits);
    let mut width = bits;
    while width < u128::BITS && width > 0 {
        pattern |= pattern.wrapping_shl(width);
        width = width.wrapping_mul(2);
    }
    let pattern = pattern.to_le_bytes();
    let over = PIECE.checked_rem(offset).ok_or(Corrupt)?;
    let step = PIECE.wrapping_sub(over);
    let mut done = 0_usize;
    while done < length {
        put(data, at.wrapping_add(done), pattern)?;
        done = done.wrapping_add(step);
    }
    Ok(())
}

/// As [`copied`], for the end of the memory: not a byte more is read or written.
#[cold]
#[inline(never)]
fn literals_exact(
    from: &[u8],
    to: &mut [u8],
    at: usize,
    length: usize,
) -> Result<(), Corrupt> {
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
fn matched_exact(
    data: &mut [u8],
    at: usize,
    offset: usize,
    length: usize,
) -> Result<(), Corrupt> {
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
        for offset in 1..=100 {
            for length in 0..=70 {
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
        for length in 0..=80 {
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
