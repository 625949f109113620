//! The image of a wrapped layer, read at random out of its chunks by any number of threads.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::ReadAt as _;
use erofs_unpack_core::seekable::{Cache, Chunk, ChunkDecoder, Chunks as _, admit};
use erofs_unpack_core::{At, Code, Error, Limits, Value};
use serde::Serialize;

use crate::file_at::FileAt;
use crate::indexed::Index;
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
    /// Chunks of the layer.
    pub of_chunks: u64,
}

/// A wrapped layer whose chunks are read, verified and decoded when they are asked for.
///
/// Threads that want one chunk wait for the first of them to bring it. What there is no memory for
/// any more goes into an unnamed file in the system's directory for temporary files, so that a chunk
/// is decoded twice at most, however the reading jumps. Without such a file it is decoded again.
#[derive(Debug)]
pub(crate) struct Chunked {
    blob: FileAt,
    size: u64,
    index: Index,
    compression: Compression,
    limits: Limits,
    state: Mutex<State>,
    /// A chunk has come, or nobody brings it any more.
    come: Condvar,
    chunks: AtomicU64,
    bytes: AtomicU64,
    /// Bytes of the image that were decoded.
    decoded: AtomicU64,
    /// The file, where there can be one; chunks lie where they do in the image.
    spool: OnceLock<Option<File>>,
}

#[derive(Debug)]
struct State {
    cache: Cache<Arc<[u8]>>,
    /// The chunks in the spool.
    spooled: BTreeSet<u32>,
    /// The chunks that some thread is about to bring.
    on_their_way: BTreeSet<u32>,
    /// Those that no thread uses.
    decoders: Vec<ChunkDecoder>,
}

impl Chunked {
    /// The image that the index says lies in this blob, of `size` bytes, of which `read` have been
    /// read for the index.
    pub(crate) fn new(
        (blob, size): (FileAt, u64),
        index: Index,
        compression: Compression,
        limits: &Limits,
        read: u64,
    ) -> Self {
        Self {
            blob,
            size,
            index,
            compression,
            limits: *limits,
            state: Mutex::new(State {
                cache: Cache::new(limits.chunk_cache),
                spooled: BTreeSet::new(),
                on_their_way: BTreeSet::new(),
                decoders: Vec::new(),
            }),
            come: Condvar::new(),
            chunks: AtomicU64::new(0),
            bytes: AtomicU64::new(read),
            decoded: AtomicU64::new(0),
            spool: OnceLock::new(),
        }
    }

    /// Size of the image in bytes, with all that follows it.
    pub(crate) fn image_size(&self) -> u64 {
        self.index.image_size()
    }

    /// What was read so far.
    pub(crate) fn reads(&self) -> RandomReads {
        RandomReads {
            bytes: self.bytes.load(Ordering::Relaxed),
            of_bytes: self.size,
            chunks: self.chunks.load(Ordering::Relaxed),
            of_chunks: self.index.count().into(),
        }
    }

    /// Fills `buf` with the bytes of the image from `offset` on.
    ///
    /// What the core refuses is an error of the kind [`io::ErrorKind::InvalidData`] with that
    /// refusal in it.
    pub(crate) fn read_at(&self, mut offset: u64, mut buf: &mut [u8]) -> io::Result<()> {
        while !buf.is_empty() {
            let Some(chunk) = self.index.find(offset) else {
                return Err(refused(
                    Error::new(Code::ChunkBounds, At::Image(offset))
                        .expected(Value::AtMost(self.image_size())),
                ));
            };
            let content = self.content(&chunk)?;
            let start = usize::try_from(offset - chunk.image.start).unwrap_or(usize::MAX);
            let from = content.get(start..).unwrap_or_default();
            let length = from.len().min(buf.len());
            let (now, later) = buf.split_at_mut(length);
            now.copy_from_slice(&from[..length]);
            offset += length as u64;
            buf = later;
        }
        Ok(())
    }

    /// A chunk, decoded.
    fn content(&self, chunk: &Chunk) -> io::Result<Arc<[u8]>> {
        let mut state = self.lock();
        loop {
            if let Some(content) = state.cache.get(chunk.number) {
                return Ok(Arc::clone(content));
            }
            if state.on_their_way.insert(chunk.number) {
                break;
            }
            state = self
                .come
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.spooled.contains(&chunk.number) {
            drop(state);
            let content = self.read_spooled(chunk);
            self.keep(chunk, &content, false);
            return content;
        }
        let decoder = state.decoders.pop();
        drop(state);
        let new = || ChunkDecoder::new(self.compression, &self.limits);
        let mut decoder = decoder.unwrap_or_else(new);
        let content = self.bring(&mut decoder, chunk);
        let spooled = match &content {
            Ok(content) => self.to_spool(chunk, content),
            Err(_) => false,
        };
        self.lock().decoders.push(decoder);
        self.keep(chunk, &content, spooled);
        content
    }

    /// Keeps what has come, and tells those who wait.
    fn keep(&self, chunk: &Chunk, content: &io::Result<Arc<[u8]>>, spooled: bool) {
        let mut state = self.lock();
        state.on_their_way.remove(&chunk.number);
        if spooled {
            state.spooled.insert(chunk.number);
        }
        let freed = match content {
            Ok(content) => {
                let size = chunk.image.length();
                state.cache.put(chunk.number, size, Arc::clone(content))
            }
            Err(_) => None,
        };
        drop(state);
        drop(freed);
        self.come.notify_all();
    }

    /// Puts a chunk into the spool, once more was decoded than memory is kept for; and says whether
    /// it is there.
    fn to_spool(&self, chunk: &Chunk, content: &[u8]) -> bool {
        let before = self
            .decoded
            .fetch_add(chunk.image.length(), Ordering::Relaxed);
        if before < self.limits.chunk_cache {
            return false;
        }
        let spool = self.spool.get_or_init(|| scratch(&system::temp_dir()).ok());
        let written = spool
            .as_ref()
            .map(|spool| spool.write_all_at(content, chunk.image.start));
        matches!(written, Some(Ok(())))
    }

    /// A chunk that was decoded before.
    fn read_spooled(&self, chunk: &Chunk) -> io::Result<Arc<[u8]>> {
        let mut content = memory(chunk.image.length())?;
        match self.spool.get() {
            Some(Some(spool)) => spool.read_exact_at(&mut content, chunk.image.start)?,
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(content.into())
    }

    /// Reads a chunk, verifies and decodes it.
    fn bring(&self, decoder: &mut ChunkDecoder, chunk: &Chunk) -> io::Result<Arc<[u8]>> {
        admit(chunk, &self.limits).map_err(refused)?;
        let mut input = memory(chunk.blob.length())?;
        self.blob.read_at(chunk.blob.start, &mut input)?;
        self.chunks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(chunk.blob.length(), Ordering::Relaxed);
        let mut output = memory(chunk.image.length())?;
        let decoded = decoder.decode(chunk, &input, &mut output);
        decoded.map_err(refused)?;
        Ok(output.into())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory for so many bytes, which a limit allows.
fn memory(length: u64) -> io::Result<Vec<u8>> {
    let none = || {
        let error = Error::new(Code::ChunkMemory, At::Whole);
        refused(error.found(Value::Number(length)))
    };
    let length = usize::try_from(length).map_err(|_| none())?;
    let mut memory = Vec::new();
    memory.try_reserve_exact(length).map_err(|_| none())?;
    memory.resize(length, 0);
    Ok(memory)
}

/// A refusal of the core as an error of reading.
fn refused(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The refusal of the core that an error of reading is, if it is one.
pub(crate) fn refusal(error: &io::Error) -> Option<Error> {
    error.get_ref()?.downcast_ref::<Error>().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let chunked = Chunked::new(blob, index, Compression::None, &limits, 0);
        (image, chunked)
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
