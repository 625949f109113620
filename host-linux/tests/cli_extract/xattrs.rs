//! Extended attributes that have no place where they are to go.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;

use super::support::{
    Dir, Mount, extract, extract_to, extract_with, has, image, is_root, list, said, xattr,
};

/// An image of a file, a link and a pipe, with attributes of the link and the pipe that are
/// `user.*` in it, which no file system takes.
fn hidden(dir: &Dir) -> PathBuf {
    let at = |name: &str| dir.join("tree").join(name);
    fs::create_dir(at("")).unwrap();
    fs::write(at("file"), "content").unwrap();
    symlink("file", at("link")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), fifo, mode, 0).unwrap();
    xattr(&at("file"), "user.kept", b"1");
    xattr(&at("link"), "trusted.kept", b"1");
    xattr(&at("link"), "trusted.onlink", b"1");
    xattr(&at("pipe"), "trusted.onpipe", b"1");
    let image = image(&at(""), dir.join("image"), &["-x1"]);
    let mut bytes = fs::read(&image).unwrap();
    for name in [&b"onlink"[..], b"onpipe"] {
        let place = bytes.windows(name.len()).position(|part| part == name);
        // The prefix `trusted.` becomes `user.`.
        let index = place.unwrap() - 3;
        assert_eq!(bytes[index], 4);
        bytes[index] = 1;
    }
    fs::write(&image, bytes).unwrap();
    image
}

#[test]
fn what_no_mount_gives_out_is_left_out() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    let image = hidden(&dir);
    let text = "not restored: 2 user.* attributes of links, pipes, sockets or devices: \
                a mount does not give it out either (first: ";
    let said_of = extract_to(&image, &dir.join("to"), &["--jobs", "1"]);
    assert!(said_of.contains(text), "{said_of}");
    let found = list(&dir.join("to"));
    let names = |path: &str| -> Vec<String> {
        let seen = &found[&PathBuf::from(path)];
        let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        seen.xattrs.keys().map(|name| text(&name.0)).collect()
    };
    assert_eq!(names("file"), ["user.kept"]);
    assert_eq!(names("link"), ["trusted.kept"]);
    assert_eq!(names("pipe"), [""; 0]);
    let stream = extract(&[image.as_os_str(), OsStr::new("--tar")]);
    assert_eq!(stream.status.code(), Some(0));
    assert!(said(&stream).contains(text), "{}", said(&stream));
    let has = |name: &str| {
        let mut parts = stream.stdout.windows(name.len());
        parts.any(|part| part == name.as_bytes())
    };
    assert!(has("SCHILY.xattr.trusted.kept") && has("SCHILY.xattr.user.kept"));
    assert!(!has("onlink") && !has("onpipe"));
}

#[test]
fn what_the_target_cannot_hold_is_a_warning() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    let at = |name: &str| dir.join("tree").join(name);
    fs::create_dir(at("")).unwrap();
    fs::write(at("file"), "content").unwrap();
    std::os::unix::fs::chown(at("file"), Some(7), Some(8)).unwrap();
    xattr(&at("file"), "user.one", b"1");
    xattr(&at("file"), "trusted.two", b"2");
    let image = image(&at(""), dir.join("image"), &[]);
    // A file system without any.
    let Some(mount) = Mount::new(&["-t", "ramfs"], "none".as_ref(), dir.join("bare")) else {
        println!("skipped: needs the right to mount a ramfs");
        return;
    };
    let to = mount.0.join("to");
    let said = extract_to(&image, &to, &[]);
    assert!(
        said.contains(
            "not restored: 2 extended attributes: the file system there cannot hold it (first: "
        ),
        "{said}"
    );
    assert_eq!(fs::metadata(to.join("file")).unwrap().uid(), 7);
    // Not asked for, nothing is said.
    let said = extract_to(&image, &to, &["--force", "--no-xattrs"]);
    assert_eq!(said, "");
    let plain = dir.join("plain");
    assert_eq!(extract_to(&image, &plain, &["--no-xattrs"]), "");
    let meta = fs::metadata(plain.join("file")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (7, 8));
    assert!(list(&plain)[&PathBuf::from("file")].xattrs.is_empty());
    let stream = extract(&[
        image.as_os_str(),
        OsStr::new("--tar"),
        OsStr::new("--no-xattrs"),
    ]);
    assert!(!stream.stdout.windows(6).any(|part| part == b"SCHILY"));
}

#[test]
fn names_are_taken_with_their_escapes() {
    if !has("mkfs.erofs") {
        return;
    }
    use std::os::unix::ffi::OsStrExt as _;
    let dir = Dir::new();
    let at = |name: &[u8]| dir.join("tree").join(OsStr::from_bytes(name));
    fs::create_dir_all(at(b"\xff/in")).unwrap();
    for name in [
        &b"\xff/in/a\nb"[..],
        b"back\\slash",
        b"both\n",
        b"both\\n",
        b"z",
    ] {
        fs::write(at(name), name).unwrap();
    }
    let image = image(&at(b""), dir.join("image"), &[]);
    let to = dir.join("to");
    let paths = [r"both\n", r"\xff/in/a\nb", r"back\\slash", "z"];
    extract_to(&image, &to, &[&["--as-user"][..], &paths].concat());
    let read = |name: &[u8]| fs::read(to.join(OsStr::from_bytes(name))).ok();
    for name in [&b"\xff/in/a\nb"[..], b"back\\slash", b"both\\n", b"z"] {
        assert_eq!(read(name).as_deref(), Some(name));
    }
    // The name that is there as it stands is meant.
    assert_eq!(read(b"both\n"), None);
    let output = extract_with(&image, &to, &["--as-user", r"\xfe"]);
    assert_eq!(output.status.code(), Some(3));
}
