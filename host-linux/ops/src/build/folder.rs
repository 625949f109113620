//! From a folder to an image: what is in it in the order of names, symbolic links never followed.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use erofs_unpack_core::At;
use erofs_unpack_core::build::{BuildError, Builder, Entry, EntryKind};
use rustix::fs::{OFlags, SeekFrom, lgetxattr, llistxattr};
use rustix::io::Errno;

use super::filter::plain;
use super::output::ImageOutput;
use super::{Fault, Made, Options, Uuid};
use crate::error::HostError;
use crate::pipeline::Progress;

/// How much of a file is read at a time, in bytes.
const PIECE: usize = 256 << 10;
/// Most bytes of a file's names of extended attributes, and of a value (`XATTR_LIST_MAX`,
/// `XATTR_SIZE_MAX`).
const XATTR: usize = 65_536;

/// Makes an image of a folder. The image itself, and the file that it replaces, are not in it.
pub(super) fn build_folder(
    root: &Path,
    (file, replaced): (&File, Option<&Path>),
    options: &Options,
    progress: &Progress,
) -> Result<Made, Fault> {
    let output = ImageOutput::new(file);
    let builder = Builder::new(output, &options.form, &options.limits)
        .map_err(|error| Fault::Source(HostError::refused(root, error)))?;
    let own = file.metadata().map_err(Fault::Write)?;
    let replaced = replaced.and_then(|path| {
        let metadata = fs::symlink_metadata(path).ok()?;
        Some((path.file_name()?, (metadata.dev(), metadata.ino())))
    });
    let mut walk = Walk {
        root,
        builder,
        options,
        progress,
        own: (own.dev(), own.ino()),
        replaced,
        links: HashMap::new(),
        memory: vec![0; PIECE],
    };
    walk.run()?;
    let uuid = match options.uuid {
        Uuid::Content => None,
        Uuid::Containerd => {
            let usage =
                "--uuid containerd: it follows from the digest of a blob, and a folder has none";
            return Err(Fault::Source(HostError::Usage(usage.into())));
        }
        Uuid::Fixed(uuid) => Some(uuid),
    };
    let finished = walk.builder.finish(uuid);
    let (_, built) = finished.map_err(|error| fault(root, error))?;
    file.set_len(built.summary.size).map_err(Fault::Write)?;
    Ok(Made { built, tar: None })
}

fn fault(path: &Path, error: BuildError<io::Error>) -> Fault {
    match error {
        BuildError::Refused(error) => Fault::Source(HostError::refused(path, error)),
        BuildError::Output(error) => Fault::Write(error),
    }
}

struct Walk<'a> {
    root: &'a Path,
    builder: Builder<ImageOutput<'a>>,
    options: &'a Options,
    progress: &'a Progress,
    /// The image, by device and inode.
    own: (u64, u64),
    /// The file that it replaces, by its name too: its other names stay.
    replaced: Option<(&'a OsStr, (u64, u64))>,
    /// The first name of files that have several.
    links: HashMap<(u64, u64), Vec<u8>>,
    memory: Vec<u8>,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        // Directories that are still to be read; the one that comes next is the last.
        let mut left = vec![PathBuf::new()];
        self.entry(Path::new(""))?;
        while let Some(folder) = left.pop() {
            let mut below = Vec::new();
            for name in self.names(&folder)? {
                let path = folder.join(OsStr::from_bytes(&name));
                if self.options.filter.excludes(path.as_os_str().as_bytes()) {
                    continue;
                }
                if self.entry(&path)? {
                    below.push(path);
                }
            }
            below.reverse();
            left.append(&mut below);
        }
        Ok(())
    }

    fn failed(&self, path: &Path, action: &'static str, error: io::Error) -> Fault {
        Fault::Source(HostError::environment(self.root.join(path), action, error))
    }

    /// The names in a folder, in the order of their bytes.
    fn names(&self, folder: &Path) -> Result<Vec<Vec<u8>>, Fault> {
        let failed = |error| self.failed(folder, "read", error);
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(folder)).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().as_bytes().to_vec());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Tells of a file and its content, and whether it is a directory.
    fn entry(&mut self, path: &Path) -> Result<bool, Fault> {
        if self.progress.is_cancelled() {
            return Err(Fault::Source(HostError::Cancelled));
        }
        let whole = self.root.join(path);
        // The folder itself may be given as a link to it.
        let metadata = if path.as_os_str().is_empty() {
            fs::metadata(&whole)
        } else {
            fs::symlink_metadata(&whole)
        };
        let metadata = metadata.map_err(|error| self.failed(path, "look at", error))?;
        let name = path.as_os_str().as_bytes();
        let kind = metadata.file_type();
        let inode = (metadata.dev(), metadata.ino());
        let as_replaced = path.file_name().map(|name| (name, inode));
        if inode == self.own || as_replaced.is_some_and(|this| self.replaced == Some(this)) {
            return Ok(false);
        }
        if !kind.is_dir() && metadata.nlink() > 1 {
            if let Some(first) = self.links.get(&inode) {
                let first = first.clone();
                return self
                    .tell(path, &metadata, EntryKind::HardLink(&first))
                    .map(|()| false);
            }
            self.links.insert(inode, name.to_vec());
        }
        let number = |device| (rustix::fs::major(device), rustix::fs::minor(device));
        if kind.is_dir() {
            self.tell(path, &metadata, EntryKind::Directory)?;
            return Ok(true);
        } else if kind.is_symlink() {
            let target = fs::read_link(&whole);
            let target = target.map_err(|error| self.failed(path, "read", error))?;
            let target = target.as_os_str().as_bytes();
            self.tell(path, &metadata, EntryKind::Symlink(target))?;
        } else if kind.is_fifo() {
            self.tell(path, &metadata, EntryKind::Fifo)?;
        } else if kind.is_socket() {
            self.tell(path, &metadata, EntryKind::Socket)?;
        } else if kind.is_char_device() {
            let (major, minor) = number(metadata.rdev());
            self.tell(path, &metadata, EntryKind::CharDevice(major, minor))?;
        } else if kind.is_block_device() {
            let (major, minor) = number(metadata.rdev());
            self.tell(path, &metadata, EntryKind::BlockDevice(major, minor))?;
        } else {
            self.file(path, &whole)?;
        }
        Ok(false)
    }

    /// Tells of a regular file, as it is when it is opened.
    fn file(&mut self, path: &Path, whole: &Path) -> Result<(), Fault> {
        let mut open = fs::OpenOptions::new();
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        open.read(true).custom_flags(flags.cast_signed());
        let file = open
            .open(whole)
            .map_err(|error| self.failed(path, "open", error))?;
        let metadata = file
            .metadata()
            .map_err(|error| self.failed(path, "look at", error))?;
        if !metadata.is_file() {
            return Err(self.failed(path, "read", changed()));
        }
        let size = metadata.len();
        let extents = data(&file, &metadata).map_err(|error| self.failed(path, "read", error))?;
        let kind = EntryKind::File {
            size,
            extents: extents.as_deref(),
        };
        self.tell(path, &metadata, kind)?;
        for (offset, length) in extents.unwrap_or_else(|| vec![(0, size)]) {
            let mut at = offset;
            let end = offset + length;
            while at < end {
                let piece = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
                let piece = &mut self.memory[..piece];
                let count = file.read_at(piece, at);
                let count = match count {
                    Ok(0) => Err(changed()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    other => other,
                };
                let count = count.map_err(|error| {
                    let path = self.root.join(path);
                    Fault::Source(HostError::environment(path, "read", error))
                })?;
                let told = self.builder.content(at, &piece[..count]);
                told.map_err(|error| fault(&self.root.join(path), error))?;
                at += count as u64;
                self.progress.advance(count as u64);
            }
        }
        Ok(())
    }

    fn tell(&mut self, path: &Path, metadata: &Metadata, kind: EntryKind<'_>) -> Result<(), Fault> {
        let filter = &self.options.filter;
        let name = path.as_os_str().as_bytes();
        let read;
        let xattrs = match filter.xattrs(&plain(name)) {
            Some(xattrs) => xattrs,
            None => {
                read = xattrs_of(&self.root.join(path))
                    .map_err(|error| self.failed(path, "read the attributes of", error))?;
                &read
            }
        };
        let (uid, gid) = filter.owner(metadata.uid(), metadata.gid());
        let entry = Entry {
            path: name,
            kind,
            mode: u16::try_from(metadata.mode() & 0o7777).unwrap_or(0),
            uid,
            gid,
            mtime: (
                metadata.mtime(),
                u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
            ),
            xattrs,
            at: At::Whole,
        };
        let told = self.builder.entry(&entry);
        told.map_err(|error| fault(&self.root.join(path), error))
    }
}

/// A file that is not any more what it was a moment ago.
fn changed() -> io::Error {
    io::Error::other("it was changed meanwhile")
}

/// Where a file has data, when it takes less room than its size.
fn data(file: &File, metadata: &Metadata) -> io::Result<Option<Vec<(u64, u64)>>> {
    let size = metadata.len();
    if metadata.blocks().saturating_mul(512) >= size {
        return Ok(None);
    }
    let mut extents = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Only a hole is left.
            Err(Errno::NXIO) => break,
            // Such a file system knows of no holes.
            Err(Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(size);
        if end <= start {
            break;
        }
        extents.push((start, end - start));
        at = end;
    }
    Ok(Some(extents))
}

/// The extended attributes of a file, of a symbolic link those of the link.
fn xattrs_of(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let none = |error: Errno| match error {
        Errno::NOTSUP => Ok(Vec::new()),
        error => Err(error.into()),
    };
    let names = match sized(|buffer| llistxattr(path, buffer)) {
        Ok(names) => names,
        Err(error) => return none(error),
    };
    let mut xattrs = Vec::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        match sized(|buffer| lgetxattr(path, name, buffer)) {
            Ok(value) => xattrs.push((name.to_vec(), value)),
            // It is gone meanwhile, or only listed.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(xattrs)
}

/// What a call gives, in as much memory as it takes. It is never asked for the size alone: how a buffer
/// without room is understood depends on who is asked.
fn sized(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut size = 256;
    loop {
        let mut buffer = vec![0; size];
        match call(&mut buffer) {
            Ok(count) => {
                buffer.truncate(count);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if size < XATTR => size *= 16,
            Err(error) => return Err(error),
        }
    }
}
