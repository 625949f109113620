//! Texts by themselves: digests, annotations, platforms.

use std::collections::BTreeMap;

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::suite::{Draft, Suite};
use crate::manifest::{Annotations, Operation};

pub(super) fn add(suite: &mut Suite) {
    digests(suite);
    annotations(suite);
    verity_annotations(suite);
    platforms(suite);
}

fn digests(suite: &mut Suite) {
    let (sha256, sha512) = ("ab".repeat(32), "0f".repeat(64));
    let source = ("oci", "descriptor.md, Digests");
    for (name, hex) in [("sha256", &sha256), ("sha512", &sha512)] {
        suite.add(
            Draft::text(
                &format!("digest/{name}"),
                &format!("A digest of {name}."),
                &format!("{name}:{hex}"),
                Operation::Digest,
            )
            .demand(source.0, source.1)
            .valid(json!({ "algorithm": name, "hex": hex })),
        );
    }
    let upper = format!("sha256:{}AB", &sha256[2..]);
    let letter = format!("sha256:{}g{}", &sha256[..10], &sha256[11..]);
    for (id, description, text, positive, code, at) in [
        (
            "no-colon",
            "There is no colon.",
            format!("sha256{sha256}"),
            "sha256",
            Code::DigestSyntax,
            70,
        ),
        (
            "algorithm",
            "The algorithm is one that nobody should trust.",
            "md5:d41d8cd98f00b204e9800998ecf8427e".into(),
            "sha256",
            Code::DigestAlgorithm,
            0,
        ),
        (
            "algorithm-case",
            "The algorithm is written in upper case.",
            format!("SHA256:{sha256}"),
            "sha256",
            Code::DigestAlgorithm,
            0,
        ),
        (
            "algorithm-empty",
            "Nothing stands before the colon.",
            format!(":{sha256}"),
            "sha256",
            Code::DigestAlgorithm,
            0,
        ),
        (
            "short",
            "A hex digit is missing.",
            format!("sha256:{}", &sha256[1..]),
            "sha256",
            Code::DigestLength,
            7,
        ),
        (
            "long",
            "There is a hex digit too many.",
            format!("sha256:{sha256}0"),
            "sha256",
            Code::DigestLength,
            7,
        ),
        (
            "empty",
            "Nothing follows the colon.",
            "sha256:".into(),
            "sha256",
            Code::DigestLength,
            7,
        ),
        (
            "sha512-short",
            "A digest of sha512 has the length of one of sha256.",
            format!("sha512:{sha256}"),
            "sha512",
            Code::DigestLength,
            7,
        ),
        (
            "hex-case",
            "Two hex digits are written in upper case.",
            upper,
            "sha256",
            Code::DigestCase,
            69,
        ),
        (
            "hex-letter",
            "A letter is no hex digit.",
            letter,
            "sha256",
            Code::DigestCase,
            17,
        ),
    ] {
        suite.add(
            Draft::text(
                &format!("digest/{id}"),
                description,
                &text,
                Operation::Digest,
            )
            .demand(source.0, source.1)
            .differs_from(&format!("digest/{positive}"))
            .refused(code, At::Text(at)),
        );
    }
}

/// A case of some annotations, whose keys are given without `org.erofs.`.
fn annotated(id: &str, description: &str, annotations: &[(&str, &str)]) -> Draft {
    let annotations: BTreeMap<String, String> = annotations
        .iter()
        .map(|(key, value)| (format!("org.erofs.{key}"), (*value).to_owned()))
        .collect();
    let operation = Operation::Annotations(Annotations { annotations });
    Draft::new(&format!("annotation/{id}"), description, operation)
}

fn annotations(suite: &mut Suite) {
    let source = ("erofs-image-spec", "2.3 Annotations");
    let digest = format!("sha256:{}", "ab".repeat(32));
    suite.add(
        annotated(
            "all",
            "Every annotation that there is, with a right value.",
            &[
                ("role", "overlay-data"),
                ("uncompressed-digest", &digest),
                ("chunk-index.range", "4096:8192"),
                ("chunk-index.digest", &digest),
                (
                    "chunk-index.mediaType",
                    "application/vnd.erofs.chunk-index.v1",
                ),
                ("chunk-index.target", &digest),
                ("dmverity.hash_offset", "8192"),
                ("dmverity.root_digest", &digest),
                ("dmverity.block_size", "4096"),
            ],
        )
        .demand(source.0, source.1),
    );
    suite.add(
        annotated(
            "unknown",
            "An annotation that nobody knows is information.",
            &[("later", "any value")],
        )
        .demand("erofs-image-spec", "10.1 Extensibility"),
    );
    suite.add(
        annotated(
            "range-open",
            "A range without an end reaches to the end of the blob.",
            &[("chunk-index.range", "4096")],
        )
        .demand(source.0, source.1),
    );
    let (range, offset, role) = ("chunk-index.range", "dmverity.hash_offset", "role");
    for (id, description, key, value, code, at) in [
        (
            "role",
            "The role is a word that nobody knows.",
            role,
            "overlay-upper",
            Code::AnnotationRole,
            0,
        ),
        (
            "role-case",
            "The role is written in upper case.",
            role,
            "Device",
            Code::AnnotationRole,
            0,
        ),
        (
            "role-empty",
            "The role is empty.",
            role,
            "",
            Code::AnnotationRole,
            0,
        ),
        (
            "range-word",
            "The range is no number.",
            range,
            "all",
            Code::AnnotationRange,
            0,
        ),
        (
            "range-colon",
            "A colon follows the offset, and nothing the colon.",
            range,
            "4096:",
            Code::AnnotationRange,
            5,
        ),
        (
            "range-empty",
            "The range ends where it begins.",
            range,
            "4096:4096",
            Code::AnnotationRange,
            5,
        ),
        (
            "range-backwards",
            "The range ends before it begins.",
            range,
            "4096:1",
            Code::AnnotationRange,
            5,
        ),
        (
            "range-length",
            "The end is beyond 64 bits.",
            range,
            "0:18446744073709551616",
            Code::AnnotationUint,
            2,
        ),
        (
            "uint-word",
            "The offset is a word.",
            offset,
            "end",
            Code::AnnotationUint,
            0,
        ),
        (
            "uint-sign",
            "The offset is negative.",
            offset,
            "-1",
            Code::AnnotationUint,
            0,
        ),
        (
            "uint-space",
            "A space follows the offset.",
            offset,
            "4096 ",
            Code::AnnotationUint,
            4,
        ),
        (
            "uint-hex",
            "The offset is hexadecimal.",
            offset,
            "0x1000",
            Code::AnnotationUint,
            1,
        ),
        (
            "uint-fraction",
            "The offset has a fraction.",
            offset,
            "4096.0",
            Code::AnnotationUint,
            4,
        ),
        (
            "uint-long",
            "The offset is beyond 64 bits.",
            offset,
            "18446744073709551616",
            Code::AnnotationUint,
            0,
        ),
        (
            "digest",
            "The diffID has no algorithm.",
            "uncompressed-digest",
            "abcd",
            Code::DigestSyntax,
            4,
        ),
        (
            "media-type",
            "The chunk index's type has no slash.",
            "chunk-index.mediaType",
            "erofs",
            Code::MediaTypeSyntax,
            5,
        ),
    ] {
        suite.add(
            annotated(id, description, &[(key, value)])
                .demand(source.0, source.1)
                .differs_from("annotation/all")
                .refused(code, At::Text(at)),
        );
    }
}

fn verity_annotations(suite: &mut Suite) {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let root = ("dmverity.root_digest", digest.as_str());
    let offset = |value| ("dmverity.hash_offset", value);
    let block = |value| ("dmverity.block_size", value);
    suite.add(
        annotated(
            "verity",
            "A dm-verity tree with the block size that counts when none is stated.",
            &[offset("8192"), root],
        )
        .demand("erofs-image-spec", "3.5 dm-verity Merkle Tree"),
    );
    for (id, description, annotations) in [
        (
            "verity-no-root",
            "A tree without its root.",
            vec![offset("8192")],
        ),
        ("verity-no-offset", "A root without its tree.", vec![root]),
        (
            "verity-block-alone",
            "A block size without a tree.",
            vec![block("4096")],
        ),
        (
            "verity-at-zero",
            "The tree starts where the image does.",
            vec![offset("0"), root],
        ),
        (
            "verity-unaligned",
            "The tree starts inside a block.",
            vec![offset("8193"), root],
        ),
        (
            "verity-block-odd",
            "The block size is no power of two.",
            vec![offset("12288"), root, block("3072")],
        ),
        (
            "verity-block-small",
            "The block size is below a sector.",
            vec![offset("8192"), root, block("256")],
        ),
        (
            "verity-block-large",
            "The block size is above the largest page.",
            vec![offset("131072"), root, block("131072")],
        ),
        (
            "verity-block-zero",
            "The block size is zero.",
            vec![offset("8192"), root, block("0")],
        ),
    ] {
        suite.add(
            annotated(id, description, &annotations)
                .demand("erofs-image-spec", "3.5 dm-verity Merkle Tree")
                .demand("linux", "drivers/md/dm-verity-target.c, verity_ctr")
                .differs_from("annotation/verity")
                .refused(Code::AnnotationVerity, At::Whole),
        );
    }
}

fn platforms(suite: &mut Suite) {
    let source = ("containerd", "github.com/containerd/platforms, Parse");
    for (id, text, normal) in [
        ("amd64", "linux/amd64", "linux/amd64"),
        ("names", "Linux/x86_64", "linux/amd64"),
        ("variant", "linux/arm64/v8", "linux/arm64"),
        ("arm", "linux/arm", "linux/arm/v7"),
        ("os-feature", "linux(+erofs)/amd64", "linux/amd64"),
        ("os-features", "linux(+a+b%2Bc)/arm64/v8", "linux/arm64"),
    ] {
        suite.add(
            Draft::text(
                &format!("platform/{id}"),
                &format!("The platform {text} is {normal}."),
                text,
                Operation::Platform,
            )
            .demand(source.0, source.1)
            .valid(json!({ "platform": normal })),
        );
    }
    for (id, description, text, at) in [
        ("empty", "Nothing at all.", "", 0),
        ("no-arch", "There is no architecture.", "linux", 5),
        ("no-os", "Nothing stands before the slash.", "/amd64", 0),
        (
            "four-parts",
            "A fourth part follows the variant.",
            "linux/arm/v7/x",
            12,
        ),
        ("space", "A space stands inside a part.", "linux/a b", 7),
        (
            "os-feature-open",
            "The list of features is not closed.",
            "linux(+erofs/amd64",
            12,
        ),
        (
            "os-feature-empty",
            "A feature has no name.",
            "linux(+)/amd64",
            7,
        ),
    ] {
        suite.add(
            Draft::text(
                &format!("platform/{id}"),
                description,
                text,
                Operation::Platform,
            )
            .demand(source.0, source.1)
            .differs_from("platform/amd64")
            .refused(Code::PlatformSyntax, At::Text(at)),
        );
    }
}
