//! Damaged images: whatever a byte says, the reader ends, in bounded work, without a panic.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use erofs_unpack_core::erofs::{FileType, Image, Inode, OutOfBounds, ReadAt, ReadError};
use erofs_unpack_core::{Code, Limits};
use proptest::prelude::*;

use crate::build::{Build, ROOT, Record, dir_block};

/// Most files of a walk here.
const INODES: u64 = 2000;
/// Most reads of the source that one damaged image may cost.
const READS: usize = 200_000;

/// Bytes that count how much is read of them.
struct Metered<'a> {
    bytes: &'a [u8],
    reads: &'a Cell<usize>,
}

impl ReadAt for Metered<'_> {
    type Error = OutOfBounds;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), OutOfBounds> {
        self.reads.set(self.reads.get() + 1);
        // More than this would be an allocation that the image chose.
        assert!(buf.len() <= 1 << 16);
        self.bytes.read_at(offset, buf)
    }
}

/// An image with a device.
#[derive(Clone)]
struct Sample {
    name: &'static str,
    image: Vec<u8>,
    device: Vec<u8>,
}

/// Reads all that there is in an image, and gives the codes of all refusals.
fn explore(sample: &Sample) -> BTreeSet<&'static str> {
    let reads = Cell::new(0);
    let metered = |bytes| Metered {
        bytes,
        reads: &reads,
    };
    let mut limits = Limits::DEFAULT;
    limits.inodes = INODES;
    limits.directory_entries = 1000;
    limits.directory_depth = 12;
    limits.metadata_cache = 0;
    let mut codes = BTreeSet::new();
    let size = sample.image.len() as u64;
    match Image::open(metered(&sample.image), size, &limits) {
        Ok(mut image) => {
            image.attach(metered(&sample.device), sample.device.len() as u64);
            walk(&image, &mut codes);
        }
        Err(error) => note(&mut codes, error),
    }
    assert!(reads.get() < READS, "{} reads", reads.get());
    codes
}

/// Takes down a refusal; the source never fails within its bounds.
fn note(codes: &mut BTreeSet<&'static str>, error: ReadError<OutOfBounds>) {
    match error {
        ReadError::Refused(error) => {
            codes.insert(error.id());
        }
        ReadError::Source(error) => panic!("read beyond the end: {error}"),
    }
}

fn walk(image: &Image<Metered<'_>>, codes: &mut BTreeSet<&'static str>) {
    let mut walk = match image.walk() {
        Ok(walk) => walk,
        Err(error) => return note(codes, error),
    };
    let mut looked_at = BTreeSet::new();
    // Every step gives a file or an error; errors are about files or end a directory.
    for _ in 0..3 * INODES {
        match walk.next() {
            Ok(Some(visit)) => {
                if let Err(error) = image.resolve(visit.path) {
                    note(codes, error);
                }
                if looked_at.insert(visit.inode.nid) {
                    look(image, &visit.inode, codes);
                }
            }
            Ok(None) => return,
            Err(error) => note(codes, error),
        }
    }
    panic!("the walk does not end");
}

/// Looks at all of one inode.
fn look(image: &Image<Metered<'_>>, inode: &Inode, codes: &mut BTreeSet<&'static str>) {
    let mut noted = |result: Result<(), ReadError<OutOfBounds>>| {
        if let Err(error) = result {
            note(codes, error);
        }
    };
    noted(image.xattrs(inode).and_then(|mut xattrs| {
        while let Some(xattr) = xattrs.next()? {
            assert!(!xattr.name.contains(&0));
        }
        Ok(())
    }));
    for name in [&b"user.a"[..], b"trusted.overlay.opaque", b"user.long.x"] {
        noted(image.xattr(inode, name).map(|_| ()));
    }
    let mut buf = vec![0; 2000];
    for offset in [0, inode.size / 2, inode.size.saturating_sub(1000)] {
        noted(image.read(inode, offset, &mut buf).map(|read| {
            let left = inode.size.saturating_sub(offset);
            assert_eq!(read as u64, left.min(2000));
        }));
    }
    let mut offset = 0;
    for _ in 0..40 {
        match image.extent(inode, offset) {
            Ok(extent) if offset < inode.size => {
                let end = extent.offset + extent.length;
                assert!(extent.offset <= offset && offset < end && end <= inode.size);
                offset = end;
            }
            Ok(extent) => {
                assert_eq!((extent.offset, extent.length), (offset, 0));
                break;
            }
            Err(error) => {
                noted(Err(error));
                break;
            }
        }
    }
    match inode.file_type {
        FileType::Symlink => noted(image.read_link(inode).map(|_| ())),
        FileType::Directory => {
            for name in [&b"a"[..], b"dir", b"zzz", b"~"] {
                noted(image.lookup(inode, name).map(|_| ()));
            }
        }
        _ => {}
    }
}

/// Explores a damaged image, and says which it was when that fails.
fn survive(sample: &Sample, what: &str) -> BTreeSet<&'static str> {
    match catch_unwind(AssertUnwindSafe(|| explore(sample))) {
        Ok(codes) => codes,
        Err(_) => panic!("{}: {what}", sample.name),
    }
}

/// An image by hand, with one of each record.
fn by_hand() -> Sample {
    let mut build = Build::new(9, 24);
    // Xattr prefixes, chunks and a device table; a filter of xattr names.
    build
        .field(8, &4_u32.to_le_bytes())
        .field(80, &0x4c_u32.to_le_bytes())
        .field(44, &12_u32.to_le_bytes())
        .field(86, &1_u16.to_le_bytes())
        .field(88, &12_u16.to_le_bytes())
        .field(91, &[1])
        .field(92, &(13 * 512 / 4_u32).to_le_bytes())
        .put(12 * 128 + 64, &4_u32.to_le_bytes())
        .put(12 * 128 + 68, &24_u32.to_le_bytes())
        .put(12 * 512, &[1, 1, 2, 0, b's', b'v', b'v', 0])
        .put(13 * 512, &[6, 0, 1, b'l', b'o', b'n', b'g', b'.']);
    build.root(&[
        (b".", ROOT),
        (b"..", ROOT),
        (b"a", 64),
        (b"chunks", 80),
        (b"dir", 56),
        (b"flat", 84),
        (b"link", 76),
        (b"pipe", 88),
    ]);
    // A directory of two blocks, the second one inline.
    let mut first: Vec<Vec<u8>> = (0..20).map(|n| format!("entry-{n:02}").into()).collect();
    let last = first.split_off(17);
    let entries = |names: &[Vec<u8>]| {
        let entries: Vec<(&[u8], u64)> = names.iter().map(|name| (&name[..], 64)).collect();
        dir_block(&entries)
    };
    let tail = entries(&last);
    build
        .put(14 * 512, &entries(&first))
        .inode(56, Record::new(2, 0o4_0755, 512 + tail.len() as u64, 14))
        .put(56 * 32 + 64, &tail);
    // A file with content and xattrs: behind the inode, shared, with a long prefix.
    let area = [
        &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &[1, 1, 1, 0, b'a', b'1', 0, 0],
        &[1, 0x80, 2, 0, b'x', b'y', b'z', 0],
    ]
    .concat();
    let mut record = Record::new(2, 0o10_0644, 11, u32::MAX);
    record.xattr_count = ((area.len() - 8) / 4) as u16;
    build
        .inode(64, record)
        .put(64 * 32 + 64, &area)
        .put(64 * 32 + 64 + area.len(), b"hello world");
    build.inline(76, 0o12_0777, b"dir/entry-03");
    build.inode(80, Record::new(4, 0o10_0644, 3 * 512 - 5, 0x20));
    for (index, block) in [
        [0, 0, 0, 0, 15, 0, 0, 0],
        [0, 0, 1, 0, 2, 0, 0, 0],
        [0xff; 8],
    ]
    .iter()
    .enumerate()
    {
        build.put(80 * 32 + 64 + index * 8, block);
    }
    build.inode(84, Record::new(0, 0o10_0600, 1000, 16));
    build.inode(88, Record::new(0, 0o01_0600, 0, 0));
    Sample {
        name: "by hand",
        image: build.bytes,
        device: vec![7; 4 * 512],
    }
}

#[test]
fn the_image_by_hand_is_whole() {
    assert_eq!(explore(&by_hand()), BTreeSet::new());
}

/// Sets every byte of an image up to `end` to the values that `values` gives for it, and gives
/// all refusals.
fn every_byte(
    sample: &Sample,
    end: usize,
    values: impl Fn(usize, u8) -> Vec<u8>,
) -> BTreeSet<&'static str> {
    let mut codes = BTreeSet::new();
    let mut damaged = sample.clone();
    // The UUID and the name of the volume mean nothing to the reader.
    for at in (1024..end).filter(|at| !(1024 + 48..1024 + 80).contains(at)) {
        let good = sample.image[at];
        let mut values = values(at, good);
        values.sort_unstable();
        values.dedup();
        for value in values.into_iter().filter(|value| *value != good) {
            damaged.image[at] = value;
            codes.extend(survive(&damaged, &format!("byte {at} is {value}")));
        }
        damaged.image[at] = good;
    }
    codes
}

/// Values for a byte; fewer for the zeros that most bytes are.
fn several(_at: usize, good: u8) -> Vec<u8> {
    if good == 0 {
        vec![1, 0xff]
    } else {
        vec![0, 0xff, good ^ 1, good ^ 0x80, good.wrapping_add(1)]
    }
}

#[test]
fn every_byte_of_an_image_by_hand() {
    let sample = by_hand();
    let codes = every_byte(&sample, 15 * 512, several);
    // The damage reached all sorts of records.
    for code in [
        Code::InodeOffset,
        Code::InodeLayout,
        Code::InodeMode,
        Code::DirentTable,
        Code::DirentName,
        Code::DirectoryLoop,
        Code::FileBounds,
        Code::InlineBounds,
        Code::XattrHeader,
        Code::XattrEntry,
        Code::XattrName,
        Code::XattrPrefix,
        Code::MetadataBounds,
    ] {
        assert!(
            codes.contains(code.id()),
            "{} is not in {codes:?}",
            code.id()
        );
    }
}

#[test]
fn an_image_that_ends_anywhere() {
    let sample = by_hand();
    for end in 0..sample.image.len() {
        let mut cut = sample.clone();
        cut.image.truncate(end);
        survive(&cut, &format!("{end} bytes"));
    }
}

/// Damages images of `mkfs.erofs` byte by byte.
#[cfg(target_os = "linux")]
fn damage_mkfs(values: impl Fn(usize, u8) -> Vec<u8>) {
    let cases: [(&'static str, &[&str]); 5] = [
        ("default", &["-b512"]),
        ("chunks", &["-b512", "--chunksize=512"]),
        ("48bit", &["-b512", "-Edot-omitted", "--chunksize=1024"]),
        (
            "xattrs",
            &[
                "-b512",
                "-x1",
                "-Exattr-name-filter",
                "--xattr-prefix=user.long.",
            ],
        ),
        ("plain", &["-b1024", "-E^inline_data"]),
    ];
    for (name, options) in cases {
        let Some(image) = crate::mkfs::small(options) else {
            return;
        };
        let sample = Sample {
            name,
            image,
            device: Vec::new(),
        };
        assert_eq!(explore(&sample), BTreeSet::new(), "{name}");
        every_byte(&sample, sample.image.len().min(6 << 10), &values);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn bits_here_and_there_of_images_of_mkfs() {
    // A third of the bytes and one bit of each; the test below does them all.
    damage_mkfs(|at, good| {
        vec![if at % 3 == 0 {
            good ^ 1 << (at % 8)
        } else {
            good
        }]
    });
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes minutes"]
fn every_bit_of_images_of_mkfs() {
    damage_mkfs(|_, good| {
        let mut values: Vec<u8> = (0..8).map(|bit| good ^ 1 << bit).collect();
        values.extend([0, 0xff, good.wrapping_add(1)]);
        values
    });
}

proptest! {
    #[test]
    fn many_bytes_at_once(
        damage in prop::collection::vec((1024_usize..15 * 512, any::<u8>()), 1..40)
    ) {
        let mut sample = by_hand();
        for (at, value) in damage {
            // The superblock seldom survives more than one blow.
            if at >= 1152 {
                sample.image[at] = value;
            }
        }
        explore(&sample);
    }
}
