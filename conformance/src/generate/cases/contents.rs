//! What is no EROFS image, what is not what its media type says, and what is two things at once.

use erofs_unpack_core::{At, Code};

use super::super::image::Image;
use super::super::suite::{Suite, Wire};
use super::super::tar::{self, Entry};
use super::super::{gzip, zstd};
use super::wires::{KERNEL, at, every, outputs, refused};

pub(super) fn add(suite: &mut Suite, small: &Image) {
    contents(suite, small);
    polyglots(suite, small);
}

/// What is no EROFS image.
fn contents(suite: &mut Suite, small: &Image) {
    let source = ("unpack", "Polyglots");
    let tar = tar::archive(&[Entry::file("greeting", b"hello\n")]);
    refused(
        suite,
        "image/tar",
        "A tar archive stands where an image should.",
        &tar,
        source,
        Code::ContentTar,
        At::Image(0),
    );
    refused(
        suite,
        "image/tar-empty",
        "Zeros stand where an image should, as an empty tar archive has them.",
        &[0; 10240],
        source,
        Code::ContentZeros,
        At::Image(0),
    );
    refused(
        suite,
        "image/text",
        "A text stands where an image should.",
        &b"This is not an image. ".repeat(100),
        KERNEL,
        Code::SuperblockMagic,
        at(0),
    );
    refused(
        suite,
        "image/text-short",
        "A text that is shorter than a superblock stands where an image should.",
        b"This is not an image.\n",
        KERNEL,
        Code::SuperblockTruncated,
        At::Image(22),
    );
    let mut ext4 = vec![0; 4096];
    ext4[1024..1028].copy_from_slice(&[16, 0, 0, 0]);
    ext4[1080..1082].copy_from_slice(&[0x53, 0xef]);
    refused(
        suite,
        "image/ext4",
        "The superblock of another file system stands where that of EROFS should.",
        &ext4,
        KERNEL,
        Code::ContentForeign,
        At::Image(0),
    );
    let mut disk = vec![0; 4096];
    disk[450] = 0xee;
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[512..520].copy_from_slice(b"EFI PART");
    for (name, what, start) in [
        ("squashfs", "A squashfs file system", &b"hsqs"[..]),
        ("xz", "An xz stream", &[0xfd, b'7', b'z', b'X', b'Z', 0]),
        ("gpt", "A disk with a GPT partition table", &disk),
    ] {
        let mut image = start.to_vec();
        image.resize(4096, 0);
        refused(
            suite,
            &format!("image/{name}"),
            &format!("{what} stands where an image should."),
            &image,
            KERNEL,
            Code::ContentForeign,
            At::Image(0),
        );
    }
    let types = ("erofs-image-spec", "2.1 application/vnd.erofs and +zstd");
    let (zstd, gzip) = (zstd::wrap(&small.0), gzip::wrap(&small.0));
    let mut wrong = |id: &str, description: &str, wire: Wire, blob: &[u8], code, at| {
        let draft = suite.layer(&format!("image/{id}"), description, wire, blob);
        suite.add(
            draft
                .demand(types.0, types.1)
                .differs_from(&format!("image/small/{}", wire.name()))
                .refused(code, at),
        );
    };
    let zero = At::Blob(0);
    wrong(
        "type-plain-zstd",
        "The media type says plain, and the blob is zstd.",
        Wire::Plain,
        &zstd,
        Code::ContentCompressed,
        At::Image(0),
    );
    wrong(
        "type-plain-gzip",
        "The media type says plain, and the blob is gzip.",
        Wire::Plain,
        &gzip,
        Code::ContentCompressed,
        At::Image(0),
    );
    wrong(
        "type-zstd-plain",
        "The media type says zstd, and the blob is plain.",
        Wire::Zstd,
        &small.0,
        Code::ContentPlain,
        zero,
    );
    wrong(
        "type-zstd-gzip",
        "The media type says zstd, and the blob is gzip.",
        Wire::Zstd,
        &gzip,
        Code::ZstdMagic,
        zero,
    );
    wrong(
        "type-gzip-plain",
        "The media type says gzip, and the blob is plain.",
        Wire::Gzip,
        &small.0,
        Code::ContentPlain,
        zero,
    );
    wrong(
        "type-gzip-zstd",
        "The media type says gzip, and the blob is zstd.",
        Wire::Gzip,
        &zstd,
        Code::GzipMagic,
        zero,
    );
    wrong(
        "twice-zstd",
        "The image was compressed twice.",
        Wire::Zstd,
        &zstd::wrap(&zstd),
        Code::ContentCompressed,
        At::Image(0),
    );
    wrong(
        "twice-gzip",
        "The image was compressed twice.",
        Wire::Gzip,
        &gzip::wrap(&gzip),
        Code::ContentCompressed,
        At::Image(0),
    );
}

/// Bytes that are two things at once.
fn polyglots(suite: &mut Suite, small: &Image) {
    let source = ("unpack", "Polyglots");
    let header = tar::header(&Entry::file("evil", b""));
    // The first 1024 bytes are free.
    let like_tar = small.clone().put(0, &header);
    every(
        suite,
        "image/polyglot-tar",
        "A right image begins with a right tar header: it is an image.",
        &like_tar.0,
        |draft, _| {
            draft
                .demand(source.0, source.1)
                .valid(outputs(&like_tar.0, 1))
        },
    );
    every(
        suite,
        "image/polyglot-tar-broken",
        "A tar archive has the EROFS magic at its place: it is an image, and a broken one.",
        &[
            &header[..],
            &[0; 512],
            &0xe0f5_e1e2_u32.to_le_bytes(),
            &[0; 3068],
        ]
        .concat(),
        |draft, wire| {
            draft
                .demand(source.0, source.1)
                .differs_from(&format!("image/polyglot-tar/{}", wire.name()))
                .refused(Code::SuperblockBlockSize, at(12))
        },
    );
    every(
        suite,
        "image/polyglot-tar-magic",
        "An image begins with a right tar header, and its magic is broken: it is a tar.",
        &like_tar.clone().set("magic", 0xe0f5_e1e3).0,
        |draft, wire| {
            draft
                .demand(source.0, source.1)
                .differs_from(&format!("image/polyglot-tar/{}", wire.name()))
                .refused(Code::ContentTar, At::Image(0))
        },
    );
    for (name, bytes) in [("gzip", &gzip::MAGIC[..]), ("zstd", &zstd::MAGIC)] {
        let image = small.clone().put(0, bytes);
        every(
            suite,
            &format!("image/polyglot-{name}"),
            &format!("A right image begins with the magic of {name}: it is an image."),
            &image.0,
            |draft, _| draft.demand(source.0, source.1).valid(outputs(&image.0, 1)),
        );
    }
}
