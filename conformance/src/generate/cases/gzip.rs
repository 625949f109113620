//! The gzip form: headers, trailers, members, and where it can be cut.

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::bases::Bases;
use super::super::gzip::{self, Header, MAGIC};
use super::super::suite::{Suite, Wire};
use super::wires::outputs;

/// Sections of RFC 1952.
const MEMBER: (&str, &str) = ("rfc1952", "2.3 Member format");

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let image = bases.get("small.erofs");
    valid(suite, image);
    headers(suite, image);
    bodies(suite, image);
    trailing(suite, image);
    truncated(suite, image);
    flips(suite, bases);
}

fn valid(suite: &mut Suite, image: &[u8]) {
    let (first, second) = image.split_at(1500);
    let plain = gzip::wrap(image);
    for (id, description, blob) in [
        (
            "full-header",
            "The header has every field there is.",
            gzip::member(&Header::FULL, image),
        ),
        (
            "members",
            "The image is cut into two members.",
            [gzip::wrap(first), gzip::wrap(second)].concat(),
        ),
        (
            "member-empty",
            "An empty member stands between the members.",
            [gzip::wrap(first), gzip::wrap(b""), gzip::wrap(second)].concat(),
        ),
        (
            "padding",
            "Zeros follow the last member.",
            [&plain[..], &[0; 100]].concat(),
        ),
        (
            "stored",
            "The content lies in stored blocks.",
            [
                Header::PLAIN.bytes(),
                gzip::stored(false, first),
                gzip::stored(false, b""),
                gzip::stored(true, second),
                gzip::trailer(image),
            ]
            .concat(),
        ),
    ] {
        let draft = suite.layer(&format!("gzip/{id}"), description, Wire::Gzip, &blob);
        suite.add(draft.demand(MEMBER.0, MEMBER.1).valid(outputs(image, 1)));
    }
}

/// Adds a refused case.
fn refused(
    suite: &mut Suite,
    (id, description, positive): (&str, &str, &str),
    blob: &[u8],
    source: (&str, &str),
    code: Code,
    at: u64,
) {
    let draft = suite.layer(&format!("gzip/{id}"), description, Wire::Gzip, blob);
    suite.add(
        draft
            .demand(source.0, source.1)
            .differs_from(positive)
            .refused(code, At::Blob(at)),
    );
}

const SMALL: &str = "image/small/gzip";

fn headers(suite: &mut Suite, image: &[u8]) {
    let plain = gzip::wrap(image);
    let set = |at: usize, value: u8| {
        let mut blob = plain.clone();
        blob[at] = value;
        blob
    };
    let full = gzip::member(&Header::FULL, image);
    let header = Header::FULL.bytes().len() as u64;
    for (id, description, blob, code, at, positive) in [
        (
            "magic-1",
            "The first byte of the magic is another.",
            set(0, 0x1e),
            Code::GzipMagic,
            0,
            SMALL,
        ),
        (
            "magic-2",
            "The second byte of the magic is another.",
            set(1, 0x9d),
            Code::GzipMagic,
            1,
            SMALL,
        ),
        (
            "method",
            "The method is not deflate.",
            set(2, 7),
            Code::GzipMethod,
            2,
            SMALL,
        ),
        (
            "method-zero",
            "The method is to store, which no gzip has.",
            set(2, 0),
            Code::GzipMethod,
            2,
            SMALL,
        ),
        (
            "flag-5",
            "The first reserved flag is set.",
            set(3, 0x20),
            Code::GzipFlags,
            3,
            SMALL,
        ),
        (
            "flag-6",
            "The second reserved flag is set.",
            set(3, 0x40),
            Code::GzipFlags,
            3,
            SMALL,
        ),
        (
            "flag-7",
            "The third reserved flag is set.",
            set(3, 0x80),
            Code::GzipFlags,
            3,
            SMALL,
        ),
        (
            "header-crc",
            "The checksum of the header is wrong.",
            gzip::member(
                &Header {
                    crc: Some(1),
                    ..Header::FULL
                },
                image,
            ),
            Code::GzipHeaderCrc,
            header - 2,
            "gzip/full-header",
        ),
        (
            "header-name",
            "A letter of the file name is another than when the header's checksum was taken.",
            {
                let mut blob = full;
                blob[20] ^= 1;
                blob
            },
            Code::GzipHeaderCrc,
            header - 2,
            "gzip/full-header",
        ),
    ] {
        refused(
            suite,
            (id, description, positive),
            &blob,
            ("rfc1952", "2.3.1 Member header and trailer"),
            code,
            at,
        );
    }
}

fn bodies(suite: &mut Suite, image: &[u8]) {
    let start = Header::PLAIN.bytes().len() as u64;
    let with =
        |deflate: &[u8]| [&Header::PLAIN.bytes()[..], deflate, &gzip::trailer(image)].concat();
    let mut length = gzip::stored(true, image);
    length[3] ^= 1;
    for (id, description, deflate) in [
        ("block-type", "A block is of the reserved type.", vec![0x07]),
        (
            "stored-length",
            "The length of a stored block and its complement do not agree.",
            length,
        ),
        // Fixed codes: literal 0, then length 3 at distance 2.
        (
            "distance",
            "A match begins before the content does.",
            vec![0x63, 0x00, 0x42, 0x00],
        ),
        // Fixed codes: literal 0, then the symbol 286, which stands for nothing.
        (
            "symbol",
            "A code stands for no length.",
            vec![0x63, 0x18, 0x03, 0x00],
        ),
        // A dynamic block whose code lengths are all zero. Libraries notice it early or late.
        (
            "codes",
            "No symbol has a code, not even the one that ends the block.",
            [&[0x05][..], &[0; 63]].concat(),
        ),
    ] {
        refused(
            suite,
            (id, description, SMALL),
            &with(&deflate),
            ("rfc1951", "3.2 Compressed block format"),
            Code::GzipDeflate,
            start,
        );
    }
    let plain = gzip::wrap(image);
    let trailer = plain.len() - 8;
    for (id, description, at, code) in [
        (
            "crc",
            "The checksum of the content is wrong.",
            trailer,
            Code::GzipCrc,
        ),
        (
            "size",
            "The size of the content is wrong.",
            trailer + 4,
            Code::GzipSize,
        ),
    ] {
        let mut blob = plain.clone();
        blob[at] ^= 1;
        refused(
            suite,
            (id, description, SMALL),
            &blob,
            MEMBER,
            code,
            at as u64,
        );
    }
}

fn trailing(suite: &mut Suite, image: &[u8]) {
    let plain = gzip::wrap(image);
    let end = plain.len() as u64;
    for (id, description, bytes, code, at) in [
        (
            "trailing-byte",
            "A byte follows the member.",
            &b"x"[..],
            Code::GzipTrailing,
            end,
        ),
        (
            "trailing-after-padding",
            "A byte follows the zeros after the member.",
            &[0, 0, 0, 1],
            Code::GzipTrailing,
            end + 3,
        ),
        (
            "trailing-member-after-padding",
            "A member follows the zeros after the member.",
            &[0, 0x1f, 0x8b, 8],
            Code::GzipTrailing,
            end + 1,
        ),
        (
            "trailing-magic",
            "Half of a magic follows the member.",
            &MAGIC[..1],
            Code::GzipTruncated,
            end + 1,
        ),
        (
            "trailing-half-magic",
            "What follows the member begins as a magic does.",
            &[0x1f, 0x1f],
            Code::GzipTrailing,
            end,
        ),
        (
            "trailing-zstd",
            "The magic of zstd follows the member.",
            &[0x28, 0xb5, 0x2f, 0xfd],
            Code::GzipTrailing,
            end,
        ),
    ] {
        let blob = [&plain[..], bytes].concat();
        refused(
            suite,
            (id, description, SMALL),
            &blob,
            ("unpack", "gzip"),
            code,
            at,
        );
    }
    let draft = suite.layer(
        "gzip/trailing-image",
        "Another image follows as another member.",
        Wire::Gzip,
        &plain.repeat(2),
    );
    suite.add(
        draft
            .demand("erofs-image-spec", "3.2 Raw EROFS Filesystem Image")
            .differs_from(SMALL)
            .refused(Code::ImageTrailing, At::Image(4096)),
    );
}

/// A member cut off at every boundary of its structure. The error is where the input ends.
fn truncated(suite: &mut Suite, image: &[u8]) {
    let full = gzip::member(&Header::FULL, image);
    let header = Header::FULL.bytes().len();
    let end = full.len();
    for (id, size) in [
        ("empty", 0),
        ("magic", 1),
        ("method", 2),
        ("flags", 3),
        ("times", 4),
        ("times-inside", 9),
        ("extra-length", 10),
        ("extra-length-inside", 11),
        ("extra", 12),
        ("extra-inside", 15),
        ("name", 20),
        ("name-inside", 25),
        ("comment", 32),
        ("comment-inside", 36),
        ("header-crc", header - 2),
        ("header-crc-inside", header - 1),
        ("deflate", header),
        ("deflate-first", header + 1),
        ("deflate-inside", header + 200),
        ("deflate-last", end - 9),
        ("crc", end - 8),
        ("crc-inside", end - 6),
        ("size", end - 4),
        ("size-inside", end - 1),
    ] {
        let where_ = match id.strip_suffix("-inside") {
            Some(field) => format!("inside the field {field}"),
            None => format!("where the field {id} should begin"),
        };
        let description = match id {
            "empty" => "The blob is empty.".to_owned(),
            "deflate-first" => "The blob ends after the first byte of the deflate stream.".into(),
            "deflate-last" => "The blob ends before the last byte of the deflate stream.".into(),
            _ => format!("The blob ends {where_}."),
        };
        refused(
            suite,
            (&format!("truncated-{id}"), &description, "gzip/full-header"),
            &full[..size],
            MEMBER,
            Code::GzipTruncated,
            size as u64,
        );
    }
}

/// Single bits changed in what gzip(1) wrote, one in each structure.
fn flips(suite: &mut Suite, bases: &Bases) {
    let blob = bases.get("small.erofs.gz");
    let image = bases.get("small.erofs");
    let end = blob.len();
    let compressed = "gzip/compressed";
    for (id, description, at, bit, code, place) in [
        ("flip-magic", "the magic", 0, 0, Code::GzipMagic, 0),
        ("flip-method", "the method", 2, 3, Code::GzipMethod, 2),
        (
            "flip-flags",
            "the flags, so that a checksum of the header seems to be there",
            3,
            1,
            Code::GzipHeaderCrc,
            10,
        ),
        (
            "flip-block-type",
            "the deflate block's type, so that it is the reserved one",
            10,
            2,
            Code::GzipDeflate,
            10,
        ),
        (
            "flip-crc",
            "the checksum",
            end - 5,
            7,
            Code::GzipCrc,
            end - 8,
        ),
        ("flip-size", "the size", end - 1, 0, Code::GzipSize, end - 4),
    ] {
        let mut flipped = blob.to_vec();
        flipped[at] ^= 1 << bit;
        refused(
            suite,
            (
                id,
                &format!("A bit is changed in what a program wrote, in {description}."),
                compressed,
            ),
            &flipped,
            MEMBER,
            code,
            place as u64,
        );
    }
    let mut flipped = blob.to_vec();
    flipped[4] ^= 1;
    let draft = suite.layer(
        "gzip/flip-time",
        "A bit is changed in the time, which nothing covers but the blob's digest.",
        Wire::Gzip,
        &flipped,
    );
    suite.add(draft.demand(MEMBER.0, MEMBER.1).valid(outputs(image, 1)));
    let digest = format!("sha256:{}", crate::blob::sha256(blob));
    let draft = suite.layer(
        "gzip/flip-time-digest",
        "A bit is changed in the time, and the blob's digest is stated.",
        Wire::Gzip,
        &flipped,
    );
    suite.add(
        draft
            .demand("oci", "descriptor.md, Digests")
            .differs_from(compressed)
            .stating(|input| input.digest = Some(digest))
            .refused(Code::BlobDigest, At::Whole),
    );
    let two = gzip::wrap(b"").repeat(2);
    let draft = suite.layer(
        "gzip/members-limit",
        "There are three members where the limit is two.",
        Wire::Gzip,
        &[&two[..], &gzip::wrap(image)].concat(),
    );
    suite.add(
        draft
            .demand("security", "Limits")
            .differs_from("gzip/members-at-limit")
            .limits(|limits| limits.frames = Some(2))
            .refused(Code::FrameLimit, At::Blob(two.len() as u64)),
    );
    let draft = suite.layer(
        "gzip/members-at-limit",
        "There are as many members as the limit allows.",
        Wire::Gzip,
        &[&two[..], &gzip::wrap(image)].concat(),
    );
    suite.add(
        draft
            .demand("security", "Limits")
            .limits(|limits| limits.frames = Some(3))
            .valid(json!({ "imageSize": image.len() })),
    );
}
