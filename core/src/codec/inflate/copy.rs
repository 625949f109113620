//! Copies of matches, in pieces whose size the compiler knows.

/// Bytes that are copied at once. Less than that is written over the end of what is wanted.
pub(super) const PIECE: usize = 16;

/// Repeats what lies `distance` bytes before `at`, for `length` bytes, not zero. Less than
/// [`PIECE`] bytes more are written. `None`, with no more than that written, when the distance is
/// none or reaches to before the data, or when a piece does not fit.
#[inline(always)]
pub(super) fn matched(data: &mut [u8], at: usize, distance: usize, length: usize) -> Option<()> {
    let (before, to) = data.split_at_mut_checked(at)?;
    let from = before.get(before.len().wrapping_sub(distance)..)?;
    let Some((piece, mut from)) = from.split_first_chunk::<PIECE>() else {
        return near(data, at, distance, length);
    };
    let (room, mut to) = to.split_first_chunk_mut::<PIECE>()?;
    *room = *piece;
    let mut left = length;
    while left > PIECE {
        left = left.wrapping_sub(PIECE);
        let Some((piece, from_there)) = from.split_first_chunk::<PIECE>() else {
            return overlapping(data, at, distance, length);
        };
        let (room, to_there) = to.split_first_chunk_mut::<PIECE>()?;
        *room = *piece;
        (from, to) = (from_there, to_there);
    }
    Some(())
}

#[inline(always)]
fn piece(data: &[u8], at: usize) -> Option<[u8; PIECE]> {
    data.get(at..)?.first_chunk().copied()
}

#[inline(always)]
fn put(data: &mut [u8], at: usize, piece: [u8; PIECE]) -> Option<()> {
    *data.get_mut(at..)?.first_chunk_mut()? = piece;
    Some(())
}

/// As [`matched`], for a match that is longer than its distance, which is not less than a piece.
#[inline(never)]
fn overlapping(data: &mut [u8], at: usize, distance: usize, length: usize) -> Option<()> {
    let from = at.wrapping_sub(distance);
    let mut done = 0_usize;
    while done < length {
        let next = piece(data, from.wrapping_add(done))?;
        put(data, at.wrapping_add(done), next)?;
        done = done.wrapping_add(PIECE);
    }
    Some(())
}

/// As [`matched`], for a distance of less than a piece.
#[inline(never)]
fn near(data: &mut [u8], at: usize, distance: usize, length: usize) -> Option<()> {
    // The bytes of one period, over and over.
    let bits = u32::try_from(distance).ok()?.wrapping_mul(8);
    let start = u128::from_le_bytes(piece(data, at.wrapping_sub(distance))?);
    let mut pattern = start & !u128::MAX.wrapping_shl(bits);
    let mut width = bits;
    while width < u128::BITS && width > 0 {
        pattern |= pattern.wrapping_shl(width);
        width = width.wrapping_mul(2);
    }
    let pattern = pattern.to_le_bytes();
    let over = PIECE.checked_rem(distance)?;
    let step = PIECE.wrapping_sub(over);
    let mut done = 0_usize;
    while done < length {
        put(data, at.wrapping_add(done), pattern)?;
        done = done.wrapping_add(step);
    }
    Some(())
}

/// Repeats what lies `distance` bytes before `at`, up to `end`, and not a byte more. Says how
/// many bytes that were: none when the distance is none or reaches to before the data.
pub(super) fn exact(data: &mut [u8], at: usize, distance: usize, end: usize) -> usize {
    let Some(start) = at.checked_sub(distance) else {
        return 0;
    };
    for (to, from) in (at..end).zip(start..at.max(end)) {
        let byte = data.get(from).copied().unwrap_or(0);
        if let Some(to) = data.get_mut(to) {
            *to = byte;
        }
    }
    end.saturating_sub(at)
}
