//! The decoder for a compression that is known only at run time.

#[cfg(feature = "alloc")]
use super::Zstd;
use super::{Compression, Decoder, Gzip, Raw, Step};
#[cfg(not(feature = "alloc"))]
use crate::{At, Code};
use crate::{Error, Limits};

/// One of the decoders.
// Without an allocator there is nowhere else to put the larger one.
#[cfg_attr(not(feature = "alloc"), expect(clippy::large_enum_variant))]
#[derive(Debug)]
#[non_exhaustive]
pub enum AnyDecoder {
    /// Plain.
    Raw(Raw),
    /// gzip.
    #[cfg(feature = "alloc")]
    Gzip(alloc::boxed::Box<Gzip>),
    /// gzip.
    #[cfg(not(feature = "alloc"))]
    Gzip(Gzip),
    /// zstd.
    #[cfg(feature = "alloc")]
    Zstd(alloc::boxed::Box<Zstd>),
}

impl AnyDecoder {
    /// The decoder for this compression, on the default back end.
    ///
    /// # Errors
    ///
    /// `ZstdUnavailable` for zstd without the feature `alloc`.
    pub fn new(compression: Compression, limits: &Limits) -> Result<Self, Error> {
        match compression {
            Compression::None => Ok(Self::Raw(Raw)),
            #[cfg(feature = "alloc")]
            Compression::Gzip => Ok(Self::Gzip(alloc::boxed::Box::new(Gzip::new(limits)))),
            #[cfg(not(feature = "alloc"))]
            Compression::Gzip => Ok(Self::Gzip(Gzip::new(limits))),
            #[cfg(feature = "alloc")]
            Compression::Zstd => Ok(Self::Zstd(alloc::boxed::Box::new(Zstd::new(limits)))),
            #[cfg(not(feature = "alloc"))]
            Compression::Zstd => Err(Error::new(Code::ZstdUnavailable, At::Whole)),
        }
    }
}

impl Decoder for AnyDecoder {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        match self {
            Self::Raw(decoder) => decoder.decode(input, output),
            Self::Gzip(decoder) => decoder.decode(input, output),
            #[cfg(feature = "alloc")]
            Self::Zstd(decoder) => decoder.decode(input, output),
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        match self {
            Self::Raw(decoder) => decoder.finish(),
            Self::Gzip(decoder) => decoder.finish(),
            #[cfg(feature = "alloc")]
            Self::Zstd(decoder) => decoder.finish(),
        }
    }
}
