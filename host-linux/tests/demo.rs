//! The layers of the demo layout mount over each other, and the tree is the one that
//! `vectors/README.md` states.

#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder with mounts in it, which go with it.
struct Mounts {
    folder: PathBuf,
    /// The last one is unmounted first.
    points: Vec<PathBuf>,
}

impl Mounts {
    /// Mounts on a new folder in it, and says whether that could be done.
    fn mount(&mut self, name: &str, arguments: &[&str]) -> bool {
        let point = self.folder.join(name);
        fs::create_dir_all(&point).unwrap();
        let done = Command::new("mount")
            .args(arguments)
            .arg(&point)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if done {
            self.points.push(point);
        }
        done
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        while let Some(point) = self.points.pop() {
            let _ = Command::new("umount").arg(point).status();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn the_demo_mounts_as_one_tree() {
    let layout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/layouts/demo");
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{}", std::process::id()));
    let mut mounts = Mounts {
        folder,
        points: Vec::new(),
    };
    let images = mounts.folder.join("images");
    fs::create_dir_all(&images).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_erofs-unpack"))
        .args(["unpack", "--quiet"])
        .arg(layout)
        .arg("-o")
        .arg(&images)
        .status()
        .unwrap();
    assert!(status.success());

    let mut files: Vec<PathBuf> = fs::read_dir(&images)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "erofs"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 3);
    let mut lower = Vec::new();
    for (number, file) in (1..).zip(&files) {
        let name = format!("layer-{number}");
        let file = file.to_str().unwrap();
        if !mounts.mount(&name, &["-t", "erofs", "-o", "ro,loop", file]) {
            println!("skipped: needs the right to mount EROFS");
            return;
        }
        // The highest layer comes first.
        lower.insert(0, mounts.folder.join(name).to_str().unwrap().to_owned());
    }
    let options = format!("ro,lowerdir={}", lower.join(":"));
    if !mounts.mount("merged", &["-t", "overlay", "-o", &options, "overlay"]) {
        println!("skipped: needs the right to mount overlayfs");
        return;
    }

    let merged = mounts.folder.join("merged");
    let names = |path: &str| {
        let mut names: Vec<_> = fs::read_dir(merged.join(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["cache", "etc", "hello"]);
    assert_eq!(names("cache"), ["fresh"]);
    assert_eq!(names("etc"), ["greeting"]);
    let greeting = fs::read_to_string(merged.join("hello")).unwrap();
    assert_eq!(greeting, "hello from layer 3\n");
    let metadata = fs::metadata(merged.join("etc/greeting")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (1000, 0o600));
}
