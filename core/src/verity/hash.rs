//! The hash of one block, with the salt.

use super::{HashType, Params, Salt};
use crate::oci::{Digest, Hasher};

/// Computes hashes of blocks.
#[derive(Clone, Debug)]
pub struct BlockHasher {
    /// Has seen what comes before each block.
    begun: Hasher,
    /// What comes behind each block.
    behind: Salt,
}

impl BlockHasher {
    /// Hashes with the algorithm and the salt of this tree.
    #[must_use]
    pub fn new(params: &Params) -> Self {
        let mut begun = Hasher::new(params.algorithm);
        let behind = match params.hash_type {
            HashType::Normal => {
                begun.update(params.salt.as_bytes());
                Salt::NONE
            }
            HashType::Chrome => params.salt,
        };
        Self { begun, behind }
    }

    /// The hasher of a block that is begun; [`Self::end`] gives its hash.
    pub(super) fn begin(&self) -> Hasher {
        self.begun.clone()
    }

    /// The hash of a block of which the hasher has seen everything.
    pub(super) fn end(&self, mut hasher: Hasher) -> Digest {
        hasher.update(self.behind.as_bytes());
        hasher.finish()
    }

    /// The hash of one block.
    #[must_use]
    pub fn digest(&self, block: &[u8]) -> Digest {
        let mut hasher = self.begin();
        hasher.update(block);
        self.end(hasher)
    }

    /// The hashes of several blocks of this size, one after another. What is left at the end is no
    /// block, and is left out.
    ///
    /// Two are hashed at a time, which is faster than one by one:
    /// [`Hasher::update_both`](crate::oci::Hasher::update_both).
    pub fn digests(&self, blocks: &[u8], block_size: u32, mut each: impl FnMut(Digest)) {
        let size = usize::try_from(block_size).unwrap_or(usize::MAX).max(1);
        let mut blocks = blocks.chunks_exact(size);
        while let Some(block) = blocks.next() {
            let Some(next) = blocks.next() else {
                each(self.digest(block));
                return;
            };
            let (mut first, mut second) = (self.begin(), self.begin());
            first.update_both(block, &mut second, next);
            each(self.end(first));
            each(self.end(second));
        }
    }
}
