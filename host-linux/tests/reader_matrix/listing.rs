//! Everything that can be seen of a tree, in a form that can be compared, and the kernel's view
//! of one.

use core::fmt;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use erofs_unpack_core::oci::{Algorithm, Hasher};

/// Bytes, of which a message shows only the first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..60).unwrap_or(&self.0).escape_ascii();
        write!(f, "{}'{shown}'", self.0.len())
    }
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// SHA-256 of a regular file's bytes, or why they cannot be read.
    File(Result<String, Unreadable>),
    /// The target of a symbolic link.
    Link(Result<Bytes, Unreadable>),
    /// SHA-256 over the names of a directory in their order, and how many there are. Either way
    /// `.` and `..` are left out.
    Directory(Result<(usize, String), Unreadable>),
    /// Major and minor number of a device.
    Device(u32, u32),
    /// A pipe or a socket.
    Nothing,
}

/// Something that gives an error. What is said of it is shown and not compared.
#[derive(Clone)]
pub(crate) struct Unreadable(pub(crate) String);

impl fmt::Debug for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unreadable ({})", self.0)
    }
}

impl PartialEq for Unreadable {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Unreadable {}

/// A file of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) mtime: (i64, u32),
    pub(crate) nlink: u64,
    /// The first path, in the order of bytes, that leads to the same inode.
    pub(crate) first: Bytes,
    pub(crate) xattrs: Result<BTreeMap<Bytes, Bytes>, Unreadable>,
    pub(crate) content: Content,
}

impl Entry {
    fn is_unreadable(&self) -> bool {
        self.xattrs.is_err()
            || matches!(
                self.content,
                Content::File(Err(_)) | Content::Link(Err(_)) | Content::Directory(Err(_))
            )
    }
}

/// A tree: by path without a leading slash, the root with an empty one.
#[derive(Debug, Default)]
pub(crate) struct Listing(pub(crate) BTreeMap<Bytes, Result<Entry, Unreadable>>);

impl Listing {
    /// How many files give an error.
    pub(crate) fn unreadable(&self) -> usize {
        let files = self.0.values();
        files
            .filter(|file| file.as_ref().map_or(true, Entry::is_unreadable))
            .count()
    }

    /// Sets the first path of each inode. `inodes` are the numbers of the paths.
    pub(crate) fn group(&mut self, inodes: &HashMap<Bytes, u64>) {
        let mut first = HashMap::new();
        for (path, entry) in &mut self.0 {
            if let (Ok(entry), Some(inode)) = (entry, inodes.get(path)) {
                entry.first = first.entry(*inode).or_insert_with(|| path.clone()).clone();
            }
        }
    }

    /// The differences to another one, a few lines each; empty when there are none.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut all = Vec::new();
        for path in self.0.keys().chain(other.0.keys()) {
            let (one, two) = (self.0.get(path), other.0.get(path));
            if one == two || (one.is_some() && two.is_none() && all.len() > 20) {
                continue;
            }
            let difference = format!("{path:?}:\n    {one:?}\n    {two:?}");
            if !all.contains(&difference) {
                all.push(difference);
            }
        }
        all
    }
}

/// SHA-256 in pieces, with long runs of zeros counted rather than hashed. The same bytes in the
/// same pieces give the same sum.
pub(crate) struct Sum {
    hasher: Hasher,
    zeros: u64,
}

impl Sum {
    pub(crate) fn new() -> Self {
        Self {
            hasher: Hasher::new(Algorithm::Sha256),
            zeros: 0,
        }
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        const ZEROS: [u8; 4096] = [0; 4096];
        for piece in bytes.chunks(ZEROS.len()) {
            if *piece == ZEROS {
                self.zeros += ZEROS.len() as u64;
            } else {
                self.count_zeros();
                self.hasher.update(piece);
            }
        }
    }

    fn count_zeros(&mut self) {
        if self.zeros > 0 {
            self.hasher
                .update(format!("{} zeros", self.zeros).as_bytes());
            self.zeros = 0;
        }
    }

    pub(crate) fn finish(mut self) -> String {
        self.count_zeros();
        self.hasher.finish().to_string()
    }
}

/// A tree as the kernel shows it.
pub(crate) fn of_directory(root: &Path) -> Listing {
    let mut listing = Listing::default();
    let mut inodes = HashMap::new();
    let mut sums = HashMap::new();
    let mut waiting = vec![Vec::new()];
    while let Some(path) = waiting.pop() {
        let full = if path.is_empty() {
            root.to_owned()
        } else {
            root.join(std::ffi::OsStr::from_bytes(&path))
        };
        let entry = entry(&full, &path, &mut sums, &mut waiting);
        if let Ok((_, inode)) = &entry {
            inodes.insert(Bytes(path.clone()), *inode);
        }
        listing.0.insert(Bytes(path), entry.map(|(entry, _)| entry));
    }
    listing.group(&inodes);
    listing
}

/// One file, and its inode's number. What a directory holds is added to `waiting`.
fn entry(
    full: &Path,
    path: &[u8],
    sums: &mut HashMap<u64, Result<String, Unreadable>>,
    waiting: &mut Vec<Vec<u8>>,
) -> Result<(Entry, u64), Unreadable> {
    // In a damaged image directories may form a loop.
    if path.len() > 4000 {
        return Err(Unreadable("deeper than any path".into()));
    }
    let meta = fs::symlink_metadata(full).map_err(unreadable)?;
    let content = match meta.mode() & 0o17_0000 {
        0o10_0000 => Content::File(
            sums.entry(meta.ino())
                .or_insert_with(|| sum_of(full).map_err(unreadable))
                .clone(),
        ),
        0o12_0000 => Content::Link(
            fs::read_link(full)
                .map(|target| Bytes(target.as_os_str().as_bytes().to_vec()))
                .map_err(unreadable),
        ),
        0o04_0000 => Content::Directory(directory(full, path, waiting)),
        0o02_0000 | 0o06_0000 => Content::Device(
            rustix::fs::major(meta.rdev()),
            rustix::fs::minor(meta.rdev()),
        ),
        _ => Content::Nothing,
    };
    let entry = Entry {
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        size: meta.size(),
        mtime: (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap()),
        nlink: meta.nlink(),
        first: Bytes(Vec::new()),
        xattrs: xattrs(full).map_err(|error| unreadable(error.into())),
        content,
    };
    Ok((entry, meta.ino()))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: std::io::Error) -> Unreadable {
    Unreadable(error.to_string())
}

fn sum_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut sum = Sum::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum.finish()),
            read => sum.add(&buffer[..read]),
        }
    }
}

/// The names of a directory, in the kernel's order.
fn directory(
    full: &Path,
    path: &[u8],
    waiting: &mut Vec<Vec<u8>>,
) -> Result<(usize, String), Unreadable> {
    let mut sum = Sum::new();
    let mut count = 0;
    for found in fs::read_dir(full).map_err(unreadable)? {
        let name = found.map_err(unreadable)?.file_name();
        sum.add(name.as_bytes());
        sum.add(b"\0");
        count += 1;
        let mut below = path.to_vec();
        if !below.is_empty() {
            below.push(b'/');
        }
        below.extend(name.as_bytes());
        waiting.push(below);
    }
    Ok((count, sum.finish()))
}

fn xattrs(path: &Path) -> Result<BTreeMap<Bytes, Bytes>, rustix::io::Errno> {
    let mut buffer = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut buffer[..])?;
    let mut found = BTreeMap::new();
    for name in buffer[..length].split(|byte| *byte == 0) {
        if name.is_empty() {
            continue;
        }
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, name, &mut value[..])?;
        value.truncate(length);
        let twice = found.insert(Bytes(name.to_vec()), Bytes(value));
        assert!(twice.is_none(), "{} is listed twice", name.escape_ascii());
    }
    Ok(found)
}
