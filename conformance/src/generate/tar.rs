//! tar archives (POSIX.1 pax, "ustar Interchange Format"), the same bytes on every machine.

/// The time of every entry: 14 November 2023, 22:13:20 UTC.
pub const TIME: u32 = 1_700_000_000;
/// Size of a header and of a block.
const BLOCK: usize = 512;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Dir,
    /// A file with this content.
    File(&'static [u8]),
    /// A symbolic link to this.
    Link(&'static str),
}

/// One entry of a stated tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path, without a leading slash.
    pub path: &'static str,
    /// Its permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: u32,
    /// What it is.
    pub node: Node,
}

impl Entry {
    /// A directory of root's, mode 0755.
    #[must_use]
    pub const fn dir(path: &'static str) -> Self {
        Self {
            path,
            mode: 0o755,
            owner: 0,
            node: Node::Dir,
        }
    }

    /// A file of root's, mode 0644.
    #[must_use]
    pub const fn file(path: &'static str, content: &'static [u8]) -> Self {
        Self {
            path,
            mode: 0o644,
            owner: 0,
            node: Node::File(content),
        }
    }

    /// A symbolic link of root's.
    #[must_use]
    pub const fn link(path: &'static str, to: &'static str) -> Self {
        Self {
            path,
            mode: 0o777,
            owner: 0,
            node: Node::Link(to),
        }
    }
}

/// An archive of these entries, in this order, ended by two blocks of zeros.
#[must_use]
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        tar.extend_from_slice(&header(entry));
        if let Node::File(content) = entry.node {
            tar.extend_from_slice(content);
            tar.resize(tar.len().next_multiple_of(BLOCK), 0);
        }
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

/// The header of an entry.
#[must_use]
pub fn header(entry: &Entry) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..][..bytes.len()].copy_from_slice(bytes);
    let (kind, size, link) = match entry.node {
        Node::Dir => (b'5', 0, ""),
        Node::File(content) => (b'0', content.len(), ""),
        Node::Link(to) => (b'2', 0, to),
    };
    put(0, entry.path.as_bytes());
    put(100, format!("{:07o}\0", entry.mode).as_bytes());
    put(108, format!("{:07o}\0", entry.owner).as_bytes());
    put(116, format!("{:07o}\0", entry.owner).as_bytes());
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{TIME:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
