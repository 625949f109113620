//! gzip straight into memory that also holds what was decoded before.

use core::fmt;

use super::{Backend, Gzip};
use crate::codec::{Decoder, Step};
use crate::{Error, Limits};

/// Decodes a gzip stream straight into memory of the caller's, which is its window too: nothing
/// is copied but what the caller moves.
///
/// Streams, errors and offsets are those of [`Gzip`]. Its own memory is below 44 KiB, inside of it.
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
pub struct GzipFlat(Gzip);

impl GzipFlat {
    /// A decoder. Of the limits it keeps [`Limits::frames`].
    #[must_use]
    pub const fn new(limits: &Limits) -> Self {
        Self(Gzip::with_backend(Backend::Own, limits))
    }

    /// As [`Gzip::leave_crc_to_user`].
    pub const fn leave_crc_to_user(&mut self) {
        self.0.leave_crc_to_user();
    }

    /// As [`Gzip::awaits_crc`].
    #[must_use]
    pub const fn awaits_crc(&self) -> bool {
        self.0.awaits_crc()
    }

    /// As [`Gzip::give_crc`].
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
    /// As [`Decoder::decode`].
    pub fn decode(
        &mut self,
        input: &[u8],
        memory: &mut [u8],
        filled: usize,
    ) -> Result<Step, Error> {
        self.0.decode_into(input, memory, filled, true)
    }

    /// Says that there is no more input.
    ///
    /// # Errors
    ///
    /// As [`Decoder::finish`].
    pub fn finish(&mut self) -> Result<(), Error> {
        self.0.finish()
    }
}

impl fmt::Debug for GzipFlat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GzipFlat").field(&self.0).finish()
    }
}
