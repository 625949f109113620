//! One layer through all stages. What is valid is decided by the core's stages alone.

mod alone;
mod chunk;
mod chunks;
mod decode;
mod layout;
mod phases;
mod threads;
mod window;

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use erofs_unpack_core::unpack::{Expectations, Outcome};
use erofs_unpack_core::{Error, Limits};

use crate::sandbox::Sandbox;
use crate::system;

pub(crate) use chunks::{Ended, run as run_chunks};
pub(crate) use layout::Layout;
pub use threads::run_stream;

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
    let run = if system::THREADS {
        threads::run
    } else {
        alone::run
    };
    run(source, sink, expectations, terms, progress)
}

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

    /// More bytes were read.
    #[cfg(target_os = "linux")]
    pub(crate) fn advance(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether that was asked for.
    pub(crate) fn is_cancelled(&self) -> bool {
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
    pub sandbox: &'a Sandbox,
    /// How many processors it may keep busy; with none, chunks are decoded on the caller's thread. It
    /// decides how the work is cut, and nothing else.
    pub threads: usize,
    /// Whether the digests of blob and image are left out, and every chunk of the blob is verified
    /// by itself. Only a layer whose index allows that is brought then.
    pub by_chunks: bool,
}

impl<'a> From<&'a Limits> for Terms<'a> {
    /// Within these limits, decoded as a part of the program.
    fn from(limits: &'a Limits) -> Self {
        Self {
            limits,
            sandbox: &Sandbox::NONE,
            threads: 1,
            by_chunks: false,
        }
    }
}
