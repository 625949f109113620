//! The tree of an image that is being made: inodes, and directories that name them.
//!
//! An entry whose path is there already replaces what is there, whatever either is; only a directory
//! that comes again keeps what it names. What is replaced is not named any more, and what is
//! not named when all has been told is not in the image.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::sparse::Sparse;
use super::xattrs::{NO_SET, Xattrs};
use crate::erofs::FileType;
use crate::{At, Code, Error, Limits, Value};

/// The root's number among inodes and among directories.
pub(super) const ROOT: u32 = 0;
/// What an inode takes in memory, in bytes, with what is kept of it when the tree is laid out.
const INODE: u64 = 160;
/// What a name takes beside its bytes.
const NAMED: u64 = 80;
/// What other bytes take that are kept by themselves, beside them.
pub(super) const KEPT: u64 = 48;
/// Longest name (`EROFS_NAME_LEN`).
const NAME: usize = 255;

/// What a name in a directory leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    pub(super) inode: u32,
    /// Whether the name of lower layers is covered: a whiteout, alone or beside an entry.
    pub(super) whited_out: bool,
}

/// What a directory has beside its inode.
#[derive(Debug)]
pub(super) struct Directory {
    /// The directory above it, by the number of its inode.
    pub(super) parent: u32,
    pub(super) children: BTreeMap<Box<[u8]>, Child>,
    /// Whether the same directory in lower layers is covered.
    pub(super) opaque: bool,
    /// How deep it lies; the root has 0.
    pub(super) depth: u32,
}

/// What an inode is, and what that needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A file whose data start at this byte of the image; of one with a tail, its place in the spool.
    File { start: u64, tail: Option<u64> },
    /// A file in chunks: its number among them, and where its data start.
    Sparse { number: u32, start: u64 },
    /// A directory, by its number among them.
    Directory(u32),
    /// A symbolic link, by its number among the targets.
    Symlink(u32),
    /// A device with this number, as `new_encode_dev` has it; for a whiteout 0.
    Device(u32),
    /// A pipe or a socket.
    Nothing,
    /// A hard link to what has not come yet, by its number among these.
    Pending(u32),
}

/// An inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inode {
    /// Type and permissions.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime_ns: u32,
    pub(super) mtime: i64,
    /// Size of a file in bytes.
    pub(super) size: u64,
    /// Digest of a file's data, as they came.
    pub(super) digest: u64,
    /// The set of its xattrs.
    pub(super) xattrs: u32,
    /// Filled in when the tree is laid out.
    pub(super) nlink: u32,
    pub(super) slot: u32,
    pub(super) body: Body,
}

/// A hard link that came before what it leads to.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) target: Box<[u8]>,
    pub(super) at: At,
}

/// All that is known of the tree.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) inodes: Vec<Inode>,
    pub(super) directories: Vec<Directory>,
    pub(super) targets: Vec<Box<[u8]>>,
    pub(super) sparse: Vec<Sparse>,
    pub(super) pending: Vec<Pending>,
    pub(super) xattrs: Xattrs,
    /// An upper bound of the memory that is taken, in bytes.
    memory: u64,
    /// Whether an entry or an implied directory has been told yet: the first gives the root its time.
    pub(super) is_begun: bool,
    limits: Limits,
}

/// What all inodes have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: (i64, u32),
    pub(super) xattrs: u32,
}

impl Attributes {
    /// Those of a directory that is only implied: root's, mode 0755.
    pub(super) const fn implied(mtime: (i64, u32)) -> Self {
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: NO_SET,
        }
    }
}

impl Tree {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut tree = Self {
            inodes: Vec::new(),
            directories: Vec::new(),
            targets: Vec::new(),
            sparse: Vec::new(),
            pending: Vec::new(),
            xattrs: Xattrs::new(),
            is_begun: false,
            memory: 0,
            limits: *limits,
        };
        tree.directories.push(Directory {
            parent: ROOT,
            children: BTreeMap::new(),
            opaque: false,
            depth: 0,
        });
        tree.inodes.push(inode(
            FileType::Directory,
            Attributes::implied((0, 0)),
            0,
            Body::Directory(ROOT),
        ));
        tree
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn inode(&self, number: u32) -> Option<&Inode> {
        self.inodes.get(usize::try_from(number).ok()?)
    }

    pub(super) fn inode_mut(&mut self, number: u32) -> Option<&mut Inode> {
        self.inodes.get_mut(usize::try_from(number).ok()?)
    }

    /// The directory that an inode is, if it is one.
    pub(super) fn directory(&self, inode: u32) -> Option<&Directory> {
        let Body::Directory(number) = self.inode(inode)?.body else {
            return None;
        };
        self.directories.get(usize::try_from(number).ok()?)
    }

    pub(super) fn directory_mut(&mut self, inode: u32) -> Option<&mut Directory> {
        let Body::Directory(number) = self.inode(inode)?.body else {
            return None;
        };
        self.directories.get_mut(usize::try_from(number).ok()?)
    }

    /// A file in chunks.
    pub(super) fn sparse_file(&self, number: u32) -> Option<&Sparse> {
        self.sparse.get(usize::try_from(number).ok()?)
    }

    /// What a directory names.
    pub(super) fn child(&self, directory: u32, name: &[u8]) -> Option<Child> {
        self.directory(directory)?.children.get(name).copied()
    }

    /// Counts memory that an entry takes.
    ///
    /// # Errors
    ///
    /// [`Code::BuildMemory`] when it is more in all than the limit.
    pub(super) fn charge(&mut self, bytes: u64, at: At) -> Result<(), Error> {
        self.memory = self.memory.saturating_add(bytes);
        if self.memory <= self.limits.build_memory {
            return Ok(());
        }
        Err(Error::new(Code::BuildMemory, at)
            .found(Value::Number(self.memory))
            .expected(Value::AtMost(self.limits.build_memory)))
    }

    /// A new inode, not named yet.
    pub(super) fn add(
        &mut self,
        file_type: FileType,
        attributes: Attributes,
        size: u64,
        body: Body,
        at: At,
    ) -> Result<u32, Error> {
        let number = self.inodes.len();
        if number as u64 >= self.limits.inodes {
            return Err(Error::new(Code::InodeLimit, at)
                .found(Value::AtLeast(self.limits.inodes.saturating_add(1)))
                .expected(Value::AtMost(self.limits.inodes)));
        }
        let number = u32::try_from(number).map_err(|_| Error::new(Code::InodeLimit, at))?;
        self.charge(INODE, at)?;
        reserve(&mut self.inodes, at)?;
        self.inodes.push(inode(file_type, attributes, size, body));
        Ok(number)
    }

    /// A new directory, not named yet.
    pub(super) fn add_directory(
        &mut self,
        parent: u32,
        attributes: Attributes,
        opaque: bool,
        at: At,
    ) -> Result<u32, Error> {
        let depth = self
            .directory(parent)
            .map_or(0, |above| above.depth)
            .saturating_add(1);
        if depth > self.limits.directory_depth {
            return Err(Error::new(Code::DirectoryDepth, at)
                .found(Value::Number(depth.into()))
                .expected(Value::AtMost(self.limits.directory_depth.into())));
        }
        let number =
            u32::try_from(self.directories.len()).map_err(|_| Error::new(Code::InodeLimit, at))?;
        reserve(&mut self.directories, at)?;
        let inode = self.add(
            FileType::Directory,
            attributes,
            0,
            Body::Directory(number),
            at,
        )?;
        self.directories.push(Directory {
            parent,
            children: BTreeMap::new(),
            opaque,
            depth,
        });
        Ok(inode)
    }

    /// Names an inode in a directory, in place of what had the name.
    pub(super) fn name(
        &mut self,
        directory: u32,
        name: &[u8],
        child: Child,
        at: At,
    ) -> Result<(), Error> {
        if name.len() > NAME {
            return Err(Error::new(Code::BuildName, at)
                .found(Value::Number(name.len() as u64))
                .expected(Value::AtMost(NAME as u64)));
        }
        self.charge(NAMED.saturating_add(name.len() as u64), at)?;
        let most = self.limits.directory_entries;
        if let Some(directory) = self.directory_mut(directory) {
            if let Some(there) = directory.children.get_mut(name) {
                *there = child;
                return Ok(());
            }
            if directory.children.len() as u64 >= most {
                return Err(Error::new(Code::DirectoryEntries, at)
                    .found(Value::AtLeast(most.saturating_add(1)))
                    .expected(Value::AtMost(most)));
            }
            directory.children.insert(name.into(), child);
        }
        Ok(())
    }

    /// A target of a symbolic link.
    pub(super) fn add_target(&mut self, target: &[u8], at: At) -> Result<u32, Error> {
        let most = self.limits.symlink_length;
        if target.len() as u64 > most.into() {
            return Err(Error::new(Code::SymlinkLength, at)
                .found(Value::Number(target.len() as u64))
                .expected(Value::AtMost(most.into())));
        }
        if target.is_empty() || target.contains(&0) {
            return Err(Error::new(Code::BuildTarget, at));
        }
        self.charge(KEPT.saturating_add(target.len() as u64), at)?;
        let number =
            u32::try_from(self.targets.len()).map_err(|_| Error::new(Code::InodeLimit, at))?;
        reserve(&mut self.targets, at)?;
        self.targets.push(target.into());
        Ok(number)
    }

    /// The target of an inode that is a symbolic link.
    pub(super) fn target(&self, inode: u32) -> Option<&[u8]> {
        let Body::Symlink(number) = self.inode(inode)?.body else {
            return None;
        };
        Some(self.targets.get(usize::try_from(number).ok()?)?)
    }
}

const fn inode(file_type: FileType, attributes: Attributes, size: u64, body: Body) -> Inode {
    Inode {
        mode: file_type.mode() | (attributes.mode & 0o7777),
        uid: attributes.uid,
        gid: attributes.gid,
        mtime: attributes.mtime.0,
        mtime_ns: attributes.mtime.1,
        size,
        digest: 0,
        xattrs: attributes.xattrs,
        nlink: 0,
        slot: u32::MAX,
        body,
    }
}

/// Room for one more.
pub(super) fn reserve<T>(list: &mut Vec<T>, at: At) -> Result<(), Error> {
    list.try_reserve(1)
        .map_err(|_| Error::new(Code::MetadataMemory, at))
}
