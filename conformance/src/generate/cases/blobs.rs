//! The blob as it lies in the registry: its size, its digests and its limits, in every form.

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::{At, Code};

use super::super::bases::Bases;
use super::super::suite::{Draft, Suite, Wire};
use super::wires::outputs;

const DESCRIPTOR: (&str, &str) = ("oci", "descriptor.md, Digests");
const DIFF_ID: (&str, &str) = ("erofs-image-spec", "5.2 rootfs.diff_ids");
const LIMITS: (&str, &str) = ("security", "Limits");
const RANKS: (&str, &str) = ("unpack", "Which error counts");

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let image = bases.get("small.erofs");
    for wire in Wire::ALL {
        stated(suite, wire, image);
        cut(suite, wire, image);
    }
}

fn stated(suite: &mut Suite, wire: Wire, image: &[u8]) {
    let blob = wire.wrap(image);
    let size = blob.len() as u64;
    let form = wire.name();
    let id = |name: &str| format!("blob/{name}/{form}");
    let digest = |algorithm: Algorithm, bytes: &[u8]| algorithm.digest(bytes).to_string();
    let (sha256, sha512) = (Algorithm::Sha256, Algorithm::Sha512);
    let mut layer = |name: &str, description: &str, blob: &[u8]| {
        suite.layer(&id(name), description, wire, blob)
    };
    let all = |draft: Draft, algorithm| {
        let (blob, image) = (digest(algorithm, &blob), digest(algorithm, image));
        draft.stating(|input| {
            input.size = Some(size);
            input.digest = Some(blob);
            input.diff_id = Some(image);
        })
    };
    let valid = outputs(image, 1);
    let mut drafts = vec![
        all(
            layer(
                "sha256",
                "Size, digest and diffID are stated and right.",
                &blob,
            ),
            sha256,
        )
        .demand(DESCRIPTOR.0, DESCRIPTOR.1)
        .valid(valid.clone()),
        // The diffID that is told is the one of the algorithm that is stated.
        all(
            layer(
                "sha512",
                "Size, digest and diffID are stated and right, by SHA-512.",
                &blob,
            ),
            sha512,
        )
        .demand(DESCRIPTOR.0, DESCRIPTOR.1)
        .valid(serde_json::json!({
            "diffId": digest(sha512, image), "blobDigest": digest(sha512, &blob),
        })),
        all(
            layer(
                "mixed",
                "The digest is one of SHA-512, the diffID one of SHA-256.",
                &blob,
            ),
            sha256,
        )
        .stating(|input| input.digest = Some(digest(sha512, &blob)))
        .demand(DIFF_ID.0, DIFF_ID.1)
        .valid(valid.clone()),
    ];
    for algorithm in [sha256, sha512] {
        let name = algorithm.name();
        let positive = id(name);
        let other = digest(algorithm, b"another");
        let draft = layer(
            &format!("digest-{name}"),
            "The stated digest is that of another blob.",
            &blob,
        );
        drafts.push(
            all(draft, algorithm)
                .stating(|input| input.digest = Some(other.clone()))
                .demand(DESCRIPTOR.0, DESCRIPTOR.1)
                .differs_from(&positive)
                .refused(Code::BlobDigest, At::Whole),
        );
        let draft = layer(
            &format!("diff-id-{name}"),
            "The stated diffID is that of another image.",
            &blob,
        );
        drafts.push(
            all(draft, algorithm)
                .stating(|input| {
                    input.diff_id = Some(other);
                    // Else a plain layer would be at odds with itself.
                    if wire == Wire::Plain {
                        input.digest = None;
                    }
                })
                .demand(DIFF_ID.0, DIFF_ID.1)
                .differs_from(&positive)
                .refused(Code::DiffId, At::Whole),
        );
    }
    let positive = id("sha256");
    for (name, description, stated, at) in [
        (
            "size-less",
            "The stated size is a byte less than the blob has.",
            size - 1,
            size - 1,
        ),
        (
            "size-more",
            "The stated size is a byte more than the blob has.",
            size + 1,
            size,
        ),
    ] {
        let draft = layer(name, description, &blob);
        drafts.push(
            all(draft, sha256)
                .stating(|input| input.size = Some(stated))
                .demand("oci", "descriptor.md, Properties")
                .differs_from(&positive)
                .refused(Code::BlobSize, At::Blob(at)),
        );
    }
    let draft = layer(
        "changed",
        "A byte of the volume's name is another than when the digests were taken.",
        &wire.wrap(
            &super::super::image::Image(image.to_vec())
                .set("volume_name", 1)
                .mend()
                .0,
        ),
    );
    drafts.push(
        all(draft, sha256)
            .stating(|input| input.size = None)
            .demand(RANKS.0, RANKS.1)
            .differs_from(&positive)
            .refused(Code::BlobDigest, At::Whole),
    );
    let draft = layer(
        "limit-stated",
        "The stated size is a byte above the limit.",
        &blob,
    );
    drafts.push(
        all(draft, sha256)
            .limits(|limits| limits.blob_size = Some(size - 1))
            .demand(LIMITS.0, LIMITS.1)
            .differs_from(&positive)
            .refused(Code::BlobLimit, At::Whole),
    );
    let draft = layer(
        "limit",
        "The blob, whose size is not stated, is a byte above the limit.",
        &blob,
    );
    drafts.push(
        draft
            .flag("size-unknown")
            .limits(|limits| limits.blob_size = Some(size - 1))
            .demand(LIMITS.0, LIMITS.1)
            .differs_from(&format!("image/small/{form}"))
            .refused(Code::BlobLimit, At::Blob(size - 1)),
    );
    let draft = layer(
        "limit-equal",
        "Blob and image are as large as the limits allow.",
        &blob,
    );
    drafts.push(
        all(draft, sha256)
            .limits(|limits| {
                limits.blob_size = Some(size);
                limits.image_size = Some(image.len() as u64);
            })
            .demand(LIMITS.0, LIMITS.1)
            .valid(valid),
    );
    for draft in drafts {
        suite.add(draft);
    }
}

/// A blob that was cut or grew on its way, with its size and its digest stated.
fn cut(suite: &mut Suite, wire: Wire, image: &[u8]) {
    let blob = wire.wrap(image);
    let size = blob.len();
    let form = wire.name();
    let digest = Algorithm::Sha256.digest(&blob).to_string();
    let diff_id = Algorithm::Sha256.digest(image).to_string();
    let positive = format!("blob/sha256/{form}");
    let half = &blob[..size / 2];
    let longer = [&blob[..], b"x"].concat();
    let sized = |draft: Draft| {
        draft.stating(|input| {
            input.size = Some(size as u64);
            input.digest = Some(digest.clone());
            input.diff_id = Some(diff_id.clone());
        })
    };
    let draft = suite.layer(
        &format!("blob/cut/{form}"),
        "The blob is cut in half, which its size tells before all else.",
        wire,
        half,
    );
    suite.add(
        sized(draft)
            .demand(RANKS.0, RANKS.1)
            .differs_from(&positive)
            .refused(Code::BlobSize, At::Blob(half.len() as u64)),
    );
    let draft = suite.layer(
        &format!("blob/cut-digest/{form}"),
        "The blob is cut in half, and only its digest is stated.",
        wire,
        half,
    );
    suite.add(
        sized(draft)
            .stating(|input| input.size = None)
            .demand(RANKS.0, RANKS.1)
            .differs_from(&positive)
            .refused(Code::BlobDigest, At::Whole),
    );
    let draft = suite.layer(
        &format!("blob/longer/{form}"),
        "A byte follows the blob, which is not looked at, since the blob's size is stated.",
        wire,
        &longer,
    );
    suite.add(
        sized(draft)
            .demand(RANKS.0, RANKS.1)
            .differs_from(&positive)
            .refused(Code::BlobSize, At::Blob(size as u64)),
    );
}
