//! The tree that grows, held against one that is stored.

use super::{Layout, Params, Sink};
use crate::erofs::ReadAt;

/// Where a stored tree is another than the one that its data makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The level, counted from the data up.
    pub level: usize,
    /// The byte of the level at which the hash lies that is another, or the zeros that should fill
    /// up a block.
    pub offset: u64,
    /// Whether it is zeros that should be there.
    pub is_spare: bool,
}

impl Difference {
    /// The data block that the difference is about, counted from 0, if it is about one: its hash is
    /// another than the one that is stored. Which of the two was changed, [`super::check_block`] says.
    #[must_use]
    pub fn data_block(&self, params: &Params) -> Option<u64> {
        (self.level == 0 && !self.is_spare).then(|| self.hash(params))
    }

    /// Which hash of its level it is about, counted from 0.
    fn hash(&self, params: &Params) -> u64 {
        let size = params.algorithm.size() as u64;
        self.offset.checked_div(size).unwrap_or(0)
    }

    /// The byte that `veritysetup verify` names: the start of the block whose hash is not the one that
    /// is stored, in the data or in what holds the tree; for zeros their first byte.
    #[must_use]
    pub fn position(&self, params: &Params, layout: &Layout) -> u64 {
        let level = |place: usize| layout.levels().get(place).copied().unwrap_or_default();
        if self.is_spare {
            return level(self.level).offset.saturating_add(self.offset);
        }
        let block = self.hash(params);
        match self.level.checked_sub(1) {
            None => block.saturating_mul(params.data_block_size.into()),
            Some(below) => block
                .saturating_mul(params.hash_block_size.into())
                .saturating_add(level(below).offset),
        }
    }
}

/// Takes a tree as it grows and compares it with what is stored.
#[derive(Clone, Debug)]
pub struct Compare<'a, R: ?Sized> {
    stored: &'a R,
    layout: &'a Layout,
    difference: Option<Difference>,
    hash_size: usize,
}

impl<'a, R: ReadAt + ?Sized> Compare<'a, R> {
    /// Compares with the tree that lies so in `stored`.
    #[must_use]
    pub const fn new(params: &Params, layout: &'a Layout, stored: &'a R) -> Self {
        Self {
            stored,
            layout,
            difference: None,
            hash_size: params.algorithm.size(),
        }
    }

    /// The difference that counts so far: of the lowest level, and the first there, as `veritysetup`
    /// goes through them. What is found at level 0 stays.
    #[must_use]
    pub const fn difference(&self) -> Option<Difference> {
        self.difference
    }
}

impl<R: ReadAt + ?Sized> Sink for Compare<'_, R> {
    type Error = R::Error;

    fn write(&mut self, level: usize, offset: u64, bytes: &[u8]) -> Result<(), R::Error> {
        if self.difference.is_some_and(|known| known.level <= level) {
            return Ok(());
        }
        let Some(place) = self.layout.levels().get(level) else {
            return Ok(());
        };
        let mut from = place.offset.saturating_add(offset);
        let mut stored = [0; 64];
        for piece in bytes.chunks(stored.len()) {
            let Some(stored) = stored.get_mut(..piece.len()) else {
                break;
            };
            self.stored.read_at(from, stored)?;
            if stored != piece {
                self.difference = Some(Difference {
                    level,
                    offset,
                    // A hash comes by itself, and is not zeros.
                    is_spare: bytes.len() != self.hash_size || bytes.iter().all(|byte| *byte == 0),
                });
                break;
            }
            from = from.saturating_add(piece.len() as u64);
        }
        Ok(())
    }
}
