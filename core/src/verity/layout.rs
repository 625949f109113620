//! Where the levels of a tree lie.

use super::params::too_large;
use super::{Params, SUPERBLOCK_SIZE};
use crate::Error;

/// Most levels: those over 2^63 bytes in blocks of 512, with eight hashes in a block.
pub const LEVELS_MAX: usize = 18;

/// One level of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Where its first block lies, in bytes of what holds the tree.
    pub offset: u64,
    /// How many blocks it has.
    pub blocks: u64,
}

/// The place of each level. Level 0 holds the hashes of the data; the last one is a single block,
/// whose hash is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    levels: [Level; LEVELS_MAX],
    count: usize,
    block_size: u32,
    start: u64,
    end: u64,
}

impl Layout {
    /// The tree whose first block lies at `start`, a byte of what holds it. The level of the root
    /// comes first there.
    ///
    /// # Errors
    ///
    /// [`Code::VerityBlockSize`](crate::Code::VerityBlockSize) and
    /// [`Code::VeritySize`](crate::Code::VeritySize) when the numbers are impossible.
    pub fn new(params: &Params, start: u64) -> Result<Self, Error> {
        params.data_size()?;
        let mut levels = [Level::default(); LEVELS_MAX];
        let mut count: usize = 0;
        let mut below = params.data_blocks;
        while below > 1 {
            below = below.div_ceil(params.hashes_per_block());
            let Some(level) = levels.get_mut(count) else {
                return Err(too_large(params.data_blocks));
            };
            level.blocks = below;
            count = count.saturating_add(1);
        }
        let mut end = Some(start);
        for level in levels.iter_mut().take(count).rev() {
            let offset = end.filter(|end| *end <= i64::MAX as u64);
            level.offset = offset.ok_or_else(|| too_large(params.data_blocks))?;
            end = level
                .blocks
                .checked_mul(params.hash_block_size.into())
                .and_then(|size| level.offset.checked_add(size));
        }
        Ok(Self {
            levels,
            count,
            block_size: params.hash_block_size,
            start,
            end: end.ok_or_else(|| too_large(params.data_blocks))?,
        })
    }

    /// The tree whose superblock lies at `offset`: it begins at the next block of hashes. Without a
    /// superblock it begins in the block that `offset` lies in the beginning of.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn behind_superblock(params: &Params, offset: u64) -> Result<Self, Error> {
        params.data_size()?;
        let start = offset
            .checked_add(SUPERBLOCK_SIZE as u64)
            .and_then(|end| end.checked_next_multiple_of(params.hash_block_size.into()))
            .ok_or_else(|| too_large(params.data_blocks))?;
        Self::new(params, start)
    }

    /// The levels, from the one above the data to the root's. A single data block has none.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        self.levels.get(..self.count).unwrap_or(&[])
    }

    /// Size of a block of hashes in bytes.
    #[must_use]
    pub const fn block_size(&self) -> u32 {
        self.block_size
    }

    /// Where the tree begins, in bytes of what holds it; a superblock lies before.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Where the tree ends: the byte behind it.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// How many blocks of hashes there are.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.levels()
            .iter()
            .fold(0, |sum, level| level.blocks.saturating_add(sum))
    }
}
