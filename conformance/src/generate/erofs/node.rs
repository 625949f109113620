//! What goes into an image: a tree of nodes, their content and their xattrs, as data.

use core::fmt;

use super::compat;

/// Bytes behind an inode that depend on the block where its data starts.
type Behind = Box<dyn Fn(u32) -> Vec<u8>>;

/// What an inode holds.
pub enum Content {
    /// A directory: its entries follow from the other nodes. The last block is inline, or none.
    Directory {
        /// Whether the last block is inline.
        inline: bool,
        /// Whether the entry `.` is left out.
        dot_omitted: bool,
    },
    /// In consecutive blocks.
    Plain(Vec<u8>),
    /// The last block inline.
    Inline(Vec<u8>),
    /// A file of this size that is one hole.
    Hole(u32),
    /// A device by its number, or a pipe or a socket.
    Special(u32),
    /// Whatever else: a layout with a table behind the inode.
    Table {
        /// Number of the layout.
        layout: u16,
        /// Size of the content in bytes.
        size: u64,
        /// The field `i_u`; `None` for the number of blocks.
        union: Option<u32>,
        /// What the table's start is a multiple of.
        align: usize,
        /// The table.
        behind: Behind,
        /// The blocks.
        blocks: Vec<u8>,
    },
    /// A further link to the inode of this path.
    Link(&'static str),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory { .. } => "directory",
            Self::Plain(_) => "plain",
            Self::Inline(_) => "inline",
            Self::Hole(_) => "hole",
            Self::Special(_) => "special",
            Self::Table { .. } => "table",
            Self::Link(_) => "link",
        })
    }
}

/// An extended attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xattr {
    /// Index of its prefix.
    pub index: u8,
    /// The name behind the prefix.
    pub name: &'static str,
    /// The value.
    pub value: Vec<u8>,
    /// Whether it lies in the shared area.
    pub shared: bool,
}

impl Xattr {
    /// One behind its inode.
    #[must_use]
    pub fn inline(index: u8, name: &'static str, value: &[u8]) -> Self {
        Self {
            index,
            name,
            value: value.to_vec(),
            shared: false,
        }
    }

    /// One in the shared area.
    #[must_use]
    pub fn shared(index: u8, name: &'static str, value: &[u8]) -> Self {
        Self {
            shared: true,
            ..Self::inline(index, name, value)
        }
    }

    /// The entry with its name and value, filled up with zeros.
    #[must_use]
    pub fn record(&self) -> Vec<u8> {
        let mut record = vec![u8::try_from(self.name.len()).expect("short"), self.index];
        record.extend(
            u16::try_from(self.value.len())
                .expect("short")
                .to_le_bytes(),
        );
        record.extend(self.name.as_bytes());
        record.extend(&self.value);
        record.resize(record.len().next_multiple_of(4), 0);
        record
    }
}

/// An ACL as it is stored: version 2, then entries of tag, permissions and id.
#[must_use]
pub fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

/// An inode, or a further link to one.
#[derive(Debug)]
pub struct Node {
    /// Its path; empty for the root, with a `#` in front for what no directory names.
    pub path: String,
    /// Type and permissions.
    pub mode: u16,
    /// Owner and group.
    pub owner: u16,
    /// Whether it has the extended form.
    pub extended: bool,
    /// Whether it lies in the metabox.
    pub metabox: bool,
    /// Its xattrs.
    pub xattrs: Vec<Xattr>,
    /// What it holds.
    pub content: Content,
}

impl Node {
    fn new(path: &str, mode: u16, content: Content) -> Self {
        Self {
            path: path.into(),
            mode,
            owner: 0,
            extended: false,
            metabox: false,
            xattrs: Vec::new(),
            content,
        }
    }

    /// A directory whose last block is inline.
    #[must_use]
    pub fn dir(path: &str) -> Self {
        let content = Content::Directory {
            inline: true,
            dot_omitted: false,
        };
        Self::new(path, 0o04_0755, content)
    }

    /// A directory in blocks.
    #[must_use]
    pub fn plain_dir(path: &str) -> Self {
        let content = Content::Directory {
            inline: false,
            dot_omitted: false,
        };
        Self::new(path, 0o04_0755, content)
    }

    /// A file in consecutive blocks.
    #[must_use]
    pub fn plain(path: &str, bytes: &[u8]) -> Self {
        Self::new(path, 0o10_0644, Content::Plain(bytes.to_vec()))
    }

    /// A file whose last block is inline.
    #[must_use]
    pub fn inline(path: &str, bytes: &[u8]) -> Self {
        Self::new(path, 0o10_0644, Content::Inline(bytes.to_vec()))
    }

    /// An empty file.
    #[must_use]
    pub fn empty(path: &str) -> Self {
        Self::plain(path, b"")
    }

    /// A file that is one hole.
    #[must_use]
    pub fn hole(path: &str, size: u32) -> Self {
        Self::new(path, 0o10_0644, Content::Hole(size))
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(path: &str, target: &str) -> Self {
        let content = Content::Inline(target.as_bytes().to_vec());
        Self::new(path, 0o12_0777, content)
    }

    /// A device, a pipe or a socket, by the bits of its type.
    #[must_use]
    pub fn special(path: &str, mode: u16, number: u32) -> Self {
        Self::new(path, mode, Content::Special(number))
    }

    /// A further link to a file.
    #[must_use]
    pub fn link(path: &str, to: &'static str) -> Self {
        Self::new(path, 0, Content::Link(to))
    }

    /// A chunk-based file: `bits` says by how much a chunk is larger than a block, and each
    /// chunk has a device and a block counted from where the data of the file starts; a device
    /// of 0 is the image, `None` a hole. With `indexes` the table has 8 bytes for each.
    #[must_use]
    pub fn chunks(
        path: &str,
        size: u64,
        bits: u32,
        indexes: bool,
        chunks: Vec<Option<(u16, u32)>>,
        blocks: Vec<u8>,
    ) -> Self {
        let behind = move |first: u32| {
            let mut table = Vec::new();
            for chunk in &chunks {
                let (device, block) = match chunk {
                    Some((0, block)) => (0, first + block),
                    Some(other) => *other,
                    None => (0, u32::MAX),
                };
                if indexes {
                    table.extend(0_u16.to_le_bytes());
                    table.extend(device.to_le_bytes());
                }
                table.extend(block.to_le_bytes());
            }
            table
        };
        let content = Content::Table {
            layout: 4,
            size,
            union: Some(bits | u32::from(indexes) << 5),
            align: if indexes { 8 } else { 4 },
            behind: Box::new(behind),
            blocks,
        };
        Self::new(path, 0o10_0644, content)
    }

    /// A compressed file in the full layout (1) or the compact one (3), with its map.
    #[must_use]
    pub fn compressed(
        path: &str,
        layout: u16,
        size: u64,
        map: impl Fn(u32) -> Vec<u8> + 'static,
        blocks: Vec<u8>,
    ) -> Self {
        let content = Content::Table {
            layout,
            size,
            union: None,
            align: 8,
            behind: Box::new(map),
            blocks,
        };
        Self::new(path, 0o10_0644, content)
    }

    /// The same in the extended form.
    #[must_use]
    pub fn extended(mut self) -> Self {
        self.extended = true;
        self
    }

    /// The same in the metabox.
    #[must_use]
    pub fn in_metabox(mut self) -> Self {
        self.metabox = true;
        self
    }

    /// The same with xattrs.
    #[must_use]
    pub fn with(mut self, xattrs: Vec<Xattr>) -> Self {
        self.xattrs = xattrs;
        self
    }

    /// The same without the entry `.`.
    #[must_use]
    pub fn without_dot(mut self) -> Self {
        self.content = Content::Directory {
            inline: true,
            dot_omitted: true,
        };
        self
    }

    /// Whether a directory names it.
    pub(super) fn is_named(&self) -> bool {
        !self.path.is_empty() && !self.path.starts_with('#')
    }
}

/// An image that is to be written.
#[derive(Debug)]
pub struct Tree {
    /// Size of a block, as a power of two.
    pub block_bits: u8,
    /// Compatible features.
    pub compat: u32,
    /// Incompatible features.
    pub incompat: u32,
    /// What lies behind the superblock: compression configurations.
    pub configs: Vec<u8>,
    /// Devices: their blocks and where they start in the unified address space.
    pub devices: Vec<(u32, u32)>,
    /// Long xattr prefixes: the index of the short one, and what follows it.
    pub prefixes: Vec<(u8, &'static str)>,
    /// Fields of the superblock that do not follow from the rest.
    pub fields: Vec<(&'static str, u64)>,
    /// The inodes, in their order on disk. The first is the root, unless it is internal.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// An image of 512-byte blocks.
    #[must_use]
    pub fn new(nodes: Vec<Node>) -> Self {
        Self {
            block_bits: 9,
            compat: compat::SB_CHKSUM,
            incompat: 0,
            configs: Vec::new(),
            devices: Vec::new(),
            prefixes: Vec::new(),
            fields: Vec::new(),
            nodes,
        }
    }

    /// With these incompatible features.
    #[must_use]
    pub fn incompat(mut self, features: u32) -> Self {
        self.incompat |= features;
        self
    }

    /// With these compatible features.
    #[must_use]
    pub fn compat(mut self, features: u32) -> Self {
        self.compat |= features;
        self
    }

    /// With a field of the superblock set.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: u64) -> Self {
        self.fields.push((name, value));
        self
    }
}
