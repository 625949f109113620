//! One chunk: its bytes in the blob, verified and decoded to its bytes of the image.

use alloc::boxed::Box;

use super::chunk::{Checksum, Chunk};
use crate::bytes;
use crate::codec::{Compression, Decoder as _, Status, Zstd, ZstdBackend};
use crate::{At, Code, Error, Limits, Value};

/// The magic of a zstd frame, and the first of those of skippable frames.
const ZSTD_MAGIC: u32 = 0xFD2F_B528;
const SKIPPABLE: u32 = 0x184D_2A50;
/// Bytes before the content of a skippable frame.
const SKIPPABLE_HEADER: u64 = 8;

/// Verifies and decodes chunks, one after the other and in any order.
///
/// Memory of its own: for zstd, that of the codec's decoder; a frame that states its size is decoded
/// without its window in it.
#[derive(Debug)]
pub struct ChunkDecoder {
    compression: Compression,
    zstd: Box<Zstd>,
    skipped: Skipped,
}

/// The skippable frames of a chunk, which hold nothing of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many there are.
    pub frames: u64,
    /// Bytes in them, without their headers.
    pub bytes: u64,
}

impl ChunkDecoder {
    /// A decoder for the chunks of a blob that is wrapped so.
    #[must_use]
    pub fn new(compression: Compression, limits: &Limits) -> Self {
        Self {
            compression,
            zstd: Box::new(Zstd::single_frame(ZstdBackend::Own, limits)),
            skipped: Skipped::default(),
        }
    }

    /// The skippable frames of the chunk that was decoded last. [`Limits::frames`] and
    /// [`Limits::skippable_size`] are about a whole blob: who decodes all of it holds their sums
    /// against those.
    #[must_use]
    pub const fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Fills `output` with the chunk's bytes of the image, out of its bytes in the blob.
    ///
    /// A zstd chunk is one frame (draft, 3.3). Where the last chunk is longer than its frame, what
    /// follows must be skippable frames: between the last chunk and the index there may be one for
    /// padding (3.4.3), and by the formula of 3.4.2 it belongs to the chunk, whose checksum then
    /// covers it. A frame that decodes to nothing, and skippable frames in its place, are chunks of
    /// a seek table alone.
    ///
    /// # Errors
    ///
    /// [`Code::ChunkChecksum`] when the bytes are not those that the index means, before any of them
    /// is decoded, or for a checksum of the content afterwards; [`Code::ChunkFrame`] when they are
    /// not one frame; [`Code::ChunkLength`] when they decode to more or less; what the codec refuses,
    /// at its place in the blob. [`Code::Finished`] when a slice has not the chunk's length. After an
    /// error `output` holds anything.
    pub fn decode(&mut self, chunk: &Chunk, blob: &[u8], output: &mut [u8]) -> Result<(), Error> {
        if blob.len() as u64 != chunk.blob.length() || output.len() as u64 != chunk.image.length() {
            return Err(Error::new(Code::Finished, At::Whole));
        }
        self.skipped = Skipped::default();
        verify_blob(chunk, blob)?;
        match self.compression {
            Compression::Zstd => self.zstd(chunk, blob, output)?,
            _ => {
                if bytes::copy(blob, output) != blob.len() {
                    return Err(length(chunk, blob.len() as u64));
                }
            }
        }
        verify_image(chunk, output)
    }

    fn zstd(&mut self, chunk: &Chunk, blob: &[u8], output: &mut [u8]) -> Result<(), Error> {
        let magic = bytes::le_u32(&mut &*blob).unwrap_or(0);
        if output.is_empty() && magic & !15 == SKIPPABLE {
            self.skipped = skip(chunk, blob, 0)?;
            return Ok(());
        }
        if magic != ZSTD_MAGIC {
            return Err(frame(chunk, 0));
        }
        if self.zstd.decode_whole(blob, output) {
            return Ok(());
        }
        // It says why, or takes what is whole all the same: a frame that does not state its size,
        // and one with frames behind it that hold nothing.
        self.zstd.restart();
        let mut produced = 0_usize;
        let mut consumed = 0_usize;
        loop {
            let input = blob.get(consumed..).unwrap_or_default();
            let room = output.get_mut(produced..).unwrap_or_default();
            let full = room.is_empty();
            // One byte too many is seen by there being one.
            let mut more = [0; 1];
            let room = if full { &mut more } else { room };
            let step = match self.zstd.decode(input, room) {
                Ok(step) => step,
                Err(error) => return self.trailing(chunk, blob, error, produced),
            };
            consumed = consumed.saturating_add(step.consumed);
            produced = produced.saturating_add(step.produced);
            if produced > output.len() {
                return Err(length(chunk, produced as u64));
            }
            match step.status {
                Status::NeedOutput => {}
                Status::NeedInput | Status::Done => break,
            }
        }
        let finished = self.zstd.finish();
        finished.map_err(|error| moved(chunk, error))?;
        if produced != output.len() {
            return Err(length(chunk, produced as u64));
        }
        Ok(())
    }

    /// What to make of an error of the codec: where it is that bytes follow the frame, they may be
    /// padding.
    fn trailing(
        &mut self,
        chunk: &Chunk,
        blob: &[u8],
        error: Error,
        produced: usize,
    ) -> Result<(), Error> {
        let (Code::ZstdTrailing, At::Blob(end)) = (error.code(), error.at()) else {
            return Err(moved(chunk, error));
        };
        self.skipped = skip(chunk, blob, end)?;
        if produced as u64 != chunk.image.length() {
            return Err(length(chunk, produced as u64));
        }
        Ok(())
    }
}

/// Holds the bytes of the blob against the chunk's digest.
fn verify_blob(chunk: &Chunk, blob: &[u8]) -> Result<(), Error> {
    let Checksum::Digest(digest) = chunk.checksum else {
        return Ok(());
    };
    let found = digest.algorithm().digest(blob);
    if found == digest {
        return Ok(());
    }
    Err(Error::new(Code::ChunkChecksum, At::Blob(chunk.blob.start))
        .found(Value::Digest(found))
        .expected(Value::Digest(digest)))
}

/// Holds the decoded bytes against the chunk's XXH64.
fn verify_image(chunk: &Chunk, image: &[u8]) -> Result<(), Error> {
    let Checksum::Xxh64(expected) = chunk.checksum else {
        return Ok(());
    };
    let found = twox_hash::XxHash64::oneshot(0, image) & 0xFFFF_FFFF;
    if found == u64::from(expected) {
        return Ok(());
    }
    Err(Error::new(Code::ChunkChecksum, At::Blob(chunk.blob.start))
        .found(Value::Hex(found))
        .expected(Value::Hex(expected.into())))
}

/// Holds what follows a chunk's frame, from `start` on, against what may: whole skippable frames.
fn skip(chunk: &Chunk, blob: &[u8], start: u64) -> Result<Skipped, Error> {
    let mut at = start;
    let mut skipped = Skipped::default();
    while at < chunk.blob.length() {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let mut rest = blob.get(from..).unwrap_or_default();
        let header = bytes::le_u32(&mut rest).zip(bytes::le_u32(&mut rest));
        let Some((_, size)) = header.filter(|(magic, _)| magic & !15 == SKIPPABLE) else {
            return Err(frame(chunk, at));
        };

        let end = at
            .saturating_add(SKIPPABLE_HEADER)
            .saturating_add(size.into());
        if end > chunk.blob.length() {
            return Err(frame(chunk, at));
        }
        at = end;
        skipped.frames = skipped.frames.saturating_add(1);
        skipped.bytes = skipped.bytes.saturating_add(size.into());
    }
    Ok(skipped)
}

/// There is something else than the chunk's frame, `at` bytes behind its start.
fn frame(chunk: &Chunk, at: u64) -> Error {
    Error::new(
        Code::ChunkFrame,
        At::Blob(chunk.blob.start.saturating_add(at)),
    )
    .expected(Value::Text("one zstd frame"))
}

/// The chunk decodes to so many bytes, at least.
fn length(chunk: &Chunk, found: u64) -> Error {
    Error::new(Code::ChunkLength, At::Blob(chunk.blob.start))
        .found(if found > chunk.image.length() {
            Value::AtLeast(found)
        } else {
            Value::Number(found)
        })
        .expected(Value::Number(chunk.image.length()))
}

/// An error of the codec at its place in the whole blob.
fn moved(chunk: &Chunk, error: Error) -> Error {
    match error.at() {
        At::Blob(at) => error.moved(At::Blob(chunk.blob.start.saturating_add(at))),
        _ => error,
    }
}
