//! Images of folders.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use crate::args;
use crate::common::{Dir, content, noise, run};
use crate::pair::CAPABILITY;
use crate::seen::{Text, Tree, assert_same, of_folder, of_image};
use crate::support::{UUID, build, has, is_root, mounted, tool};

/// A tree with every type of file that whoever runs the tests can make. `plain` leaves out what `tar` has no
/// words for, or more than one.
fn tree(dir: &Dir, plain: bool) -> PathBuf {
    let root = dir.path("tree");
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("dir/deep/er")).unwrap();
    fs::create_dir_all(at("empty")).unwrap();
    for index in 0..300 {
        let name = format!("dir/deep/{index:03}{}", "-".repeat(index % 60));
        fs::write(at(&name), noise(index as u64, index * 40)).unwrap();
    }
    fs::write(at("nothing"), "").unwrap();
    fs::write(at("block"), vec![7; 4096]).unwrap();
    fs::write(at("large"), noise(1, 3_000_001)).unwrap();
    fs::write(at("dir.x"), "sorts before what is in dir").unwrap();
    fs::write(at(&"n".repeat(255)), "long").unwrap();
    symlink("large", at("link")).unwrap();
    symlink("x/".repeat(1500), at("long-link")).unwrap();
    fs::hard_link(at("large"), at("dir/deep/large-too")).unwrap();
    fs::hard_link(at("block"), at("dir/block-too")).unwrap();
    node(&at("pipe"), FileType::Fifo, 0);
    if !plain {
        let sparse = File::create(at("sparse")).unwrap();
        sparse.set_len(9 << 20).unwrap();
        sparse.write_all_at(&noise(2, 10_000), 1 << 20).unwrap();
        sparse.write_all_at(b"end", (4 << 20) + 5).unwrap();
        File::create(at("hole")).unwrap().set_len(1 << 20).unwrap();
        node(&at("socket"), FileType::Socket, 0);
        fs::hard_link(at("large"), dir.path("outside")).unwrap();
    }
    let mode = |name: &str, mode| {
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    if rustix::process::geteuid().is_root() {
        node(
            &at("null"),
            FileType::CharacterDevice,
            rustix::fs::makedev(1, 3),
        );
        node(
            &at("disk"),
            FileType::BlockDevice,
            rustix::fs::makedev(4095, 1_000_000),
        );
        xattr(&at("block"), "security.capability", CAPABILITY);
        xattr(&at("dir"), "trusted.some", &[0, 10, 61, 255]);
        xattr(&at("link"), "trusted.link", b"l");
        for (name, uid, gid) in [("nothing", 1000, 50), ("dir", 70_000, 4_000_000_000)] {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(CWD, at(name), Some(uid), Some(gid), flags).unwrap();
        }
    }
    xattr(&at("large"), "user.long", &noise(3, 1500));
    xattr(&at("large"), "user.empty", b"");
    xattr(&at("dir/deep"), "user.a=%3D", b"=");
    mode("nothing", 0o4751);
    mode("empty", 0o1755);
    mode("dir/deep/er", 0o2750);
    mode("", 0o711);
    for (name, tv_sec, tv_nsec) in [
        ("nothing", 1_234_567_890, 123_456_789),
        ("link", 5, 0),
        ("large", -1_000_000, 500_000_000),
        ("dir", 10_000_000_000, 1),
        ("", 1_000_000, 0),
    ] {
        let time = Timespec { tv_sec, tv_nsec };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, at(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    root
}

fn node(path: &Path, kind: FileType, device: u64) {
    rustix::fs::mknodat(CWD, path, kind, Mode::from(0o644), device).unwrap();
}

/// Sets an attribute, where the file system has such.
fn xattr(path: &Path, name: &str, value: &[u8]) {
    match rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOTSUP) => {}
        Err(error) => panic!("{name}: {error}"),
    }
}

/// A tree without what depends on the file system that it is in: how many links directories have.
fn comparable(mut tree: Tree) -> Tree {
    for seen in tree.values_mut() {
        if seen.mode & 0o17_0000 == 0o4_0000 {
            seen.nlink = 0;
        }
    }
    tree
}

#[test]
fn an_image_of_a_folder_is_what_the_kernel_shows_of_it() {
    let dir = Dir::new();
    let root = tree(&dir, false);
    let image = dir.path("image");
    let report = build::<&str>(&root, &image, &[]);
    let mut expected = comparable(of_folder(&root));
    // A name that is outside of it does not count.
    for name in ["large", "dir/deep/large-too"] {
        expected.get_mut(&Text::from(name)).unwrap().nlink = 2;
    }
    assert_same(&comparable(of_image(&image)), &expected);
    assert!(report.get("tarDiffId").is_none());
    // Holes take no room, where the file system has some.
    assert_eq!(report["sparse"], true);
    let size = report["size"].as_u64().unwrap();
    assert!(size < 8 << 20, "{size}");
    let uuid = report["uuid"].as_str().unwrap();
    assert_eq!(uuid.get(14..15), Some("8"));

    let again = dir.path("again");
    build::<&str>(&root, &again, &[]);
    assert!(content(&again) == content(&image));
    // By a link to it, and with a slash behind it.
    symlink("tree", dir.path("by-link")).unwrap();
    for name in ["by-link", "tree/", "tree/."] {
        build::<&str>(&dir.path(name), &again, &[]);
        assert!(content(&again) == content(&image), "{name}");
    }
    let Some(mounted) = mounted(&image) else {
        return;
    };
    assert_same(&comparable(of_folder(&mounted.0.0)), &expected);
}

#[test]
fn a_folder_and_its_archive_give_the_same_image() {
    if !has("tar") || !is_root() {
        return;
    }
    let dir = Dir::new();
    let root = tree(&dir, true);
    // In the order in which the folder is read: its names, then what is below the first of them.
    let mut names = vec![b".".to_vec()];
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        let mut below: Vec<_> = fs::read_dir(root.join(&folder))
            .unwrap()
            .map(|entry| folder.join(entry.unwrap().file_name()))
            .collect();
        below.sort();
        for path in &below {
            names.push(format!("./{}", path.display()).into_bytes());
        }
        let folders = below.into_iter().rev();
        waiting
            .extend(folders.filter(|path| fs::symlink_metadata(root.join(path)).unwrap().is_dir()));
    }
    let list = dir.write("list", names.join(&b'\0'));
    let archive = dir.path("archive.tar");
    let made = tool("tar")
        .args([
            "--create",
            "--format=posix",
            "--numeric-owner",
            "--no-recursion",
        ])
        .args([
            "--xattrs",
            "--xattrs-include=*",
            "--null",
            "--verbatim-files-from",
            "--file",
        ])
        .arg(&archive)
        .arg("--directory")
        .arg(&root)
        .arg("--files-from")
        .arg(&list)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let (ours, theirs) = (dir.path("ours"), dir.path("theirs"));
    for options in [&[][..], &["--inline-data"], &["-b", "1024"], &["-T", "7"]] {
        let options = [&UUID[..], options].concat();
        build(&root, &ours, &options);
        build(&archive, &theirs, &options);
        assert_same(&of_image(&ours), &of_image(&theirs));
        assert!(content(&ours) == content(&theirs), "{options:?}");
    }
}

#[test]
fn what_is_left_out_of_a_folder_takes_what_is_below_along() {
    let dir = Dir::new();
    for name in [
        "keep/a.o",
        "keep/a.c",
        "drop/x/y",
        "src/drop/z",
        "keep/dropped",
    ] {
        dir.write(&format!("tree/{name}"), name);
    }
    // Its other name is left out, so it is no link any more.
    fs::hard_link(dir.path("tree/drop/x/y"), dir.path("tree/linked")).unwrap();
    let image = dir.path("image");
    let options = ["--exclude", "*.o", "--exclude", "drop"];
    build(&dir.path("tree"), &image, &options);
    let tree = of_image(&image);
    let paths: Vec<_> = tree
        .keys()
        .map(|path| path.0.escape_ascii().to_string())
        .collect();
    assert_eq!(
        paths,
        ["", "keep", "keep/a.c", "keep/dropped", "linked", "src"]
    );
    assert_eq!(tree[&Text::from("linked")].nlink, 1);
}

#[test]
fn a_folder_that_cannot_be_read_is_the_environments_fault() {
    let dir = Dir::new();
    let image = dir.path("image");
    let missing = run(args!["build", dir.path("missing"), "-o", image]);
    assert!(
        missing.line(3).contains("missing: cannot"),
        "{}",
        missing.stderr
    );
    fs::create_dir(dir.path("tree")).unwrap();
    let usage = run(args![
        "build",
        dir.path("tree"),
        "-o",
        image,
        "-U",
        "containerd"
    ]);
    assert!(
        usage.line(2).contains("a folder has none"),
        "{}",
        usage.stderr
    );
    if rustix::process::geteuid().is_root() {
        println!("skipped: needs another user than root");
    } else {
        let closed = dir.write("tree/closed", "x");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
        let run = run(args!["build", dir.path("tree"), "-o", image]);
        assert!(
            run.line(3).contains("closed: cannot open"),
            "{}",
            run.stderr
        );
    }
    assert_eq!(dir.names(), ["tree"]);
}

#[test]
fn an_image_in_its_own_folder_does_not_hold_itself() {
    let dir = Dir::new();
    dir.write("tree/file", "x");
    dir.write("tree/old", "the image before");
    fs::hard_link(dir.path("tree/old"), dir.path("tree/too")).unwrap();
    for name in ["new", "old", "old"] {
        let image = dir.path("tree").join(name);
        let arguments = args!["build", dir.path("tree"), "-o", image, "--force", "-q"];
        run(arguments).done();
        let tree = of_image(&image);
        assert!(tree.contains_key(&Text::from("file")), "{tree:?}");
        assert!(!tree.contains_key(&Text::from(name)), "{tree:?}");
        // Another name of what is replaced is a file as any other.
        assert_eq!(tree[&Text::from("too")].size, 16, "{tree:?}");
    }
}
