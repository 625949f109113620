//! Copies within the output, in pieces whose size the compiler knows.
//!
//! The output is seen as cells, so that one part of it can be read while another is written,
//! without a check that the two are apart. Bytes go through an integer of eight bytes: that is one
//! load and one store.

use core::cell::Cell;

use super::block::Corrupt;

/// Bytes that a match may write at once, and so beyond its end.
pub(super) const PIECE: usize = 32;

/// The `N` bytes from `start` on.
#[inline(always)]
pub(super) fn part<const N: usize>(
    bytes: &[Cell<u8>],
    start: usize,
) -> Result<&[Cell<u8>; N], Corrupt> {
    let bytes = bytes.get(start..).and_then(|bytes| bytes.first_chunk());
    bytes.ok_or(Corrupt)
}

/// Writes 16 bytes that lie outside of the output.
#[inline(always)]
pub(super) fn write(to: &[Cell<u8>; 16], from: &[u8; 16]) {
    for (to, byte) in to.iter().zip(u128::from_le_bytes(*from).to_le_bytes()) {
        to.set(byte);
    }
}

/// Copies 16 bytes to at least 8 bytes further on.
#[inline(always)]
pub(super) fn sixteen(from: &[Cell<u8>; 16], to: &[Cell<u8>; 16]) -> Result<(), Corrupt> {
    set(part(to, 0)?, get(part(from, 0)?));
    set(part(to, 8)?, get(part(from, 8)?));
    Ok(())
}

/// Copies 2 bytes to at least 2 bytes further on.
#[inline(always)]
pub(super) fn two([a, b]: &[Cell<u8>; 2], to: &[Cell<u8>; 2]) {
    let two = u16::from_le_bytes([a.get(), b.get()]);
    for (to, byte) in to.iter().zip(two.to_le_bytes()) {
        to.set(byte);
    }
}

#[inline(always)]
fn get([a, b, c, d, e, f, g, h]: &[Cell<u8>; 8]) -> u64 {
    u64::from_le_bytes([
        a.get(),
        b.get(),
        c.get(),
        d.get(),
        e.get(),
        f.get(),
        g.get(),
        h.get(),
    ])
}

#[inline(always)]
fn set(to: &[Cell<u8>; 8], eight: u64) {
    for (to, byte) in to.iter().zip(eight.to_le_bytes()) {
        to.set(byte);
    }
}

/// Repeats what lies `distance` bytes, at least one, before `at`, for `length` bytes. Up to
/// [`PIECE`] bytes more are written.
///
/// # Errors
///
/// When that does not fit, or starts before the output.
#[inline(always)]
pub(super) fn matched(
    output: &[Cell<u8>],
    at: usize,
    distance: usize,
    length: usize,
) -> Result<(), Corrupt> {
    if distance < 8 {
        return near(output, at, distance, length);
    }
    let mut from = output.get(at.wrapping_sub(distance)..).ok_or(Corrupt)?;
    let mut to = output.get(at..).ok_or(Corrupt)?;
    let mut left = length;
    loop {
        let (piece, from_there) = from.split_first_chunk::<PIECE>().ok_or(Corrupt)?;
        let (room, to_there) = to.split_first_chunk::<PIECE>().ok_or(Corrupt)?;
        sixteen(part(piece, 0)?, part(room, 0)?)?;
        sixteen(part(piece, 16)?, part(room, 16)?)?;
        if left <= PIECE {
            return Ok(());
        }
        left = left.wrapping_sub(PIECE);
        (from, to) = (from_there, to_there);
    }
}

/// As [`matched`], for a distance of less than 8.
#[inline(never)]
fn near(output: &[Cell<u8>], at: usize, distance: usize, length: usize) -> Result<(), Corrupt> {
    // The bytes of one period, over and over.
    let bits = u32::try_from(distance)
        .map_err(|_| Corrupt)?
        .wrapping_mul(8);
    let start = get(part(output, at.wrapping_sub(distance))?);
    let mut pattern = start & !u64::MAX.wrapping_shl(bits);
    let mut width = bits;
    while width < u64::BITS && width > 0 {
        pattern |= pattern.wrapping_shl(width);
        width = width.wrapping_mul(2);
    }
    let over = 8_usize.checked_rem(distance).ok_or(Corrupt)?;
    let step = 8_usize.wrapping_sub(over);
    let mut to = output.get(at..).ok_or(Corrupt)?;
    let mut left = length;
    loop {
        set(to.first_chunk().ok_or(Corrupt)?, pattern);
        if left <= step {
            return Ok(());
        }
        left = left.wrapping_sub(step);
        to = to.get(step..).ok_or(Corrupt)?;
    }
}

/// As [`matched`], for the end of the output: not a byte more is written.
#[cold]
#[inline(never)]
pub(super) fn matched_exact(
    output: &[Cell<u8>],
    at: usize,
    distance: usize,
    length: usize,
) -> Result<(), Corrupt> {
    let from = output.get(at.wrapping_sub(distance)..).ok_or(Corrupt)?;
    let to = output.get(at..).and_then(|to| to.get(..length));
    for (to, from) in to.ok_or(Corrupt)?.iter().zip(from) {
        to.set(from.get());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn cells(bytes: &mut [u8]) -> &[Cell<u8>] {
        Cell::from_mut(bytes).as_slice_of_cells()
    }

    #[test]
    fn every_distance_and_length() {
        let history: Vec<u8> = (0..100).collect();
        for distance in 1..=100 {
            for length in 0..=70 {
                let mut wanted = history.clone();
                for place in 0..length {
                    wanted.push(wanted[100 - distance + place]);
                }
                let mut data = history.clone();
                data.resize(100 + length, 0);
                assert_eq!(
                    matched_exact(cells(&mut data), 100, distance, length),
                    Ok(())
                );
                assert_eq!(data, wanted, "{distance} {length}");
                let mut data = history.clone();
                data.resize(100 + length + 2 * PIECE, 0xAA);
                assert_eq!(matched(cells(&mut data), 100, distance, length), Ok(()));
                assert_eq!(data[..wanted.len()], wanted, "{distance} {length}");
                let behind = wanted.len() + PIECE;
                assert!(data[behind..].iter().all(|byte| *byte == 0xAA));
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut data = [0; 70];
        let data = cells(&mut data);
        for copy in [matched, matched_exact] {
            assert_eq!(copy(data, 20, 21, 4), Err(Corrupt));
            assert_eq!(copy(data, 67, 3, 4), Err(Corrupt));
            assert_eq!(copy(data, 67, 20, 4), Err(Corrupt));
            assert_eq!(copy(data, 71, 20, 4), Err(Corrupt));
        }
        assert_eq!(matched(data, 30, 20, 33), Err(Corrupt));
        assert_eq!(matched(data, 20, 0, 4), Err(Corrupt));
    }
}
