//! Names: found in a directory by binary search, and along a path.
//!
//! Follows `erofs_namei` in `fs/erofs/namei.c` of Linux: the block is searched for by the first
//! name of each, then the entry in that block.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::dir::read_block;
use super::dirent::{DirBlock, is_name};
use super::{Entry, FileType, Image, Inode, ReadAt, ReadResult};
use crate::{At, Code, Error, Value};

impl<R: ReadAt> Image<R> {
    /// The entry of this name in a directory.
    ///
    /// It reads one block for each halving of the directory, and relies on the order of
    /// names: in a directory that is out of order it finds what the kernel finds.
    ///
    /// # Errors
    ///
    /// [`Code::InodeType`] when it is no directory; what [`Self::entries`] refuses of the
    /// entries that it looks at.
    pub fn lookup(&self, dir: &Inode, name: &[u8]) -> ReadResult<Option<Entry>, R> {
        if dir.file_type != FileType::Directory {
            return Err(Error::new(Code::InodeType, At::Nid(dir.nid)).into());
        }
        if !is_name(name) {
            return Ok(None);
        }
        let size = self.superblock.block_size();
        let mut block = Vec::new();
        // The blocks that may hold the name: `low` on, less than `high`.
        let mut low = 0;
        let mut high = dir.size.div_ceil(size);
        let mut candidate = None;
        while low < high {
            let middle = low.midpoint(high);
            let start = middle.saturating_mul(size);
            read_block(self, dir, start, &mut block)?;
            let parsed = DirBlock::parse(&block, dir.nid, start)?;
            let (dirent, first) = parsed.entry(0)?;
            match name.cmp(first) {
                Ordering::Equal => {
                    return Ok(Some(Entry {
                        nid: dirent.nid,
                        file_type: dirent.file_type(),
                    }));
                }
                Ordering::Greater => {
                    candidate = Some(start);
                    low = middle.saturating_add(1);
                }
                Ordering::Less => high = middle,
            }
        }
        let Some(start) = candidate else {
            return Ok(None);
        };
        read_block(self, dir, start, &mut block)?;
        Ok(search(&DirBlock::parse(&block, dir.nid, start)?, name)?)
    }

    /// The inode at a path from the root.
    ///
    /// Components are separated by slashes; empty ones and `.` mean the directory itself, `..`
    /// the one above, and at the root the root. Symbolic links are not followed. `None` when
    /// there is no such name, or when what a name is looked up in is no directory.
    ///
    /// # Errors
    ///
    /// [`Code::DirectoryDepth`] when the path leads deeper than the limit; as
    /// [`Self::lookup`] and [`Self::inode`].
    pub fn resolve(&self, path: &[u8]) -> ReadResult<Option<Inode>, R> {
        let mut inode = self.root()?;
        // The nids above the inode.
        let mut above = Vec::new();
        for name in path.split(|byte| *byte == b'/') {
            if name.is_empty() || name == b"." {
                continue;
            }
            if inode.file_type != FileType::Directory {
                return Ok(None);
            }
            if name == b".." {
                if let Some(nid) = above.pop() {
                    inode = self.inode(nid)?;
                }
                continue;
            }
            if above.len() as u64 >= u64::from(self.limits.directory_depth) {
                return Err(Error::new(Code::DirectoryDepth, At::Nid(inode.nid))
                    .expected(Value::AtMost(self.limits.directory_depth.into()))
                    .into());
            }
            let Some(entry) = self.lookup(&inode, name)? else {
                return Ok(None);
            };
            above
                .try_reserve(1)
                .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
            above.push(inode.nid);
            inode = self.inode(entry.nid)?;
        }
        Ok(Some(inode))
    }
}

/// The entry of this name in a block.
fn search(block: &DirBlock<'_>, name: &[u8]) -> Result<Option<Entry>, Error> {
    let mut low = 0;
    let mut high = block.count;
    while low < high {
        let middle = low.midpoint(high);
        let (dirent, found) = block.entry(middle)?;
        match name.cmp(found) {
            Ordering::Equal => {
                return Ok(Some(Entry {
                    nid: dirent.nid,
                    file_type: dirent.file_type(),
                }));
            }
            Ordering::Greater => low = middle.saturating_add(1),
            Ordering::Less => high = middle,
        }
    }
    Ok(None)
}
