//! How files of an image are printed: as lines of `ls -l`.

use erofs_unpack_cli::date::Date;
use erofs_unpack_core::erofs::{FileType, Inode};
use erofs_unpack_ops::reader::device;

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
