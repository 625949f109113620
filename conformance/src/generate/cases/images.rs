//! The decoded bytes, in every wire form: where the image ends, and what may follow it.

use std::collections::BTreeMap;

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::bases::Bases;
use super::super::image::{Image, SUPERBLOCK};
use super::super::suite::{Suite, Wire};
use super::super::tar::{self, Entry};
use super::wires::{SMALL, every, outputs, refused};
use super::{contents, superblock};

/// What says that an image has an end.
const DRAFT: (&str, &str) = ("erofs-image-spec", "3.2 Raw EROFS Filesystem Image");
pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let small = Image(bases.get("small.erofs").to_vec());
    positives(suite, bases, &small);
    superblock::add(suite, &small);
    contents::add(suite, &small);
    devices(suite, &Image(bases.get("tar-index.erofs").to_vec()));
    ends(suite, &small);
    appended(suite, &small);
}

fn positives(suite: &mut Suite, bases: &Bases, small: &Image) {
    every(
        suite,
        "image/small",
        "A right image of one block, its wire form written by hand.",
        &small.0,
        |draft, wire| {
            let draft = match wire {
                Wire::Plain => draft.origin("programs"),
                _ => draft,
            };
            draft.demand(DRAFT.0, DRAFT.1).valid(outputs(&small.0, 1))
        },
    );
    for (wire, name) in [
        (Wire::Zstd, "small.erofs.zst"),
        (Wire::Gzip, "small.erofs.gz"),
    ] {
        let blob = bases.get(name);
        let draft = suite.layer(
            &format!("{}/compressed", wire.name()),
            "A right image of one block, compressed by a program.",
            wire,
            blob,
        );
        suite.add(
            draft
                .origin("programs")
                .demand(DRAFT.0, DRAFT.1)
                .valid(outputs(&small.0, 1)),
        );
    }
    let image = bases.get("demo-1.erofs");
    let draft = suite.layer(
        "image/data",
        "A right image of four blocks, three of them data.",
        Wire::Plain,
        image,
    );
    suite.add(
        draft
            .origin("programs")
            .demand(DRAFT.0, DRAFT.1)
            .valid(json!({ "imageSize": image.len() })),
    );
}

/// An image of 512-byte blocks whose device table counts a tar as one with the image.
fn devices(suite: &mut Suite, image: &Image) {
    let source = ("linux", "fs/erofs/super.c, erofs_scan_devices");
    let slot = u64::from(u16::from_le_bytes([
        image.0[SUPERBLOCK + 88],
        image.0[SUPERBLOCK + 89],
    ])) * 128;
    let start = usize::try_from(slot).unwrap_or(usize::MAX);
    let size = image.0.len() as u64;
    let digest = |image: &Image| Algorithm::Sha256.digest(&image.0).to_string();
    every(
        suite,
        "image/tar-index",
        "An image over the tar that follows it, which the device table addresses.",
        &image.0,
        |draft, _| {
            draft
                .origin("programs")
                .demand(source.0, source.1)
                .stating(|input| {
                    input.devices = Some(0);
                    input.diff_id = Some(digest(image));
                })
                .valid(json!({ "imageSize": size }))
        },
    );
    let primary = u64::from(image.0[SUPERBLOCK + 36]);
    let over = image.clone().put(start + 68, &[1, 0, 0, 0]);
    let far = image
        .clone()
        .put(start + 64, &[0xff; 4])
        .put(start + 68, &[0xff; 4])
        .mend();
    let half = image.cut(image.0.len() - 1536);
    for (id, description, bytes, code, at) in [
        (
            "device-over-image",
            "The device lies over the image's own blocks.",
            over.mend().0,
            Code::DeviceSlot,
            slot,
        ),
        (
            "device-missing",
            "Half of the tar is not there, and no device is attached.",
            half,
            Code::ImageSize,
            size - 1536,
        ),
        (
            "device-cut-off",
            "The tar is not there, and no device is attached.",
            image.cut(usize::try_from(primary * 512).unwrap_or(0)),
            Code::ImageSize,
            primary * 512,
        ),
        (
            "device-trailing",
            "A byte that is not zero follows the tar.",
            image.followed_by(&[0, 0, 1]),
            Code::ImageTrailing,
            size + 2,
        ),
    ] {
        every(
            suite,
            &format!("image/{id}"),
            description,
            &bytes,
            |draft, wire| {
                draft
                    .demand(source.0, source.1)
                    .differs_from(&format!("image/tar-index/{}", wire.name()))
                    .stating(|input| {
                        input.devices = Some(0);
                        input.diff_id = Some(digest(&Image(bytes.clone())));
                    })
                    .refused(code, At::Image(at))
            },
        );
    }
    let padded = image.followed_by(&vec![0; 7 << 10]);
    every(
        suite,
        "image/device-padding",
        "Zeros follow the tar, as writers of tars fill up their last record.",
        &padded,
        |draft, _| {
            draft
                .demand(source.0, source.1)
                .valid(json!({ "imageSize": padded.len() }))
        },
    );
    every(
        suite,
        "image/device-huge",
        "The device ends far beyond all that can be, and is not attached.",
        &far.0,
        |draft, wire| {
            let digest = digest(&far);
            draft
                .demand(source.0, source.1)
                .differs_from(&format!("image/tar-index/{}", wire.name()))
                .stating(|input| {
                    input.devices = Some(0);
                    input.diff_id = Some(digest);
                })
                .refused(Code::ImageSize, At::Image(size))
        },
    );
}

/// Images cut off at every boundary, and with something behind them.
fn ends(suite: &mut Suite, small: &Image) {
    let tar = ("unpack", "Polyglots");
    for (size, what, source, code, at) in [
        (0, "Nothing at all", DRAFT, Code::ContentEmpty, 0),
        (1, "The first byte", DRAFT, Code::SuperblockTruncated, 1),
        (
            511,
            "A byte less than a tar header",
            DRAFT,
            Code::SuperblockTruncated,
            511,
        ),
        // Blocks of zeros, which could be an empty tar.
        (
            512,
            "Zeros, as many as a tar header has",
            tar,
            Code::ContentZeros,
            0,
        ),
        (
            1024,
            "All before the superblock, which is zeros",
            tar,
            Code::ContentZeros,
            0,
        ),
        (
            1025,
            "A byte of the magic",
            DRAFT,
            Code::SuperblockTruncated,
            1025,
        ),
        (1028, "The magic", DRAFT, Code::SuperblockTruncated, 1028),
        (
            1151,
            "All but the superblock's last byte",
            DRAFT,
            Code::SuperblockTruncated,
            1151,
        ),
        (
            1152,
            "All up to the superblock's end",
            DRAFT,
            Code::ImageSize,
            1152,
        ),
        (2048, "Half of the block", DRAFT, Code::ImageSize, 2048),
        (4095, "All but the last byte", DRAFT, Code::ImageSize, 4095),
    ] {
        refused(
            suite,
            &format!("image/truncated-{size}"),
            &format!("{what} of an image, whose superblock declares 4096 bytes."),
            &small.cut(size),
            source,
            code,
            At::Image(at),
        );
    }
    for (id, description, bytes) in [
        ("zero", "A zero byte follows the image.", vec![0]),
        ("byte", "A byte follows the image.", vec![b'x']),
        (
            "block",
            "A block of zeros follows the image.",
            vec![0; 4096],
        ),
        ("image", "Another image follows the image.", small.0.clone()),
        (
            "tar",
            "A tar follows the image, which no device addresses.",
            tar::archive(&[Entry::dir("x")]),
        ),
    ] {
        refused(
            suite,
            &format!("image/trailing-{id}"),
            description,
            &small.followed_by(&bytes),
            DRAFT,
            Code::ImageTrailing,
            At::Image(SMALL),
        );
    }
    refused(
        suite,
        "image/blocks-more",
        "The superblock declares a block more than there is.",
        &small.clone().set("blocks_lo", 2).mend().0,
        DRAFT,
        Code::ImageSize,
        At::Image(SMALL),
    );
}

/// What may follow an image because annotations say so, dm-verity trees apart.
fn appended(suite: &mut Suite, small: &Image) {
    let index = [
        &[0xcd, 0xe4, 0xec, 0x67, 1, 0, 0, 0][..],
        &SMALL.to_le_bytes(),
        &[1, 0, 0, 0],
        &[0; 12],
        &[0; 16],
    ]
    .concat();
    let image = small.followed_by(&index);
    let draft = suite.layer(
        "chunk-index/appended",
        "A chunk index of one chunk follows a plain image, where its annotation says.",
        Wire::Plain,
        &image,
    );
    suite.add(
        draft
            .demand("erofs-image-spec", "3.4 Chunk Index")
            .stating(|input| {
                input.annotations =
                    BTreeMap::from([("org.erofs.chunk-index.range".into(), "4096".into())]);
                input.diff_id = Some(Algorithm::Sha256.digest(&image).to_string());
            })
            .valid(json!({ "imageSize": image.len() })),
    );
    let draft = suite.layer(
        "chunk-index/unannounced",
        "A chunk index follows a plain image, and no annotation says so.",
        Wire::Plain,
        &image,
    );
    suite.add(
        draft
            .demand("erofs-image-spec", "3.4 Chunk Index")
            .differs_from("chunk-index/appended")
            .refused(Code::ImageTrailing, At::Image(SMALL)),
    );
}
