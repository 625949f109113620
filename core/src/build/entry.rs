//! What a builder is told of one entry.

use crate::At;

/// One entry of an archive or a folder.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its path. Leading `/`, `.` and empty parts count for nothing; `..` is refused. Without any
    /// part it is the root.
    pub path: &'a [u8],
    /// What it is.
    pub kind: EntryKind<'a>,
    /// Permissions: the lower 12 bits of the mode.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change: seconds since 1970, and nanoseconds below a billion.
    pub mtime: (i64, u32),
    /// Extended attributes, each with its full name. The last of a name counts.
    pub xattrs: &'a [(alloc::vec::Vec<u8>, alloc::vec::Vec<u8>)],
    /// Where it stands in its source, for errors.
    pub at: At,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Where its data are, as offset and length, in order and apart; `None` when they are
        /// everywhere. The rest is zeros, and is not told as content.
        extents: Option<&'a [(u64, u64)]>,
    },
    /// A directory. One that is there already keeps what it names.
    Directory,
    /// A symbolic link to this target.
    Symlink(&'a [u8]),
    /// Another name for what this path names, now or when all has been told.
    HardLink(&'a [u8]),
    /// A character device with these numbers, major and minor.
    CharDevice(u32, u32),
    /// A block device with these numbers, major and minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}
