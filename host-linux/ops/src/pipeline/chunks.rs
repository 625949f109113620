//! A layer whose chunks are known beforehand: several threads decode them, each at its place.
//!
//! One thread hands out memory and chunks and takes what comes of them in the order of the blob,
//! workers fetch, verify and decode one each and hash the blocks of a dm-verity tree in it, one thread
//! takes both digests and looks at the superblock, one writes. Where one thread does it all, it does
//! the same, in the same order: what comes of a layer does not depend on how many there are.
//!
//! What is wrong with a chunk is not the last word on the layer: the index may lie. Who runs this
//! then reads the layer from its start.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder as _, Status, ZstdFlat};
use erofs_unpack_core::erofs::{ReadAt as _, Superblock};
use erofs_unpack_core::oci::{Digest, Hasher};
use erofs_unpack_core::seekable::{Chunk as Place, ChunkDecoder, Chunks, Skipped};
use erofs_unpack_core::unpack::{
    BlobCheck, Expectations, Failure, ImageCheck, ImageReport, Outcome, Verdict, VerityCheck,
};
use erofs_unpack_core::verity::DataBlocks;
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use super::chunk::{Chunk, Gone, Pool};
use super::threads::{Waiting, join, look, spawn, write};
use super::{Progress, Sink, Stop, Terms};
use crate::file_at::FileAt;
use crate::ordered::{Ordered, ordered};
use crate::system;

/// How much memory chunks may take beyond one for each worker, in bytes, and how many more there
/// are at most: they wait to be hashed and written while the workers go on.
const MORE: u64 = 6 << 20;
const MORE_CHUNKS: u64 = 6;

/// How much of what follows the chunks is read at a time, in bytes, and into how many pieces.
const READ: usize = 256 << 10;
const READS: usize = 2;

/// Bytes before the content of a skippable frame.
const FRAME: u64 = 8;

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

/// What came of the chunks.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The layer came through.
    Whole(Box<Outcome>),
    /// A chunk is not what the index says it is: the first of those in the blob.
    Chunk(Error),
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
    fn most(&self, workers: usize) -> usize {
        let Largest { blob, image } = self.largest();
        let more = (MORE / (blob + image).max(1)).min(MORE_CHUNKS);
        workers + usize::try_from(more).unwrap_or(0)
    }

    /// How many chunks are with the workers at most: enough for one that takes long not to keep the
    /// others waiting, and fewer than there is memory for, or nothing would be left to hash and write.
    fn ahead(&self, workers: usize) -> usize {
        let twice = workers.saturating_mul(2);
        twice.min(self.most(workers) - 1).max(workers)
    }

    /// Memory for a chunk, and for what it decodes to.
    fn lend(&self, pools: &mut Pools, chunk: &Place, most: usize) -> Result<Pair, End> {
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
    fn make(
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
    fn rest(
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

/// Brings the layer into `sink`, chunk by chunk, and verifies it.
///
/// # Errors
///
/// As [`super::run`], but for what is wrong with a chunk.
pub(crate) fn run(
    layout: &Layout<'_>,
    sink: &mut dyn Sink,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Ended, Stop> {
    let mut blob = BlobCheck::new(expectations, terms.limits).map_err(Stop::Refused)?;
    let mut image = ImageCheck::new(expectations, terms.limits);
    let mut hasher = blob.take_hasher();
    if layout.by_chunks {
        (hasher, _) = (None, image.take_hasher());
    }
    let count = Count {
        blob,
        frames: 0,
        skipped: Skipped::default(),
    };
    let check = Check {
        verity: image.take_verity(),
        image,
        hasher,
        stated: expectations.diff_id.filter(|_| layout.by_chunks),
    };
    let came = if system::THREADS && terms.threads > 0 {
        threads(layout, sink, count, check, terms, progress).map_err(Stop::Start)?
    } else {
        alone(layout, sink, count, check, terms, progress)
    };
    let Came {
        ran,
        count,
        digest,
        report,
        written,
    } = came;
    let gate = report.verdict.failure().filter(Failure::stops);
    match ran {
        // What was refused of the bytes before counts first.
        _ if gate.is_some() => {}
        _ if progress.is_cancelled() => return Err(Stop::Cancelled),
        Err(End::Chunk(error)) => return Ok(Ended::Chunk(error)),
        Err(End::Read(error)) => return Err(Stop::Read(error)),
        Ok(()) | Err(End::Gone) => written.map_err(Stop::Write)?,
    }
    let digest = if layout.by_chunks {
        expectations.blob_digest
    } else {
        digest
    };
    Outcome::new(&count.blob.finish_with(digest), &report, Verdict::new())
        .map(|outcome| Ended::Whole(Box::new(outcome)))
        .map_err(Stop::Refused)
}

/// Why no more chunks come.
enum End {
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
type Pair = (Chunk, Chunk);

/// A chunk on its way to a worker, with what hashes blocks in it.
struct Job<'a> {
    chunk: Place,
    pair: Pair,
    blocks: Option<&'a DataBlocks>,
}

/// A chunk that came from a worker, or a part of what follows the chunks.
struct Made {
    pair: Pair,
    /// The hashes of the blocks that lie as a whole in what it decodes to, where a tree is announced.
    hashes: Vec<Digest>,
    skipped: Skipped,
}

impl Made {
    fn rest(pair: Pair) -> Self {
        Self {
            pair,
            hashes: Vec::new(),
            skipped: Skipped::default(),
        }
    }

    fn shared(self) -> Shared {
        let (blob, image) = self.pair;
        Shared {
            blob: Arc::new(blob),
            image: Arc::new(image),
            hashes: self.hashes,
        }
    }
}

/// The same, where several read it.
struct Shared {
    blob: Arc<Chunk>,
    image: Arc<Chunk>,
    hashes: Vec<Digest>,
}

/// Memory for both.
struct Pools {
    blob: Pool,
    image: Pool,
}

impl Pools {
    fn new() -> Self {
        Self {
            blob: Pool::new(),
            image: Pool::new(),
        }
    }
}

/// What came of a layer: of its chunks, of their bytes, of their content, and of writing that.
struct Came {
    ran: Result<(), End>,
    count: Count,
    digest: Option<Digest>,
    report: ImageReport,
    written: io::Result<()>,
}

/// What is counted of the blob.
struct Count {
    blob: BlobCheck,
    /// How many frames were passed, and which of them hold nothing.
    frames: u64,
    skipped: Skipped,
}

impl Count {
    /// Counts a chunk.
    fn chunk(&mut self, made: &Made, limits: &Limits) -> Result<(), End> {
        self.blob.update(made.pair.0.content());
        self.frames += 1;
        self.skip(made.skipped, limits)
    }

    /// Counts skippable frames. The limits are those of a blob that is read from its start.
    fn skip(&mut self, skipped: Skipped, limits: &Limits) -> Result<(), End> {
        self.skipped.frames += skipped.frames;
        self.skipped.bytes = self.skipped.bytes.saturating_add(skipped.bytes);
        let at = At::Blob(self.blob.size());
        let frames = self.frames + self.skipped.frames;
        if frames > limits.frames {
            return Err(End::Chunk(
                Error::new(Code::FrameLimit, at)
                    .found(Value::AtLeast(frames))
                    .expected(Value::AtMost(limits.frames)),
            ));
        }
        if self.skipped.bytes > limits.skippable_size {
            return Err(End::Chunk(
                Error::new(Code::ZstdSkippable, at)
                    .found(Value::AtLeast(self.skipped.bytes))
                    .expected(Value::AtMost(limits.skippable_size)),
            ));
        }
        Ok(())
    }

    /// Counts what follows the chunks. Of a plain blob that is a part of the image.
    fn rest(&mut self, layout: &Layout<'_>, made: &Made) {
        let (blob, image) = &made.pair;
        self.blob.update(match layout.compression {
            Compression::None => image.content(),
            _ => blob.content(),
        });
    }

    /// Counts the frame that the index is.
    fn index(&mut self, layout: &Layout<'_>, limits: &Limits) -> Result<(), End> {
        if layout.compression == Compression::None || layout.end >= layout.size {
            return Ok(());
        }
        let skipped = Skipped {
            frames: 1,
            bytes: layout.size.saturating_sub(layout.end).saturating_sub(FRAME),
        };
        self.skip(skipped, limits)
    }
}

/// What takes the digests and looks at the image.
struct Check {
    image: ImageCheck,
    hasher: Option<Hasher>,
    /// The dm-verity tree that is announced.
    verity: Option<VerityCheck>,
    /// The diffID that is reported where none is taken.
    stated: Option<Digest>,
}

impl Check {
    fn take(&mut self, made: &Shared) -> Result<(), Failure> {
        let mut blob = Waiting::of(Arc::clone(&made.blob));
        let looked = look(
            &mut self.image,
            made.image.content(),
            &mut self.hasher,
            &mut blob,
        );
        if let Some(hasher) = &mut self.hasher {
            blob.hash(hasher);
        }
        looked?;
        if let Some(verity) = &mut self.verity {
            verity.update_hashed(made.image.content(), &made.hashes);
        }
        Ok(())
    }

    /// Takes all that comes, up to a failure, which the report holds.
    fn run(
        mut self,
        from: Receiver<Shared>,
        superblock: &OnceLock<Superblock>,
        progress: &Progress,
    ) -> (Option<Digest>, ImageReport) {
        for made in &from {
            if self.take(&made).is_err() {
                break;
            }
            if superblock.get().is_none()
                && let Some(found) = self.image.superblock()
            {
                let _ = superblock.set(*found);
            }
            let decoded = made.image.content().len() as u64;
            progress.decoded.fetch_add(decoded, Ordering::Relaxed);
        }
        drop(from);
        self.finish()
    }

    fn finish(self) -> (Option<Digest>, ImageReport) {
        let report = match self.stated {
            Some(stated) => self.image.finish_with(stated),
            None => self.image.finish(),
        };
        let report = match self.verity {
            Some(verity) => report.with_verity(&verity.finish()),
            None => report,
        };
        (self.hasher.map(Hasher::finish), report)
    }
}

/// All stages, on threads.
///
/// # Errors
///
/// The system gave no more threads.
fn threads(
    layout: &Layout<'_>,
    sink: &mut dyn Sink,
    mut count: Count,
    check: Check,
    terms: &Terms<'_>,
    progress: &Progress,
) -> io::Result<Came> {
    let limits = terms.limits;
    let workers = layout.workers(terms);
    let superblock = &OnceLock::new();
    let blocks = check.verity.as_ref().and_then(VerityCheck::data_blocks);
    let blocks = blocks.as_ref();
    thread::scope(|scope| {
        // Each end of a channel is moved into its stage, which drops it when it returns: that is
        // how the neighbours learn of it, also where a thread cannot be started.
        let (to_hash, hash_from) = channel();
        let (to_write, write_from) = channel();
        let hashing = spawn(scope, move || check.run(hash_from, superblock, progress))?;
        let writing = spawn(scope, move || write(sink, superblock, write_from))?;
        let hand_on = move |made: Made| -> Result<(), End> {
            let made = made.shared();
            let read = made.blob.content().len() as u64;
            progress.read.fetch_add(read, Ordering::Relaxed);
            let image = Arc::clone(&made.image);
            to_hash.send(made).map_err(|_| Gone)?;
            to_write.send(image).map_err(|_| Gone)?;
            Ok(())
        };
        let worker = || {
            let mut decoder = ChunkDecoder::new(layout.compression, limits);
            move |job: Job<'_>| layout.make(&mut decoder, job, limits)
        };
        let most = layout.most(workers);
        let mut ran = ordered(workers, layout.ahead(workers), worker, |ordered| {
            let mut take = |made: Result<Made, End>| {
                let made = made?;
                if progress.is_cancelled() {
                    return Err(End::Gone);
                }
                count.chunk(&made, limits)?;
                hand_on(made)
            };
            chunks(layout, most, blocks, ordered, &mut take)
        })?;
        if ran.is_ok() {
            ran = count.index(layout, limits).and_then(|()| {
                layout.rest(limits, |made| {
                    count.rest(layout, &made);
                    hand_on(made)
                })
            });
        }
        drop(hand_on);
        let (digest, report) = join(hashing);
        Ok(Came {
            ran,
            count,
            digest,
            report,
            written: join(writing),
        })
    })
}

/// Hands out the chunks in their order, each with memory, and takes what comes of them, up to the
/// first that is wrong or that nobody wants any more.
fn chunks<'a>(
    layout: &Layout<'_>,
    most: usize,
    blocks: Option<&'a DataBlocks>,
    ordered: &mut Ordered<Job<'a>, Result<Made, End>>,
    take: &mut dyn FnMut(Result<Made, End>) -> Result<(), End>,
) -> Result<(), End> {
    let mut pools = Pools::new();
    let mut all = (0..layout.chunks.count()).map_while(|number| layout.chunks.chunk(number));
    let mut lent = Ok(());
    loop {
        let next = match &lent {
            Ok(()) if !ordered.is_full() => all.next(),
            _ => None,
        };
        if let Some(chunk) = next {
            match layout.lend(&mut pools, &chunk, most) {
                Ok(pair) => ordered.give(Job {
                    chunk,
                    pair,
                    blocks,
                }),
                // What is wrong with those before it counts first.
                Err(end) => lent = Err(end),
            }
            continue;
        }
        match ordered.take() {
            Some(made) => take(made)?,
            None => return lent,
        }
    }
}

/// All stages on one thread, where there are no others.
fn alone(
    layout: &Layout<'_>,
    sink: &mut dyn Sink,
    mut count: Count,
    mut check: Check,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Came {
    let mut decoder = ChunkDecoder::new(layout.compression, terms.limits);
    let mut pools = Pools::new();
    let mut announced = false;
    let mut written = Ok(());
    let blocks = check.verity.as_ref().and_then(VerityCheck::data_blocks);
    let mut hand_on = |made: Made| -> Result<(), End> {
        let made = made.shared();
        let bytes = made.image.content();
        let (read, decoded) = (made.blob.content().len() as u64, bytes.len() as u64);
        progress.read.fetch_add(read, Ordering::Relaxed);
        check.take(&made).map_err(|_| Gone)?;
        progress.decoded.fetch_add(decoded, Ordering::Relaxed);
        let size = check.image.superblock().and_then(Superblock::size);
        let expected = match size {
            Some(size) if !announced => sink.expect(size),
            _ => Ok(()),
        };
        announced |= size.is_some();
        written = expected.and_then(|()| sink.write(bytes));
        if written.is_err() {
            return Err(End::Gone);
        }
        Ok(())
    };
    let mut bring = || -> Result<(), End> {
        for number in 0..layout.chunks.count() {
            let Some(chunk) = layout.chunks.chunk(number) else {
                break;
            };
            if progress.is_cancelled() {
                return Err(End::Gone);
            }
            let job = Job {
                pair: layout.lend(&mut pools, &chunk, 1)?,
                chunk,
                blocks: blocks.as_ref(),
            };
            let made = layout.make(&mut decoder, job, terms.limits)?;
            count.chunk(&made, terms.limits)?;
            hand_on(made)?;
        }
        count.index(layout, terms.limits)?;
        layout.rest(terms.limits, |made| {
            count.rest(layout, &made);
            hand_on(made)
        })
    };
    let ran = bring();
    let (digest, report) = check.finish();
    Came {
        ran,
        count,
        digest,
        report,
        written,
    }
}
