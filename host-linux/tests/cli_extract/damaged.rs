//! Of an image that is damaged in places, `--keep-going` gets the rest.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{Image, Inode};

use super::support::{
    Dir, Listing, assert_same, extract, extract_to, extract_with, has, image, is_root, list, pipe,
    said, xattr,
};

/// An image, and the same with damage.
struct Scene {
    dir: Dir,
    sound: PathBuf,
    damaged: PathBuf,
}

/// Files that cannot be read, in the order in which they are listed.
const LOST: [&str; 6] = [
    "bad-content",
    "bad-content-too",
    "bad-inode",
    "bad-link",
    "bad-names",
    "bad-xattrs",
];

impl Scene {
    fn new() -> Option<Self> {
        if !has("mkfs.erofs") || !is_root() {
            return None;
        }
        let dir = Dir::new();
        let at = |name: &str| dir.join("tree").join(name);
        fs::create_dir_all(at("dir/inner")).unwrap();
        fs::create_dir(at("bad-names")).unwrap();
        fs::create_dir(at("bad-dir-xattrs")).unwrap();
        for name in ["a", "bad-inode", "bad-xattrs", "dir/inner/z", "bad-names/x"] {
            fs::write(at(name), name).unwrap();
        }
        fs::write(at("bad-dir-xattrs/y"), "y").unwrap();
        // The last of its blocks is the bad one.
        let content: Vec<u8> = (0..100_000_u32).map(|i| (i >> 5) as u8 | 1).collect();
        fs::write(at("bad-content"), &content).unwrap();
        fs::hard_link(at("bad-content"), at("bad-content-too")).unwrap();
        fs::write(at("large"), &content).unwrap();
        std::os::unix::fs::symlink("target", at("bad-link")).unwrap();
        for name in ["bad-xattrs", "bad-dir-xattrs"] {
            xattr(&at(name), "user.some", b"value");
        }
        let sound = image(
            &dir.join("tree"),
            dir.join("sound"),
            &["--chunksize=4096", "-x1"],
        );
        let damaged = dir.join("damaged");
        fs::copy(&sound, &damaged).unwrap();
        let scene = Self {
            dir,
            sound,
            damaged,
        };
        scene.damage();
        Some(scene)
    }

    /// The inode at a path, in the sound image.
    fn inode(&self, path: &str) -> Inode {
        let bytes = fs::read(&self.sound).unwrap();
        let image = Image::open(&bytes[..], bytes.len() as u64, &Limits::DEFAULT).unwrap();
        image.resolve(path.as_bytes()).unwrap().unwrap()
    }

    fn damage(&self) {
        let mut bytes = fs::read(&self.damaged).unwrap();
        let mut write = |at: u64, what: &[u8]| {
            let at = usize::try_from(at).unwrap();
            bytes[at..at + what.len()].copy_from_slice(what);
        };
        // It repeats itself, so that its chunks are of 8 KiB; the last leads out of the image.
        let table = self.inode("bad-content").end();
        write(table + 12 * 4, &0x00ff_ffff_u32.to_le_bytes());
        // No file is of this type.
        write(self.inode("bad-inode").offset + 4, &[0, 0]);
        // A target that is longer than any.
        write(self.inode("bad-link").offset + 8, &5000_u32.to_le_bytes());
        // The first name starts where none can.
        write(self.inode("bad-names").end() + 8, &[0xff, 0xff]);
        // An entry that is longer than its area.
        for name in ["bad-xattrs", "bad-dir-xattrs"] {
            let inode = self.inode(name);
            let area = inode.offset + inode.record_size() + 12;
            write(area + 2, &[0xff, 0xff]);
        }
        fs::write(&self.damaged, bytes).unwrap();
    }

    /// What is to be there of the damaged image.
    fn expected(&self) -> Listing {
        let whole = self.dir.join("whole");
        if !whole.exists() {
            extract_to(&self.sound, &whole, &[]);
        }
        let mut listing = list(&whole);
        listing.retain(|path, _| {
            let first = path.iter().next().and_then(|name| name.to_str());
            let lost = first.is_some_and(|first| LOST.contains(&first));
            !lost || path == Path::new("bad-names")
        });
        listing
    }
}

#[test]
fn the_rest_is_extracted_and_the_bad_is_listed() {
    let Some(scene) = Scene::new() else {
        return;
    };
    for jobs in ["1", "4"] {
        let to = scene.dir.join(format!("to-{jobs}"));
        let json = scene.dir.join(format!("json-{jobs}"));
        let report = format!("--json={}", json.display());
        let output = extract_with(
            &scene.damaged,
            &to,
            &["--keep-going", "--jobs", jobs, &report],
        );
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        // A directory whose attributes are lost is closed.
        let closed = fs::metadata(to.join("bad-dir-xattrs")).unwrap();
        assert_eq!(closed.permissions().mode() & 0o7777, 0o700);
        let mut found = list(&to);
        let mut expected = scene.expected();
        for listing in [&mut found, &mut expected] {
            listing.remove(Path::new("bad-dir-xattrs"));
        }
        assert_same(&found, &expected);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), LOST.len() + 2, "{said}");
        for name in LOST.iter().chain(&["bad-dir-xattrs"]) {
            let place = format!("damaged:/{name}: ");
            assert!(said.contains(&place), "{place}: {said}");
        }
        let sum = "7 could not be extracted; ";
        assert!(lines.last().unwrap().contains(sum), "{said}");
        let report: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        assert_eq!(report["outcome"], "refused");
        assert_eq!(report["exitCode"], 1);
        assert_eq!(report["failed"], 7);
        assert_eq!(report["failures"].as_array().unwrap().len(), 7);
        assert_eq!(report["failures"][0]["id"], "file-bounds");
        assert_eq!(report["failures"][1]["id"], "extract-link");
        assert!(report["files"].as_u64().unwrap() > 5);
    }
}

#[test]
fn without_it_the_first_ends_all() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let to = scene.dir.join("to");
    let output = extract_with(&scene.damaged, &to, &["--jobs", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output).lines().count(), 1);
    assert!(!to.join("bad-content").exists());
    assert!(!to.join("large").exists());
}

#[test]
fn a_stream_holds_the_rest_whole() {
    let Some(scene) = Scene::new().filter(|_| has("tar")) else {
        return;
    };
    let arguments = [
        scene.damaged.as_os_str(),
        "--tar".as_ref(),
        "--keep-going".as_ref(),
    ];
    let output = extract(&arguments);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("7 could not be extracted; "), "{said}");
    let to = scene.dir.join("to");
    fs::create_dir(&to).unwrap();
    let options = ["-xpf", "-", "-C"];
    pipe(Command::new("tar").args(options).arg(&to), &output.stdout);
    let closed = fs::metadata(to.join("bad-dir-xattrs")).unwrap();
    assert_eq!(closed.permissions().mode() & 0o7777, 0o700);
    let names = |listing: &Listing| -> Vec<PathBuf> { listing.keys().cloned().collect() };
    assert_eq!(names(&list(&to)), names(&scene.expected()));
    let content = fs::read(to.join("large")).unwrap();
    assert_eq!(content, fs::read(scene.dir.join("tree/large")).unwrap());
}

#[test]
fn paths_that_are_missing_and_names_that_are_taken_are_listed() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let to = scene.dir.join("to");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("a"), "taken").unwrap();
    let paths = ["a", "nowhere", "dir"];
    let output = extract_with(
        &scene.damaged,
        &to,
        &[&["--keep-going"][..], &paths].concat(),
    );
    let said = said(&output);
    // Nothing of the image is bad: the environment is.
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("to/a: exists already"), "{said}");
    assert!(said.contains("damaged:/nowhere: cannot find"), "{said}");
    assert_eq!(fs::read(to.join("a")).unwrap(), b"taken");
    assert_eq!(fs::read(to.join("dir/inner/z")).unwrap(), b"dir/inner/z");
}

#[test]
fn limits_end_it_all_the_same() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let options = ["--keep-going", "--jobs", "1", "--max-extracted-size", "5"];
    let output = extract_with(&scene.damaged, &scene.dir.join("to"), &options);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap();
    assert!(
        last.contains("(raise it with --max-extracted-size)"),
        "{said}"
    );
}

#[test]
fn a_long_list_is_cut() {
    if !has("mkfs.erofs") {
        return;
    }
    let dir = Dir::new();
    fs::create_dir(dir.join("tree")).unwrap();
    for number in 10..40 {
        fs::write(dir.join("tree").join(format!("name-{number}")), "x").unwrap();
    }
    let image = image(&dir.join("tree"), dir.join("image"), &[]);
    let bytes = fs::read(&image).unwrap();
    let mut spoilt = bytes.clone();
    let opened = Image::open(&bytes[..], bytes.len() as u64, &Limits::DEFAULT).unwrap();
    for number in 10..35 {
        let path = format!("name-{number}");
        let inode = opened.resolve(path.as_bytes()).unwrap().unwrap();
        let at = usize::try_from(inode.offset).unwrap() + 4;
        spoilt[at..at + 2].fill(0);
    }
    fs::write(&image, spoilt).unwrap();
    let output = extract_with(&image, &dir.join("to"), &["--keep-going", "--as-user"]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 22, "{said}");
    assert!(said.contains("and 5 more (--json lists them)"), "{said}");
    assert_eq!(fs::read_dir(dir.join("to")).unwrap().count(), 5);
}
