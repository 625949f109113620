//! The records of an EROFS image, as they lie on disk.
//!
//! Follows `fs/erofs/erofs_fs.h` of Linux 7.2 and `include/erofs_fs.h` of erofs-utils 1.9.
//! All integers are little-endian.

#[cfg(feature = "alloc")]
mod cache;
mod device;
mod features;
#[cfg(feature = "alloc")]
mod image;
mod inode;
#[cfg(feature = "alloc")]
mod metabox;
mod read_at;
mod superblock;

pub use device::{DEVICE_SLOT_SIZE, DeviceSlot};
pub use features::{Compat, Incompat};
#[cfg(feature = "alloc")]
pub use image::{Image, ReadResult, Space};
pub use inode::{
    COMPACT_INODE_SIZE, ChunkFormat, Data, EXTENDED_INODE_SIZE, FileType, Inode, Layout, nid_slot,
};
pub use read_at::{OutOfBounds, ReadAt, ReadError};
pub use superblock::{
    EXTENSION_SLOT_SIZE, METABOX_BIT, SUPERBLOCK_MAGIC, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE,
    Superblock,
};

/// A nom parser's result over bytes, with the error that costs nothing: these records have a
/// fixed size that is checked first, so that a parser can only run out of bytes.
type Parsed<'a, T> = Result<(&'a [u8], T), nom::Err<()>>;
