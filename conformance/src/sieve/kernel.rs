//! The kernel's answer: the mount of the file, and everything in it read.
//!
//! Only a process that can be thrown away may ask: a damaged image may hang whoever reads it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{lgetxattr, llistxattr, major, minor};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde::{Deserialize, Serialize};

use super::listing::{self, Listing, Node};

/// Most entries that are looked at: directories may form a loop.
const ENTRIES: usize = 20_000;
/// How deep the walk goes.
const DEPTH: usize = 64;

/// What the kernel says of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// What failed first, as the call and the error's number; none when everything was read.
    pub refused: Option<String>,
    /// Where that was, and in words what the error was.
    pub place: Option<String>,
    /// Whether it was not asked: see [`spare`].
    #[serde(default)]
    pub spared: bool,
    /// Whether it said that it does not support something.
    pub unsupported: bool,
    /// The digest of the tree.
    pub tree: Option<String>,
    /// The tree, when it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listing: Vec<String>,
}

/// Whether the kernel must not be asked about what we refuse, because it would not survive it.
///
/// Linux 6.18 reads the metabox inode without a look at what it is: where that is a socket, the
/// mount of an image whose root lies in the metabox calls a null pointer (`erofs_bread` by
/// `erofs_read_inode`). The rule `inode-internal` refuses such images.
#[must_use]
pub fn spare(refused: &[String]) -> Option<Kernel> {
    let would_crash = refused.iter().any(|id| id == "inode-internal");
    would_crash.then(|| Kernel {
        refused: Some("not asked".to_owned()),
        spared: true,
        ..Kernel::default()
    })
}

/// The version of the running kernel: its first two numbers.
///
/// # Errors
///
/// When it cannot be read.
pub fn version() -> io::Result<(u32, u32)> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    Ok((numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
}

/// Mounts an image on a folder, reads all of it, and unmounts it.
///
/// # Errors
///
/// When the mount cannot be undone.
pub fn run(image: &Path, folder: &Path, with_listing: bool) -> io::Result<Kernel> {
    let mut kernel = Kernel::default();
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOEXEC;
    if let Err(error) = mount(image, folder, "erofs", flags, None) {
        kernel.refuse("mount", &error.into(), "");
        return Ok(kernel);
    }
    let mut walk = Walk {
        listing: Listing::default(),
        kernel: &mut kernel,
    };
    walk.visit(folder, &[], 0);
    let listing = walk.listing;
    unmount(folder, UnmountFlags::empty())?;
    kernel.tree = listing.digest();
    if with_listing {
        kernel.listing = listing.lines();
    }
    Ok(kernel)
}

impl Kernel {
    fn refuse(&mut self, call: &str, error: &io::Error, path: &str) {
        let errno = error.raw_os_error();
        let number = errno.map_or_else(|| "no number".to_owned(), |errno| errno.to_string());
        let unsupported = errno == Some(Errno::OPNOTSUPP.raw_os_error());
        if self.refused.is_none() || self.unsupported && !unsupported {
            self.refused = Some(format!("{call} {number}"));
            self.place = Some(format!("{call} {path}: {error}"));
            self.unsupported = unsupported;
        }
    }
}

struct Walk<'a> {
    listing: Listing,
    kernel: &'a mut Kernel,
}

impl Walk<'_> {
    fn fail(&mut self, call: &str, error: &io::Error, path: &[u8]) {
        let path = format!("/{}", path.escape_ascii());
        self.kernel.refuse(call, error, &path);
        self.listing.fail(|| format!("{call} {path}"));
    }

    /// Takes note of what lies at `place`, and of what lies below it.
    fn visit(&mut self, place: &Path, path: &[u8], depth: usize) {
        if self.listing.nodes.len() >= ENTRIES || depth > DEPTH {
            self.fail("walk", &io::Error::other("there is no end to it"), path);
            return;
        }
        let metadata = match place.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) => return self.fail("lstat", &error, path),
        };
        let device = metadata.rdev();
        let mut node = Node {
            path: path.to_vec(),
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: metadata.size(),
            mtime: metadata.mtime(),
            mtime_ns: u32::try_from(metadata.mtime_nsec()).unwrap_or(u32::MAX),
            nlink: metadata.nlink(),
            device: (major(device), minor(device)),
            ..Node::default()
        };
        self.xattrs(place, &mut node);
        if metadata.is_symlink() {
            match fs::read_link(place) {
                Ok(target) => node.target = Some(target.into_os_string().into_vec()),
                Err(error) => self.fail("readlink", &error, path),
            }
        }
        if metadata.is_file() {
            match content(place, metadata.size()) {
                Ok(digest) => node.content = Some(digest),
                Err(error) => self.fail("read", &error, path),
            }
        }
        self.listing.nodes.push(node);
        if metadata.is_dir() {
            self.descend(place, path, depth);
        }
    }

    fn descend(&mut self, place: &Path, path: &[u8], depth: usize) {
        let entries = match fs::read_dir(place) {
            Ok(entries) => entries,
            Err(error) => return self.fail("open", &error, path),
        };
        for entry in entries {
            let name = match entry {
                Ok(entry) => entry.file_name(),
                Err(error) => {
                    self.fail("getdents", &error, path);
                    break;
                }
            };
            if self.listing.nodes.len() >= ENTRIES {
                break;
            }
            let mut below = path.to_vec();
            if !below.is_empty() {
                below.push(b'/');
            }
            below.extend_from_slice(name.as_bytes());
            self.visit(&place.join(&name), &below, depth + 1);
        }
    }

    fn xattrs(&mut self, place: &Path, node: &mut Node) {
        let mut buf = vec![0; 65_536];
        let length = match llistxattr(place, &mut buf[..]) {
            Ok(length) => length,
            Err(error) => return self.fail("listxattr", &error.into(), &node.path),
        };
        let names = buf[..length].to_vec();
        for name in names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            match lgetxattr(place, OsStr::from_bytes(name), &mut buf[..]) {
                Ok(length) => {
                    node.xattrs.insert(name.to_vec(), buf[..length].to_vec());
                }
                Err(error) => self.fail("getxattr", &error.into(), &node.path),
            }
        }
    }
}

fn content(place: &Path, size: u64) -> io::Result<String> {
    let file = File::open(place)?;
    listing::digest(size, |offset, buf| file.read_exact_at(buf, offset))
}
