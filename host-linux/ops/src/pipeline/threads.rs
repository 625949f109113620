//! All stages of a layer, on threads that share chunks of bytes.
//!
//! One thread reads the blob, one decodes, one writes, and one takes both digests and looks at the
//! superblock. A plain layer needs no decoding, and one pass of hashing serves both digests. Where
//! no digest is taken, there is no thread for it.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::chunk::{Chunk, Gone, Pool};
use super::decode::{Unwrap, decode};
use super::phases;
use super::{Progress, Sink, Stop, Terms};
use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::Superblock;
use erofs_unpack_core::oci::{Digest, Hasher};
use erofs_unpack_core::unpack::{
    BlobCheck, BlobReport, Expectations, Failure, ImageCheck, ImageReport, Outcome, StreamCheck,
    StreamForm, StreamReport, Streamed, Verdict, VerityCheck, VerityReport,
};

/// How much of the blob is read at a time, in bytes, and into how many chunks.
const READ: usize = 256 << 10;
const READS: usize = 14;

/// How many chunks of the blob wait at most to be hashed beside the image.
const WAITING: usize = 8;

/// How much is written at a time, in bytes.
const WRITE: usize = 512 << 10;

/// As [`super::run`].
pub(super) fn run(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Outcome, Stop> {
    let blob = BlobCheck::new(expectations, terms.limits).map_err(Stop::Refused)?;
    let mut image = ImageCheck::new(expectations, terms.limits);
    // Where there is no processor for it, it is part of the other.
    let verity = match terms.threads {
        0 | 1 => None,
        _ => image.take_verity(),
    };
    let unwrap = Unwrap::new(expectations.compression, terms).map_err(Stop::Refused)?;
    let unwrap = unwrap.map(|unwrap| (unwrap, Cut::of(expectations, terms)));
    let (blob, image, verdict) = stages(source, sink, blob, unwrap, (image, verity), progress)?;
    Outcome::new(&blob, &image, verdict).map_err(Stop::Refused)
}

/// As [`super::run`], for a layer that may be a tar archive where `form` says so. No digest is taken.
///
/// # Errors
///
/// As [`super::run`].
pub fn run_stream(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    expectations: &Expectations,
    form: StreamForm,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Streamed, Stop> {
    let blob = BlobCheck::without_digest(expectations, terms.limits).map_err(Stop::Refused)?;
    let check = StreamCheck::new(expectations, form, terms.limits);
    let unwrap = Unwrap::new(expectations.compression, terms).map_err(Stop::Refused)?;
    let unwrap = unwrap.map(|unwrap| (unwrap, Cut::of(expectations, terms)));
    let (blob, stream, verdict) = stages_of_stream(source, sink, blob, unwrap, check, progress)?;
    Streamed::new(&blob, &stream, verdict).map_err(Stop::Refused)
}

/// How the work of decoding is cut.
struct Cut<'a> {
    /// Threads that decode literals and sequences beside the one that makes the content of them;
    /// none where one thread decodes.
    workers: usize,
    limits: &'a Limits,
}

impl<'a> Cut<'a> {
    /// On fewer than three processors threads beside those that hash and write only get in their
    /// way; with two workers it is the others that are waited for.
    fn of(expectations: &Expectations, terms: &Terms<'a>) -> Self {
        let compression = expectations.compression;
        let whole = compression != Compression::Zstd || terms.sandbox.holds(compression);
        Self {
            workers: match terms.threads {
                _ if whole => 0,
                0..=2 => 0,
                3 => 1,
                _ => 2,
            },
            limits: terms.limits,
        }
    }

    /// Decodes everything that comes, and hands it on.
    fn decode(
        &self,
        unwrap: Unwrap,
        from: Receiver<Arc<Chunk>>,
        to: impl Fn(Arc<Chunk>) -> Result<(), Gone>,
    ) -> io::Result<Verdict> {
        if self.workers == 0 {
            return Ok(decode(unwrap, from, to));
        }
        phases::decode(self.workers, self.limits, from, to)
    }
}

/// What the stage that hashes takes.
enum Piece {
    Blob(Arc<Chunk>),
    Image(Arc<Chunk>),
}

/// Runs all stages, and gives what each has to say, the decoder's verdict last. Without a
/// decoder the blob is the image.
fn stages(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    mut blob: BlobCheck,
    unwrap: Option<(Unwrap, Cut<'_>)>,
    (check, verity): (ImageCheck, Option<VerityCheck>),
    progress: &Progress,
) -> Result<(BlobReport, ImageReport, Verdict), Stop> {
    let hasher = blob.take_hasher();
    let takes_digest = hasher.is_some();
    let superblock = OnceLock::new();
    let superblock = &superblock;
    let (to_hash, hash_from) = channel();
    let (to_write, write_from) = channel();
    let (verity, verity_from) = match verity {
        Some(check) => {
            let (to, from) = channel();
            (Some(to), Some((check, from)))
        }
        None => (None, None),
    };
    let to_hash_of_blob = to_hash.clone();
    let hash_blob = move |chunk: &Arc<Chunk>| {
        if takes_digest {
            let piece = Piece::Blob(Arc::clone(chunk));
            to_hash_of_blob.send(piece).map_err(|_| Gone)?;
        }
        Ok(())
    };
    let hand_on = move |chunk: Arc<Chunk>| {
        let piece = Piece::Image(Arc::clone(&chunk));
        to_hash.send(piece).map_err(|_| Gone)?;
        if let Some(verity) = &verity {
            verity.send(Arc::clone(&chunk)).map_err(|_| Gone)?;
        }
        to_write.send(chunk).map_err(|_| Gone)
    };
    let (read, verdict, written, (digest, report)) = thread::scope(|scope| -> io::Result<_> {
        // Each end of a channel is moved into its stage, which drops it when it returns: that is
        // how the neighbours learn of it, for better or worse. When a thread cannot be started,
        // its ends are dropped with it, and so are those of the stages that did not come to be:
        // the threads before it end.
        let verifying = verity_from
            .map(|(check, from)| spawn(scope, move || verify(check, from)))
            .transpose()?;
        let hashing = spawn(scope, move || {
            hash(hasher, check, hash_from, superblock, progress)
        })?;
        let hashed = move || {
            let (digest, report) = join(hashing);
            match verifying.map(join) {
                Some(verity) => (digest, report.with_verity(&verity)),
                None => (digest, report),
            }
        };
        let write = move || write(sink, superblock, write_from);
        let Some((unwrap, cut)) = unwrap else {
            let reading = spawn(scope, move || {
                read_blob(source, blob, progress, |chunk| {
                    hash_blob(&chunk)?;
                    hand_on(chunk)
                })
            })?;
            let written = write();
            return Ok((join(reading), Verdict::new(), written, hashed()));
        };
        let (to_decode, decode_from) = channel();
        let reading = spawn(scope, move || {
            read_blob(source, blob, progress, |chunk| {
                hash_blob(&chunk)?;
                to_decode.send(chunk).map_err(|_| Gone)
            })
        })?;
        let writing = spawn(scope, write)?;
        let verdict = cut.decode(unwrap, decode_from, hand_on)?;
        Ok((join(reading), verdict, join(writing), hashed()))
    })
    .map_err(Stop::Start)?;
    let (blob, read) = read;
    let read = (blob.finish_with(digest), read);
    let of_report = |report: &ImageReport| report.verdict;
    conclude(read, verdict, written, report, of_report, progress)
}

/// As [`stages`], where no digest is taken: looking at the bytes is no work for a thread of its
/// own, and comes before they are written.
fn stages_of_stream(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    blob: BlobCheck,
    unwrap: Option<(Unwrap, Cut<'_>)>,
    check: StreamCheck,
    progress: &Progress,
) -> Result<(BlobReport, StreamReport, Verdict), Stop> {
    let (to_write, write_from) = channel();
    let hand_on = move |chunk| to_write.send(chunk).map_err(|_| Gone);
    let (read, verdict, (written, report)) = thread::scope(|scope| -> io::Result<_> {
        let write = move || check_and_write(check, sink, write_from, progress);
        let Some((unwrap, cut)) = unwrap else {
            let reading = spawn(scope, move || read_blob(source, blob, progress, hand_on))?;
            let written = write();
            return Ok((join(reading), Verdict::new(), written));
        };
        let (to_decode, decode_from) = channel();
        let reading = spawn(scope, move || {
            read_blob(source, blob, progress, |chunk| {
                to_decode.send(chunk).map_err(|_| Gone)
            })
        })?;
        let writing = spawn(scope, write)?;
        let verdict = cut.decode(unwrap, decode_from, hand_on)?;
        Ok((join(reading), verdict, join(writing)))
    })
    .map_err(Stop::Start)?;
    let (blob, read) = read;
    let of_report = |report: &StreamReport| report.verdict;
    conclude(
        (blob.finish(), read),
        verdict,
        written,
        report,
        of_report,
        progress,
    )
}

/// What counts of what the stages came to.
fn conclude<R>(
    (blob, read): (BlobReport, io::Result<()>),
    verdict: Verdict,
    written: io::Result<()>,
    report: R,
    of_report: impl Fn(&R) -> Verdict,
    progress: &Progress,
) -> Result<(BlobReport, R, Verdict), Stop> {
    let stopped = verdict
        .failure()
        .into_iter()
        .chain(of_report(&report).failure())
        .any(|failure| failure.stops());
    if !stopped {
        if progress.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        written.map_err(Stop::Write)?;
        read.map_err(Stop::Read)?;
    }
    Ok((blob, report, verdict))
}

/// Starts a thread.
pub(super) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<thread::ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().spawn_scoped(scope, work)
}

/// What a thread returned. A panic in it is a bug, and goes on here.
pub(super) fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Reads the blob to its end, or until nobody wants more of it.
fn read_blob(
    source: &mut (dyn Read + Send),
    mut blob: BlobCheck,
    progress: &Progress,
    to: impl Fn(Arc<Chunk>) -> Result<(), Gone>,
) -> (BlobCheck, io::Result<()>) {
    let mut pool = Pool::new();
    let mut read = || -> io::Result<()> {
        while !progress.is_cancelled() && !blob.is_too_long() {
            let mut memory = pool.take(READ, READS)?;
            memory.resize(READ, 0);
            let size = loop {
                match source.read(&mut memory) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
            if size == 0 {
                break;
            }
            let accepted = blob.accepts(size);
            blob.update(&memory[..size]);
            progress.read.fetch_add(size as u64, Ordering::Relaxed);
            if to(pool.chunk(memory, 0..accepted)).is_err() {
                break;
            }
        }
        Ok(())
    };
    let result = read();
    (blob, result)
}

/// Takes both digests, and looks at the decoded bytes. Without a hasher the blob has none of its
/// own.
fn hash(
    mut hasher: Option<Hasher>,
    mut check: ImageCheck,
    from: Receiver<Piece>,
    superblock: &OnceLock<Superblock>,
    progress: &Progress,
) -> (Option<Digest>, ImageReport) {
    let mut blob = Waiting::default();
    for piece in &from {
        let chunk = match (piece, &mut hasher) {
            (Piece::Image(chunk), _) => chunk,
            (Piece::Blob(chunk), Some(hasher)) => {
                blob.chunks.push_back(chunk);
                if blob.chunks.len() > WAITING {
                    hasher.update(blob.rest());
                    blob.advance(usize::MAX);
                }
                continue;
            }
            (Piece::Blob(_), None) => continue,
        };
        if look(&mut check, chunk.content(), &mut hasher, &mut blob).is_err() {
            // The report holds the failure.
            break;
        }
        if superblock.get().is_none()
            && let Some(found) = check.superblock()
        {
            let _ = superblock.set(*found);
        }
        progress
            .decoded
            .fetch_add(chunk.content().len() as u64, Ordering::Relaxed);
    }
    // After a failure nothing more is wanted.
    drop(from);
    let digest = hasher.map(|mut hasher| {
        blob.hash(&mut hasher);
        hasher.finish()
    });
    (digest, check.finish())
}

/// Verifies the dm-verity tree behind the image.
fn verify(mut check: VerityCheck, from: Receiver<Arc<Chunk>>) -> VerityReport {
    for chunk in from {
        check.update(chunk.content());
    }
    check.finish()
}

/// Chunks of the blob that have still to be hashed.
#[derive(Default)]
pub(super) struct Waiting {
    chunks: VecDeque<Arc<Chunk>>,
    /// How much of the first is hashed already.
    done: usize,
}

impl Waiting {
    /// This one.
    pub(super) fn of(chunk: Arc<Chunk>) -> Self {
        Self {
            chunks: VecDeque::from([chunk]),
            done: 0,
        }
    }

    /// Hashes all of them.
    pub(super) fn hash(&mut self, hasher: &mut Hasher) {
        while !self.chunks.is_empty() {
            hasher.update(self.rest());
            self.advance(usize::MAX);
        }
    }

    /// What is left of the first.
    fn rest(&self) -> &[u8] {
        self.chunks
            .front()
            .and_then(|chunk| chunk.content().get(self.done..))
            .unwrap_or_default()
    }

    /// Says that so much more of the first is hashed.
    fn advance(&mut self, hashed: usize) {
        if hashed < self.rest().len() {
            self.done += hashed;
        } else {
            self.chunks.pop_front();
            self.done = 0;
        }
    }
}

/// Looks at decoded bytes, and hashes them together with what waits of the blob.
pub(super) fn look(
    check: &mut ImageCheck,
    mut bytes: &[u8],
    hasher: &mut Option<Hasher>,
    blob: &mut Waiting,
) -> Result<(), Failure> {
    while let Some(hasher) = hasher
        && !blob.chunks.is_empty()
        && !bytes.is_empty()
    {
        let length = bytes.len().min(blob.rest().len());
        let (now, later) = bytes.split_at(length);
        check.update_beside(now, hasher, &blob.rest()[..length])?;
        blob.advance(length);
        bytes = later;
    }
    check.update(bytes)
}

/// Writes the image: what is written has no name yet.
pub(super) fn write(
    sink: &mut dyn Sink,
    superblock: &OnceLock<Superblock>,
    from: Receiver<Arc<Chunk>>,
) -> io::Result<()> {
    let mut announced = false;
    for chunk in from {
        for bytes in chunk.content().chunks(WRITE) {
            if !announced && let Some(size) = superblock.get().and_then(Superblock::size) {
                announced = true;
                sink.expect(size)?;
            }
            sink.write(bytes)?;
        }
    }
    Ok(())
}

/// Looks at the decoded bytes and writes them.
fn check_and_write(
    mut check: StreamCheck,
    sink: &mut dyn Sink,
    from: Receiver<Arc<Chunk>>,
    progress: &Progress,
) -> (io::Result<()>, StreamReport) {
    let mut announced = false;
    let mut take = |bytes: &[u8]| -> io::Result<bool> {
        if check.update(bytes).is_err() {
            // The report holds the failure.
            return Ok(false);
        }
        let size = check.superblock().and_then(Superblock::size);
        if let (false, Some(size)) = (announced, size) {
            announced = true;
            sink.expect(size)?;
        }
        sink.write(bytes)?;
        progress
            .decoded
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(true)
    };
    let mut result = Ok(());
    'chunks: for chunk in from {
        for bytes in chunk.content().chunks(WRITE) {
            match take(bytes) {
                Ok(true) => {}
                Ok(false) => break 'chunks,
                Err(error) => {
                    result = Err(error);
                    break 'chunks;
                }
            }
        }
    }
    (result, check.finish())
}
