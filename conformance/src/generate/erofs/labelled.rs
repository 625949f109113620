//! An image with names for its parts, and edits by those names.

use std::collections::BTreeMap;

use super::super::image::{Field, Image};

/// Fields of a compact inode (`struct erofs_inode_compact`).
const COMPACT: [Field; 10] = [
    field("i_format", 0, 2),
    field("i_xattr_icount", 2, 2),
    field("i_mode", 4, 2),
    field("i_nlink", 6, 2),
    field("i_size", 8, 4),
    field("i_mtime", 12, 4),
    field("i_u", 16, 4),
    field("i_uid", 24, 2),
    field("i_gid", 26, 2),
    field("i_reserved", 28, 4),
];
/// Fields of an extended inode (`struct erofs_inode_extended`).
const EXTENDED: [Field; 10] = [
    field("i_format", 0, 2),
    field("i_xattr_icount", 2, 2),
    field("i_mode", 4, 2),
    field("i_nb", 6, 2),
    field("i_size", 8, 8),
    field("i_u", 16, 4),
    field("i_mtime", 32, 8),
    field("i_mtime_nsec", 40, 4),
    field("i_nlink", 44, 4),
    field("i_reserved2", 48, 8),
];
/// Fields of an entry (`struct erofs_dirent`).
const DIRENT: [Field; 4] = [
    field("nid", 0, 8),
    field("nameoff", 8, 2),
    field("file_type", 10, 1),
    field("reserved", 11, 1),
];
/// Fields of the header in front of xattrs (`struct erofs_xattr_ibody_header`).
const XATTRS: [Field; 3] = [
    field("h_name_filter", 0, 4),
    field("h_shared_count", 4, 1),
    field("h_reserved2", 5, 1),
];
/// Fields of an xattr (`struct erofs_xattr_entry`).
const XATTR: [Field; 3] = [
    field("e_name_len", 0, 1),
    field("e_name_index", 1, 1),
    field("e_value_size", 2, 2),
];
/// Fields of a device slot (`struct erofs_deviceslot`).
const DEVICE: [Field; 3] = [
    field("blocks_lo", 64, 4),
    field("uniaddr_lo", 68, 4),
    field("reserved", 76, 4),
];
/// Fields of a map header (`struct z_erofs_map_header`).
const MAP: [Field; 5] = [
    field("h_fragmentoff", 0, 4),
    field("h_idata_size", 2, 2),
    field("h_advise", 4, 2),
    field("h_algorithmtype", 6, 1),
    field("h_clusterbits", 7, 1),
];

const fn field(name: &'static str, offset: usize, size: usize) -> Field {
    Field { name, offset, size }
}

/// An image that was written.
#[derive(Clone, Debug)]
pub struct LabelledImage {
    /// The image.
    pub image: Image,
    /// Size of a block in bytes.
    pub block: usize,
    places: BTreeMap<String, usize>,
    nids: BTreeMap<String, u64>,
}

impl LabelledImage {
    pub(super) const fn new(
        image: Image,
        block: usize,
        places: BTreeMap<String, usize>,
        nids: BTreeMap<String, u64>,
    ) -> Self {
        Self {
            image,
            block,
            places,
            nids,
        }
    }

    /// The nid of an inode, by its path.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn nid(&self, path: &str) -> u64 {
        *self
            .nids
            .get(path)
            .unwrap_or_else(|| panic!("no inode {path}"))
    }

    /// Where something lies in the image: `inode PATH`, what is `behind PATH`, its `blocks
    /// PATH`, its `xattrs PATH` and each `xattr PATH NAME`, a `shared NAME`, of a directory each
    /// `dirent PATH NAME` and its `name PATH NAME`, `device N`, `configs`, `prefixes`.
    ///
    /// # Panics
    ///
    /// When there is no such thing.
    #[must_use]
    pub fn at(&self, what: &str) -> usize {
        *self.places.get(what).unwrap_or_else(|| panic!("no {what}"))
    }

    /// Where an entry lies in its directory.
    #[must_use]
    pub fn offset(&self, dir: &str, name: &str) -> u64 {
        self.at(&format!("offset {dir} {name}")) as u64
    }

    /// The image as it is, to be edited.
    #[must_use]
    pub fn edit(&self) -> Edit<'_> {
        Edit {
            made: self,
            image: self.image.clone(),
        }
    }
}

/// An image that is being edited.
#[derive(Clone, Debug)]
pub struct Edit<'a> {
    made: &'a LabelledImage,
    image: Image,
}

impl Edit<'_> {
    fn field(mut self, at: usize, fields: &[Field], name: &str, value: u64) -> Self {
        let field = fields
            .iter()
            .find(|field| field.name == name)
            .unwrap_or_else(|| panic!("no field {name}"));
        let bytes = value.to_le_bytes();
        let (kept, lost) = bytes.split_at(field.size);
        assert!(lost.iter().all(|byte| *byte == 0), "{name} of {value:#x}");
        self.image = self.image.put(at + field.offset, kept);
        self
    }

    /// Sets a field of the superblock.
    #[must_use]
    pub fn superblock(mut self, name: &str, value: u64) -> Self {
        self.image = self.image.set(name, value);
        self
    }

    /// Sets a field of an inode.
    #[must_use]
    pub fn inode(self, path: &str, name: &str, value: u64) -> Self {
        let at = self.made.at(&format!("inode {path}"));
        let extended = self.made.image.0[at] & 1 == 1;
        let fields = if extended { &EXTENDED } else { &COMPACT };
        self.field(at, fields, name, value)
    }

    /// Sets a field of a directory's entry.
    #[must_use]
    pub fn dirent(self, dir: &str, entry: &str, name: &str, value: u64) -> Self {
        let at = self.made.at(&format!("dirent {dir} {entry}"));
        self.field(at, &DIRENT, name, value)
    }

    /// Lets an entry lead to another inode.
    #[must_use]
    pub fn lead(self, dir: &str, entry: &str, to: &str) -> Self {
        let nid = self.made.nid(to);
        self.dirent(dir, entry, "nid", nid)
    }

    /// Overwrites the name of an entry from its start on.
    #[must_use]
    pub fn rename(self, dir: &str, entry: &str, name: &[u8]) -> Self {
        let at = self.made.at(&format!("name {dir} {entry}"));
        self.bytes(at, name)
    }

    /// Sets a field of the header in front of an inode's xattrs.
    #[must_use]
    pub fn xattrs(self, path: &str, name: &str, value: u64) -> Self {
        let at = self.made.at(&format!("xattrs {path}"));
        self.field(at, &XATTRS, name, value)
    }

    /// Sets a field of an xattr behind its inode.
    #[must_use]
    pub fn xattr(self, path: &str, xattr: &str, name: &str, value: u64) -> Self {
        let at = self.made.at(&format!("xattr {path} {xattr}"));
        self.field(at, &XATTR, name, value)
    }

    /// Sets a field of a device slot.
    #[must_use]
    pub fn device(self, number: u16, name: &str, value: u64) -> Self {
        let at = self.made.at(&format!("device {number}"));
        self.field(at, &DEVICE, name, value)
    }

    /// Sets a field of the map header behind an inode.
    #[must_use]
    pub fn map(self, path: &str, name: &str, value: u64) -> Self {
        let at = self.made.at(&format!("behind {path}"));
        self.field(at, &MAP, name, value)
    }

    /// Overwrites what lies behind an inode, from an offset on.
    #[must_use]
    pub fn behind(self, path: &str, offset: usize, bytes: &[u8]) -> Self {
        let at = self.made.at(&format!("behind {path}"));
        self.bytes(at + offset, bytes)
    }

    /// Overwrites bytes of the image.
    #[must_use]
    pub fn bytes(mut self, at: usize, bytes: &[u8]) -> Self {
        self.image = self.image.put(at, bytes);
        self
    }

    /// The image with a right checksum.
    #[must_use]
    pub fn mended(self) -> Vec<u8> {
        self.image.mend().0
    }

    /// The image as it is, whatever its checksum.
    #[must_use]
    pub fn unmended(self) -> Vec<u8> {
        self.image.0
    }
}
