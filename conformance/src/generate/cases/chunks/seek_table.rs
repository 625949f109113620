//! zstd's seek table.

use super::*;

const SEEKABLE: &str = "contrib/seekable_format, version 0.1.0";

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

pub(super) fn add(suite: &mut Suite, image: &[u8]) {
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
