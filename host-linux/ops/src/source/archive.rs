//! An OCI image layout in a tar file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use erofs_unpack_core::Value;
use erofs_unpack_core::oci::Digest;

use super::blob::{BlobReader, Extent};
use super::layout::blob_path;
use super::tar::{Members, Stop, Type};
use crate::error::HostError;
use crate::error::SourceFault;

/// A name that means something in a layout. All others are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
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
    fn of(name: &[u8]) -> Option<Self> {
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
/// All headers are read once; members are then read in place, in any order and in parallel.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    archive: Extent,
    /// Offset and size of the members that matter. `None` for those that are no regular
    /// files, which are refused when they are asked for.
    members: BTreeMap<Key, Result<(u64, u64), SourceFault>>,
}

impl Archive {
    /// Reads the headers of an archive of at most `limit` of them.
    pub(super) fn open(path: &Path, archive: Extent, limit: u64) -> Result<Opened, HostError> {
        let members = read_members(&archive, limit).map_err(|stop| match stop {
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
        })?;
        if !members.contains_key(&Key::Layout) {
            if members.contains_key(&Key::Docker) {
                return Err(HostError::source_fault(path, SourceFault::ArchiveDocker));
            }
            return Ok(Opened::Other);
        }
        let archive = Self {
            path: path.to_path_buf(),
            archive,
            members,
        };
        archive.member(Key::Layout)?;
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

    fn member(&self, key: Key) -> Result<Option<BlobReader>, HostError> {
        let place = member_place(&self.path, &key.name());
        match self.members.get(&key) {
            None => Ok(None),
            Some(Err(fault)) => Err(HostError::source_fault(place, *fault)),
            Some(Ok((offset, size))) => Ok(Some(BlobReader::file_part(
                place,
                Extent {
                    file: self.archive.file.clone(),
                    offset: self.archive.offset.saturating_add(*offset),
                    length: *size,
                },
            ))),
        }
    }
}

/// What to call a member of an archive.
pub(super) fn member_place(archive: &Path, member: &Path) -> PathBuf {
    let mut place = archive.as_os_str().to_owned();
    place.push(":");
    place.push(member);
    place.into()
}

/// The members of an archive that matter.
#[allow(clippy::type_complexity, reason = "the type of one private field")]
fn read_members(
    archive: &Extent,
    limit: u64,
) -> Result<BTreeMap<Key, Result<(u64, u64), SourceFault>>, Stop> {
    let mut found = BTreeMap::new();
    let mut members = Members::new(archive);
    let mut headers = 0;
    loop {
        let member = members.next(|at| {
            headers += 1;
            if headers > limit {
                return Err(Stop::Fault(SourceFault::ArchiveMembers, at));
            }
            Ok(())
        })?;
        let Some(member) = member else {
            return Ok(found);
        };
        let Some(key) = Key::of(&member.name) else {
            continue;
        };
        let place = match member.kind {
            Type::File => Ok((member.offset, member.size)),
            // Only to what is there already, as tar(1) would have to find it.
            Type::HardLink => match Key::of(&member.link).and_then(|link| found.get(&link)) {
                Some(Ok(place)) => Ok(*place),
                _ => Err(SourceFault::ArchiveLink),
            },
            Type::Other => Err(SourceFault::ArchiveMember),
        };
        if found.insert(key, place).is_some() {
            return Err(Stop::Fault(SourceFault::ArchiveDuplicate, member.header));
        }
    }
}
