//! Paths: which directory and which name an entry means.
//!
//! As who extracts an archive into a root of its own: what lies below a symbolic link of the same
//! tree goes where that leads, an absolute link leads from the root on, and `..` in one never
//! above it. The last part of a path is never followed. Directories that are only implied are made.

use alloc::vec::Vec;

use super::tree::{Attributes, Body, Child, ROOT, Tree};
use crate::{At, Code, Error, Value};

/// How many symbolic links are followed for one path, as `MAXSYMLINKS` of Linux.
const LINKS: u32 = 40;
/// How many parts the targets of these links may have in all.
const PARTS: usize = 4096;

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Root,
    /// A name in a directory, which is given by its inode.
    Name(u32, &'a [u8]),
}

/// The parts of a path that count, without `.` and empty ones.
pub(super) fn parts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
}

impl Tree {
    /// The directory and the name that a path means. Where `make` has a time, directories that
    /// are missing are made with it; else the answer is `None` then.
    ///
    /// # Errors
    ///
    /// [`Code::BuildPath`] for `..` and zeros; [`Code::BuildNotDirectory`], [`Code::BuildLoop`]; those of [`Tree::add_directory`].
    pub(super) fn place<'a>(
        &mut self,
        path: &'a [u8],
        make: Option<(i64, u32)>,
        at: At,
    ) -> Result<Option<Place<'a>>, Error> {
        if path.contains(&0) || parts(path).any(|part| part == b"..") {
            return Err(Error::new(Code::BuildPath, at));
        }
        let mut parts = parts(path).peekable();
        let mut directory = ROOT;
        let mut links = 0;
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return Ok(Some(Place::Name(directory, part)));
            }
            match self.enter(directory, part, make, &mut links, at)? {
                Some(below) => directory = below,
                None => return Ok(None),
            }
        }
        Ok(Some(Place::Root))
    }

    /// The directory that a name in a directory leads to, symbolic links followed.
    fn enter(
        &mut self,
        directory: u32,
        name: &[u8],
        make: Option<(i64, u32)>,
        links: &mut u32,
        at: At,
    ) -> Result<Option<u32>, Error> {
        if let Some(child) = self.child(directory, name)
            && self.directory(child.inode).is_some()
        {
            return Ok(Some(child.inode));
        }
        // Parts that are still to be gone through, the next one last.
        let mut left: Vec<Vec<u8>> = alloc::vec![name.to_vec()];
        let mut directory = directory;
        while let Some(part) = left.pop() {
            if part == b".." {
                directory = self.directory(directory).map_or(ROOT, |here| here.parent);
                continue;
            }
            let child = self.child(directory, &part);
            if let Some(child) = child
                && let Some(target) = self.target(child.inode)
            {
                *links = links.saturating_add(1);
                if *links > LINKS || left.len() > PARTS {
                    return Err(
                        Error::new(Code::BuildLoop, at).expected(Value::AtMost(LINKS.into()))
                    );
                }
                if target.first() == Some(&b'/') {
                    directory = ROOT;
                }
                let from = left.len();
                left.extend(parts(target).map(<[u8]>::to_vec));
                if let Some(added) = left.get_mut(from..) {
                    added.reverse();
                }
                continue;
            }
            directory = match child {
                Some(child) if self.directory(child.inode).is_some() => child.inode,
                Some(child) if !self.is_only_whiteout(child) => {
                    return Err(Error::new(Code::BuildNotDirectory, at));
                }
                child => {
                    let Some(mtime) = make else {
                        return Ok(None);
                    };
                    let whited_out = child.is_some_and(|child| child.whited_out);
                    let implied = Attributes::implied(mtime);
                    let inode = self.add_directory(directory, implied, whited_out, at)?;
                    let child = Child { inode, whited_out };
                    self.name(directory, &part, child, at)?;
                    inode
                }
            };
        }
        Ok(Some(directory))
    }

    /// Whether a name leads to a whiteout and to nothing of this layer.
    pub(super) fn is_only_whiteout(&self, child: Child) -> bool {
        child.whited_out
            && self
                .inode(child.inode)
                .is_some_and(|inode| inode.body == Body::Device(0))
    }
}
