//! One layer through all stages, on threads joined by bounded queues of reused buffers.
//!
//! One thread reads the blob and takes its digest, one decodes, one writes, one takes the diffID
//! and looks at the superblock. A plain layer needs no decoding, and one pass of hashing serves
//! both digests. Where no digest is taken, there is no thread for it. What is valid is decided by
//! the core's stages alone.

mod queue;

use std::io::{self, Read};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use erofs_unpack_core::codec::{Decoder, Status};
use erofs_unpack_core::erofs::Superblock;
use erofs_unpack_core::unpack::{
    BlobCheck, BlobReport, Expectations, Failure, ImageCheck, ImageReport, Outcome, SNIFF_SIZE,
    StreamCheck, StreamReport, Streamed, Verdict,
};
use erofs_unpack_core::{Error, Limits};

use crate::isolation::Isolation;
use queue::{Buffer, Draining, Filling, Gone, queue};

/// Takes the bytes of an image, in order. They are not verified yet.
pub trait Sink: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    ///
    /// What the system answered.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Learns how many bytes the image declares, once that is known: at least so many are to
    /// come. It is not verified.
    ///
    /// # Errors
    ///
    /// What the system answered, for instance that there is not so much space.
    fn expect(&mut self, size: u64) -> io::Result<()> {
        let _ = size;
        Ok(())
    }
}

/// Keeps nothing: for verifying only.
impl Sink for io::Sink {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// How far a layer has come, seen from any thread, and a way to stop it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes that are to be read, or 0 when that is not known.
    total: AtomicU64,
    read: AtomicU64,
    decoded: AtomicU64,
    running: AtomicBool,
    cancelled: AtomicBool,
}

impl Progress {
    /// Says that so many bytes, if that is known, are read from now on.
    pub fn begin(&self, total: Option<u64>) {
        self.total.store(total.unwrap_or(0), Ordering::Relaxed);
        self.read.store(0, Ordering::Relaxed);
        self.decoded.store(0, Ordering::Relaxed);
        self.running.store(true, Ordering::Relaxed);
    }

    /// Says that nothing more is read.
    pub fn end(&self) {
        self.running.store(false, Ordering::Relaxed);
    }

    /// Whether something is being read.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// How many bytes are to be read, where that is known and something was begun.
    pub fn total(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }

    /// Bytes of the blob read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes of the image decoded and looked at so far.
    pub fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// Asks the threads to stop at the next buffer.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// Why a layer did not come through.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stop {
    /// The core refused it.
    Refused(Error),
    /// The blob could not be read.
    Read(io::Error),
    /// The image could not be written.
    Write(io::Error),
    /// The system gave no more threads.
    Start(io::Error),
    /// [`Progress::cancel`] was called.
    Cancelled,
}

/// On what terms layers are brought.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// What a layer may ask for.
    pub limits: &'a Limits,
    /// Where it is decoded.
    pub isolation: &'a Isolation,
}

impl<'a> From<&'a Limits> for Terms<'a> {
    /// Within these limits, decoded as a part of the program.
    fn from(limits: &'a Limits) -> Self {
        Self {
            limits,
            isolation: &Isolation::NONE,
        }
    }
}

/// Brings one layer from `source` into `sink` and verifies it.
///
/// What `sink` has taken is verified when this returns an [`Outcome`], and not before.
///
/// # Errors
///
/// A [`Stop`]. A refusal that ended the work outranks what the system answered; else the
/// system's answer outranks what could be said of the bytes that had come by then.
pub fn run(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Outcome, Stop> {
    let Terms { limits, isolation } = *terms;
    let blob = BlobCheck::new(expectations, limits).map_err(Stop::Refused)?;
    let image = ImageCheck::new(expectations, limits);
    let decoder = isolation.decoder(expectations.compression, limits);
    let decoder = decoder.map_err(Stop::Refused)?;
    let (blob, image, verdict) = stages(source, sink, blob, decoder, image, progress)?;
    Outcome::new(&blob, &image, verdict).map_err(Stop::Refused)
}

/// As [`run`], for a layer that may be a tar archive where `tar` says so. No digest is taken.
///
/// # Errors
///
/// As [`run`].
pub fn run_stream(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    expectations: &Expectations,
    tar: bool,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Streamed, Stop> {
    let Terms { limits, isolation } = *terms;
    let blob = BlobCheck::without_digest(expectations, limits).map_err(Stop::Refused)?;
    let check = StreamCheck::new(expectations, tar, limits);
    let decoder = isolation.decoder(expectations.compression, limits);
    let decoder = decoder.map_err(Stop::Refused)?;
    let (blob, stream, verdict) = stages_of_stream(source, sink, blob, decoder, check, progress)?;
    Streamed::new(&blob, &stream, verdict).map_err(Stop::Refused)
}

/// What undoes a layer's compression.
type BoxedDecoder = Box<dyn Decoder + Send>;

/// Runs all stages, and gives what each has to say, the decoder's verdict last. Without a
/// decoder the blob is the image.
fn stages(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    blob: BlobCheck,
    decoder: Option<BoxedDecoder>,
    check: ImageCheck,
    progress: &Progress,
) -> Result<(BlobReport, ImageReport, Verdict), Stop> {
    let (read_to, decode_from) = queue();
    let (write_to, check_from) = queue();

    let superblock = OnceLock::new();
    let superblock = &superblock;
    let (read, verdict, written, report) = thread::scope(|scope| -> io::Result<_> {
        // When a thread cannot be started, its ends of the queues are dropped with it, and so
        // are those of the stages that did not come to be: the threads before it end.
        let reader = spawn(scope, move || read_blob(source, blob, &read_to, progress))?;
        let checker = spawn(scope, move || {
            check_decoded(check, &check_from, superblock, progress)
        })?;
        // Each end of a queue is moved into its stage, which drops it when it returns: that is
        // how the neighbours learn of it, for better or worse.
        let writer = move |from| write(sink, superblock, from, write_to);
        let (verdict, written) = decode_and_write(scope, decoder, decode_from, writer)?;
        Ok((join(reader), verdict, written, join(checker)))
    })
    .map_err(Stop::Start)?;
    let of_report = |report: &ImageReport| report.verdict;
    conclude(read, verdict, written, report, of_report, progress)
}

/// As [`stages`], where no digest is taken: looking at the bytes is no work for a thread of its
/// own, and comes before they are written.
fn stages_of_stream(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    blob: BlobCheck,
    decoder: Option<BoxedDecoder>,
    check: StreamCheck,
    progress: &Progress,
) -> Result<(BlobReport, StreamReport, Verdict), Stop> {
    let (read_to, decode_from) = queue();
    let (read, verdict, (written, report)) = thread::scope(|scope| -> io::Result<_> {
        let reader = spawn(scope, move || read_blob(source, blob, &read_to, progress))?;
        let writer = move |from| check_and_write(check, sink, from, progress);
        let (verdict, written) = decode_and_write(scope, decoder, decode_from, writer)?;
        Ok((join(reader), verdict, written))
    })
    .map_err(Stop::Start)?;
    let of_report = |report: &StreamReport| report.verdict;
    conclude(read, verdict, written, report, of_report, progress)
}

/// Decodes here, and gives what is decoded to a thread that writes. Without a decoder what is
/// read is written here, and there is neither that thread nor its queue.
fn decode_and_write<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    decoder: Option<BoxedDecoder>,
    from: Draining,
    writer: impl FnOnce(Draining) -> T + Send + 'scope,
) -> io::Result<(Verdict, T)> {
    let Some(decoder) = decoder else {
        return Ok((Verdict::new(), writer(from)));
    };
    let (to, write_from) = queue();
    let writer = spawn(scope, move || writer(write_from))?;
    let verdict = decode(decoder, from, &to);
    // Nothing more comes for the writer.
    drop(to);
    Ok((verdict, join(writer)))
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
fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<thread::ScopedJoinHandle<'scope, T>> {
    thread::Builder::new().spawn_scoped(scope, work)
}

/// What a thread returned. A panic in it is a bug, and goes on here.
fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Reads the blob to its end, or until nobody wants more of it.
fn read_blob(
    source: &mut (dyn Read + Send),
    mut blob: BlobCheck,
    to: &Filling,
    progress: &Progress,
) -> (BlobReport, io::Result<()>) {
    let mut result = Ok(());
    while let Ok(mut buffer) = to.empty() {
        if progress.is_cancelled() {
            break;
        }
        let size = match source.read(&mut buffer.bytes) {
            Ok(0) => break,
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => {
                result = Err(error);
                break;
            }
        };
        buffer.filled = blob.accepts(size);
        blob.update(&buffer.bytes[..size]);
        progress.read.fetch_add(size as u64, Ordering::Relaxed);
        if to.send(buffer).is_err() || blob.is_too_long() {
            break;
        }
    }
    (blob.finish(), result)
}

/// Decodes everything that is read.
fn decode(decoder: BoxedDecoder, from: Draining, to: &Filling) -> Verdict {
    let mut decoding = Decoding {
        decoder,
        decoded: 0,
        output: None,
        sent: false,
    };
    let mut verdict = Verdict::new();
    while let Ok(buffer) = from.full.recv() {
        // After a failure that waits for the verdict on the whole blob, the rest of the blob
        // is only read and hashed.
        if verdict.failure().is_none() {
            match decoding.take(buffer.content(), to) {
                Ok(Ok(())) => {}
                Ok(Err(Gone)) => return verdict,
                Err(failure) => {
                    verdict.add(failure);
                    if failure.stops() {
                        break;
                    }
                }
            }
        }
        from.recycle(buffer);
    }
    // Nothing more is wanted of the reader.
    drop(from);
    if verdict.failure().is_none()
        && let Err(error) = decoding.decoder.finish()
    {
        verdict.add(Failure::codec(error, decoding.decoded));
    }
    // What was decoded before a failure may itself be refused, and that counts first.
    let _ = decoding.flush(to);
    verdict
}

/// The decoder and the buffer that it fills.
struct Decoding {
    decoder: BoxedDecoder,
    decoded: u64,
    output: Option<Buffer>,
    sent: bool,
}

impl Decoding {
    /// Decodes all of `input`.
    fn take(&mut self, mut input: &[u8], to: &Filling) -> Result<Result<(), Gone>, Failure> {
        loop {
            let mut buffer = match self.output.take().map_or_else(|| to.empty(), Ok) {
                Ok(buffer) => buffer,
                Err(gone) => return Ok(Err(gone)),
            };
            let step = self
                .decoder
                .decode(input, &mut buffer.bytes[buffer.filled..]);
            let (step, failure) = match step {
                Ok(step) => (Some(step), None),
                Err(error) => (None, Some(Failure::codec(error, self.decoded))),
            };
            if let Some(step) = step {
                input = &input[step.consumed..];
                buffer.filled += step.produced;
                self.decoded += step.produced as u64;
            }
            // The first bytes go on at once: they say whether this is an image at all.
            let early = !self.sent && buffer.filled >= SNIFF_SIZE;
            let full = buffer.filled == buffer.bytes.len();
            self.output = Some(buffer);
            if let Some(failure) = failure {
                return Err(failure);
            }
            if (early || full)
                && let Err(gone) = self.flush(to)
            {
                return Ok(Err(gone));
            }
            let more = step.is_some_and(|step| step.status == Status::NeedOutput);
            if input.is_empty() && !more {
                return Ok(Ok(()));
            }
        }
    }

    /// Hands on what has been decoded.
    fn flush(&mut self, to: &Filling) -> Result<(), Gone> {
        match self.output.take() {
            Some(buffer) if buffer.filled > 0 => {
                self.sent = true;
                to.send(buffer)
            }
            buffer => {
                self.output = buffer;
                Ok(())
            }
        }
    }
}

/// Writes the image and hands it on to be looked at: what is written has no name yet.
fn write(
    sink: &mut dyn Sink,
    superblock: &OnceLock<Superblock>,
    from: Draining,
    to: Filling,
) -> io::Result<()> {
    let mut announced = false;
    while let Ok(mut buffer) = from.full.recv() {
        if !announced && let Some(size) = superblock.get().and_then(Superblock::size) {
            announced = true;
            sink.expect(size)?;
        }
        sink.write(buffer.content())?;
        // The two buffers change places, so that the bytes are not moved.
        let Ok(mut other) = to.empty() else {
            break;
        };
        core::mem::swap(&mut buffer, &mut other);
        if to.send(other).is_err() {
            break;
        }
        from.recycle(buffer);
    }
    // Nothing more is wanted of whoever fills the one queue, nor comes on the other.
    drop((from, to));
    Ok(())
}

/// Looks at the decoded bytes.
fn check_decoded(
    mut check: ImageCheck,
    from: &Draining,
    superblock: &OnceLock<Superblock>,
    progress: &Progress,
) -> ImageReport {
    while let Ok(buffer) = from.full.recv() {
        if check.update(buffer.content()).is_err() {
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
            .fetch_add(buffer.filled as u64, Ordering::Relaxed);
        from.recycle(buffer);
    }
    check.finish()
}

/// Looks at the decoded bytes and writes them.
fn check_and_write(
    mut check: StreamCheck,
    sink: &mut dyn Sink,
    from: Draining,
    progress: &Progress,
) -> (io::Result<()>, StreamReport) {
    let mut announced = false;
    let mut result = Ok(());
    while let Ok(buffer) = from.full.recv() {
        if check.update(buffer.content()).is_err() {
            // The report holds the failure.
            break;
        }
        let size = check.superblock().and_then(Superblock::size);
        if let (false, Some(size)) = (announced, size) {
            announced = true;
            result = sink.expect(size);
        }
        result = result.and_then(|()| sink.write(buffer.content()));
        if result.is_err() {
            break;
        }
        progress
            .decoded
            .fetch_add(buffer.filled as u64, Ordering::Relaxed);
        from.recycle(buffer);
    }
    // Nothing more is wanted of whoever fills the queue.
    drop(from);
    (result, check.finish())
}
