//! A tree as it grows, from the first data block to the root.

use super::{BlockHasher, LEVELS_MAX, Params};
use crate::oci::{Digest, Hasher};

/// Takes the levels of a tree as they come to be.
pub trait Sink {
    /// What can go wrong.
    type Error;

    /// Takes the next bytes of a level, counted from the data up; `offset` is their place in the
    /// level, in bytes. Each level comes in its order, without gaps, up to the end of its last
    /// block.
    ///
    /// # Errors
    ///
    /// When they cannot be taken: the tree is useless then.
    fn write(&mut self, level: usize, offset: u64, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Keeps nothing: for the root alone.
impl Sink for () {
    type Error = core::convert::Infallible;

    fn write(&mut self, _level: usize, _offset: u64, _bytes: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    type Error = S::Error;

    fn write(&mut self, level: usize, offset: u64, bytes: &[u8]) -> Result<(), Self::Error> {
        (**self).write(level, offset, bytes)
    }
}

/// What a tree came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// The root digest.
    pub digest: Digest,
    /// How many data blocks it covers.
    pub data_blocks: u64,
}

/// A level: of it only the block that is being filled is known.
#[derive(Clone, Debug)]
struct Growing {
    block: Hasher,
    /// How many bytes of the block there are.
    filled: usize,
    /// Where the level ends so far, in bytes.
    end: u64,
}

/// A tree that grows by the hashes of its data blocks.
///
/// How many there are need not be known beforehand: a block is closed when the next hash of its
/// level comes, or at the end.
#[derive(Clone, Debug)]
pub struct Tree {
    hasher: BlockHasher,
    block_size: usize,
    levels: [Growing; LEVELS_MAX],
    /// The first hash, until there is a second: one by itself has no level.
    first: Option<Digest>,
    data_blocks: u64,
}

impl Tree {
    /// A tree without data yet. The number of data blocks in `params` is not looked at.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        let hasher = BlockHasher::new(params);
        let level = Growing {
            block: hasher.begin(),
            filled: 0,
            end: 0,
        };
        Self {
            block_size: usize::try_from(params.hash_block_size).unwrap_or(usize::MAX),
            levels: core::array::from_fn(|_| level.clone()),
            hasher,
            first: None,
            data_blocks: 0,
        }
    }

    /// How many data blocks have come.
    #[must_use]
    pub const fn data_blocks(&self) -> u64 {
        self.data_blocks
    }

    /// Takes the hash of the next data block.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn push<S: Sink>(&mut self, digest: Digest, sink: &mut S) -> Result<(), S::Error> {
        self.data_blocks = self.data_blocks.saturating_add(1);
        if self.data_blocks == 1 {
            self.first = Some(digest);
            return Ok(());
        }
        if let Some(first) = self.first.take() {
            self.add(first, 0, sink)?;
        }
        self.add(digest, 0, sink)
    }

    /// Adds a hash to a level; what that fills goes up from there.
    fn add<S: Sink>(&mut self, digest: Digest, from: usize, sink: &mut S) -> Result<(), S::Error> {
        let mut carried = digest;
        for level in from..LEVELS_MAX {
            let is_full = self
                .levels
                .get(level)
                .is_some_and(|level| level.filled >= self.block_size);
            let closed = if is_full {
                self.close(level, sink)?
            } else {
                None
            };
            self.write(level, carried.as_bytes(), sink)?;
            match closed {
                Some(digest) => carried = digest,
                None => break,
            }
        }
        Ok(())
    }

    /// Adds bytes to the block of a level.
    fn write<S: Sink>(&mut self, place: usize, bytes: &[u8], sink: &mut S) -> Result<(), S::Error> {
        let Some(level) = self.levels.get_mut(place) else {
            return Ok(());
        };
        sink.write(place, level.end, bytes)?;
        level.block.update(bytes);
        level.filled = level.filled.saturating_add(bytes.len());
        level.end = level.end.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Fills the block of a level up with zeros, begins the next one, and gives its hash.
    fn close<S: Sink>(&mut self, place: usize, sink: &mut S) -> Result<Option<Digest>, S::Error> {
        const ZEROS: [u8; 4096] = [0; 4096];
        loop {
            let filled = self.levels.get(place).map_or(0, |level| level.filled);
            let missing = self.block_size.saturating_sub(filled);
            if missing == 0 {
                break;
            }
            let zeros = ZEROS.get(..missing).unwrap_or(&ZEROS);
            self.write(place, zeros, sink)?;
        }
        let next = self.hasher.begin();
        Ok(self.levels.get_mut(place).map(|level| {
            level.filled = 0;
            self.hasher.end(core::mem::replace(&mut level.block, next))
        }))
    }

    /// Says that there are no more data blocks. `None` when there were none at all.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn finish<S: Sink>(mut self, sink: &mut S) -> Result<Option<Root>, S::Error> {
        let root = |digest| Root {
            digest,
            data_blocks: self.data_blocks,
        };
        if self.data_blocks < 2 {
            return Ok(self.first.map(root));
        }
        for level in 0..LEVELS_MAX {
            let Some(digest) = self.close(level, sink)? else {
                break;
            };
            let is_only = self
                .levels
                .get(level)
                .is_some_and(|level| level.end == self.block_size as u64);
            if is_only {
                return Ok(Some(Root {
                    digest,
                    data_blocks: self.data_blocks,
                }));
            }
            self.add(digest, level.saturating_add(1), sink)?;
        }
        // More data blocks than 63 bits count bytes of.
        Ok(None)
    }
}

/// A tree that grows by data, which comes in any pieces.
#[derive(Clone, Debug)]
pub struct Builder {
    tree: Tree,
    hasher: BlockHasher,
    block_size: u32,
    /// The data block that has begun, and how many bytes of it there are.
    block: Hasher,
    filled: usize,
}

impl Builder {
    /// A tree without data yet. The number of data blocks in `params` is not looked at.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        let hasher = BlockHasher::new(params);
        Self {
            tree: Tree::new(params),
            block: hasher.begin(),
            hasher,
            block_size: params.data_block_size,
            filled: 0,
        }
    }

    /// Takes the next data.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn update<S: Sink>(&mut self, mut data: &[u8], sink: &mut S) -> Result<(), S::Error> {
        let size = usize::try_from(self.block_size)
            .unwrap_or(usize::MAX)
            .max(1);
        if self.filled > 0 {
            let room = size.saturating_sub(self.filled);
            let (head, rest) = data.split_at_checked(room).unwrap_or((data, &[]));
            self.begin_or_fill(head, size, sink)?;
            data = rest;
        }
        let whole = data
            .len()
            .saturating_sub(data.len().checked_rem(size).unwrap_or(0));
        let (blocks, rest) = data.split_at_checked(whole).unwrap_or((data, &[]));
        let (hasher, tree) = (&self.hasher, &mut self.tree);
        let mut result = Ok(());
        hasher.digests(blocks, self.block_size, |digest| {
            if result.is_ok() {
                result = tree.push(digest, sink);
            }
        });
        result?;
        self.begin_or_fill(rest, size, sink)
    }

    /// Takes the next data block by its hash, where the one before has come as a whole.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn push<S: Sink>(&mut self, digest: Digest, sink: &mut S) -> Result<(), S::Error> {
        self.tree.push(digest, sink)
    }

    /// Takes data that does not go beyond the end of a block.
    fn begin_or_fill<S: Sink>(
        &mut self,
        data: &[u8],
        size: usize,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        self.block.update(data);
        self.filled = self.filled.saturating_add(data.len());
        if self.filled < size {
            return Ok(());
        }
        self.filled = 0;
        let next = self.hasher.begin();
        let digest = self.hasher.end(core::mem::replace(&mut self.block, next));
        self.tree.push(digest, sink)
    }

    /// Says that the data has ended. Zeros fill up its last block. `None` when there was no data.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn finish<S: Sink>(mut self, sink: &mut S) -> Result<Option<Root>, S::Error> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let size = usize::try_from(self.block_size).unwrap_or(usize::MAX);
        while self.filled > 0 {
            let missing = size.saturating_sub(self.filled);
            let zeros = ZEROS.get(..missing).unwrap_or(&ZEROS);
            self.begin_or_fill(zeros, size, sink)?;
        }
        self.tree.finish(sink)
    }
}
