//! Where inodes lie: slots of 32 bytes, filled so that what must not cross a block does not.

use alloc::vec::Vec;

use crate::{At, Code, Error};

/// Size of a slot in bytes.
pub(super) const SLOT: u64 = 32;

/// Gives slots away. What fits into a block lies in one, and where blocks have room left that
/// suits, the one with the least of it is taken.
#[derive(Debug)]
pub(super) struct Slots {
    /// Slots in a block.
    per_block: usize,
    /// The first slot behind all that were given away or are left over.
    end: u64,
    /// For each number of slots that may be left over in a block: where they start.
    left: Vec<Vec<u32>>,
    /// One bit for each of these lists that is not empty.
    some: Vec<u64>,
}

impl Slots {
    pub(super) fn new(block_size: u64) -> Result<Self, Error> {
        let per_block = usize::try_from(block_size / SLOT).unwrap_or(usize::MAX);
        let mut left = Vec::new();
        left.try_reserve_exact(per_block).map_err(|_| memory())?;
        left.resize_with(per_block, Vec::new);
        Ok(Self {
            per_block,
            end: 0,
            left,
            some: alloc::vec![0; per_block.div_ceil(64)],
        })
    }

    /// The first slot behind all.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Takes as many slots as hold `size` bytes, and gives the first.
    pub(super) fn take(&mut self, size: u64) -> Result<u32, Error> {
        let count = usize::try_from(size.div_ceil(SLOT)).map_err(|_| memory())?;
        if let Some((start, left)) = self.fitting(count) {
            let rest = u32::try_from(count)
                .ok()
                .and_then(|count| start.checked_add(count))
                .ok_or_else(full)?;
            self.leave(rest, left.saturating_sub(count))?;
            return Ok(start);
        }
        // A new block, or as many as it needs.
        let start = u32::try_from(self.end).map_err(|_| full())?;
        let blocks = count.div_ceil(self.per_block.max(1));
        let taken = blocks.saturating_mul(self.per_block);
        self.end = self.end.saturating_add(taken as u64);
        let rest = self.end.saturating_sub(taken.saturating_sub(count) as u64);
        self.leave(
            u32::try_from(rest).map_err(|_| full())?,
            taken.saturating_sub(count),
        )?;
        Ok(start)
    }

    /// The smallest room for `count` slots that is left over, and how many it has.
    fn fitting(&mut self, count: usize) -> Option<(u32, usize)> {
        let mut word = count / 64;
        let mut mask = u64::MAX << (count % 64);
        let left = loop {
            let bits = self.some.get(word)? & mask;
            if bits != 0 {
                break word
                    .saturating_mul(64)
                    .saturating_add(bits.trailing_zeros() as usize);
            }
            word = word.saturating_add(1);
            mask = u64::MAX;
        };
        let list = self.left.get_mut(left)?;
        let start = list.pop()?;
        if list.is_empty()
            && let Some(bits) = self.some.get_mut(left / 64)
        {
            *bits &= !(1 << (left % 64));
        }
        Some((start, left))
    }

    /// Notes room that is left over.
    fn leave(&mut self, start: u32, count: usize) -> Result<(), Error> {
        if count == 0 {
            return Ok(());
        }
        if let (Some(list), Some(bits)) = (self.left.get_mut(count), self.some.get_mut(count / 64))
        {
            list.try_reserve(1).map_err(|_| memory())?;
            list.push(start);
            *bits |= 1 << (count % 64);
        }
        Ok(())
    }
}

const fn memory() -> Error {
    Error::new(Code::MetadataMemory, At::Whole)
}

/// More inodes than slots can be numbered.
const fn full() -> Error {
    Error::new(Code::InodeLimit, At::Whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_into_a_block_lies_in_one() {
        let mut slots = Slots::new(512).unwrap();
        assert_eq!(slots.take(500).unwrap(), 0);
        assert_eq!(slots.take(64).unwrap(), 16);
        assert_eq!(slots.take(416).unwrap(), 18);
        assert_eq!(slots.take(480).unwrap(), 32);
        // The smallest room that suits.
        assert_eq!(slots.take(32).unwrap(), 47);
        assert_eq!(slots.take(32).unwrap(), 31);
        // More than a block starts one.
        assert_eq!(slots.take(1030).unwrap(), 48);
        assert_eq!(slots.take(480).unwrap(), 81);
        assert_eq!(slots.end(), 96);
    }
}
