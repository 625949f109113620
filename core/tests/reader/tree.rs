//! A folder with one of everything, and whether an image shows the same.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use erofs_unpack_core::erofs::{Data, FileType, Image, Inode, ReadAt};
use rustix::fs::{
    AtFlags, CWD, FileType as Type, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chownat,
    lgetxattr, llistxattr, lsetxattr, mknodat, utimensat,
};

/// A file that is read at random.
pub(crate) struct Source(pub(crate) File);

impl ReadAt for Source {
    type Error = io::Error;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

/// A folder that goes away with the value.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // In memory where there is such a place: a disk makes ten thousand files slowly.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = base.join(format!("erofs-reader-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Content that differs from block to block.
pub(crate) fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as u8
        })
        .collect()
}

fn xattr(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap_or_else(|error| {
        panic!("{}: {name}: {error}", path.display());
    });
}

fn time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A POSIX ACL as xattrs hold it: version 2, then tag, permissions and id of each entry.
fn acl() -> Vec<u8> {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    let no_id = u32::MAX;
    for (tag, permissions, id) in [
        (0x01_u16, 6_u16, no_id),
        (0x02, 4, 1000),
        (0x04, 4, no_id),
        (0x10, 4, no_id),
        (0x20, 4, no_id),
    ] {
        acl.extend(tag.to_le_bytes());
        acl.extend(permissions.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    acl
}

/// Makes the tree, or says why it cannot be made.
pub(crate) fn make(root: &Path) -> Result<(), &'static str> {
    fs::create_dir(root).unwrap();
    let node = |name: &str, kind, device| {
        let path = root.join(name);
        mknodat(CWD, &path, kind, Mode::from_raw_mode(0o640), device).map(|()| path)
    };
    let device = rustix::fs::makedev(5, 1);
    if node("char", Type::CharacterDevice, device).is_err() {
        return Err("the right to make devices");
    }
    let device = rustix::fs::makedev(259, 300_000);
    node("block", Type::BlockDevice, device).unwrap();
    node("fifo", Type::Fifo, 0).unwrap();
    node("socket", Type::Socket, 0).unwrap();

    let sizes = root.join("sizes");
    fs::create_dir(&sizes).unwrap();
    for size in [
        0_usize, 1, 100, 511, 512, 513, 4095, 4096, 4097, 10_000, 70_000, 300_001,
    ] {
        let path = sizes.join(format!("{size}"));
        fs::write(path, pattern(size, size as u32)).unwrap();
    }
    fs::hard_link(sizes.join("10000"), root.join("hard link")).unwrap();
    fs::hard_link(sizes.join("100"), sizes.join("another")).unwrap();

    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.write_all_at(&pattern(5000, 1), 1 << 20).unwrap();
    sparse.set_len(3 << 20).unwrap();
    let hole = File::create(root.join("hole")).unwrap();
    hole.set_len(1 << 20).unwrap();

    let many = root.join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..10_000 {
        let name = format!("{number:x}{}", "-long".repeat(number % 9));
        File::create(many.join(name)).unwrap();
    }

    let names = root.join("names");
    fs::create_dir(&names).unwrap();
    for name in [
        &[b'n'; 255][..],
        b"\xff\xfe bytes\n",
        b" ",
        b"!before the dot",
        b"\x01",
    ] {
        fs::write(names.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let mut deep = names.join("deep");
    for level in 0..30 {
        fs::create_dir(&deep).unwrap();
        deep = deep.join(format!("{level}"));
    }
    fs::create_dir(root.join("empty")).unwrap();

    for (name, length) in [("a", 1), ("b", 60), ("c", 600), ("d", 3900), ("e", 4095)] {
        let target = format!("{}x", "y/".repeat(length / 2));
        let link = root.join(format!("link {name}"));
        std::os::unix::fs::symlink(&target[..length], link).unwrap();
    }

    owners_and_times(root);
    xattrs(root);
    Ok(())
}

fn owners_and_times(root: &Path) {
    let own = |name: &str, uid, gid| {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        chownat(CWD, root.join(name), Some(uid), Some(gid), flags).unwrap();
    };
    own("sizes/1", 70_000, 1_000_000);
    own("sizes/100", 65_535, 65_536);
    own("link a", 1000, 1000);
    own("empty", 12, 4_000_000_000);
    let mode = |name: &str, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(root.join(name), mode).unwrap();
    };
    mode("sizes/4096", 0o4755);
    mode("sizes/4097", 0o2750);
    mode("empty", 0o1777);
    mode("sizes/1", 0);
    time(&root.join("sizes/1"), -2, 500_000_000);
    time(&root.join("sizes/100"), -1_000_000_000, 1);
    time(&root.join("sizes/512"), 0, 0);
    time(&root.join("sizes/513"), 1_234_567_890, 987_654_321);
    time(&root.join("sizes/4095"), 1 << 32, 999_999_999);
    time(&root.join("link b"), 86_400, 5);
    time(&root.join("empty"), -1, 999_999_999);
}

fn xattrs(root: &Path) {
    let file = root.join("sizes/4096");
    xattr(&file, "user.mime_type", b"text/plain");
    xattr(&file, "user.empty", b"");
    xattr(&file, "user.binary", &[0, 1, 255, 0]);
    xattr(&file, "user.large", &pattern(3000, 7));
    xattr(&file, "trusted.overlay.origin", b"\0\xfb");
    xattr(
        &file,
        "security.capability",
        &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    for number in 0..40 {
        let value = pattern(number, 9);
        xattr(
            &root.join("sizes/10000"),
            &format!("user.prefix.of.many.{number}"),
            &value,
        );
    }
    // The same on several, so that they are shared.
    for size in [511, 512, 513, 4095, 70_000] {
        let path = root.join(format!("sizes/{size}"));
        xattr(&path, "user.prefix.of.many.common", b"the same everywhere");
        xattr(&path, "security.common", b"system_u:object_r:etc_t:s0\0");
    }
    xattr(&root.join("empty"), "trusted.overlay.opaque", b"y");
    xattr(
        &root.join("names"),
        "trusted.overlay.redirect",
        b"/elsewhere",
    );
    xattr(&root.join("link c"), "trusted.on.a.link", b"1");
    xattr(&root.join("sizes/4097"), "system.posix_acl_access", &acl());
    xattr(&root.join("names"), "system.posix_acl_default", &acl());
}

/// What an image is known to show otherwise than the folder that it was made from.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    /// The time of all files, when they were given one.
    pub(crate) time: Option<i64>,
    /// It was made from a tar archive, which has no sockets.
    pub(crate) from_tar: bool,
}

/// Compares all that an image shows with the folder that it was made from, and gives the number
/// of files.
pub(crate) fn compare<R: ReadAt>(image: &Image<R>, root: &Path, known: Known) -> usize
where
    R::Error: core::fmt::Debug,
{
    let mut walk = image.walk().unwrap();
    let mut seen = 0;
    let mut nids = BTreeMap::new();
    while let Some(visit) = walk.next().unwrap() {
        let path = root.join(OsStr::from_bytes(visit.path));
        let found = fs::symlink_metadata(&path).unwrap();
        compare_inode(&visit.inode, &found, &path, known);
        if let Some(kind) = visit.entry_type {
            assert_eq!(kind, visit.inode.file_type, "{}", path.display());
        }
        // Links to one inode stay links to one inode.
        let nid = *nids.entry(found.ino()).or_insert(visit.inode.nid);
        assert_eq!(nid, visit.inode.nid, "{}", path.display());
        compare_xattrs(image, &visit.inode, &path);
        match visit.inode.file_type {
            FileType::Regular => compare_content(image, &visit.inode, &path),
            FileType::Symlink => assert_eq!(
                image.read_link(&visit.inode).unwrap(),
                fs::read_link(&path).unwrap().as_os_str().as_bytes()
            ),
            _ => {}
        }
        // Of ten thousand names in one directory, enough for each of its blocks.
        if seen % 8 == 0 || !visit.path.starts_with(b"many/") {
            assert_eq!(image.resolve(visit.path).unwrap(), Some(visit.inode));
            let absent = [visit.path, b"\x7f"].concat();
            assert_eq!(image.resolve(&absent).unwrap(), None);
        }
        seen += 1;
    }
    assert_eq!(seen, count(root, known), "files");
    seen
}

fn count(path: &Path, known: Known) -> usize {
    let metadata = fs::symlink_metadata(path).unwrap();
    if known.from_tar && metadata.mode() & 0o17_0000 == 0o14_0000 {
        return 0;
    }
    if !metadata.is_dir() {
        return 1;
    }
    let below = fs::read_dir(path).unwrap();
    1 + below
        .map(|entry| count(&entry.unwrap().path(), known))
        .sum::<usize>()
}

fn compare_inode(inode: &Inode, found: &Metadata, path: &Path, known: Known) {
    let name = path.display();
    assert_eq!(u32::from(inode.mode), found.mode(), "{name}: mode");
    assert_eq!((inode.uid, inode.gid), (found.uid(), found.gid()), "{name}");
    assert_eq!(u64::from(inode.nlink), found.nlink(), "{name}: links");
    match known.time {
        Some(time) => assert_eq!((inode.mtime, inode.mtime_ns), (time, 0), "{name}"),
        // mkfs.erofs makes compact inodes where only the nanoseconds differ from the image's.
        // With 48-bit addresses it does so for times beyond 32 bits, too, and cuts them off; the
        // kernel shows the same.
        None if !inode.is_extended => {
            assert_eq!(inode.mtime as u32, found.mtime() as u32, "{name}: time");
        }
        None => assert_eq!(
            (inode.mtime, i64::from(inode.mtime_ns)),
            (found.mtime(), found.mtime_nsec()),
            "{name}: time"
        ),
    }
    if matches!(inode.file_type, FileType::Regular | FileType::Symlink) {
        assert_eq!(inode.size, found.size(), "{name}: size");
    }
    if let Data::Device(major, minor) = inode.data {
        let expected = (
            rustix::fs::major(found.rdev()),
            rustix::fs::minor(found.rdev()),
        );
        assert_eq!((major, minor), expected, "{name}: device");
    }
}

fn compare_xattrs<R: ReadAt>(image: &Image<R>, inode: &Inode, path: &Path)
where
    R::Error: core::fmt::Debug,
{
    let mut list = vec![0; 1 << 16];
    let length = llistxattr(path, &mut list[..]).unwrap();
    let mut expected = BTreeMap::new();
    for name in list[..length].split(|byte| *byte == 0) {
        if name.is_empty() {
            continue;
        }
        let mut value = vec![0; 1 << 16];
        let length = lgetxattr(path, name, &mut value[..]).unwrap();
        value.truncate(length);
        expected.insert(name.to_vec(), value);
    }
    let mut xattrs = image.xattrs(inode).unwrap();
    let mut found = BTreeMap::new();
    while let Some(xattr) = xattrs.next().unwrap() {
        found.insert(xattr.name.to_vec(), xattr.value.to_vec());
    }
    assert_eq!(found, expected, "{}: xattrs", path.display());
    for (name, value) in &expected {
        assert_eq!(image.xattr(inode, name).unwrap().as_ref(), Some(value));
        let absent = [name, &b"."[..]].concat();
        assert_eq!(image.xattr(inode, &absent).unwrap(), None);
    }
}

fn compare_content<R: ReadAt>(image: &Image<R>, inode: &Inode, path: &Path)
where
    R::Error: core::fmt::Debug,
{
    let file = File::open(path).unwrap();
    let mut offset = 0;
    while offset < inode.size {
        let mut expected = vec![0; (1 << 17).min((inode.size - offset) as usize)];
        file.read_exact_at(&mut expected, offset).unwrap();
        let mut found = vec![0xee; 1 << 17];
        let read = image.read(inode, offset, &mut found).unwrap();
        assert!(found[..read] == expected, "{}: {offset}", path.display());
        offset += read as u64;
    }
}
