//! The checksum of a superblock.

use core::fmt;

use crc::{CRC_32_ISCSI, Crc, Digest, Table};

use super::SUPERBLOCK_MAGIC;

/// CRC-32C with a table of 1 KiB: it runs over one block at most.
static CRC32C: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// CRC-32C from the superblock on to [`Superblock::checksum_end`], the checksum itself as zero
/// (`erofs_superblock_csum_verify` in `fs/erofs/super.c` of Linux).
///
/// [`Superblock::checksum_end`]: super::Superblock::checksum_end
#[derive(Clone)]
pub(crate) struct Checksum(Digest<'static, u32, Table<1>>);

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checksum")
    }
}

impl Checksum {
    /// Starts with the superblock's own bytes, or with as many of them as there are.
    pub(crate) fn new(superblock: &[u8]) -> Self {
        let mut crc = CRC32C.digest();
        crc.update(&SUPERBLOCK_MAGIC.to_le_bytes());
        crc.update(&[0; 4]);
        crc.update(superblock.get(8..).unwrap_or(&[]));
        Self(crc)
    }

    /// Takes the bytes that follow.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum.
    pub(crate) fn finish(self) -> u32 {
        // The kernel leaves out the inversion at the end that CRC-32C usually has.
        !self.0.finalize()
    }
}
