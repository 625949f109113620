//! fs-verity: the digest by which the kernel knows a file's content, computed as it streams past.
//!
//! Follows `Documentation/filesystems/fsverity.rst` of Linux: blocks of 4096 bytes, no salt. The
//! hashes of the blocks are themselves put into blocks and hashed, level by level, until one hash
//! is left; the digest is that of a descriptor which holds it and the file's size.

use crate::oci::{self, Algorithm, Digest};

/// Size of a block in bytes, of the file and of the tree.
const BLOCK: usize = 4096;
/// Levels that a file of 2^64 bytes has with hashes of 64 bytes, that of its own blocks included,
/// and one that is never reached.
const LEVELS: usize = 11;
/// Size of the descriptor in bytes (`struct fsverity_descriptor`).
const DESCRIPTOR: usize = 256;

/// A level of the tree: of it only the block that is being filled is known.
#[derive(Clone, Debug)]
struct Level {
    block: oci::Hasher,
    /// How many bytes of the block there are.
    filled: usize,
}

impl Level {
    fn new(algorithm: Algorithm) -> Self {
        Self {
            block: oci::Hasher::new(algorithm),
            filled: 0,
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.block.update(bytes);
        self.filled = self.filled.saturating_add(bytes.len());
    }

    /// The hash of the block, filled up with zeros; the next one is begun.
    fn take(&mut self) -> Digest {
        let next = Self::new(self.block.algorithm());
        let mut done = core::mem::replace(self, next);
        let rest = BLOCK.saturating_sub(done.filled);
        done.block.update([0; BLOCK].get(..rest).unwrap_or(&[]));
        done.block.finish()
    }
}

/// Computes the fs-verity digest of a file whose content arrives in any pieces.
///
/// It takes 4 KiB, whatever the size of the file.
///
/// ```
/// use erofs_unpack_core::fsverity::Hasher;
/// use erofs_unpack_core::oci::Algorithm;
///
/// let mut hasher = Hasher::new(Algorithm::Sha256);
/// hasher.update(b"a");
/// assert_eq!(
///     hasher.finish().to_string(),
///     "sha256:bce75948b9e7510293f8f2720412af9697c1479281323f3f220623fb8e94b557"
/// );
/// ```
#[derive(Clone, Debug)]
pub struct Hasher {
    algorithm: Algorithm,
    levels: [Level; LEVELS],
    size: u64,
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            levels: core::array::from_fn(|_| Level::new(algorithm)),
            size: 0,
        }
    }

    /// Adds the next bytes of the content.
    pub fn update(&mut self, mut content: &[u8]) {
        self.size = self.size.saturating_add(content.len() as u64);
        while !content.is_empty() {
            self.make_room();
            let Some(file) = self.levels.first_mut() else {
                return;
            };
            let room = BLOCK.saturating_sub(file.filled);
            let (block, rest) = content.split_at_checked(room).unwrap_or((content, &[]));
            file.add(block);
            content = rest;
        }
    }

    /// Hands the hashes of full blocks to the levels above. Not before there is more: a level of
    /// one block has none above it.
    fn make_room(&mut self) {
        let full = self
            .levels
            .iter()
            .take_while(|level| level.filled >= BLOCK)
            .count();
        for below in (0..full).rev() {
            self.hand_up(below);
        }
    }

    /// Hands the hash of the block of a level to the level above.
    fn hand_up(&mut self, below: usize) {
        let Some(digest) = self.levels.get_mut(below).map(Level::take) else {
            return;
        };
        if let Some(above) = self.levels.get_mut(below.saturating_add(1)) {
            above.add(digest.as_bytes());
        }
    }

    /// The digest of everything that was added, as `FS_IOC_MEASURE_VERITY` gives it.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        let mut root = None;
        // An empty file has no tree, and zeros for its root.
        let levels = if self.size == 0 { 0 } else { LEVELS };
        for level in 0..levels {
            let is_root = self
                .levels
                .iter()
                .skip(level.saturating_add(1))
                .all(|above| above.filled == 0);
            if is_root {
                root = self.levels.get_mut(level).map(Level::take);
                break;
            }
            // Those above may be full.
            let full = self
                .levels
                .iter()
                .skip(level.saturating_add(1))
                .take_while(|above| above.filled >= BLOCK)
                .count();
            for below in (level..=level.saturating_add(full)).rev() {
                self.hand_up(below);
            }
        }
        let number = match self.algorithm {
            Algorithm::Sha256 => 1,
            Algorithm::Sha512 => 2,
        };
        let mut descriptor = [0; DESCRIPTOR];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(field) = descriptor.get_mut(at..) {
                crate::bytes::copy(bytes, field);
            }
        };
        // Version, algorithm, block size as a power of two; then salt and signature, of which
        // there are none.
        put(0, &[1, number, 12]);
        put(8, &self.size.to_le_bytes());
        if let Some(root) = &root {
            put(16, root.as_bytes());
        }
        self.algorithm.digest(&descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    fn digest(algorithm: Algorithm, content: &[u8], piece: usize) -> String {
        let mut hasher = Hasher::new(algorithm);
        for piece in content.chunks(piece) {
            hasher.update(piece);
        }
        std::format!("{}", hasher.finish().hex())
    }

    /// What `fsverity digest` of fsverity-utils 1.5 says of so many letters `a`.
    #[test]
    fn as_fsverity_utils() {
        for (length, sha256, sha512) in [
            (
                0,
                "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95",
                "ccf9e5aea1c2a64efa2f2354a6024b90dffde6bbc017825045dce374474e13d10adb9dadcc6ca8e17a3c075fbd31336e8f266ae6fa93a6c3bed66f9e784e5abf",
            ),
            (
                1,
                "bce75948b9e7510293f8f2720412af9697c1479281323f3f220623fb8e94b557",
                "829b82e4646ed8804b8481d26202f11dafed5acde87623a34e9e813fed884e86a787bb38095921f6128e2a53f116145b4528b2bfe218c6df6717a03d0be90f4b",
            ),
            (
                4096,
                "a2a808ddaced77f0b6b3068f47b14b5a1fb3fc43674993ab11b8e7e6f2d089e2",
                "36b837c9d8c1c3f992c5be7feed967217668a847866b42eebcdb1ae81239ff856e93ebfac147adc058f5136202836273fc86771c1bcf598aaf9a4529f9e13cd3",
            ),
            (
                4097,
                "18b155c0b6e054f3f7d22488ed15340e74dc161ce2d123e13eb685c3ce565f70",
                "8fe8cfab59a8c2334ce68d1e85f2aff84dc1e1c4c03a68a2c87055c0535bceb057aadd1ec34d3c57a3ce0cd01383da08301137821a5d9c8ee767ae5888a95545",
            ),
            // A level of one full block for SHA-256, of two for SHA-512.
            (
                524_288,
                "35ce0df2a57eb54aeba7969570bac9dfadfac295ec181a03f13ac7a7da54909e",
                "33cd2ae08a4eda1a3a2c5f2bec21a4fff77bdc6c9bc995a303e954ea612f34add6e5816f483d74929ef583e01fc5ca12f572ca79304c7317ded5b585e6637d48",
            ),
            (
                524_289,
                "cc4f297494cf9e0b6f159db6d30a62d3fcc219fc9c0cbc2d8792bd264da4d9cb",
                "8b542b5e5e4c55e3159544897327f1fedd412d1bf47acdb1137d93845434d71de857ac19151510618c752d604a152d3e5235d48dbfbc431395139f096555664d",
            ),
        ] {
            let content = vec![b'a'; length];
            for piece in [1 << 20, 4096, 1000] {
                assert_eq!(
                    digest(Algorithm::Sha256, &content, piece),
                    sha256,
                    "{length}"
                );
                assert_eq!(
                    digest(Algorithm::Sha512, &content, piece),
                    sha512,
                    "{length}"
                );
            }
        }
    }

    /// The lines of `seq 1 200000`, and 64 MiB and a byte of zeros, which make a third level.
    #[test]
    fn content_that_differs_and_three_levels() {
        let lines: Vec<u8> = (1..=200_000)
            .flat_map(|number| std::format!("{number}\n").into_bytes())
            .collect();
        assert_eq!(
            digest(Algorithm::Sha256, &lines, 70_001),
            "6b50b16f6718060cd0c6dc835690e88cda845acf768c2771855d329640f5b615"
        );
        assert_eq!(
            digest(Algorithm::Sha256, &vec![0; (64 << 20) + 1], 1 << 20),
            "be5993679f703697692cc6ce69e480edc9721baff591795438ae8097275c0687"
        );
    }
}
