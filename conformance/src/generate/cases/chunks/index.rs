//! The chunk index where it may lie: in the blob, behind a plain image, as a layer of its own; and where
//! it may not.

use super::*;

pub(super) const EMBEDDED: &str = "chunk-index/embedded";

pub(super) fn add(suite: &mut Suite, image: &[u8]) {
    embedded(suite, image);
    plain(suite, image);
    standalone(suite, image);
    places(suite, image);
}

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
