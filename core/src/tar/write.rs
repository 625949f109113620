//! One member's headers, as POSIX.1-2017 `pax` says ("ustar Interchange Format", "pax
//! Interchange Format").

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::ops::Range;

use super::header::{field, sum};
use super::{BLOCK, EntryKind};

/// Largest numbers of the fields of 8 and 12 bytes.
const MAX_8: u64 = 0o7_777_777;
const MAX_12: u64 = 0o77_777_777_777;
/// Lengths of the fields for names.
const NAME: usize = 100;
const PREFIX: usize = 155;

/// What headers say of a member, besides its extended attributes.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The name, with a slash at its end for a directory, without NULs.
    pub path: &'a [u8],
    /// What it is.
    pub kind: EntryKind,
    /// What a link refers to, without NULs.
    pub link: &'a [u8],
    /// The permission bits, set-user-ID, set-group-ID and sticky bits; more is left out.
    pub mode: u16,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// How many bytes of content follow.
    pub size: u64,
    /// Seconds since 1970, and nanoseconds (below 10^9) to be added.
    pub mtime: (i64, u32),
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

/// Writes the headers of members, one after another.
///
/// What a ustar header has no room for goes into a `pax` header. The content of a member, what fills its
/// last block up ([`pad`]), and the two blocks of zeros at the end of the archive are the caller's.
///
/// ```
/// use erofs_unpack_core::tar::{BLOCK, EntryKind, Headers, Member, pad};
///
/// let member = Member {
///     path: b"hello",
///     kind: EntryKind::File,
///     link: b"",
///     mode: 0o644,
///     uid: 0,
///     gid: 0,
///     size: 5,
///     mtime: (0, 0),
///     device: (0, 0),
/// };
/// let mut archive = Vec::new();
/// let mut headers = Headers::default();
/// headers.add_xattr(b"user.greeting", b"yes");
/// headers.write(&member, &mut archive);
/// archive.extend_from_slice(b"hello");
/// pad(&mut archive);
/// archive.extend_from_slice(&[0; 2 * BLOCK]);
/// ```
#[derive(Debug, Default)]
pub struct Headers {
    /// The records of the next member's extended header.
    records: Vec<u8>,
}

impl Headers {
    /// Forgets the extended attributes that were added for a member that is then not written.
    pub fn clear(&mut self) {
        self.records.clear();
    }

    /// Adds an extended attribute of the next member, in the form that star and GNU tar use. Like GNU
    /// tar it writes an equals sign in the name as `%3D`, and `%25` for a percent sign where it could
    /// be taken for the start of that.
    pub fn add_xattr(&mut self, name: &[u8], value: &[u8]) {
        let mut key = b"SCHILY.xattr.".to_vec();
        for (index, byte) in name.iter().enumerate() {
            let rest = name.get(index..).unwrap_or_default();
            match byte {
                b'=' => key.extend_from_slice(b"%3D"),
                b'%' if rest.starts_with(b"%3D") || rest.starts_with(b"%25") => {
                    key.extend_from_slice(b"%25");
                }
                byte => key.push(*byte),
            }
        }
        self.add(&key, value);
    }

    /// Writes the extended header of a member, if it needs one, and its header.
    pub fn write(&mut self, member: &Member<'_>, out: &mut Vec<u8>) {
        self.add_member(member);
        if !self.records.is_empty() {
            let name = member.path.strip_suffix(b"/").unwrap_or(member.path);
            let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
            let mut path = b"PaxHeaders/".to_vec();
            let ascii = name.iter().filter(|byte| byte.is_ascii_graphic());
            path.extend(ascii.take(NAME.saturating_sub(path.len())));
            let header = Member {
                path: &path,
                kind: EntryKind::File,
                link: b"",
                mode: 0o644,
                uid: 0,
                gid: 0,
                size: u64::try_from(self.records.len()).unwrap_or(u64::MAX),
                mtime: (0, 0),
                device: (0, 0),
            };
            out.extend_from_slice(&ustar(&header, b'x'));
            out.extend_from_slice(&self.records);
            pad(out);
        }
        let kind = match member.kind {
            EntryKind::File => b'0',
            EntryKind::HardLink => b'1',
            EntryKind::Symlink => b'2',
            EntryKind::CharDevice => b'3',
            EntryKind::BlockDevice => b'4',
            EntryKind::Directory => b'5',
            EntryKind::Fifo => b'6',
        };
        out.extend_from_slice(&ustar(member, kind));
        self.records.clear();
    }

    /// Adds a record.
    fn add(&mut self, key: &[u8], value: &[u8]) {
        // A space, an equals sign and a line feed; the length counts its own digits.
        let rest = key.len().saturating_add(value.len()).saturating_add(3);
        let mut length = rest.saturating_add(1);
        while length != rest.saturating_add(digits(length)) {
            length = rest.saturating_add(digits(length));
        }
        let records = &mut self.records;
        records.extend_from_slice(length.to_string().as_bytes());
        records.push(b' ');
        records.extend_from_slice(key);
        records.push(b'=');
        records.extend_from_slice(value);
        records.push(b'\n');
    }

    /// Adds what of a member does not fit its header.
    fn add_member(&mut self, member: &Member<'_>) {
        // A record's text is UTF-8, so other names stay in the header as long as they fit.
        let is_text = |name: &[u8]| !name.is_ascii() && str::from_utf8(name).is_ok();
        let long_path = split(member.path).is_none() || is_text(member.path);
        let long_link = member.link.len() > NAME || is_text(member.link);
        if long_path {
            self.add(b"path", member.path);
        }
        if long_link {
            self.add(b"linkpath", member.link);
        }
        if member.size > MAX_12 {
            self.add(b"size", member.size.to_string().as_bytes());
        }
        let (major, minor) = member.device;
        for (key, number) in [
            (&b"uid"[..], member.uid),
            (b"gid", member.gid),
            (b"SCHILY.devmajor", major),
            (b"SCHILY.devminor", minor),
        ] {
            if u64::from(number) > MAX_8 {
                self.add(key, number.to_string().as_bytes());
            }
        }
        let (seconds, nanoseconds) = member.mtime;
        let fits = u64::try_from(seconds).is_ok_and(|seconds| seconds <= MAX_12);
        if !fits || nanoseconds != 0 {
            self.add(b"mtime", time(seconds, nanoseconds).as_bytes());
        }
    }
}

/// Fills the last block up.
pub fn pad(out: &mut Vec<u8>) {
    let padded = out.len().checked_next_multiple_of(BLOCK);
    out.resize(padded.unwrap_or(out.len()), 0);
}

/// Number of decimal digits.
fn digits(number: usize) -> usize {
    let log = number.checked_ilog10().unwrap_or(0);
    usize::try_from(log).unwrap_or(0).saturating_add(1)
}

/// A time as a decimal number.
fn time(seconds: i64, nanoseconds: u32) -> String {
    let (sign, seconds, nanoseconds) = match (seconds < 0, nanoseconds) {
        (false, _) => ("", seconds.unsigned_abs(), nanoseconds),
        (true, 0) => ("-", seconds.unsigned_abs(), 0),
        // The fraction counts upwards from the second before.
        (true, _) => (
            "-",
            seconds.unsigned_abs().saturating_sub(1),
            1_000_000_000_u32.saturating_sub(nanoseconds),
        ),
    };
    if nanoseconds == 0 {
        return format!("{sign}{seconds}");
    }
    let mut text = format!("{sign}{seconds}.{nanoseconds:09}");
    let length = text.trim_end_matches('0').len();
    text.truncate(length);
    text
}

/// A path as the fields prefix and name, or `None` when it does not fit them.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME {
        return Some((b"", path));
    }
    // The name is never empty, so the slash at the end of a directory's path does not count.
    let earliest = path.len().checked_sub(NAME.saturating_add(1))?;
    let latest = path.len().checked_sub(2)?.min(PREFIX);
    let at = (earliest..=latest).find(|at| path.get(*at) == Some(&b'/'))?;
    Some((path.get(..at)?, path.get(at.checked_add(1)?..)?))
}

/// A header block. What does not fit is cut off or zero: an extended header says it.
fn ustar(member: &Member<'_>, kind: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let cut = member.path.get(..NAME).unwrap_or(member.path);
    let (prefix, name) = split(member.path).unwrap_or((b"", cut));
    let within = |number: u64, most| if number <= most { number } else { 0 };
    let seconds = u64::try_from(member.mtime.0).unwrap_or(0);
    let (major, minor) = member.device;
    text(&mut block, field::NAME, name);
    octal(&mut block, field::MODE, u64::from(member.mode & 0o7777));
    octal(&mut block, field::UID, within(member.uid.into(), MAX_8));
    octal(&mut block, field::GID, within(member.gid.into(), MAX_8));
    octal(&mut block, field::SIZE, within(member.size, MAX_12));
    octal(&mut block, field::MTIME, within(seconds, MAX_12));
    text(&mut block, field::CHECKSUM, b"        ");
    text(&mut block, field::TYPE..field::LINK.start, &[kind]);
    text(&mut block, field::LINK, member.link);
    text(&mut block, field::MAGIC, b"ustar\x0000");
    octal(&mut block, field::MAJOR, within(major.into(), MAX_8));
    octal(&mut block, field::MINOR, within(minor.into(), MAX_8));
    text(&mut block, field::PREFIX, prefix);
    // Six digits, a NUL, and the space that is there.
    let sum = u64::from(sum(&block));
    let end = field::CHECKSUM.end.saturating_sub(1);
    octal(&mut block, field::CHECKSUM.start..end, sum);
    block
}

/// Puts bytes into a field, as far as they fit.
fn text(block: &mut [u8; BLOCK], place: Range<usize>, bytes: &[u8]) {
    let field = block.get_mut(place).unwrap_or_default();
    field
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
}

/// Puts an octal number with a NUL behind it into a field.
fn octal(block: &mut [u8; BLOCK], place: Range<usize>, number: u64) {
    let field = block.get_mut(place).unwrap_or_default();
    let Some((end, digits)) = field.split_last_mut() else {
        return;
    };
    *end = 0;
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' | u8::try_from(rest & 7).unwrap_or(0);
        rest >>= 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(path: &[u8]) -> Member<'_> {
        Member {
            path,
            kind: EntryKind::File,
            link: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: (0, 0),
            device: (0, 0),
        }
    }

    fn records(member: &Member<'_>) -> String {
        let mut headers = Headers::default();
        headers.add_member(member);
        String::from_utf8_lossy(&headers.records).into_owned()
    }

    #[test]
    fn a_length_counts_itself() {
        let mut headers = Headers::default();
        for length in 0..2000 {
            headers.clear();
            headers.add(b"k", &std::vec![b'v'; length]);
            let text = str::from_utf8(&headers.records).unwrap();
            let (number, _) = text.split_once(' ').unwrap();
            assert_eq!(number.parse(), Ok(text.len()));
        }
    }

    #[test]
    fn only_what_does_not_fit_is_extended() {
        let mut fits = member(b"a");
        (fits.uid, fits.size) = (0o7_777_777, 0o77_777_777_777);
        fits.mtime = (0o77_777_777_777, 0);
        fits.device = (0o7_777_777, 0);
        assert_eq!(records(&fits), "");
        let mut large = fits;
        (large.gid, large.size) = (0o10_000_000, 0o100_000_000_000);
        large.mtime = (-2, 500_000_000);
        large.device = (1, 0o10_000_000);
        assert_eq!(
            records(&large),
            "19 size=8589934592\n15 gid=2097152\n27 SCHILY.devminor=2097152\n14 mtime=-1.5\n"
        );
        assert_eq!(records(&member("é".as_bytes())), "11 path=é\n");
        assert_eq!(records(&member(b"\xff")), "");
    }

    #[test]
    fn times() {
        assert_eq!(time(0, 1), "0.000000001");
        assert_eq!(time(-1, 0), "-1");
        assert_eq!(time(-1, 999_999_999), "-0.000000001");
        assert_eq!(time(-1, 100_000_000), "-0.9");
        assert_eq!(time(i64::MIN, 0), "-9223372036854775808");
        assert_eq!(time(7, 120_000_000), "7.12");
        assert_eq!(time(100, 0), "100");
    }

    #[test]
    fn paths_are_split_where_they_can_be() {
        let name = [b'n'; 100];
        assert_eq!(split(&name), Some((&b""[..], &name[..])));
        let long = [&b"p/"[..], &name].concat();
        assert_eq!(split(&long), Some((&b"p"[..], &name[..])));
        assert_eq!(split(&[b'n'; 101]), None);
        let directory = [&[b'n'; 100][..], b"/"].concat();
        assert_eq!(split(&directory), None);
        let most = [&[b'p'; 155][..], b"/", &name].concat();
        assert_eq!(split(&most), Some((&[b'p'; 155][..], &name[..])));
        assert_eq!(split(&[&b"p"[..], &most].concat()), None);
    }

    #[test]
    fn xattr_names_keep_their_ends() {
        let mut headers = Headers::default();
        headers.add_xattr(b"user.a=%b%3D", b"\0\n");
        assert_eq!(headers.records, b"36 SCHILY.xattr.user.a%3D%b%253D=\0\n\n");
    }
}
