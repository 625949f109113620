//! An OCI image layout in a tar file.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::Value;
use erofs_unpack_core::oci::Digest;

use super::SourceOptions;
use super::blob::{BlobReader, Extent};
use super::layout::blob_path;
use super::members::{Contents, Place, read_members};
use super::sparse::Holey;
use super::tar::Stop;
use crate::error::HostError;
use crate::error::SourceFault;
use crate::publish::scratch;

/// A name that means something in a layout. All others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// `oci-layout`
    Layout,
    /// `index.json`
    Index,
    /// `manifest.json`, which docker's own archives have.
    Docker,
    /// `blobs/ALGORITHM/HEX`
    Blob(Digest),
}

impl Key {
    /// The key of a member's name, if it has one.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"oci-layout" => Some(Self::Layout),
            b"index.json" => Some(Self::Index),
            b"manifest.json" => Some(Self::Docker),
            _ => {
                let blob = str::from_utf8(name.strip_prefix(b"blobs/")?).ok()?;
                let (algorithm, hex) = blob.split_once('/')?;
                Digest::parse(&format!("{algorithm}:{hex}"))
                    .ok()
                    .map(Self::Blob)
            }
        }
    }

    /// The name in an archive.
    fn name(&self) -> PathBuf {
        match self {
            Self::Layout => "oci-layout".into(),
            Self::Index => "index.json".into(),
            Self::Docker => "manifest.json".into(),
            Self::Blob(digest) => blob_path(digest),
        }
    }
}

/// What an archive turned out to be.
pub(super) enum Opened {
    /// An OCI archive.
    Archive(Archive),
    /// A tar file without an `oci-layout`: perhaps a layer of that form.
    Other,
}

/// An OCI archive: a tar file with `oci-layout`, `index.json` and `blobs/`, as docker, ctr and
/// skopeo write it.
///
/// All headers are read once; members are then read in place, in any order and in parallel. One
/// that is stored without its holes is put on disk with them when it is asked for.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    archive: Extent,
    contents: Contents,
    /// Where members without their holes are put, and the largest that is.
    spool: (PathBuf, u64),
}

impl Archive {
    /// Reads the headers of an archive.
    pub(super) fn open(
        path: &Path,
        archive: Extent,
        options: &SourceOptions,
    ) -> Result<Opened, HostError> {
        let limit = options.archive_members;
        let contents = read_members(&archive, limit).map_err(|stop| stopped(path, stop, limit))?;
        let has = |key| contents.members.contains_key(&key);
        if !has(Key::Layout) {
            if has(Key::Docker) {
                return Err(HostError::source_fault(path, SourceFault::ArchiveDocker));
            }
            if has(Key::Index) && contents.has_blob() {
                return Err(HostError::source_fault(path, SourceFault::LayoutMarker));
            }
            if let Some(folder) = &contents.folder {
                let folder = member_place(path, Path::new(&*String::from_utf8_lossy(folder)));
                return Err(HostError::source_fault(folder, SourceFault::ArchiveFolder));
            }
            return Ok(Opened::Other);
        }
        let archive = Self {
            path: path.to_path_buf(),
            archive,
            contents,
            spool: (options.spool.clone(), options.archive_size),
        };
        archive.member(Key::Layout)?;
        archive.compare_doubles()?;
        Ok(Opened::Archive(archive))
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens `oci-layout`; `None` when it is missing.
    pub(super) fn layout(&self) -> Result<Option<BlobReader>, HostError> {
        self.member(Key::Layout)
    }

    /// Opens `index.json`; `None` when it is missing.
    pub(super) fn index(&self) -> Result<Option<BlobReader>, HostError> {
        self.member(Key::Index)
    }

    /// Opens a blob; `None` when it is missing.
    pub(super) fn blob(&self, digest: &Digest) -> Result<Option<BlobReader>, HostError> {
        self.member(Key::Blob(*digest))
    }

    /// Whether the archive has no end marker, so that members may be missing.
    pub(super) const fn is_cut(&self) -> bool {
        self.contents.is_cut
    }

    fn member(&self, key: Key) -> Result<Option<BlobReader>, HostError> {
        let name = member_place(&self.path, &key.name());
        match self.contents.members.get(&key) {
            None => Ok(None),
            Some(Err(fault)) => Err(HostError::source_fault(name, *fault)),
            Some(Ok(place)) => self.content(name, *place).map(Some),
        }
    }

    /// The content of a member that is called `name` in messages.
    fn content(&self, name: PathBuf, place: Place) -> Result<BlobReader, HostError> {
        let extent = match place {
            Place::Whole { offset, size } => Extent {
                file: self.archive.file.clone(),
                offset: self.archive.offset.saturating_add(offset),
                length: size,
            },
            Place::Sparse { start } => self.expanded(&name, start)?,
        };
        Ok(BlobReader::file_part(name, extent))
    }

    /// A member that is stored without its holes, with them, in a file without a name. The holes
    /// take no space there; the member's size has the limit of what is put on disk.
    fn expanded(&self, name: &Path, start: u64) -> Result<Extent, HostError> {
        let holey = Holey::open(&self.archive, start).map_err(|stop| match stop {
            Stop::Fault(fault, _) => HostError::source_fault(name, fault),
            Stop::Io(error) => HostError::environment(&self.path, "read", error),
        })?;
        let size = holey.size();
        let (spool, limit) = &self.spool;
        if size > *limit {
            return Err(HostError::Source {
                place: name.to_path_buf(),
                fault: SourceFault::ArchiveSize,
                at: None,
                expected: Value::AtMost(*limit),
            });
        }
        let file = scratch(spool)?;
        holey
            .expand(&file)
            .map_err(|error| HostError::environment(spool, "write a temporary file", error))?;
        Ok(Extent {
            file: Arc::new(file),
            offset: 0,
            length: size,
        })
    }

    /// Refuses blobs that are there twice, unless both are equal.
    ///
    /// All that is compared is no more than the archive: many names for few bytes would make work
    /// without bound.
    fn compare_doubles(&self) -> Result<(), HostError> {
        let mut left = self.archive.length;
        for double in &self.contents.doubles {
            let first = self.contents.members.get(&Key::Blob(double.digest));
            let (Some(Ok(first)), Ok(second)) = (first, double.place) else {
                return Err(self.twice(double.header));
            };
            if *first == second {
                continue;
            }
            let (Place::Whole { size, .. }, Place::Whole { size: other, .. }) = (*first, second)
            else {
                return Err(self.twice(double.header));
            };
            let enough = left.checked_sub(size).filter(|_| size == other);
            left = enough.ok_or_else(|| self.twice(double.header))?;
            let name = || member_place(&self.path, &Key::Blob(double.digest).name());
            let mut first = self.content(name(), *first)?;
            let mut second = self.content(name(), second)?;
            let equal = are_equal(&mut first, &mut second)
                .map_err(|error| HostError::environment(&self.path, "read", error))?;
            if !equal {
                return Err(self.twice(double.header));
            }
        }
        Ok(())
    }

    fn twice(&self, at: u64) -> HostError {
        let stop = Stop::Fault(SourceFault::ArchiveDuplicate, at);
        stopped(&self.path, stop, 0)
    }
}

/// Whether two members hold the same bytes.
fn are_equal(one: &mut BlobReader, other: &mut BlobReader) -> io::Result<bool> {
    let mut buffers = [vec![0; 64 << 10], vec![0; 64 << 10]];
    let [first, second] = &mut buffers;
    loop {
        let read = one.read(first)?;
        let (Some(first), Some(second)) = (first.get(..read), second.get_mut(..read)) else {
            return Ok(false);
        };
        other.read_exact(second)?;
        if first != second {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

/// Why an archive cannot be read.
fn stopped(path: &Path, stop: Stop, limit: u64) -> HostError {
    match stop {
        Stop::Io(error) => HostError::environment(path, "read", error),
        Stop::Fault(fault, at) => HostError::Source {
            place: path.to_path_buf(),
            fault,
            at: Some(at),
            expected: match fault {
                SourceFault::ArchiveMembers => Value::AtMost(limit),
                _ => Value::None,
            },
        },
    }
}

/// What to call a member of an archive.
pub(super) fn member_place(archive: &Path, member: &Path) -> PathBuf {
    let mut place = archive.as_os_str().to_owned();
    place.push(":");
    place.push(member);
    place.into()
}
