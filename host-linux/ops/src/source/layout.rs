//! An OCI image layout that is a directory.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::oci::Digest;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::blob::{BlobReader, Extent};
use crate::error::HostError;
use crate::error::SourceFault;
use crate::system::{self, File};

/// How files of a layout are opened: a pipe must not make the opening wait, a terminal must
/// not become ours.
const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// A directory with `oci-layout`, `index.json` and `blobs/`.
///
/// It is held open, and nothing outside of it is ever read for it: the kernel resolves every
/// name beneath it (`openat2` with `RESOLVE_BENEATH`). A symbolic link that stays inside, as
/// some deduplicating stores make them, is followed; one that leads out is refused, absolute
/// ones included. On kernels or sandboxes without `openat2` no symbolic link is followed at
/// all. Under WASI it is the runtime that resolves names beneath an open directory. Blobs are
/// asked for by a parsed digest, so their path cannot be anything else.
#[derive(Debug)]
pub struct Layout {
    path: PathBuf,
    dir: OwnedFd,
}

impl Layout {
    /// Opens a directory and looks for its `oci-layout`.
    ///
    /// # Errors
    ///
    /// [`SourceFault::LayoutMissing`] without that file ([`SourceFault::LayoutMarker`] when
    /// `index.json` is there), [`HostError::Environment`] when the
    /// directory cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HostError> {
        let path = path.into();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, &path, flags, Mode::empty())
            .map_err(|error| HostError::environment(&path, "open the directory", error))?;
        let layout = Self { path, dir };
        match layout.open_file(Path::new("oci-layout"))? {
            Some(_) => Ok(layout),
            None => {
                let fault = match layout.open_file(Path::new("index.json")) {
                    Ok(Some(_)) => SourceFault::LayoutMarker,
                    _ => SourceFault::LayoutMissing,
                };
                Err(HostError::source_fault(layout.path, fault))
            }
        }
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens one of the layout's two documents; `None` when it is missing.
    pub(super) fn document(&self, name: &str) -> Result<Option<BlobReader>, HostError> {
        self.open_file(Path::new(name))
    }

    /// Opens a blob.
    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<BlobReader>, HostError> {
        self.open_file(&blob_path(digest))
    }

    /// Opens a regular file beneath the directory; `None` when it is missing.
    fn open_file(&self, name: &Path) -> Result<Option<BlobReader>, HostError> {
        let place = self.path.join(name);
        let fd = match system::open_beneath(self.dir.as_fd(), name, OPEN) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::XDEV | Errno::LOOP) => {
                return Err(HostError::source_fault(place, SourceFault::LayoutEscape));
            }
            // A socket, a device without a driver, a file where a directory must be.
            Err(Errno::NXIO | Errno::NODEV | Errno::NOTDIR) => {
                return Err(HostError::source_fault(place, SourceFault::LayoutType));
            }
            Err(error) => {
                return Err(HostError::environment(place, "open for reading", error));
            }
        };
        let stat = rustix::fs::fstat(&fd)
            .map_err(|error| HostError::environment(&place, "look at", error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(HostError::source_fault(place, SourceFault::LayoutType));
        }
        let file = File::from(fd);
        system::advise_sequential(&file);
        let extent = Extent {
            file: Arc::new(file),
            offset: 0,
            length: u64::try_from(stat.st_size).unwrap_or(0),
        };
        Ok(Some(BlobReader::file_part(place, extent)))
    }
}

/// Where a blob lies in a layout, directory or archive.
pub(super) fn blob_path(digest: &Digest) -> PathBuf {
    PathBuf::from(format!(
        "blobs/{}/{}",
        digest.algorithm().name(),
        digest.hex()
    ))
}
