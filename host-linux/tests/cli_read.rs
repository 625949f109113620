//! `ls`, `tree`, `stat`, `cat` and `dump` against the kernel's mount of the same image, against
//! `ls` and `stat` of the system, and against `dump.erofs`.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::*;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

/// Where the tree of the images lies, and an image of it.
struct Fixture {
    dir: Dir,
    image: PathBuf,
}

impl Fixture {
    /// An image made with these options, or `None` after saying what is missing.
    fn new(options: &[&str]) -> Option<Self> {
        if !has("mkfs.erofs") {
            return skip("mkfs.erofs");
        }
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            return skip("root");
        }
        let dir = Dir::new();
        let tree = dir.path("tree");
        plant(&tree);
        let image = dir.path("image.erofs");
        let made = Command::new("mkfs.erofs")
            .env("PATH", path_with_sbin())
            .args(["--quiet", "-T1700000000", "--mkfs-time"])
            .args(options)
            .args([&image, &tree])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Some(Self { dir, image })
    }

    fn tree(&self) -> PathBuf {
        self.dir.path("tree")
    }

    /// The kernel's view of the image.
    fn mounted(&self) -> Option<Mounted> {
        let image = self.image.as_os_str();
        let mounted = Mounted::new(args!["-t", "erofs", "-o", "ro,loop", image]);
        if mounted.is_none() {
            println!("skipped: needs the right to mount an EROFS image");
        }
        mounted
    }
}

fn skip<T>(need: &str) -> Option<T> {
    println!("skipped: needs {need}");
    None
}

/// Words that compress.
fn text(length: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for line in 0.. {
        text.extend(format!("line {line} of a text that compresses\n").as_bytes());
        if text.len() >= length {
            break;
        }
    }
    text.truncate(length);
    text
}

/// Makes a tree with something of every kind.
fn plant(tree: &Path) {
    for dir in [
        "", "usr", "usr/bin", "etc", "dev", "names", "empty", "links",
    ] {
        fs::create_dir(tree.join(dir)).unwrap();
    }
    fs::write(tree.join("usr/bin/tool"), text(100_000)).unwrap();
    fs::write(tree.join("usr/bin/noise"), noise(5, 70_001)).unwrap();
    fs::write(tree.join("etc/passwd"), "root:x:0:0\n").unwrap();
    fs::write(tree.join("etc/nothing"), "").unwrap();
    symlink("usr/bin", tree.join("bin")).unwrap();
    symlink("/usr/bin/tool", tree.join("links/absolute")).unwrap();
    symlink("../../../../etc/passwd", tree.join("links/up")).unwrap();
    symlink("loop", tree.join("links/loop")).unwrap();
    symlink("nowhere", tree.join("links/broken")).unwrap();
    for (name, kind, numbers) in [
        ("null", FileType::CharacterDevice, (1, 3)),
        ("disk", FileType::BlockDevice, (259, 100_000)),
        ("pipe", FileType::Fifo, (0, 0)),
    ] {
        let numbers = rustix::fs::makedev(numbers.0, numbers.1);
        let mode = Mode::from_raw_mode(0o640);
        rustix::fs::mknodat(CWD, tree.join("dev").join(name), kind, mode, numbers).unwrap();
    }
    for (name, mode) in [
        ("usr/bin/tool", 0o4755),
        ("usr/bin/noise", 0o2644),
        ("empty", 0o1777),
        ("etc/nothing", 0o7000),
    ] {
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let (uid, gid) = (Uid::from_raw(70_000), Gid::from_raw(12));
    let passwd = tree.join("etc/passwd");
    rustix::fs::chownat(CWD, &passwd, Some(uid), Some(gid), AtFlags::empty()).unwrap();
    rustix::fs::setxattr(&passwd, "user.note", b"a\nb", XattrFlags::empty()).unwrap();
    // user::rw-, user:1000:r--, group::r--, mask::r--, other::---
    let acl = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0\
        \x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    rustix::fs::setxattr(&passwd, "system.posix_acl_access", acl, XattrFlags::empty()).unwrap();
    for name in [
        &b"plain"[..],
        b"new\nline",
        b"bell\x1b[2J",
        b"\xff\xfe",
        b"back\\slash",
        "été".as_bytes(),
    ] {
        fs::write(tree.join("names").join(OsStr::from_bytes(name)), name).unwrap();
    }
    let sparse = File::create(tree.join("sparse")).unwrap();
    sparse.set_len(3_000_000).unwrap();
    sparse.write_all_at(b"middle", 1_500_000).unwrap();
    for (name, seconds, nanoseconds) in [
        ("etc/passwd", 951_827_696, 123_456_789),
        ("sparse", -1_000_000_000, 1),
    ] {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, tree.join(name), &times, AtFlags::empty()).unwrap();
    }
}

/// A tool of the system with its output in a form that does not depend on the machine.
fn tool(name: &str, dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new(name)
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .env("PATH", path_with_sbin())
        .current_dir(dir)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

// --- ls -----------------------------------------------------------------------------------------

/// The columns are as wide as the widest of all entries, of however many.
#[test]
fn ls_of_a_large_directory() {
    if !has("mkfs.erofs") {
        return skip::<()>("mkfs.erofs").unwrap_or_default();
    }
    let dir = Dir::new();
    let tree = dir.path("tree");
    fs::create_dir(&tree).unwrap();
    let mut names: Vec<String> = (0..4500)
        .map(|number| format!("file-{number:04}"))
        .collect();
    for name in &names {
        fs::write(tree.join(name), "").unwrap();
    }
    fs::write(tree.join("last"), text(12_345)).unwrap();
    names.push("last".to_owned());
    let image = dir.path("image.erofs");
    let made = Command::new("mkfs.erofs")
        .env("PATH", path_with_sbin())
        .args(["--quiet", "-T1700000000", "--all-root"])
        .args([&image, &tree])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    for options in ["-l", "-lR"] {
        let told = run(args!["ls", options, image]);
        let lines = told.done().lines().filter(|line| *line != "/:");
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), names.len());
        for (line, name) in lines.iter().zip(&names) {
            let size = if name == "last" { "12345" } else { "    0" };
            let end = format!(" 1 0 0 {size} 2023-11-14 22:13 {name}");
            assert!(line.ends_with(&end), "{line}");
        }
    }
}

#[test]
fn ls_is_that_of_the_system() {
    let Some(fixture) = Fixture::new(&["-zlz4"]) else {
        return;
    };
    let Some(mounted) = fixture.mounted() else {
        return;
    };
    let image = &fixture.image;
    for path in ["/", "usr/bin", "/etc", "dev/", "/empty", "/links/../usr/./"] {
        let inside = mounted.0.0.join(path.trim_start_matches('/'));
        let long = tool("ls", &inside, &["-lnA", "--time-style=long-iso"]);
        // The first line says how many blocks the directory takes.
        let expected: String = long.split_inclusive('\n').skip(1).collect();
        assert_eq!(run(args!["ls", "-l", image, path]).done(), expected);
        let expected = tool("ls", &inside, &["-A"]);
        assert_eq!(run(args!["ls", image, path]).done(), expected, "{path}");
    }
    // All directories but the one whose names are escaped differently.
    let all = ["-lnAR", "--time-style=long-iso", "--ignore=names"];
    let expected: String = tool("ls", &mounted.0.0, &all)
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("total "))
        .map(|line| match line.strip_prefix('.') {
            Some(":\n") => "/:\n".to_owned(),
            Some(path) => path.to_owned(),
            None => line.to_owned(),
        })
        .collect();
    let told = run(args!["ls", "-lR", image]);
    let ours: Vec<&str> = told
        .done()
        .split("\n\n")
        .filter(|part| !part.starts_with("/names:"))
        .collect();
    let ours = ours.join("\n\n");
    let ours: String = ours
        .split_inclusive('\n')
        .filter(|line| !line.ends_with(" names\n"))
        .collect();
    assert_eq!(ours, expected);
    assert_eq!(
        run(args!["ls", "-ld", image, "bin"]).done(),
        tool(
            "ls",
            &mounted.0.0,
            &["-lnd", "--time-style=long-iso", "bin"]
        )
    );
}

#[test]
fn names_are_escaped() {
    let Some(fixture) = Fixture::new(&[]) else {
        return;
    };
    let told = run(args!["ls", fixture.image, "/names"]);
    let expected = "back\\\\slash\nbell\\x1b[2J\nnew\\nline\nplain\nété\n\\xff\\xfe\n";
    assert_eq!(told.done(), expected);
    let told = run(args!["ls", "-R", "--json", fixture.image, "names"]);
    let paths: Vec<_> = told.json()["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(paths[..2], ["/names/back\\\\slash", "/names/bell\\x1b[2J"]);
    for command in [&["ls", "-lR"][..], &["tree"], &["stat"]] {
        let mut arguments: Vec<_> = command.iter().map(Into::into).collect();
        arguments.extend(args![fixture.image]);
        if command == ["stat"] {
            arguments.push(OsStr::from_bytes(b"names/bell\x1b[2J").to_owned());
        }
        let told = run(arguments);
        let steers = |letter: char| letter.is_control() && letter != '\n';
        assert!(!told.done().contains(steers), "{}", told.text());
    }
}

#[test]
fn names_can_be_given_as_they_are_listed() {
    let Some(fixture) = Fixture::new(&[]) else {
        return;
    };
    let image = &fixture.image;
    let listed = run(args!["ls", image, "/names"]);
    for shown in listed.done().lines() {
        let path = format!("/names/{shown}");
        let stat = run(args!["stat", image, path]);
        let first = stat.done().lines().next().unwrap();
        assert_eq!(first, format!("  File: {path}"));
        assert_eq!(run(args!["ls", image, path]).done(), format!("{path}\n"));
        let dump = run(args!["dump", "--path", path, image]);
        assert!(dump.done().contains(&format!("Path : {path}\n")));
        assert_eq!(run(args!["cat", image, path]).code(), 0);
    }
    let absent = run(args!["cat", image, r"/names/\xfd"]);
    assert_eq!(absent.code(), 3);
    let said = &absent.stderr;
    assert!(said.contains("cannot find"), "{said}");
}

#[test]
fn several_paths_have_headings_and_errors_do_not_stop() {
    let Some(fixture) = Fixture::new(&[]) else {
        return;
    };
    let image = &fixture.image;
    let told = run(args![
        "ls",
        image,
        "/empty",
        "/no/such",
        "/etc",
        "etc/passwd/x"
    ]);
    assert_eq!(told.code(), 3);
    assert_eq!(told.text(), "/empty:\n\n/etc:\nnothing\npasswd\n");
    let said: Vec<&str> = told.stderr.lines().collect();
    assert!(
        said[0].ends_with("image.erofs:/no/such: cannot find: No such file or directory"),
        "{said:?}"
    );
    assert!(said[1].ends_with(":/etc/passwd/x: cannot find: Not a directory"));
    assert_eq!(said.len(), 2);
    // In JSON what was listed stays a document.
    let told = run(args!["ls", "--json", image, "/no/such", "/etc"]);
    let json = told.json();
    assert_eq!(told.code(), 3);
    assert_eq!(json["entries"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&json["outcome"], &json["exitCode"]),
        (&"failed".into(), &3.into())
    );
    assert_eq!(json["error"]["id"], "environment");
}

// --- tree ---------------------------------------------------------------------------------------

/// The paths below a directory.
fn paths_below(root: &Path, prefix: &str, all: &mut BTreeSet<String>) {
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = erofs_unpack_ops::Escaped::name(entry.file_name().as_bytes()).to_string();
        let path = format!("{prefix}/{name}");
        if entry.file_type().unwrap().is_dir() {
            paths_below(&entry.path(), &path, all);
        }
        all.insert(path);
    }
}

/// The paths of a tree in JSON.
fn paths_in(node: &serde_json::Value, prefix: &str, all: &mut BTreeSet<String>) {
    for below in node["contents"].as_array().into_iter().flatten() {
        let path = format!("{prefix}/{}", below["name"].as_str().unwrap());
        paths_in(below, &path, all);
        all.insert(path);
    }
}

#[test]
fn tree_holds_everything() {
    let Some(fixture) = Fixture::new(&[]) else {
        return;
    };
    let mut expected = BTreeSet::new();
    paths_below(&fixture.tree(), "", &mut expected);
    let json = run(args!["tree", "--json", fixture.image]).json();
    let mut found = BTreeSet::new();
    paths_in(&json["tree"], "", &mut found);
    assert_eq!(found, expected);
    assert_eq!(json["directories"], 7);
    assert_eq!(json["files"], expected.len() - 7);
    let told = run(args!["tree", fixture.image, "usr"]);
    let expected = "usr\n└── bin\n    ├── noise\n    └── tool\n\n1 directory, 2 files\n";
    assert_eq!(told.done(), expected);
    let told = run(args!["tree", "-L1", fixture.image]);
    assert_eq!(
        told.done(),
        "/\n├── bin -> usr/bin\n├── dev\n├── empty\n├── etc\n├── links\n├── names\n├── sparse\n\
         └── usr\n\n6 directories, 2 files\n"
    );
    let told = run(args!["tree", fixture.image]);
    assert!(
        told.done()
            .contains("├── dev\n│   ├── disk\n│   ├── null\n│   └── pipe\n├── empty\n")
    );
}

// --- stat ---------------------------------------------------------------------------------------

#[test]
fn stat_shows_the_fingerprint_of_a_file() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/cases");
    let image = cases.join("check-clean/fingerprints.erofs");
    // Of "content" and a line feed, by sha256sum.
    let digest = "sha256:434728a410a78f56fc1b5899c3593436e61ab0c731e9072d95e96db290205e53";
    let told = run(args!["stat", image, "plain"]);
    let told = told.done();
    assert!(told.contains(&format!("Fingerprint: {digest}\n")), "{told}");
    // Its name is in no list of xattrs.
    assert_eq!(told.matches("fingerprint").count(), 1, "{told}");
    let json = run(args!["stat", "--json", image, "plain"]).json();
    assert_eq!(json["files"][0]["fingerprint"], digest);
}

#[test]
fn stat_is_that_of_the_system() {
    let Some(fixture) = Fixture::new(&["-zlz4"]) else {
        return;
    };
    let Some(mounted) = fixture.mounted() else {
        return;
    };
    for path in [
        "usr/bin/tool",
        "usr/bin/noise",
        "etc/passwd",
        "etc/nothing",
        "bin",
        "empty",
        "dev/null",
        "dev/disk",
        "dev/pipe",
        "sparse",
        "usr",
    ] {
        let told = run(args!["stat", fixture.image, path]);
        let told = told.done();
        let format = "Access: (%04a/%A)  Uid: %u  Gid: %g\nModify: %y\n";
        let expected = tool("stat", &mounted.0.0, &["-c", format, path]);
        assert!(told.contains(expected.trim_end()), "{told}{expected}");
        let file = tool("stat", &mounted.0.0, &["-c", "%s %F %i %h", path]);
        for word in file.trim_end().split(' ') {
            assert!(told.contains(word), "{word} {told}");
        }
        let json = run(args!["stat", "--json", fixture.image, path]).json();
        let json = &json["files"][0];
        let meta = fs::symlink_metadata(mounted.0.0.join(path)).unwrap();
        let mode = format!("{:04o}", meta.mode() & 0o7777);
        assert_eq!(json["mode"], mode, "{path}");
        assert_eq!(json["size"], meta.size(), "{path}");
        assert_eq!(json["uid"], meta.uid(), "{path}");
        assert_eq!(json["gid"], meta.gid(), "{path}");
        assert_eq!(json["mtime"], meta.mtime(), "{path}");
        assert_eq!(json["mtimeNs"], meta.mtime_nsec(), "{path}");
        assert_eq!(json["nid"], meta.ino(), "{path}");
        assert_eq!(json["nlink"], meta.nlink(), "{path}");
    }
    let told = run(args![
        "stat",
        fixture.image,
        "dev/disk",
        "bin",
        "etc/passwd"
    ]);
    let told = told.done();
    assert!(told.contains("Device type: 259,100000\n"), "{told}");
    assert!(told.contains("  File: bin -> usr/bin\n"), "{told}");
    assert!(told.contains(" Xattr: user.note=a\\nb\n"), "{told}");
    let json = run(args![
        "stat",
        "-L",
        "--json",
        fixture.image,
        "links/absolute"
    ])
    .json();
    assert_eq!(json["files"][0]["size"], 100_000);
    let json = run(args!["stat", "--json", fixture.image, "links/absolute"]).json();
    assert_eq!(json["files"][0]["target"], "/usr/bin/tool");
}

// --- cat ----------------------------------------------------------------------------------------

#[test]
fn cat_writes_what_was_put_in() {
    let Some(fixture) = Fixture::new(&["-zlz4", "-C16384"]) else {
        return;
    };
    let image = &fixture.image;
    let tool = text(100_000);
    let passwd = b"root:x:0:0\n";
    for (path, expected) in [
        ("/usr/bin/tool", &tool[..]),
        ("usr/bin/noise", &noise(5, 70_001)),
        ("bin/tool", &tool),
        ("links/absolute", &tool),
        ("links/up", passwd),
        ("etc/nothing", b""),
        ("sparse", &fs::read(fixture.tree().join("sparse")).unwrap()),
    ] {
        let told = run(args!["cat", image, path]);
        assert_eq!(told.code(), 0, "{}", told.stderr);
        assert!(told.stdout == expected, "{path}");
    }
    let told = run(args![
        "cat",
        image,
        "etc/passwd",
        "empty",
        "links/broken",
        "etc/passwd"
    ]);
    assert_eq!((told.code(), told.text()), (3, "root:x:0:0\nroot:x:0:0\n"));
    assert!(
        told.stderr
            .contains(":/empty: cannot read: Is a directory\n")
    );
    assert!(
        told.stderr
            .contains(":/links/broken: cannot find: No such file or directory\n")
    );
    for (path, said) in [
        (
            "links/loop",
            "cannot find: Too many levels of symbolic links",
        ),
        ("dev/null", "cannot read: Not a regular file"),
        ("etc/passwd/", "cannot find: Not a directory"),
    ] {
        let told = run(args!["cat", image, path]);
        assert!(told.line(3).ends_with(said), "{}", told.stderr);
    }
}

#[test]
fn a_closed_pipe_is_an_error_of_the_system() {
    let Some(fixture) = Fixture::new(&[]) else {
        return;
    };
    for arguments in [
        args!["cat", fixture.image, "sparse", "sparse"],
        args!["cat", fixture.image, "etc/passwd"],
        args!["ls", "-lR", fixture.image],
        args!["ls", "--json", fixture.image],
    ] {
        // Closed before the program starts: it may be done sooner than this thread goes on.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program()
            .args(&arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?} {said}");
        assert_eq!(one_line(&said), "stdout: cannot write: Broken pipe");
    }
}

// --- dump ---------------------------------------------------------------------------------------

/// The value behind a name of a line.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} {text}")).trim()
}

/// The table of extents, without what we say of each. Where a file does not end with a block,
/// `dump.erofs` counts all of its last block as the file's, unless that block is inline.
fn extents(text: &str, size: &str) -> Vec<Vec<u64>> {
    let size: u64 = size.parse().unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with(" Ext:"));
    let rows = lines.filter(|line| line.contains(".."));
    let rows: Vec<Vec<u64>> = rows
        .map(|line| {
            let line = line.split('#').next().unwrap();
            let numbers = line.split(|letter: char| !letter.is_ascii_digit());
            let mut row: Vec<u64> = numbers.filter_map(|word| word.parse().ok()).collect();
            let [_, _, end, length, _, at_end, at_length] = &mut row[..] else {
                panic!("{line}");
            };
            let over = end.saturating_sub(size);
            for number in [end, length, at_end, at_length] {
                *number -= over;
            }
            row
        })
        .collect();
    assert_eq!(rows.is_empty(), size == 0, "{text}");
    rows
}

#[test]
fn dump_is_that_of_dump_erofs() {
    if !has("dump.erofs") {
        println!("skipped: needs dump.erofs");
        return;
    }
    for options in [
        &["-zlz4"][..],
        &["-zzstd", "-C65536"],
        &["-zlz4", "-Eztailpacking"],
        &["-Enoinline_data"],
        &["-b1024"],
    ] {
        let Some(fixture) = Fixture::new(options) else {
            return;
        };
        let image = fixture.image.to_str().unwrap();
        let theirs = tool("dump.erofs", &fixture.dir.0, &["-s", image]);
        let told = run(args!["dump", image]);
        let ours = told.done();
        for (our_name, their_name) in [
            ("Blocks:", "Filesystem blocks:"),
            ("Inodes:", "Filesystem inode count:"),
            ("Root nid:", "Filesystem root nid:"),
            ("UUID:", "Filesystem UUID:"),
            (
                "Metadata at block:",
                "Filesystem inode metadata start block:",
            ),
            (
                "Shared xattrs at block:",
                "Filesystem shared xattr metadata start block:",
            ),
        ] {
            assert_eq!(value(ours, our_name), value(&theirs, their_name));
        }
        let block = value(&theirs, "Filesystem blocksize:");
        assert_eq!(value(ours, "Block size:"), format!("{block} bytes"));
        assert_eq!(value(ours, "Stated checksum is:"), "right");
        for path in [
            "/usr/bin/tool",
            "/usr/bin/noise",
            "/etc/passwd",
            "/bin",
            "/",
            "/dev/null",
        ] {
            let theirs = tool(
                "dump.erofs",
                &fixture.dir.0,
                &["-e", &format!("--path={path}"), image],
            );
            let told = run(args!["dump", image, "--path", path]);
            let ours = told.done();
            let size = value(ours, "Size:").split(' ').next().unwrap();
            assert_eq!(
                extents(ours, size),
                extents(&theirs, size),
                "{options:?} {path}"
            );
            assert_eq!(value(ours, "Size:"), value(&theirs, "Size:"));
            let words = |line: &str| line.split_whitespace().take(5).map(str::to_owned).collect();
            let nid: Vec<String> = words(value(ours, "NID:"));
            let their_nid: Vec<String> = words(value(&theirs, "NID:"));
            assert_eq!(nid, their_nid, "{path}");
            let size: Vec<String> = words(value(ours, "Inode size:"));
            let their_size: Vec<String> = words(value(&theirs, "Inode size:"));
            assert_eq!(size[..4], their_size[..4], "{path}");
            // By its number it is the same.
            let numbered = run(args!["dump", image, "--nid", nid[0].as_str()]);
            assert_eq!(numbered.done().lines().count(), ours.lines().count());
        }
        let json = run(args!["dump", "--json", image, "--path", "/usr/bin/tool"]).json();
        let extents = json["extents"].as_array().unwrap();
        let mut end = 0;
        for extent in extents {
            assert_eq!(extent["offset"], end);
            end += extent["length"].as_u64().unwrap();
        }
        assert_eq!(json["inode"]["size"], end);
        let json = run(args!["dump", "--json", image]).json();
        assert_eq!(json["checksumValid"], true);
        assert_eq!(json["superblock"]["blockSize"].to_string(), block);
    }
}

#[test]
fn a_wrong_checksum_is_refused_and_dumped() {
    let Some(fixture) = Fixture::new(&[]) else {
        return;
    };
    let mut image = fs::read(&fixture.image).unwrap();
    image[1024 + 70] ^= 1;
    let wrong = fixture.dir.write("wrong.erofs", image);
    for arguments in [
        args!["ls", wrong],
        args!["tree", wrong],
        args!["stat", wrong, "/"],
        args!["cat", wrong, "/etc/passwd"],
        args!["extract", wrong, "--tar"],
        args!["extract", wrong, "-C", fixture.dir.path("to")],
    ] {
        let told = run(arguments);
        assert!(
            told.line(1).contains("does not have the stated checksum"),
            "{}",
            told.stderr
        );
    }
    assert!(!fixture.dir.path("to").exists());
    let told = run(args!["ls", "--json", wrong]);
    assert_eq!(told.code(), 1);
    assert_eq!(told.json()["outcome"], "refused");
    assert_eq!(told.json()["error"]["id"], "superblock-checksum");
    let told = run(args!["dump", wrong]);
    assert_eq!(value(told.done(), "Stated checksum is:"), "wrong");
    assert!(one_line(&told.stderr).starts_with("warning: "));
    let json = run(args!["dump", "--json", wrong]).json();
    assert_eq!(json["checksumValid"], false);
}

// --- Blobs and devices --------------------------------------------------------------------------

#[test]
fn blobs_are_verified_first() {
    let Some(fixture) = Fixture::new(&[]) else {
        return;
    };
    let plain = fs::read(&fixture.image).unwrap();
    let diff_id = sha256(&plain);
    let expected = run(args!["ls", "-lR", fixture.image]).done().to_owned();
    for (name, blob) in [
        ("blob.zst", zstd(&plain)),
        ("blob.gz", gzip(&plain)),
        ("blob", plain.clone()),
    ] {
        let digest = sha256(&blob);
        let path = fixture.dir.write(name, &blob);
        let told = run(args![
            "ls",
            "-lR",
            path,
            "--digest",
            digest,
            "--diff-id",
            diff_id
        ]);
        assert_eq!(told.done(), expected);
        let told = run_with(program().args(["ls", "-lR", "-"]), &blob);
        assert_eq!(told.done(), expected);
        let other = sha256(b"another");
        for flag in ["--digest", "--diff-id"] {
            let told = run(args!["cat", path, "/etc/passwd", flag, other]);
            let what = flag.trim_start_matches('-').replace("diff-id", "diffID");
            assert!(told.line(1).contains(&what), "{}", told.stderr);
        }
        // Cut short, it gives out nothing.
        let cut = fixture.dir.write("cut", &blob[..blob.len() - 1]);
        let told = run_with(
            program().args(args!["cat", "-", "/etc/passwd"]),
            &content(&cut),
        );
        assert_eq!((told.code(), told.stdout.len()), (1, 0), "{name}");
    }
    let tar = fixture.dir.write("layer.tar", tar_member("a", b"content"));
    assert_eq!(run(args!["ls", tar]).code(), 1);
    let layout = Layout::of(fixture.dir.path("layout"), &three_layers());
    let told = run(args!["ls", layout.path]);
    assert!(told.line(2).contains("choose one with --layer"));
    let told = run(args!["ls", fixture.dir.path("not-there")]);
    assert!(told.line(3).contains("No such file or directory"));
}

#[test]
fn devices_are_attached() {
    let blob = Dir::new();
    let device = blob.path("device");
    let option = format!("--blobdev={}", device.to_str().unwrap());
    let Some(fixture) = Fixture::new(&["--chunksize=4096", &option]) else {
        return;
    };
    let image = &fixture.image;
    let told = run(args!["cat", image, "usr/bin/tool", "--device", device]);
    assert_eq!(told.code(), 0, "{}", told.stderr);
    assert!(told.stdout == text(100_000));
    // Names need no device, content does.
    assert_eq!(run(args!["ls", image, "/usr/bin"]).done(), "noise\ntool\n");
    let told = run(args!["cat", image, "usr/bin/tool"]);
    assert!(told.line(2).contains("on a device that was not given"));
    let twice = run(args!["ls", image, "--device", device, "--device", device]);
    assert!(twice.line(2).starts_with("--device: 2 were given"));
    let dumped = run(args!["dump", image, "--path", "usr/bin/tool"]);
    assert!(dumped.done().contains("# raw, device 1\n"));
    let json = run(args!["dump", image, "--json"]).json();
    assert_eq!(json["devices"].as_array().unwrap().len(), 1);
}

/// As go-erofs' `WithDataFile` writes it: the table is behind the superblock, and the superblock
/// says that it is itself the table.
#[test]
fn a_device_table_beside_its_place_is_found() {
    let blob = Dir::new();
    let device = blob.path("device");
    let option = format!("--blobdev={}", device.to_str().unwrap());
    let Some(fixture) = Fixture::new(&["--chunksize=4096", "-Enosbcrc", &option]) else {
        return;
    };
    let image = &fixture.image;
    let write = |at: u64, bytes: &[u8]| {
        let file = File::options().write(true).open(image).unwrap();
        file.write_all_at(bytes, at).unwrap();
    };
    let slot = 1024 + 128;
    write(1024 + 88, &[8, 0]);
    // Slots have no addresses.
    write(slot + 68, &[0; 4]);
    let cat = |options: &[&OsStr]| {
        let path = OsStr::new("usr/bin/tool");
        run([&[OsStr::new("cat"), image.as_os_str(), path], options].concat())
    };
    let given = [OsStr::new("--device"), device.as_os_str()];
    let told = cat(&given);
    assert_eq!(told.code(), 0, "{}", told.stderr);
    assert!(told.stdout == text(100_000));
    let warning = "warning: ";
    assert!(told.stderr.contains(warning) && told.stderr.contains("as go-erofs writes it"));
    let listed = run(args!["ls", image, "/usr/bin", "--device", device]);
    assert_eq!(listed.done(), "noise\ntool\n");
    assert!(listed.stderr.contains("as go-erofs writes it"));
    let to = blob.path("to");
    let told = run(args!["extract", image, "-C", to, "--device", device]);
    assert_eq!(told.code(), 0, "{}", told.stderr);
    assert!(told.stderr.contains("as go-erofs writes it"));
    assert!(fs::read(to.join("usr/bin/tool")).unwrap() == text(100_000));
    // The check, and those who were given no device, refuse it, and say who writes so.
    for told in [
        run(args!["check", image, "--device", device]),
        cat(&[]),
        run(args!["ls", image]),
    ] {
        assert_eq!(told.code(), 1);
        let said = [&told.stderr, told.text()].concat();
        assert!(
            said.contains("go-erofs writes so with WithDataFile"),
            "{said}"
        );
    }
    // The same bytes as slots: with an address, in one reading or the other, they differ.
    for at in [slot + 68, 1024 + 68, 1024 + 64, slot] {
        write(at, &[1]);
        let told = cat(&given);
        assert_eq!(told.code(), 1, "{at}");
        assert!(told.stderr.contains("device table: "), "{}", told.stderr);
        write(at, &[0]);
    }
    assert_eq!(cat(&given).code(), 0);
}

#[test]
fn limits_hold() {
    let Some(fixture) = Fixture::new(&[]) else {
        return;
    };
    let image = &fixture.image;
    for (arguments, flag) in [
        (
            args!["ls", "-R", image, "--max-inodes", "3"],
            "--max-inodes",
        ),
        (args!["tree", image, "--max-inodes", "3"], "--max-inodes"),
        (
            args!["tree", image, "--max-directory-depth", "1"],
            "--max-directory-depth",
        ),
        (
            args!["stat", image, "usr/bin/tool", "--max-directory-depth", "1"],
            "--max-directory-depth",
        ),
        (
            args!["stat", image, "bin", "--max-symlink-length", "3"],
            "--max-symlink-length",
        ),
    ] {
        let told = run(arguments);
        assert_eq!(told.code(), 1, "{}", told.stderr);
        let said = one_line(&told.stderr);
        assert!(said.ends_with(&format!("(raise it with {flag})")), "{said}");
    }
}

/// The commands that read in one image, `check` and `inspect`, each with the image as its last
/// argument but those that come behind it.
fn readers(dir: &Dir) -> Vec<(Vec<std::ffi::OsString>, Vec<std::ffi::OsString>)> {
    let to = dir.path("to");
    vec![
        (args!["ls"], vec![]),
        (args!["tree"], vec![]),
        (args!["stat"], args!["/"]),
        (args!["dump"], vec![]),
        (args!["extract", "-C", to], vec![]),
        (args!["check"], vec![]),
        (args!["inspect"], vec![]),
    ]
}

#[test]
fn sizes_of_plain_images_have_limits() {
    let dir = Dir::new();
    let image = dir.write("image", image(1, 4));
    let behind = dir.write("behind", [content(&image), vec![0; 4096]].concat());
    for (before, after) in readers(&dir) {
        let told = |file: &Path, flags: &[&str]| {
            let file = args![file];
            run([&before[..], &file, &after, &args_of(flags)].concat())
        };
        for (flag, size) in [("--max-image-size", 16384), ("--max-blob-size", 16384)] {
            let enough = size.to_string();
            let fits = told(&image, &[flag, &enough]);
            assert_eq!(fits.code(), 0, "{before:?}: {}", fits.stderr);
            let short = (size - 1).to_string();
            for (file, limit) in [(&image, &short), (&behind, &enough)] {
                let refused = told(file, &[flag, limit]);
                let line = refused.line(1);
                let end = format!("expected at most {limit} (raise it with {flag})");
                assert!(line.ends_with(&end), "{before:?}: {line}");
            }
        }
    }
}

fn args_of(flags: &[&str]) -> Vec<std::ffi::OsString> {
    flags.iter().map(std::ffi::OsString::from).collect()
}

#[test]
fn an_image_inside_of_a_file_is_read_from_its_offset() {
    let dir = Dir::new();
    let image = image(2, 4);
    let inside = [vec![0; 1 << 20], image.clone()].concat();
    let inside = dir.write("inside", inside);
    for (before, after) in readers(&dir) {
        let told = |file: &Path, flags: &[&str]| {
            let file = args![file];
            run([&before[..], &file, &after, &args_of(flags)].concat())
        };
        for offset in ["1MiB", "1048576"] {
            let read = told(&inside, &["--offset", offset]);
            assert_eq!(read.code(), 0, "{before:?}: {}", read.stderr);
        }
        let refused = told(&inside, &["--offset", "1MiB", "--max-blob-size", "16383"]);
        assert!(refused.line(1).ends_with("(raise it with --max-blob-size)"));
        // Without it the message says where to look; so does inspect.
        let lost = told(&inside, &[]);
        if before[0] == "inspect" {
            let text = lost.done();
            assert!(text.contains("zeros at the start\n"), "{text}");
            assert!(
                text.contains("1048576 (look at it with --offset 1048576)\n"),
                "{text}"
            );
        } else {
            let line = lost.line(1);
            assert!(line.contains("has zeros at the start"), "{line}");
            let hint = "(an EROFS image starts at byte 1048576: read it with --offset 1048576)";
            assert!(line.ends_with(hint), "{line}");
        }
        let beyond = told(&inside, &["--offset", "2MiB"]);
        assert!(beyond.line(2).starts_with("--offset 2097152: "));
    }
    let digest = sha256(&image);
    let whole = args!["ls", inside, "--offset", "1MiB", "--digest", digest];
    assert_eq!(run(whole).code(), 0);

    // What stands behind it is no part of it.
    let more = [content(&inside), noise(3, 4096)].concat();
    let more = dir.write("more", more);
    let checked = run(args!["check", more, "--offset", "1MiB"]);
    assert_eq!(checked.code(), 1);
    assert!(checked.stdout.starts_with(b"error image-trailing"));
    let allowed = args![
        "check",
        more,
        "--offset",
        "1MiB",
        "--allow",
        "image-trailing"
    ];
    assert_eq!(run(allowed).code(), 0);
}

#[test]
fn an_offset_is_of_a_plain_image_in_a_file() {
    let dir = Dir::new();
    let packed = [vec![0; 4096], zstd(&image(2, 4))].concat();
    let packed = dir.write("packed", packed);
    let layout = Layout::of(dir.path("layout"), &three_layers());
    let disk = {
        let mut disk = vec![0; 8192];
        disk[512..520].copy_from_slice(b"EFI PART");
        [disk, image(3, 4)].concat()
    };
    for command in ["ls", "check", "inspect"] {
        let wrapped = run(args![command, packed, "--offset", "4096"]);
        assert!(wrapped.line(2).contains("has a zstd stream there"));
        let folder = run(args![command, layout.path, "--offset", "0"]);
        assert!(folder.line(2).contains("image layout"), "{}", folder.stderr);
        let piped = run_with(program().args([command, "-", "--offset", "8KiB"]), &disk);
        assert!(piped.line(2).contains("is a stream"), "{}", piped.stderr);
    }
    let disk = dir.write("disk", disk);
    let line = run(args!["ls", disk]).line(1).to_owned();
    assert!(line.contains("found a disk with a GPT partition table"));
    assert!(line.ends_with("(an EROFS image starts at byte 8192: read it with --offset 8192)"));
    let found = run(args!["inspect", disk, "--json"]).json();
    assert_eq!(found["blob"]["content"], "unknown");
    assert_eq!(found["blob"]["format"], "a disk with a GPT partition table");
    assert_eq!(found["blob"]["imageOffset"], 8192);
}
