//! Directories, read block by block.

use alloc::vec::Vec;

use super::buffer::buffer;
use super::dirent::{DirBlock, is_name};
use super::{FileType, Image, Inode, ReadAt, ReadResult};
use crate::{At, Code, Error, Value};

/// What a directory says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The inode.
    pub nid: u64,
    /// The type that the entry states, if it states one that there is. The inode's own type
    /// counts; they may differ.
    pub file_type: Option<FileType>,
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirEntry<'a> {
    /// The name: 1 to 255 bytes without NUL and slash. `.` and `..` are entries like others.
    pub name: &'a [u8],
    /// The inode.
    pub nid: u64,
    /// The type that the entry states, if it states one that there is. The inode's own type
    /// counts; they may differ.
    pub file_type: Option<FileType>,
    /// Where the entry lies, in bytes of the directory.
    pub offset: u64,
}

/// A place in a directory. It holds one block, and its memory can serve one directory after
/// another.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) dir: Inode,
    /// The block that is being read; its bytes, as far as the directory goes.
    block: Vec<u8>,
    /// Where that block starts, in bytes of the directory.
    start: u64,
    /// Its next entry.
    index: usize,
    /// Its number of entries; zero before the first block was read.
    count: usize,
    /// Entries that were given, in all blocks.
    given: u64,
}

impl Cursor {
    /// The start of a directory.
    pub(super) fn new(dir: &Inode) -> Result<Self, Error> {
        let mut cursor = Self {
            dir: *dir,
            block: Vec::new(),
            start: 0,
            index: 0,
            count: 0,
            given: 0,
        };
        cursor.restart(dir)?;
        Ok(cursor)
    }

    /// Goes to the start of another directory.
    pub(super) fn restart(&mut self, dir: &Inode) -> Result<(), Error> {
        if dir.file_type != FileType::Directory {
            return Err(Error::new(Code::InodeType, At::Nid(dir.nid)));
        }
        self.dir = *dir;
        self.start = 0;
        self.index = 0;
        self.count = 0;
        self.given = 0;
        Ok(())
    }

    /// The next entry. After an error about a name it goes on with the next name, after one
    /// about a block it is at the end.
    pub(super) fn next<R: ReadAt>(
        &mut self,
        image: &Image<R>,
    ) -> ReadResult<Option<DirEntry<'_>>, R> {
        match self.advance(image) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                self.finish();
                return Err(error);
            }
        }
        let index = self.index;
        self.index = index.saturating_add(1);
        self.given = self.given.saturating_add(1);
        Ok(Some(self.entry(index)?))
    }

    /// Reads the next block where this one is at its end; `false` at the end of the directory.
    fn advance<R: ReadAt>(&mut self, image: &Image<R>) -> ReadResult<bool, R> {
        if self.index >= self.count {
            if self.count > 0 {
                self.start = self.start.saturating_add(self.block.len() as u64);
            }
            if self.start >= self.dir.size {
                self.finish();
                return Ok(false);
            }
            read_block(image, &self.dir, self.start, &mut self.block)?;
            self.count = DirBlock::parse(&self.block, self.dir.nid, self.start)?.count;
            self.index = 0;
        }
        if self.given >= image.limits.directory_entries {
            return Err(Error::new(Code::DirectoryEntries, At::Nid(self.dir.nid))
                .expected(Value::AtMost(image.limits.directory_entries))
                .into());
        }
        Ok(true)
    }

    /// An entry of the block.
    fn entry(&self, index: usize) -> Result<DirEntry<'_>, Error> {
        let block = DirBlock {
            bytes: &self.block,
            nid: self.dir.nid,
            offset: self.start,
            count: self.count,
        };
        let offset = block.position(index);
        let (dirent, name) = block.entry(index)?;
        if !is_name(name) {
            return Err(Error::new(Code::DirentName, At::File(self.dir.nid, offset)));
        }
        Ok(DirEntry {
            name,
            nid: dirent.nid,
            file_type: dirent.file_type(),
            offset,
        })
    }

    /// Goes to the end.
    fn finish(&mut self) {
        self.start = self.dir.size;
        self.index = 0;
        self.count = 0;
    }
}

/// Reads the block of a directory that starts at `start`, as far as the directory goes.
pub(super) fn read_block<R: ReadAt>(
    image: &Image<R>,
    dir: &Inode,
    start: u64,
    block: &mut Vec<u8>,
) -> ReadResult<(), R> {
    let length = dir
        .size
        .saturating_sub(start)
        .min(image.superblock.block_size());
    let length = usize::try_from(length).unwrap_or(0);
    if block.capacity() < length {
        *block = buffer(length)?;
    } else {
        block.resize(length, 0);
    }
    image.read(dir, start, block)?;
    Ok(())
}

/// The entries of a directory, in the order in which they lie. Made by [`Image::entries`].
///
/// It holds one block of the directory at a time.
pub struct Entries<'a, R> {
    image: &'a Image<R>,
    cursor: Cursor,
}

impl<R> core::fmt::Debug for Entries<'_, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Entries")
            .field("dir", &self.cursor.dir)
            .finish_non_exhaustive()
    }
}

impl<R: ReadAt> Entries<'_, R> {
    /// The next entry, or `None` at the end.
    ///
    /// After an error about a name it goes on with the name behind that one; any other error
    /// ends it.
    ///
    /// # Errors
    ///
    /// [`Code::DirentTable`] and [`Code::DirentName`] where a block is damaged;
    /// [`Code::DirectoryEntries`] when there are more than the limit; as [`Image::read`].
    #[allow(
        clippy::should_implement_trait,
        reason = "an entry borrows from the iterator, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> ReadResult<Option<DirEntry<'_>>, R> {
        self.cursor.next(self.image)
    }
}

impl<R: ReadAt> Image<R> {
    /// The entries of a directory, `.` and `..` with them where they are on disk.
    ///
    /// # Errors
    ///
    /// [`Code::InodeType`] when it is none.
    pub fn entries(&self, dir: &Inode) -> ReadResult<Entries<'_, R>, R> {
        self.entries_from(dir, 0)
    }

    /// The entries of a directory from that block on in which byte `offset` of the directory
    /// lies, such as [`DirEntry::offset`]: for who reads a large directory in parts. The limit
    /// of entries holds for each part.
    ///
    /// # Errors
    ///
    /// [`Code::InodeType`] when it is none.
    pub fn entries_from(&self, dir: &Inode, offset: u64) -> ReadResult<Entries<'_, R>, R> {
        let mut cursor = Cursor::new(dir)?;
        cursor.start = offset.saturating_sub(self.superblock.within_block(offset));
        Ok(Entries {
            image: self,
            cursor,
        })
    }
}
