//! The tar stream says all that the image does, to those that read tar.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::support::{
    Bytes, Dir, Mount, assert_same, extract, has, image, is_root, list, make_everything, pipe, said,
};

fn stream(image: &Path, paths: &[&str]) -> (Vec<u8>, String) {
    let mut arguments = vec![image.as_os_str(), OsStr::new("--tar")];
    arguments.extend(paths.iter().map(OsStr::new));
    let output = extract(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let said = said(&output);
    (output.stdout, said)
}

#[test]
fn gnu_tar_and_mkfs_read_it_as_it_is() {
    if !has("mkfs.erofs") || !has("tar") || !is_root() {
        return;
    }
    let dir = Dir::new();
    make_everything(&dir.join("tree"));
    // Names longer than a header, which are split or not.
    let long = dir.join("tree").join("d".repeat(120)).join("e".repeat(90));
    fs::create_dir_all(&long).unwrap();
    fs::write(long.join("f".repeat(30)), "far").unwrap();
    let first = image(&dir.join("tree"), dir.join("image"), &[]);
    let Some(mount) = Mount::image(&first, dir.join("mount")) else {
        return;
    };
    let mut expected = list(&mount.0);
    let (bytes, said) = stream(&first, &[]);
    assert!(
        said.contains("1 socket: tar cannot hold them (/socket)"),
        "{said}"
    );
    assert_eq!(stream(&first, &[]).0, bytes, "not the same twice");
    expected.remove(Path::new("socket"));

    let to = dir.join("to");
    fs::create_dir(&to).unwrap();
    let options = ["--xattrs", "--xattrs-include=*", "-xpf", "-", "-C"];
    let output = pipe(Command::new("tar").args(options).arg(&to), &bytes);
    // It finds some of the times strange, and nothing else.
    let said = super::support::said(&output);
    assert!(
        said.lines().all(|line| line.contains("time stamp")),
        "{said}"
    );
    assert_same(&list(&to), &expected);

    let second = dir.join("second");
    pipe(
        Command::new("mkfs.erofs")
            .args(["--quiet", "--tar=f"])
            .arg(&second),
        &bytes,
    );
    let Some(mount) = Mount::image(&second, dir.join("second-mount")) else {
        return;
    };
    // An equals sign in the name of an attribute has no form that all understand.
    for seen in expected.values_mut() {
        if let Some(value) = seen.xattrs.remove(&Bytes(b"user.a=%3D%b".into())) {
            let name = Bytes(b"user.a%3D%253D%b".into());
            seen.xattrs.insert(name, value);
        }
    }
    assert_same(&list(&mount.0), &expected);
}

#[test]
fn a_part_of_the_image() {
    if !has("mkfs.erofs") || !has("tar") {
        return;
    }
    let dir = Dir::new();
    fs::create_dir_all(dir.join("tree/a/b")).unwrap();
    fs::write(dir.join("tree/a/b/c"), "c").unwrap();
    fs::write(dir.join("tree/a/d"), "d").unwrap();
    fs::hard_link(dir.join("tree/a/d"), dir.join("tree/e")).unwrap();
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    let (bytes, _) = stream(&image, &["e", "/a/b/", "a/d"]);
    let output = pipe(Command::new("tar").args(["-tvf", "-"]), &bytes);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text
        .lines()
        .map(|line| {
            let (head, name) = line.split_once(':').unwrap();
            (&head[..1], name.split_once(' ').unwrap().1)
        })
        .collect();
    let expected = [
        ("d", "a/b/"),
        ("-", "a/b/c"),
        ("-", "a/d"),
        ("h", "e link to a/d"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn without_an_end_after_an_error() {
    if !has("mkfs.erofs") {
        return;
    }
    let dir = Dir::new();
    fs::create_dir(dir.join("tree")).unwrap();
    fs::write(dir.join("tree/a"), "a").unwrap();
    fs::write(dir.join("tree/b"), vec![1; 9000]).unwrap();
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    let limit = ["--tar", "--max-extracted-size=100"];
    let mut arguments = vec![image.as_os_str()];
    arguments.extend(limit.map(OsStr::new));
    let output = extract(&arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("image:/b: "), "{}", said(&output));
    assert!(!output.stdout.ends_with(&[0; 1024]));
}
