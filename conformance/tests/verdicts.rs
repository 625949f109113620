//! The kernel and `fsck.erofs` say of the images what the flags of the cases say.

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a test"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use erofs_unpack_conformance::generate::bases::MKFS;
use erofs_unpack_conformance::manifest::{Case, Operation};
use erofs_unpack_conformance::run::Vectors;
use erofs_unpack_conformance::sieve::{fsck, kernel};

/// How long `fsck.erofs` may take. It decodes the hole of the largest file for hours.
const LIMIT: Duration = Duration::from_secs(10);
/// The kernel that was asked. Older ones do not know all features of the clean images.
const LINUX: (u32, u32) = (6, 18);

/// A process that is being started holds the open files of this one for a moment, and a mount
/// with an open file cannot be undone: so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The images without devices that are clean or have this flag, with a case of each.
fn asked<'a>(vectors: &'a Vectors, flag: &str) -> BTreeMap<PathBuf, &'a Case> {
    let mut asked = BTreeMap::new();
    for case in &vectors.manifest.cases {
        let Operation::Check(input) = &case.operation else {
            continue;
        };
        let wanted = case.has_flag(flag) || is_clean(case);
        if !wanted || input.devices > 0 {
            continue;
        }
        let erofs_unpack_conformance::blob::Content::File(file) = &input.image.content else {
            panic!("{}: no file", case.id);
        };
        asked.insert(vectors.folder.join(file), case);
    }
    assert!(asked.len() > 30, "{}", asked.len());
    asked
}

fn is_clean(case: &Case) -> bool {
    case.group() == "check-clean"
}

fn vectors() -> Vectors {
    Vectors::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")).unwrap()
}

#[test]
fn the_kernel_refuses_what_is_flagged_and_takes_what_else_is_clean() {
    let _alone = ALONE.lock();
    let vectors = vectors();
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mount-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Whether it mounts at all is asked of an image that every kernel knows.
    let small = vectors.folder.join("bases/small.erofs");
    let mounts = kernel::run(&small, &folder, false).unwrap().refused;
    if kernel::version().unwrap() < LINUX || mounts.is_some() {
        println!("skipped: needs Linux 6.18 with EROFS, and the right to mount");
        std::fs::remove_dir(&folder).unwrap();
        return;
    }
    let mut wrong = Vec::new();
    for (image, case) in asked(&vectors, "kernel-rejects") {
        let said = kernel::run(&image, &folder, false).unwrap();
        if said.refused.is_some() != case.has_flag("kernel-rejects") {
            wrong.push((&case.id, said));
        }
    }
    std::fs::remove_dir(&folder).unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn fsck_refuses_what_is_flagged_and_takes_what_else_is_clean() {
    let _alone = ALONE.lock();
    let version = std::process::Command::new("fsck.erofs").arg("-V").output();
    let number = MKFS.rsplit(' ').next().unwrap();
    let found = version.is_ok_and(|said| {
        let text = [said.stdout, said.stderr].concat();
        String::from_utf8_lossy(&text).contains(number)
    });
    if !found {
        println!("skipped: needs fsck.erofs (erofs-utils) {number}");
        return;
    }
    let vectors = vectors();
    let mut wrong = Vec::new();
    for (image, case) in asked(&vectors, "fsck-rejects") {
        // It takes a device only as a file of its own.
        if case.id == "check-clean/tar" {
            continue;
        }
        let said = fsck::run(&image, None, LIMIT).unwrap();
        if said.timed_out || said.rejected.is_some() != case.has_flag("fsck-rejects") {
            wrong.push((&case.id, said));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
