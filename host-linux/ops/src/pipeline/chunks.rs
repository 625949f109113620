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

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::Superblock;
use erofs_unpack_core::oci::{Digest, Hasher};
use erofs_unpack_core::seekable::{ChunkDecoder, Skipped};
use erofs_unpack_core::unpack::{
    BlobCheck, Expectations, Failure, ImageCheck, ImageReport, Outcome, Verdict, VerityCheck,
};
use erofs_unpack_core::verity::DataBlocks;
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use super::chunk::{Chunk, Gone};
use super::layout::{End, Job, Layout, Made, Pools};
use super::threads::{Waiting, join, look, spawn, write};
use super::{Progress, Sink, Stop, Terms};
use crate::ordered::{Giver, Taker, ordered};
use crate::system;

/// Bytes before the content of a skippable frame.
const FRAME: u64 = 8;

/// What came of the chunks.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The layer came through.
    Whole(Box<Outcome>),
    /// A chunk is not what the index says it is: the first of those in the blob.
    Chunk(Error),
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

/// The same, where several read it.
struct Shared {
    blob: Arc<Chunk>,
    image: Arc<Chunk>,
    hashes: Vec<Digest>,
}

impl Shared {
    fn of(made: Made) -> Self {
        let (blob, image) = made.pair;
        Self {
            blob: Arc::new(blob),
            image: Arc::new(image),
            hashes: made.hashes,
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
            let made = Shared::of(made);
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
        let mut ran = ordered(
            workers,
            worker,
            |giver, taker| -> io::Result<Result<(), End>> {
                let dispatching = spawn(scope, move || dispatch(layout, most, blocks, giver))?;
                let ran = gather(taker, progress, |made| {
                    count.chunk(&made, limits)?;
                    hand_on(made)
                });
                Ok(ran.and(join(dispatching)))
            },
        )??;
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

/// Hands out chunks in their order, each with memory, as long as somebody wants them.
fn dispatch<'a>(
    layout: &Layout<'_>,
    most: usize,
    blocks: Option<&'a DataBlocks>,
    mut giver: Giver<Job<'a>>,
) -> Result<(), End> {
    let mut pools = Pools::new();
    for number in 0..layout.chunks.count() {
        let Some(chunk) = layout.chunks.chunk(number) else {
            break;
        };
        let pair = layout.lend(&mut pools, &chunk, most)?;
        let job = Job {
            chunk,
            pair,
            blocks,
        };
        // Whoever is gone has a reason of its own.
        if !giver.give(job) {
            return Err(End::Gone);
        }
    }
    Ok(())
}

/// Takes the chunks in their order, up to the first that is wrong.
fn gather(
    mut taker: Taker<Result<Made, End>>,
    progress: &Progress,
    mut take: impl FnMut(Made) -> Result<(), End>,
) -> Result<(), End> {
    while let Some(made) = taker.take() {
        let made = made?;
        if progress.is_cancelled() {
            return Err(End::Gone);
        }
        take(made)?;
    }
    Ok(())
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
        let made = Shared::of(made);
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
