//! Layers that are read at random: what an index says that is taken covers blob and image without a
//! gap, and what is read by it is what a decoder gives that reads the blob from its start.
//!
//! An input is a zstd blob, which may end with a chunk index or a seek table.
#![no_main]

use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{Compression, Decoder, Status, Zstd};
use erofs_unpack_core::erofs::{ReadAt, ReadError};
use erofs_unpack_core::seekable::{
    ChunkIndex, Chunks, Earlier, Frames, Header, Section, SeekTable, SeekTableFooter, Seekable,
    Subject, tail,
};
use libfuzzer_sys::fuzz_target;

/// Most bytes of an image that are read.
const MOST: u64 = 1 << 20;

/// The image, from the start of the blob; `None` when that is refused, or is long.
fn whole(blob: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    let mut decoder = Zstd::new(limits);
    let mut image = vec![0; MOST as usize + 1];
    let (mut input, mut filled) = (blob, 0);
    loop {
        let step = decoder.decode(input, &mut image[filled..]).ok()?;
        input = &input[step.consumed..];
        filled += step.produced;
        if filled == image.len() {
            return None;
        }
        if input.is_empty() && step.status != Status::NeedOutput {
            break;
        }
    }
    decoder.finish().ok()?;
    image.truncate(filled);
    Some(image)
}

/// The chunks follow each other from the start of blob and image to their ends.
fn covers(chunks: &dyn Chunks, end: u64) {
    let (mut blob, mut image) = (0, 0);
    for number in 0..chunks.count() {
        let chunk = chunks.chunk(number).unwrap();
        assert_eq!((chunk.number, chunk.blob.start), (number, blob));
        assert_eq!(chunk.image.start, image);
        assert!(chunk.blob.end >= blob && chunk.image.end >= image);
        if !chunk.image.is_empty() {
            assert_eq!(chunks.find(image).unwrap().number, number);
            assert_eq!(chunks.find(chunk.image.end - 1).unwrap().number, number);
        }
        (blob, image) = (chunk.blob.end, chunk.image.end);
    }
    assert_eq!(image, chunks.image_size());
    assert!(chunks.count() == 0 || blob == end);
    assert_eq!(chunks.find(image), None);
}

/// What is read by the chunks is what there is.
fn read(blob: &[u8], chunks: &dyn Chunks, limits: &Limits) {
    let size = chunks.image_size();
    if size > MOST {
        return;
    }
    let image = Seekable::new(blob, chunks, Compression::Zstd, limits);
    let mut all = vec![0; size as usize];
    match image.read_at(0, &mut all) {
        // The chunks are all of the blob, so a decoder comes to the same.
        Ok(()) if chunks.count() > 0 => assert!(whole(blob, limits).is_none_or(|whole| whole == all)),
        Ok(()) | Err(ReadError::Refused(_)) => {}
        Err(ReadError::Source(_)) => panic!("read beyond the blob"),
    }
}

fuzz_target!(|data: &[u8]| {
    let mut limits = Limits::DEFAULT;
    limits.chunk = MOST;
    let size = data.len() as u64;
    if let Some(header) = data.first_chunk()
        && let Ok(header) = Header::parse(header)
    {
        assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
    }
    let _ = Earlier::of(data);
    if let Some(range) = tail(data, size) {
        let section = Section::of(range, Compression::Zstd, size, &limits);
        if let Ok(section) = section
            && let Ok(payload) = section.unframed(&data[section.span.start as usize..])
        {
            let end = section.span.start;
            let subject = Subject {
                compression: Compression::Zstd,
                end,
            };
            if let Ok(index) = ChunkIndex::parse(payload, &subject) {
                covers(&index, end);
                read(data, &index, &limits);
            }
        }
    }
    if let Some(footer) = data.last_chunk()
        && let Ok(Some(footer)) = SeekTableFooter::parse(footer)
        && let Some(start) = size.checked_sub(footer.frame_size())
        && let Ok(table) = SeekTable::parse(&data[start as usize..], &footer, size, &limits)
    {
        covers(&table, start);
        read(data, &table, &limits);
    }
    if let Ok(Some(frames)) = Frames::find(&data, size, &limits) {
        covers(&frames, size);
    }
});
