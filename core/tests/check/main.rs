//! The check over images of the vectors that are damaged in every byte: it ends, never panics,
//! and what it passes can be read to its end.

#![cfg(feature = "alloc")]
#![allow(clippy::std_instead_of_alloc, reason = "this is a test")]

mod promise;

use erofs_unpack_core::check::{Level, Options, Paths, RULES, Summary, check};
use erofs_unpack_core::erofs::{Image, ReadError};
use erofs_unpack_core::oci::Policy;
use erofs_unpack_core::{Code, Limits};

use promise::{mend, read_all};

fn base(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/bases/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// Checks an image whose source cannot fail.
fn checked(image: &[u8], policy: Policy) -> Result<(Summary, Vec<Code>), Code> {
    let mut options = Options::default();
    options.level = Level::Full;
    options.policy = policy;
    let mut found = Vec::new();
    let size = image.len() as u64;
    match check(image, size, &Limits::DEFAULT, &options, &mut |finding| {
        found.push(finding.error.code());
    }) {
        Ok(summary) => Ok((summary, found)),
        Err(ReadError::Refused(error)) => Err(error.code()),
        Err(ReadError::Source(error)) => panic!("{error}"),
    }
}

/// Every byte of the first `size` bytes from the superblock on, with several values.
fn damage(name: &str, size: usize) {
    let good = base(name);
    let (summary, found) = checked(&good, Policy::Strict).unwrap();
    assert_eq!(
        (summary.passed(), found.as_slice()),
        (true, &[][..]),
        "{name}"
    );
    let end = good.len().min(1024 + size);
    let mut passed = 0;
    for at in 1024..end {
        for change in [0x01, 0x80, 0xff] {
            let mut image = good.clone();
            image[at] ^= change;
            if !(1028..1032).contains(&at) {
                mend(&mut image);
            }
            let Ok((summary, found)) = checked(&image, Policy::Any) else {
                continue;
            };
            assert_eq!(summary.errors + summary.warnings, found.len() as u64);
            // A device that is elsewhere cannot be read here.
            if summary.passed() && !found.contains(&Code::DeviceForeign) {
                passed += 1;
                let read = read_all(&image, &Limits::DEFAULT);
                assert!(
                    read.is_ok(),
                    "{name}: byte {at} ^ {change:#x} passes, and cannot be read: {read:?}"
                );
            }
        }
    }
    assert!(passed > 0, "{name}: some changes give another valid tree");
}

#[test]
fn what_passes_can_be_read() {
    damage("demo-1.erofs", 640);
    damage("demo-2.erofs", 640);
    damage("demo-3.erofs", 640);
    damage("tar-index.erofs", 1024);
}

#[test]
fn memory_and_work_have_limits() {
    let good = base("demo-1.erofs");
    let size = good.len() as u64;
    for (change, code) in [
        (
            (|limits: &mut Limits| limits.check_memory = 1000) as fn(&mut Limits),
            Code::CheckMemory,
        ),
        (|limits| limits.check_work = 100, Code::CheckWork),
        (|limits| limits.inodes = 3, Code::InodeLimit),
        (|limits| limits.directory_depth = 0, Code::DirectoryDepth),
        (
            |limits| limits.directory_entries = 3,
            Code::DirectoryEntries,
        ),
    ] {
        let mut limits = Limits::DEFAULT;
        change(&mut limits);
        let stopped = check(&good[..], size, &limits, &Options::default(), &mut |_| {});
        match stopped {
            Err(ReadError::Refused(error)) => assert_eq!(error.code(), code),
            other => panic!("{}: {other:?}", code.id()),
        }
    }
}

#[test]
fn rules_can_be_switched_off_by_their_ids_alone() {
    let mut options = Options::default();
    assert!(options.allow("dirent-order"));
    assert!(!options.allow("dirent-disorder"));
    // Not a rule, though an error: a limit is raised, not switched off.
    assert!(!options.allow("check-memory"));
    for rule in RULES {
        assert_eq!(options.allows(rule), rule.id() == "dirent-order");
    }
}

/// What is wrong with an inode is told with the path that leads to it, not to another.
#[test]
fn a_file_is_named_by_its_own_path() {
    let mut bytes = base("demo-1.erofs");
    let limits = Limits::DEFAULT;
    let paths = ["cache/stale", "etc/greeting", "etc/removed"];
    let inodes = {
        let image = Image::open(&bytes[..], bytes.len() as u64, &limits).unwrap();
        paths.map(|path| image.resolve(path.as_bytes()).unwrap().unwrap().nid)
    };
    for (nid, path) in inodes.into_iter().zip(paths) {
        let good = bytes.clone();
        let image = Image::open(&good[..], good.len() as u64, &limits).unwrap();
        let at = image.superblock().inode_offset(nid).unwrap() as usize;
        // The number of links, in either form of an inode.
        let links = if bytes[at] & 1 == 0 { 6 } else { 44 };
        bytes[at + links] = 77;
        mend(&mut bytes);
        let size = bytes.len() as u64;
        let image = Image::open(&bytes[..], size, &limits).unwrap();
        let mut options = Options::default();
        options.policy = Policy::Strict;
        let mut found = Vec::new();
        check(&bytes[..], size, &limits, &options, &mut |finding| {
            found.push(Paths::new(&image, 100).of(finding).unwrap());
        })
        .unwrap();
        assert_eq!(found, [Some(path.as_bytes().to_vec())]);
        bytes = good;
    }
}

/// Fields that the kernel or erofs-utils reads at the mount, whether anything uses them or not.
#[test]
fn what_is_read_at_the_mount_is_looked_at() {
    let good = base("demo-1.erofs");
    for (offset, bytes, code) in [
        // Prefixes of xattr names, where no xattr is; the table would start in the first bytes.
        (91, &[1_u8][..], Code::XattrPrefix),
        // A packed inode in the metabox, where fragments are not a feature.
        (96, &(1_u64 << 63).to_le_bytes(), Code::SuperblockPacked),
    ] {
        let mut image = good.clone();
        image[1024 + offset..][..bytes.len()].copy_from_slice(bytes);
        mend(&mut image);
        let (summary, found) = checked(&image, Policy::Any).unwrap();
        assert!(!summary.passed());
        assert_eq!(found, [code]);
        assert!(read_all(&image, &Limits::DEFAULT).is_ok());
    }
}
