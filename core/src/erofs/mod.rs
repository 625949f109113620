//! EROFS images: the records as they lie on disk, and a reader on them.
//!
//! [`Image`] reads an image at random through a [`ReadAt`]: inodes, directories, content,
//! extended attributes. It trusts nothing, caches little, and ends in an error that says where.
//!
//! Follows `fs/erofs/erofs_fs.h` of Linux 7.2 and `include/erofs_fs.h` of erofs-utils 1.9.
//! All integers are little-endian.

#[cfg(feature = "alloc")]
mod buffer;
#[cfg(feature = "alloc")]
mod cache;
mod checksum;
#[cfg(feature = "alloc")]
mod chunk;
#[cfg(feature = "alloc")]
mod compress;
#[cfg(feature = "alloc")]
mod config;
mod device;
#[cfg(feature = "alloc")]
mod dir;
#[cfg(feature = "alloc")]
mod dirent;
#[cfg(feature = "alloc")]
mod extent;
mod features;
#[cfg(feature = "alloc")]
mod file;
#[cfg(feature = "alloc")]
mod fingerprint;
#[cfg(feature = "alloc")]
mod image;
mod inode;
mod kernel;
#[cfg(feature = "alloc")]
mod lookup;
#[cfg(feature = "alloc")]
mod metabox;
#[cfg(feature = "alloc")]
mod metacopy;
#[cfg(feature = "alloc")]
mod prefixes;
mod read_at;
#[cfg(feature = "alloc")]
mod space;
mod superblock;
#[cfg(feature = "alloc")]
mod walk;
#[cfg(feature = "alloc")]
mod xattr;
#[cfg(feature = "alloc")]
mod xattrs;

#[cfg(feature = "alloc")]
pub use compress::{Encoding, Pcluster};
#[cfg(feature = "alloc")]
pub use config::{CompressionConfigs, Lz4Config};
pub use device::{DEVICE_SLOT_SIZE, DeviceSlot};
#[cfg(feature = "alloc")]
pub use dir::{DirEntry, Entries, Entry};
#[cfg(feature = "alloc")]
pub use dirent::{DIRENT_SIZE, NAME_MAX};
#[cfg(feature = "alloc")]
pub use extent::{Extent, Place};
pub use features::{Compat, Incompat};
#[cfg(feature = "alloc")]
pub use fingerprint::Fingerprint;
#[cfg(feature = "alloc")]
pub use image::Image;
pub use inode::{
    COMPACT_INODE_SIZE, ChunkFormat, Data, EXTENDED_INODE_SIZE, FileType, Inode, Layout, nid_slot,
};
pub use kernel::{NEEDS, Need, Needs, Otherwise, Release};
#[cfg(feature = "alloc")]
pub use metacopy::{Metacopy, Object};
pub use read_at::{OutOfBounds, ReadAt, ReadError, ReadResult};
#[cfg(feature = "alloc")]
pub use space::Space;
pub use superblock::{
    EXTENSION_SLOT_SIZE, LegacyLz4, METABOX_BIT, SUPERBLOCK_MAGIC, SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE, Superblock,
};
#[cfg(feature = "alloc")]
pub use walk::{Visit, Walk};
#[cfg(feature = "alloc")]
pub use xattrs::{Xattr, Xattrs};

#[cfg(feature = "alloc")]
pub(crate) use buffer::buffer;
pub(crate) use checksum::Checksum;
#[cfg(feature = "alloc")]
pub(crate) use dirent::{DirBlock, Dirent, is_name};
#[cfg(feature = "alloc")]
pub(crate) use fingerprint::digest as fingerprint_digest;
#[cfg(feature = "alloc")]
pub(crate) use metacopy::{METACOPY, record as metacopy_record};
#[cfg(feature = "alloc")]
pub(crate) use xattr::{filter_bit, is_shown as is_shown_xattr, split as split_xattr};
#[cfg(feature = "alloc")]
pub(crate) use xattrs::Found as XattrPlace;

/// A nom parser's result over bytes, with the error that costs nothing: these records have a
/// fixed size that is checked first, so that a parser can only run out of bytes.
type Parsed<'a, T> = Result<(&'a [u8], T), nom::Err<()>>;
