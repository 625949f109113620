//! The checksum of a superblock.

use core::fmt;

use crc::{CRC_32_ISCSI, Crc, Digest, Table};

use super::SUPERBLOCK_MAGIC;
#[cfg(feature = "alloc")]
use super::buffer::buffer;
#[cfg(feature = "alloc")]
use super::{Compat, Image, ReadAt, ReadResult, SUPERBLOCK_OFFSET, Space};
#[cfg(feature = "alloc")]
use crate::{At, Code, Error, Value};

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

#[cfg(feature = "alloc")]
impl<R: ReadAt> Image<R> {
    /// Verifies the checksum of the superblock's block, where the image has one, as the kernel
    /// does at mount.
    ///
    /// # Errors
    ///
    /// [`Code::SuperblockChecksum`]; [`Code::ImageSize`] when the block ends behind the image;
    /// what the source says.
    pub fn verify_checksum(&self) -> ReadResult<(), R> {
        let superblock = self.superblock();
        if !superblock.compat.has(Compat::SB_CHKSUM) {
            return Ok(());
        }
        let end = superblock.checksum_end();
        if end > self.size() {
            return Err(Error::new(Code::ImageSize, At::Image(self.size()))
                .found(Value::Number(self.size()))
                .expected(Value::AtLeast(end))
                .into());
        }
        // At most a block: 64 KiB.
        let length = end.saturating_sub(SUPERBLOCK_OFFSET);
        let mut bytes = buffer(usize::try_from(length).unwrap_or(usize::MAX))?;
        self.metadata(Space::Image, SUPERBLOCK_OFFSET, &mut bytes)?;
        let computed = Checksum::new(&bytes).finish();
        if computed != superblock.checksum {
            let field = SUPERBLOCK_OFFSET.saturating_add(4);
            return Err(Error::new(Code::SuperblockChecksum, At::Image(field))
                .found(Value::Hex(superblock.checksum.into()))
                .expected(Value::Hex(computed.into()))
                .into());
        }
        Ok(())
    }
}
