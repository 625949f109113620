//! Where the chunks of a layer lie, and how one of them is fetched, verified and decoded; not what is
//! done with it then.

use std::io;

use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder as _, Status, ZstdFlat};
use erofs_unpack_core::erofs::ReadAt as _;
use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::seekable::{Chunk as Place, ChunkDecoder, Chunks, Skipped};
use erofs_unpack_core::verity::DataBlocks;
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use super::Terms;
use super::chunk::{Chunk, Gone, Pool};
use crate::file_at::FileAt;

/// How much memory chunks may take beyond one for each worker, in bytes, and how many more there
/// are at most: they wait to be hashed and written while the workers go on.
const MORE: u64 = 6 << 20;
const MORE_CHUNKS: u64 = 6;

/// How much of what follows the chunks is read at a time, in bytes, and into how many pieces.
const READ: usize = 256 << 10;
const READS: usize = 2;

/// Room behind the content of a frame whose size is not known, in bytes: more than
/// [`ZstdFlat::room`] asks for.
const ROOM: u64 = 160 << 10;

/// Where the chunks of a layer lie.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'a> {
    /// The blob, as it lies in a file.
    pub(crate) blob: &'a FileAt,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// How it is wrapped.
    pub(crate) compression: Compression,
    /// The chunks.
    pub(crate) chunks: &'a (dyn Chunks + Sync),
    /// Whether they are only known to be at most as long as it is said in the image.
    pub(crate) bounds: bool,
    /// Where they end in the blob. What follows is their index: in a zstd blob a skippable frame,
    /// in a plain one a part of the image.
    pub(crate) end: u64,
    /// What follows them in a plain blob, as it was verified.
    pub(crate) rest: &'a [u8],
    /// Whether nothing takes the digests of blob and image, because every chunk is verified by
    /// itself and by itself alone. Those that are stated are reported.
    pub(crate) by_chunks: bool,
}

/// The sizes of the largest chunk, in the blob and in the image.
#[derive(Clone, Copy, Debug, Default)]
struct Largest {
    blob: u64,
    image: u64,
}

impl Layout<'_> {
    /// Whether the chunks can be decoded one by one: memory for each is taken whole.
    pub(crate) fn fits(&self, limits: &Limits) -> bool {
        let Largest { blob, image } = self.largest();
        blob.max(image) <= limits.chunk
    }

    /// How many threads decode.
    pub(crate) fn workers(&self, terms: &Terms<'_>) -> usize {
        let chunks = usize::try_from(self.chunks.count()).unwrap_or(usize::MAX);
        terms.threads.min(chunks).max(1)
    }

    fn largest(&self) -> Largest {
        let chunks = (0..self.chunks.count()).filter_map(|number| self.chunks.chunk(number));
        chunks.fold(Largest::default(), |largest, chunk| Largest {
            blob: largest.blob.max(chunk.blob.length()),
            image: largest.image.max(chunk.image.length()),
        })
    }

    /// How many chunks are in memory at most, where so many threads decode.
    pub(super) fn most(&self, workers: usize) -> usize {
        let Largest { blob, image } = self.largest();
        let more = (MORE / (blob + image).max(1)).min(MORE_CHUNKS);
        workers + usize::try_from(more).unwrap_or(0)
    }

    /// Memory for a chunk, and for what it decodes to.
    pub(super) fn lend(&self, pools: &mut Pools, chunk: &Place, most: usize) -> Result<Pair, End> {
        let take = |pool: &mut Pool, length: u64| {
            let length = usize::try_from(length).ok();
            let lent = length.and_then(|length| pool.lend(length, most).ok());
            let error = Error::new(Code::ChunkMemory, At::Blob(chunk.blob.start));
            lent.ok_or(End::Chunk(error))
        };
        let blob = take(&mut pools.blob, chunk.blob.length())?;
        let room = if self.bounds { ROOM } else { 0 };
        let image = take(&mut pools.image, chunk.image.length().saturating_add(room))?;
        Ok((blob, image))
    }

    /// Fetches a chunk, verifies it, decodes it, and hashes the blocks in it.
    pub(super) fn make(
        &self,
        decoder: &mut ChunkDecoder,
        Job {
            chunk,
            mut pair,
            blocks,
        }: Job<'_>,
        limits: &Limits,
    ) -> Result<Made, End> {
        let (blob, image) = &mut pair;
        self.read(chunk.blob.start, blob.content_mut())?;
        let mut skipped = Skipped::default();
        let mut hashes = Vec::new();
        if self.bounds {
            let length = frame(blob.content(), image.content_mut(), limits);
            image.shorten(length.map_err(End::Chunk)?);
        } else {
            let decoded = decoder.decode(&chunk, blob.content(), image.content_mut());
            decoded.map_err(End::Chunk)?;
            skipped = decoder.skipped();
            if let Some(blocks) = blocks {
                blocks.digests(chunk.image.start, image.content(), |hash| hashes.push(hash));
            }
        }
        Ok(Made {
            pair,
            hashes,
            skipped,
        })
    }

    /// What follows the chunks, as bytes of the blob and bytes of the image.
    pub(super) fn rest(
        &self,
        limits: &Limits,
        mut take: impl FnMut(Made) -> Result<(), End>,
    ) -> Result<(), End> {
        let (mut pool, mut none) = (Pool::new(), Pool::new());
        let failed = || End::Chunk(Error::new(Code::ChunkMemory, At::Blob(self.end)));
        let lend = |pool: &mut Pool, length| pool.lend(length, READS).map_err(|_| failed());
        if self.compression == Compression::None {
            for piece in self.rest.chunks(READ) {
                let (blob, mut image) = (lend(&mut none, 0)?, lend(&mut pool, piece.len())?);
                image.content_mut().copy_from_slice(piece);
                take(Made::rest((blob, image)))?;
            }
            return Ok(());
        }
        if self.end >= self.size {
            return Ok(());
        }
        let mut decoder = AnyDecoder::new(self.compression, limits).map_err(End::Chunk)?;
        let mut at = self.end;
        while at < self.size {
            let left = usize::try_from(self.size - at).unwrap_or(usize::MAX);
            let (mut blob, image) = (lend(&mut pool, left.min(READ))?, lend(&mut none, 0)?);
            self.read(at, blob.content_mut())?;
            at += blob.content().len() as u64;
            // All of the image lies in the chunks.
            let step = decoder.decode(blob.content(), &mut [0]);
            let step = step.map_err(End::Chunk)?;
            if step.produced > 0 || step.consumed < blob.content().len() {
                return Err(End::Chunk(Error::new(Code::ChunkFrame, At::Blob(self.end))));
            }
            take(Made::rest((blob, image)))?;
        }
        decoder.finish().map_err(End::Chunk)
    }

    /// Reads a part of the blob.
    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), End> {
        let read = self.blob.read_at(at, bytes);
        read.map_err(|error| match error.kind() {
            // The file has become shorter.
            io::ErrorKind::UnexpectedEof => End::Chunk(
                Error::new(Code::BlobSize, At::Blob(at)).expected(Value::Number(self.size)),
            ),
            _ => End::Read(error),
        })
    }
}

/// Decodes frames into memory that has [`ROOM`] behind what they decode to, and says how much that
/// is.
fn frame(blob: &[u8], memory: &mut [u8], limits: &Limits) -> Result<usize, Error> {
    let mut decoder = ZstdFlat::new(limits)?;
    let (mut rest, mut filled) = (blob, 0);
    loop {
        let step = decoder.decode(rest, memory, filled)?;
        rest = &rest[step.consumed..];
        filled += step.produced;
        if rest.is_empty() && step.status != Status::NeedOutput {
            decoder.finish()?;
            return Ok(filled);
        }
        if step.consumed == 0 && step.produced == 0 {
            return Err(Error::new(Code::ChunkLength, At::Whole));
        }
    }
}

/// Why no more chunks come.
pub(super) enum End {
    /// Nobody wants them.
    Gone,
    /// A chunk is not what it should be.
    Chunk(Error),
    /// The blob could not be read.
    Read(io::Error),
}

impl From<Gone> for End {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

/// Bytes of the blob, and what they decode to.
pub(super) type Pair = (Chunk, Chunk);

/// A chunk on its way to a worker, with what hashes blocks in it.
pub(super) struct Job<'a> {
    pub(super) chunk: Place,
    pub(super) pair: Pair,
    pub(super) blocks: Option<&'a DataBlocks>,
}

/// A chunk that came from a worker, or a part of what follows the chunks.
pub(super) struct Made {
    pub(super) pair: Pair,
    /// The hashes of the blocks that lie as a whole in what it decodes to, where a tree is announced.
    pub(super) hashes: Vec<Digest>,
    pub(super) skipped: Skipped,
}

impl Made {
    pub(super) fn rest(pair: Pair) -> Self {
        Self {
            pair,
            hashes: Vec::new(),
            skipped: Skipped::default(),
        }
    }
}

/// Memory for both.
pub(super) struct Pools {
    pub(super) blob: Pool,
    pub(super) image: Pool,
}

impl Pools {
    pub(super) fn new() -> Self {
        Self {
            blob: Pool::new(),
            image: Pool::new(),
        }
    }
}
