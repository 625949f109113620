//! The directory that output files go to, held open.

use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{HostError, TargetFault};
use crate::system::{self, File};

/// How directories are opened: to work in, not to be inherited by other programs.
const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// A directory for output files.
///
/// It is held open, so that renaming it or replacing a part of its path meanwhile does not
/// divert what is published. It may be yet to be made: then its files wait, without names, on
/// the file system of its parent, and it appears when the first of them is published.
#[derive(Debug)]
pub struct Folder {
    /// As the user gave it; for messages only.
    path: PathBuf,
    /// Where unnamed and temporary files are made: the directory, or its parent while it is
    /// yet to be made.
    place: OwnedFd,
    /// Only set when the directory is not `place`: its path in there, and itself once it is there.
    planned: Option<(PathBuf, OnceLock<OwnedFd>)>,
    /// Whether this run made the directory.
    ours: AtomicBool,
}

impl Folder {
    /// Opens an existing directory.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when it is missing, is no directory or may not be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Arc<Self>, HostError> {
        let path = path.into();
        let place = open_place(&path)?;
        Ok(Arc::new(Self {
            path,
            place,
            planned: None,
            ours: AtomicBool::new(false),
        }))
    }

    /// Opens a directory that exists, or plans to make it (one level, not its parents) when
    /// the first file is published.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`] when the path names no directory that could be made (it ends in
    /// `..`), [`HostError::Environment`] when neither it nor its parent can be opened.
    pub fn open_or_plan(path: impl Into<PathBuf>) -> Result<Arc<Self>, HostError> {
        let path = path.into();
        match open(&path) {
            Err(Errno::NOENT) => {}
            _ => return Self::open(path),
        }
        let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
            return Err(HostError::environment(
                path,
                "open the directory for output",
                Errno::NOENT,
            ));
        };
        // A symbolic link that leads nowhere is no place for a directory.
        let name = PathBuf::from(name);
        let place = open_place(here_if_empty(parent))?;
        match rustix::fs::statat(&place, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(error) => {
                return Err(HostError::environment(path, "look for", error));
            }
            Ok(_) => return Err(HostError::target(path, TargetFault::Symlink)),
        }
        Ok(Arc::new(Self {
            path,
            place,
            planned: Some((name, OnceLock::new())),
            ours: AtomicBool::new(false),
        }))
    }

    /// A directory some levels below this one, which is made when the first file is published
    /// there. Until then its files wait in this one. No part of the path may be a symbolic link.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when a part of the path is no directory or cannot be opened.
    pub fn below(&self, path: &Path) -> Result<Arc<Self>, HostError> {
        let shown = self.path.join(path);
        let failed =
            |error: Errno| HostError::environment(&shown, "open the directory for output", error);
        let place = self
            .place
            .try_clone()
            .map_err(|error| HostError::environment(&shown, "open the directory", error))?;
        let opened = OnceLock::new();
        match open_below(place.as_fd(), path) {
            Ok(fd) => drop(opened.set(fd)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(Arc::new(Self {
            path: shown,
            place,
            planned: Some((path.to_owned(), opened)),
            ours: AtomicBool::new(false),
        }))
    }

    /// Keeps others who take the same lock out of this directory until the lock is dropped. It
    /// is waited for. The directory is made if it was planned.
    ///
    /// On a file system without locks there is none, nor under WASI.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when the directory cannot be made or opened.
    pub fn lock(&self) -> Result<FolderLock, HostError> {
        let fd = rustix::fs::openat(self.make()?, c".", OPEN, Mode::empty())
            .map_err(|error| HostError::environment(&self.path, "open the directory", error))?;
        system::lock(fd.as_fd());
        Ok(FolderLock { _fd: fd })
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a name in it, for messages and reports.
    #[must_use]
    pub fn path_of(&self, name: &OsStr) -> PathBuf {
        if self.path == Path::new(".") {
            PathBuf::from(name)
        } else {
            self.path.join(name)
        }
    }

    /// Where files without a final name are made.
    pub(crate) fn place(&self) -> BorrowedFd<'_> {
        self.place.as_fd()
    }

    /// The directory if it exists: then a name in it can be looked up.
    pub(crate) fn made(&self) -> Option<BorrowedFd<'_>> {
        match &self.planned {
            None => Some(self.place.as_fd()),
            Some((_, made)) => made.get().map(OwnedFd::as_fd),
        }
    }

    /// The directory, made now if it was planned.
    pub(super) fn make(&self) -> Result<BorrowedFd<'_>, HostError> {
        let Some((name, made)) = &self.planned else {
            return Ok(self.place.as_fd());
        };
        if let Some(made) = made.get() {
            return Ok(made.as_fd());
        }
        let mut parent = None;
        for part in name {
            let place = parent.as_ref().map_or(self.place.as_fd(), OwnedFd::as_fd);
            match rustix::fs::mkdirat(place, part, Mode::from_raw_mode(0o777)) {
                // Levels below a folder stay when they are made: others may be at work in them.
                Ok(()) => self.ours.store(name.iter().count() == 1, Ordering::Relaxed),
                // Another run may have made it meanwhile. Its names are respected as ever.
                Err(Errno::EXIST) => {}
                Err(error) => {
                    return Err(HostError::environment(
                        &self.path,
                        "make the directory",
                        error,
                    ));
                }
            }
            let fd = rustix::fs::openat(place, part, OPEN | OFlags::NOFOLLOW, Mode::empty())
                .map_err(|error| HostError::environment(&self.path, "open the directory", error))?;
            sync(place, &self.path)?;
            parent = Some(fd);
        }
        let Some(fd) = parent else {
            return Ok(self.place.as_fd());
        };
        Ok(made.get_or_init(|| fd).as_fd())
    }

    /// Removes the directory if this run made it and nothing is in it.
    pub(super) fn unmake(&self) {
        if let Some((name, _)) = &self.planned
            && self.ours.load(Ordering::Relaxed)
        {
            let _ = rustix::fs::unlinkat(&self.place, name, AtFlags::REMOVEDIR);
        }
    }

    /// Makes the names that were linked here durable.
    pub(super) fn sync(&self) -> Result<(), HostError> {
        sync(self.make()?, &self.path)
    }

    /// Opens what lies under a name here for reading, for instance to see whether it is the
    /// very file that would be published. `None` when the name is free.
    ///
    /// # Errors
    ///
    /// [`HostError::Target`] when the name is not a regular file's (a symbolic link is not
    /// followed), [`HostError::Environment`] when it cannot be opened.
    pub fn existing(&self, name: &OsStr) -> Result<Option<File>, HostError> {
        let Some(dir) = self.made() else {
            return Ok(None);
        };
        let path = self.path_of(name);
        let fault = match stat_kind(dir, name) {
            Ok(None) => return Ok(None),
            Ok(Some(FileType::RegularFile)) => None,
            Ok(Some(kind)) => Some(kind_fault(kind)),
            Err(error) => return Err(HostError::environment(path, "look for", error)),
        };
        if let Some(fault) = fault {
            return Err(HostError::target(path, fault));
        }
        // Not blocking, in case that it has become a pipe since.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(dir, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(HostError::environment(path, "open for reading", error)),
        }
    }
}

/// Held by whoever changes the names in a directory: [`Folder::lock`].
#[derive(Debug)]
pub struct FolderLock {
    _fd: OwnedFd,
}

/// Opens a directory beneath another, following no symbolic link.
fn open_below(place: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let mut found: Option<OwnedFd> = None;
    for part in path {
        let at = found.as_ref().map_or(place, OwnedFd::as_fd);
        found = Some(rustix::fs::openat(
            at,
            part,
            OPEN | OFlags::NOFOLLOW,
            Mode::empty(),
        )?);
    }
    found.ok_or(Errno::NOENT)
}

/// Opens the directory for output files.
fn open_place(path: &Path) -> Result<OwnedFd, HostError> {
    open(path).map_err(|error| HostError::environment(path, "open the directory for output", error))
}

/// Opens a directory by its path.
fn open(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(CWD, here_if_empty(path), OPEN, Mode::empty())
}

/// The parent of a bare name is the current directory.
pub(super) fn here_if_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// What lies under a name, not following a symbolic link.
pub(super) fn stat_kind(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Option<FileType>, Errno> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Why a name with this under it cannot be given to a new file without `--force`.
pub(super) const fn kind_fault(kind: FileType) -> TargetFault {
    match kind {
        FileType::RegularFile => TargetFault::Exists,
        FileType::Directory => TargetFault::Directory,
        FileType::Symlink => TargetFault::Symlink,
        _ => TargetFault::Special,
    }
}

/// Syncs a directory.
fn sync(dir: BorrowedFd<'_>, path: &Path) -> Result<(), HostError> {
    system::sync_directory(dir)
        .map_err(|error| HostError::environment(path, "sync the directory", error))
}
