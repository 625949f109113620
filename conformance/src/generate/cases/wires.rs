//! Cases of one image in every wire form, most of them the small image with something wrong.

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::{At, Code};
use serde_json::{Value as Json, json};

use super::super::image::SUPERBLOCK;
use super::super::suite::{Draft, Suite, Wire};

/// What the superblock is read by.
pub(super) const KERNEL: (&str, &str) = ("linux", "fs/erofs/super.c, erofs_read_superblock");
/// Size of the small image: one block.
pub(super) const SMALL: u64 = 4096;

/// What is said of a good image.
pub(super) fn outputs(image: &[u8], blocks: u64) -> Json {
    json!({
        "diffId": Algorithm::Sha256.digest(image).to_string(),
        "imageSize": image.len(),
        "superblock": { "blockSize": 4096, "blocks": blocks, "inodes": 4, "rootNid": 36 },
    })
}

/// A place in the superblock.
pub(super) const fn at(field: u64) -> At {
    At::Image(SUPERBLOCK as u64 + field)
}

/// One image in every wire form.
pub(super) fn every(
    suite: &mut Suite,
    id: &str,
    description: &str,
    image: &[u8],
    finish: impl Fn(Draft, Wire) -> Draft,
) {
    for wire in Wire::ALL {
        let id = format!("{id}/{}", wire.name());
        let draft = suite.layer(&id, description, wire, &wire.wrap(image));
        suite.add(finish(draft, wire));
    }
}

/// An image that is refused, in every wire form.
pub(super) fn refused(
    suite: &mut Suite,
    id: &str,
    description: &str,
    image: &[u8],
    source: (&str, &str),
    code: Code,
    at: At,
) {
    every(suite, id, description, image, |draft, wire| {
        draft
            .demand(source.0, source.1)
            .differs_from(&format!("image/small/{}", wire.name()))
            .refused(code, at)
    });
}
