//! The image of a wrapped layer, read at random out of its chunks by any number of threads.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::ReadAt as _;
use erofs_unpack_core::seekable::{Cache, Chunk, ChunkDecoder, Chunks as _, admit};
use erofs_unpack_core::{At, Code, Error, Limits, Value};
use serde::Serialize;

use crate::file_at::FileAt;
use crate::indexed::Index;

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
/// Threads that want one chunk wait for the first of them to bring it.
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
}

#[derive(Debug)]
struct State {
    cache: Cache<Arc<[u8]>>,
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
                on_their_way: BTreeSet::new(),
                decoders: Vec::new(),
            }),
            come: Condvar::new(),
            chunks: AtomicU64::new(0),
            bytes: AtomicU64::new(read),
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
        let decoder = state.decoders.pop();
        drop(state);
        let mut decoder =
            decoder.unwrap_or_else(|| ChunkDecoder::new(self.compression, &self.limits));
        let brought = self.bring(&mut decoder, chunk);
        let mut state = self.lock();
        state.on_their_way.remove(&chunk.number);
        state.decoders.push(decoder);
        if let Ok(content) = &brought {
            let size = chunk.image.length();
            let freed = state.cache.put(chunk.number, size, Arc::clone(content));
            drop(state);
            drop(freed);
        }
        self.come.notify_all();
        brought
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
