//! The zstd form behind its headers: blocks, sizes, what follows a frame, where it can be cut.

use erofs_unpack_core::{At, Code};

use super::super::bases::Bases;
use super::super::suite::{Suite, Wire};
use super::super::zstd::{self, COMPRESSED, Header, MAGIC, RAW, RESERVED, RLE};
use super::zstd::{FRAME, SMALL, refused};

/// What blocks are read by.
const BLOCK: (&str, &str) = ("rfc8878", "3.1.1.2 Blocks");

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let image = bases.get("small.erofs");
    blocks(suite, image);
    sizes(suite, image);
    trailing(suite, image);
    legacy(suite);
    truncated(suite, image);
    flips(suite, bases);
}

fn blocks(suite: &mut Suite, image: &[u8]) {
    let header = Header::PLAIN.bytes();
    let first = zstd::block(false, RAW, 1500, &image[..1500]);
    let start = (header.len() + first.len()) as u64;
    let last = zstd::blocks(&image[1500..], true);
    let with = |block: Vec<u8>| [&header[..], &first, &block, &last].concat();
    let compressed = |body: &[u8]| zstd::block(false, COMPRESSED, body.len(), body);
    let content = ("rfc8878", "3.1.1.3 Compressed Blocks");
    for (id, description, block, source, code) in [
        (
            "block-reserved",
            "A block is of the reserved type.",
            zstd::block(false, RESERVED, 0, &[]),
            BLOCK,
            Code::ZstdBlockType,
        ),
        (
            "block-size-raw",
            "A raw block has a byte more than 128 KiB.",
            zstd::block(false, RAW, zstd::BLOCK + 1, &[]),
            BLOCK,
            Code::ZstdBlockSize,
        ),
        (
            "block-size-rle",
            "An RLE block stands for a byte more than 128 KiB.",
            zstd::block(false, RLE, zstd::BLOCK + 1, &[0]),
            BLOCK,
            Code::ZstdBlockSize,
        ),
        (
            "block-size-largest",
            "A block has the largest size there is, 2 MiB less a byte.",
            zstd::block(false, COMPRESSED, (1 << 21) - 1, &[]),
            BLOCK,
            Code::ZstdBlockSize,
        ),
        (
            "block-empty",
            "A compressed block has no bytes, not even a header of literals.",
            compressed(&[]),
            content,
            Code::ZstdBlock,
        ),
        (
            "block-literals-short",
            "The literals of a compressed block are longer than the block.",
            compressed(&[40 << 3, 0]),
            content,
            Code::ZstdBlock,
        ),
        (
            "block-literals-treeless",
            "Literals use the Huffman tree of a block before, and there was none.",
            compressed(&[0x03, 0x40, 0x00, 0x01, 0x00]),
            content,
            Code::ZstdBlock,
        ),
        (
            "block-sequences-missing",
            "A compressed block ends after its literals.",
            compressed(&[1 << 3, 0]),
            content,
            Code::ZstdBlock,
        ),
        (
            "block-sequences-repeat",
            "Sequences use the tables of a block before, and there were none.",
            compressed(&[1 << 3, 0, 1, 0xfc, 1]),
            content,
            Code::ZstdBlock,
        ),
        (
            "block-sequences-reserved",
            "The reserved bits of the modes of the sequences' codes are set.",
            compressed(&[1 << 3, 0, 1, 0x01, 1]),
            content,
            Code::ZstdBlock,
        ),
    ] {
        refused(
            suite,
            (id, description, "zstd/no-checksum"),
            &with(block),
            source,
            code,
            start,
        );
    }
    // A window of 1 KiB bounds blocks too.
    let header = Header {
        window: Some(0),
        ..Header::PLAIN
    }
    .bytes();
    let at = header.len() as u64;
    refused(
        suite,
        (
            "block-over-window",
            "A block is larger than the frame's window.",
            "zstd/no-checksum",
        ),
        &[header, zstd::block(true, RAW, image.len(), image)].concat(),
        BLOCK,
        Code::ZstdBlockSize,
        at,
    );
}

fn sizes(suite: &mut Suite, image: &[u8]) {
    let source = ("rfc8878", "3.1.1.1.4 Frame Content Size");
    for (id, description, size) in [
        (
            "content-size-less",
            "The frame declares a byte less than it holds.",
            4095,
        ),
        (
            "content-size-more",
            "The frame declares a byte more than it holds.",
            4097,
        ),
        ("content-size-zero", "The frame declares no content.", 0),
        (
            "content-size-huge",
            "The frame declares 2^64 - 1 bytes.",
            u64::MAX,
        ),
    ] {
        let header = Header {
            content: (size, 8),
            ..Header::PLAIN
        };
        refused(
            suite,
            (id, description, SMALL),
            &zstd::frame(&header, image),
            source,
            Code::ZstdContentSize,
            0,
        );
    }
    let mut blob = zstd::wrap(image);
    let checksum = blob.len() - 4;
    blob[checksum] ^= 1;
    refused(
        suite,
        ("checksum", "The checksum of the content is wrong.", SMALL),
        &blob,
        FRAME,
        Code::ZstdChecksum,
        checksum as u64,
    );
}

fn trailing(suite: &mut Suite, image: &[u8]) {
    let plain = zstd::wrap(image);
    let end = plain.len() as u64;
    let skippable = zstd::skippable(0, 8, b"short");
    for (id, description, bytes, code) in [
        (
            "trailing-zero",
            "A zero byte follows the frame.",
            &[0][..],
            Code::ZstdMagic,
        ),
        (
            "trailing-byte",
            "A byte follows the frame.",
            b"x",
            Code::ZstdMagic,
        ),
        (
            "trailing-zeros",
            "A block of zeros follows the frame, as gzip would take.",
            &[0; 512],
            Code::ZstdMagic,
        ),
        (
            "trailing-text",
            "A text follows the frame.",
            b"the end\n",
            Code::ZstdMagic,
        ),
        (
            "trailing-gzip",
            "The magic of gzip follows the frame.",
            &[0x1f, 0x8b, 8, 0],
            Code::ZstdMagic,
        ),
        (
            "trailing-magic",
            "Three bytes of a magic follow the frame.",
            &MAGIC[..3],
            Code::ZstdTruncated,
        ),
        (
            "trailing-skippable",
            "The skippable frame that follows is cut off.",
            &skippable,
            Code::ZstdTruncated,
        ),
    ] {
        let blob = [&plain[..], bytes].concat();
        refused(suite, (id, description, SMALL), &blob, FRAME, code, end);
    }
    let draft = suite.layer(
        "zstd/trailing-image",
        "Another image follows as another frame.",
        Wire::Zstd,
        &plain.repeat(2),
    );
    suite.add(
        draft
            .demand("erofs-image-spec", "3.2 Raw EROFS Filesystem Image")
            .differs_from(SMALL)
            .refused(Code::ImageTrailing, At::Image(4096)),
    );
    let only = zstd::skippable(0, 5, b"hello");
    let draft = suite.layer(
        "zstd/skippable-only",
        "There is nothing but a skippable frame, and so no image.",
        Wire::Zstd,
        &only,
    );
    suite.add(
        draft
            .demand(FRAME.0, FRAME.1)
            .differs_from("zstd/skippable-before")
            .refused(Code::ContentEmpty, At::Image(0)),
    );
}

fn legacy(suite: &mut Suite) {
    for version in 2..=7_u8 {
        let blob = [&[0x20 + version][..], &[0xb5, 0x2f, 0xfd], &[0; 16]].concat();
        refused(
            suite,
            (
                &format!("legacy-{version}"),
                &format!("The frame is of the format 0.{version}, from before the RFC."),
                "zstd/no-checksum",
            ),
            &blob,
            ("zstd", "lib/legacy"),
            Code::ZstdLegacy,
            0,
        );
    }
    let blob = [&[0xfd, 0x2f, 0xb5, 0x1e][..], &[0; 16]].concat();
    refused(
        suite,
        (
            "legacy-1",
            "The frame is of the format 0.1, whose magic has the other byte order.",
            "zstd/no-checksum",
        ),
        &blob,
        ("zstd", "lib/legacy"),
        Code::ZstdMagic,
        0,
    );
}

/// A frame cut off at every boundary of its structure. The error is where the structure begins
/// that is cut.
fn truncated(suite: &mut Suite, image: &[u8]) {
    let blob = zstd::wrap(image);
    let header = 14;
    let first = u64::from(blob[header] >> 3) | u64::from(blob[header + 1]) << 5;
    // An RLE block of the zeros before the superblock, then what is not zeros.
    assert_eq!((blob[header] >> 1 & 3, first), (1, 1024));
    let raw = header + 4;
    let raw_size = usize::from(blob[raw] >> 3) | usize::from(blob[raw + 1]) << 5;
    let end = blob.len();
    let last = end - 8;
    for (id, what, size, at) in [
        ("empty", "at its start", 0, 0),
        ("magic", "inside the magic", 3, 0),
        ("descriptor", "after the magic", 4, 0),
        ("header", "inside the frame header", 5, 0),
        (
            "header-end",
            "before the last byte of the frame header",
            header - 1,
            0,
        ),
        (
            "block",
            "where the first block should begin",
            header,
            header,
        ),
        (
            "block-header",
            "inside the first block's header",
            header + 2,
            header,
        ),
        (
            "block-body",
            "after the first block's header",
            header + 3,
            header,
        ),
        (
            "second-block",
            "where the second block should begin",
            raw,
            raw,
        ),
        (
            "raw-body",
            "inside the content of a raw block",
            raw + 3 + raw_size / 2,
            raw,
        ),
        (
            "raw-body-end",
            "before the last byte of a raw block",
            raw + 2 + raw_size,
            raw,
        ),
        (
            "last-block",
            "where the last block should begin",
            last,
            last,
        ),
        (
            "last-block-body",
            "after the last block's header",
            last + 3,
            last,
        ),
        (
            "checksum",
            "where the checksum should begin",
            end - 4,
            end - 4,
        ),
        (
            "checksum-inside",
            "before the last byte of the checksum",
            end - 1,
            end - 4,
        ),
    ] {
        refused(
            suite,
            (
                &format!("truncated-{id}"),
                &format!("The blob ends {what}."),
                SMALL,
            ),
            &blob[..size],
            FRAME,
            Code::ZstdTruncated,
            at as u64,
        );
    }
    let skippable = [zstd::skippable(3, 5, b"hello"), blob].concat();
    for (id, what, size) in [
        (
            "skippable-magic",
            "inside the magic of a skippable frame",
            2,
        ),
        ("skippable-size", "inside the size of a skippable frame", 6),
        ("skippable-body", "inside a skippable frame", 12),
    ] {
        refused(
            suite,
            (
                &format!("truncated-{id}"),
                &format!("The blob ends {what}."),
                "zstd/skippable-before",
            ),
            &skippable[..size],
            ("rfc8878", "3.1.2 Skippable Frames"),
            Code::ZstdTruncated,
            0,
        );
    }
}

/// Single bits changed in what zstd(1) wrote, one in each structure.
fn flips(suite: &mut Suite, bases: &Bases) {
    let blob = bases.get("small.erofs.zst");
    let compressed = "zstd/compressed";
    // Magic, descriptor, two bytes of content size; then the only block.
    let (header, end) = (7, blob.len());
    assert_eq!(blob[4], 0x64);
    for (id, description, at, bit, code, place) in [
        ("flip-magic", "the magic", 0, 0, Code::ZstdMagic, 0),
        (
            "flip-magic-legacy",
            "the magic, which then is that of an older format",
            0,
            1,
            Code::ZstdMagic,
            0,
        ),
        (
            "flip-reserved",
            "the descriptor, where the reserved bit is",
            4,
            3,
            Code::ZstdReserved,
            0,
        ),
        (
            "flip-content-size",
            "the content size",
            5,
            0,
            Code::ZstdContentSize,
            0,
        ),
        (
            "flip-block-type",
            "the block's type, so that it is the reserved one",
            header,
            1,
            Code::ZstdBlockType,
            header,
        ),
        (
            "flip-literals",
            "the type of the literals, so that they have no tree",
            header + 3,
            0,
            Code::ZstdBlock,
            header,
        ),
        (
            "flip-checksum",
            "the checksum",
            end - 1,
            7,
            Code::ZstdChecksum,
            end - 4,
        ),
    ] {
        let mut flipped = blob.to_vec();
        flipped[at] ^= 1 << bit;
        // The type is 2: its higher bit is set, and the lower one makes it 3.
        refused(
            suite,
            (
                id,
                &format!("A bit is changed in what a program wrote, in {description}."),
                compressed,
            ),
            &flipped,
            FRAME,
            code,
            place as u64,
        );
    }
}
