//! Pclusters: how large they are, where one lies, and how its bytes encode content.

use super::super::Space;

/// Largest encoded size of a pcluster, in bytes (`Z_EROFS_PCLUSTER_MAX_SIZE`).
pub(super) const MAX_ENCODED: u64 = 1 << 20;
/// Largest decoded size of a pcluster, in bytes (`Z_EROFS_PCLUSTER_MAX_DSIZE`).
pub(super) const MAX_DECODED: u64 = 12 << 20;

/// How the bytes of a pcluster encode content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Not at all: they are the content (`Z_EROFS_COMPRESSION_SHIFTED`).
    Shifted,
    /// Not at all, but turned round: content lies at the same place in its block as in the
    /// file, so what does not fit before the end of the last block is at the start of the
    /// first (`Z_EROFS_COMPRESSION_INTERLACED`).
    Interlaced,
    /// As one LZ4 block.
    Lz4,
    /// As a MicroLZMA stream: LZMA whose first byte is the inverted properties.
    Lzma,
    /// As a raw DEFLATE stream, RFC 1951.
    Deflate,
    /// As one zstd frame, RFC 8878.
    Zstd,
}

impl Encoding {
    /// The name that mkfs.erofs has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shifted => "shifted",
            Self::Interlaced => "interlaced",
            Self::Lz4 => "lz4",
            Self::Lzma => "lzma",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    /// Whether the bytes are the content itself, in whatever order.
    #[must_use]
    pub const fn is_plain(self) -> bool {
        matches!(self, Self::Shifted | Self::Interlaced)
    }
}

/// A physical cluster: a run of bytes that one extent is decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Pcluster {
    /// Whose bytes the offset counts, for one that lies with the metadata; `None` for the
    /// address space of the image and its devices (device 0).
    pub metadata: Option<Space>,
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Its size in bytes, padding included: at most 1 MiB.
    pub length: u64,
    /// How it is encoded.
    pub encoding: Encoding,
    /// Whether the extent is only the first part of what it decodes to.
    pub partial: bool,
}
