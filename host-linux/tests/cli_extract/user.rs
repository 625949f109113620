//! Another user than root gets what a user can have, and is told of the rest.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};

use super::support::{
    Dir, Listing, Mount, PROGRAM, assert_same, extract_to, has, image, is_root, list,
    make_everything, said,
};

const NOBODY: u32 = 65534;

/// Runs the program as nobody; a copy of it, which that user can get at. Another process makes
/// the copy: a child that another test starts meanwhile would inherit this one's open file, and
/// the copy would be "busy" for as long as that child has not executed its own program.
fn as_nobody(dir: &Dir, arguments: &[&str]) -> Output {
    let program = dir.join("program");
    if !program.exists() {
        let copied = Command::new("cp").arg(PROGRAM).arg(&program).status();
        assert!(copied.unwrap().success());
    }
    Command::new(program)
        .arg("extract")
        .args(arguments)
        .current_dir(&dir.0)
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap()
}

/// What a user gets of all that root would.
fn of_user(mut listing: Listing, uid: u32, gid: u32) -> Listing {
    listing.retain(|path, seen| {
        // A whiteout is no device to the kernel.
        !matches!(seen.kind, 'b' | 'c') || path == Path::new("whiteout")
    });
    for seen in listing.values_mut() {
        if seen.owner.0 != uid {
            seen.mode &= !0o4000;
        }
        if seen.owner.1 != gid {
            seen.mode &= !0o2000;
        }
        seen.owner = (uid, gid);
        seen.xattrs.retain(|name, _| {
            !name.0.starts_with(b"trusted.") && !name.0.starts_with(b"security.")
        });
    }
    listing
}

#[test]
fn what_is_permitted_is_restored() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::inside(&env::temp_dir());
    make_everything(&dir.join("tree"));
    image(&dir.join("tree"), dir.join("image"), &[]);
    let Some(mount) = Mount::image(&dir.join("image"), dir.join("mount")) else {
        return;
    };
    for jobs in ["1", "3"] {
        let to = dir.join("to");
        fs::create_dir(&to).unwrap();
        std::os::unix::fs::chown(&to, Some(NOBODY), Some(NOBODY)).unwrap();
        let output = as_nobody(&dir, &["image", "-C", "to", "--jobs", jobs]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        for warning in [
            "owners or groups of ",
            "set-id bits of ",
            "2 devices: not permitted (first: to/",
            "1 further name of a device: not permitted (to/null)",
            "extended attributes: not permitted (first: to/",
        ] {
            let lines = said.lines().filter(|line| line.contains(warning));
            assert_eq!(lines.count(), 1, "{warning}\n{said}");
        }
        let expected = of_user(list(&mount.0), NOBODY, NOBODY);
        assert_same(&list(&to), &expected);
        fs::remove_dir_all(&to).unwrap();
    }
}

#[test]
fn a_directory_of_another_is_entered() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::inside(&env::temp_dir());
    fs::create_dir(dir.join("tree")).unwrap();
    fs::write(dir.join("tree/file"), "content").unwrap();
    image(&dir.join("tree"), dir.join("image"), &["--all-root"]);
    let to = dir.join("to");
    fs::create_dir(&to).unwrap();
    fs::set_permissions(&to, fs::Permissions::from_mode(0o1777)).unwrap();
    let output = as_nobody(&dir, &["image", "-C", "to"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("attributes of 1 directory that was there before: not permitted (to)"),
        "{text}"
    );
    assert_eq!(fs::read(to.join("file")).unwrap(), b"content");
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o1777);

    // Without the right to write there is nothing to be had.
    fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(to.join("file")).unwrap();
    let output = as_nobody(&dir, &["image", "-C", "to"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        said(&output).contains("to/file: cannot create"),
        "{}",
        said(&output)
    );
}

#[test]
fn root_can_ask_for_as_much() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    make_everything(&dir.join("tree"));
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    let Some(mount) = Mount::image(&image, dir.join("mount")) else {
        return;
    };
    let to = dir.join("to");
    let said = extract_to(&image, &to, &["--as-user"]);
    assert!(said.contains("owners or groups of"), "{said}");
    assert!(said.contains("set-id bits of 2 files"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    let mut expected = list(&mount.0);
    for seen in expected.values_mut() {
        if seen.owner.0 != 0 {
            seen.mode &= !0o4000;
        }
        if seen.owner.1 != 0 {
            seen.mode &= !0o2000;
        }
        seen.owner = (0, 0);
    }
    assert_same(&list(&to), &expected);
}

#[test]
fn root_is_not_told_of_half_a_success() {
    if !has("mkfs.erofs") || !is_root() {
        return;
    }
    let dir = Dir::new();
    make_everything(&dir.join("tree"));
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    // Root without the right to make devices.
    let drop = ["--bounding-set=-mknod", "--inh-caps=-mknod"];
    let output = Command::new("setpriv")
        .args(drop)
        .args([PROGRAM, "extract", "-C"])
        .args([&dir.join("to"), &image])
        .output();
    let Ok(output) = output else {
        println!("skipped: needs setpriv");
        return;
    };
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(said(&output).contains("cannot create"), "{}", said(&output));
}
