//! Copies of matches, in pieces whose size the compiler knows.

use super::bits::low_half;

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
fn piece<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

#[inline(always)]
fn put<const N: usize>(data: &mut [u8], at: usize, piece: [u8; N]) -> Option<()> {
    *data.get_mut(at..)?.first_chunk_mut()? = piece;
    Some(())
}

/// Repeats from `distance` bytes back, which is not less than `N`.
#[inline(always)]
fn forward<const N: usize>(
    data: &mut [u8],
    at: usize,
    distance: usize,
    length: usize,
) -> Option<()> {
    let end = at.wrapping_add(length);
    let mut at = at;
    while at < end {
        let next: [u8; N] = piece(data, at.wrapping_sub(distance))?;
        put(data, at, next)?;
        at = at.wrapping_add(N);
    }
    Some(())
}

/// As [`matched`], for a match that is longer than its distance, which is not less than a piece.
#[inline(never)]
fn overlapping(data: &mut [u8], at: usize, distance: usize, length: usize) -> Option<()> {
    forward::<PIECE>(data, at, distance, length)
}

/// As [`matched`], for a distance of less than a piece.
#[inline(never)]
fn near(data: &mut [u8], at: usize, distance: usize, length: usize) -> Option<()> {
    if distance >= 8 {
        return forward::<8>(data, at, distance, length);
    }
    // The bytes of one period, as often as they fit.
    let start = u64::from_le_bytes(piece(data, at.wrapping_sub(distance))?);
    let (ones, step): (u64, usize) = match distance {
        1 => (0x0101_0101_0101_0101, 8),
        2 => (0x0001_0001_0001_0001, 8),
        3 => (0x0001_0000_0100_0001, 6),
        4 => (0x0000_0001_0000_0001, 8),
        5 => (0x0000_0100_0000_0001, 5),
        6 => (0x0001_0000_0000_0001, 6),
        7 => (0x0100_0000_0000_0001, 7),
        _ => return None,
    };
    let period = start & !u64::MAX.wrapping_shl(low_half(distance as u64).wrapping_mul(8));
    let pattern = period.wrapping_mul(ones).to_le_bytes();
    let end = at.wrapping_add(length);
    let mut at = at;
    while at < end {
        put(data, at, pattern)?;
        at = at.wrapping_add(step);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_distance_and_length() {
        let history: Vec<u8> = (0..100).collect();
        for distance in 1..=100 {
            for length in 1..=70 {
                let mut wanted = history.clone();
                for place in 0..length {
                    wanted.push(wanted[100 - distance + place]);
                }
                let mut data = history.clone();
                data.resize(100 + length, 0xAA);
                assert_eq!(exact(&mut data, 100, distance, 100 + length), length);
                assert_eq!(data, wanted, "{distance} {length}");
                let mut data = history.clone();
                data.resize(100 + length + 2 * PIECE, 0xAA);
                assert_eq!(matched(&mut data, 100, distance, length), Some(()));
                assert_eq!(data[..wanted.len()], wanted, "{distance} {length}");
                let behind = wanted.len() + PIECE - 1;
                assert!(data[behind..].iter().all(|byte| *byte == 0xAA));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_not_copied() {
        let mut data = [7; 40];
        for (at, distance, length) in [
            (20, 21, 4),
            (30, 20, 4),
            (41, 20, 4),
            (38, 3, 4),
            (20, 0, 4),
        ] {
            assert_eq!(
                matched(&mut data, at, distance, length),
                None,
                "{at} {distance}"
            );
        }
        assert_eq!(matched(&mut data, 20, 20, 17), None);
        assert_eq!(exact(&mut data, 20, 21, 30), 0);
        assert_eq!(data, [7; 40]);
    }
}
