//! Everything that can be seen of a tree: in a folder, and in an image by our own reader.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{Data, FileType, Image, Inode};
use erofs_unpack_ops::image_file::FileAt;

use crate::common::{content, sha256};

/// What can be seen of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Type and permissions.
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, u32),
    pub(crate) nlink: u64,
    /// Zero for directories: how long their list of names is, is a matter of the file system.
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    /// SHA-256 of what is in a file.
    pub(crate) content: String,
    /// What a symbolic link leads to.
    pub(crate) target: Text,
    pub(crate) xattrs: BTreeMap<Text, Text>,
    /// The first path of the same file.
    pub(crate) first: Text,
}

/// Bytes that a message shows as text.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Text(pub(crate) Vec<u8>);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// A tree by its paths; that of the root is empty.
pub(crate) type Tree = BTreeMap<Text, Seen>;

/// Fails with the first differences of two trees.
#[track_caller]
pub(crate) fn assert_same(found: &Tree, expected: &Tree) {
    let mut said = Vec::new();
    for path in found.keys().chain(expected.keys()) {
        let (found, expected) = (found.get(path), expected.get(path));
        if found != expected {
            said.push(format!("{path:?}:\n  {found:?}\n  expected {expected:?}"));
        }
    }
    said.truncate(5);
    assert!(said.is_empty(), "{}", said.join("\n"));
}

/// What a folder holds, as the kernel shows it.
pub(crate) fn of_folder(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut inodes = HashMap::new();
    let mut waiting = vec![Vec::new()];
    while let Some(path) = waiting.pop() {
        let full = match path.is_empty() {
            true => root.to_owned(),
            false => root.join(std::ffi::OsStr::from_bytes(&path)),
        };
        let meta = fs::symlink_metadata(&full).unwrap();
        let kind = meta.mode() & 0o17_0000;
        let mut seen = Seen {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            mtime: (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap()),
            nlink: meta.nlink(),
            size: meta.size(),
            xattrs: xattrs(&full),
            ..Seen::default()
        };
        match kind {
            0o10_0000 => seen.content = sha256(&content(&full)),
            0o12_0000 => {
                let target = fs::read_link(&full).unwrap();
                seen.target = Text(target.as_os_str().as_bytes().to_vec());
            }
            0o04_0000 => {
                seen.size = 0;
                for name in fs::read_dir(&full).unwrap() {
                    let name = name.unwrap().file_name();
                    waiting.push(below(&path, name.as_bytes()));
                }
            }
            0o02_0000 | 0o06_0000 => {
                let device = meta.rdev();
                seen.device = (rustix::fs::major(device), rustix::fs::minor(device));
            }
            _ => {}
        }
        inodes.insert(Text(path.clone()), meta.ino());
        tree.insert(Text(path), seen);
    }
    grouped(tree, &inodes)
}

fn below(path: &[u8], name: &[u8]) -> Vec<u8> {
    match path.is_empty() {
        true => name.to_vec(),
        false => [path, b"/", name].concat(),
    }
}

/// Sets the first path of each inode.
fn grouped(mut tree: Tree, inodes: &HashMap<Text, u64>) -> Tree {
    let mut first = HashMap::new();
    for (path, seen) in &mut tree {
        let first = first.entry(inodes[path]).or_insert_with(|| path.clone());
        seen.first = first.clone();
    }
    tree
}

fn xattrs(path: &Path) -> BTreeMap<Text, Text> {
    let mut buffer = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut buffer[..]).unwrap();
    let names = buffer[..length].split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 1 << 16];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            value.truncate(length);
            (Text(name.to_vec()), Text(value))
        })
        .collect()
}

/// What an image holds, as our reader shows it.
pub(crate) fn of_image(path: &Path) -> Tree {
    let (file, size) = FileAt::open(path).unwrap();
    let image = Image::open(file, size, &Limits::DEFAULT).unwrap();
    let mut tree = Tree::new();
    let mut inodes = HashMap::new();
    let mut walk = image.walk().unwrap();
    while let Some(visit) = walk.next().unwrap() {
        let path = Text(visit.path.to_vec());
        inodes.insert(path.clone(), visit.inode.nid);
        tree.insert(path, of_inode(&image, &visit.inode));
    }
    grouped(tree, &inodes)
}

fn of_inode(image: &Image<FileAt>, inode: &Inode) -> Seen {
    let mut seen = Seen {
        mode: inode.mode.into(),
        owner: (inode.uid, inode.gid),
        mtime: (inode.mtime, inode.mtime_ns),
        nlink: inode.nlink.into(),
        size: inode.size,
        ..Seen::default()
    };
    match inode.file_type {
        FileType::Regular => {
            let mut all = vec![0; usize::try_from(inode.size).unwrap()];
            assert_eq!(image.read(inode, 0, &mut all).unwrap(), all.len());
            seen.content = sha256(&all);
        }
        FileType::Symlink => seen.target = Text(image.read_link(inode).unwrap()),
        FileType::Directory => seen.size = 0,
        _ => {}
    }
    if let Data::Device(major, minor) = inode.data {
        seen.device = (major, minor);
    }
    let mut xattrs = image.xattrs(inode).unwrap();
    while let Some(xattr) = xattrs.next().unwrap() {
        let (name, value) = (Text(xattr.name.to_vec()), Text(xattr.value.to_vec()));
        seen.xattrs.insert(name, value);
    }
    seen
}
