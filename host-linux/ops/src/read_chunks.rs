//! All chunks of a blob: verified and decoded on several threads, and hashed in their order.

use std::path::Path;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::ReadAt as _;
use erofs_unpack_core::oci::{Algorithm, Hasher};
use erofs_unpack_core::seekable::{Chunk, ChunkDecoder, Chunks, admit};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use crate::error::HostError;
use crate::file_at::FileAt;
use crate::ordered::{Ordered, ordered};

/// A chunk that is read, and memory for it.
struct Job {
    chunk: Chunk,
    blob: Vec<u8>,
    image: Vec<u8>,
}

/// What came of all chunks.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Of the bytes of the chunks in the blob.
    pub(crate) blob: Hasher,
    /// Of the image.
    pub(crate) image: Hasher,
}

/// Reads, verifies and decodes all chunks of a blob, which messages call `place`, and hashes what
/// they hold.
///
/// # Errors
///
/// [`HostError::Refused`] for the first chunk, in their order, that is not what the index says;
/// [`HostError::Environment`] when the blob cannot be read.
pub(crate) fn read_chunks<C: Chunks>(
    blob: &FileAt,
    place: &Path,
    chunks: &C,
    compression: Compression,
    limits: &Limits,
    threads: usize,
    algorithms: (Algorithm, Algorithm),
) -> Result<Seen, HostError> {
    let worker = || {
        let mut decoder = ChunkDecoder::new(compression, limits);
        move |mut job: Job| read(&mut job, blob, place, &mut decoder, limits).map(|()| job)
    };
    let hash = |ordered: &mut Ordered<Job, Result<Job, HostError>>| {
        let mut seen = Seen {
            blob: Hasher::new(algorithms.0),
            image: Hasher::new(algorithms.1),
        };
        let mut spare = Vec::new();
        let mut numbers = 0..chunks.count();
        loop {
            let next = if ordered.is_full() {
                None
            } else {
                numbers.next()
            };
            if let Some(number) = next {
                let chunk = chunks.chunk(number).ok_or_else(|| {
                    HostError::refused(place, Error::new(Code::ChunkBounds, At::Whole))
                })?;
                let (blob, image) = spare.pop().unwrap_or_default();
                ordered.give(Job { chunk, blob, image });
                continue;
            }
            let Some(job) = ordered.take() else {
                return Ok(seen);
            };
            let Job { blob, image, .. } = job?;
            seen.blob.update_both(&blob, &mut seen.image, &image);
            spare.push((blob, image));
        }
    };
    ordered(threads, worker, hash)
        .map_err(|error| HostError::environment(place, "start a thread for it", error))?
}

/// Reads one chunk.
fn read(
    job: &mut Job,
    blob: &FileAt,
    place: &Path,
    decoder: &mut ChunkDecoder,
    limits: &Limits,
) -> Result<(), HostError> {
    let refused = |error| HostError::refused(place, error);
    admit(&job.chunk, limits).map_err(refused)?;
    resize(&mut job.blob, job.chunk.blob.length()).map_err(refused)?;
    resize(&mut job.image, job.chunk.image.length()).map_err(refused)?;
    blob.read_at(job.chunk.blob.start, &mut job.blob)
        .map_err(|error| HostError::environment(place, "read", error))?;
    decoder
        .decode(&job.chunk, &job.blob, &mut job.image)
        .map_err(refused)
}

/// Makes it this long.
fn resize(memory: &mut Vec<u8>, length: u64) -> Result<(), Error> {
    let none = Error::new(Code::ChunkMemory, At::Whole).found(Value::Number(length));
    let length = usize::try_from(length).map_err(|_| none)?;
    let more = length.saturating_sub(memory.len());
    memory.try_reserve_exact(more).map_err(|_| none)?;
    memory.resize(length, 0);
    Ok(())
}
