//! An image that is read at random by any number of threads, out of pieces that are brought when they
//! are asked for, and kept.

use core::fmt;
use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use erofs_unpack_core::seekable::Cache;
use erofs_unpack_core::{At, Code, Error, Value};
use serde::Serialize;

use crate::memory::zeroed;
use crate::pieces::{Piece, Pieces};
use crate::publish::scratch;
use crate::system::{self, File, FileExt as _};

/// What was read of a blob, and how much there is of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RandomReads {
    /// Bytes of the blob that were read: chunks, and the index where it lies in the blob.
    pub bytes: u64,
    /// Bytes of the blob.
    pub of_bytes: u64,
    /// Chunks that were read and decoded; one that was let go of and read again counts twice.
    pub chunks: u64,
    /// Chunks of the layer; none where a plain layer has no index.
    pub of_chunks: u64,
    /// Whether each chunk that was read has the digest that the index states, for which somebody
    /// vouches.
    pub verified: bool,
    /// Blocks that were held against the root of the dm-verity tree, where the manifest announces one;
    /// one that was let go of and read again counts twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<u64>,
    /// Blocks that the tree covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_blocks: Option<u64>,
}

/// `3 of 16 chunks and 8 of 40 blocks`: what there is of both.
impl fmt::Display for RandomReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (chunks, of_chunks) = (self.chunks, self.of_chunks);
        let blocks = self.blocks.zip(self.of_blocks);
        match (of_chunks, blocks) {
            (0, Some((blocks, of_blocks))) => write!(f, "{blocks} of {of_blocks} blocks"),
            (_, None) => write!(f, "{chunks} of {of_chunks} chunks"),
            (_, Some((blocks, of_blocks))) => write!(
                f,
                "{chunks} of {of_chunks} chunks and {blocks} of {of_blocks} blocks"
            ),
        }
    }
}

impl RandomReads {
    /// How what was read was verified, in words.
    #[must_use]
    pub const fn trust(&self) -> &'static str {
        match (self.verified, self.blocks.is_some()) {
            (false, false) => "not verified",
            (true, false) => "each verified",
            (false, true) => "each block verified by its path to the dm-verity root",
            (true, true) => "each verified, and each block by its path to the dm-verity root",
        }
    }
}

/// An image whose pieces are brought when they are asked for.
///
/// Threads that want one piece wait for the first of them to bring it. What there is no memory for
/// any more goes into an unnamed file in the system's directory for temporary files, so that a chunk
/// is decoded twice at most, however the reading jumps. Without such a file it is decoded again.
#[derive(Debug)]
pub(crate) struct Chunked {
    pieces: Pieces,
    state: Mutex<State>,
    /// A piece has come, or nobody brings it any more.
    come: Condvar,
    /// Bytes of the image that were brought.
    brought: AtomicU64,
    /// The file, where there can be one; pieces lie where they do in the image.
    spool: OnceLock<Option<File>>,
}

#[derive(Debug)]
struct State {
    cache: Cache<Arc<[u8]>>,
    /// The pieces in the spool.
    spooled: BTreeSet<u32>,
    /// The pieces that some thread is about to bring.
    on_their_way: BTreeSet<u32>,
}

impl Chunked {
    /// The image in these pieces.
    pub(crate) fn new(pieces: Pieces) -> Self {
        Self {
            state: Mutex::new(State {
                cache: Cache::new(pieces.cache()),
                spooled: BTreeSet::new(),
                on_their_way: BTreeSet::new(),
            }),
            pieces,
            come: Condvar::new(),
            brought: AtomicU64::new(0),
            spool: OnceLock::new(),
        }
    }

    /// What was read so far.
    pub(crate) fn reads(&self) -> RandomReads {
        self.pieces.reads()
    }

    /// Fills `buf` with the bytes of the image from `offset` on.
    ///
    /// What the core refuses is an error of the kind [`io::ErrorKind::InvalidData`] with that
    /// refusal in it.
    pub(crate) fn read_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let Some(piece) = self.pieces.find(offset) else {
                return Err(refused(
                    Error::new(Code::ChunkBounds, At::Image(offset))
                        .expected(Value::AtMost(self.pieces.image_size())),
                ));
            };
            let content = self.content(&piece)?;
            let start = usize::try_from(offset - piece.image.start).unwrap_or(usize::MAX);
            let from = content.get(start..).unwrap_or_default();
            let length = from.len().min(buf.len());
            let (now, later) = buf.split_at_mut(length);
            now.copy_from_slice(&from[..length]);
            offset += length as u64;
            buf = later;
        }
        Ok(())
    }

    /// A piece.
    fn content(&self, piece: &Piece) -> io::Result<Arc<[u8]>> {
        let mut state = self.lock();
        loop {
            if let Some(content) = state.cache.get(piece.number) {
                return Ok(Arc::clone(content));
            }
            if state.on_their_way.insert(piece.number) {
                break;
            }
            state = self
                .come
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let is_spooled = state.spooled.contains(&piece.number);
        drop(state);
        if is_spooled {
            let content = self.read_spooled(piece);
            self.keep(piece, &content, false);
            return content;
        }
        let content: io::Result<Arc<[u8]>> = self.pieces.bring(piece).map(Into::into);
        let spooled = match &content {
            Ok(content) => self.to_spool(piece, content),
            Err(_) => false,
        };
        self.keep(piece, &content, spooled);
        content
    }

    /// Keeps what has come, and tells those who wait.
    fn keep(&self, piece: &Piece, content: &io::Result<Arc<[u8]>>, spooled: bool) {
        let mut state = self.lock();
        state.on_their_way.remove(&piece.number);
        if spooled {
            state.spooled.insert(piece.number);
        }
        let freed = match content {
            Ok(content) => {
                let size = piece.image.length();
                state.cache.put(piece.number, size, Arc::clone(content))
            }
            Err(_) => None,
        };
        drop(state);
        drop(freed);
        self.come.notify_all();
    }

    /// Puts a piece into the spool, once more was brought than memory is kept for; and says whether
    /// it is there.
    fn to_spool(&self, piece: &Piece, content: &[u8]) -> bool {
        let before = self
            .brought
            .fetch_add(piece.image.length(), Ordering::Relaxed);
        if before < self.pieces.cache() || !self.pieces.are_dear() {
            return false;
        }
        let spool = self.spool.get_or_init(|| scratch(&system::temp_dir()).ok());
        let written = spool
            .as_ref()
            .map(|spool| spool.write_all_at(content, piece.image.start));
        matches!(written, Some(Ok(())))
    }

    /// A piece that was brought before.
    fn read_spooled(&self, piece: &Piece) -> io::Result<Arc<[u8]>> {
        let mut content = zeroed(piece.image.length(), Code::ChunkMemory).map_err(refused)?;
        match self.spool.get() {
            Some(Some(spool)) => spool.read_exact_at(&mut content, piece.image.start)?,
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(content.into())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal of the core as an error of reading.
pub(crate) fn refused(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The refusal of the core that an error of reading is, if it is one.
pub(crate) fn refusal(error: &io::Error) -> Option<Error> {
    error.get_ref()?.downcast_ref::<Error>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_at::FileAt;
    use crate::indexed::Index;
    use erofs_unpack_core::Limits;
    use erofs_unpack_core::codec::Compression;
    use erofs_unpack_core::oci::Algorithm;
    use erofs_unpack_core::seekable::{
        Checksum, ChunkIndex, ChunkIndexWriter, HashAlgorithm, Subject,
    };
    use std::io::Write as _;

    const CHUNK: usize = 1000;
    const COUNT: usize = 20;

    /// A plain blob of chunks, of which memory is kept for three.
    fn chunked() -> (Vec<u8>, Chunked) {
        let image: Vec<u8> = (0..CHUNK * COUNT).map(|at| (at % 251) as u8).collect();
        let hash = HashAlgorithm::Sha2(Algorithm::Sha256);
        let mut index = ChunkIndexWriter::new(Compression::None, hash);
        for chunk in image.chunks(CHUNK) {
            let digest = Checksum::Digest(Algorithm::Sha256.digest(chunk));
            index.push(CHUNK as u64, CHUNK as u64, digest).unwrap();
        }
        let end = image.len() as u64;
        let subject = Subject {
            compression: Compression::None,
            end,
        };
        let index = ChunkIndex::parse(index.finish(), &subject).unwrap();
        let mut file = scratch(&system::temp_dir()).unwrap();
        file.write_all(&image).unwrap();
        let mut limits = Limits::DEFAULT;
        limits.chunk_cache = 3 * CHUNK as u64;
        let blob = (FileAt::new(file), end);
        let index = Index::Chunks(index);
        let pieces = Pieces::chunks(blob, index, Compression::None, &limits, (0, true));
        (image, Chunked::new(pieces))
    }

    #[test]
    fn however_the_reading_jumps_a_chunk_is_decoded_twice_at_most() {
        let (image, chunked) = chunked();
        let mut piece = [0; 700];
        for turn in 0..200 {
            let offset = (turn * 7919) % (image.len() - piece.len());
            chunked.read_at(offset as u64, &mut piece).unwrap();
            assert!(piece == image[offset..offset + piece.len()]);
        }
        let reads = chunked.reads();
        assert_eq!(reads.of_chunks, COUNT as u64);
        assert!(reads.chunks > COUNT as u64 && reads.chunks <= COUNT as u64 + 3);
        assert_eq!(reads.bytes, reads.chunks * CHUNK as u64);
    }

    #[test]
    fn several_threads_bring_each_chunk_once() {
        let (image, chunked) = chunked();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (image, chunked) = (&image, &chunked);
                scope.spawn(move || {
                    for turn in 0..500 {
                        let offset = ((turn + thread) * 6131) % image.len();
                        let mut byte = [0];
                        chunked.read_at(offset as u64, &mut byte).unwrap();
                        assert_eq!(byte[0], image[offset]);
                    }
                });
            }
        });
        assert!(chunked.reads().chunks <= COUNT as u64 + 8);
    }
}
