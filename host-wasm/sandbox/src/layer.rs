//! A whole layer, from a reader to a writer.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use erofs_unpack_core::codec::{Decoder as _, Status};
use erofs_unpack_core::unpack::{
    BlobCheck, Expectations, Failure, ImageCheck, ImageReport, Outcome, Verdict,
};
use erofs_unpack_core::{Error, Limits};

use crate::decoder::SandboxDecoder;
use crate::guest::Options;
use crate::load::Sandbox;

/// Size of a buffer in bytes.
const BUFFER: usize = 512 << 10;
/// Buffers on their way between the threads.
const BUFFERS: usize = 4;

/// Why a layer did not come through.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stop {
    /// It is refused.
    Refused(Error),
    /// The blob could not be read.
    Read(io::Error),
    /// The image could not be written.
    Write(io::Error),
    /// The system gave no second thread.
    Start(io::Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Sandbox {
    /// Brings one layer from `source` to `sink` and verifies it. The guest decodes on this
    /// thread; the digest of the image is taken, and the image written, on a second one.
    ///
    /// What `sink` has taken is verified when this returns an [`Outcome`], and not before.
    ///
    /// # Errors
    ///
    /// A [`Stop`]. A refusal that ended the work outranks what the system answered.
    pub fn unpack(
        &self,
        source: &mut dyn Read,
        sink: &mut (dyn Write + Send),
        expectations: &Expectations,
        limits: &Limits,
        options: &Options,
    ) -> Result<Outcome, Stop> {
        let mut blob = BlobCheck::new(expectations, limits)?;
        let image = ImageCheck::new(expectations, limits);
        let decoder = self.decoder(expectations.compression, limits, options)?;
        let (full_in, full_out) = sync_channel(BUFFERS);
        let (empty_in, empty_out) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            // There is room for all of them.
            let _ = empty_in.try_send(Vec::with_capacity(BUFFER));
        }
        let mut decoding = Decoding {
            decoder,
            decoded: 0,
            full: full_in,
            empty: empty_out,
        };
        let (read, verdict, image, written) = thread::scope(|scope| {
            let looker = thread::Builder::new()
                .name("image".into())
                .spawn_scoped(scope, move || look(image, sink, &full_out, &empty_in))
                .map_err(Stop::Start)?;
            let mut verdict = Verdict::new();
            let read = decoding.run(source, &mut blob, &mut verdict);
            drop(decoding);
            let (image, written) = looker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, Stop>((read, verdict, image, written))
        })?;
        let stopped = verdict
            .failure()
            .into_iter()
            .chain(image.verdict.failure())
            .any(|failure| failure.stops());
        if !stopped {
            written.map_err(Stop::Write)?;
            read.map_err(Stop::Read)?;
        }
        Ok(Outcome::new(&blob.finish(), &image, verdict)?)
    }
}

/// The second thread is gone: it has a reason of its own, which is told there.
struct Gone;

/// The guest's side.
struct Decoding {
    decoder: SandboxDecoder,
    decoded: u64,
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

impl Decoding {
    /// Reads and decodes to the end, or until something ends it.
    fn run(
        &mut self,
        source: &mut dyn Read,
        blob: &mut BlobCheck,
        verdict: &mut Verdict,
    ) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let size = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(size) => size,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = buffer.get(..size).unwrap_or(&buffer);
            let belongs = bytes.get(..blob.accepts(size)).unwrap_or(bytes);
            // After a failure that waits for the verdict on the whole blob, the rest is only
            // hashed.
            if verdict.failure().is_none() {
                match self.take(belongs) {
                    Ok(Ok(())) => {}
                    Ok(Err(Gone)) => return Ok(()),
                    Err(error) => verdict.add(Failure::codec(error, self.decoded)),
                }
            }
            blob.update(bytes);
            if blob.is_too_long() || verdict.failure().is_some_and(|failure| failure.stops()) {
                break;
            }
        }
        if verdict.failure().is_none()
            && let Err(error) = self.decoder.finish()
        {
            verdict.add(Failure::codec(error, self.decoded));
        }
        Ok(())
    }

    /// Decodes all of a piece. What comes out is copied once, out of the guest's memory: behind
    /// that copy it cannot change any more.
    fn take(&mut self, mut input: &[u8]) -> Result<Result<(), Gone>, Error> {
        loop {
            let (used, status) = self.decoder.advance(input)?;
            input = input.get(used..).unwrap_or(&[]);
            let pending = self.decoder.pending();
            if !pending.is_empty() {
                let Ok(mut buffer) = self.empty.recv() else {
                    return Ok(Err(Gone));
                };
                buffer.clear();
                buffer.extend_from_slice(pending);
                self.decoded = self.decoded.saturating_add(buffer.len() as u64);
                self.decoder.take_pending();
                if self.full.send(buffer).is_err() {
                    return Ok(Err(Gone));
                }
            }
            if input.is_empty() && status != Status::NeedOutput {
                return Ok(Ok(()));
            }
        }
    }
}

/// The second thread: looks at the image and hands it on.
fn look(
    mut image: ImageCheck,
    sink: &mut dyn Write,
    full: &Receiver<Vec<u8>>,
    empty: &SyncSender<Vec<u8>>,
) -> (ImageReport, io::Result<()>) {
    let mut written = Ok(());
    while let Ok(buffer) = full.recv() {
        // The report holds the failure.
        if image.update(&buffer).is_err() {
            break;
        }
        written = sink.write_all(&buffer);
        if written.is_err() {
            break;
        }
        // The other side may have ended already, with nothing left to fill.
        let _ = empty.send(buffer);
    }
    (image.finish(), written)
}
