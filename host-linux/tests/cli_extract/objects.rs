//! Files whose content lies outside of the image, as in images of composefs.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use erofs_unpack_core::fsverity::Hasher;
use erofs_unpack_core::oci::Algorithm;

use super::support::{
    Dir, Mount, PROGRAM, extract_with, has, image, is_root, list, pipe, said, xattr,
};

/// An image of metacopy files, and the folder of their content.
struct Scene {
    dir: Dir,
    image: PathBuf,
    objects: PathBuf,
}

/// The files, and what they are to contain.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    let large: Vec<u8> = (0..700_000_u32).map(|i| (i / 3) as u8 | 1).collect();
    vec![
        ("large", large),
        ("usr/small", b"small\n".to_vec()),
        ("usr/unverified", b"without a digest".to_vec()),
        ("usr/zeros", vec![0; 10_000]),
    ]
}

fn digest(algorithm: Algorithm, content: &[u8]) -> Vec<u8> {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(content);
    hasher.finish().as_bytes().to_vec()
}

/// The value of `trusted.overlay.metacopy` with a digest.
fn mark(algorithm: u8, digest: &[u8]) -> Vec<u8> {
    let size = u8::try_from(digest.len() + 4).unwrap();
    [&[0, size, 0, algorithm][..], digest].concat()
}

impl Scene {
    fn new() -> Option<Self> {
        Self::with(|_| {})
    }

    /// With changes to the tree that the image is made of.
    fn with(change: impl FnOnce(&Path)) -> Option<Self> {
        if !has("mkfs.erofs") || !is_root() {
            return None;
        }
        let dir = Dir::new();
        let tree = dir.join("tree");
        let objects = dir.join("objects");
        fs::create_dir_all(tree.join("usr")).unwrap();
        fs::create_dir(&objects).unwrap();
        fs::write(tree.join("inside"), "in the image").unwrap();
        for (number, (name, content)) in contents().into_iter().enumerate() {
            let path = tree.join(name);
            let file = File::create(&path).unwrap();
            file.set_len(content.len() as u64).unwrap();
            let value = match name {
                "usr/unverified" => Vec::new(),
                "usr/zeros" => mark(2, &digest(Algorithm::Sha512, &content)),
                _ => mark(1, &digest(Algorithm::Sha256, &content)),
            };
            xattr(&path, "trusted.overlay.metacopy", &value);
            let object = format!("{number:02}/object");
            let redirect = format!("/{object}");
            xattr(&path, "trusted.overlay.redirect", redirect.as_bytes());
            fs::create_dir(objects.join(format!("{number:02}"))).unwrap();
            fs::write(objects.join(object), content).unwrap();
        }
        change(&tree);
        let image = image(&tree, dir.join("image"), &["--chunksize=4096"]);
        Some(Self {
            dir,
            image,
            objects,
        })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let (command, rest) = arguments.split_first().unwrap();
        let mut all = vec![OsString::from(command), self.image.clone().into()];
        all.extend(rest.iter().map(|argument| match *argument {
            "OBJECTS" => self.objects.clone().into(),
            argument => argument.into(),
        }));
        Command::new(PROGRAM).args(all).output().unwrap()
    }

    fn cat(&self, path: &str) -> Output {
        self.run(&["cat", path, "--basedir", "OBJECTS"])
    }

    /// Reads a file, which must be refused without a byte of it, by this message.
    fn refused(&self, path: &str, code: i32, words: &str) {
        let output = self.cat(path);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(output.stdout.is_empty());
        assert!(said(&output).contains(words), "{}", said(&output));
        let to = self.dir.join("to");
        let basedir = self.objects.to_str().unwrap();
        let output = extract_with(&self.image, &to, &[path, "--basedir", basedir]);
        assert_eq!(output.status.code(), Some(code));
        assert!(said(&output).contains(words), "{}", said(&output));
        assert!(!to.join(path).exists());
    }
}

#[test]
fn without_the_folder_they_are_refused() {
    let Some(scene) = Scene::new() else {
        return;
    };
    for arguments in [
        &["cat", "/large"][..],
        &["extract", "--tar", "large"],
        &["extract", "-C", scene.dir.join("no").to_str().unwrap()],
    ] {
        let output = scene.run(arguments);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty() || arguments[0] == "extract");
        assert!(
            said.contains("has its content outside of the image")
                && said.contains("--basedir OBJECTS"),
            "{said}"
        );
    }
    assert_eq!(scene.run(&["cat", "/inside"]).stdout, b"in the image");
}

#[test]
fn the_check_says_so() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let output = scene.run(&["check", "--policy", "any"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("file-elsewhere"), "{text}");
    let output = scene.run(&["check", "--policy", "strict"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn lists_say_where_their_content_lies() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let text = |arguments: &[&str]| String::from_utf8(scene.run(arguments).stdout).unwrap();
    let stat = text(&["stat", "/usr/small"]);
    let line = "Content: outside of the image, at /01/object, fs-verity sha256:";
    assert!(stat.contains(line), "{stat}");
    assert!(text(&["ls", "-l", "/usr"]).contains("small (content at /01/object)\n"));
    let json: serde_json::Value = serde_json::from_str(&text(&["ls", "--json", "/usr"])).unwrap();
    assert_eq!(json["entries"][0]["metacopy"]["redirect"], "/01/object");
    assert!(text(&["stat", "--json", "/inside"]).contains("inside"));
    assert!(!text(&["stat", "--json", "/inside"]).contains("metacopy"));
}

#[test]
fn with_the_folder_they_are_what_an_overlay_shows() {
    let Some(scene) = Scene::new() else {
        return;
    };
    for (name, content) in contents() {
        let output = scene.cat(name);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(output.stdout == content, "{name}");
    }
    let to = scene.dir.join("to");
    let basedir = scene.objects.to_str().unwrap();
    let output = extract_with(&scene.image, &to, &["--basedir", basedir]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let tar = scene.run(&["extract", "--tar", "--basedir", "OBJECTS"]);
    assert_eq!(tar.status.code(), Some(0), "{}", said(&tar));
    let from_tar = scene.dir.join("from-tar");
    fs::create_dir(&from_tar).unwrap();
    pipe(
        Command::new("tar").args(["-xpf", "-", "-C"]).arg(&from_tar),
        &tar.stdout,
    );
    for root in [&to, &from_tar] {
        for (name, content) in contents() {
            assert!(fs::read(root.join(name)).unwrap() == content, "{name}");
        }
    }
    // They are files like others now.
    let listing = list(&to);
    assert!(listing[Path::new("large")].xattrs.is_empty());
    let Some(mount) = Mount::image(&scene.image, scene.dir.join("mount")) else {
        return;
    };
    let layers = format!(
        "ro,metacopy=on,redirect_dir=follow,lowerdir={}::{}",
        mount.0.display(),
        scene.objects.display()
    );
    let options = ["-t", "overlay", "-o", &layers];
    let Some(overlay) = Mount::new(&options, OsStr::new("none"), scene.dir.join("overlay")) else {
        println!("skipped: needs the right to mount an overlay with a data-only layer");
        return;
    };
    for (name, content) in contents() {
        assert!(fs::read(overlay.0.join(name)).unwrap() == content, "{name}");
    }
}

#[test]
fn other_content_is_refused() {
    let Some(scene) = Scene::new() else {
        return;
    };
    let large = scene.objects.join("00/object");
    let content = fs::read(&large).unwrap();
    let mut other = content.clone();
    other[699_999] ^= 1;
    fs::write(&large, &other).unwrap();
    scene.refused("large", 1, "does not have the fs-verity digest");
    fs::write(&large, &content[1..]).unwrap();
    scene.refused("large", 1, "found 699999, expected 700000");
    fs::write(&large, [&content[..], b"1"].concat()).unwrap();
    scene.refused("large", 1, "does not have the size of the file");
    fs::write(scene.objects.join("02/object"), "another size").unwrap();
    scene.refused("usr/unverified", 1, "does not have the size of the file");
    // SHA-512.
    fs::write(scene.objects.join("03/object"), vec![1; 10_000]).unwrap();
    scene.refused("usr/zeros", 1, "does not have the fs-verity digest");
    fs::remove_file(&large).unwrap();
    scene.refused(
        "large",
        3,
        "00/object: cannot open for reading: No such file",
    );
}

#[test]
fn nothing_outside_of_the_folder_is_read() {
    let redirects = [
        ("up", &b"/../secret"[..]),
        ("up-late", b"/00/../../secret"),
        ("relative", b"secret"),
        ("empty", b"/00//object"),
    ];
    let scene = Scene::with(|tree| {
        for (name, redirect) in redirects {
            let path = tree.join(name);
            fs::write(&path, "123456").unwrap();
            xattr(&path, "trusted.overlay.metacopy", b"");
            xattr(&path, "trusted.overlay.redirect", redirect);
        }
        let path = tree.join("nowhere");
        fs::write(&path, "123456").unwrap();
        xattr(&path, "trusted.overlay.metacopy", b"");
    });
    let Some(scene) = scene else {
        return;
    };
    fs::write(scene.dir.join("secret"), "secret").unwrap();
    for (name, _) in redirects.iter().chain(&[("nowhere", &b""[..])]) {
        scene.refused(name, 1, "found no path from the root of a folder");
    }
    let small = scene.objects.join("01/object");
    fs::remove_file(&small).unwrap();
    symlink("../../secret", &small).unwrap();
    scene.refused("usr/small", 1, "leads out of the folder of objects");
    fs::remove_file(&small).unwrap();
    symlink(scene.dir.join("secret"), &small).unwrap();
    scene.refused("usr/small", 1, "leads out of the folder of objects");
    fs::remove_file(&small).unwrap();
    fs::create_dir(&small).unwrap();
    scene.refused("usr/small", 1, "is not a regular file");
    // One that stays inside is followed.
    fs::remove_dir(&small).unwrap();
    fs::write(scene.objects.join("moved"), "small\n").unwrap();
    symlink("../moved", &small).unwrap();
    assert_eq!(scene.cat("usr/small").stdout, b"small\n");
}

#[test]
fn the_rest_is_extracted_without_them() {
    let Some(scene) = Scene::new() else {
        return;
    };
    fs::remove_file(scene.objects.join("00/object")).unwrap();
    fs::write(scene.objects.join("01/object"), "other\n").unwrap();
    let to = scene.dir.join("to");
    let basedir = scene.objects.to_str().unwrap();
    let output = extract_with(&scene.image, &to, &["--keep-going", "--basedir", basedir]);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("2 could not be extracted"), "{said}");
    assert!(!to.join("large").exists() && !to.join("usr/small").exists());
    assert_eq!(fs::read(to.join("inside")).unwrap(), b"in the image");
    assert_eq!(
        fs::read(to.join("usr/unverified")).unwrap(),
        b"without a digest"
    );
}
