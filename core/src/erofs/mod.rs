//! The records of an EROFS image, as they lie on disk.
//!
//! Follows `fs/erofs/erofs_fs.h` of Linux 7.2 and `include/erofs_fs.h` of erofs-utils 1.9.
//! All integers are little-endian.

mod device;
mod features;
mod superblock;

pub use device::{DEVICE_SLOT_SIZE, DeviceSlot};
pub use features::{Compat, Incompat};
pub use superblock::{
    EXTENSION_SLOT_SIZE, METABOX_BIT, SUPERBLOCK_MAGIC, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE,
    Superblock,
};

/// A nom parser's result over bytes, with the error that costs nothing: these records have a
/// fixed size that is checked first, so that a parser can only run out of bytes.
type Parsed<'a, T> = Result<(&'a [u8], T), nom::Err<()>>;
