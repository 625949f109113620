//! The path of a finding, found when it is asked for.

use alloc::vec::Vec;

use super::Finding;
use crate::erofs::{FileType, Image, ReadAt, ReadError, ReadResult};
use crate::{At, Code};

/// What stands for a part of a path that cannot be found.
const UNKNOWN: &[u8] = b"?";

/// Finds the paths of findings in an image, with so much work and no more.
///
/// A path is looked for entry by entry, and a hostile image makes that as long as it likes:
/// directories of millions of entries below each other. So all paths together may look at a
/// number of entries; when they are used up, what is missing is not found.
#[derive(Debug)]
pub struct Paths<'a, R> {
    image: &'a Image<R>,
    /// How many more entries may be looked at.
    left: u64,
}

impl<'a, R: ReadAt> Paths<'a, R> {
    /// Paths of this image, found by looking at `entries` directory entries at most.
    #[must_use]
    pub const fn new(image: &'a Image<R>, entries: u64) -> Self {
        Self {
            image,
            left: entries,
        }
    }

    /// How many more entries may be looked at.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// The path of what a finding is about, without a leading slash; `None` when it is about
    /// no file, or the file was not found.
    ///
    /// In a damaged image a part of the path may not be found; it is then given as `?`.
    ///
    /// # Errors
    ///
    /// What the source says. What the image is refused for only cuts the path short.
    pub fn of(&mut self, finding: &Finding) -> ReadResult<Option<Vec<u8>>, R> {
        match (finding.entry, finding.error.at()) {
            (Some((directory, offset)), _) => self.entry(directory, offset).map(Some),
            (None, At::File(nid, _) | At::Nid(nid)) => self.inode(nid),
            (None, _) => Ok(None),
        }
    }

    /// The path of the entry at byte `offset` of a directory: directories are followed upwards
    /// by their `..`, and each is looked for in the one above.
    fn entry(&mut self, directory: u64, offset: u64) -> ReadResult<Vec<u8>, R> {
        let name = self.find(directory, |entry_offset, _, _| entry_offset == offset)?;
        let mut path = self.directory(directory)?;
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_deref().unwrap_or(UNKNOWN));
        Ok(path)
    }

    /// The path of an inode that was not come to by an entry.
    fn inode(&mut self, nid: u64) -> ReadResult<Option<Vec<u8>>, R> {
        let superblock = self.image.superblock();
        let internal = [superblock.packed_inode(), superblock.metabox_inode()];
        if internal.contains(&Some(nid)) {
            return Ok(None);
        }
        match refusable(self.image.inode(nid))? {
            Some(inode) if inode.file_type == FileType::Directory => self.directory(nid).map(Some),
            _ => self.search(nid),
        }
    }

    /// The first path in the tree that leads to an inode.
    fn search(&mut self, nid: u64) -> ReadResult<Option<Vec<u8>>, R> {
        let Some(mut walk) = refusable(self.image.walk())? else {
            return Ok(None);
        };
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            match walk.next() {
                Ok(Some(visit)) if visit.inode.nid == nid => return Ok(Some(visit.path.to_vec())),
                Ok(None) => return Ok(None),
                // Behind what is damaged the walk goes on.
                Ok(Some(_)) | Err(ReadError::Refused(_)) => {}
                Err(ReadError::Source(error)) => return Err(ReadError::Source(error)),
            }
        }
        Ok(None)
    }

    /// The path of a directory; empty for the root.
    fn directory(&mut self, directory: u64) -> ReadResult<Vec<u8>, R> {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut nid = directory;
        for _ in 0..self.image.limits().directory_depth {
            if nid == self.image.superblock().root_nid {
                break;
            }
            let mut parent = None;
            self.find(nid, |_, name, child| {
                if name == b".." {
                    parent = Some(child);
                }
                parent.is_some()
            })?;
            let name = match parent {
                None => None,
                Some(parent) => self.find(parent, |_, name, child| {
                    child == nid && name != b"." && name != b".."
                })?,
            };
            let (Some(parent), Some(name)) = (parent, name) else {
                // Its `..` may be damaged, or left out; then it is looked for from the root.
                let found = self.search(nid)?;
                parts.push(found.unwrap_or_else(|| UNKNOWN.to_vec()));
                break;
            };
            parts.push(name);
            nid = parent;
        }
        parts.reverse();
        Ok(parts.join(&b'/'))
    }

    /// The name of the first entry that is wanted, by its offset, name and nid.
    fn find(
        &mut self,
        directory: u64,
        mut wanted: impl FnMut(u64, &[u8], u64) -> bool,
    ) -> ReadResult<Option<Vec<u8>>, R> {
        let Some(dir) = refusable(self.image.inode(directory))? else {
            return Ok(None);
        };
        let Some(mut entries) = refusable(self.image.entries(&dir))? else {
            return Ok(None);
        };
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            match entries.next() {
                Ok(Some(entry)) => {
                    if wanted(entry.offset, entry.name, entry.nid) {
                        return Ok(Some(entry.name.to_vec()));
                    }
                }
                // The iterator goes on behind a name that cannot be one.
                Err(ReadError::Refused(error)) if error.code() == Code::DirentName => {}
                Ok(None) | Err(ReadError::Refused(_)) => return Ok(None),
                Err(ReadError::Source(error)) => return Err(ReadError::Source(error)),
            }
        }
        Ok(None)
    }
}

/// What was read, or `None` where the image is refused.
fn refusable<T, E>(result: Result<T, ReadError<E>>) -> Result<Option<T>, ReadError<E>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(ReadError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
