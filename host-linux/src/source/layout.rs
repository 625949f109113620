//! An OCI image layout that is a directory.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::oci::Digest;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::blob::{BlobReader, Extent};
use crate::error::HostError;
use crate::error::SourceFault;
use crate::os::File;

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
    /// [`SourceFault::LayoutMissing`] without that file, [`HostError::Environment`] when the
    /// directory cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, HostError> {
        let path = path.into();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, &path, flags, Mode::empty())
            .map_err(|error| HostError::environment(&path, "open the directory", error))?;
        let layout = Self { path, dir };
        match layout.open_file(Path::new("oci-layout"))? {
            Some(_) => Ok(layout),
            None => Err(HostError::source_fault(
                layout.path,
                SourceFault::LayoutMissing,
            )),
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
        let fd = match self.open_beneath(name) {
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
        advise(&file);
        let extent = Extent {
            file: Arc::new(file),
            offset: 0,
            length: u64::try_from(stat.st_size).unwrap_or(0),
        };
        Ok(Some(BlobReader::file_part(place, extent)))
    }

    /// Opens a path beneath the directory.
    #[cfg(target_os = "linux")]
    fn open_beneath(&self, name: &Path) -> Result<OwnedFd, Errno> {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.dir, name, OPEN, Mode::empty(), resolve) {
                // A part of the path was renamed while it was resolved.
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Old kernels lack the call; filters that do not know it forbid it.
                Err(Errno::NOSYS | Errno::PERM) => return self.open_without_links(name),
                opened => return opened,
            }
        }
    }

    /// Opens a path beneath the directory, which every runtime sees to: WASI's `path_open` lets
    /// no name and no link lead out of the directory that it is given.
    #[cfg(target_os = "wasi")]
    fn open_beneath(&self, name: &Path) -> Result<OwnedFd, Errno> {
        // Runtimes answer the one or the other where something leads out.
        let beneath = |error| match error {
            Errno::PERM | Errno::NOTCAPABLE => Errno::XDEV,
            other => other,
        };
        // Asked before it is opened: runtimes wait at a pipe, whatever the flags say.
        let stat = rustix::fs::statat(&self.dir, name, rustix::fs::AtFlags::empty());
        if FileType::from_raw_mode(stat.map_err(beneath)?.st_mode) != FileType::RegularFile {
            return Err(Errno::NOTDIR);
        }
        rustix::fs::openat(&self.dir, name, OPEN, Mode::empty()).map_err(beneath)
    }

    /// Opens a path part by part, following no symbolic link.
    #[cfg(target_os = "linux")]
    fn open_without_links(&self, name: &Path) -> Result<OwnedFd, Errno> {
        use std::os::fd::AsFd as _;
        let mut dir: Option<OwnedFd> = None;
        let mut parts = name.iter().peekable();
        while let Some(part) = parts.next() {
            let at = dir.as_ref().map_or(self.dir.as_fd(), OwnedFd::as_fd);
            let flags = OPEN | OFlags::NOFOLLOW;
            if parts.peek().is_none() {
                return rustix::fs::openat(at, part, flags, Mode::empty());
            }
            // A link opened as a directory and not followed is "not a directory".
            let next = rustix::fs::openat(at, part, flags | OFlags::DIRECTORY, Mode::empty());
            dir = Some(next.map_err(|error| match error {
                Errno::NOTDIR => Errno::LOOP,
                other => other,
            })?);
        }
        Err(Errno::NOENT)
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

/// Tells the kernel that a file is read from its start to its end. Only a hint.
pub(super) fn advise(file: &File) {
    #[cfg(target_os = "linux")]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
    let _ = file;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn without_openat2_no_link_is_followed() {
        let root = std::env::temp_dir().join(format!("layout-{}", std::process::id()));
        std::fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        std::fs::write(root.join("oci-layout"), "{}").unwrap();
        std::fs::write(root.join("blobs/sha256/a"), "x").unwrap();
        symlink("a", root.join("blobs/sha256/b")).unwrap();
        symlink("sha256", root.join("blobs/sha512")).unwrap();
        let layout = Layout::open(&root).unwrap();
        let open = |name: &str| layout.open_without_links(Path::new(name));
        let outcomes = [
            open("blobs/sha256/a").is_ok(),
            open("blobs/sha256/b").err() == Some(Errno::LOOP),
            open("blobs/sha512/a").err() == Some(Errno::LOOP),
            open("blobs/sha256/c").err() == Some(Errno::NOENT),
        ];
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(outcomes, [true; 4]);
    }
}
