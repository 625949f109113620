//! A stream that does not begin as its format does: whether it is a plain EROFS image, which is
//! worth a name of its own.

use crate::bytes::Gather;
use crate::erofs::{SUPERBLOCK_MAGIC, SUPERBLOCK_OFFSET};
use crate::{At, Code, Error, Value};

/// Holds the refusal of such a stream until the bytes have passed in which an EROFS image has its
/// magic. The first byte that is wrong must lie before them.
#[derive(Clone, Debug)]
pub(super) struct Stranger {
    refusal: Error,
    /// How many bytes of the blob have passed.
    offset: u64,
    magic: Gather<4>,
}

impl Stranger {
    /// A stream that is refused with this error after so many bytes.
    pub(super) const fn new(refusal: Error, offset: u64) -> Self {
        Self {
            refusal,
            offset,
            magic: Gather::new(),
        }
    }

    /// Takes the next bytes, all of them; `expected` is the format that was asked for.
    ///
    /// # Errors
    ///
    /// [`Code::ContentPlain`] for an EROFS image, else the refusal that is held, once that is
    /// known.
    pub(super) fn take(&mut self, input: &[u8], expected: &'static str) -> Result<usize, Error> {
        let skip = SUPERBLOCK_OFFSET.saturating_sub(self.offset);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        self.magic.fill(4, input.get(skip..).unwrap_or(&[]));
        self.offset = self.offset.saturating_add(input.len() as u64);
        match self.magic.filled().first_chunk() {
            Some(magic) if *magic == SUPERBLOCK_MAGIC.to_le_bytes() => {
                Err(Error::new(Code::ContentPlain, At::Blob(0)).expected(Value::Text(expected)))
            }
            Some(_) => Err(self.refusal),
            None => Ok(input.len()),
        }
    }

    /// The refusal, when nothing more comes.
    pub(super) const fn refusal(&self) -> Error {
        self.refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    /// What is said of these bytes in pieces of this size, of which the first byte is wrong.
    fn said(bytes: &[u8], piece: usize) -> Code {
        let refusal = Error::new(Code::GzipMagic, At::Blob(0));
        let mut stranger = Stranger::new(refusal, 1);
        for piece in bytes[1..].chunks(piece) {
            if let Err(error) = stranger.take(piece, "gzip") {
                return error.code();
            }
        }
        stranger.refusal().code()
    }

    #[test]
    fn an_image_is_named_however_it_is_cut() {
        let mut image = vec![7; 3000];
        image[1024..1028].copy_from_slice(&SUPERBLOCK_MAGIC.to_le_bytes());
        for piece in [1, 3, 1023, 1026, 2999] {
            assert_eq!(said(&image, piece), Code::ContentPlain, "{piece}");
            assert_eq!(said(&image[..1028], piece), Code::ContentPlain, "{piece}");
            assert_eq!(said(&image[..1027], piece), Code::GzipMagic, "{piece}");
            assert_eq!(said(&vec![7; 3000], piece), Code::GzipMagic, "{piece}");
        }
    }
}
