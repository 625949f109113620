//! One member's headers, as POSIX.1-2017 `pax` says ("ustar Interchange Format", "pax
//! Interchange Format").

/// The unit of a tar stream, in bytes.
pub(super) const BLOCK: usize = 512;
/// Largest numbers of the fields of 8 and 12 bytes.
const MAX_8: u64 = 0o7_777_777;
const MAX_12: u64 = 0o77_777_777_777;
/// Lengths of the fields for names.
const NAME: usize = 100;
const PREFIX: usize = 155;

/// What a header says of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    /// With a slash at its end for a directory.
    pub(super) path: &'a [u8],
    /// The type: `0` file, `1` hard link, `2` symbolic link, `3` and `4` devices, `5`
    /// directory, `6` pipe.
    pub(super) kind: u8,
    /// What a link refers to.
    pub(super) link: &'a [u8],
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    pub(super) mtime: (i64, u32),
    /// Major and minor number.
    pub(super) device: (u32, u32),
}

/// The records of an extended header.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<u8>);

impl Records {
    /// Forgets all records.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a record.
    fn add(&mut self, key: &[u8], value: &[u8]) {
        // A space, an equals sign and a line feed; the length counts its own digits.
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + digits(length) {
            length = rest + digits(length);
        }
        self.0.extend_from_slice(length.to_string().as_bytes());
        self.0.push(b' ');
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    /// Adds what of a member does not fit its header.
    pub(super) fn add_member(&mut self, member: &Member<'_>) {
        // A record's text is UTF-8, so other names stay in the header as long as they fit.
        let is_text = |name: &[u8]| !name.is_ascii() && core::str::from_utf8(name).is_ok();
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
        for (key, id) in [(&b"uid"[..], member.uid), (b"gid", member.gid)] {
            if u64::from(id) > MAX_8 {
                self.add(key, id.to_string().as_bytes());
            }
        }
        let (seconds, nanoseconds) = member.mtime;
        let fits = u64::try_from(seconds).is_ok_and(|seconds| seconds <= MAX_12);
        if !fits || nanoseconds != 0 {
            self.add(b"mtime", time(seconds, nanoseconds).as_bytes());
        }
    }

    /// Adds an extended attribute, in the form that star and GNU tar use. Like GNU tar it
    /// writes an equals sign in the name as `%3D`, and `%25` for a percent sign where it could
    /// be taken for the start of that.
    pub(super) fn add_xattr(&mut self, name: &[u8], value: &[u8]) {
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

    /// The extended header with its records, if there are any, and the header of a member.
    pub(super) fn write(&self, member: &Member<'_>, out: &mut Vec<u8>) {
        if !self.0.is_empty() {
            let name = member.path.strip_suffix(b"/").unwrap_or(member.path);
            let name = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
            let mut path = b"PaxHeaders/".to_vec();
            let ascii = name.iter().filter(|byte| byte.is_ascii_graphic());
            path.extend(ascii.take(NAME - path.len()));
            let header = Member {
                path: &path,
                kind: b'x',
                link: b"",
                mode: 0o644,
                uid: 0,
                gid: 0,
                size: self.0.len() as u64,
                mtime: (0, 0),
                device: (0, 0),
            };
            out.extend_from_slice(&ustar(&header));
            out.extend_from_slice(&self.0);
            pad(out);
        }
        out.extend_from_slice(&ustar(member));
    }
}

/// Fills the last block up.
pub(super) fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

/// Number of decimal digits.
fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// A time as a decimal number.
fn time(seconds: i64, nanoseconds: u32) -> String {
    let (sign, seconds, nanoseconds) = match (seconds < 0, nanoseconds) {
        (false, _) => ("", seconds.unsigned_abs(), nanoseconds),
        (true, 0) => ("-", seconds.unsigned_abs(), 0),
        // The fraction counts upwards from the second before.
        (true, _) => (
            "-",
            seconds.unsigned_abs() - 1,
            1_000_000_000_u32.saturating_sub(nanoseconds),
        ),
    };
    if nanoseconds == 0 {
        return format!("{sign}{seconds}");
    }
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

/// A path as the fields prefix and name, or `None` when it does not fit them.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME {
        return Some((b"", path));
    }
    // The name is never empty, so the slash at the end of a directory's path does not count.
    let earliest = path.len().checked_sub(NAME + 1)?;
    let latest = path.len().checked_sub(2)?.min(PREFIX);
    let at = (earliest..=latest).find(|at| path.get(*at) == Some(&b'/'))?;
    Some((path.get(..at)?, path.get(at + 1..)?))
}

/// A header block. What does not fit is cut off or zero: an extended header says it.
fn ustar(member: &Member<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let cut = member.path.get(..NAME).unwrap_or(member.path);
    let (prefix, name) = split(member.path).unwrap_or((b"", cut));
    let within = |number: u64, most| if number <= most { number } else { 0 };
    let seconds = u64::try_from(member.mtime.0).unwrap_or(0);
    text(&mut block, 0, NAME, name);
    octal(&mut block, 100, 8, u64::from(member.mode & 0o7777));
    octal(&mut block, 108, 8, within(member.uid.into(), MAX_8));
    octal(&mut block, 116, 8, within(member.gid.into(), MAX_8));
    octal(&mut block, 124, 12, within(member.size, MAX_12));
    octal(&mut block, 136, 12, within(seconds, MAX_12));
    text(&mut block, 148, 8, b"        ");
    text(&mut block, 156, 1, &[member.kind]);
    text(&mut block, 157, NAME, member.link);
    text(&mut block, 257, 8, b"ustar\x0000");
    octal(&mut block, 329, 8, member.device.0.into());
    octal(&mut block, 337, 8, member.device.1.into());
    text(&mut block, 345, PREFIX, prefix);
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    octal(&mut block, 148, 7, sum);
    block
}

/// Puts bytes into a field, as far as they fit.
fn text(block: &mut [u8; BLOCK], at: usize, length: usize, bytes: &[u8]) {
    let field = block.iter_mut().skip(at).take(length);
    field.zip(bytes).for_each(|(to, from)| *to = *from);
}

/// Puts an octal number with a zero byte behind it into a field.
fn octal(block: &mut [u8; BLOCK], at: usize, length: usize, number: u64) {
    let width = length - 1;
    text(block, at, length, format!("{number:0width$o}\0").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(path: &[u8]) -> Member<'_> {
        Member {
            path,
            kind: b'0',
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
        let mut records = Records::default();
        records.add_member(member);
        String::from_utf8_lossy(&records.0).into_owned()
    }

    #[test]
    fn a_length_counts_itself() {
        let mut records = Records::default();
        for length in 0..2000 {
            records.clear();
            records.add(b"k", &vec![b'v'; length]);
            let text = core::str::from_utf8(&records.0).unwrap();
            let (number, _) = text.split_once(' ').unwrap();
            assert_eq!(number.parse(), Ok(text.len()));
        }
    }

    #[test]
    fn only_what_does_not_fit_is_extended() {
        let mut fits = member(b"a");
        (fits.uid, fits.size) = (0o7_777_777, 0o77_777_777_777);
        fits.mtime = (0o77_777_777_777, 0);
        assert_eq!(records(&fits), "");
        let mut large = fits;
        (large.gid, large.size) = (0o10_000_000, 0o100_000_000_000);
        large.mtime = (-2, 500_000_000);
        assert_eq!(
            records(&large),
            "19 size=8589934592\n15 gid=2097152\n14 mtime=-1.5\n"
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
        let mut records = Records::default();
        records.add_xattr(b"user.a=%b%3D", b"\0\n");
        assert_eq!(records.0, b"36 SCHILY.xattr.user.a%3D%b%253D=\0\n\n");
    }
}
