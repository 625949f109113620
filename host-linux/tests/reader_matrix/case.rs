//! One image of the matrix: how it is made, and what is compared.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use erofs_unpack_core::erofs::{Image, Incompat};
use erofs_unpack_ops::image_file::FileAt;

use crate::listing::{Bytes, Content, Listing, of_directory};
use crate::machine::{Dir, Mounted, Skip, ready, run, run_for, said};
use crate::through;
use crate::tree::{Kind, Tree};

/// How the tree reaches `mkfs.erofs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// As a folder.
    Folder,
    /// As a tar archive.
    Tar,
    /// As a tar archive that is appended to the image, where the image expects it.
    TarBehind,
    /// As a tar archive that is a device of the image.
    TarDevice,
    /// As two images, made from two trees, that one image without data refers to.
    Images,
}

/// An image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) options: &'static [&'static str],
    pub(crate) tree: Kind,
    pub(crate) from: From,
    /// Whether chunks go to a device of their own.
    pub(crate) blobdev: bool,
    /// `fsck.erofs` cannot extract it, for this reason.
    pub(crate) no_fsck: Option<&'static str>,
}

impl Case {
    pub(crate) const fn new(options: &'static [&'static str]) -> Self {
        Self {
            options,
            tree: Kind::Everything,
            from: From::Folder,
            blobdev: false,
            no_fsck: None,
        }
    }

    pub(crate) const fn tree(mut self, tree: Kind) -> Self {
        self.tree = tree;
        self
    }

    pub(crate) const fn from(mut self, from: From) -> Self {
        self.from = from;
        self
    }

    pub(crate) const fn blobdev(mut self) -> Self {
        self.blobdev = true;
        self
    }

    pub(crate) const fn no_fsck(mut self, reason: &'static str) -> Self {
        self.no_fsck = Some(reason);
        self
    }
}

/// A finished image.
struct Made {
    image: PathBuf,
    devices: Vec<PathBuf>,
    /// What `fsck.erofs` has to be given besides.
    fsck_devices: Vec<PathBuf>,
    _dir: Dir,
}

/// Makes the image and compares; says so when that is not possible here.
pub(crate) fn test(name: &str, case: &Case) {
    if let Err(Skip(need)) = try_test(name, case) {
        println!("skipped: needs {need}");
    }
}

fn try_test(name: &str, case: &Case) -> Result<(), Skip> {
    ready(&["mkfs.erofs", "fsck.erofs", "mount", "losetup", "tar"])?;
    let made = make(name, case)?;
    let mounted = Mounted::erofs(&made.image, &made.devices)?;
    let opened = through::open(&made.image, &made.devices);
    let (mounted, image) = match (mounted, opened) {
        (Ok(mounted), Ok(image)) => (mounted, image),
        (Err(reason), Ok(_)) => {
            return Err(Skip(format!("a kernel that mounts {name} ({reason})")));
        }
        (Ok(_), Err(reason)) => panic!("the kernel mounts it, the library refuses: {reason}"),
        (Err(kernel), Err(ours)) => {
            return Err(Skip(format!(
                "a mkfs.erofs that makes {name} ({kernel}; {ours})"
            )));
        }
    };
    check_features(case.options, &image);
    let kernel = of_directory(mounted.path());
    let ours = through::list(&image);
    same("the kernel", &kernel, "the library", &ours);
    let damaged = kernel.unreadable() + unlike_source(case, &kernel)?;
    if damaged > 0 {
        // Kernel and library agree, so it is the image that is wrong.
        return Err(Skip(format!(
            "a mkfs.erofs that makes {name} without damage ({damaged} files)"
        )));
    }
    // Nothing is compared with nothing: each tree has this much at least.
    let least = match case.tree {
        Kind::Everything => 1_800,
        Kind::Wide => 10_000,
        Kind::Huge => 3,
        Kind::Whiteouts => 7,
    };
    assert!(kernel.0.len() >= least, "{} files", kernel.0.len());
    through::passes(name, &image);
    through::check_at_random(&image, &kernel, mounted.path());
    match case.no_fsck {
        None => compare_fsck(&made, kernel, &image),
        Some(reason) => println!("not compared with fsck.erofs: {reason}"),
    }
    Ok(())
}

/// Expects the image to have what it was made for.
fn check_features(options: &[&str], image: &Image<FileAt>) {
    let superblock = image.superblock();
    for (option, feature) in [
        ("-z", Incompat::ZERO_PADDING),
        ("--chunksize", Incompat::CHUNKED_FILE),
        ("--blobdev", Incompat::DEVICE_TABLE),
        ("ztailpacking", Incompat::ZTAILPACKING),
        ("fragments", Incompat::FRAGMENTS),
        ("dedupe", Incompat::FRAGMENTS),
        ("--xattr-prefix", Incompat::XATTR_PREFIXES),
        ("48bit", Incompat::BIT48),
        ("dot-omitted", Incompat::BIT48),
        ("-m", Incompat::METABOX),
    ] {
        let wanted = options.iter().any(|given| {
            given.starts_with(option)
                || given.strip_prefix("-E").is_some_and(|given| {
                    let mut given = given.split(',');
                    given.any(|given| given.split('=').next() == Some(option))
                })
        });
        let names: Vec<_> = superblock.incompat.names().collect();
        assert!(
            !wanted || superblock.incompat.has(feature),
            "{option} is not in the image: {names:?}"
        );
    }
}

/// How many files have another content than in the tree that the image was made from. Trees
/// that `mkfs.erofs` changes on purpose are left out.
fn unlike_source(case: &Case, kernel: &Listing) -> Result<usize, Skip> {
    if case.tree == Kind::Whiteouts || case.from == From::Images {
        return Ok(0);
    }
    let tree = Tree::get(case.tree)?;
    let source = tree.listing();
    let differ = |path: &&_| content(source, path) != content(kernel, path);
    Ok(source.0.keys().filter(differ).count())
}

/// What a regular file or a symbolic link holds.
fn content<'a>(listing: &'a Listing, path: &Bytes) -> Option<&'a Content> {
    match &listing.0.get(path)?.as_ref().ok()?.content {
        content @ (Content::File(_) | Content::Link(_)) => Some(content),
        _ => None,
    }
}

/// Expects two listings to be the same.
fn same(one_name: &str, one: &Listing, two_name: &str, two: &Listing) {
    let differences = one.differences(two);
    assert!(
        differences.is_empty(),
        "{} differences between {one_name} and {two_name}:\n{}",
        differences.len(),
        differences[..differences.len().min(6)].join("\n")
    );
}

/// Makes the image.
fn make(name: &str, case: &Case) -> Result<Made, Skip> {
    let tree = Tree::get(case.tree)?;
    let dir = Dir::new();
    let image = dir.path().join("image.erofs");
    let mut arguments: Vec<OsString> = [
        "--quiet",
        "-T1700000000",
        "-U01234567-89ab-cdef-0123-456789abcdef",
    ]
    .map(Into::into)
    .to_vec();
    if !case.options.contains(&"--all-time") {
        arguments.push("--mkfs-time".into());
    }
    arguments.extend(case.options.iter().map(Into::into));
    let mut devices = Vec::new();
    if case.blobdev {
        devices.push(dir.path().join("blob"));
        let mut argument = OsString::from("--blobdev=");
        argument.push(&devices[0]);
        arguments.push(argument);
    }
    let archive = dir.path().join("tree.tar");
    match case.from {
        From::Folder => {
            arguments.push(image.clone().into());
            arguments.push(tree.root().into());
        }
        From::Tar | From::TarBehind | From::TarDevice => {
            pack(&tree.root(), &archive)?;
            let index = case.from != From::Tar;
            arguments.push(if index { "--tar=i" } else { "--tar=f" }.into());
            arguments.push(image.clone().into());
            arguments.push(archive.clone().into());
        }
        From::Images => {
            arguments.push(image.clone().into());
            for (part, kind) in [("one", case.tree), ("two", Kind::Whiteouts)] {
                let tree = Tree::get(kind)?;
                let part = dir.path().join(part);
                let plain = ["--quiet", "-Enoinline_data", "-T1700000000"].map(OsString::from);
                let plain = plain
                    .into_iter()
                    .chain([part.clone().into(), tree.root().into()]);
                mkfs(name, plain.collect())?;
                arguments.push(part.clone().into());
                devices.push(part);
            }
        }
    }
    mkfs(name, arguments)?;
    let mut fsck_devices = Vec::new();
    match case.from {
        From::TarBehind => {
            let mut file = fs::OpenOptions::new().append(true).open(&image).unwrap();
            let mut archive_file = fs::File::open(&archive).unwrap();
            io::copy(&mut archive_file, &mut file).unwrap();
            fsck_devices.push(archive);
        }
        From::TarDevice => devices.push(archive),
        From::Folder | From::Tar | From::Images => {}
    }
    Ok(Made {
        image,
        devices,
        fsck_devices,
        _dir: dir,
    })
}

fn mkfs(name: &str, arguments: Vec<OsString>) -> Result<(), Skip> {
    let shown = format!("{arguments:?}");
    match run_for(60, "mkfs.erofs", arguments) {
        Some(output) if output.status.success() => Ok(()),
        Some(output) => {
            let said = said(&output);
            Err(Skip(format!(
                "a mkfs.erofs that makes {name} ({said}; {shown})"
            )))
        }
        None => Err(Skip(format!(
            "a mkfs.erofs that makes {name} in a minute ({shown})"
        ))),
    }
}

/// The tree as a tar archive with everything that the format can hold. Sockets are left out.
fn pack(root: &Path, to: &Path) -> Result<(), Skip> {
    let output = Command::new("tar")
        .args([
            "--format=posix",
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
        ])
        .args(["--acls", "--sort=name", "-C"])
        .arg(root)
        .arg("-cf")
        .arg(to)
        .arg(".")
        .output()
        .map_err(|error| Skip(format!("tar ({error})")))?;
    // tar says that it leaves out the socket, and succeeds.
    assert!(output.status.success(), "{}", said(&output));
    Ok(())
}

/// Extracts the image with `fsck.erofs`, and compares what a file system can hold of it.
fn compare_fsck(made: &Made, mut kernel: Listing, image: &Image<FileAt>) {
    let target = Mounted::tmpfs().unwrap_or_else(|Skip(need)| panic!("{need}"));
    let extracted = target.path().join("extracted");
    let mut extract = OsString::from("--extract=");
    extract.push(&extracted);
    let mut arguments = vec![extract, "--xattrs".into()];
    for device in made.devices.iter().chain(&made.fsck_devices) {
        let mut argument = OsString::from("--device=");
        argument.push(device);
        arguments.push(argument);
    }
    arguments.push(made.image.clone().into());
    let output = run("fsck.erofs", arguments).unwrap_or_else(|Skip(need)| panic!("{need}"));
    let said = said(&output);
    assert!(output.status.success(), "fsck.erofs: {said}");
    // It ends with success on some errors. Of those, one is no fault of the image: fsck.erofs
    // cannot take an empty xattr, and leaves out the others of that file with it.
    let mut errors = said.split(" | ").filter(|line| !line.is_empty());
    let is_quirk = |line: &str| line.contains("failed to get xattr value size of");
    assert!(errors.all(is_quirk), "fsck.erofs: {said}");
    let mut theirs = of_directory(&extracted);
    for listing in [&mut kernel, &mut theirs] {
        for entry in listing.0.values_mut().flatten() {
            if let Content::Directory(Ok((_, names))) = &mut entry.content {
                // A tmpfs has sizes, links and an order of its own for directories.
                names.clear();
                entry.size = 0;
                entry.nlink = 0;
            }
        }
    }
    for (path, entry) in &kernel.0 {
        let (Ok(entry), Some(Ok(other))) = (entry, theirs.0.get_mut(path)) else {
            continue;
        };
        if let Ok(xattrs) = &entry.xattrs
            && xattrs.values().any(|value| value.0.is_empty())
        {
            other.xattrs.clone_from(&entry.xattrs);
        }
        // It leaves out a hole at the end of a file, and the file is too short then.
        if other.size < entry.size && through::ends_in_hole(image, &path.0, other.size) {
            other.size = entry.size;
            other.content = entry.content.clone();
        }
    }
    same("the kernel", &kernel, "fsck.erofs", &theirs);
}
