//! What an image is read out of at random, piece by piece: the chunks of a blob, as its index says, or
//! blocks that are verified by their paths to the root of a dm-verity tree. Not who keeps them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::{ReadAt, ReadError};
use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::seekable::{Chunk, ChunkDecoder, Chunks as _, Span, admit};
use erofs_unpack_core::verity::{Announced, SUPERBLOCK_SIZE, Stated, check_blocks};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use crate::chunked::{RandomReads, refused};
use crate::file_at::FileAt;
use crate::indexed::Index;
use crate::memory::zeroed;

/// How many bytes of blocks are verified at a time, where a block is not larger: with fewer the way up
/// the tree is gone more often than it is worth, with more too much is read for one inode.
const BLOCKS: u64 = 16 << 10;

/// Memory for blocks that may be asked for again, in bytes. Below them their chunks are kept, or the
/// system keeps their file.
const BLOCKS_CACHE: u64 = 4 << 20;

/// A part of an image that is brought as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) number: u32,
    /// Where it lies in the image.
    pub(crate) image: Span,
}

/// Where an image comes from.
#[derive(Debug)]
pub(crate) enum Pieces {
    Chunks(Box<Chunks>),
    Blocks(Box<Blocks>),
}

/// The chunks of a blob.
#[derive(Debug)]
pub(crate) struct Chunks {
    blob: FileAt,
    size: u64,
    index: Index,
    compression: Compression,
    limits: Limits,
    /// Whether each chunk has a digest in an index that somebody vouches for.
    verified: bool,
    /// Those that no thread uses.
    decoders: Mutex<Vec<ChunkDecoder>>,
    count: AtomicU64,
    bytes: AtomicU64,
}

/// The blocks of an image that a dm-verity tree covers.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// The image with its tree.
    image: FileAt,
    image_size: u64,
    tree: Stated,
    root: Digest,
    /// How many bytes are covered, which is all that can be read.
    size: u64,
    bytes: AtomicU64,
    blocks: AtomicU64,
}

impl Pieces {
    /// The chunks that the index says lie in this blob, of which some bytes have been read for the
    /// index; and whether each is verified by that.
    pub(crate) fn chunks(
        (blob, size): (FileAt, u64),
        index: Index,
        compression: Compression,
        limits: &Limits,
        (read, verified): (u64, bool),
    ) -> Self {
        Self::Chunks(Box::new(Chunks {
            blob,
            size,
            index,
            compression,
            limits: *limits,
            verified,
            decoders: Mutex::new(Vec::new()),
            count: AtomicU64::new(0),
            bytes: AtomicU64::new(read),
        }))
    }

    /// Size of the image in bytes; with chunks, all that follows it is part of it.
    pub(crate) fn image_size(&self) -> u64 {
        match self {
            Self::Chunks(chunks) => chunks.index.image_size(),
            Self::Blocks(blocks) => blocks.size,
        }
    }

    /// The piece that holds this byte of the image.
    pub(crate) fn find(&self, offset: u64) -> Option<Piece> {
        match self {
            Self::Chunks(chunks) => chunks.index.find(offset).map(|chunk| Piece {
                number: chunk.number,
                image: chunk.image,
            }),
            Self::Blocks(blocks) => blocks.find(offset),
        }
    }

    /// The content of a piece, verified.
    ///
    /// What the core refuses is an error of the kind [`io::ErrorKind::InvalidData`] with that refusal
    /// in it.
    pub(crate) fn bring(&self, piece: &Piece) -> io::Result<Vec<u8>> {
        match self {
            Self::Chunks(chunks) => {
                let chunk = chunks.index.chunk(piece.number);
                chunks.bring(&chunk.ok_or(io::ErrorKind::NotFound)?)
            }
            Self::Blocks(blocks) => blocks.bring(&piece.image),
        }
    }

    /// How many bytes of pieces are kept in memory.
    pub(crate) fn cache(&self) -> u64 {
        match self {
            Self::Chunks(chunks) => chunks.limits.chunk_cache,
            Self::Blocks(_) => BLOCKS_CACHE,
        }
    }

    /// Whether it is worth keeping a piece elsewhere than in memory: what takes decoding.
    pub(crate) const fn are_dear(&self) -> bool {
        matches!(self, Self::Chunks(_))
    }

    /// What was read so far.
    pub(crate) fn reads(&self) -> RandomReads {
        match self {
            Self::Chunks(chunks) => RandomReads {
                bytes: chunks.bytes.load(Ordering::Relaxed),
                of_bytes: chunks.size,
                chunks: chunks.count.load(Ordering::Relaxed),
                of_chunks: chunks.index.count().into(),
                verified: chunks.verified,
                blocks: None,
                of_blocks: None,
            },
            Self::Blocks(blocks) => blocks.reads(),
        }
    }
}

impl Chunks {
    /// Reads a chunk, verifies and decodes it.
    fn bring(&self, chunk: &Chunk) -> io::Result<Vec<u8>> {
        admit(chunk, &self.limits).map_err(refused)?;
        let memory = |length| zeroed(length, Code::ChunkMemory).map_err(refused);
        let mut input = memory(chunk.blob.length())?;
        self.blob.read_at(chunk.blob.start, &mut input)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(chunk.blob.length(), Ordering::Relaxed);
        let mut output = memory(chunk.image.length())?;
        let decoders = || self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        let decoder = decoders().pop();
        let new = || ChunkDecoder::new(self.compression, &self.limits);
        let mut decoder = decoder.unwrap_or_else(new);
        let decoded = decoder.decode(chunk, &input, &mut output);
        decoders().push(decoder);
        decoded.map_err(refused)?;
        Ok(output)
    }
}

impl Blocks {
    /// The blocks of this image that the tree covers which is announced, with its root.
    ///
    /// # Errors
    ///
    /// What the core refuses of what lies at the tree's place, as in [`Pieces::bring`]; what the
    /// system fails at.
    pub(crate) fn new(
        (image, image_size): (FileAt, u64),
        announced: &Announced,
    ) -> io::Result<Self> {
        let size = announced.hash_offset;
        let truncated = |end| {
            let error = Error::new(Code::VerityTruncated, At::Image(image_size));
            refused(
                error
                    .found(Value::Number(image_size))
                    .expected(Value::AtLeast(end)),
            )
        };
        let behind = image_size
            .checked_sub(size)
            .ok_or_else(|| truncated(size))?;
        let head = behind.min(SUPERBLOCK_SIZE as u64);
        let mut head = zeroed(head, Code::MetadataMemory).map_err(refused)?;
        image.read_at(size, &mut head)?;
        let tree = announced.stated(&head).map_err(refused)?;
        if tree.layout.end() > image_size {
            return Err(truncated(tree.layout.end()));
        }
        let Some(root) = announced.root else {
            return Err(refused(Error::new(Code::VerityRoot, At::Whole)));
        };
        Ok(Self {
            image,
            image_size,
            tree,
            root,
            size,
            bytes: AtomicU64::new(head.len() as u64),
            blocks: AtomicU64::new(0),
        })
    }

    /// How many bytes are covered.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    fn find(&self, offset: u64) -> Option<Piece> {
        // Both are powers of two.
        let size = BLOCKS.max(self.tree.params.data_block_size.into());
        let number = offset.checked_div(size)?;
        let start = number.saturating_mul(size);
        (offset < self.size).then_some(Piece {
            number: u32::try_from(number).ok()?,
            image: Span {
                start,
                end: start.saturating_add(size).min(self.size),
            },
        })
    }

    fn bring(&self, span: &Span) -> io::Result<Vec<u8>> {
        let memory = |length| zeroed(length, Code::MetadataMemory).map_err(refused);
        let mut data = memory(span.length())?;
        self.read_at(span.start, &mut data)?;
        let Stated { params, layout, .. } = &self.tree;
        let size = u64::from(params.data_block_size).max(1);
        let first = span.start / size;
        let mut hashes = memory(layout.block_size().into())?;
        check_blocks(params, layout, &self.root, self, first, &data, &mut hashes).map_err(
            |error| match error {
                ReadError::Source(error) => error,
                ReadError::Refused(error) => refused(error),
            },
        )?;
        self.blocks
            .fetch_add(span.length() / size, Ordering::Relaxed);
        Ok(data)
    }

    fn reads(&self) -> RandomReads {
        let of_blob = self.image.reads().unwrap_or(RandomReads {
            bytes: self.bytes.load(Ordering::Relaxed),
            of_bytes: self.image_size,
            chunks: 0,
            of_chunks: 0,
            verified: false,
            blocks: None,
            of_blocks: None,
        });
        RandomReads {
            blocks: Some(self.blocks.load(Ordering::Relaxed)),
            of_blocks: Some(self.tree.params.data_blocks),
            ..of_blob
        }
    }
}

impl ReadAt for Blocks {
    type Error = io::Error;

    /// The image with its tree, not verified.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.image.read_at(offset, buf)
    }
}
