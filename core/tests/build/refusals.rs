//! What an image cannot hold, limits, and content that does not come as it was told.

use core::convert::Infallible;

use crate::support::{Kind, Memory, build, build_in, code, directory, file, told, tree};
use erofs_unpack_core::build::{BuildError, Builder, Entry, EntryKind, Options, TarBuilder};
use erofs_unpack_core::{At, Code, Error, Limits};

#[test]
fn xattrs_have_their_limits() {
    let with = |name: &str, length: usize| {
        let mut entry = file("f", b"x");
        entry.xattrs = vec![(name.into(), vec![b'v'; length])];
        entry
    };
    assert_eq!(
        tree(&[with("user.x", 65_535)])["f"].xattrs["user.x"].len(),
        65_535
    );
    assert_eq!(code(&[with("user.x", 65_536)]), Code::BuildXattr);
    let long = format!("user.{}", "n".repeat(250));
    assert_eq!(tree(&[with(&long, 1)])["f"].xattrs[&long], b"v");
    assert_eq!(code(&[with(&format!("{long}n"), 1)]), Code::BuildXattr);
    assert_eq!(code(&[with("user.", 1)]), Code::BuildXattr);
    assert_eq!(code(&[with("user.a\0b", 1)]), Code::BuildXattr);
    // Many large ones: what the inode cannot hold lies in the shared area.
    let mut many = file("f", b"x");
    many.xattrs = (0..20)
        .map(|number| (format!("user.{number}").into_bytes(), vec![number; 60_000]))
        .collect();
    assert_eq!(tree(&[many])["f"].xattrs.len(), 20);
}

#[test]
fn what_has_no_prefix_is_left_out_and_counted() {
    let mut entry = file("f", b"x");
    entry.xattrs = vec![
        (b"btrfs.compression".to_vec(), b"zstd".to_vec()),
        (b"security.capability".to_vec(), b"c".to_vec()),
        (b"security.capability".to_vec(), b"last".to_vec()),
    ];
    let (image, summary) = build_in(&[entry], &Options::DEFAULT, &Limits::DEFAULT, 10).unwrap();
    assert_eq!(summary.dropped_xattrs, 1);
    let tree = crate::support::read(&image);
    assert_eq!(tree["f"].xattrs["security.capability"], b"last");
}

#[test]
fn devices_have_their_limits() {
    let tree = tree(&[
        told("c", Kind::Char(0xfff, 0xf_ffff)),
        told("b", Kind::Block(8, 257)),
        told("p", Kind::Fifo),
        told("s", Kind::Socket),
    ]);
    assert_eq!(tree["c"].device, Some((0xfff, 0xf_ffff)));
    assert_eq!(tree["b"].device, Some((8, 257)));
    assert_eq!(code(&[told("c", Kind::Char(0x1000, 0))]), Code::BuildDevice);
    assert_eq!(
        code(&[told("c", Kind::Char(0, 0x10_0000))]),
        Code::BuildDevice
    );
}

#[test]
fn limits_are_kept() {
    let limited = |limits: &Limits| {
        let entries = [directory("a"), file("a/f", &[1; 10_000]), file("a/g", b"")];
        build_in(&entries, &Options::DEFAULT, limits, 100).map(drop)
    };
    let mut limits = Limits::DEFAULT;
    limits.inodes = 4;
    limits.directory_entries = 2;
    limits.directory_depth = 1;
    limits.image_size = 4 * 4096 + 4096;
    limited(&limits).unwrap();
    for (limit, expected) in [
        (
            &mut (|limits: &mut Limits| limits.inodes = 3) as &mut dyn FnMut(&mut Limits),
            Code::InodeLimit,
        ),
        (
            &mut |limits: &mut Limits| limits.directory_entries = 1,
            Code::DirectoryEntries,
        ),
        (
            &mut |limits: &mut Limits| limits.directory_depth = 0,
            Code::DirectoryDepth,
        ),
        (
            &mut |limits: &mut Limits| limits.image_size = 4 * 4096,
            Code::ImageLimit,
        ),
        (
            &mut |limits: &mut Limits| limits.image_size = 4096,
            Code::ImageLimit,
        ),
    ] {
        let mut narrower = limits;
        limit(&mut narrower);
        assert_eq!(limited(&narrower).unwrap_err().code(), expected);
    }
    // Names, targets and attributes count, and what was replaced too.
    let many = |limits: &Limits, kind: fn(u8) -> Kind| {
        let entries: Vec<_> = (0..100).map(|number| told("f", kind(number))).collect();
        build_in(&entries, &Options::DEFAULT, limits, 100).map(drop)
    };
    limits = Limits::DEFAULT;
    limits.build_memory = 100_000;
    many(&limits, |_| Kind::Fifo).unwrap();
    let target = |number| Kind::Symlink(vec![b'a' + number % 26; 2000]);
    assert_eq!(many(&limits, target).unwrap_err().code(), Code::BuildMemory);
    let holes = |_| Kind::Sparse(1 << 30, (0..50).map(|at| (at << 20, vec![1])).collect());
    assert_eq!(many(&limits, holes).unwrap_err().code(), Code::BuildMemory);
    let options = Options {
        block_bits: 17,
        ..Options::DEFAULT
    };
    assert_eq!(
        build(&[], &options).unwrap_err().code(),
        Code::SuperblockBlockSize
    );
}

/// A builder that has been told of a file of ten bytes.
fn begun() -> Builder<Memory> {
    let mut builder = Builder::new(Memory::default(), &Options::DEFAULT, &Limits::DEFAULT).unwrap();
    builder.entry(&entry(10)).unwrap();
    builder
}

fn entry(size: u64) -> Entry<'static> {
    Entry {
        path: b"f",
        kind: EntryKind::File {
            size,
            extents: None,
        },
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        xattrs: &[],
        at: At::Blob(7),
    }
}

fn refused<T: core::fmt::Debug>(result: Result<T, BuildError<Infallible>>) -> Code {
    match result.unwrap_err() {
        BuildError::Refused(error) => error.code(),
        BuildError::Output(never) => match never {},
    }
}

#[test]
fn content_comes_as_it_was_told() {
    assert_eq!(refused(begun().content(0, &[0; 11])), Code::BuildContent);
    assert_eq!(refused(begun().content(1, &[0; 9])), Code::BuildContent);
    let mut builder = begun();
    builder.content(0, &[0; 9]).unwrap();
    assert_eq!(refused(builder.finish(None)), Code::BuildContent);
    let mut builder = begun();
    assert_eq!(refused(builder.entry(&entry(0))), Code::BuildContent);
    let mut builder = begun();
    builder.content(0, &[0; 10]).unwrap();
    builder.entry(&entry(0)).unwrap();
    assert_eq!(refused(builder.content(0, &[0])), Code::BuildContent);
    let mut builder = begun();
    assert_eq!(refused(builder.entry(&entry(1 << 63))), Code::BuildContent);
    let mut empty = Builder::new(Memory::default(), &Options::DEFAULT, &Limits::DEFAULT).unwrap();
    assert_eq!(refused(empty.content(0, &[0])), Code::BuildContent);
    assert_eq!(refused(empty.entry(&entry(1 << 63))), Code::InodeSize);
}

#[test]
fn what_starts_with_zeros_is_no_archive_without_members() {
    // As an image of a disk, or of a file system, does.
    let mut disk = vec![0; 4096];
    disk[1030] = 0xe0;
    let empty = vec![0; 10_240];
    for cut in [1, 7, 512, 1024, 1025, 4096, 10_240] {
        let made = |archive: &[u8]| {
            let mut builder =
                TarBuilder::new(Memory::default(), &Options::DEFAULT, &Limits::DEFAULT).unwrap();
            for piece in archive.chunks(cut) {
                builder.push(piece, &mut |_| true)?;
            }
            builder.finish(None).map(drop)
        };
        let refused = Error::new(Code::TarTruncated, At::Archive(1030));
        assert_eq!(made(&disk), Err(BuildError::Refused(refused)), "{cut}");
        assert_eq!(made(&empty), Ok(()), "{cut}");
    }
}
