//! The wire forms of a layer: plain, gzip and zstd, each as a streaming [`Decoder`].

mod any;
mod gzip;
pub(crate) mod inflate;
mod raw;
mod stranger;
mod zstd;

pub use any::AnyDecoder;
pub use gzip::{Backend, Gzip, GzipFlat};
pub use raw::Raw;
#[cfg(feature = "alloc")]
pub(crate) use zstd::frame_header;
#[cfg(feature = "alloc")]
pub use zstd::{Backend as ZstdBackend, FoundFrame, FrameScan, Zstd, ZstdFlat, phases};
pub use zstd::{WINDOW as ZSTD_WINDOW, ZstdIn};

use crate::Error;

/// How the bytes of a blob are wrapped for the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all: the blob is the image.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// zstd, RFC 8878.
    Zstd,
}

impl Compression {
    /// The name as tools and media type suffixes use it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// What a [`Decoder`] needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The decoder stands inside a structure and has delivered all that it could: it needs
    /// more input. An input that ends here is truncated.
    NeedInput,
    /// There is more to deliver than the output had room for.
    NeedOutput,
    /// The input may end here: everything so far is complete, verified and delivered. More
    /// input may follow all the same: another frame, member or padding.
    Done,
}

/// What one call of [`Decoder::decode`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input were used; the rest must be given again.
    pub consumed: usize,
    /// How many bytes of the output were written, from its start.
    pub produced: usize,
    /// What the decoder needs next.
    pub status: Status,
}

/// A decoder of one blob that never blocks and never buffers more than its format demands.
///
/// Input and output slices may have any sizes, down to one byte and to none: how the stream
/// is cut never changes what comes out, nor which error ends it. After an error every further
/// call gives that same error.
pub trait Decoder {
    /// Decodes as much of `input` into `output` as fits.
    ///
    /// Goes on until the input is used up and all is delivered, or the output is full. What lies
    /// in the output behind the bytes that were produced may have been overwritten.
    ///
    /// # Errors
    ///
    /// The first fault of the stream, once all output before it has been delivered.
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error>;

    /// Says that there is no more input.
    ///
    /// # Errors
    ///
    /// The codec's `Truncated` error when the stream is not complete ([`Status::Done`]), and
    /// [`Code::Finished`] when there is output that has not been fetched.
    ///
    /// [`Code::Finished`]: crate::Code::Finished
    fn finish(&mut self) -> Result<(), Error>;
}
