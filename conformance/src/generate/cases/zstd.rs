//! The zstd form: frames, their headers, windows, and limits.

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::bases::Bases;
use super::super::suite::{Suite, Wire};
use super::super::zstd::{self, Header};
use super::wires::outputs;

pub(super) const FRAME: (&str, &str) = ("rfc8878", "3.1.1 Zstandard Frames");
pub(super) const SMALL: &str = "image/small/zstd";

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let image = bases.get("small.erofs");
    valid(suite, image);
    match_across_blocks(suite, image);
    headers(suite, image);
    windows(suite, image);
    frames(suite, image);
}

/// A compressed block without literals: one match of 512 bytes, 512 bytes back, with codes that are
/// each the only one (section 3.1.1.3.2). The extra bits of offset (3 of 9) and length (253 of 8)
/// are read from the highest on, behind a one.
const MATCH: [u8; 9] = [0, 1, 0b01_01_01_00, 0, 9, 44, 0xfd, 0x03, 0x02];

/// A block that needs what a decoder has given out already.
fn match_across_blocks(suite: &mut Suite, image: &[u8]) {
    let mut image = image.to_vec();
    // What is before the superblock is free.
    for (place, byte) in image.iter_mut().take(1024).enumerate() {
        *byte = (place % 512 / 3) as u8;
    }
    let blob = [
        Header::PLAIN.bytes(),
        zstd::block(false, zstd::RAW, 512, &image[..512]),
        zstd::block(false, zstd::COMPRESSED, MATCH.len(), &MATCH),
        zstd::blocks(&image[1024..], true),
    ]
    .concat();
    let description = "A match reaches back into the block before.";
    let draft = suite.layer("zstd/match-across-blocks", description, Wire::Zstd, &blob);
    suite.add(
        draft
            .demand("rfc8878", "3.1.1.4 Sequence Execution")
            .valid(outputs(&image, 1)),
    );
}

fn valid(suite: &mut Suite, image: &[u8]) {
    let (first, second) = image.split_at(1500);
    let plain = zstd::wrap(image);
    let sized = |length| Header {
        content: (4096, length),
        ..Header::PLAIN
    };
    for (id, description, blob) in [
        (
            "no-checksum",
            "The frame has neither checksum nor content size.",
            zstd::frame(&Header::PLAIN, image),
        ),
        (
            "content-size-2",
            "The content size has two bytes, which count from 256.",
            zstd::frame(&sized(2), image),
        ),
        (
            "content-size-4",
            "The content size has four bytes.",
            zstd::frame(&sized(4), image),
        ),
        (
            "single-segment",
            "The frame is a single segment: its window is its content.",
            zstd::frame(
                &Header {
                    window: None,
                    ..sized(4)
                },
                image,
            ),
        ),
        (
            "dictionary-zero",
            "The frame has room for a dictionary's id, which is 0: none.",
            zstd::frame(
                &Header {
                    dictionary: (0, 4),
                    ..Header::PLAIN
                },
                image,
            ),
        ),
        (
            "frames",
            "The image is cut into two frames.",
            [zstd::wrap(first), zstd::wrap(second)].concat(),
        ),
        (
            "frame-empty",
            "An empty frame stands between the frames.",
            [zstd::wrap(first), zstd::wrap(b""), zstd::wrap(second)].concat(),
        ),
        (
            "skippable-before",
            "A skippable frame stands before the frame.",
            [zstd::skippable(0, 5, b"hello"), plain.clone()].concat(),
        ),
        (
            "skippable-between",
            "A skippable frame stands between the frames.",
            [
                zstd::wrap(first),
                zstd::skippable(15, 0, b""),
                zstd::wrap(second),
            ]
            .concat(),
        ),
        (
            "skippable-after",
            "A skippable frame follows the frame, as a chunk index does.",
            [plain.clone(), zstd::skippable(14, 5, b"hello")].concat(),
        ),
    ] {
        let draft = suite.layer(&format!("zstd/{id}"), description, Wire::Zstd, &blob);
        suite.add(draft.demand(FRAME.0, FRAME.1).valid(outputs(image, 1)));
    }
}

/// Adds a refused case.
pub(super) fn refused(
    suite: &mut Suite,
    (id, description, positive): (&str, &str, &str),
    blob: &[u8],
    source: (&str, &str),
    code: Code,
    at: u64,
) {
    let draft = suite.layer(&format!("zstd/{id}"), description, Wire::Zstd, blob);
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from(positive)
            .refused(code, At::Blob(at)),
    );
}

fn headers(suite: &mut Suite, image: &[u8]) {
    for (id, description, dictionary) in [
        (
            "dictionary",
            "The frame names a dictionary, by one byte.",
            (1, 1),
        ),
        (
            "dictionary-2",
            "The frame names a dictionary, by two bytes.",
            (0x100, 2),
        ),
        (
            "dictionary-4",
            "The frame names a dictionary, by four bytes.",
            (0x8000_0000, 4),
        ),
    ] {
        let header = Header {
            dictionary,
            ..Header::PLAIN
        };
        refused(
            suite,
            (id, description, "zstd/dictionary-zero"),
            &zstd::frame(&header, image),
            ("rfc8878", "3.1.1.1.3 Dictionary_ID"),
            Code::ZstdDictionary,
            0,
        );
    }
    let header = Header {
        reserved: true,
        ..Header::PLAIN
    };
    refused(
        suite,
        (
            "reserved",
            "The reserved bit of the frame header is set.",
            "zstd/no-checksum",
        ),
        &zstd::frame(&header, image),
        ("rfc8878", "3.1.1.1.1.4 Reserved_Bit"),
        Code::ZstdReserved,
        0,
    );
    // In the second frame, so that the place is not the blob's start.
    let (first, second) = image.split_at(1500);
    let before = zstd::wrap(first);
    let header = Header {
        dictionary: (7, 1),
        ..Header::PLAIN
    };
    refused(
        suite,
        (
            "dictionary-second-frame",
            "The second frame names a dictionary.",
            "zstd/frames",
        ),
        &[before.clone(), zstd::frame(&header, second)].concat(),
        ("rfc8878", "3.1.1.1.3 Dictionary_ID"),
        Code::ZstdDictionary,
        before.len() as u64,
    );
}

fn windows(suite: &mut Suite, image: &[u8]) {
    let source = ("rfc8878", "3.1.1.1.2 Window Descriptor");
    let windowed = |descriptor| {
        let header = Header {
            window: Some(descriptor),
            ..Header::PLAIN
        };
        zstd::frame(&header, image)
    };
    // The exponent counts from 10; 8 MiB are 13 more.
    let draft = suite.layer(
        "zstd/window-at-limit",
        "The window has 8 MiB, which every decoder should support.",
        Wire::Zstd,
        &windowed(13 << 3),
    );
    suite.add(draft.demand(source.0, source.1).valid(outputs(image, 1)));
    let draft = suite.layer(
        "zstd/window-raised",
        "The window has 9 MiB, and the limit 16.",
        Wire::Zstd,
        &windowed(13 << 3 | 1),
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .limits(|limits| limits.zstd_window = Some(16 << 20))
            .valid(outputs(image, 1)),
    );
    for (id, description, descriptor) in [
        (
            "window",
            "The window has 9 MiB, an eighth above the limit.",
            13 << 3 | 1,
        ),
        (
            "window-2-gib",
            "The window has 2 GiB, more than `zstd -d` takes.",
            21 << 3,
        ),
        (
            "window-largest",
            "The window is the largest there is: 3.75 TiB.",
            0xff,
        ),
    ] {
        refused(
            suite,
            (id, description, "zstd/window-at-limit"),
            &windowed(descriptor),
            source,
            Code::ZstdWindow,
            0,
        );
    }
    let segment = |size: u64| {
        let header = Header {
            window: None,
            content: (size, 8),
            ..Header::PLAIN
        };
        [header.bytes(), zstd::blocks(image, true)].concat()
    };
    for (id, description, size) in [
        (
            "window-single-segment",
            "A single segment declares a content of a byte above the limit.",
            (8 << 20) + 1,
        ),
        (
            "window-single-segment-largest",
            "A single segment declares a content of 2^64 - 1 bytes.",
            u64::MAX,
        ),
    ] {
        refused(
            suite,
            (id, description, "zstd/single-segment"),
            &segment(size),
            source,
            Code::ZstdWindow,
            0,
        );
    }
    let draft = suite.layer(
        "zstd/window-limit",
        "The window has 128 KiB, and the limit a byte less.",
        Wire::Zstd,
        &zstd::frame(&Header::PLAIN, image),
    );
    suite.add(
        draft
            .demand("security", "Limits")
            .differs_from("zstd/no-checksum")
            .limits(|limits| limits.zstd_window = Some((128 << 10) - 1))
            .refused(Code::ZstdWindow, At::Blob(0)),
    );
}

fn frames(suite: &mut Suite, image: &[u8]) {
    let source = ("security", "Limits");
    let empty = zstd::wrap(b"");
    let blob = [empty.clone(), zstd::skippable(0, 0, b""), zstd::wrap(image)].concat();
    let draft = suite.layer(
        "zstd/frames-limit",
        "There are three frames, a skippable one among them, where the limit is two.",
        Wire::Zstd,
        &blob,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from("zstd/frames-at-limit")
            .limits(|limits| limits.frames = Some(2))
            .refused(Code::FrameLimit, At::Blob(empty.len() as u64 + 8)),
    );
    let draft = suite.layer(
        "zstd/frames-at-limit",
        "There are as many frames as the limit allows.",
        Wire::Zstd,
        &blob,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .limits(|limits| limits.frames = Some(3))
            .valid(json!({ "imageSize": image.len() })),
    );
    let skippable = [
        zstd::skippable(0, 60, &[0; 60]),
        zstd::skippable(1, 5, &[0; 5]),
    ]
    .concat();
    let blob = [&skippable[..], &zstd::wrap(image)].concat();
    let draft = suite.layer(
        "zstd/skippable-limit",
        "Two skippable frames have 65 bytes in all where the limit is 64.",
        Wire::Zstd,
        &blob,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from("zstd/skippable-at-limit")
            .limits(|limits| limits.skippable_size = Some(64))
            .refused(Code::ZstdSkippable, At::Blob(68)),
    );
    let draft = suite.layer(
        "zstd/skippable-at-limit",
        "Two skippable frames have as many bytes as the limit allows.",
        Wire::Zstd,
        &blob,
    );
    suite.add(
        draft
            .demand(source.0, source.1)
            .limits(|limits| limits.skippable_size = Some(65))
            .valid(json!({ "imageSize": image.len() })),
    );
}
