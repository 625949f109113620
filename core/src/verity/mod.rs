//! dm-verity: a tree of hashes over the blocks of an image, whose root vouches for each of them.
//!
//! Follows `Documentation/admin-guide/device-mapper/verity.rst` and `drivers/md/dm-verity-target.c`
//! of Linux, and the on-disk format of cryptsetup (`lib/verity`, and its page DMVerity). The data is
//! cut into blocks, each is hashed, the hashes are put into blocks of their own and hashed, level by
//! level, until one block holds all of a level: its hash is the root. On disk the root's level comes
//! first, behind a superblock or without one. A single data block has no level: its hash is the root.
//!
//! | what | is |
//! |---|---|
//! | [`Superblock`] | the 512 bytes that say how a tree was made |
//! | [`Params`], [`Layout`] | the same without a place on disk; where the levels lie |
//! | [`BlockHasher`] | the hash of one block |
//! | [`Tree`], [`Builder`] | the tree as it grows, of hashes or of data in any pieces |
//! | [`Compare`] | holds the tree that grows against one that is stored |
//! | [`StreamCheck`] | data and tree as they stream past, without reading anything twice |
//! | [`Announced`], [`Stated`] | a tree that something announces, and what is found in its place |
//! | [`check_block`], [`check_blocks`] | data blocks by their paths up to the root |
//! | [`DataBlocks`] | the hashes of data blocks in pieces of the data, for several threads |
//! | [`parity`] | parity of forward error correction, which has no form of its own on disk |
//!
//! Nothing here needs an allocator. What a tree takes in memory is a running hash for each of its
//! levels, some 5 KiB in all, whatever it covers.

mod announced;
mod compare;
mod hash;
mod layout;
mod params;
pub mod parity;
mod path;
mod stream;
mod superblock;
mod tree;

pub use announced::{Announced, DataBlocks, Guess, Stated};
pub use compare::{Compare, Difference};
pub use hash::BlockHasher;
pub use layout::{LEVELS_MAX, Layout, Level};
pub use params::{BLOCK_SIZE_MAX, BLOCK_SIZE_MIN, HashType, Params, SALT_MAX, Salt};
pub use path::{check_block, check_blocks};
pub use stream::{StreamCheck, Verified};
pub use superblock::{SUPERBLOCK_MAGIC, SUPERBLOCK_SIZE, Superblock};
pub use tree::{Builder, Root, Sink, Tree};

#[cfg(test)]
mod tests;
