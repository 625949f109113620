//! A small writer of EROFS images: a stated tree in, an image with named places out.
//!
//! It makes what the rules of the check are about, as small as can be, and follows
//! `fs/erofs/erofs_fs.h` of Linux. A case takes an image and edits it by the names of things:
//! a field of an inode, an entry of a directory, an xattr.

mod labelled;
mod map;
mod node;
mod write;

pub use labelled::{Edit, LabelledImage};
pub use map::{BLOCK_COUNT, Index, compact, extents, full, header, lz4_run, padded};
pub use node::{Content, Node, Tree, Xattr, acl};

/// Flags of a map header (`Z_EROFS_ADVISE_*`).
pub mod advise {
    /// In the full layout: there are extents.
    pub const EXTENTS: u16 = 0x01;
    /// Pclusters of the first algorithm may have several blocks.
    pub const BIG_PCLUSTER_1: u16 = 0x02;
    /// Those of the second and plain ones may.
    pub const BIG_PCLUSTER_2: u16 = 0x04;
    /// The last pcluster lies behind the indexes.
    pub const INLINE_PCLUSTER: u16 = 0x08;
    /// The last extent lies in the packed inode.
    pub const FRAGMENT_PCLUSTER: u16 = 0x20;
}

/// Incompatible features (`EROFS_FEATURE_INCOMPAT_*`).
pub mod incompat {
    /// LZ4 data is padded with zeros at its start.
    pub const ZERO_PADDING: u32 = 0x001;
    /// There are compression configurations.
    pub const COMPR_CFGS: u32 = 0x002;
    /// There are chunk-based files.
    pub const CHUNKED_FILE: u32 = 0x004;
    /// There is a device table.
    pub const DEVICE_TABLE: u32 = 0x008;
    /// The last pcluster of a file may lie inline.
    pub const ZTAILPACKING: u32 = 0x010;
    /// There is a packed inode.
    pub const FRAGMENTS: u32 = 0x020;
    /// There are long xattr prefixes.
    pub const XATTR_PREFIXES: u32 = 0x040;
    /// Block addresses have 48 bits.
    pub const BIT48: u32 = 0x080;
    /// There is a metabox.
    pub const METABOX: u32 = 0x100;
}

/// Compatible features (`EROFS_FEATURE_COMPAT_*`).
pub mod compat {
    /// The superblock has a checksum.
    pub const SB_CHKSUM: u32 = 0x01;
    /// Xattr headers hold a filter.
    pub const XATTR_FILTER: u32 = 0x04;
    /// The table of long xattr prefixes lies in the image itself.
    pub const PLAIN_XATTR_PFX: u32 = 0x10;
    /// A long xattr prefix is the name of fingerprints.
    pub const ISHARE_XATTRS: u32 = 0x20;
}
