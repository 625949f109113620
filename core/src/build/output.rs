//! Where an image is written: the one trait that a host implements.

use alloc::vec::Vec;

use super::BuildError;
use super::error::BuildResult;
use crate::oci::Hasher;

/// An image that is being made, and a place for content that is needed once more at the end.
///
/// Nothing is read that was not written before.
pub trait Output {
    /// What can go wrong. A refusal of what is built is never told this way.
    type Error;

    /// Writes bytes of the image, from this offset on.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Reads bytes of the image that were written before.
    ///
    /// # Errors
    ///
    /// When they cannot be read; `buf` then holds anything.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), Self::Error>;

    /// Appends bytes to the spool, which is no part of the image: the tails of files.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    fn spool(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// Reads bytes of the spool from this offset on.
    ///
    /// # Errors
    ///
    /// When they cannot be read; `buf` then holds anything.
    fn read_spool(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), Self::Error>;
}

/// Up to how many bytes are gathered before they are written.
const GATHER: usize = 256 << 10;
/// A piece of at least this many bytes is written as it is.
const LARGE: usize = 32 << 10;

/// Zeros to write.
static ZEROS: [u8; 4096] = [0; 4096];

/// Bytes one behind the other, written in large pieces.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Where the next byte goes, what is gathered included.
    pub(super) position: u64,
    gathered: Vec<u8>,
    /// Digest of what is written, where somebody asks for it.
    pub(super) hasher: Option<Hasher>,
}

impl Sequence {
    pub(super) const fn new(position: u64) -> Self {
        Self {
            position,
            gathered: Vec::new(),
            hasher: None,
        }
    }

    /// Writes bytes behind those before.
    pub(super) fn write<O: Output>(&mut self, bytes: &[u8], output: &mut O) -> BuildResult<(), O> {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        if bytes.len() >= LARGE {
            self.flush(output)?;
            output
                .write_at(self.position, bytes)
                .map_err(BuildError::Output)?;
        } else {
            if self.gathered.len().saturating_add(bytes.len()) > GATHER {
                self.flush(output)?;
            }
            self.gathered.extend_from_slice(bytes);
        }
        self.position = self.position.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Writes zeros.
    pub(super) fn zeros<O: Output>(&mut self, count: u64, output: &mut O) -> BuildResult<(), O> {
        let mut left = count;
        while left > 0 {
            let piece = left.min(ZEROS.len() as u64);
            let zeros = usize::try_from(piece)
                .ok()
                .and_then(|length| ZEROS.get(..length));
            self.write(zeros.unwrap_or(&[]), output)?;
            left = left.saturating_sub(piece);
        }
        Ok(())
    }

    /// Writes zeros up to this position, if it lies ahead.
    pub(super) fn zeros_to<O: Output>(&mut self, to: u64, output: &mut O) -> BuildResult<(), O> {
        self.zeros(to.saturating_sub(self.position), output)
    }

    /// Writes what is gathered.
    pub(super) fn flush<O: Output>(&mut self, output: &mut O) -> BuildResult<(), O> {
        if !self.gathered.is_empty() {
            let start = self.position.saturating_sub(self.gathered.len() as u64);
            output
                .write_at(start, &self.gathered)
                .map_err(BuildError::Output)?;
            self.gathered.clear();
        }
        Ok(())
    }
}
