//! What the kernel shows of our images, held against those that `mkfs.erofs` makes.

use crate::common::{Dir, Mounted};
use crate::pair::Pair;
use crate::seen::{Text, assert_same, of_folder, of_image};
use crate::support::{build, build_tar, has, mkfs, mounted};
use crate::tar::{Head, Tar};

#[test]
fn a_tree_is_that_of_mkfs() {
    if !has("mkfs.erofs") {
        return;
    }
    let dir = Dir::new();
    let pair = Pair::everything();
    let (ours, report) = build_tar(&dir, &pair.ours.ended(), &[]);
    let theirs = mkfs(&dir, &pair.theirs.ended());
    // By our own reader, wherever the tests run.
    let expected = of_image(&theirs);
    assert_same(&of_image(&ours), &expected);
    assert_eq!(report["inodes"], inodes(&expected));
    assert!(expected.len() > 200, "{}", expected.len());
    for options in [&["--inline-data"][..], &["-b", "512"], &["-b", "16384"]] {
        let other = dir.path("other.erofs");
        let source = dir.path("made.tar");
        if options == ["-b", "16384"] {
            // The check has something to say of it: few kernels read such blocks.
            let run = crate::common::run(crate::args![
                "build", source, "-o", other, "--force", "-b", "16384"
            ]);
            run.done();
        } else {
            build(&source, &other, options);
        }
        assert_same(&of_image(&other), &expected);
    }

    let Some(ours) = mounted(&ours) else { return };
    let theirs = mounted(&theirs).unwrap();
    let (found, expected) = (of_folder(&ours.0.0), of_folder(&theirs.0.0));
    assert_same(&found, &expected);
}

/// How many inodes a tree has.
fn inodes(tree: &crate::seen::Tree) -> usize {
    tree.iter()
        .filter(|(path, seen)| **path == seen.first)
        .count()
}

#[test]
fn nobody_else_may_write_to_directories_that_are_only_implied() {
    // With mkfs.erofs they have mode 0777.
    let dir = Dir::new();
    let mut tar = Tar::default();
    tar.add(&Head::file("etc/app/file").owner(1, 1), b"1");
    let (image, _) = build_tar(&dir, &tar.ended(), &[]);
    let tree = of_image(&image);
    for path in ["", "etc", "etc/app"] {
        let seen = &tree[&Text::from(path)];
        assert_eq!((seen.mode, seen.owner), (0o4_0755, (0, 0)), "{path}");
        assert_eq!(seen.mtime, (1_700_000_000, 0), "{path}");
    }
}

#[test]
fn whiteouts_stay_when_that_is_asked_for() {
    let dir = Dir::new();
    let mut tar = Tar::default();
    tar.add(&Head::folder("./"), b"");
    tar.add(&Head::folder("d"), b"");
    tar.add(&Head::file("d/.wh.gone"), b"");
    tar.add(&Head::file("d/.wh..wh..opq"), b"");
    let source = dir.write("made.tar", tar.ended());
    let image = dir.path("made.erofs");
    // The strict check does not take them.
    let arguments = crate::args!["build", source, "-o", image, "--no-aufs"];
    crate::common::run(arguments).done();
    let tree = of_image(&image);
    let paths: Vec<_> = tree.keys().map(|path| format!("{path:?}")).collect();
    assert_eq!(
        paths,
        [r#""""#, r#""d""#, r#""d/.wh..wh..opq""#, r#""d/.wh.gone""#]
    );
    assert!(tree[&Text::from("d")].xattrs.is_empty());
}

#[test]
fn a_folder_that_was_deleted_and_made_anew_holds_nothing_old() {
    // In each of these orders a whiteout hides what lower layers have, and nothing of its own layer.
    let lower = ["a", "a/b", "a/b/deleted"];
    let layers = [
        ["a", "a/.wh.b", "a/b", "a/b/added"],
        ["a", "a/b", "a/b/added", "a/.wh.b"],
        ["a", "a/b", "a/.wh.b", "a/b/added"],
        ["a", "a/b", "a/b/added", "a/b/.wh..wh..opq"],
        ["a/.wh..wh..opq", "a", "a/b", "a/b/added"],
    ];
    let of = |members: &[&str]| {
        let mut tar = Tar::default();
        for member in members {
            let is_folder = ["a", "a/b"].contains(member);
            let head = if is_folder { Head::folder } else { Head::file };
            tar.add(&head(member), b"");
        }
        tar.ended()
    };
    let dir = Dir::new();
    let (image, _) = build_tar(&dir, &of(&lower), &[]);
    let Some(below) = mounted(&image) else { return };
    for members in layers {
        let dir = Dir::new();
        let (image, _) = build_tar(&dir, &of(&members), &[]);
        let above = mounted(&image).unwrap();
        let folders = format!("lowerdir={}:{}", above.0.0.display(), below.0.0.display());
        let union = Mounted::new(["-t", "overlay", "overlay", "-o", &folders]);
        let Some(union) = union else {
            println!("skipped: needs the right to mount an overlay");
            return;
        };
        let paths: Vec<_> = of_folder(&union.0.0).into_keys().collect();
        let expected = ["", "a", "a/b", "a/b/added"].map(Text::from);
        assert_eq!(paths, expected, "{members:?}");
    }
}
