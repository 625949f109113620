//! How files of an image are shown: as lines of `ls -l`, and as JSON.

use erofs_unpack_core::erofs::{Data, FileType, Inode};
use serde::Serialize;

use crate::date::Date;
use crate::escape::Escaped;

/// A file of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::command) struct FileReport {
    /// Its type, in a word.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Permissions, in octal digits.
    mode: String,
    nlink: u32,
    uid: u32,
    gid: u32,
    size: u64,
    /// Seconds since 1970, and nanoseconds.
    mtime: i64,
    mtime_ns: u32,
    nid: u64,
    /// Major and minor number of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<[u32; 2]>,
    /// Target of a symbolic link, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl FileReport {
    pub(in crate::command) fn of(inode: &Inode, target: Option<&[u8]>) -> Self {
        Self {
            kind: match inode.file_type {
                FileType::Regular => "file",
                FileType::Directory => "directory",
                FileType::CharDevice => "char-device",
                FileType::BlockDevice => "block-device",
                FileType::Fifo => "fifo",
                FileType::Socket => "socket",
                FileType::Symlink => "symlink",
            },
            mode: format!("{:04o}", inode.mode & 0o7777),
            nlink: inode.nlink,
            uid: inode.uid,
            gid: inode.gid,
            size: inode.size,
            mtime: inode.mtime,
            mtime_ns: inode.mtime_ns,
            nid: inode.nid,
            device: device(inode).map(|(major, minor)| [major, minor]),
            target: target.map(|target| Escaped::name(target).to_string()),
        }
    }
}

/// Major and minor number of a device.
pub(in crate::command) const fn device(inode: &Inode) -> Option<(u32, u32)> {
    match inode.data {
        Data::Device(major, minor) => Some((major, minor)),
        _ => None,
    }
}

/// Type and permissions in ten letters, as `ls -l` has them.
pub(in crate::command) fn mode_text(inode: &Inode) -> String {
    let kind = match inode.file_type {
        FileType::Regular => '-',
        FileType::Directory => 'd',
        FileType::CharDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::Symlink => 'l',
    };
    let mode = inode.mode;
    let bit = |bit: u16, letter: char| if mode & bit == 0 { '-' } else { letter };
    let execute = |bit: u16, special: u16, letter: char| match (mode & bit != 0, mode & special) {
        (true, 0) => 'x',
        (false, 0) => '-',
        (true, _) => letter,
        (false, _) => letter.to_ascii_uppercase(),
    };
    [
        kind,
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        execute(0o100, 0o4000, 's'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        execute(0o010, 0o2000, 's'),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        execute(0o001, 0o1000, 't'),
    ]
    .iter()
    .collect()
}

/// How wide the columns of a long listing are.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::command) struct Widths {
    nlink: usize,
    uid: usize,
    gid: usize,
    size: usize,
    major: usize,
    minor: usize,
    /// Whether a file has an access control list, so that there is a column for its sign.
    has_acl: bool,
}

impl Widths {
    /// Makes room for a file.
    pub(in crate::command) fn add(&mut self, inode: &Inode, has_acl: bool) {
        let widen = |width: &mut usize, number: u64| *width = (*width).max(digits(number));
        widen(&mut self.nlink, inode.nlink.into());
        widen(&mut self.uid, inode.uid.into());
        widen(&mut self.gid, inode.gid.into());
        match device(inode) {
            None => widen(&mut self.size, inode.size),
            Some((major, minor)) => {
                widen(&mut self.major, major.into());
                widen(&mut self.minor, minor.into());
                self.size = self.size.max(self.major + 2 + self.minor);
            }
        }
        self.has_acl |= has_acl;
    }
}

/// Decimal digits of a number.
const fn digits(number: u64) -> usize {
    match number.checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 1,
    }
}

/// A line of a long listing up to the name, as `ls -ln --time-style=long-iso` has it with the
/// time in UTC.
pub(in crate::command) fn row(inode: &Inode, has_acl: bool, widths: &Widths) -> String {
    let Widths {
        nlink, uid, gid, ..
    } = *widths;
    let size = widths.size;
    let acl = match (widths.has_acl, has_acl) {
        (false, _) => "",
        (true, false) => " ",
        (true, true) => "+",
    };
    let bytes = match device(inode) {
        None => format!("{:>size$}", inode.size),
        Some((major, minor)) => {
            let major_width = size.saturating_sub(widths.minor + 2);
            format!(
                "{major:>major_width$}, {minor:>width$}",
                width = widths.minor
            )
        }
    };
    format!(
        "{}{acl} {:>nlink$} {:>uid$} {:>gid$} {bytes} {}",
        mode_text(inode),
        inode.nlink,
        inode.uid,
        inode.gid,
        Date::of(inode.mtime).to_minute(),
    )
}
