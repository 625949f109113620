//! Archives of GNU tar, bsdtar and Python in all their formats: against what GNU tar lists of them, and
//! against the tree that they were made of.

use core::sync::atomic::{AtomicU32, Ordering};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use erofs_unpack_core::tar::EntryKind;

use crate::support::{Head, Member, Tar, members};

/// Makes the tree: names of all lengths, links, times, owners, holes, attributes.
const TREE: &str = r#"
set -eu
mkdir -p tree/dir/empty
cd tree
printf hello >file
: >empty
head -c 70000 /dev/urandom >large
ln file dir/hard
ln -s ../file dir/link
mkfifo pipe
long=$(printf 'long%.0s' $(seq 24))
mkdir -p "$long/$long/$long"
printf deep >"$long/$long/$long/$long"
ln -s "$long/$long/$long/$long" "$long/link"
ln "$long/$long/$long/$long" "$long/hard"
printf x >"name with spaces"
printf x >"$(printf 'line\nfeed')"
printf x >"$(printf '\303\244\377')"
chmod 4755 file
chmod 1777 dir/empty
truncate -s 300000 hole
printf 'data' | dd of=hole bs=1 seek=100000 conv=notrunc status=none
truncate -s 100000 all-hole
for i in $(seq 0 40); do
    printf 'piece' | dd of=pieces bs=1 seek=$((i * 20000)) conv=notrunc status=none
done
touch -d '2001-02-03 04:05:06.789012345 UTC' file
touch -d '1960-01-02 03:04:05 UTC' large
touch -d '2500-01-01 00:00:00 UTC' empty
"#;

/// What needs rights, or a file system that has it.
const MORE: &str = r#"
cd tree
mknod char c 1 3
mknod block b 300 70000
chown 3000000:4000000 dir/empty
python3 -c '
import os
os.setxattr("large", "user.a=b%3D", b"\0value\n")
os.setxattr("large", "user.empty", b"")
os.setxattr("dir", "trusted.overlay.opaque", b"y")
'
"#;

/// A folder that is removed with its value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tar-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// One with the tree in it, and whether all of it could be made.
    fn with_tree() -> (Self, bool) {
        let folder = Self::new();
        assert!(folder.run("sh", &["-c", TREE]).is_ok());
        let more = folder.run("sh", &["-ec", MORE]);
        if let Err(said) = &more {
            println!("skipped: needs devices, owners and attributes: {said}");
        }
        (folder, more.is_ok())
    }

    /// Runs a program in the folder: what it prints, or what it complains of.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&self.0)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn archive(&self) -> Vec<u8> {
        fs::read(self.0.join("tar")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether a program can be run; says so when it cannot.
fn has(program: &str) -> bool {
    let run = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if run.is_err() {
        println!("skipped: needs {program}");
    }
    run.is_ok()
}

/// A name as GNU tar prints it with `--quoting-style=escape`.
fn escaped(name: &[u8]) -> String {
    let mut text = String::new();
    for byte in name {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\\' => text.push_str("\\\\"),
            0x20..=0x7e => text.push(char::from(*byte)),
            byte => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text
}

/// Seconds since 1970 as a date and a time of UTC (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
fn date(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// A member as GNU tar lists it, with one space between the fields.
fn line(member: &Member) -> String {
    let entry = &member.entry;
    let (letter, size) = match entry.kind {
        EntryKind::File => ('-', entry.size.to_string()),
        EntryKind::HardLink => ('h', "0".to_owned()),
        EntryKind::Symlink => ('l', "0".to_owned()),
        EntryKind::CharDevice | EntryKind::BlockDevice => {
            let letter = if entry.kind == EntryKind::CharDevice {
                'c'
            } else {
                'b'
            };
            (letter, format!("{},{}", entry.device.0, entry.device.1))
        }
        EntryKind::Directory => ('d', "0".to_owned()),
        EntryKind::Fifo => ('p', "0".to_owned()),
    };
    let mut mode = String::from(letter);
    for (shift, special, set, unset) in [
        (6, 0o4000, 's', 'S'),
        (3, 0o2000, 's', 'S'),
        (0, 0o1000, 't', 'T'),
    ] {
        let bits = entry.mode >> shift;
        mode.push(if bits & 4 != 0 { 'r' } else { '-' });
        mode.push(if bits & 2 != 0 { 'w' } else { '-' });
        mode.push(match (entry.mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => unset,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    let (uid, gid) = (entry.uid, entry.gid);
    let mut time = date(entry.mtime.0);
    if entry.mtime.1 != 0 {
        let decimals = format!("{:09}", entry.mtime.1);
        time = format!("{time}.{}", decimals.trim_end_matches('0'));
    }
    let link = match entry.kind {
        EntryKind::Symlink => format!(" -> {}", escaped(&entry.link)),
        EntryKind::HardLink => format!(" link to {}", escaped(&entry.link)),
        _ => String::new(),
    };
    format!(
        "{mode} {uid}/{gid} {size} {time} {}{link}",
        escaped(&entry.path)
    )
}

/// A line of GNU tar with one space between the fields before the name, and no zeros after those decimals
/// that count.
fn normal(line: &str) -> String {
    let mut fields = line.splitn(2, ' ').map(str::to_owned).collect::<Vec<_>>();
    while fields.len() < 6 {
        let rest = fields.pop().unwrap();
        let rest = rest.trim_start_matches(' ');
        match rest.split_once(' ') {
            Some((field, after)) => fields.extend([field.to_owned(), after.to_owned()]),
            None => {
                fields.push(rest.to_owned());
                break;
            }
        }
    }
    if let Some(time) = fields.get_mut(4)
        && time.contains('.')
    {
        *time = time.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    if let Some(name) = fields.get_mut(5) {
        *name = name.trim_start_matches(' ').to_owned();
    }
    fields.join(" ")
}

/// Asserts that an archive holds what GNU tar lists, and the content of the tree.
fn compare(folder: &Folder, what: &str) -> Vec<Member> {
    let found = members(&folder.archive());
    assert!(found.len() > 9, "{what}");
    let listed = folder.run(
        "tar",
        &[
            "-tvvf",
            "tar",
            "--full-time",
            "--utc",
            "--numeric-owner",
            "--quoting-style=escape",
        ],
    );
    let listed = String::from_utf8(listed.unwrap()).unwrap();
    let listed: Vec<String> = listed.lines().map(normal).collect();
    let ours: Vec<String> = found.iter().map(line).collect();
    for (ours, listed) in ours.iter().zip(&listed) {
        assert_eq!(ours, listed, "{what}");
    }
    assert_eq!(ours.len(), listed.len(), "{what}");
    for member in &found {
        use std::os::unix::ffi::OsStrExt as _;
        let path = std::ffi::OsStr::from_bytes(&member.entry.path);
        let path = folder.0.join(path);
        if member.entry.kind == EntryKind::File {
            assert!(
                member.file() == fs::read(&path).unwrap(),
                "{what}: {path:?}"
            );
        }
        let known = fs::symlink_metadata(&path).unwrap();
        assert_eq!(
            u32::from(member.entry.mode),
            known.mode() & 0o7777,
            "{what}: {path:?}"
        );
        assert_eq!(
            (member.entry.uid, member.entry.gid),
            (known.uid(), known.gid()),
            "{what}: {path:?}"
        );
        assert_eq!(member.entry.mtime.0, known.mtime(), "{what}: {path:?}");
        if what.contains("pax ") || what.contains("posix") {
            let nanoseconds = known.mtime_nsec();
            assert_eq!(
                i64::from(member.entry.mtime.1),
                nanoseconds,
                "{what}: {path:?}"
            );
        }
    }
    found
}

/// How many members are stored without holes.
fn sparse(found: &[Member]) -> usize {
    found
        .iter()
        .filter(|member| member.entry.extents.is_some())
        .count()
}

#[test]
fn archives_of_gnu_tar() {
    if !has("tar") {
        return;
    }
    let (folder, all) = Folder::with_tree();
    for format in ["v7", "oldgnu", "gnu", "ustar", "posix"] {
        for holes in [
            &[][..],
            &["--sparse"],
            &["--sparse", "--sparse-version=0.0"],
            &["--sparse", "--sparse-version=0.1"],
            &["--sparse", "--sparse-version=1.0"],
        ] {
            if holes.len() > 1 && format != "posix" {
                continue;
            }
            let what = format!("{format} {holes:?}");
            let format_is = format!("--format={format}");
            let mut arguments = vec!["-cf", "tar", &format_is, "--sort=name"];
            arguments.extend(holes);
            if format == "posix" {
                arguments.extend(["--xattrs", "--xattrs-include=*"]);
            }
            arguments.push("tree");
            // The older formats lack room for some members, which are then left out.
            let made = folder.run("tar", &arguments);
            assert!(
                made.is_ok() || matches!(format, "v7" | "ustar"),
                "{what}: {made:?}"
            );
            let found = compare(&folder, &what);
            let can = !holes.is_empty() && !matches!(format, "v7" | "ustar");
            assert_eq!(sparse(&found), if can { 3 } else { 0 }, "{what}");
            if format == "posix" && all {
                let of = |name: &str| {
                    &found
                        .iter()
                        .find(|m| m.path() == name)
                        .unwrap()
                        .entry
                        .xattrs
                };
                let large = [
                    (b"user.a=b%3D".to_vec(), b"\0value\n".to_vec()),
                    (b"user.empty".to_vec(), Vec::new()),
                ];
                assert_eq!(*of("tree/large"), large, "{what}");
                let opaque = (b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
                assert_eq!(*of("tree/dir/"), [opaque], "{what}");
            }
        }
    }
}

#[test]
fn archives_of_bsdtar() {
    if !has("tar") || !has("bsdtar") {
        return;
    }
    let (folder, all) = Folder::with_tree();
    for format in ["pax", "gnutar", "ustar", "v7", "paxr"] {
        let made = folder.run("bsdtar", &["-cf", "tar", "--format", format, "tree"]);
        let simple = matches!(format, "ustar" | "v7" | "gnutar");
        assert!(made.is_ok() || simple, "{format}: {made:?}");
        if made.is_err() {
            // What does not fit is left out, or cut off.
            println!("bsdtar {format}: {made:?}");
        }
        if simple {
            members(&folder.archive());
            continue;
        }
        let found = compare(&folder, &format!("{format} of bsdtar"));
        assert_eq!(sparse(&found), 3, "{format}");
        if all {
            let large = found.iter().find(|m| m.path() == "tree/large").unwrap();
            assert_eq!(large.entry.xattrs.len(), 2, "{format}");
            assert_eq!(large.entry.xattrs[0].1, b"\0value\n");
        }
    }
}

/// bsdtar reads the content of a hard link in a `pax` archive as it is read here, and writes it into what
/// both names are. GNU tar takes it for headers, and fails.
#[test]
fn content_of_hard_links_as_bsdtar_reads_it() {
    if !has("tar") || !has("bsdtar") {
        return;
    }
    let folder = Folder::new();
    let archive = Tar::default()
        .pax(&[("mtime", b"1")])
        .sized(&Head::new("first", b'0'), b"")
        .sized(&Head::link("second", b'1', "first"), b"content")
        .file("third")
        .ended();
    fs::write(folder.0.join("tar"), &archive).unwrap();
    let found = members(&archive);
    assert_eq!((found.len(), found[1].file()), (3, b"content".to_vec()));
    folder.run("bsdtar", &["-xf", "tar"]).unwrap();
    assert_eq!(fs::read(folder.0.join("first")).unwrap(), b"content");
    assert!(folder.0.join("third").exists());
    assert!(folder.run("tar", &["-tf", "tar"]).is_err());
}

#[test]
fn archives_of_python() {
    if !has("tar") || !has("python3") {
        return;
    }
    let (folder, _) = Folder::with_tree();
    for format in ["USTAR", "GNU", "PAX"] {
        let script = format!(
            "import tarfile\n\
             def take(member):\n\
             \u{20}   if '{format}' != 'USTAR': return member\n\
             \u{20}   if 'long' in member.name or member.uid or not 0 < member.mtime < 2**33: return None\n\
             \u{20}   if member.devminor > 2**20: return None\n\
             \u{20}   return member\n\
             t = tarfile.open('tar', 'w', format=tarfile.{format}_FORMAT, errors='surrogateescape')\n\
             t.add('tree', filter=take)\nt.close()"
        );
        let made = folder.run("python3", &["-c", &script]);
        assert!(made.is_ok(), "{format}: {made:?}");
        let found = members(&folder.archive());
        assert!(found.len() > 9);
        for member in found.iter().filter(|m| m.entry.kind == EntryKind::File) {
            use std::os::unix::ffi::OsStrExt as _;
            let path = folder
                .0
                .join(std::ffi::OsStr::from_bytes(&member.entry.path));
            assert!(
                member.file() == fs::read(&path).unwrap(),
                "{format}: {path:?}"
            );
        }
    }
}
