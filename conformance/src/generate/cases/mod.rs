//! All cases, by what they are about, with their groups, flags, origins and sources.

mod blobs;
mod bombs;
mod build;
mod check;
mod chunks;
mod contents;
mod descriptors;
mod documents;
mod foreign;
mod gzip;
mod images;
mod json;
mod layouts;
mod media_types;
mod plan;
mod superblock;
mod tar;
mod text;
mod verity;
mod wires;
mod zstd;
mod zstd_blocks;
mod zstd_faults;

use std::collections::BTreeMap;

use super::bases::Bases;
use super::suite::Suite;
use crate::manifest::{Case, Source};

/// Where inputs come from.
pub(super) const ORIGINS: [(&str, &str); 5] = [
    foreign::ORIGINS[0],
    foreign::ORIGINS[1],
    foreign::ORIGINS[2],
    (
        "generated",
        "Made by `erofs-unpack-conformance generate`, by hand or from a base by edits of fields.",
    ),
    (
        "programs",
        "The bytes of a base, as the program wrote them that `bases` names.",
    ),
];

/// What the groups are about.
pub(super) const GROUPS: [(&str, &str); 31] = [
    ("annotation", "The annotations org.erofs.* of a layer."),
    (
        "blob",
        "The blob as it lies in the registry: its size, its digests, its limits.",
    ),
    (
        "bomb",
        "Blobs that decode to far more than they should. All are refused early and in constant memory.",
    ),
    ("check-clean", "Images of which the check says nothing."),
    (
        "check-content",
        "The check: where content lies that is not compressed.",
    ),
    (
        "check-directory",
        "The check: directories and their entries.",
    ),
    ("check-inode", "The check: inodes."),
    (
        "check-kernel",
        "The check: which releases of Linux read an image as it is meant.",
    ),
    (
        "check-limit",
        "The check: what it may use, and how far it goes.",
    ),
    ("check-map", "The check: compressed content."),
    ("check-overlap", "The check: what lies over something else."),
    (
        "check-superblock",
        "The check: the superblock, devices, configurations, the image's end.",
    ),
    ("check-xattr", "The check: extended attributes."),
    (
        "chunk-index",
        "Chunk indexes, embedded in a layer or as a layer of their own.",
    ),
    ("descriptor", "Content descriptors."),
    ("digest", "The text of a digest."),
    ("gzip", "The gzip form of a layer."),
    (
        "image",
        "The decoded bytes: where an image ends, and what is none.",
    ),
    (
        "index",
        "Image indexes with entries that cannot be used, beside some that can.",
    ),
    ("json", "How JSON is read, whatever the document."),
    ("layout", "OCI image layouts."),
    (
        "manifest",
        "Image manifests, indexes and configs, and what they say of layers together.",
    ),
    ("media-type", "The media type of a layer."),
    (
        "platform",
        "Platforms, and the choice among the entries of an index.",
    ),
    ("read", "Images whose tree is read to its end."),
    (
        "seek-table",
        "Seek tables of the zstd project's seekable format.",
    ),
    ("superblock", "The superblock of an image, field by field."),
    (
        "build",
        "images out of tar archives: which tree an archive means.",
    ),
    (
        "tar",
        "tar archives: their members, and what readers understand differently.",
    ),
    ("verity", "dm-verity trees behind an image."),
    ("zstd", "The zstd form of a layer."),
];

/// What the flags mean.
pub(super) const FLAGS: [(&str, &str); 6] = [
    (
        "ambiguous",
        "What demands the answer says two things, or leaves open what is asked here, or its only known writer says another: DRAFT.md and README.md say how it is read here, and why.",
    ),
    (
        "bomb",
        "Decoded to its end it has far more bytes than the blob: a decoder that does not stop needs minutes or much memory.",
    ),
    (
        "fsck-rejects",
        "fsck.erofs --extract of erofs-utils 1.9.4 refuses the image. Of images with devices it was not asked.",
    ),
    (
        "kernel-rejects",
        "Linux 6.18 refuses the image: to mount it, or to read all that is in it. Of images with devices it was not asked.",
    ),
    (
        "large",
        "Blob or image are too large to be run through in pieces of one byte.",
    ),
    (
        "size-unknown",
        "The size of the blob must not be known beforehand: read it from a pipe.",
    ),
];

/// What demands are taken from.
pub(super) fn sources() -> BTreeMap<String, Source> {
    [
        (
            "containerd",
            "containerd, and its package platforms",
            "https://github.com/containerd/containerd",
        ),
        (
            "aufs",
            "aufs, for Linux 4.x and newer",
            "https://github.com/sfjro/aufs-linux",
        ),
        (
            "cryptsetup",
            "cryptsetup 2.6.1",
            "https://gitlab.com/cryptsetup/cryptsetup",
        ),
        (
            "erofs-image-spec",
            "EROFS Image Layer Format Specification (draft), spec.md at 640fd6a",
            "https://github.com/erofs/erofs-image-spec",
        ),
        (
            "erofs-utils",
            "erofs-utils 1.9.4",
            "https://git.kernel.org/pub/scm/linux/kernel/git/xiang/erofs-utils.git",
        ),
        (
            "gnu-tar",
            "GNU tar 1.35: an archiver tool, its manual",
            "https://www.gnu.org/software/tar/manual/",
        ),
        (
            "libarchive",
            "libarchive 3.8: tar(5), and its reader of tar archives",
            "https://github.com/libarchive/libarchive",
        ),
        (
            "linux",
            "Linux 7.2",
            "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git",
        ),
        (
            "nydus",
            "nydus: RAFS v6",
            "https://github.com/dragonflyoss/nydus",
        ),
        (
            "oci",
            "OCI Image Format Specification 1.1",
            "https://github.com/opencontainers/image-spec/tree/v1.1.0",
        ),
        (
            "posix",
            "POSIX.1-2017, pax",
            "https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html",
        ),
        (
            "rfc1951",
            "RFC 1951: DEFLATE Compressed Data Format",
            "https://www.rfc-editor.org/rfc/rfc1951",
        ),
        (
            "rfc1952",
            "RFC 1952: GZIP file format",
            "https://www.rfc-editor.org/rfc/rfc1952",
        ),
        (
            "rfc6838",
            "RFC 6838: Media Type Specifications and Registration Procedures",
            "https://www.rfc-editor.org/rfc/rfc6838",
        ),
        (
            "rfc8259",
            "RFC 8259: The JavaScript Object Notation (JSON) Data Interchange Format",
            "https://www.rfc-editor.org/rfc/rfc8259",
        ),
        (
            "rfc8878",
            "RFC 8878: Zstandard Compression and the application/zstd Media Type",
            "https://www.rfc-editor.org/rfc/rfc8878",
        ),
        (
            "security",
            "SECURITY.md of erofs-unpack",
            "https://github.com/erofs-unpack/erofs-unpack/blob/main/SECURITY.md",
        ),
        (
            "unpack",
            "vectors/README.md, what is settled here because no other document does",
            "https://github.com/erofs-unpack/erofs-unpack/blob/main/vectors/README.md",
        ),
        ("zstd", "zstd 1.5.7", "https://github.com/facebook/zstd"),
    ]
    .into_iter()
    .map(|(name, title, url)| {
        let source = Source {
            title: title.into(),
            url: url.into(),
        };
        (name.into(), source)
    })
    .collect()
}

/// All cases, sorted by id, and the files that they need.
pub(super) fn all(bases: &Bases) -> (Vec<Case>, BTreeMap<String, Vec<u8>>) {
    let mut suite = Suite::default();
    for (name, _) in super::bases::DIGESTS {
        suite.known(&format!("bases/{name}"), bases.get(name));
    }
    media_types::add(&mut suite);
    text::add(&mut suite);
    json::add(&mut suite);
    descriptors::add(&mut suite);
    documents::add(&mut suite);
    plan::add(&mut suite);
    images::add(&mut suite, bases);
    chunks::add(&mut suite, bases);
    verity::add(&mut suite, bases);
    tar::add(&mut suite);
    build::add(&mut suite);
    blobs::add(&mut suite, bases);
    gzip::add(&mut suite, bases);
    zstd::add(&mut suite, bases);
    zstd_blocks::add(&mut suite, bases);
    zstd_faults::add(&mut suite, bases);
    bombs::add(&mut suite, bases);
    layouts::add(&mut suite, bases);
    check::add(&mut suite, bases);
    foreign::add(&mut suite);
    suite.finish()
}
