//! A walk through all of a tree, in the order of its directories.

use alloc::vec::Vec;
use core::fmt;

use super::dir::Cursor;
use super::{FileType, Image, Inode, ReadAt, ReadResult};
use crate::{At, Code, Error, Value};

/// What a walk comes upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit<'a> {
    /// The path from where the walk started, without a leading slash; empty at the start.
    pub path: &'a [u8],
    /// The last component of the path; empty at the start.
    pub name: &'a [u8],
    /// The inode. One of several links comes up once for each.
    pub inode: Inode,
    /// The type that the directory entry states; `None` at the start, or when it states none
    /// that there is.
    pub entry_type: Option<FileType>,
    /// How many components the path has: 0 at the start.
    pub depth: u32,
}

/// A walk, depth first, each directory before what it holds. Made by [`Image::walk`].
///
/// Its memory is a block and an inode for each directory on the way down, at most
/// [`Limits::directory_depth`] of them, and the path. A directory that lies in itself is
/// refused when the walk comes to it again, and [`Limits::inodes`] bounds all of it.
///
/// [`Limits::directory_depth`]: crate::Limits::directory_depth
/// [`Limits::inodes`]: crate::Limits::inodes
pub struct Walk<'a, R> {
    image: &'a Image<R>,
    /// Where the walk starts, until it has.
    start: Option<Inode>,
    /// A directory that was just given, and is to be read next.
    pending: Option<Inode>,
    /// Whether of that one directories alone are wanted.
    skip_files: bool,
    /// The directories on the way down, and behind `depth` those whose memory is free.
    levels: Vec<Level>,
    /// How many of the levels are in use.
    depth: usize,
    path: Vec<u8>,
    /// What was given so far.
    visited: u64,
}

/// A directory on the way down.
struct Level {
    cursor: Cursor,
    /// Length of the path of the directory.
    path: usize,
    /// How many entries `.` and `..` it had so far.
    dots: u8,
    /// Whether what its entries call something else than a directory is left out.
    skip_files: bool,
}

/// What a step came upon; the path is the walk's.
struct Step {
    inode: Inode,
    entry_type: Option<FileType>,
    name_length: usize,
}

impl<R> fmt::Debug for Walk<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Walk")
            .field("depth", &self.depth)
            .field("visited", &self.visited)
            .finish_non_exhaustive()
    }
}

impl<R: ReadAt> Walk<'_, R> {
    /// The next file, or `None` at the end.
    ///
    /// After an error the walk can go on: behind an entry whose inode is damaged with the next
    /// entry, behind a damaged directory with the one above it, and after
    /// [`Code::InodeLimit`] there is nothing more. [`Self::path`] says where the error was.
    ///
    /// # Errors
    ///
    /// [`Code::DirectoryLoop`] when a directory lies in itself; [`Code::DirectoryDepth`] and
    /// [`Code::InodeLimit`] for the limits; as [`super::Entries::next`] and [`Image::inode`].
    #[allow(
        clippy::should_implement_trait,
        reason = "a visit borrows from the walk, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> ReadResult<Option<Visit<'_>>, R> {
        let Some(step) = self.step()? else {
            return Ok(None);
        };
        let name = self.path.len().saturating_sub(step.name_length);
        Ok(Some(Visit {
            path: &self.path,
            name: self.path.get(name..).unwrap_or(&[]),
            inode: step.inode,
            entry_type: step.entry_type,
            depth: u32::try_from(self.depth).unwrap_or(u32::MAX),
        }))
    }

    /// Leaves out what the directory holds that was given last.
    pub fn skip_directory(&mut self) {
        self.pending = None;
    }

    /// Leaves out what the directory holds that was given last, and its entries call something
    /// else than a directory: for who has looked at them already, and seen that they say what
    /// the inodes do. It counts for [`Limits::inodes`] all the same.
    ///
    /// [`Limits::inodes`]: crate::Limits::inodes
    pub const fn skip_files(&mut self) {
        self.skip_files = true;
    }

    /// The path of what was given last; after an error, of what could not be read.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    fn step(&mut self) -> ReadResult<Option<Step>, R> {
        if let Some(inode) = self.start.take() {
            self.count(inode.nid)?;
            return Ok(Some(self.found(inode, None, 0)));
        }
        if let Some(dir) = self.pending.take() {
            self.descend(&dir)?;
        }
        loop {
            let current = self.depth.checked_sub(1);
            let Some(level) = current.and_then(|current| self.levels.get_mut(current)) else {
                return Ok(None);
            };
            self.path.truncate(level.path);
            let dir = level.cursor.dir.nid;
            let entry = match level.cursor.next(self.image) {
                Ok(Some(entry)) => entry,
                end => {
                    self.depth = current.unwrap_or(0);
                    match end {
                        Err(error) => return Err(error),
                        Ok(_) => continue,
                    }
                }
            };
            if entry.name == b"." || entry.name == b".." {
                // More than these two would be work that no limit counts.
                level.dots = level.dots.saturating_add(1);
                if level.dots > 2 {
                    let at = At::File(dir, entry.offset);
                    self.depth = current.unwrap_or(0);
                    return Err(Error::new(Code::DirentName, at)
                        .found(Value::Text("a third dot entry"))
                        .into());
                }
                continue;
            }
            let (nid, entry_type, name_length) = (entry.nid, entry.file_type, entry.name.len());
            let is_file = entry_type.is_some_and(|entry| entry != FileType::Directory);
            if level.skip_files && is_file {
                self.count(nid)?;
                continue;
            }
            self.path
                .try_reserve(name_length.saturating_add(1))
                .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(entry.name);
            self.count(nid)?;
            let inode = self.image.inode(nid)?;
            return Ok(Some(self.found(inode, entry_type, name_length)));
        }
    }

    /// Counts what the walk came upon, readable or not.
    fn count(&mut self, nid: u64) -> Result<(), Error> {
        if self.visited >= self.image.limits.inodes {
            self.depth = 0;
            return Err(Error::new(Code::InodeLimit, At::Nid(nid))
                .expected(Value::AtMost(self.image.limits.inodes)));
        }
        self.visited = self.visited.saturating_add(1);
        Ok(())
    }

    /// Marks a directory as the next to be read.
    fn found(&mut self, inode: Inode, entry_type: Option<FileType>, name_length: usize) -> Step {
        if inode.file_type == FileType::Directory {
            self.pending = Some(inode);
            self.skip_files = false;
        }
        Step {
            inode,
            entry_type,
            name_length,
        }
    }

    /// Goes down into a directory.
    fn descend(&mut self, dir: &Inode) -> Result<(), Error> {
        let limit = self.image.limits.directory_depth;
        if self.depth as u64 > u64::from(limit) {
            return Err(Error::new(Code::DirectoryDepth, At::Nid(dir.nid))
                .expected(Value::AtMost(limit.into())));
        }
        let above = self.levels.get(..self.depth).unwrap_or(&[]);
        if above.iter().any(|level| level.cursor.dir.nid == dir.nid) {
            return Err(Error::new(Code::DirectoryLoop, At::Nid(dir.nid)));
        }
        let path = self.path.len();
        if let Some(level) = self.levels.get_mut(self.depth) {
            level.cursor.restart(dir)?;
            level.path = path;
            level.dots = 0;
            level.skip_files = self.skip_files;
        } else {
            let cursor = Cursor::new(dir)?;
            self.levels
                .try_reserve(1)
                .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
            self.levels.push(Level {
                cursor,
                path,
                dots: 0,
                skip_files: self.skip_files,
            });
        }
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }
}

impl<R: ReadAt> Image<R> {
    /// A walk through the whole tree, from the root on.
    ///
    /// # Errors
    ///
    /// As [`Self::root`].
    pub fn walk(&self) -> ReadResult<Walk<'_, R>, R> {
        Ok(self.walk_from(self.root()?))
    }

    /// A walk through the tree below an inode, with that inode first.
    pub const fn walk_from(&self, start: Inode) -> Walk<'_, R> {
        Walk {
            image: self,
            start: Some(start),
            pending: None,
            skip_files: false,
            levels: Vec::new(),
            depth: 0,
            path: Vec::new(),
            visited: 0,
        }
    }
}
