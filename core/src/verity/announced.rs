//! A tree that something announces, and what is found in its place; not whether it is right.
//!
//! The EROFS image layer specification (draft, `spec.md` 3.5) has the tree's superblock, which holds
//! the salt, where the tree is announced; the one known writer leaves it out. Both are read: without a
//! superblock the tree is of type 1, without a salt.

use super::{
    BLOCK_SIZE_MAX, BlockHasher, HashType, Layout, Params, SUPERBLOCK_MAGIC, SUPERBLOCK_SIZE, Salt,
    Superblock,
};
use crate::oci::{Algorithm, Digest};
use crate::{At, Code, Error, Value};

/// What a superblock may say otherwise than it was thought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guess {
    /// Where the salt goes.
    pub hash_type: HashType,
    /// The salt.
    pub salt: Salt,
}

/// A tree of which it is known where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Where it starts, its superblock included; the data lies before. A multiple of the block size.
    pub hash_offset: u64,
    /// Size of data blocks and of blocks of hashes, in bytes.
    pub block_size: u64,
    /// Algorithm of the hashes.
    pub algorithm: Algorithm,
    /// The root digest; `None` where nothing states one, and the tree is held against its data alone.
    pub root: Option<Digest>,
    /// What it may turn out to be otherwise.
    pub guess: Guess,
}

/// How an announced tree is made, and where its levels lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stated {
    /// How it is made.
    pub params: Params,
    /// Where it lies.
    pub layout: Layout,
    /// Whether it has a superblock.
    pub has_superblock: bool,
}

impl Stated {
    /// What its superblock says, or what it would say.
    #[must_use]
    pub const fn guess(&self) -> Guess {
        Guess {
            hash_type: self.params.hash_type,
            salt: self.params.salt,
        }
    }
}

impl Announced {
    /// How the tree is made, as far as it is announced, with what is guessed of the rest.
    ///
    /// # Errors
    ///
    /// [`Code::VerityBlockSize`] and [`Code::VeritySize`] when there can be no such tree.
    pub(super) fn params(&self) -> Result<Params, Error> {
        let block_size = u32::try_from(self.block_size)
            .ok()
            .filter(|size| *size <= BLOCK_SIZE_MAX && *size > 0)
            .ok_or_else(|| {
                Error::new(Code::VerityBlockSize, At::Whole)
                    .found(Value::Number(self.block_size))
                    .expected(Value::Text("a power of two from 512 to 65536"))
            })?;
        let blocks = self.hash_offset.checked_div(block_size.into());
        let mut params = Params::new(self.algorithm, block_size, blocks.unwrap_or(0));
        params.hash_type = self.guess.hash_type;
        params.salt = self.guess.salt;
        if params.data_size()? != self.hash_offset {
            return Err(Error::new(Code::VeritySize, At::Whole)
                .found(Value::Number(self.hash_offset))
                .expected(Value::Text("a multiple of the block size")));
        }
        Ok(params)
    }

    /// The tree that the bytes at its place tell of: the first [`SUPERBLOCK_SIZE`] of them, or all
    /// that there are. Where they are no superblock, the tree is as it was guessed.
    ///
    /// # Errors
    ///
    /// Those of a tree that there cannot be, [`Code::VerityBlockSize`] and [`Code::VeritySize`]; as
    /// [`Superblock::parse`] for a superblock; [`Code::VerityParams`] and [`Code::VerityBlocks`] when
    /// it says other than is announced.
    pub fn stated(&self, head: &[u8]) -> Result<Stated, Error> {
        let params = self.params()?;
        let superblock = head
            .first_chunk::<SUPERBLOCK_SIZE>()
            .filter(|head| head.starts_with(&SUPERBLOCK_MAGIC));
        match superblock {
            None => Ok(Stated {
                params,
                layout: Layout::new(&params, self.hash_offset)?,
                has_superblock: false,
            }),
            Some(head) => {
                let params = self.superblock(&params, head)?;
                Ok(Stated {
                    params,
                    layout: Layout::behind_superblock(&params, self.hash_offset)?,
                    has_superblock: true,
                })
            }
        }
    }

    /// What the superblock says, which must be what is announced.
    fn superblock(&self, params: &Params, head: &[u8; SUPERBLOCK_SIZE]) -> Result<Params, Error> {
        let at = |offset: u64| At::Image(self.hash_offset.saturating_add(offset));
        let superblock = Superblock::parse(head).map_err(|error| match error.at() {
            At::Image(offset) => error.moved(at(offset)),
            _ => error,
        })?;
        let found = superblock.params;
        if found.algorithm != params.algorithm {
            return Err(Error::new(Code::VerityParams, at(32))
                .found(Value::Text(found.algorithm.name()))
                .expected(Value::Text(params.algorithm.name())));
        }
        for (offset, size) in [(64, found.data_block_size), (68, found.hash_block_size)] {
            if size != params.data_block_size {
                return Err(Error::new(Code::VerityParams, at(offset))
                    .found(Value::Number(size.into()))
                    .expected(Value::Number(params.data_block_size.into())));
            }
        }
        if found.data_blocks != params.data_blocks {
            return Err(Error::new(Code::VerityBlocks, at(72))
                .found(Value::Number(found.data_blocks))
                .expected(Value::Number(params.data_blocks)));
        }
        Ok(found)
    }
}

/// Hashes data blocks that arrive in pieces of any size, each piece by itself and on any thread.
#[derive(Clone, Debug)]
pub struct DataBlocks {
    hasher: BlockHasher,
    block_size: u32,
    end: u64,
}

impl DataBlocks {
    /// Those that a tree covers which is made so.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self {
            hasher: BlockHasher::new(params),
            block_size: params.data_block_size,
            end: params
                .data_blocks
                .saturating_mul(params.data_block_size.into()),
        }
    }

    /// The hashes of the blocks that lie as a whole in these bytes, which begin at `offset` of the
    /// data, in their order.
    pub fn digests(&self, offset: u64, bytes: &[u8], each: impl FnMut(Digest)) {
        let size = u64::from(self.block_size).max(1);
        let head = offset.checked_next_multiple_of(size).unwrap_or(u64::MAX);
        let skipped = usize::try_from(head.saturating_sub(offset));
        let room = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let data = bytes.get(..room).unwrap_or(bytes);
        let whole = skipped.ok().and_then(|skipped| data.get(skipped..));
        self.hasher
            .digests(whole.unwrap_or_default(), self.block_size, each);
    }
}
