//! Images and targets that were made to lead an extraction astray.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::Image;

use super::support::{Dir, PROGRAM, assert_same, extract_to, extract_with, has, image, list, said};

/// A directory with a target, and beside it what must stay as it is.
struct Scene {
    dir: Dir,
    image: PathBuf,
    to: PathBuf,
}

impl Scene {
    /// Makes an image of a tree that `make` fills.
    fn new(make: impl FnOnce(&Path)) -> Option<Self> {
        if !has("mkfs.erofs") {
            return None;
        }
        let dir = Dir::new();
        fs::create_dir(dir.join("tree")).unwrap();
        make(&dir.join("tree"));
        fs::create_dir(dir.join("outside")).unwrap();
        fs::write(dir.join("outside/file"), "as it was").unwrap();
        let image = image(&dir.join("tree"), dir.join("image"), &["--all-root"]);
        let to = dir.join("to");
        fs::create_dir(&to).unwrap();
        Some(Self { dir, image, to })
    }

    /// Replaces bytes that occur exactly so often in the image.
    fn replace(&self, from: &[u8], to: &[u8], times: usize) {
        assert_eq!(from.len(), to.len());
        let mut bytes = fs::read(&self.image).unwrap();
        let places: Vec<_> = (0..bytes.len())
            .filter(|at| bytes[*at..].starts_with(from))
            .collect();
        assert_eq!(places.len(), times, "{from:?}");
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        fs::write(&self.image, bytes).unwrap();
    }

    /// Makes an entry of the root lead to another inode.
    fn lead(&self, name: &str, nid: u64) {
        let was = self.nid(name);
        let mut from = was.to_le_bytes().to_vec();
        let mut to = nid.to_le_bytes().to_vec();
        // The entry goes on with an offset and the type of a directory.
        let bytes = fs::read(&self.image).unwrap();
        let at = (0..bytes.len())
            .find(|at| {
                let entry = &bytes[*at..];
                entry.starts_with(&from) && entry.get(10..12) == Some(&[2, 0])
            })
            .unwrap();
        from.extend_from_slice(&bytes[at + 8..at + 12]);
        to.extend_from_slice(&bytes[at + 8..at + 12]);
        self.replace(&from, &to, 1);
    }

    fn nid(&self, name: &str) -> u64 {
        let bytes = fs::read(&self.image).unwrap();
        let size = bytes.len() as u64;
        let image = Image::open(&bytes[..], size, &Limits::DEFAULT).unwrap();
        image.resolve(name.as_bytes()).unwrap().unwrap().nid
    }

    /// Extracts, which must be refused with this exit code and these words, and must have left
    /// everything but the target as it was.
    fn refused(&self, options: &[&str], code: i32, words: &str) {
        let before = list(&self.dir.0);
        for jobs in ["1", "2"] {
            let mut all = vec!["--jobs", jobs, "--as-user"];
            all.extend(options);
            let output = extract_with(&self.image, &self.to, &all);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(code), "{said}");
            assert!(said.contains(words), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        self.nothing_but_the_target_changed(before);
    }

    fn nothing_but_the_target_changed(&self, mut before: super::support::Listing) {
        let mut after = list(&self.dir.0);
        for listing in [&mut before, &mut after] {
            listing.retain(|path, _| !path.starts_with("to") && path != Path::new(""));
        }
        assert_same(&after, &before);
    }
}

#[test]
fn names_that_lead_elsewhere() {
    for name in ["..", "a/", "/a", "a\0", "\0a"] {
        let Some(scene) = Scene::new(|tree| fs::write(tree.join("zz"), "bad").unwrap()) else {
            return;
        };
        scene.replace(b"zz", name.as_bytes(), 1);
        if name == ".." || name == "a\0" {
            // Taken for the parent, or for the end of a shorter name, as the kernel does.
            let before = list(&scene.dir.0);
            let output = extract_with(&scene.image, &scene.to, &["--as-user"]);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{name:?}");
            scene.nothing_but_the_target_changed(before);
            continue;
        }
        scene.refused(&[], 1, "image");
        scene.refused(&["--force"], 1, "image");
    }
}

#[test]
fn a_path_as_a_name() {
    let tree = |tree: &Path| {
        fs::write(tree.join("zzzoutsidezfilx"), "bad").unwrap();
    };
    let Some(scene) = Scene::new(tree) else {
        return;
    };
    scene.replace(b"zzzoutsidezfilx", b"../outside/file", 1);
    scene.refused(&["--force"], 1, "image");
}

#[test]
fn a_link_and_a_directory_of_one_name() {
    let tree = |tree: &Path| {
        symlink("../outside", tree.join("link1")).unwrap();
        fs::create_dir(tree.join("link2")).unwrap();
        fs::write(tree.join("link2/file"), "bad").unwrap();
    };
    let Some(scene) = Scene::new(tree) else {
        return;
    };
    scene.replace(b"link2", b"link1", 1);
    scene.refused(&[], 1, "twice");
    fs::remove_file(scene.to.join("link1")).unwrap();
    scene.refused(&["--force"], 1, "twice");
    // The directory first.
    let Some(scene) = Scene::new(tree) else {
        return;
    };
    scene.replace(b"link1", b"link3", 1);
    scene.refused(&["--force"], 1, "not in order");
}

#[test]
fn a_directory_in_itself() {
    let tree = |tree: &Path| {
        fs::create_dir_all(tree.join("aa/bb")).unwrap();
        fs::create_dir_all(tree.join("cc")).unwrap();
    };
    let Some(scene) = Scene::new(tree) else {
        return;
    };
    scene.lead("cc", scene.nid(""));
    scene.refused(&["--force"], 1, "image:/cc");
}

#[test]
fn links_in_the_target_are_not_followed() {
    let tree = |tree: &Path| {
        fs::create_dir(tree.join("dir")).unwrap();
        fs::write(tree.join("dir/file"), "new").unwrap();
        // The first in order, so that nothing else is there when it is refused.
        fs::write(tree.join("a"), "new").unwrap();
    };
    let Some(scene) = Scene::new(tree) else {
        return;
    };
    for (name, target) in [("dir", "../outside"), ("a", "../outside/file")] {
        symlink(target, scene.to.join(name)).unwrap();
        scene.refused(&[], 3, "is a symbolic link, which is never followed");
        // Not for the parents of what is asked for, either.
        if name == "dir" {
            scene.refused(
                &["dir/file"],
                3,
                "is a symbolic link, which is never followed",
            );
        }
        let before = list(&scene.dir.0);
        extract_to(&scene.image, &scene.to, &["--force", "--as-user"]);
        scene.nothing_but_the_target_changed(before);
        assert_eq!(fs::read(scene.to.join("dir/file")).unwrap(), b"new");
        assert_eq!(fs::read(scene.to.join("a")).unwrap(), b"new");
        fs::remove_dir_all(scene.to.join("dir")).unwrap();
        fs::remove_file(scene.to.join("a")).unwrap();
    }
    // A second name of a file outside: what is replaced is the name.
    fs::hard_link(scene.dir.join("outside/file"), scene.to.join("a")).unwrap();
    scene.refused(&[], 3, "exists already");
    fs::remove_dir_all(scene.to.join("dir")).unwrap();
    let before = list(&scene.dir.0);
    extract_to(&scene.image, &scene.to, &["--force", "--as-user"]);
    scene.nothing_but_the_target_changed(before);
    // A directory is not replaced.
    fs::remove_file(scene.to.join("a")).unwrap();
    fs::create_dir(scene.to.join("a")).unwrap();
    scene.refused(&["--force"], 3, "is a directory");
}

/// Directories of the target are replaced by links, again and again, while files are created
/// in them.
#[test]
fn a_race_with_links_leads_nowhere() {
    let tree = |tree: &Path| {
        for index in 0..40 {
            fs::create_dir(tree.join(format!("{index}"))).unwrap();
            for file in 0..20 {
                fs::write(tree.join(format!("{index}/{file}")), "bad").unwrap();
            }
        }
    };
    let Some(scene) = Scene::new(tree) else {
        return;
    };
    let before = list(&scene.dir.0);
    for _ in 0..10 {
        let mut program = std::process::Command::new(PROGRAM)
            .args(["extract", "--force", "--as-user", "--quiet", "-C"])
            .args([&scene.to, &scene.image])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut turn = 0;
        while program.try_wait().unwrap().is_none() {
            let path = scene.to.join(format!("{}", turn % 40));
            let _ = fs::rename(&path, scene.to.join(format!("moved-{turn}")));
            let _ = symlink("../outside", &path);
            turn += 1;
        }
        scene.nothing_but_the_target_changed(before.clone());
        fs::remove_dir_all(&scene.to).unwrap();
        fs::create_dir(&scene.to).unwrap();
    }
}
