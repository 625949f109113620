//! The records of an image, written: superblock, inodes, blocks of directories.

use alloc::vec::Vec;

use crate::bytes;
use crate::erofs::{Compat, FileType, Incompat, Layout, SUPERBLOCK_MAGIC, SUPERBLOCK_SIZE};

/// Size of a directory entry without its name, in bytes.
pub(super) const DIRENT: usize = 12;

/// What a superblock says.
#[derive(Debug)]
pub(super) struct SuperblockRecord {
    pub(super) block_bits: u8,
    pub(super) root_nid: u16,
    pub(super) inodes: u64,
    pub(super) epoch: (i64, u32),
    pub(super) build_time: u32,
    pub(super) blocks: u32,
    pub(super) meta_block: u32,
    pub(super) xattr_block: u32,
    pub(super) uuid: [u8; 16],
    pub(super) volume_name: [u8; 16],
    pub(super) incompat: Incompat,
}

impl SuperblockRecord {
    /// The record (`struct erofs_super_block`), its checksum zero.
    pub(super) fn write(&self) -> [u8; SUPERBLOCK_SIZE] {
        let compat = Compat::SB_CHKSUM.0 | Compat::MTIME.0;
        let mut record = Vec::with_capacity(SUPERBLOCK_SIZE);
        record.extend_from_slice(&SUPERBLOCK_MAGIC.to_le_bytes());
        record.extend_from_slice(&[0; 4]);
        record.extend_from_slice(&compat.to_le_bytes());
        record.extend_from_slice(&[self.block_bits, 0]);
        record.extend_from_slice(&self.root_nid.to_le_bytes());
        record.extend_from_slice(&self.inodes.to_le_bytes());
        record.extend_from_slice(&self.epoch.0.to_le_bytes());
        record.extend_from_slice(&self.epoch.1.to_le_bytes());
        record.extend_from_slice(&self.blocks.to_le_bytes());
        record.extend_from_slice(&self.meta_block.to_le_bytes());
        record.extend_from_slice(&self.xattr_block.to_le_bytes());
        record.extend_from_slice(&self.uuid);
        record.extend_from_slice(&self.volume_name);
        record.extend_from_slice(&self.incompat.0.to_le_bytes());
        // What compression, devices, prefixes and packed inode would need.
        record.resize(108, 0);
        record.extend_from_slice(&self.build_time.to_le_bytes());
        let mut whole = [0; SUPERBLOCK_SIZE];
        bytes::copy(&record, &mut whole);
        whole
    }
}

/// What an inode says.
#[derive(Debug)]
pub(super) struct InodeRecord {
    pub(super) extended: bool,
    pub(super) layout: Layout,
    /// Size of its xattrs in the image, in bytes.
    pub(super) xattr_size: u64,
    pub(super) mode: u16,
    pub(super) nlink: u32,
    pub(super) size: u64,
    /// `i_u`: first block, device or format of chunks.
    pub(super) union: u32,
    pub(super) ino: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, u32),
}

impl InodeRecord {
    /// Whether the short form says as much: numbers of 16 and 32 bits, and the time of the superblock.
    pub(super) fn is_extended(
        (size, nlink): (u64, u32),
        (uid, gid): (u32, u32),
        mtime: (i64, u32),
        epoch: (i64, u32),
    ) -> bool {
        let short = |number: u32| number <= u16::MAX.into();
        mtime != epoch || size > u32::MAX.into() || !short(uid) || !short(gid) || !short(nlink)
    }

    /// Appends the record (`struct erofs_inode_compact` or `struct erofs_inode_extended`).
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        let format = u16::from(self.layout.number()) << 1 | u16::from(self.extended);
        // Twelve bytes of header and the units of four behind it, less two.
        let units = self.xattr_size.saturating_sub(8) / 4;
        to.extend_from_slice(&format.to_le_bytes());
        to.extend_from_slice(&u16::try_from(units).unwrap_or(u16::MAX).to_le_bytes());
        to.extend_from_slice(&self.mode.to_le_bytes());
        if self.extended {
            to.extend_from_slice(&[0; 2]);
            to.extend_from_slice(&self.size.to_le_bytes());
            to.extend_from_slice(&self.union.to_le_bytes());
            to.extend_from_slice(&self.ino.to_le_bytes());
            to.extend_from_slice(&self.uid.to_le_bytes());
            to.extend_from_slice(&self.gid.to_le_bytes());
            to.extend_from_slice(&self.mtime.0.to_le_bytes());
            to.extend_from_slice(&self.mtime.1.to_le_bytes());
            to.extend_from_slice(&self.nlink.to_le_bytes());
            to.extend_from_slice(&[0; 16]);
        } else {
            let short = |number: u32| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
            let size = u32::try_from(self.size).unwrap_or(u32::MAX);
            to.extend_from_slice(&short(self.nlink));
            to.extend_from_slice(&size.to_le_bytes());
            to.extend_from_slice(&[0; 4]);
            to.extend_from_slice(&self.union.to_le_bytes());
            to.extend_from_slice(&self.ino.to_le_bytes());
            to.extend_from_slice(&short(self.uid));
            to.extend_from_slice(&short(self.gid));
            to.extend_from_slice(&[0; 4]);
        }
    }
}

/// One entry of a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dirent<'a> {
    pub(super) name: &'a [u8],
    pub(super) nid: u64,
    pub(super) file_type: FileType,
}

/// Appends a block of a directory: the entries (`struct erofs_dirent`), then their names.
pub(super) fn write_dirents(entries: &[Dirent<'_>], to: &mut Vec<u8>) {
    let mut name = entries.len().saturating_mul(DIRENT);
    for entry in entries {
        to.extend_from_slice(&entry.nid.to_le_bytes());
        to.extend_from_slice(&u16::try_from(name).unwrap_or(u16::MAX).to_le_bytes());
        to.extend_from_slice(&[entry.file_type.dirent(), 0]);
        name = name.saturating_add(entry.name.len());
    }
    for entry in entries {
        to.extend_from_slice(entry.name);
    }
}
