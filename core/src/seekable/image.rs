//! An image that is read out of the chunks of a blob.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::chunk::{Chunk, Chunks};
use super::decode::ChunkDecoder;
use crate::bytes;
use crate::codec::Compression;
use crate::erofs::{ReadAt, ReadError};
use crate::{At, Code, Error, Limits, Value};

/// Decoded chunks that may be asked for again, the last used ones.
///
/// `P` is how a host keeps them. It holds chunks of together at most the bytes that it was made
/// for, and the last one whatever its size.
#[derive(Debug)]
pub struct Cache<P> {
    /// The last used one comes last.
    kept: Vec<(u32, u64, P)>,
    size: u64,
    limit: u64,
}

impl<P> Cache<P> {
    /// An empty one, of at most so many bytes.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self {
            kept: Vec::new(),
            size: 0,
            limit,
        }
    }

    /// The chunk of this number.
    pub fn get(&mut self, number: u32) -> Option<&P> {
        let place = self.kept.iter().position(|(kept, ..)| *kept == number)?;
        let found = self.kept.remove(place);
        self.kept.push(found);
        self.kept.last().map(|(.., chunk)| chunk)
    }

    /// Keeps a chunk of this size, and lets go of those that were not used for the longest time, as
    /// many as it takes. What has been let go last is given back, for its memory.
    pub fn put(&mut self, number: u32, size: u64, chunk: P) -> Option<P> {
        let mut freed = None;
        while self.size.saturating_add(size) > self.limit && !self.kept.is_empty() {
            let (_, size, chunk) = self.kept.remove(0);
            self.size = self.size.saturating_sub(size);
            freed = Some(chunk);
        }
        if self.kept.try_reserve(1).is_err() {
            return Some(chunk);
        }
        self.size = self.size.saturating_add(size);
        self.kept.push((number, size, chunk));
        freed
    }
}

/// What was read of a blob so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// How many chunks were fetched and decoded; one that was let go of and fetched again counts
    /// twice.
    pub chunks: u64,
    /// Their bytes in the blob; and those of the index that lies in it, where [`Seekable::open`] has
    /// read it.
    pub bytes: u64,
}

/// An image in the chunks of a blob: what is asked for is fetched, verified and decoded, chunk by
/// chunk.
///
/// Memory: the decoder, chunks of together [`Limits::chunk_cache`] bytes or one chunk, and the bytes
/// of one chunk in the blob. It is for one thread; a host with several brings the same pieces
/// together, [`ChunkDecoder`] and [`Cache`].
#[derive(Debug)]
pub struct Seekable<B, C> {
    blob: B,
    chunks: C,
    limits: Limits,
    state: RefCell<State>,
    reads: Cell<Reads>,
}

#[derive(Debug)]
struct State {
    decoder: ChunkDecoder,
    cache: Cache<Vec<u8>>,
    input: Vec<u8>,
}

impl<B: ReadAt, C: Chunks> Seekable<B, C> {
    /// The image that `chunks` says lies in `blob`, which is wrapped so.
    #[must_use]
    pub fn new(blob: B, chunks: C, compression: Compression, limits: &Limits) -> Self {
        Self {
            blob,
            chunks,
            limits: *limits,
            state: RefCell::new(State {
                decoder: ChunkDecoder::new(compression, limits),
                cache: Cache::new(limits.chunk_cache),
                input: Vec::new(),
            }),
            reads: Cell::default(),
        }
    }

    /// The same, with what was read of the blob before.
    pub(super) fn with_reads(self, reads: Reads) -> Self {
        self.reads.set(reads);
        self
    }

    /// The chunks.
    pub const fn chunks(&self) -> &C {
        &self.chunks
    }

    /// What was read of the blob so far.
    #[must_use]
    pub fn reads(&self) -> Reads {
        self.reads.get()
    }

    /// A chunk, decoded, in memory that `free` may bring.
    fn fetch(&self, state: &mut State, chunk: &Chunk) -> Result<Vec<u8>, ReadError<B::Error>> {
        admit(chunk, &self.limits)?;
        let State { decoder, input, .. } = state;
        resize(input, chunk.blob.length())?;
        let read = self.blob.read_at(chunk.blob.start, input);
        read.map_err(ReadError::Source)?;
        let reads = self.reads.get();
        self.reads.set(Reads {
            chunks: reads.chunks.saturating_add(1),
            bytes: reads.bytes.saturating_add(chunk.blob.length()),
        });
        let mut output = Vec::new();
        resize(&mut output, chunk.image.length())?;
        decoder.decode(chunk, input, &mut output)?;
        Ok(output)
    }
}

/// Makes it this long.
pub(super) fn resize(memory: &mut Vec<u8>, length: u64) -> Result<(), Error> {
    let no_memory = Error::new(Code::ChunkMemory, At::Whole).found(Value::Number(length));
    let length = usize::try_from(length).map_err(|_| no_memory)?;
    let more = length.saturating_sub(memory.len());
    memory.try_reserve_exact(more).map_err(|_| no_memory)?;
    memory.resize(length, 0);
    Ok(())
}

/// Whether a chunk may be taken into memory.
///
/// # Errors
///
/// [`Code::ChunkLimit`] when it has more bytes than [`Limits::chunk`], in the blob or in the image.
pub fn admit(chunk: &Chunk, limits: &Limits) -> Result<(), Error> {
    let largest = chunk.blob.length().max(chunk.image.length());
    if largest <= limits.chunk {
        return Ok(());
    }
    Err(Error::new(Code::ChunkLimit, At::Blob(chunk.blob.start))
        .found(Value::Number(largest))
        .expected(Value::AtMost(limits.chunk)))
}

impl<B: ReadAt, C: Chunks> ReadAt for Seekable<B, C> {
    type Error = ReadError<B::Error>;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Self::Error> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let mut filled = 0_usize;
        while let Some(room) = buf.get_mut(filled..).filter(|room| !room.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            let outside = Error::new(Code::ChunkBounds, At::Image(at))
                .expected(Value::AtMost(self.chunks.image_size()));
            let chunk = self.chunks.find(at).ok_or(outside)?;
            let within = usize::try_from(at.saturating_sub(chunk.image.start)).unwrap_or(0);
            let copied = match state.cache.get(chunk.number) {
                Some(kept) => bytes::copy(kept.get(within..).unwrap_or_default(), room),
                None => {
                    let decoded = self.fetch(state, &chunk)?;
                    let copied = bytes::copy(decoded.get(within..).unwrap_or_default(), room);
                    let size = chunk.image.length();
                    state.cache.put(chunk.number, size, decoded);
                    copied
                }
            };
            if copied == 0 {
                return Err(outside.into());
            }
            filled = filled.saturating_add(copied);
        }
        Ok(())
    }
}
