//! What lies in a cache.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use erofs_unpack_core::oci::{Algorithm, Digest};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{ALGORITHMS, Cache, IMAGE, SIDECAR, image_name, sidecar_name};
use crate::error::CacheFault;
use crate::error::HostError;
use crate::publish::{Folder, is_partial};
use crate::sidecar::Sidecar;

/// An image under the name of a diffID. What it is has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The diffID that its name states.
    pub diff_id: Digest,
    /// Size of its file in bytes, an appended hash tree included.
    pub size: u64,
    /// When it was put there, in seconds since 1970.
    pub modified: i64,
    /// Whether a sidecar lies beside it.
    pub dm_verity: bool,
}

/// A name in a cache that is no entry's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Other {
    /// A temporary file of this program. Its writer may be at work.
    Temporary(PathBuf),
    /// A sidecar without an image. Its writer may be at work.
    Sidecar(PathBuf, Digest),
    /// Anything else.
    Foreign(PathBuf),
}

/// What lies in a cache, in the order of its names.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Listing {
    /// The entries.
    pub entries: Vec<Entry>,
    /// All other names.
    pub others: Vec<Other>,
}

impl Listing {
    /// The names of foreign files, which no command touches.
    pub fn foreign(&self) -> impl Iterator<Item = &Path> {
        self.others.iter().filter_map(|other| match other {
            Other::Foreign(path) => Some(path.as_path()),
            _ => None,
        })
    }
}

impl Cache {
    /// What lies in the cache. Names that go meanwhile are left out.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when a folder cannot be listed.
    pub fn list(&self) -> Result<Listing, HostError> {
        let mut listing = Listing::default();
        let root = self.folder.place();
        for (name, stat) in names(root, self.path())? {
            let path = self.folder.path_of(OsStr::from_bytes(&name));
            let algorithm = ALGORITHMS
                .into_iter()
                .find(|algorithm| algorithm.name().as_bytes() == name);
            match algorithm {
                Some(algorithm) if is(&stat, FileType::Directory) => {
                    list_algorithm(root, &path, algorithm, &mut listing)?;
                }
                _ => listing.others.push(other(&name, &stat, path)),
            }
        }
        Ok(listing)
    }
}

/// Lists `ALGO/`.
fn list_algorithm(
    root: BorrowedFd<'_>,
    path: &Path,
    algorithm: Algorithm,
    listing: &mut Listing,
) -> Result<(), HostError> {
    let Some(dir) = directory(root, algorithm.name().as_bytes(), path)? else {
        return Ok(());
    };
    for (name, stat) in names(&dir, path)? {
        let path = path.join(OsStr::from_bytes(&name));
        let is_shard = name.len() == 2 && name.iter().all(is_digit);
        if is_shard && is(&stat, FileType::Directory) {
            if let Some(dir) = directory(&dir, &name, &path)? {
                list_shard(&dir, &path, algorithm, &name, listing)?;
            }
        } else {
            listing.others.push(other(&name, &stat, path));
        }
    }
    Ok(())
}

/// Lists `ALGO/XX/`.
fn list_shard(
    dir: impl std::os::fd::AsFd,
    path: &Path,
    algorithm: Algorithm,
    shard: &[u8],
    listing: &mut Listing,
) -> Result<(), HostError> {
    let found = names(dir, path)?;
    let digest = |name: &[u8], end: &str| {
        let hex = str::from_utf8(name).ok()?.strip_suffix(end)?;
        let digest = Digest::parse(&format!("{algorithm}:{hex}")).ok()?;
        hex.as_bytes().starts_with(shard).then_some(digest)
    };
    let is_there = |name: &str| found.iter().any(|(other, _)| other == name.as_bytes());
    for (name, stat) in &found {
        if let Some(diff_id) = digest(name, IMAGE) {
            listing.entries.push(Entry {
                diff_id,
                size: u64::try_from(stat.st_size).unwrap_or(0),
                modified: stat.st_mtime,
                dm_verity: is_there(&sidecar_name(&diff_id)),
            });
            continue;
        }
        match digest(name, SIDECAR) {
            Some(diff_id) if is_there(&image_name(&diff_id)) => {}
            Some(diff_id) if is(stat, FileType::RegularFile) => {
                let path = path.join(OsStr::from_bytes(name));
                listing.others.push(Other::Sidecar(path, diff_id));
            }
            _ => {
                let path = path.join(OsStr::from_bytes(name));
                listing.others.push(other(name, stat, path));
            }
        }
    }
    Ok(())
}

/// A name that is not of the form of an entry.
fn other(name: &[u8], stat: &Stat, path: PathBuf) -> Other {
    if is_partial(name) && is(stat, FileType::RegularFile) {
        Other::Temporary(path)
    } else {
        Other::Foreign(path)
    }
}

/// Whether this is a hex digit as digests have them.
const fn is_digit(digit: &u8) -> bool {
    matches!(digit, b'0'..=b'9' | b'a'..=b'f')
}

fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}

/// Opens a directory in another, following no symbolic link; `None` when it is gone.
fn directory(
    parent: impl std::os::fd::AsFd,
    name: &[u8],
    path: &Path,
) -> Result<Option<std::os::fd::OwnedFd>, HostError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(HostError::environment(path, "open the directory", error)),
    }
}

/// The names in a directory, sorted, with what lies under them.
fn names(dir: impl std::os::fd::AsFd, path: &Path) -> Result<Vec<(Vec<u8>, Stat)>, HostError> {
    let failed = |error| HostError::environment(path, "list the directory", error);
    let mut names = Vec::new();
    for entry in Dir::read_from(&dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name: &CStr = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => names.push((name.to_bytes().to_owned(), stat)),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    names.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(names)
}

/// Opens the image of an entry; `None` when there is none.
///
/// # Errors
///
/// [`HostError::Cache`] when something else has the name.
pub(super) fn open_image(folder: &Folder, diff_id: &Digest) -> Result<Option<File>, HostError> {
    open(folder, &image_name(diff_id))
}

/// Opens and reads the sidecar of an entry; `None` when there is none.
///
/// # Errors
///
/// [`HostError::Cache`] when something else has the name, or it is no sidecar.
pub(super) fn read_sidecar(
    folder: &Folder,
    diff_id: &Digest,
) -> Result<Option<Sidecar>, HostError> {
    let name = sidecar_name(diff_id);
    let Some(file) = open(folder, &name)? else {
        return Ok(None);
    };
    let path = folder.path_of(OsStr::new(&name));
    match Sidecar::read(&file) {
        Ok(Some(sidecar)) => Ok(Some(sidecar)),
        Ok(None) => Err(HostError::cache(path, CacheFault::Sidecar)),
        Err(error) => Err(HostError::environment(path, "read", error)),
    }
}

/// Opens a regular file of a folder, and nothing else.
fn open(folder: &Folder, name: &str) -> Result<Option<File>, HostError> {
    let Some(dir) = folder.made() else {
        return Ok(None);
    };
    let path = folder.path_of(OsStr::new(name));
    // Not blocking, in case that it is a pipe.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let failed = |error| HostError::environment(&path, "open for reading", error);
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(fd)
            if is(
                &rustix::fs::fstat(&fd).map_err(failed)?,
                FileType::RegularFile,
            ) =>
        {
            Ok(Some(File::from(fd)))
        }
        Ok(_) | Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => {
            Err(HostError::cache(path, CacheFault::Type))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
