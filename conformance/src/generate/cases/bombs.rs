//! Blobs that decode to far more than they should: refused early, and in constant memory.

use std::collections::BTreeMap;
use std::io::Read;

use erofs_unpack_core::oci::{Algorithm, Hasher};
use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::bases::Bases;
use super::super::gzip::{self, RUN_PIECE};
use super::super::image::Image;
use super::super::suite::{Draft, Suite, Wire, layer};
use super::super::zstd::{self, RLE};
use crate::blob::{Blob, Part};

/// Zeros that follow an image: 256 MiB.
const ZEROS: u64 = 256 << 20;
const IMAGE: (&str, &str) = ("erofs-image-spec", "3.2 Raw EROFS Filesystem Image");
const LIMITS: (&str, &str) = ("security", "Limits");

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let image = Image(bases.get("small.erofs").to_vec());
    runs(suite, &image);
    limits(suite, &image);
    sparse(suite, &image);
    ratios(suite, &image);
    skippable(suite);
}

/// A zstd frame of some content and then a run of zeros, in blocks of 128 KiB.
fn zstd_run(content: &[u8], zeros: u64) -> Blob {
    let block = zstd::BLOCK as u64;
    let zero = |last| zstd::block(last, RLE, zstd::BLOCK, &[0]);
    let head = [zstd::Header::PLAIN.bytes(), zstd::blocks(content, false)].concat();
    Suite::recipe(vec![
        Part::new(&head, 1),
        Part::new(&zero(false), zeros / block - 1),
        Part::new(&zero(true), 1),
    ])
}

/// A gzip member of some content, which ends in a zero, and then a run of at least so many.
fn gzip_run(content: &[u8], zeros: u64) -> (Blob, u64) {
    let pieces = zeros.div_ceil(RUN_PIECE as u64);
    let size = pieces * RUN_PIECE as u64;
    let (head, piece, end) = gzip::deflate_with_run(content);
    let mut crc = crc32fast::Hasher::new();
    crc.update(content);
    for _ in 0..pieces {
        crc.update(&[0; RUN_PIECE]);
    }
    let total = content.len() as u64 + size;
    let [a, b, c, d, ..] = total.to_le_bytes();
    let tail = [&end[..], &crc.finalize().to_le_bytes(), &[a, b, c, d]].concat();
    let blob = Suite::recipe(vec![
        Part::new(&[gzip::Header::PLAIN.bytes(), head].concat(), 1),
        Part::new(&piece, pieces - 1),
        Part::new(&tail, 1),
    ]);
    (blob, size)
}

/// Some content and a run of zeros, in the forms that make it small.
fn both(content: &[u8], zeros: u64) -> [(Wire, Blob); 2] {
    [
        (Wire::Zstd, zstd_run(content, zeros)),
        (Wire::Gzip, gzip_run(content, zeros).0),
    ]
}

fn bomb(id: &str, description: &str, wire: Wire, blob: Blob) -> Draft {
    let id = format!("bomb/{id}/{}", wire.name());
    layer(&id, description, wire, blob)
        .flag("bomb")
        .flag("large")
        .differs_from(&format!("image/small/{}", wire.name()))
}

/// Zeros behind an image that says where it ends.
fn runs(suite: &mut Suite, image: &Image) {
    for (wire, blob) in both(&image.0, ZEROS) {
        suite.add(
            bomb(
                "trailing",
                "256 MiB of zeros follow an image that declares 4096 bytes.",
                wire,
                blob,
            )
            .demand(IMAGE.0, IMAGE.1)
            .refused(Code::ImageTrailing, At::Image(4096)),
        );
    }
    for (wire, blob) in both(&[0], ZEROS) {
        suite.add(
            bomb(
                "zeros",
                "There is nothing but zeros, which say nothing.",
                wire,
                blob,
            )
            .demand("unpack", "Polyglots")
            .refused(Code::ContentZeros, At::Image(0)),
        );
    }
    // A frame of 128 KiB of zeros, over and over.
    let header = zstd::Header::PLAIN.bytes();
    let frame = [header, zstd::block(true, RLE, zstd::BLOCK, &[0])].concat();
    let blob = Suite::recipe(vec![
        Part::new(&zstd::wrap(&image.0), 1),
        Part::new(&frame, 2048),
    ]);
    suite.add(
        bomb(
            "frames",
            "2048 frames of zeros follow an image that declares 4096 bytes.",
            Wire::Zstd,
            blob,
        )
        .demand(IMAGE.0, IMAGE.1)
        .refused(Code::ImageTrailing, At::Image(4096)),
    );
}

/// What exceeds a limit that the case names.
fn limits(suite: &mut Suite, image: &Image) {
    let declared = |blocks: u64| image.clone().set("blocks_lo", blocks).mend().0;
    for (wire, blob) in both(&declared(0x1000_0000), 1 << 20) {
        suite.add(
            bomb(
                "declared",
                "The superblock declares 1 TiB, above the limit that there is by default.",
                wire,
                blob,
            )
            .demand(LIMITS.0, LIMITS.1)
            .refused(Code::ImageLimit, At::Image(1060)),
        );
    }
    for (wire, blob) in both(&declared(ZEROS / 4096 + 1), ZEROS) {
        suite.add(
            bomb(
                "declared-limit",
                "The superblock declares 256 MiB, and the limit is 1 MiB.",
                wire,
                blob,
            )
            .limits(|limits| limits.image_size = Some(1 << 20))
            .demand(LIMITS.0, LIMITS.1)
            .refused(Code::ImageLimit, At::Image(1060)),
        );
    }
    // A device has no superblock, so that only the limit ends it.
    for (wire, blob) in both(b"device\0", ZEROS) {
        suite.add(
            bomb(
                "device",
                "A device layer has 256 MiB of zeros, and the limit is 1 MiB.",
                wire,
                blob,
            )
            .stating(|input| {
                input.annotations = BTreeMap::from([("org.erofs.role".into(), "device".into())]);
                input.diff_id = Some(Algorithm::Sha256.digest(b"never reached").to_string());
            })
            .limits(|limits| limits.image_size = Some(1 << 20))
            .demand(LIMITS.0, LIMITS.1)
            .refused(Code::ImageLimit, At::Image(1 << 20)),
        );
    }
}

/// An honest sparse image, which must pass, and in the same memory.
fn sparse(suite: &mut Suite, image: &Image) {
    let zeros = 32 << 20;
    let image = image.clone().set("blocks_lo", zeros / 4096 + 1).mend().0;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&image);
    let mut rest = std::io::repeat(0).take(zeros);
    let mut chunk = vec![0; 64 << 10];
    while let Ok(read @ 1..) = rest.read(&mut chunk) {
        hasher.update(&chunk[..read]);
    }
    let size = image.len() as u64 + zeros;
    suite.add(
        layer(
            "bomb/sparse/zstd",
            "32 MiB of an image are zeros, and its superblock declares them.",
            Wire::Zstd,
            zstd_run(&image, zeros),
        )
        .flag("large")
        .demand(IMAGE.0, IMAGE.1)
        .valid(json!({ "imageSize": size, "diffId": hasher.finish().to_string() })),
    );
}

fn ratios(suite: &mut Suite, image: &Image) {
    let declared = image.clone().set("blocks_lo", 257).mend().0;
    let (blob, _) = gzip_run(&declared, 1 << 20);
    for (wire, blob) in [
        (Wire::Zstd, zstd_run(&declared, 1 << 20)),
        (Wire::Gzip, blob),
    ] {
        let size = blob.size;
        suite.add(
            bomb(
                "ratio",
                "The superblock declares more than 100 times the blob's size, which is the limit.",
                wire,
                blob,
            )
            .stating(|input| {
                input.size = Some(size);
                input.diff_id = Some(Algorithm::Sha256.digest(b"never reached").to_string());
            })
            .limits(|limits| limits.expansion_ratio = Some(100))
            .demand(LIMITS.0, LIMITS.1)
            .refused(Code::ExpansionLimit, At::Image(1060)),
        );
    }
}

/// Skippable frames cost nothing to decode, and time to read.
fn skippable(suite: &mut Suite) {
    let blob = Suite::recipe(vec![Part::new(&zstd::skippable(0, u32::MAX, b""), 1)]);
    suite.add(
        bomb(
            "skippable",
            "A skippable frame declares 4 GiB less a byte, above the limit.",
            Wire::Zstd,
            blob,
        )
        .demand(LIMITS.0, LIMITS.1)
        .refused(Code::ZstdSkippable, At::Blob(0)),
    );
    let blob = Suite::recipe(vec![
        Part::new(&zstd::skippable(0, 1 << 20, &[]), 1),
        Part::new(&[0], 1 << 20),
    ]);
    let once = blob.size;
    let mut parts = Vec::new();
    for _ in 0..65 {
        parts.push(Part::new(&zstd::skippable(0, 1 << 20, &[]), 1));
        parts.push(Part::new(&[0], 1 << 20));
    }
    suite.add(
        bomb(
            "skippable-many",
            "65 skippable frames of 1 MiB each are above the limit in all.",
            Wire::Zstd,
            Suite::recipe(parts),
        )
        .demand(LIMITS.0, LIMITS.1)
        .refused(Code::ZstdSkippable, At::Blob(64 * once)),
    );
}
