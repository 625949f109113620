//! How files of an image are printed: as lines of `ls -l`.

use crate::date::Date;
use erofs_unpack_core::erofs::{FileType, Inode};
use erofs_unpack_ops::reader::device;

/// Type and permissions in ten letters, as `ls -l` has them.
pub(in crate::command) fn mode_text(inode: &Inode) -> String {
    mode_letters(inode).map(char::from).iter().collect()
}

fn mode_letters(inode: &Inode) -> [u8; 10] {
    let kind = match inode.file_type {
        FileType::Regular => b'-',
        FileType::Directory => b'd',
        FileType::CharDevice => b'c',
        FileType::BlockDevice => b'b',
        FileType::Fifo => b'p',
        FileType::Socket => b's',
        FileType::Symlink => b'l',
    };
    let mode = inode.mode;
    let bit = |bit: u16, letter: u8| if mode & bit == 0 { b'-' } else { letter };
    let execute = |bit: u16, special: u16, letter: u8| match (mode & bit != 0, mode & special) {
        (true, 0) => b'x',
        (false, 0) => b'-',
        (true, _) => letter,
        (false, _) => letter.to_ascii_uppercase(),
    };
    [
        kind,
        bit(0o400, b'r'),
        bit(0o200, b'w'),
        execute(0o100, 0o4000, b's'),
        bit(0o040, b'r'),
        bit(0o020, b'w'),
        execute(0o010, 0o2000, b's'),
        bit(0o004, b'r'),
        bit(0o002, b'w'),
        execute(0o001, 0o1000, b't'),
    ]
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

/// Writes a line of a long listing up to the name, as `ls -ln --time-style=long-iso` has it with
/// the time in UTC, behind what there is.
pub(in crate::command) fn row(line: &mut Vec<u8>, inode: &Inode, has_acl: bool, widths: &Widths) {
    line.extend_from_slice(&mode_letters(inode));
    if widths.has_acl {
        line.push(if has_acl { b'+' } else { b' ' });
    }
    line.push(b' ');
    right(line, inode.nlink.into(), widths.nlink);
    line.push(b' ');
    right(line, inode.uid.into(), widths.uid);
    line.push(b' ');
    right(line, inode.gid.into(), widths.gid);
    line.push(b' ');
    match device(inode) {
        None => right(line, inode.size, widths.size),
        Some((major, minor)) => {
            let major_width = widths.size.saturating_sub(widths.minor + 2);
            right(line, major.into(), major_width);
            line.extend_from_slice(b", ");
            right(line, minor.into(), widths.minor);
        }
    }
    line.push(b' ');
    Date::of(inode.mtime).append_minute_to(line);
    line.push(b' ');
}

/// Writes a number in a column of this width, to the right.
fn right(line: &mut Vec<u8>, number: u64, width: usize) {
    // As many as the largest number has.
    let mut text = [b' '; 20];
    let mut left = number;
    let mut length = 0;
    for letter in text.iter_mut().rev() {
        *letter = b"0123456789"[(left % 10) as usize];
        left /= 10;
        length += 1;
        if left == 0 {
            break;
        }
    }
    line.resize(line.len() + width.saturating_sub(length), b' ');
    line.extend_from_slice(&text[text.len() - length..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right() {
        for (number, width) in [
            (0, 0),
            (0, 3),
            (7, 1),
            (10, 1),
            (1234, 9),
            (u64::MAX, 0),
            (u64::MAX, 25),
        ] {
            let mut line = b"|".to_vec();
            right(&mut line, number, width);
            assert_eq!(line, format!("|{number:>width$}").as_bytes());
        }
    }
}
