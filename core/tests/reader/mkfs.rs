//! Images of `mkfs.erofs`, compared with the tree that they were made from.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{Compat, Image, Incompat, Layout, Place};

use crate::tree::{Folder, Known, Source, compare, make, pattern};

/// Whether a program can be run; says so when it cannot.
fn has(program: &str) -> bool {
    let run = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if run.is_err() {
        println!("skipped: needs {program}");
        let required = std::env::var_os("EROFS_UNPACK_REQUIRE_TOOLS").is_some();
        assert!(!required, "{program} is missing");
    }
    run.is_ok()
}

/// Runs `mkfs.erofs`.
fn mkfs(options: &[&str], image: &Path, source: &Path) {
    let output = Command::new("mkfs.erofs")
        .args(["--quiet", "-d1"])
        .args(options)
        .arg(image)
        .arg(source)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "mkfs.erofs {options:?}: {said}");
}

fn open(path: &Path) -> Image<Source> {
    let file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    Image::open(Source(file), size, &Limits::DEFAULT).unwrap()
}

/// The tree in a folder of its own, or `None` where it cannot be made.
fn tree() -> Option<Folder> {
    if !has("mkfs.erofs") {
        return None;
    }
    let folder = Folder::new();
    match make(&folder.join("tree")) {
        Ok(()) => Some(folder),
        Err(needs) => {
            println!("skipped: needs {needs}");
            None
        }
    }
}

/// A small image with some of everything that needs no rights, or `None` without the tool.
pub(crate) fn small(options: &[&str]) -> Option<Vec<u8>> {
    if !has("mkfs.erofs") {
        return None;
    }
    let folder = Folder::new();
    let tree = folder.join("tree");
    fs::create_dir_all(tree.join("dir/below")).unwrap();
    fs::write(tree.join("a"), "hello").unwrap();
    fs::write(tree.join("dir/below/file"), pattern(1700, 3)).unwrap();
    fs::hard_link(tree.join("a"), tree.join("dir/b")).unwrap();
    std::os::unix::fs::symlink("dir/b", tree.join("link")).unwrap();
    File::create(tree.join("hole"))
        .unwrap()
        .set_len(5000)
        .unwrap();
    for number in 0..20 {
        File::create(tree.join(format!("dir/file-{number:02}"))).unwrap();
    }
    for (name, value) in [("user.a", "1"), ("user.long.x", "2")] {
        for file in ["a", "hole", "dir"] {
            let set = rustix::fs::lsetxattr(
                tree.join(file),
                name,
                value.as_bytes(),
                rustix::fs::XattrFlags::empty(),
            );
            if set.is_err() {
                println!("skipped: needs a file system with xattrs");
                return None;
            }
        }
    }
    let path = folder.join("image");
    mkfs(options, &path, &tree);
    Some(fs::read(path).unwrap())
}

/// Layouts of the regular files of an image.
fn layouts(image: &Image<Source>) -> Vec<Layout> {
    let mut layouts = Vec::new();
    let mut walk = image.walk().unwrap();
    while let Some(visit) = walk.next().unwrap() {
        if visit.inode.file_type == erofs_unpack_core::erofs::FileType::Regular
            && !layouts.contains(&visit.inode.layout)
        {
            layouts.push(visit.inode.layout);
        }
    }
    layouts
}

#[test]
fn images_show_the_folder() {
    let Some(folder) = tree() else { return };
    let cases: [(&[&str], &[Layout]); 20] = [
        (&[], &[Layout::FlatInline]),
        (&["-E^inline_data"], &[Layout::FlatPlain]),
        (&["-b512"], &[Layout::FlatInline]),
        (&["-b1024"], &[Layout::FlatInline]),
        (&["-b2048"], &[]),
        (&["--chunksize=4096"], &[Layout::ChunkBased]),
        (&["--chunksize=65536"], &[Layout::ChunkBased]),
        (&["--chunksize=512", "-b512"], &[Layout::ChunkBased]),
        (
            &["--chunksize=4096", "-Eforce-inode-blockmap"],
            &[Layout::ChunkBased],
        ),
        (
            &["--chunksize=4096", "-Eforce-chunk-indexes"],
            &[Layout::ChunkBased],
        ),
        (&["-E48bit"], &[]),
        (&["-E48bit", "--chunksize=8192"], &[Layout::ChunkBased]),
        (&["-Edot-omitted"], &[]),
        (&["-Eforce-inode-extended"], &[]),
        (&["-x1"], &[]),
        (
            &[
                "-x1",
                "--xattr-prefix=user.prefix.of.many.",
                "--xattr-prefix=trusted.overlay.",
            ],
            &[],
        ),
        (&["-x1000", "-E^xattr-name-filter"], &[]),
        (
            &["-x1", "-Exattr-name-filter", "--xattr-prefix=user.prefix."],
            &[],
        ),
        (
            &["--xattr-prefix=user.prefix.", "-Eplain-xattr-prefixes"],
            &[],
        ),
        (&["-Enosbcrc", "--root-xattr-isize=1000"], &[]),
    ];
    for (options, expected) in cases {
        println!("mkfs.erofs {options:?}");
        let path = folder.join("image");
        let options = [options, &["--preserve-mtime"]].concat();
        mkfs(&options, &path, &folder.join("tree"));
        let image = open(&path);
        let files = compare(&image, &folder.join("tree"), Known::default());
        assert!(files > 10_000);
        check_options(&image, &options);
        let layouts = layouts(&image);
        for layout in expected {
            assert!(layouts.contains(layout), "{layouts:?}");
        }
        fs::remove_file(path).unwrap();
    }
}

/// Whether the options did what a case is there for.
fn check_options(image: &Image<Source>, options: &[&str]) {
    let superblock = image.superblock();
    let has = |option: &str| options.iter().any(|given| given.contains(option));
    let filter = superblock.compat.has(Compat::XATTR_FILTER);
    assert_eq!(filter, !has("^xattr-name-filter"));
    assert_eq!(superblock.xattr_prefix_count > 0, has("--xattr-prefix="));
    assert_eq!(
        superblock.incompat.has(Incompat::BIT48),
        has("48bit") || has("dot-omitted")
    );
    let root = image.root().unwrap();
    assert_eq!(root.dot_omitted, has("dot-omitted"));
    let dot = image.lookup(&root, b".").unwrap();
    assert_eq!(dot.is_none(), has("dot-omitted"));
}

#[test]
fn compact_inodes_share_one_time() {
    let Some(folder) = tree() else { return };
    let path = folder.join("image");
    mkfs(&["-T1234567", "--all-time"], &path, &folder.join("tree"));
    let image = open(&path);
    let known = Known {
        time: Some(1_234_567),
        ..Known::default()
    };
    compare(&image, &folder.join("tree"), known);
    let compact = image.resolve(b"sizes/4096").unwrap().unwrap();
    assert!(!compact.is_extended);
    assert!(image.resolve(b"sizes/1").unwrap().unwrap().is_extended);
}

#[test]
fn chunks_on_another_device() {
    let Some(folder) = tree() else { return };
    let (path, blob) = (folder.join("image"), folder.join("blob"));
    let device = format!("--blobdev={}", blob.display());
    let options = [&device, "--chunksize=4096", "--preserve-mtime"];
    mkfs(&options, &path, &folder.join("tree"));
    let mut image = open(&path);
    let blob = File::open(blob).unwrap();
    let size = blob.metadata().unwrap().len();
    assert!(image.attach(Source(blob), size));
    compare(&image, &folder.join("tree"), Known::default());
}

/// The tree as a tar archive.
fn tar(folder: &Folder) {
    let run = Command::new("tar")
        .args([
            "--format=pax",
            "--xattrs",
            "--xattrs-include=*",
            "--warning=none",
        ])
        .arg("-cf")
        .arg(folder.join("tar"))
        .arg("-C")
        .arg(folder.join("tree"))
        .arg(".")
        .status();
    assert!(run.unwrap().success());
}

#[test]
fn images_show_the_archive() {
    let Some(folder) = tree() else { return };
    if !has("tar") {
        return;
    }
    tar(&folder);
    let known = Known {
        from_tar: true,
        ..Known::default()
    };
    let tree = folder.join("tree");
    let (path, archive) = (folder.join("image"), folder.join("tar"));
    for options in [&["--tar=f"][..], &["--tar=f", "-b512", "-E^inline_data"]] {
        println!("mkfs.erofs {options:?}");
        let options = [options, &["--preserve-mtime"]].concat();
        mkfs(&options, &path, &archive);
        compare(&open(&path), &tree, known);
        fs::remove_file(&path).unwrap();
    }
    mkfs(&["--tar=i", "--preserve-mtime"], &path, &archive);
    let mut image = open(&path);
    let tar = File::open(&archive).unwrap();
    let size = tar.metadata().unwrap().len();
    assert!(image.attach(Source(tar), size));
    compare(&image, &tree, known);
    // The same without a device, the archive behind the image.
    let mut whole = OpenOptions::new().append(true).open(&path).unwrap();
    io::copy(&mut File::open(&archive).unwrap(), &mut whole).unwrap();
    compare(&open(&path), &tree, known);
}

#[test]
fn a_file_larger_than_four_gibibytes() {
    if !has("mkfs.erofs") {
        return;
    }
    const SIZE: u64 = (5 << 30) + 77;
    let folder = Folder::new();
    let tree = folder.join("tree");
    fs::create_dir(&tree).unwrap();
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(tree.join("large"))
        .unwrap();
    file.set_len(SIZE).unwrap();
    let places = [0, (4 << 30) - 4096, 1 << 32, SIZE - 5000];
    for place in places {
        file.write_all_at(&pattern(5000, place as u32), place)
            .unwrap();
    }
    let path = folder.join("image");
    mkfs(&["--chunksize=1048576"], &path, &tree);
    assert!(fs::metadata(&path).unwrap().len() < 64 << 20);
    let image = open(&path);
    let inode = image.resolve(b"large").unwrap().unwrap();
    assert_eq!(inode.size, SIZE);
    for place in places {
        let mut found = [0; 5000];
        assert_eq!(image.read(&inode, place, &mut found).unwrap(), 5000);
        // The second place overlaps with the third, which was written later.
        let mut expected = [0; 5000];
        file.read_exact_at(&mut expected, place).unwrap();
        assert!(found == expected, "{place}");
    }
    let (mut offset, mut data) = (0, 0);
    while offset < SIZE {
        let extent = image.extent(&inode, offset).unwrap();
        assert_eq!(extent.offset, offset);
        if extent.place != Place::Hole {
            data += extent.length;
        }
        offset += extent.length;
    }
    assert_eq!(offset, SIZE);
    assert!(data > 20_000 && data < 32 << 20, "{data}");
}
