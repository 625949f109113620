//! The trees that the images are made of, planted in a folder.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat,
    utimensat,
};

/// A tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// One entry of every kind, and xattrs of every kind.
    Kinds,
    /// A directory of several blocks.
    Names,
    /// Files whose content can be compressed, deduplicated and packed.
    Data,
}

/// Some time of files, in seconds since 1970.
const TIME: i64 = 1_700_000_000;

/// `system.posix_acl_access`: the owner, user 1000, the group, the mask, others.
const ACL: &[u8] = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x05\0\xe8\x03\0\0\
\x04\0\x05\0\xff\xff\xff\xff\x10\0\x05\0\xff\xff\xff\xff\x20\0\x01\0\xff\xff\xff\xff";
/// `security.capability`, revision 2: `cap_net_raw`, permitted and effective.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

impl Tree {
    /// Makes the tree in a new folder.
    ///
    /// # Errors
    ///
    /// When the file system or the rights of the process do not allow it.
    pub fn plant(self, folder: &Path) -> io::Result<()> {
        fs::create_dir(folder)?;
        match self {
            Self::Kinds => kinds(folder)?,
            Self::Names => names(folder)?,
            Self::Data => data(folder)?,
        }
        settle(folder)
    }
}

fn kinds(folder: &Path) -> io::Result<()> {
    let at = |name: &str| folder.join(name);
    fs::write(at("hello"), "hello from an image of the sieve\n")?;
    fs::hard_link(at("hello"), at("hard"))?;
    fs::write(at("empty"), "")?;
    fs::write(at("page"), text(4396))?;
    fs::write(at("shared-1"), "1")?;
    fs::write(at("shared-2"), "2")?;
    fs::create_dir(at("dir"))?;
    fs::write(at("dir/in"), text(100))?;
    fs::create_dir(at("dir/void"))?;
    symlink("dir/in", at("link"))?;
    symlink(format!("{}end", "far/".repeat(80)), at("long-link"))?;
    for (name, kind, mode, device) in [
        ("null", FileType::CharacterDevice, 0o666, makedev(1, 3)),
        ("whiteout", FileType::CharacterDevice, 0, 0),
        ("disk", FileType::BlockDevice, 0o660, makedev(259, 70_000)),
        ("pipe", FileType::Fifo, 0o600, 0),
        ("socket", FileType::Socket, 0o755, 0),
    ] {
        mknodat(CWD, at(name), kind, Mode::from_raw_mode(mode), device)?;
    }
    chown(at("page"), Some(1000), Some(70_000))?;
    chown(at("dir/in"), Some(500), Some(501))?;
    fs::set_permissions(at("dir/in"), fs::Permissions::from_mode(0o4711))?;
    for (name, xattr, value) in [
        ("hello", "user.one", &b"1"[..]),
        ("hello", "user.empty", b""),
        ("hello", "user.prefix.of.many.first", b"a value"),
        ("page", "user.prefix.of.many.second", b"another value"),
        ("page", "security.capability", CAPABILITY),
        ("shared-1", "user.shared", b"what several have"),
        ("shared-2", "user.shared", b"what several have"),
        ("dir", "user.shared", b"what several have"),
        ("dir", "trusted.overlay.opaque", b"y"),
        ("dir", "system.posix_acl_access", ACL),
        ("dir", "system.posix_acl_default", ACL),
    ] {
        lsetxattr(at(name), xattr, value, XattrFlags::empty())?;
    }
    Ok(())
}

fn names(folder: &Path) -> io::Result<()> {
    fs::create_dir(folder.join("names"))?;
    let first = folder.join("names").join("0");
    fs::write(&first, "one file with many names\n")?;
    for number in 1..40 {
        let width = if number % 10 == 0 {
            255
        } else {
            number * 3 % 97 + 20
        };
        let name = format!("{number:0width$}");
        fs::hard_link(&first, folder.join("names").join(name))?;
    }
    fs::create_dir(folder.join("names").join("a"))
}

fn data(folder: &Path) -> io::Result<()> {
    let at = |name: &str| folder.join(name);
    let long = text(24_000);
    fs::write(at("text"), &long)?;
    // The same in the middle, so that it can be deduplicated.
    let again = [b"not the same", &long[2_000..14_000], b"end"].concat();
    fs::write(at("again"), again)?;
    fs::write(at("zeros"), vec![0; 9_000])?;
    fs::write(at("noise"), noise(5_000))?;
    let mixed = [&noise(5_000)[..], &vec![0; 8_192], &long[..6_000]].concat();
    fs::write(at("mixed"), mixed)?;
    fs::write(at("small"), text(300))?;
    fs::write(at("tail"), text(4_300))
}

/// Sets the times of everything in a folder, the deepest first: each another one.
fn settle(folder: &Path) -> io::Result<()> {
    let mut names: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    names.sort();
    for (number, path) in (0_i64..).zip(&names) {
        if path.symlink_metadata()?.is_dir() {
            settle(path)?;
        }
        stamp(path, number)?;
    }
    stamp(folder, 0)
}

fn stamp(path: &Path, number: i64) -> io::Result<()> {
    let time = Timespec {
        tv_sec: TIME + number * 1000,
        tv_nsec: number * 1_000_001,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Bytes that can be compressed to about a third.
fn text(length: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "block ", "inode ", "layer ", "extent ", "cluster ", "of ", "the ", "map ", "name ",
        "where ", "lies ", "in ", "a ", "device ", "index ", "tail\n",
    ];
    let words = noise(length)
        .into_iter()
        .flat_map(|byte| WORDS[usize::from(byte >> 4)].bytes());
    words.take(length).collect()
}

/// Bytes that cannot be compressed, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
