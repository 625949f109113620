//! Images made by hand: a superblock of one's choice, and records where they are put.

use std::cell::Cell;

use erofs_unpack_core::erofs::{FileType, Image, Inode, OutOfBounds, ReadAt, ReadError};
use erofs_unpack_core::{At, Code, Error, Limits};

/// The first nid behind the superblock; every nid is its offset divided by 32.
pub(crate) const ROOT: u64 = 36;

/// An image in the making. The metadata area starts at block 0.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) bytes: Vec<u8>,
}

/// An extended inode.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) layout: u16,
    pub(crate) mode: u16,
    pub(crate) size: u64,
    /// `i_u`, then `i_nb`.
    pub(crate) union: u32,
    pub(crate) high: u16,
    pub(crate) xattr_count: u16,
}

impl Record {
    pub(crate) const fn new(layout: u16, mode: u16, size: u64, union: u32) -> Self {
        Self {
            layout,
            mode,
            size,
            union,
            high: 0,
            xattr_count: 0,
        }
    }

    pub(crate) fn bytes(self) -> [u8; 64] {
        let mut record = [0; 64];
        record[..2].copy_from_slice(&(self.layout << 1 | 1).to_le_bytes());
        record[2..4].copy_from_slice(&self.xattr_count.to_le_bytes());
        record[4..6].copy_from_slice(&self.mode.to_le_bytes());
        record[6..8].copy_from_slice(&self.high.to_le_bytes());
        record[8..16].copy_from_slice(&self.size.to_le_bytes());
        record[16..20].copy_from_slice(&self.union.to_le_bytes());
        record[44..48].copy_from_slice(&1_u32.to_le_bytes());
        record
    }
}

impl Build {
    /// An image of so many blocks, with an empty root directory.
    pub(crate) fn new(block_bits: u8, blocks: u32) -> Self {
        let mut build = Self {
            bytes: vec![0; (blocks as usize) << block_bits],
        };
        build
            .field(0, &0xE0F5_E1E2_u32.to_le_bytes())
            .field(12, &[block_bits])
            .field(14, &36_u16.to_le_bytes())
            .field(16, &1_u64.to_le_bytes())
            .field(36, &blocks.to_le_bytes());
        build.root(&[]);
        build
    }

    /// Overwrites a field of the superblock.
    pub(crate) fn field(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        self.put(1024 + offset, bytes)
    }

    pub(crate) fn put(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        self.bytes[offset..][..bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn inode(&mut self, nid: u64, record: Record) -> &mut Self {
        self.put(nid as usize * 32, &record.bytes())
    }

    /// An inode with its content behind it.
    pub(crate) fn inline(&mut self, nid: u64, mode: u16, content: &[u8]) -> &mut Self {
        let record = Record::new(2, mode, content.len() as u64, u32::MAX);
        self.inode(nid, record).put(nid as usize * 32 + 64, content)
    }

    /// The root directory with these entries, inline.
    pub(crate) fn root(&mut self, entries: &[(&[u8], u64)]) -> &mut Self {
        self.dir(ROOT, entries)
    }

    /// A directory with these entries, inline.
    pub(crate) fn dir(&mut self, nid: u64, entries: &[(&[u8], u64)]) -> &mut Self {
        self.inline(nid, 0o4_0755, &dir_block(entries))
    }

    pub(crate) fn open(&self) -> Image<&[u8]> {
        self.open_with(&Limits::DEFAULT).unwrap()
    }

    pub(crate) fn open_with(
        &self,
        limits: &Limits,
    ) -> Result<Image<&[u8]>, ReadError<OutOfBounds>> {
        Image::open(&self.bytes, self.bytes.len() as u64, limits)
    }

    /// The file at nid 64.
    pub(crate) fn file(&self) -> (Image<&[u8]>, Inode) {
        let image = self.open();
        let inode = image.inode(64).unwrap();
        (image, inode)
    }
}

/// A directory block with these entries.
pub(crate) fn dir_block(entries: &[(&[u8], u64)]) -> Vec<u8> {
    let mut table = Vec::new();
    let mut names: Vec<u8> = Vec::new();
    for (name, nid) in entries {
        let at = u16::try_from(entries.len() * 12 + names.len()).unwrap();
        table.extend(nid.to_le_bytes());
        table.extend(at.to_le_bytes());
        table.extend([FileType::Regular.dirent(), 0]);
        names.extend(*name);
    }
    table.extend(names);
    table
}

/// The refusal in a result.
pub(crate) fn refusal<T, E: core::fmt::Debug>(result: Result<T, ReadError<E>>) -> Error {
    match result {
        Ok(_) => panic!("not refused"),
        Err(ReadError::Refused(error)) => error,
        Err(ReadError::Source(error)) => panic!("the source failed: {error:?}"),
    }
}

/// Code and place of the refusal in a result.
pub(crate) fn code<T, E: core::fmt::Debug>(result: Result<T, ReadError<E>>) -> (Code, At) {
    let error = refusal(result);
    (error.code(), error.at())
}

/// Bytes that count how often they are read.
pub(crate) struct Counted<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) reads: Cell<usize>,
}

impl ReadAt for Counted<'_> {
    type Error = OutOfBounds;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), OutOfBounds> {
        self.reads.set(self.reads.get() + 1);
        self.bytes.read_at(offset, buf)
    }
}
