//! What is said of the chunks of a blob, while they are written and behind them.

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{Algorithm, ByteRange, Digest};
use erofs_unpack_core::seekable::{
    Checksum, ChunkIndexWriter, HashAlgorithm, SeekTableWriter, skippable,
};
use erofs_unpack_core::{At, Code, Error};

use super::Index;

/// An index that grows with its blob.
#[derive(Debug)]
pub(crate) enum Table {
    /// None.
    None,
    /// The draft's.
    Chunks(Compression, ChunkIndexWriter),
    /// zstd's.
    Frames(SeekTableWriter),
}

/// The part of a blob that an index is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    /// All of it, in a frame where it lies in one.
    pub(crate) bytes: Vec<u8>,
    /// Digest of the chunk index in it.
    pub(crate) digest: Option<Digest>,
}

impl Table {
    /// An empty one, of a blob that is wrapped so.
    pub(crate) fn new(index: Index, compression: Compression) -> Self {
        match index {
            Index::None => Self::None,
            Index::Erofs => {
                let hash = HashAlgorithm::Sha2(Algorithm::Sha256);
                Self::Chunks(compression, ChunkIndexWriter::new(compression, hash))
            }
            Index::ZstdSeekable => Self::Frames(SeekTableWriter::new(true)),
        }
    }

    /// Whether the last frame before it has to end at a multiple of four.
    pub(crate) const fn is_aligned(&self) -> bool {
        matches!(self, Self::Chunks(Compression::Zstd, _))
    }

    /// The next chunk: its length in the blob and in the image, the digest of its bytes in the
    /// blob, and the low half of the XXH64 of those in the image.
    pub(crate) fn push(
        &mut self,
        blob: u64,
        image: u64,
        digest: Option<Digest>,
        checksum: u32,
    ) -> Result<(), Error> {
        match self {
            Self::None => Ok(()),
            Self::Chunks(_, writer) => {
                let checksum = digest.map_or(Checksum::None, Checksum::Digest);
                writer.push(blob, image, checksum)
            }
            Self::Frames(writer) => writer.push(blob, image, checksum),
        }
    }

    /// What ends the blob.
    pub(crate) fn finish(self) -> Result<Ending, Error> {
        match self {
            Self::None => Ok(Ending::default()),
            Self::Frames(writer) => Ok(Ending {
                bytes: writer.finish()?,
                digest: None,
            }),
            Self::Chunks(compression, writer) => {
                let payload = writer.finish();
                let digest = Some(Algorithm::Sha256.digest(&payload));
                let bytes = match compression {
                    Compression::None => payload,
                    _ => {
                        let long = Error::new(Code::ChunkIndexLimit, At::Whole);
                        let frame = skippable(&payload).ok_or(long)?;
                        [&frame[..], &payload].concat()
                    }
                };
                Ok(Ending { bytes, digest })
            }
        }
    }
}

/// The annotation's form of a range.
pub(crate) fn range(range: ByteRange) -> String {
    match range.end {
        None => range.offset.to_string(),
        Some(end) => format!("{}:{end}", range.offset),
    }
}
