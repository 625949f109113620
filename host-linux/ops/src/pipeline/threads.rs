//! All stages of a layer, on threads joined by bounded queues of reused buffers.
//!
//! One thread reads the blob and takes its digest, one decodes, one writes, one takes the diffID
//! and looks at the superblock. A plain layer needs no decoding, and one pass of hashing serves
//! both digests. Where no digest is taken, there is no thread for it.

use std::io::{self, Read};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::thread;

use super::queue::{Buffer, Draining, Filling, Gone, queue};
use super::{Progress, Sink, Stop, Terms};
use erofs_unpack_core::codec::{Decoder, Status};
use erofs_unpack_core::erofs::Superblock;
use erofs_unpack_core::unpack::{
    BlobCheck, BlobReport, Expectations, Failure, ImageCheck, ImageReport, Outcome, SNIFF_SIZE,
    StreamCheck, StreamForm, StreamReport, Streamed, Verdict,
};

/// As [`super::run`].
pub(super) fn run(
    source: &mut (dyn Read + Send),
    sink: &mut dyn Sink,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Outcome, Stop> {
    let Terms { limits, sandbox } = *terms;
    let blob = BlobCheck::new(expectations, limits).map_err(Stop::Refused)?;
    let image = ImageCheck::new(expectations, limits);
    let decoder = sandbox.decoder(expectations.compression, limits);
    let decoder = decoder.map_err(Stop::Refused)?;
    let (blob, image, verdict) = stages(source, sink, blob, decoder, image, progress)?;
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
    let Terms { limits, sandbox } = *terms;
    let blob = BlobCheck::without_digest(expectations, limits).map_err(Stop::Refused)?;
    let check = StreamCheck::new(expectations, form, limits);
    let decoder = sandbox.decoder(expectations.compression, limits);
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
