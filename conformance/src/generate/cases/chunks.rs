//! Indexes of a layer's chunks: the draft's chunk index and zstd's seek table, and what lies.
//!
//! What each case follows from, and how the draft is read where it says two things, stands in
//! `vectors/DRAFT.md`.

use std::collections::BTreeMap;

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::{At, Code};
use serde_json::{Value as Json, json};

use super::super::bases::Bases;
use super::super::suite::{Draft, Suite, Wire};
use super::super::zstd::{self, Header};
use crate::manifest::{Limits, Operation, SeekInput};

/// Where the chunks of the image end.
const ENDS: [usize; 3] = [1500, 3000, 4096];
const RANGE: &str = "org.erofs.chunk-index.range";
const DIGEST: &str = "org.erofs.chunk-index.digest";
const MEDIA_TYPE: &str = "org.erofs.chunk-index.mediaType";
/// Sections of the draft.
const HEADER: &str = "3.4.1 Header";
const ENTRY: &str = "3.4.2 Chunk Entry";
const DELIVERY: &str = "3.4.3 Delivery: Embedded or Standalone Layer";
const READING: &str = "3.4.4 Reading a Range";
const CHECKSUMS: &str = "3.4.5 Per-chunk Checksums";
const EDGES: &str = "3.4.6 Edge Cases";
const CONSUMER: &str = "8.2 Consumer Requirements";
const SEEKABLE: &str = "contrib/seekable_format, version 0.1.0";

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let image = bases.get("small.erofs");
    embedded(suite, image);
    plain(suite, image);
    standalone(suite, image);
    headers(suite, image);
    entries(suite, image);
    places(suite, image);
    chunks(suite, image);
    seek_tables(suite, image);
}

/// How chunks are verified in an index.
#[derive(Clone, Copy)]
enum Hash {
    None,
    Sha2(Algorithm),
}

const SHA256: Hash = Hash::Sha2(Algorithm::Sha256);

/// A header, field by field (3.4.1).
fn header(compression: u8, size: usize, count: u32, hash: Hash) -> Vec<u8> {
    let mut bytes = vec![0xcd, 0xe4, 0xec, 0x67, 1, compression, 0, 0];
    bytes.extend((size as u64).to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(match hash {
        Hash::None => [0, 0],
        Hash::Sha2(Algorithm::Sha256) => [1, 32],
        Hash::Sha2(Algorithm::Sha512) => [1, 64],
    });
    bytes.extend([0; 10]);
    bytes
}

/// An entry (3.4.2) of a chunk with these bytes in the blob.
fn entry(blob: usize, image: usize, hash: Hash, chunk: &[u8]) -> Vec<u8> {
    let mut bytes = (blob as u64).to_le_bytes().to_vec();
    bytes.extend((image as u64).to_le_bytes());
    if let Hash::Sha2(algorithm) = hash {
        bytes.extend(algorithm.digest(chunk).as_bytes());
    }
    bytes
}

/// A layer: its chunks in the blob, one after another, and what the index says of them.
struct Layer {
    chunks: Vec<Vec<u8>>,
    index: Vec<u8>,
}

impl Layer {
    /// The image in three frames.
    fn zstd(image: &[u8], hash: Hash) -> Self {
        Self::of(image, 1, hash, zstd::wrap)
    }

    fn of(image: &[u8], compression: u8, hash: Hash, wrap: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let starts = [0, ENDS[0], ENDS[1]];
        let pieces = starts.into_iter().zip(ENDS);
        let chunks: Vec<_> = pieces
            .map(|(start, end)| wrap(&image[start..end]))
            .collect();
        let mut index = header(compression, image.len(), 3, hash);
        let mut blob = 0;
        for (start, chunk) in starts.into_iter().zip(&chunks) {
            index.extend(entry(blob, start, hash, chunk));
            blob += chunk.len();
        }
        Self { chunks, index }
    }

    /// The chunks as they lie in the blob.
    fn data(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// The blob with the index in a skippable frame behind the chunks.
    fn blob(&self) -> Vec<u8> {
        let size = u32::try_from(self.index.len()).unwrap_or(u32::MAX);
        [self.data(), zstd::skippable(0, size, &self.index)].concat()
    }
}

/// A case of reading a layer at random.
fn case(suite: &mut Suite, id: &str, description: &str, wire: Wire, blob: &[u8]) -> Draft {
    let input = SeekInput {
        blob: suite.file(&format!("cases/{id}.{}", wire.extension()), blob),
        media_type: match wire {
            Wire::Zstd => "application/vnd.erofs+zstd",
            wire => wire.media_type(),
        }
        .into(),
        annotations: BTreeMap::new(),
        index: None,
        limits: Limits::default(),
    };
    Draft::new(id, description, Operation::Seek(input))
}

/// The annotations of an index that begins here.
fn annotated(draft: Draft, index: &[u8], range: &str) -> Draft {
    let digest = Algorithm::Sha256.digest(index).to_string();
    draft.seeking(|input| {
        input.annotations.insert(RANGE.into(), range.into());
        input.annotations.insert(DIGEST.into(), digest);
    })
}

/// A zstd layer's case with its index embedded and annotated.
fn of(suite: &mut Suite, id: &str, description: &str, layer: &Layer) -> Draft {
    let blob = layer.blob();
    let draft = case(suite, id, description, Wire::Zstd, &blob);
    let range = format!("{}:{}", layer.data().len(), blob.len());
    annotated(draft, &layer.index, &range)
}

fn whole(image: &[u8], index: &str) -> Json {
    json!({
        "index": index,
        "chunks": 3,
        "imageSize": image.len(),
        "diffId": Algorithm::Sha256.digest(image).to_string(),
    })
}

/// What is said of a layer whose index is passed over.
fn sequential(image: &[u8], why: Option<Code>) -> Json {
    json!({
        "index": "none",
        "passedOver": why.map(Code::id),
        "imageSize": image.len(),
        "diffId": Algorithm::Sha256.digest(image).to_string(),
    })
}

fn demand(draft: Draft, section: &str) -> Draft {
    draft.demand("erofs-image-spec", section)
}

const EMBEDDED: &str = "chunk-index/embedded";

fn embedded(suite: &mut Suite, image: &[u8]) {
    for (id, description, hash, section) in [
        (
            EMBEDDED,
            "Three chunks, each with its SHA-256; the index lies in a skippable frame.",
            SHA256,
            DELIVERY,
        ),
        (
            "chunk-index/embedded-sha512",
            "The checksums are SHA-512.",
            Hash::Sha2(Algorithm::Sha512),
            HEADER,
        ),
        (
            "chunk-index/embedded-unverified",
            "There are no checksums.",
            Hash::None,
            CHECKSUMS,
        ),
    ] {
        let layer = Layer::zstd(image, hash);
        let draft = of(suite, id, description, &layer);
        suite.add(demand(draft, section).valid(whole(image, "chunk-index")));
    }
    let layer = Layer::zstd(image, SHA256);
    let start = layer.data().len();
    let description = "The annotation states only where the index begins.";
    let id = "chunk-index/range-open";
    let draft = case(suite, id, description, Wire::Zstd, &layer.blob());
    let draft = annotated(draft, &layer.index, &start.to_string());
    suite.add(demand(draft, "2.3 Annotations").valid(whole(image, "chunk-index")));

    let size = u32::try_from(layer.index.len()).unwrap_or(u32::MAX);
    let other = [layer.data(), zstd::skippable(15, size, &layer.index)].concat();
    let description = "The skippable frame has the last of the sixteen magics.";
    let draft = case(
        suite,
        "chunk-index/magic-15",
        description,
        Wire::Zstd,
        &other,
    );
    let draft = annotated(draft, &layer.index, &start.to_string());
    suite.add(demand(draft, DELIVERY).valid(whole(image, "chunk-index")));

    let layer = Layer::of(image, 1, SHA256, |content| {
        zstd::frame(&Header::PLAIN, content)
    });
    let description = "The frames state neither size nor checksum of their content.";
    let draft = of(suite, "chunk-index/frames-unsized", description, &layer);
    suite.add(
        demand(draft, "3.3 Zstd-Compressed Filesystem Image").valid(whole(image, "chunk-index")),
    );

    let empty = Layer {
        chunks: Vec::new(),
        index: header(1, 0, 0, SHA256),
    };
    let description = "An image of no bytes has no chunks.";
    let draft = of(suite, "chunk-index/empty", description, &empty);
    let mut outputs = whole(&[], "chunk-index");
    outputs["chunks"] = 0.into();
    suite.add(demand(draft, EDGES).valid(outputs));

    // Padding between the last chunk and the index: by the formula it is the chunk's.
    let mut layer = Layer::zstd(image, Hash::None);
    layer.chunks.push(zstd::skippable(0, 3, &[0; 3]));
    let description = "A skippable frame pads the last chunk; the index has no checksums.";
    let draft = of(suite, "chunk-index/padding", description, &layer);
    suite.add(demand(draft, DELIVERY).valid(whole(image, "chunk-index")));
    for (id, description, covers) in [
        (
            "chunk-index/padding-covered",
            "A skippable frame pads the last chunk, and its checksum covers it.",
            true,
        ),
        (
            "chunk-index/padding-left-out",
            "A skippable frame pads the last chunk, and its checksum leaves it out.",
            false,
        ),
    ] {
        let mut layer = Layer::zstd(image, SHA256);
        let start = layer.data().len() - layer.chunks[2].len();
        layer.chunks.push(zstd::skippable(0, 3, &[0; 3]));
        if covers {
            let last = layer.chunks[2..].concat();
            let at = layer.index.len() - 32;
            layer.index.truncate(at);
            layer
                .index
                .extend(Algorithm::Sha256.digest(&last).as_bytes());
        }
        let draft = demand(of(suite, id, description, &layer), ENTRY).flag("ambiguous");
        suite.add(if covers {
            draft.valid(whole(image, "chunk-index"))
        } else {
            draft
                .differs_from("chunk-index/padding-covered")
                .refused(Code::ChunkChecksum, At::Blob(start as u64))
        });
    }
}

/// A plain blob, whose index lies behind the image as it is.
fn plain(suite: &mut Suite, image: &[u8]) {
    let layer = Layer::of(image, 0, SHA256, <[u8]>::to_vec);
    let positive = "chunk-index/plain";
    let size = image.len() as u64;
    let with = |suite: &mut Suite, id: &str, description: &str, index: &[u8]| {
        let blob = [image, index].concat();
        let draft = case(suite, id, description, Wire::Plain, &blob);
        annotated(draft, index, &size.to_string())
    };
    let description = "The index of a plain layer follows the image without a frame.";
    let draft = with(suite, positive, description, &layer.index);
    suite.add(demand(draft, "3.2 Raw EROFS Filesystem Image").valid(whole(image, "chunk-index")));
    for (id, description, at, value, code) in [
        (
            "plain-moved",
            "The second chunk of a plain blob lies elsewhere in it than in the image.",
            32 + 48,
            1501_u64,
            Code::ChunkIndexBounds,
        ),
        (
            "plain-size",
            "The index of a plain blob states another size than the image has.",
            8,
            size - 1,
            Code::ChunkIndexBounds,
        ),
    ] {
        let mut index = layer.index.clone();
        index[at..at + 8].copy_from_slice(&value.to_le_bytes());
        let draft = with(suite, &format!("chunk-index/{id}"), description, &index);
        suite.add(
            demand(draft, ENTRY)
                .differs_from(positive)
                .refused(code, At::Index(at as u64)),
        );
    }
}

/// An index that is a layer of its own.
fn standalone(suite: &mut Suite, image: &[u8]) {
    let draft = |suite: &mut Suite, id: &str, description: &str, wire, layer: &Layer| {
        let draft = case(suite, id, description, wire, &layer.data());
        let index = suite.file(&format!("cases/{id}.index"), &layer.index);
        demand(draft, DELIVERY).seeking(|input| input.index = Some(index))
    };
    let positive = "chunk-index/standalone";
    let layer = Layer::zstd(image, SHA256);
    let description = "The index is a layer of its own.";
    let valid = draft(suite, positive, description, Wire::Zstd, &layer);
    suite.add(valid.valid(whole(image, "chunk-index")));
    let plain = Layer::of(image, 0, SHA256, <[u8]>::to_vec);
    let description = "The index of a plain layer is a layer of its own.";
    let id = "chunk-index/standalone-plain";
    let valid = draft(suite, id, description, Wire::Plain, &plain);
    suite.add(valid.valid(whole(image, "chunk-index")));
    let wrong = Layer {
        index: plain.index,
        ..layer
    };
    let description = "The index is of plain chunks, the layer is a zstd stream.";
    let id = "chunk-index/standalone-wrap";
    let refused = draft(suite, id, description, Wire::Zstd, &wrong);
    suite.add(
        demand(refused, HEADER)
            .differs_from(positive)
            .refused(Code::ChunkIndexWrap, At::Index(5)),
    );
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

/// Where the index lies, and its digest.
fn places(suite: &mut Suite, image: &[u8]) {
    let layer = Layer::zstd(image, SHA256);
    let blob = layer.blob();
    let (start, end) = (layer.data().len(), blob.len());
    let mut placed = |id: &str, description: &str, blob: &[u8], range: &str, code, at: usize| {
        let id = format!("chunk-index/{id}");
        let draft = case(suite, &id, description, Wire::Zstd, blob);
        let draft = demand(annotated(draft, &layer.index, range), DELIVERY);
        suite.add(
            draft
                .differs_from(EMBEDDED)
                .refused(code, At::Blob(at as u64)),
        );
    };
    placed(
        "range-short",
        "The index does not reach to the end of the blob.",
        &blob,
        &format!("{start}:{}", end - 1),
        Code::ChunkIndexRange,
        start,
    );
    placed(
        "range-long",
        "The index reaches over the end of the blob.",
        &blob,
        &format!("{start}:{}", end + 1),
        Code::ChunkIndexRange,
        start,
    );
    placed(
        "range-behind",
        "The index begins at the end of the blob.",
        &blob,
        &end.to_string(),
        Code::ChunkIndexRange,
        end,
    );
    placed(
        "range-unframed",
        "The annotation leads to the header, not to the frame around it.",
        &blob,
        &(start + 8).to_string(),
        Code::ChunkIndexFrame,
        start + 8,
    );
    let mut frame = blob.clone();
    frame[start + 4] ^= 1;
    placed(
        "frame-size",
        "The skippable frame has another size than the index.",
        &frame,
        &start.to_string(),
        Code::ChunkIndexFrame,
        start,
    );
    let draft = of(
        suite,
        "chunk-index/digest",
        "The index does not have the digest that is stated.",
        &layer,
    );
    let other = Algorithm::Sha256.digest(b"another index").to_string();
    let draft = draft.seeking(|input| {
        input.annotations.insert(DIGEST.into(), other);
    });
    suite.add(Draft::refused(
        demand(draft, CONSUMER).differs_from(EMBEDDED),
        Code::ChunkIndexDigest,
        At::Whole,
    ));
    let draft = of(
        suite,
        "chunk-index/limit",
        "The index is larger than the limit.",
        &layer,
    );
    suite.add(
        draft
            .demand("security", "Limits")
            .differs_from(EMBEDDED)
            .limits(|limits| limits.chunk_index = Some(layer.index.len() as u64 - 1))
            .refused(Code::ChunkIndexLimit, At::Blob(start as u64 + 8)),
    );
    let draft = of(
        suite,
        "chunk-index/chunk-limit",
        "A chunk is larger than the limit.",
        &layer,
    );
    suite.add(
        draft
            .demand("security", "Limits")
            .differs_from(EMBEDDED)
            .limits(|limits| limits.chunk = Some(1499))
            .refused(Code::ChunkLimit, At::Blob(0)),
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

/// The seek table of a layer (`contrib/seekable_format`).
fn seek_table(layer: &Layer, contents: &[&[u8]], descriptor: u8) -> Vec<u8> {
    let mut table = Vec::new();
    for (chunk, content) in layer.chunks.iter().zip(contents) {
        table.extend(u32::try_from(chunk.len()).unwrap_or(0).to_le_bytes());
        table.extend(u32::try_from(content.len()).unwrap_or(0).to_le_bytes());
        if descriptor & 0x80 != 0 {
            table.extend(zstd::checksum(content));
        }
    }
    let count = u32::try_from(contents.len()).unwrap_or(0);
    table.extend(count.to_le_bytes());
    table.push(descriptor);
    table.extend(0x8F92_EAB1_u32.to_le_bytes());
    let size = u32::try_from(table.len()).unwrap_or(0);
    zstd::skippable(14, size, &table)
}

fn seek_tables(suite: &mut Suite, image: &[u8]) {
    let layer = Layer::zstd(image, Hash::None);
    let data = layer.data();
    let contents = [&image[..1500], &image[1500..3000], &image[3000..]];
    let demand = |draft: Draft| draft.demand("zstd", SEEKABLE);
    let positive = "seek-table/checksums";
    for (id, description, descriptor) in [
        (
            positive,
            "Three frames, each with the checksum of its content.",
            0x80,
        ),
        (
            "seek-table/no-checksums",
            "Three frames without checksums.",
            0,
        ),
        (
            "seek-table/unused-bits",
            "The bits are set that mean nothing yet and break nothing.",
            0x83,
        ),
    ] {
        let blob = [data.clone(), seek_table(&layer, &contents, descriptor)].concat();
        let draft = case(suite, id, description, Wire::Zstd, &blob);
        suite.add(demand(draft).valid(whole(image, "seek-table")));
    }
    let table = seek_table(&layer, &contents, 0x84);
    let description = "A bit is set that later versions may break the form with.";
    let id = "seek-table/reserved-bits";
    let draft = case(
        suite,
        id,
        description,
        Wire::Zstd,
        &[data.clone(), table].concat(),
    );
    let outputs = sequential(image, Some(Code::SeekTableReserved));
    suite.add(demand(draft).valid(outputs));

    let start = data.len() as u64;
    let table = seek_table(&layer, &contents, 0x80);
    for (id, description, at, value, code, place) in [
        (
            "seek-table/frame-magic",
            "The table lies in a skippable frame of another magic.",
            0,
            0x50,
            Code::SeekTableFrame,
            start,
        ),
        (
            "seek-table/frame-size",
            "The frame is a byte shorter than the table.",
            4,
            table[4] - 1,
            Code::SeekTableFrame,
            start,
        ),
        (
            "seek-table/size",
            "The frames that it tells of end before it begins.",
            8,
            table[8] - 1,
            Code::SeekTableSize,
            start,
        ),
        (
            "seek-table/checksum",
            "The content of the first frame has another checksum.",
            16,
            table[16] ^ 1,
            Code::ChunkChecksum,
            0,
        ),
        (
            "seek-table/length",
            "The first frame decodes to a byte more than it says.",
            12,
            table[12] - 1,
            Code::ChunkLength,
            0,
        ),
    ] {
        let mut wrong = table.clone();
        wrong[at] = value;
        let blob = [data.as_slice(), &wrong].concat();
        let draft = case(suite, id, description, Wire::Zstd, &blob);
        suite.add(
            demand(draft)
                .differs_from(positive)
                .refused(code, At::Blob(place)),
        );
    }
    let mut with_empty = Layer::zstd(image, Hash::None);
    with_empty.chunks.insert(1, zstd::wrap(&[]));
    with_empty.chunks.insert(2, zstd::skippable(3, 2, b"hi"));
    let contents = [contents[0], &[], &[], contents[1], contents[2]];
    let table = seek_table(&with_empty, &contents, 0x80);
    let blob = [with_empty.data(), table].concat();
    let description = "An empty and a skippable frame stand between the others, and have entries.";
    let draft = case(
        suite,
        "seek-table/empty-frames",
        description,
        Wire::Zstd,
        &blob,
    );
    let mut outputs = whole(image, "seek-table");
    outputs["chunks"] = 5.into();
    suite.add(demand(draft).valid(outputs));
}
