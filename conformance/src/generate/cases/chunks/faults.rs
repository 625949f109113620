//! Chunk indexes that are wrong in themselves, and chunks that are not what their index says.

use super::index::EMBEDDED;
use super::*;

pub(super) fn add(suite: &mut Suite, image: &[u8]) {
    headers(suite, image);
    entries(suite, image);
    chunks(suite, image);
}

/// Every field of the header, wrong by itself.
fn headers(suite: &mut Suite, image: &[u8]) {
    let layer = Layer::zstd(image, SHA256);
    for (id, description, at, value, section, code, place) in [
        (
            "header-magic",
            "The magic is wrong.",
            0,
            0xcc,
            HEADER,
            Code::ChunkIndexMagic,
            0,
        ),
        (
            "header-wrap",
            "The index is of plain chunks, the layer is a zstd stream.",
            5,
            0,
            HEADER,
            Code::ChunkIndexWrap,
            5,
        ),
        (
            "header-count-more",
            "The header counts a chunk more than there are entries.",
            16,
            4,
            READING,
            Code::ChunkIndexLength,
            176,
        ),
        (
            "header-count-less",
            "The header counts a chunk less than there are entries.",
            16,
            2,
            READING,
            Code::ChunkIndexLength,
            176,
        ),
        (
            "header-count-huge",
            "The header counts more chunks than any index holds.",
            19,
            0xff,
            READING,
            Code::ChunkIndexLength,
            176,
        ),
        (
            "header-hash-none",
            "There is no hash algorithm, and the checksums have a size.",
            20,
            0,
            HEADER,
            Code::ChunkIndexHashSize,
            21,
        ),
        (
            "header-hash-size",
            "The checksums have a size that no SHA-2 has here.",
            21,
            48,
            HEADER,
            Code::ChunkIndexHashSize,
            21,
        ),
        (
            "header-reserved-first",
            "The first reserved byte is set.",
            22,
            1,
            EDGES,
            Code::ChunkIndexReserved,
            22,
        ),
        (
            "header-reserved-last",
            "The last reserved byte is set.",
            31,
            1,
            EDGES,
            Code::ChunkIndexReserved,
            31,
        ),
    ] {
        let mut index = layer.index.clone();
        index[at] = value;
        let wrong = Layer {
            chunks: layer.chunks.clone(),
            index,
        };
        let draft = of(suite, &format!("chunk-index/{id}"), description, &wrong);
        suite.add(
            demand(draft, section)
                .differs_from(EMBEDDED)
                .refused(code, At::Index(place)),
        );
    }
    // What is not known is passed over.
    for (id, description, at, value, section, code) in [
        (
            "unknown-version",
            "The version is one that the draft does not have.",
            4,
            2,
            HEADER,
            Code::ChunkIndexVersion,
        ),
        (
            "unknown-compression",
            "The compression is one that the draft does not have.",
            5,
            2,
            EDGES,
            Code::ChunkIndexCompression,
        ),
        (
            "unknown-flags",
            "A flag is set that the draft does not have.",
            6,
            1,
            EDGES,
            Code::ChunkIndexFlags,
        ),
        (
            "unknown-hash",
            "The hash algorithm is one that the draft does not have.",
            20,
            2,
            HEADER,
            Code::ChunkIndexHash,
        ),
    ] {
        let mut index = layer.index.clone();
        index[at] = value;
        let other = Layer {
            chunks: layer.chunks.clone(),
            index,
        };
        let draft = of(suite, &format!("chunk-index/{id}"), description, &other);
        let draft = match code {
            Code::ChunkIndexFlags => draft,
            _ => draft.flag("ambiguous"),
        };
        suite.add(demand(demand(draft, section), CONSUMER).valid(sequential(image, Some(code))));
    }
    let draft = of(
        suite,
        "chunk-index/unknown-media-type",
        "The index has a media type that nobody knows, and is not looked at.",
        &Layer {
            chunks: layer.chunks.clone(),
            index: b"something else, of 40 bytes or so ......".to_vec(),
        },
    );
    let draft = draft.seeking(|input| {
        let media_type = "application/vnd.erofs.chunk-index.v2";
        input
            .annotations
            .insert(MEDIA_TYPE.into(), media_type.into());
    });
    suite.add(demand(draft, CONSUMER).valid(sequential(image, None)));
}

/// Entries that lie.
fn entries(suite: &mut Suite, image: &[u8]) {
    let layer = Layer::zstd(image, SHA256);
    let end = layer.data().len() as u64;
    let first = layer.chunks[0].len() as u64;
    let entry = |number: usize| 32 + number * 48;
    for (id, description, at, value, code) in [
        (
            "entry-blob-gap",
            "The first chunk begins behind the start of the blob.",
            entry(0),
            1,
            Code::ChunkIndexOrder,
        ),
        (
            "entry-image-gap",
            "The first chunk begins behind the start of the image.",
            entry(0) + 8,
            1,
            Code::ChunkIndexOrder,
        ),
        (
            "entry-blob-order",
            "The third chunk begins before the second in the blob.",
            entry(2),
            first - 1,
            Code::ChunkIndexOrder,
        ),
        (
            "entry-blob-empty",
            "The second chunk has no bytes in the blob.",
            entry(1),
            0,
            Code::ChunkIndexOrder,
        ),
        (
            "entry-image-order",
            "The third chunk begins before the second in the image.",
            entry(2) + 8,
            1499,
            Code::ChunkIndexOrder,
        ),
        (
            "entry-image-empty",
            "The second chunk has no bytes in the image.",
            entry(2) + 8,
            1500,
            Code::ChunkIndexOrder,
        ),
        (
            "entry-blob-end",
            "The third chunk begins where the index does.",
            entry(2),
            end,
            Code::ChunkIndexBounds,
        ),
        (
            "entry-blob-far",
            "The third chunk begins at the last byte that there could be.",
            entry(2),
            u64::MAX,
            Code::ChunkIndexBounds,
        ),
        (
            "entry-image-end",
            "The third chunk begins at the end of the image.",
            entry(2) + 8,
            4096,
            Code::ChunkIndexBounds,
        ),
        (
            "entry-image-far",
            "The third chunk begins at the last byte of the image that there could be.",
            entry(2) + 8,
            u64::MAX,
            Code::ChunkIndexBounds,
        ),
    ] {
        let mut index = layer.index.clone();
        index[at..at + 8].copy_from_slice(&value.to_le_bytes());
        let lie = Layer {
            chunks: layer.chunks.clone(),
            index,
        };
        let draft = of(suite, &format!("chunk-index/{id}"), description, &lie);
        suite.add(
            demand(draft, ENTRY)
                .differs_from(EMBEDDED)
                .refused(code, At::Index(at as u64)),
        );
    }
    let mut index = layer.index.clone();
    index[8..16].fill(0);
    let lie = Layer {
        chunks: layer.chunks.clone(),
        index,
    };
    let description = "There are chunks of an image of no bytes.";
    let draft = of(suite, "chunk-index/entry-of-nothing", description, &lie);
    suite.add(
        demand(draft, EDGES)
            .differs_from("chunk-index/empty")
            .refused(Code::ChunkIndexBounds, At::Index(16)),
    );
}

/// What lies where a chunk is said to be.
fn chunks(suite: &mut Suite, image: &[u8]) {
    let wrong =
        |suite: &mut Suite, id: &str, description: &str, section, layer: &Layer, code, at| {
            let draft = of(suite, &format!("chunk-index/{id}"), description, layer);
            suite.add(
                demand(draft, section)
                    .differs_from(EMBEDDED)
                    .refused(code, At::Blob(at as u64)),
            );
        };
    let mut layer = Layer::zstd(image, SHA256);
    let first = layer.chunks[0].len();
    let last = layer.index.len() - 1;
    layer.index[last] ^= 1;
    let third = layer.chunks[..2].concat().len();
    wrong(
        suite,
        "chunk-checksum",
        "The third chunk does not have its checksum.",
        CHECKSUMS,
        &layer,
        Code::ChunkChecksum,
        third,
    );
    let mut layer = Layer::zstd(image, Hash::None);
    layer.index[32 + 16..32 + 24].copy_from_slice(&(first as u64 - 1).to_le_bytes());
    wrong(
        suite,
        "chunk-cut",
        "The first chunk ends before its frame does.",
        ENTRY,
        &layer,
        Code::ZstdTruncated,
        first - 4,
    );
    let mut layer = Layer::zstd(image, Hash::None);
    layer.index[32 + 16..32 + 24].copy_from_slice(&(first as u64 + 4).to_le_bytes());
    wrong(
        suite,
        "chunk-over",
        "The first chunk goes on into the frame of the second.",
        ENTRY,
        &layer,
        Code::ChunkFrame,
        first,
    );
    let mut layer = Layer::zstd(image, Hash::None);
    layer.index[32 + 24..32 + 32].copy_from_slice(&1501_u64.to_le_bytes());
    wrong(
        suite,
        "chunk-short",
        "The first chunk decodes to a byte less than the index says.",
        ENTRY,
        &layer,
        Code::ChunkLength,
        0,
    );
    let mut layer = Layer::zstd(image, Hash::None);
    layer.index[32 + 24..32 + 32].copy_from_slice(&1499_u64.to_le_bytes());
    wrong(
        suite,
        "chunk-long",
        "The first chunk decodes to a byte more than the index says.",
        ENTRY,
        &layer,
        Code::ChunkLength,
        0,
    );
    // Two frames in one chunk, and a skippable frame before one.
    let mut layer = Layer::zstd(image, Hash::None);
    layer.chunks[0] = [zstd::wrap(&image[..700]), zstd::wrap(&image[700..1500])].concat();
    shift(&mut layer, first);
    wrong(
        suite,
        "chunk-frames",
        "The first chunk is two frames.",
        "3.3 Zstd-Compressed Filesystem Image",
        &layer,
        Code::ChunkFrame,
        zstd::wrap(&image[..700]).len(),
    );
    let mut layer = Layer::zstd(image, Hash::None);
    layer.chunks[0].splice(..0, zstd::skippable(0, 0, &[]));
    shift(&mut layer, first);
    wrong(
        suite,
        "chunk-skippable",
        "The first chunk begins with a skippable frame.",
        "3.3 Zstd-Compressed Filesystem Image",
        &layer,
        Code::ChunkFrame,
        0,
    );
}

/// Moves the second and third chunk, since the first had `before` bytes.
fn shift(layer: &mut Layer, before: usize) {
    let more = layer.chunks[0].len() - before;
    for at in [32 + 16, 32 + 32] {
        let field: &mut [u8; 8] = (&mut layer.index[at..at + 8]).try_into().expect("8 bytes");
        *field = (u64::from_le_bytes(*field) + more as u64).to_le_bytes();
    }
}
