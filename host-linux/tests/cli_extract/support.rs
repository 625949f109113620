//! Images of known trees, the program, and listings that can be compared.

use core::sync::atomic::{AtomicU32, Ordering};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    FileExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::fs::{FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

/// A directory that is removed with its content. Other users may enter it.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        Self::inside(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    pub(crate) fn inside(parent: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("extract-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A mount that is undone.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    /// Mounts an EROFS image; `None` after saying why the test is skipped.
    pub(crate) fn image(image: &Path, at: PathBuf) -> Option<Self> {
        Self::new(&["-t", "erofs", "-o", "ro,loop"], image.as_os_str(), at)
            .or_else(|| skip("the right to mount an EROFS image"))
    }

    pub(crate) fn new(options: &[&str], what: &OsStr, at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let status = Command::new("mount")
            .args(options)
            .arg(what)
            .arg(&at)
            .stderr(Stdio::null())
            .status()
            .ok()?;
        status.success().then_some(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Says that a test is skipped.
pub(crate) fn skip<T>(need: &str) -> Option<T> {
    println!("skipped: needs {need}");
    None
}

/// Whether a tool is there; says so otherwise, and fails where it has to be.
pub(crate) fn has(tool: &str) -> bool {
    if Command::new(tool).arg("--version").output().is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("EROFS_UNPACK_REQUIRE_TOOLS").is_none(),
        "{tool} must be there"
    );
    println!("skipped: needs {tool}");
    false
}

/// Whether this is root; says so otherwise.
pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

/// An image of a tree.
pub(crate) fn image(tree: &Path, to: PathBuf, options: &[&str]) -> PathBuf {
    let output = Command::new("mkfs.erofs")
        .args(["--quiet", "-Enosbcrc"])
        .args(options)
        .args([&to, tree])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    to
}

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_erofs-unpack");

/// `erofs-unpack extract` with these arguments.
pub(crate) fn extract(arguments: &[&OsStr]) -> Output {
    Command::new(PROGRAM)
        .arg("extract")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// `erofs-unpack extract IMAGE -C DIR` with options, which must succeed; gives what was said.
pub(crate) fn extract_to(image: &Path, to: &Path, options: &[&str]) -> String {
    let output = extract_with(image, to, options);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

pub(crate) fn extract_with(image: &Path, to: &Path, options: &[&str]) -> Output {
    let mut arguments = vec![image.as_os_str(), OsStr::new("-C"), to.as_os_str()];
    arguments.extend(options.iter().map(OsStr::new));
    extract(&arguments)
}

/// What a program said on stderr.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Bytes, of which a message shows only the first.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.0.get(..40).unwrap_or(&self.0).escape_ascii();
        write!(f, "{} bytes: {shown}", self.0.len())
    }
}

/// Everything that can be seen of a file but its number and its times of access and change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: char,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    pub(crate) device: u64,
    /// Bytes of a file or the target of a link.
    pub(crate) content: Bytes,
    pub(crate) xattrs: BTreeMap<Bytes, Bytes>,
    /// The first path of the same file.
    pub(crate) first: PathBuf,
}

pub(crate) type Listing = BTreeMap<PathBuf, Seen>;

/// A whole tree, the root included.
pub(crate) fn list(root: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut first = HashMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(path) = waiting.pop() {
        let full = root.join(&path);
        let meta = fs::symlink_metadata(&full).unwrap();
        let kind = meta.file_type();
        let mut content = Vec::new();
        let letter = if kind.is_dir() {
            for entry in fs::read_dir(&full).unwrap() {
                waiting.push(path.join(entry.unwrap().file_name()));
            }
            // So that the first path of a file with several is that which comes first.
            waiting.sort_by(|one, other| other.cmp(one));
            'd'
        } else if kind.is_file() {
            content = fs::read(&full).unwrap();
            'f'
        } else if kind.is_symlink() {
            content = fs::read_link(&full)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec();
            'l'
        } else if kind.is_char_device() {
            'c'
        } else if kind.is_block_device() {
            'b'
        } else if kind.is_fifo() {
            'p'
        } else {
            's'
        };
        let number = (meta.dev(), meta.ino());
        let first: &PathBuf = first.entry(number).or_insert_with(|| path.clone());
        let seen = Seen {
            kind: letter,
            mode: meta.mode() & 0o7777,
            owner: (meta.uid(), meta.gid()),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            device: if matches!(letter, 'c' | 'b') {
                meta.rdev()
            } else {
                0
            },
            content: Bytes(content),
            xattrs: xattrs(&full),
            first: first.clone(),
        };
        listing.insert(path, seen);
    }
    listing
}

fn xattrs(path: &Path) -> BTreeMap<Bytes, Bytes> {
    let mut names = vec![0_u8; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut *names).unwrap_or(0);
    names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0_u8; 1 << 16];
            let length = rustix::fs::lgetxattr(path, name, &mut *value).unwrap();
            value.truncate(length);
            (Bytes(name.to_vec()), Bytes(value))
        })
        .collect()
}

/// Fails with the first difference of two trees.
pub(crate) fn assert_same(found: &Listing, expected: &Listing) {
    for (path, expected) in expected {
        let found = found.get(path);
        assert!(
            found == Some(expected),
            "{}: {found:?}, expected {expected:?}",
            path.display()
        );
    }
    let more: Vec<_> = found
        .keys()
        .filter(|path| !expected.contains_key(*path))
        .collect();
    assert!(more.is_empty(), "more than expected: {more:?}");
}

/// A tree with every kind of file that root can make.
pub(crate) fn make_everything(root: &Path) {
    let at = |name: &[u8]| root.join(OsStr::from_bytes(name));
    fs::create_dir_all(at(b"dir/deep/er")).unwrap();
    fs::create_dir_all(at(b"empty")).unwrap();
    fs::create_dir_all(at(b"read-only")).unwrap();
    fs::write(at(b"read-only/file"), "closed").unwrap();
    fs::create_dir_all(at(b"shared")).unwrap();
    for index in 0..300 {
        fs::write(
            at(format!("dir/deep/{index:03}").as_bytes()),
            format!("{index}"),
        )
        .unwrap();
    }
    fs::write(at(b"empty-file"), "").unwrap();
    fs::write(at(b"small"), "small").unwrap();
    fs::write(at(b"block"), vec![7; 4096]).unwrap();
    let mixed: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8 | 1).collect();
    fs::write(at(b"large"), &mixed).unwrap();
    fs::write(at(b"dir/deep/er/end"), &mixed[..70_001]).unwrap();
    let sparse = File::create(at(b"sparse")).unwrap();
    sparse.set_len(5 << 20).unwrap();
    sparse.write_all_at(&mixed[..10_000], 1 << 20).unwrap();
    sparse.write_all_at(b"end", (4 << 20) + 5).unwrap();
    fs::write(at(b"zeros"), vec![0; 1 << 20]).unwrap();
    fs::write(at(b"\xff\xfe not UTF-8"), "").unwrap();
    fs::write(at("Gr\u{fc}\u{df}e".as_bytes()), "").unwrap();
    fs::write(at(b"line\nfeed"), "").unwrap();
    fs::write(at(&[b'n'; 255]), "").unwrap();
    fs::write(at(b"-C"), "").unwrap();
    symlink("small", at(b"link")).unwrap();
    symlink("/nowhere", at(b"dangling")).unwrap();
    symlink("x/".repeat(1500), at(b"long-link")).unwrap();
    fs::hard_link(at(b"small"), at(b"dir/small-too")).unwrap();
    fs::hard_link(at(b"small"), at(b"small-three")).unwrap();
    fs::hard_link(at(b"large"), at(b"dir/deep/large-too")).unwrap();
    fs::hard_link(at(b"read-only/file"), at(b"shared/file")).unwrap();
    fs::hard_link(at(b"link"), at(b"dir/link-too")).unwrap();
    node(&at(b"null"), FileType::CharacterDevice, (1, 3));
    node(&at(b"disk"), FileType::BlockDevice, (4095, 1_000_000));
    node(&at(b"whiteout"), FileType::CharacterDevice, (0, 0));
    node(&at(b"pipe"), FileType::Fifo, (0, 0));
    node(&at(b"socket"), FileType::Socket, (0, 0));
    fs::hard_link(at(b"null"), at(b"dir/null-too")).unwrap();

    xattr(&at(b"small"), "user.one", b"1");
    xattr(&at(b"small"), "user.empty", b"");
    xattr(&at(b"small"), "trusted.two", &[0, 10, 61, 255]);
    xattr(&at(b"large"), "user.long", &mixed[..1500]);
    xattr(&at(b"large"), "user.a=%3D%b", b"=");
    xattr(&at(b"dir"), "trusted.overlay.opaque", b"y");
    xattr(&at(b"dir"), "user.dir", b"d");
    xattr(&at(b"link"), "trusted.link", b"l");
    xattr(&at(b"null"), "trusted.null", b"n");
    // VFS_CAP_REVISION_2 with CAP_NET_RAW.
    let mut capability = [0; 20];
    capability[3] = 2;
    capability[5] = 0x20;
    for path in [&b"shared"[..], b"block"] {
        xattr(&at(path), "system.posix_acl_access", &acl(0o5));
    }
    xattr(&at(b"shared"), "system.posix_acl_default", &acl(0o7));

    let owners = [
        (&b"small"[..], 1000, 1000),
        (b"dir", 3_000_000, 4_000_000_000),
        (b"link", 12, 34),
        (b"null", 0, 6),
        (b"large", 65534, 65534),
        (b"shared", 0, 50),
    ];
    for (path, uid, gid) in owners {
        rustix::fs::chownat(
            rustix::fs::CWD,
            at(path),
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }
    xattr(&at(b"large"), "security.capability", &capability);
    let modes = [
        (&b"small"[..], 0o4751),
        (b"empty-file", 0o000),
        (b"zeros", 0o2755),
        (b"empty", 0o1777),
        (b"read-only/file", 0o400),
        (b"read-only", 0o500),
        (b"shared", 0o2770),
        (b"pipe", 0o666),
        (b"null", 0o666),
        (b"disk", 0o4660),
        (b"", 0o711),
    ];
    for (path, mode) in modes {
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let times = [
        (&b"small"[..], 1_234_567_890, 123_456_789),
        (b"large", -1_000_000_000, 500_000_000),
        (b"dir", 10_000_000_000, 1),
        (b"link", 5, 0),
        (b"null", 0, 7),
        (b"empty", -1, 0),
        (b"", 1_000_000, 0),
    ];
    for (path, tv_sec, tv_nsec) in times {
        let time = Timespec { tv_sec, tv_nsec };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, at(path), &times, flags).unwrap();
    }
}

/// Makes a device, a pipe or a socket.
pub(crate) fn node(path: &Path, kind: FileType, (major, minor): (u32, u32)) {
    let device = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::from(0o644), device).unwrap();
}

pub(crate) fn xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// An ACL with an entry for user 1234.
pub(crate) fn acl(permissions: u16) -> Vec<u8> {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    let none = u32::MAX;
    for (tag, permissions, id) in [
        (1_u16, 7_u16, none),
        (2, permissions, 1234),
        (4, 5, none),
        (0x10, 7, none),
        (0x20, 0, none),
    ] {
        acl.extend_from_slice(&tag.to_le_bytes());
        acl.extend_from_slice(&permissions.to_le_bytes());
        acl.extend_from_slice(&id.to_le_bytes());
    }
    acl
}

/// Pipes bytes through a program, which must succeed.
pub(crate) fn pipe(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}
