//! What is known of a layer before its first byte is read.

use crate::codec::Compression;
use crate::oci::{Algorithm, Digest};
use crate::verity::{Announced, Guess};

/// What a layer's decoded bytes must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Content {
    /// An EROFS image.
    #[default]
    Erofs,
    /// Any bytes: a device layer, of which only digest, diffID and limits are checked, or a
    /// chunk index, whose reader checks it by itself.
    Bytes,
}

/// Which devices are attached to an image besides the image itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Devices {
    /// It is not known. What the device table addresses as one with the image may be in it.
    #[default]
    Unknown,
    /// This many device layers. With none, what the device table addresses as one with the
    /// image must be in it, as it is where `mkfs.erofs --tar=i` made it.
    Attached(u16),
}

/// A dm-verity tree that follows the image, as the `org.erofs.dmverity.*` annotations state
/// it (EROFS image layer specification, section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerityTree {
    /// Where the tree starts, in bytes of the image; what it covers lies before.
    pub hash_offset: u64,
    /// Size of a data block and of a hash block, in bytes.
    pub block_size: u64,
    /// Size of one digest in the tree, in bytes.
    pub digest_size: u64,
    /// The root digest. With `None` nothing but the tree's size is looked at.
    pub root: Option<Digest>,
    /// What the tree's superblock is thought to say, before it has come.
    pub guess: Guess,
}

impl VerityTree {
    /// The tree that starts at this byte, with this root.
    #[must_use]
    pub fn new(hash_offset: u64, block_size: u64, root: Digest) -> Self {
        Self {
            hash_offset,
            block_size,
            digest_size: root.as_bytes().len() as u64,
            root: Some(root),
            guess: Guess::default(),
        }
    }

    /// What is verified of it: nothing where no root is stated.
    #[must_use]
    pub fn announced(&self) -> Option<Announced> {
        self.root.map(|root| Announced {
            hash_offset: self.hash_offset,
            block_size: self.block_size,
            algorithm: root.algorithm(),
            root: Some(root),
            guess: self.guess,
        })
    }

    /// The smallest and the largest size that the tree can have, in bytes, or `None` when the
    /// numbers are impossible.
    ///
    /// The draft says that the tree starts with its superblock, its reference writer leaves
    /// it out; a tree over one block has no levels, and some writers emit one all the same.
    #[must_use]
    pub fn sizes(&self) -> Option<(u64, u64)> {
        let per_block = self
            .block_size
            .checked_div(self.digest_size.checked_next_power_of_two()?)?;
        let is_whole = self.hash_offset.checked_rem(self.block_size) == Some(0);
        if per_block < 2 || !is_whole {
            return None;
        }
        let mut level = self.hash_offset.checked_div(self.block_size)?;
        let mut blocks: u64 = 0;
        // Each round divides by at least two, so there are at most 64.
        while level > 1 {
            level = level.div_ceil(per_block);
            blocks = blocks.checked_add(level)?;
        }
        let largest = blocks.max(1).checked_add(1)?;
        Some((
            blocks.checked_mul(self.block_size)?,
            largest.checked_mul(self.block_size)?,
        ))
    }
}

/// What is known of a layer before its first byte is read.
///
/// What is `None` is not checked, and [`Outcome`](super::Outcome) says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expectations {
    /// What the decoded bytes must be.
    pub content: Content,
    /// How the blob is wrapped.
    pub compression: Compression,
    /// Digest of the blob.
    pub blob_digest: Option<Digest>,
    /// Size of the blob in bytes.
    pub blob_size: Option<u64>,
    /// Digest of the decoded bytes.
    pub diff_id: Option<Digest>,
    /// Devices that are attached to the image.
    pub devices: Devices,
    /// A dm-verity tree after the image.
    pub verity: Option<VerityTree>,
    /// Whether a dm-verity tree may follow the image that nothing announces, as containerd appends
    /// one. It needs a superblock, which must cover what lies before it.
    pub unannounced_verity: bool,
    /// Where a chunk index starts in a plain blob. It is part of the image's file.
    pub chunk_index: Option<u64>,
}

impl Expectations {
    /// Nothing is known but the compression.
    #[must_use]
    pub const fn new(compression: Compression) -> Self {
        Self {
            content: Content::Erofs,
            compression,
            blob_digest: None,
            blob_size: None,
            diff_id: None,
            devices: Devices::Unknown,
            verity: None,
            unannounced_verity: false,
            chunk_index: None,
        }
    }

    /// The algorithm of the layer's diffID: that of the stated one, else SHA-256, which is what the
    /// draft specification (section 5.2) and containerd use.
    pub(super) fn diff_algorithm(&self) -> Algorithm {
        self.diff_id
            .map_or(Algorithm::Sha256, |digest| digest.algorithm())
    }

    /// Whether the digest of the decoded bytes is that of the blob too: they are the same bytes,
    /// so one pass of hashing serves both.
    pub(super) fn shares_digest(&self) -> bool {
        self.compression == Compression::None
            && self
                .blob_digest
                .is_none_or(|digest| digest.algorithm() == self.diff_algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(hash_offset: u64) -> Option<(u64, u64)> {
        VerityTree {
            hash_offset,
            block_size: 4096,
            digest_size: 32,
            root: None,
            guess: Guess::default(),
        }
        .sizes()
    }

    #[test]
    fn sizes_of_trees() {
        // 128 digests of 32 bytes fill a block of 4096.
        assert_eq!(sizes(4096), Some((0, 2 * 4096)));
        assert_eq!(sizes(2 * 4096), Some((4096, 2 * 4096)));
        assert_eq!(sizes(128 * 4096), Some((4096, 2 * 4096)));
        assert_eq!(sizes(129 * 4096), Some((3 * 4096, 4 * 4096)));
        assert_eq!(sizes(128 * 128 * 4096), Some((129 * 4096, 130 * 4096)));
        assert_eq!(sizes(u64::MAX), None);
        assert_eq!(sizes(4095), None);
    }

    #[test]
    fn impossible_trees_have_no_size() {
        for (hash_offset, block_size) in [(0, 0), (64, 32), (64, 16), (6000, 4096)] {
            let tree = VerityTree {
                hash_offset,
                block_size,
                digest_size: 32,
                root: None,
                guess: Guess::default(),
            };
            assert_eq!(tree.sizes(), None, "{tree:?}");
        }
    }
}
