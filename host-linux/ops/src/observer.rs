//! Who is told of an operation while it goes on.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use erofs_unpack_core::oci::Digest;

use crate::checked::Checked;
use crate::error::HostError;
use crate::pipeline::Progress;

/// Is told of an operation while it goes on, from any of its threads. What a method does not
/// care for it need not have: by themselves they do nothing. `()` cares for nothing.
pub trait Observer: Sync {
    /// Work begins, and says from now on how far it has come.
    fn begin(&self, work: Work) {
        let _ = work;
    }

    /// The work that began last has ended.
    fn end(&self) {}

    /// An image was checked: these are its findings.
    fn checked(&self, checked: &Checked) {
        let _ = checked;
    }

    /// One of several entries of a cache is done with.
    ///
    /// # Errors
    ///
    /// Any error ends the operation with it.
    fn item(&self, item: &Item<'_>) -> Result<(), HostError> {
        let _ = item;
        Ok(())
    }
}

impl Observer for () {}

/// Work that takes a while.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Work {
    /// Layers, or one blob, are read.
    Layers(Vec<Part>),
    /// Files are created, or written to a stream.
    Files {
        /// What to call the image.
        name: String,
        /// How many files it says that it has.
        total: Option<u64>,
        /// How many files are done.
        done: Arc<Counter>,
    },
}

/// A layer on its way.
#[derive(Clone, Debug)]
pub struct Part {
    /// What to call it.
    pub name: String,
    /// Size of its blob in bytes, where that is known.
    pub size: Option<u64>,
    /// How far it has come.
    pub progress: Arc<Progress>,
}

/// How many files are done, and how many bytes of their content.
#[derive(Debug, Default)]
pub struct Counter {
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Counter {
    /// Files and directories so far.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes of content so far, without holes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts a file or a directory.
    pub fn add_entry(&self) {
        self.entries.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts content.
    pub fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// An entry of a cache that was put there or verified.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Item<'a> {
    /// Its diffID.
    pub diff_id: &'a Digest,
    /// `put`, `kept`, `passed`, `refused` or `failed`.
    pub status: &'static str,
    /// Whether its digest is the one that its name states.
    pub is_named: bool,
    /// Why it did not pass.
    pub error: Option<&'a HostError>,
}
