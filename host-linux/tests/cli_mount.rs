//! The commands of `image.json` mount what was unpacked, as they are written.
#![allow(
    clippy::disallowed_methods,
    clippy::std_instead_of_alloc,
    reason = "a test may panic, and has std"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::path::Path;
use std::process::Command;

use common::*;
use rustix::fs::{FileType, Mode, XattrFlags};
use serde_json::Value;

/// Makes an image of a tree with `mkfs.erofs`; `None` without the tool.
fn mkfs(dir: &Dir, source: &Path, options: &[&str]) -> Option<Vec<u8>> {
    if !has("mkfs.erofs") {
        return None;
    }
    let image = dir.path("made.erofs");
    let _ = fs::remove_file(&image);
    let made = Command::new("mkfs.erofs")
        .env("PATH", path_with_sbin())
        .arg("--quiet")
        .args(options)
        .arg(&image)
        .arg(source)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let bytes = content(&image);
    fs::remove_file(image).unwrap();
    Some(bytes)
}

fn whiteout(path: &Path) {
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, mode, 0).unwrap();
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// Whether this process may mount, make device nodes and set trusted attributes.
fn may_mount() -> bool {
    Mounted::tmpfs("64k").is_some_and(|mounted| {
        let path = mounted.0.path("node");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::CharacterDevice, mode, 0).is_ok()
    }) && has("losetup")
}

/// What a tree holds, by paths: contents of files, targets of links, `dir` for directories.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let kind = entry.file_type().unwrap();
            let what = if kind.is_dir() {
                open.push(path.clone());
                b"dir".to_vec()
            } else if kind.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else if kind.is_char_device() {
                b"whiteout".to_vec()
            } else {
                content(&path)
            };
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), what);
        }
    }
    found
}

/// The loop devices whose files lie in a folder.
fn loops_of(dir: &Dir) -> Vec<String> {
    let listed = Command::new("losetup")
        .env("PATH", path_with_sbin())
        .args(["-l", "-n", "-O", "BACK-FILE"])
        .output()
        .unwrap();
    let dir = dir.0.to_str().unwrap();
    String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .filter(|line| line.contains(dir))
        .map(str::to_owned)
        .collect()
}

/// Unpacks a layout and runs the commands for mounting with this shell, looks at the tree, and
/// takes all away again.
fn mounted_tree(dir: &Dir, layers: &[Layer], shell: &str) -> BTreeMap<String, Vec<u8>> {
    let layout = Layout::of(dir.path("layout"), layers);
    let out = dir.path("out");
    run(args!["unpack", layout.path, "-o", out]).done();
    let document: Value = serde_json::from_slice(&content(&out.join("image.json"))).unwrap();
    // Names that would steer a mount's options, were they part of them.
    let mnt = dir.path("a mnt:with,all\\kinds");
    fs::create_dir(&mnt).unwrap();
    let lines = |what: &str| -> Vec<String> {
        let commands = document["mount"][what].as_array().unwrap();
        commands
            .iter()
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    };
    let run_lines = |lines: &[String]| {
        Command::new(shell)
            .args(["-e", "-u", "-c", &lines.join("\n")])
            .env("PATH", path_with_sbin())
            .env("MNT", &mnt)
            .current_dir(&out)
            .output()
            .unwrap()
    };
    let mounted = run_lines(&lines("commands"));
    let found = mounted.status.success().then(|| tree(&mnt.join("root")));
    let undone = run_lines(&lines("undo"));
    let said = String::from_utf8_lossy(&mounted.stderr).into_owned();
    assert!(found.is_some(), "{said}{:#?}", lines("commands"));
    assert!(
        undone.status.success(),
        "{}",
        String::from_utf8_lossy(&undone.stderr)
    );
    assert_eq!(said, "");
    // The kernel detaches a loop device when its last user is gone, soon.
    for _ in 0..100 {
        if loops_of(dir).is_empty() {
            break;
        }
        std::thread::sleep(core::time::Duration::from_millis(20));
    }
    assert_eq!(loops_of(dir).len(), 0, "loop devices are left");
    for directory in fs::read_dir(&mnt).unwrap() {
        fs::remove_dir(directory.unwrap().path()).unwrap();
    }
    fs::remove_dir(&mnt).unwrap();
    fs::remove_dir_all(&out).unwrap();
    fs::remove_dir_all(&layout.path).unwrap();
    found.unwrap()
}

fn entry(name: &str, what: &[u8]) -> (String, Vec<u8>) {
    (name.to_owned(), what.to_vec())
}

const SKIPPED: &str = "skipped: needs mkfs.erofs and the right to mount";

#[test]
fn layers_with_whiteouts() {
    let dir = Dir::new();
    if !may_mount() || !has("mkfs.erofs") {
        println!("{SKIPPED}");
        return;
    }
    let large = noise(5, 300_000);
    dir.write("one/etc/kept", "1");
    dir.write("one/etc/gone", "1");
    dir.write("one/etc/changed", "1");
    dir.write("one/opaque/below", "1");
    dir.write("one/large", &large);
    dir.write("two/etc/changed", "2");
    dir.write("two/opaque/above", "2");
    whiteout(&dir.path("two/etc/gone"));
    set_xattr(&dir.path("two/opaque"), "trusted.overlay.opaque", b"y");
    dir.write("three/etc/new", "3");
    symlink("etc/new", dir.path("three/link")).unwrap();
    let made = [
        (EROFS, "one", &[][..]),
        (EROFS_ZSTD, "two", &[]),
        (EROFS_GZIP, "three", &["-zlz4", "-C65536"]),
    ];
    let layers = made.map(|(media_type, name, options)| {
        Layer::new(media_type, &mkfs(&dir, &dir.path(name), options).unwrap())
    });
    let expected = BTreeMap::from([
        entry("etc", b"dir"),
        entry("etc/changed", b"2"),
        entry("etc/kept", b"1"),
        entry("etc/new", b"3"),
        entry("large", &large),
        entry("link", b"etc/new"),
        entry("opaque", b"dir"),
        entry("opaque/above", b"2"),
    ]);
    for shell in ["bash", "sh"] {
        assert!(mounted_tree(&dir, &layers, shell) == expected);
    }
    // One layer by itself needs no overlay.
    let one = mounted_tree(&dir, &layers[..1], "bash");
    assert!(one.contains_key("etc/gone") && one["large"] == large);
}

#[test]
fn layers_with_data_only() {
    let dir = Dir::new();
    if !may_mount() || !has("mkfs.erofs") {
        println!("{SKIPPED}");
        return;
    }
    let large = noise(6, 200_000);
    dir.write("data/objects/aa", &large);
    dir.write("lower/own", "own");
    let file = dir.write("lower/usr/large", "");
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(large.len() as u64)
        .unwrap();
    set_xattr(&file, "trusted.overlay.metacopy", b"");
    set_xattr(&file, "trusted.overlay.redirect", b"/objects/aa");
    dir.write("top/more", "more");
    let data = mkfs(&dir, &dir.path("data"), &[]).unwrap();
    let lower = mkfs(&dir, &dir.path("lower"), &[]).unwrap();
    let top = mkfs(&dir, &dir.path("top"), &[]).unwrap();
    let layers = [
        Layer::new(EROFS, &data).role("overlay-data"),
        Layer::new(EROFS_ZSTD, &lower),
        Layer::new(EROFS, &top).role("overlay-lower"),
    ];
    let two = BTreeMap::from([
        entry("own", b"own"),
        entry("usr", b"dir"),
        entry("usr/large", &large),
    ]);
    assert!(mounted_tree(&dir, &layers[..2], "bash") == two);
    let mut three = two;
    three.insert("more".into(), b"more".to_vec());
    assert!(mounted_tree(&dir, &layers, "sh") == three);
}

#[test]
fn layers_with_devices() {
    let dir = Dir::new();
    if !may_mount() || !has("mkfs.erofs") {
        println!("{SKIPPED}");
        return;
    }
    let large = noise(7, 150_000);
    // An index over a tar, which is the device.
    let archive = [
        tar_member("from-tar/large", &large),
        tar_member("from-tar/small", b"s"),
        vec![0; 1024],
    ]
    .concat();
    let tar = dir.write("device.tar", &archive);
    let over_tar = mkfs(&dir, &tar, &["--tar=i"]).unwrap();
    assert!(
        over_tar.len() < archive.len(),
        "the index does not hold the tar"
    );
    // Chunks in a device of their own.
    dir.write("tree/chunked", &large);
    let device = dir.path("chunks");
    let blobdev = format!("--blobdev={}", device.display());
    let over_chunks = mkfs(&dir, &dir.path("tree"), &[&blobdev, "--chunksize=4096"]).unwrap();
    let chunks = content(&device);
    assert!(chunks.len() >= large.len());
    dir.write("plain/top", "top");
    let plain = mkfs(&dir, &dir.path("plain"), &[]).unwrap();

    let tar_type = "application/vnd.oci.image.layer.v1.tar";
    let layers = [
        Layer::new(&format!("{tar_type}+gzip"), &archive).role("device"),
        Layer::new(EROFS_ZSTD, &over_tar),
        Layer::new("application/octet-stream", &chunks).role("device"),
        Layer::new(EROFS, &over_chunks),
        Layer::new(EROFS, &plain),
    ];
    let expected = BTreeMap::from([
        entry("from-tar", b"dir"),
        entry("from-tar/large", &large),
        entry("from-tar/small", b"s"),
    ]);
    for shell in ["bash", "sh"] {
        assert!(mounted_tree(&dir, &layers[..2], shell) == expected);
    }
    // What cannot be mounted leaves no loop device either.
    let layout = Layout::of(dir.path("layout"), &layers[..2]);
    let out = dir.path("out");
    run(args!["unpack", layout.path, "-o", out]).done();
    let document: Value = serde_json::from_slice(&content(&out.join("image.json"))).unwrap();
    let command = document["mount"]["commands"][1].as_str().unwrap();
    assert!(command.contains("losetup"), "{command}");
    let failed = Command::new("bash")
        .args(["-c", command])
        .env("PATH", path_with_sbin())
        .env("MNT", "/nonexistent")
        .current_dir(&out)
        .output()
        .unwrap();
    assert!(!failed.status.success());
    assert_eq!(loops_of(&dir).len(), 0);
    fs::remove_dir_all(out).unwrap();
    fs::remove_dir_all(layout.path).unwrap();

    let mut all = expected;
    all.insert("chunked".into(), large);
    all.insert("top".into(), b"top".to_vec());
    assert!(mounted_tree(&dir, &layers, "bash") == all);
}
