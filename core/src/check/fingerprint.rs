//! The rule of fingerprints: the content of a file is that of which its fingerprint is.
//!
//! A kernel that shares pages among images takes two files for the same where their fingerprints are
//! (`erofs_ishare_fill_inode` in `fs/erofs/ishare.c`), and gives the content of one for that of the
//! other.

use super::content::PIECE_BITS;
use super::{Checker, Level};
use crate::erofs::{Inode, ReadAt, ReadError, ReadResult};
use crate::oci::{Digest, Hasher};
use crate::{At, Code, Error, Value};

/// How much of a file is read at a time, in bytes.
const PIECE: usize = 1 << 16;

impl<R: ReadAt> Checker<'_, R> {
    /// Reads a file whose content lies where it may, and holds it against its digest. Of what lies on
    /// a device that is not at hand nothing is said.
    pub(super) fn compare(&mut self, inode: &Inode, stated: &Digest) -> ReadResult<(), R> {
        if self.options.level != Level::Full {
            return Ok(());
        }
        let (number, count) = self.options.share;
        let piece = self.encoded >> PIECE_BITS;
        if !inode.layout.is_compressed() {
            self.encoded = self.encoded.saturating_add(inode.size);
        }
        if piece.checked_rem(count.max(1).into()) != Some(number.into()) {
            return Ok(());
        }
        self.summary.decoded = self.summary.decoded.saturating_add(inode.size);
        self.within_work(self.summary.decoded)?;
        let mut buffer = core::mem::take(&mut self.decoded);
        if buffer.len() < PIECE {
            buffer = crate::erofs::buffer(PIECE)?;
        }
        let hashed = self.hash(inode, &mut buffer, stated);
        self.decoded = buffer;
        let silent = core::mem::replace(&mut self.silent, false);
        if let Some(Some(found)) = self.take(hashed)?
            && found != *stated
        {
            self.report(
                Error::new(Code::FingerprintContent, At::Nid(inode.nid))
                    .found(Value::Digest(found))
                    .expected(Value::Digest(*stated)),
            );
        }
        self.silent = silent;
        Ok(())
    }

    /// The digest of a file by the algorithm of another; `None` when some of it is not at hand.
    fn hash(
        &self,
        inode: &Inode,
        buffer: &mut [u8],
        like: &Digest,
    ) -> ReadResult<Option<Digest>, R> {
        let mut hasher = Hasher::new(like.algorithm());
        let mut offset = 0;
        while offset < inode.size {
            let read = match self.image.read(inode, offset, buffer) {
                Ok(read) => read,
                Err(ReadError::Refused(error)) if error.code() == Code::DeviceMissing => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            hasher.update(buffer.get(..read).unwrap_or(&[]));
            offset = offset.saturating_add(read as u64);
            if read == 0 {
                break;
            }
        }
        Ok(Some(hasher.finish()))
    }
}
