//! The seam to the system: what Linux and WASI do not have in common, behind one interface with an
//! implementation for each. Files that have no name yet, locks, threads or none, confinement,
//! standard streams. Nothing outside of it asks on which system it runs.
//!
//! WASI (`wasm32-wasip1`) has no threads, no files without a name, no locks, no modes, and no
//! second descriptor for an open file. A program sees the folders that its runtime opens for it,
//! and may see none; then what waits for its verdict waits in memory.

mod openings;
mod processors;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(target_os = "wasi")]
mod wasi;
#[cfg(target_os = "wasi")]
pub use wasi::*;

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Stat};

pub use openings::{Openings, Use};
pub use processors::processors;

/// The standard input, past the buffer that Rust keeps for text where the system can do that.
pub enum Stdin {
    /// A file, from where it stands, or a pipe.
    File(File),
    /// Bytes one after the other.
    Stream(Box<dyn Read + Send>),
}

impl core::fmt::Debug for Stdin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Stream(_) => f.debug_tuple("Stream").finish_non_exhaustive(),
        }
    }
}

/// What a process does in [confinement](Confinement).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Images are read, and files published.
    Verify,
    /// The files of an image are created, with owners and attributes.
    Extract,
}

/// Whether this very file lies under that name.
pub(crate) fn is_named(dir: BorrowedFd<'_>, name: &OsStr, file: &Stat) -> bool {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|found| (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino))
}
