//! How the bytes of an image are reached: the one trait that a host implements.

use core::fmt;

use crate::Error;
use crate::bytes;

/// Bytes that can be read at any offset: a file, a block device, memory, a host's import.
///
/// The reader asks only for ranges that lie inside the size which it was told, so a short
/// read is the implementation's error, not the image's.
pub trait ReadAt {
    /// What can go wrong. A refusal of the image is never told this way.
    type Error;

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// When the bytes cannot be had; `buf` then holds anything.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Self::Error>;
}

/// The end of the bytes was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds;

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the end of the bytes was passed")
    }
}

impl core::error::Error for OutOfBounds {}

impl ReadAt for [u8] {
    type Error = OutOfBounds;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), OutOfBounds> {
        let start = usize::try_from(offset).map_err(|_| OutOfBounds)?;
        let from = self.get(start..).ok_or(OutOfBounds)?;
        if bytes::copy(from, buf) == buf.len() {
            Ok(())
        } else {
            Err(OutOfBounds)
        }
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    type Error = R::Error;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), R::Error> {
        (**self).read_at(offset, buf)
    }
}

/// Why something could not be read from an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError<E> {
    /// The source of the bytes failed; nothing is said of the image.
    Source(E),
    /// The image is refused.
    Refused(Error),
}

/// The result of reading from an image.
pub type ReadResult<T, R> = Result<T, ReadError<<R as ReadAt>::Error>>;

impl<E> From<Error> for ReadError<E> {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl<E: fmt::Display> fmt::Display for ReadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for ReadError<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_an_end() {
        let memory: &[u8] = &[1, 2, 3];
        let mut buf = [0; 2];
        assert_eq!(memory.read_at(1, &mut buf), Ok(()));
        assert_eq!(buf, [2, 3]);
        assert_eq!(memory.read_at(2, &mut buf), Err(OutOfBounds));
        assert_eq!(memory.read_at(3, &mut []), Ok(()));
        assert_eq!(memory.read_at(4, &mut []), Err(OutOfBounds));
        assert_eq!(memory.read_at(u64::MAX, &mut buf), Err(OutOfBounds));
    }
}
