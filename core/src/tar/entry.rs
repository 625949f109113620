//! One member of an archive, as its headers describe it.

use alloc::vec::Vec;

use crate::Code;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// Another name of the member that [`Entry::link`] names. In a `pax` archive it may have
    /// content, which is then that of both.
    HardLink,
    /// A symbolic link to [`Entry::link`].
    Symlink,
    /// A character device with the numbers of [`Entry::device`].
    CharDevice,
    /// A block device with the numbers of [`Entry::device`].
    BlockDevice,
    /// A directory.
    Directory,
    /// A FIFO.
    Fifo,
}

/// One member of an archive.
///
/// Names are what is stored: nothing is taken off or resolved, they need not be UTF-8, and a
/// directory's ends with a slash in most archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name; never empty, and without a NUL.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// What a link leads to; not empty for a link, empty for all else.
    pub link: Vec<u8>,
    /// The permission bits, set-user-ID, set-group-ID and sticky bits: `0o7777` at most.
    pub mode: u16,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// When it was changed, in seconds since 1970 and nanoseconds (below 10^9) to be added.
    pub mtime: (i64, u32),
    /// How large the content is, in bytes, holes included.
    pub size: u64,
    /// Major and minor number of a device; zeros for all else.
    pub device: (u32, u32),
    /// The extended attributes, by their whole names (`user.a`), each once, in the order in which
    /// they are stored.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a sparse file, the offset and the length in bytes of what is no hole: in order, none empty,
    /// none next to the other, all within the size. `None` for what is stored whole.
    pub extents: Option<Vec<(u64, u64)>>,
    /// The name that a sparse file has for readers who know nothing of holes, when it is another.
    pub alias: Option<Vec<u8>>,
    /// Where the first of its headers starts in the archive.
    pub offset: u64,
    /// Where its last header starts in the archive, the one that says what it is.
    pub header: u64,
    /// Where its content starts in the archive: of a sparse file, the first piece, with the others
    /// right behind it.
    pub content: u64,
    /// How many bytes of content the archive holds: of a sparse file, the sum of its pieces.
    pub stored: u64,
    /// What is wrong with this member alone, for a reader of [`Reader::picking`], which else would have
    /// refused the archive. Its type and its content are then not to be relied on.
    ///
    /// [`Reader::picking`]: super::Reader::picking
    pub fault: Option<Code>,
}
