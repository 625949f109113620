//! Sparse files: how large their chunks are, and which of them have data.

use alloc::vec::Vec;

use crate::{At, Code, Error};

/// Most bits by which a chunk is larger than a block (`EROFS_CHUNK_FORMAT_BLKBITS_MASK`).
const FORMAT_BITS: u32 = 31;
/// Size of a chunk's address in the map, in bytes (`EROFS_BLOCK_MAP_ENTRY_SIZE`).
const ADDRESS: u64 = 4;

/// A file in chunks, some of which are holes.
#[derive(Debug)]
pub(super) struct Sparse {
    /// Size of a chunk, as a power of two.
    pub(super) chunk_bits: u32,
    /// Size of the file in bytes.
    pub(super) size: u64,
    /// Runs of chunks with data: the first, and how many.
    pub(super) runs: Vec<(u64, u64)>,
    /// Where its data are, as they were told.
    pub(super) extents: Vec<(u64, u64)>,
}

impl Sparse {
    /// The chunks in which a file takes the fewest bytes, map included, or `None` where it takes
    /// none fewer than without holes.
    pub(super) fn plan(
        size: u64,
        extents: &[(u64, u64)],
        block_bits: u32,
    ) -> Result<Option<Self>, Error> {
        let mut best = (blocks(size, block_bits), None);
        let largest = block_bits.saturating_add(FORMAT_BITS).min(63);
        for bits in block_bits..=largest {
            let chunks = blocks(size, bits) >> bits;
            let mut cost = chunks.saturating_mul(ADDRESS);
            for_runs(extents, bits, |first, count| {
                let start = first << bits;
                let end = first
                    .saturating_add(count)
                    .checked_shl(bits)
                    .unwrap_or(u64::MAX)
                    .min(blocks(size, block_bits));
                cost = cost.saturating_add(end.saturating_sub(start));
                Ok(())
            })?;
            if cost < best.0 {
                best = (cost, Some(bits));
            }
            // One chunk is the whole file: larger ones are the same.
            if chunks <= 1 {
                break;
            }
        }
        let Some(chunk_bits) = best.1 else {
            return Ok(None);
        };
        let mut runs = Vec::new();
        for_runs(extents, chunk_bits, |first, count| {
            runs.try_reserve(1)
                .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
            runs.push((first, count));
            Ok(())
        })?;
        let mut kept = Vec::new();
        kept.try_reserve_exact(extents.len())
            .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
        kept.extend_from_slice(extents);
        Ok(Some(Self {
            chunk_bits,
            size,
            runs,
            extents: kept,
        }))
    }

    /// How many chunks there are, holes included.
    pub(super) const fn chunks(&self) -> u64 {
        blocks(self.size, self.chunk_bits) >> self.chunk_bits
    }

    /// Size of the map in bytes.
    pub(super) const fn map_size(&self) -> u64 {
        self.chunks().saturating_mul(ADDRESS)
    }

    /// How many bytes of the image the chunks take that are no holes.
    pub(super) fn stored(&self, block_bits: u32) -> u64 {
        let end = blocks(self.size, block_bits);
        self.runs.iter().fold(0, |sum: u64, (first, count)| {
            let to = (first.saturating_add(*count) << self.chunk_bits).min(end);
            sum.saturating_add(to.saturating_sub(first << self.chunk_bits))
        })
    }

    /// The run of chunks that a byte of the file lies in: its number, its start and its end in bytes
    /// of the file; `None` in a hole.
    pub(super) fn run_at(&self, offset: u64) -> Option<(usize, u64, u64)> {
        let chunk = offset >> self.chunk_bits;
        let behind = self.runs.partition_point(|(first, _)| *first <= chunk);
        let number = behind.checked_sub(1)?;
        let (first, count) = *self.runs.get(number)?;
        let end = first.saturating_add(count);
        (chunk < end).then_some((number, first << self.chunk_bits, end << self.chunk_bits))
    }
}

/// A size in whole blocks, in bytes.
const fn blocks(size: u64, bits: u32) -> u64 {
    match (1_u64 << bits).checked_sub(1) {
        Some(mask) => size.saturating_add(mask) & !mask,
        None => size,
    }
}

/// Calls `each` for every run of chunks that hold data: the first, and how many.
fn for_runs(
    extents: &[(u64, u64)],
    bits: u32,
    mut each: impl FnMut(u64, u64) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut run: Option<(u64, u64)> = None;
    for (offset, length) in extents.iter().filter(|(_, length)| *length > 0) {
        let first = offset >> bits;
        let end = (offset.saturating_add(*length).saturating_sub(1) >> bits).saturating_add(1);
        run = Some(match run {
            Some((start, until)) if first <= until => (start, until.max(end)),
            Some((start, until)) => {
                each(start, until.saturating_sub(start))?;
                (first, end)
            }
            None => (first, end),
        });
    }
    match run {
        Some((start, until)) => each(start, until.saturating_sub(start)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_one_hole_is_one_chunk() {
        let sparse = Sparse::plan(1 << 40, &[], 12).unwrap().unwrap();
        assert_eq!(sparse.chunks(), 1);
        assert_eq!(sparse.stored(12), 0);
        assert_eq!(sparse.run_at(5), None);
    }

    #[test]
    fn the_map_is_not_larger_than_what_it_saves() {
        // A block at either end of 1 GiB: small chunks would take a map of a mebibyte.
        let extents = [(0, 4096), ((1 << 30) - 4096, 4096)];
        let sparse = Sparse::plan(1 << 30, &extents, 12).unwrap().unwrap();
        let total = sparse.map_size() + sparse.stored(12);
        assert!(total < 200_000, "{sparse:?}: {total}");
        assert_eq!(sparse.runs.len(), 2);
        let chunk = 1 << sparse.chunk_bits;
        assert_eq!(sparse.run_at(0), Some((0, 0, chunk)));
        assert_eq!(sparse.run_at(chunk), None);
        assert_eq!(
            sparse.run_at((1 << 30) - 1),
            Some((1, (1 << 30) - chunk, 1 << 30))
        );
    }

    #[test]
    fn what_saves_nothing_is_no_sparse_file() {
        assert!(
            Sparse::plan(4096, &[(0, 1), (4000, 1)], 12)
                .unwrap()
                .is_none()
        );
        assert!(Sparse::plan(8192, &[(0, 5000)], 12).unwrap().is_none());
        assert!(Sparse::plan(0, &[], 12).unwrap().is_none());
    }

    #[test]
    fn neighbours_are_one_run() {
        let extents = [(0, 10), (4096, 10), (8192, 0), (1 << 20, 4096)];
        let sparse = Sparse::plan((1 << 20) + 4096, &extents, 12)
            .unwrap()
            .unwrap();
        // In chunks of two blocks the map is half as large, and the content no larger.
        assert_eq!(sparse.chunk_bits, 13);
        assert_eq!(sparse.runs, [(0, 1), (128, 1)]);
        assert_eq!(sparse.stored(12), 3 * 4096);
    }
}
