//! Source trees that hold every kind of file, on a tmpfs of their own.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, makedev,
};

use crate::listing::{Listing, of_directory};
use crate::machine::{Mounted, Skip};

/// Which tree an image is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of everything, about 2000 files with 6 MB of content.
    Everything,
    /// 10,000 entries in one directory.
    Wide,
    /// A sparse file of more than 4 GiB.
    Huge,
    /// Whiteouts and opaque directories as aufs and tar layers have them.
    Whiteouts,
}

/// A tree in memory.
pub(crate) struct Tree {
    mount: Mounted,
    listing: OnceLock<Listing>,
}

impl Tree {
    /// A tree of this kind, shared by all who need it at the same time.
    pub(crate) fn get(kind: Kind) -> Result<Arc<Self>, Skip> {
        static TREES: Mutex<[Weak<Tree>; 4]> = Mutex::new([const { Weak::new() }; 4]);
        let mut trees = TREES.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut trees[kind as usize];
        if let Some(tree) = place.upgrade() {
            return Ok(tree);
        }
        let mount = Mounted::tmpfs()?;
        let root = mount.path().join("tree");
        fs::create_dir(&root).unwrap();
        let mut maker = Maker::new(root);
        match kind {
            Kind::Everything => maker.everything()?,
            Kind::Wide => maker.wide(),
            Kind::Huge => maker.huge(),
            Kind::Whiteouts => maker.whiteouts()?,
        }
        maker.set_times();
        let tree = Arc::new(Self {
            mount,
            listing: OnceLock::new(),
        });
        *place = Arc::downgrade(&tree);
        Ok(tree)
    }

    /// Its root.
    pub(crate) fn root(&self) -> PathBuf {
        self.mount.path().join("tree")
    }

    /// What is in it.
    pub(crate) fn listing(&self) -> &Listing {
        self.listing.get_or_init(|| of_directory(&self.root()))
    }
}

/// The bytes of a generator: they do not compress.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Words in no order: they compress to about a third.
pub(crate) fn text(seed: u64, length: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "layer", "block", "inode", "chunk", "digest", "extent", "image", "xattr", "mount", "page",
        "cluster", "fragment", "tail", "index", "root", "zero",
    ];
    let mut bytes = Vec::with_capacity(length + 16);
    for byte in noise(seed, length / 3 + 1) {
        bytes.extend(WORDS[usize::from(byte & 15)].as_bytes());
        bytes.push(if byte > 240 { b'\n' } else { b' ' });
    }
    bytes.truncate(length);
    bytes
}

/// Makes the files of a tree.
pub(crate) struct Maker {
    root: PathBuf,
    /// The times of files that have some of their own; those of others are made from their
    /// place in the list.
    times: Vec<(PathBuf, i64, i64)>,
}

impl Maker {
    fn new(root: PathBuf) -> Self {
        Self {
            root,
            times: Vec::new(),
        }
    }

    pub(crate) fn path(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(name.as_ref()))
    }

    pub(crate) fn dir(&self, name: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        path
    }

    pub(crate) fn file(&self, name: impl AsRef<[u8]>, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn node(
        &self,
        name: &str,
        file_type: FileType,
        mode: u32,
        major: u32,
        minor: u32,
    ) -> PathBuf {
        let path = self.path(name);
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::mknodat(CWD, &path, file_type, mode, makedev(major, minor)).unwrap();
        path
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::chmodat(CWD, self.path(name), mode, AtFlags::empty()).unwrap();
    }

    pub(crate) fn owner(&self, name: &str, uid: u32, gid: u32) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(CWD, self.path(name), Some(uid), Some(gid), flags).unwrap();
    }

    pub(crate) fn xattr(&self, name: &str, key: &str, value: &[u8]) -> Result<(), Skip> {
        rustix::fs::lsetxattr(self.path(name), key, value, XattrFlags::empty())
            .map_err(|error| Skip(format!("a tmpfs that takes the xattr {key} ({error})")))
    }

    pub(crate) fn time(&mut self, name: &str, seconds: i64, nanoseconds: i64) {
        self.times.push((self.path(name), seconds, nanoseconds));
    }

    fn wide(&self) {
        self.dir("wide");
        let target = self.file("target", b"all of them");
        for number in 0..10_000 {
            let path = self.path(format!("wide/entry-{number}"));
            if number % 100 == 0 {
                fs::write(path, format!("{number}")).unwrap();
            } else {
                fs::hard_link(&target, path).unwrap();
            }
        }
    }

    fn huge(&self) {
        const FOUR: u64 = 1 << 32;
        let file = File::create(self.path("huge")).unwrap();
        file.set_len(FOUR + (5 << 20) + 3).unwrap();
        for (offset, bytes) in [
            (0, &noise(40, 5_000)[..]),
            (FOUR - 2, b"over"),
            (FOUR + (5 << 20), b"end"),
        ] {
            file.write_all_at(bytes, offset).unwrap();
        }
        self.file("small", b"beside it");
    }

    fn whiteouts(&self) -> Result<(), Skip> {
        self.dir("gone");
        self.file("gone/.wh.file", b"");
        self.file("gone/kept", &text(50, 3_000));
        self.dir("opaque");
        self.file("opaque/.wh..wh..opq", b"");
        self.file("opaque/new", &noise(51, 6_000));
        self.dir("overlay");
        self.node("overlay/gone", FileType::CharacterDevice, 0, 0, 0);
        self.dir("overlay/opaque");
        self.xattr("overlay/opaque", "trusted.overlay.opaque", b"y")
    }

    /// Gives every file a time, directories after what they hold.
    fn set_times(self) {
        let mut all = Vec::new();
        collect(&self.root, &mut all);
        for (number, path) in (0..).zip(&all) {
            set_time(
                path,
                1_650_000_000 + number,
                number * 1_000_003 % 1_000_000_000,
            );
        }
        for (path, seconds, nanoseconds) in &self.times {
            set_time(path, *seconds, *nanoseconds);
        }
    }
}

/// All paths below one, and that one last.
fn collect(path: &Path, all: &mut Vec<PathBuf>) {
    if fs::symlink_metadata(path).unwrap().is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for entry in entries {
            collect(&entry, all);
        }
    }
    all.push(path.to_owned());
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
