//! Damaged images: whatever a byte says, the reader ends, in bounded work, without a panic.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use erofs_unpack_core::Code;
use proptest::prelude::*;

use crate::build::{Build, ROOT, Record, dir_block};
use crate::explore::{Sample, explore};

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
    let cases: [(&'static str, &[&str]); 7] = [
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
        ("lz4", &["-b512", "-zlz4", "-C2048", "-Eztailpacking"]),
        ("fragments", &["-b512", "-zdeflate", "-Efragments"]),
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
