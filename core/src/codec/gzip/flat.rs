//! gzip straight into memory that also holds what was decoded before.

use super::Backend;
use super::stream::Stream;
use crate::codec::Step;
use crate::codec::inflate::Past;
use crate::{Error, Limits};

/// Decodes a gzip stream straight into memory of the caller's, which is its window too: nothing
/// is copied but what the caller moves.
///
/// Streams, errors and offsets are those of [`Gzip`](super::Gzip). Its own memory is below 12 KiB,
/// inside of it.
///
/// ```
/// use erofs_unpack_core::Limits;
/// use erofs_unpack_core::codec::{GzipFlat, Status};
///
/// # let blob = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x01\x05\x00\xfa\xffhello\
/// #     \x86\xa6\x10\x36\x05\x00\x00\x00";
/// let mut decoder = GzipFlat::new(&Limits::DEFAULT);
/// let mut memory = [0; 64];
/// let step = decoder.decode(blob, &mut memory, 0)?;
/// assert_eq!(step.status, Status::Done);
/// assert_eq!(&memory[..step.produced], b"hello");
/// decoder.finish()?;
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
#[derive(Debug)]
pub struct GzipFlat(Stream);

impl GzipFlat {
    /// A decoder. Of the limits it keeps [`Limits::frames`].
    #[must_use]
    pub const fn new(limits: &Limits) -> Self {
        Self(Stream::new(Backend::Own, limits))
    }

    /// As [`Gzip::leave_crc_to_user`](super::Gzip::leave_crc_to_user).
    pub const fn leave_crc_to_user(&mut self) {
        self.0.leave_crc_to_user();
    }

    /// As [`Gzip::awaits_crc`](super::Gzip::awaits_crc).
    #[must_use]
    pub const fn awaits_crc(&self) -> bool {
        self.0.awaits_crc()
    }

    /// As [`Gzip::give_crc`](super::Gzip::give_crc).
    pub fn give_crc(&mut self, crc: u32) {
        self.0.give_crc(crc);
    }

    /// How many members are complete.
    #[must_use]
    pub const fn members(&self) -> u64 {
        self.0.members()
    }

    /// How many of the bytes that were decoded last must lie before `filled` at the next
    /// [`Self::decode`]: 32 KiB, or less at the start of a member.
    #[must_use]
    pub const fn keep(&self) -> usize {
        self.0.inflater.history()
    }

    /// Decodes into `memory`, from `filled` on, until the input is used up or the memory is full.
    ///
    /// Before `filled` lie the [`Self::keep`] bytes that were decoded last. What was decoded now
    /// lies behind it, [`Step::produced`] bytes; what lies behind those may be overwritten.
    ///
    /// # Errors
    ///
    /// As [`Decoder::decode`](crate::codec::Decoder::decode).
    pub fn decode(
        &mut self,
        input: &[u8],
        memory: &mut [u8],
        filled: usize,
    ) -> Result<Step, Error> {
        self.0.decode(input, memory, filled, Past::NONE)
    }

    /// Says that there is no more input.
    ///
    /// # Errors
    ///
    /// As [`Decoder::finish`](crate::codec::Decoder::finish).
    pub fn finish(&mut self) -> Result<(), Error> {
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_history_is_inside() {
        assert!(size_of::<GzipFlat>() < 12 << 10);
    }
}
