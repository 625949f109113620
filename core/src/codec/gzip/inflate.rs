//! The seam to the inflate libraries: one deflate stream after another, with nothing of gzip.

#[cfg(feature = "fast-gzip")]
use super::fast::Fast;
use super::miniz::Miniz;
use super::step::InflateStep;

/// The library that undoes deflate behind [`Gzip`](super::Gzip).
///
/// Both take the same streams and give the same content. Of a stream that is corrupt and cut off
/// behind its fault, one may say that it is cut off. `zlib-rs` finds some faults in a block's code
/// lengths only behind all of them; `miniz_oxide` misses a code for the end of the block, where
/// there is none, only at bits that are no code, with the literals before them delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// `miniz_oxide`: without `unsafe` and without an allocator.
    Miniz,
    /// `zlib-rs`: about twice as fast; it holds unsafe code and needs an allocator.
    #[cfg(feature = "fast-gzip")]
    ZlibRs,
}

impl Backend {
    /// What [`Gzip::new`](super::Gzip::new) takes: the fastest that is compiled in.
    #[cfg(feature = "fast-gzip")]
    pub const DEFAULT: Self = Self::ZlibRs;
    /// What [`Gzip::new`](super::Gzip::new) takes: the fastest that is compiled in.
    #[cfg(not(feature = "fast-gzip"))]
    pub const DEFAULT: Self = Self::Miniz;

    /// All that are compiled in.
    pub const ALL: &'static [Self] = &[
        Self::Miniz,
        #[cfg(feature = "fast-gzip")]
        Self::ZlibRs,
    ];
}

/// An inflater of raw deflate streams, RFC 1951.
pub(super) enum Inflater {
    #[cfg(not(feature = "fast-gzip"))]
    Miniz(Miniz),
    /// Made at the first use, and not in here: every decoder would be of its size, whose back end
    /// is nearly always the other.
    #[cfg(feature = "fast-gzip")]
    Miniz(Option<alloc::boxed::Box<Miniz>>),
    #[cfg(feature = "fast-gzip")]
    ZlibRs(Fast),
}

impl Inflater {
    pub(super) const fn new(backend: Backend) -> Self {
        match backend {
            #[cfg(not(feature = "fast-gzip"))]
            Backend::Miniz => Self::Miniz(Miniz::new()),
            #[cfg(feature = "fast-gzip")]
            Backend::Miniz => Self::Miniz(None),
            #[cfg(feature = "fast-gzip")]
            Backend::ZlibRs => Self::ZlibRs(Fast::new()),
        }
    }

    pub(super) const fn backend(&self) -> Backend {
        match self {
            Self::Miniz(_) => Backend::Miniz,
            #[cfg(feature = "fast-gzip")]
            Self::ZlibRs(_) => Backend::ZlibRs,
        }
    }

    /// Makes ready for a new stream. To be called before each, the first included.
    pub(super) fn start(&mut self) {
        match self {
            #[cfg(not(feature = "fast-gzip"))]
            Self::Miniz(miniz) => miniz.start(),
            #[cfg(feature = "fast-gzip")]
            Self::Miniz(miniz) => miniz.get_or_insert_with(Miniz::on_heap).start(),
            #[cfg(feature = "fast-gzip")]
            Self::ZlibRs(fast) => fast.start(),
        }
    }

    /// Inflates until the input is used up, the output is full, or the stream ends or breaks.
    pub(super) fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> InflateStep {
        match self {
            #[cfg(not(feature = "fast-gzip"))]
            Self::Miniz(miniz) => miniz.inflate(input, output),
            #[cfg(feature = "fast-gzip")]
            Self::Miniz(miniz) => miniz
                .get_or_insert_with(Miniz::on_heap)
                .inflate(input, output),
            #[cfg(feature = "fast-gzip")]
            Self::ZlibRs(fast) => fast.inflate(input, output),
        }
    }
}
