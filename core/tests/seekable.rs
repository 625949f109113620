//! Layers that are read at random: what an index may say, what is refused, and that reading at
//! random gives what reading from the start gives.
#![cfg(feature = "alloc")]

use erofs_unpack_core::codec::{Compression, Decoder as _, Zstd};
use erofs_unpack_core::erofs::{OutOfBounds, ReadAt as _, ReadError};
use erofs_unpack_core::oci::{Algorithm, ByteRange};
use erofs_unpack_core::seekable::{
    Checksum, Chunk, ChunkDecoder, ChunkIndex, ChunkIndexWriter, Chunks, Earlier, Frames,
    HashAlgorithm, Header, Section, SeekTable, SeekTableFooter, SeekTableWriter, Seekable, Skipped,
    Span, Subject, is_passed_over, skippable, tail,
};
use erofs_unpack_core::{At, Code, Error, Limits};
use proptest::prelude::*;

const SHA256: HashAlgorithm = HashAlgorithm::Sha2(Algorithm::Sha256);
const SHA512: HashAlgorithm = HashAlgorithm::Sha2(Algorithm::Sha512);

/// Bytes that compress and are different everywhere.
fn content(length: usize) -> Vec<u8> {
    let byte = |place: usize| ((place / 3) ^ (place >> 9)) as u8;
    (0..length).map(byte).collect()
}

fn frame(content: &[u8], sized: bool, checksum: bool) -> Vec<u8> {
    let mut encoder = zstd::bulk::Compressor::new(3).unwrap();
    let set = |encoder: &mut zstd::bulk::Compressor<'_>, parameter| {
        encoder.set_parameter(parameter).unwrap();
    };
    set(
        &mut encoder,
        zstd::stream::raw::CParameter::ContentSizeFlag(sized),
    );
    set(
        &mut encoder,
        zstd::stream::raw::CParameter::ChecksumFlag(checksum),
    );
    encoder.compress(content).unwrap()
}

/// A zstd blob of chunks that end at these places of `image`, without an index, and its index.
fn wrapped(image: &[u8], ends: &[usize], hash: HashAlgorithm, sized: bool) -> (Vec<u8>, Vec<u8>) {
    let mut index = ChunkIndexWriter::new(Compression::Zstd, hash);
    let mut blob = Vec::new();
    let mut start = 0;
    for end in ends {
        let frame = frame(&image[start..*end], sized, start % 2 == 0);
        let checksum = match hash {
            HashAlgorithm::None => Checksum::None,
            HashAlgorithm::Sha2(algorithm) => Checksum::Digest(algorithm.digest(&frame)),
        };
        let length = (end - start) as u64;
        index.push(frame.len() as u64, length, checksum).unwrap();
        blob.extend(frame);
        start = *end;
    }
    (blob, index.finish())
}

fn subject(blob: &[u8]) -> Subject {
    Subject {
        compression: Compression::Zstd,
        end: blob.len() as u64,
    }
}

/// The blob with its index embedded, and where that is.
fn embed(mut blob: Vec<u8>, index: &[u8]) -> (Vec<u8>, ByteRange) {
    let offset = blob.len() as u64;
    blob.extend(skippable(index).unwrap());
    blob.extend(index);
    let end = Some(blob.len() as u64);
    (blob, ByteRange { offset, end })
}

fn refused(payload: &[u8], subject: &Subject) -> (Code, At) {
    let error = ChunkIndex::parse(payload, subject).unwrap_err();
    (error.code(), error.at())
}

#[test]
fn the_header_is_as_the_draft_has_it() {
    let header = Header {
        compression: Compression::Zstd,
        image_size: 0x0102_0304_0506,
        count: 7,
        hash: SHA512,
    };
    let bytes = header.to_bytes();
    let mut expected = [0; 32];
    expected[..8].copy_from_slice(&[0xCD, 0xE4, 0xEC, 0x67, 1, 1, 0, 0]);
    expected[8..16].copy_from_slice(&[6, 5, 4, 3, 2, 1, 0, 0]);
    expected[16] = 7;
    expected[20..22].copy_from_slice(&[1, 64]);
    assert_eq!(bytes, expected);
    assert_eq!(Header::parse(&bytes).unwrap(), header);
    assert_eq!(header.payload_size(), 32 + 7 * 80);
}

#[test]
fn entries_are_read_as_they_were_written() {
    let image = content(10_000);
    for hash in [HashAlgorithm::None, SHA256, SHA512] {
        let (blob, index) = wrapped(&image, &[4096, 4097, 10_000], hash, true);
        let index = ChunkIndex::parse(index, &subject(&blob)).unwrap();
        assert_eq!((index.count(), index.image_size()), (3, 10_000));
        assert_eq!(index.has_digests(), hash != HashAlgorithm::None);
        let chunks: Vec<Chunk> = (0..3).map(|number| index.chunk(number).unwrap()).collect();
        let ends: Vec<u64> = chunks.iter().map(|chunk| chunk.image.end).collect();
        assert_eq!(ends, [4096, 4097, 10_000]);
        assert_eq!(chunks[2].blob.end, blob.len() as u64);
        assert_eq!(chunks[0].blob.end, chunks[1].blob.start);
        assert_eq!(index.chunk(3), None);
        for (offset, number) in [(0, 0), (4095, 0), (4096, 1), (4097, 2), (9999, 2)] {
            assert_eq!(index.find(offset).unwrap().number, number, "{offset}");
        }
        assert_eq!(index.find(10_000), None);
        assert_eq!(index.find(u64::MAX), None);
    }
}

#[test]
fn an_empty_image_has_no_chunks() {
    let index = ChunkIndexWriter::new(Compression::Zstd, SHA256).finish();
    let parsed = ChunkIndex::parse(index.as_slice(), &subject(&[])).unwrap();
    assert_eq!((parsed.count(), parsed.image_size()), (0, 0));
    assert_eq!(parsed.find(0), None);
    let mut sized = index.clone();
    sized[8] = 1;
    assert_eq!(
        refused(&sized, &subject(&[])),
        (Code::ChunkIndexBounds, At::Index(16))
    );
}

/// Every field of the header, wrong by itself, and what becomes of the layer then.
#[test]
fn headers_that_cannot_be_are_told_from_those_that_are_not_known() {
    let image = content(5000);
    let (blob, index) = wrapped(&image, &[3000, 5000], SHA256, true);
    let subject = subject(&blob);
    for (at, value, code, place, passed_over) in [
        (0, 0, Code::ChunkIndexMagic, 0, false),
        (4, 2, Code::ChunkIndexVersion, 4, true),
        (5, 2, Code::ChunkIndexCompression, 5, true),
        (5, 0, Code::ChunkIndexWrap, 5, false),
        (6, 1, Code::ChunkIndexFlags, 6, true),
        (7, 0x80, Code::ChunkIndexFlags, 6, true),
        (16, 3, Code::ChunkIndexLength, 128, false),
        (16, 1, Code::ChunkIndexLength, 128, false),
        (20, 2, Code::ChunkIndexHash, 20, true),
        (20, 0, Code::ChunkIndexHashSize, 21, false),
        (21, 48, Code::ChunkIndexHashSize, 21, false),
        (21, 0, Code::ChunkIndexHashSize, 21, false),
        (22, 1, Code::ChunkIndexReserved, 22, false),
        (31, 1, Code::ChunkIndexReserved, 31, false),
    ] {
        let mut wrong = index.clone();
        wrong[at] = value;
        let error = ChunkIndex::parse(wrong.as_slice(), &subject).unwrap_err();
        assert_eq!((error.code(), error.at()), (code, At::Index(place)));
        assert_eq!(is_passed_over(&error), passed_over, "{code:?}");
    }
    // What is not known comes first: such an index may use the reserved bytes.
    let mut later = index.clone();
    (later[6], later[22]) = (1, 1);
    assert_eq!(refused(&later, &subject).0, Code::ChunkIndexFlags);
    for length in [0, 31, 32, 127] {
        let code = refused(&index[..length], &subject).0;
        assert_eq!(code, Code::ChunkIndexLength);
    }
    let longer = [index.as_slice(), &[0]].concat();
    assert_eq!(
        refused(&longer, &subject),
        (Code::ChunkIndexLength, At::Index(129))
    );
    // Products that do not fit.
    let mut huge = index.clone();
    huge[16..20].fill(0xFF);
    assert_eq!(refused(&huge, &subject).0, Code::ChunkIndexLength);
}

#[test]
fn entries_that_lie_are_refused() {
    let image = content(9000);
    let (blob, index) = wrapped(&image, &[3000, 6000, 9000], HashAlgorithm::None, true);
    let subject = subject(&blob);
    let entry = |number: usize| 32 + number * 16;
    let end = blob.len() as u64;
    for (at, value, code) in [
        // Gaps at the start.
        (entry(0), 1, Code::ChunkIndexOrder),
        (entry(0) + 8, 1, Code::ChunkIndexOrder),
        // Overlaps, the wrong order, chunks of nothing.
        (entry(1), 0, Code::ChunkIndexOrder),
        (entry(2), 1, Code::ChunkIndexOrder),
        (entry(1) + 8, 0, Code::ChunkIndexOrder),
        (entry(2) + 8, 3000, Code::ChunkIndexOrder),
        // Behind the end.
        (entry(2), end, Code::ChunkIndexBounds),
        (entry(2), u64::MAX, Code::ChunkIndexBounds),
        (entry(2) + 8, 9000, Code::ChunkIndexBounds),
        (entry(2) + 8, u64::MAX, Code::ChunkIndexBounds),
    ] {
        let mut lie = index.clone();
        lie[at..at + 8].copy_from_slice(&value.to_le_bytes());
        assert_eq!(refused(&lie, &subject), (code, At::Index(at as u64)));
    }
    // The last entry is left without content by the size alone.
    let mut short = index.clone();
    short[8..16].copy_from_slice(&6000_u64.to_le_bytes());
    assert_eq!(
        refused(&short, &subject),
        (Code::ChunkIndexBounds, At::Index(entry(2) as u64 + 8))
    );
}

#[test]
fn a_plain_blob_is_its_own_image() {
    let mut index = ChunkIndexWriter::new(Compression::None, HashAlgorithm::None);
    index.push(4096, 4096, Checksum::None).unwrap();
    index.push(100, 100, Checksum::None).unwrap();
    let index = index.finish();
    let mut subject = Subject {
        compression: Compression::None,
        end: 4196,
    };
    assert!(ChunkIndex::parse(index.as_slice(), &subject).is_ok());
    let mut moved = index.clone();
    moved[32 + 16] = 1;
    assert_eq!(
        refused(&moved, &subject),
        (Code::ChunkIndexBounds, At::Index(48))
    );
    subject.end = 4197;
    assert_eq!(
        refused(&index, &subject),
        (Code::ChunkIndexBounds, At::Index(8))
    );
    subject.end = 4196;
    subject.compression = Compression::Zstd;
    assert_eq!(
        refused(&index, &subject),
        (Code::ChunkIndexWrap, At::Index(5))
    );
}

#[test]
fn a_section_ends_with_its_blob() {
    let image = content(3000);
    let (blob, index) = wrapped(&image, &[3000], SHA256, true);
    let (blob, range) = embed(blob, &index);
    let size = blob.len() as u64;
    let limits = Limits::DEFAULT;
    let of = |range, compression| Section::of(range, compression, size, &limits);
    let section = of(range, Compression::Zstd).unwrap();
    let bytes = &blob[section.span.start as usize..];
    assert_eq!(section.unframed(bytes).unwrap(), index);
    let open = ByteRange { end: None, ..range };
    assert_eq!(of(open, Compression::Zstd).unwrap(), section);
    assert_eq!(tail(&blob, size), Some(range));
    assert_eq!(tail(&blob[..blob.len() - 1], size), None);
    assert_eq!(tail(&[], 0), None);

    let code = |range, compression| of(range, compression).unwrap_err().code();
    let early = ByteRange {
        end: Some(size - 1),
        ..range
    };
    assert_eq!(code(early, Compression::Zstd), Code::ChunkIndexRange);
    let late = ByteRange {
        end: Some(size + 1),
        ..range
    };
    assert_eq!(code(late, Compression::Zstd), Code::ChunkIndexRange);
    for offset in [size - 39, size, size + 1, u64::MAX] {
        let range = ByteRange { offset, end: None };
        assert_eq!(code(range, Compression::Zstd), Code::ChunkIndexRange);
    }
    let header = ByteRange {
        offset: size - 32,
        end: None,
    };
    assert!(of(header, Compression::None).is_ok());
    assert_eq!(code(range, Compression::Gzip), Code::ChunkIndexRange);
    let mut narrow = limits;
    narrow.chunk_index = index.len() as u64 - 1;
    let error = Section::of(range, Compression::Zstd, size, &narrow).unwrap_err();
    assert_eq!(error.code(), Code::ChunkIndexLimit);

    for (at, value) in [(0, 0x28), (4, 79), (7, 1)] {
        let mut wrong = bytes.to_vec();
        wrong[at] = value;
        let error = section.unframed(&wrong).unwrap_err();
        assert_eq!(
            (error.code(), error.at()),
            (Code::ChunkIndexFrame, At::Blob(range.offset))
        );
    }
    // Any of the sixteen magics will do.
    let mut other = bytes.to_vec();
    other[0] = 0x5F;
    assert_eq!(section.unframed(&other).unwrap(), index);
    assert_eq!(Earlier::of(&index), None);
}

#[test]
fn an_index_has_the_digest_that_is_stated() {
    let (_, index) = wrapped(&content(10), &[10], SHA256, true);
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = algorithm.digest(&index);
        assert!(ChunkIndex::verify(&index, &digest).is_ok());
        let error = ChunkIndex::verify(&index[1..], &digest).unwrap_err();
        assert_eq!(error.code(), Code::ChunkIndexDigest);
    }
}

fn decode(chunk: &Chunk, blob: &[u8]) -> Result<Vec<u8>, Error> {
    let mut decoder = ChunkDecoder::new(Compression::Zstd, &Limits::DEFAULT);
    let mut output = vec![0; chunk.image.length() as usize];
    let input = &blob[chunk.blob.start as usize..chunk.blob.end as usize];
    decoder.decode(chunk, input, &mut output).map(|()| output)
}

#[test]
fn a_chunk_is_one_frame_of_its_length() {
    let image = content(300_000);
    for sized in [true, false] {
        let hash = HashAlgorithm::None;
        let (blob, index) = wrapped(&image, &[100_000, 300_000], hash, sized);
        let index = ChunkIndex::parse(index, &subject(&blob)).unwrap();
        let whole = index.chunk(0).unwrap();
        assert!(decode(&whole, &blob).unwrap() == image[..100_000]);
        let code = |chunk: &Chunk| {
            let error = decode(chunk, &blob).unwrap_err();
            (error.code(), error.at())
        };
        let start = At::Blob(0);
        let mut chunk = whole;
        chunk.image.end -= 1;
        assert_eq!(code(&chunk), (Code::ChunkLength, start));
        chunk.image.end += 2;
        assert_eq!(code(&chunk), (Code::ChunkLength, start));
        let mut chunk = whole;
        chunk.blob.end -= 1;
        assert_eq!(code(&chunk).0, Code::ZstdTruncated);
        // It reaches into the next frame, and over all of it.
        for more in [2, 200] {
            let mut chunk = whole;
            chunk.blob.end += more;
            let at = At::Blob(whole.blob.end);
            assert_eq!(code(&chunk), (Code::ChunkFrame, at), "{sized}");
        }
        let mut chunk = whole;
        chunk.blob.end = blob.len() as u64;
        chunk.image.end = 300_000;
        assert_eq!(code(&chunk).0, Code::ChunkFrame);
        let mut chunk = index.chunk(1).unwrap();
        chunk.blob.start += 1;
        let at = At::Blob(chunk.blob.start);
        assert_eq!(code(&chunk), (Code::ChunkFrame, at));
    }
}

#[test]
fn padding_belongs_to_the_last_chunk() {
    let image = content(5000);
    let frame = frame(&image, true, true);
    for (padding, expected) in [
        (b"\x50\x2A\x4D\x18\x03\0\0\0\0\0\0".as_slice(), None),
        (b"\x5F\x2A\x4D\x18\0\0\0\0\x50\x2A\x4D\x18\0\0\0\0", None),
        (b"\x50\x2A\x4D\x18\x04\0\0\0\0\0\0", Some(Code::ChunkFrame)),
        (b"\x50\x2A\x4D\x18\0\0\0", Some(Code::ChunkFrame)),
        (b"\0\0\0\0", Some(Code::ChunkFrame)),
    ] {
        let blob = [frame.as_slice(), padding].concat();
        let mut index = ChunkIndexWriter::new(Compression::Zstd, SHA256);
        let digest = Algorithm::Sha256.digest(&blob);
        let checksum = Checksum::Digest(digest);
        index.push(blob.len() as u64, 5000, checksum).unwrap();
        let index = ChunkIndex::parse(index.finish(), &subject(&blob)).unwrap();
        let decoded = decode(&index.chunk(0).unwrap(), &blob);
        match expected {
            None => assert!(decoded.unwrap() == image),
            Some(code) => {
                let error = decoded.unwrap_err();
                let at = At::Blob(frame.len() as u64);
                assert_eq!((error.code(), error.at()), (code, at));
            }
        }
    }
}

#[test]
fn a_chunk_has_its_checksum_before_it_is_decoded() {
    let image = content(5000);
    for hash in [SHA256, SHA512] {
        let (mut blob, index) = wrapped(&image, &[2000, 5000], hash, true);
        let index = ChunkIndex::parse(index, &subject(&blob)).unwrap();
        let chunk = index.chunk(1).unwrap();
        let start = chunk.blob.start as usize;
        // No frame at all: the codec would say so.
        blob[start] ^= 1;
        let error = decode(&chunk, &blob).unwrap_err();
        assert_eq!(
            (error.code(), error.at()),
            (Code::ChunkChecksum, At::Blob(start as u64))
        );
        assert!(decode(&index.chunk(0).unwrap(), &blob).is_ok());
    }
}

#[test]
fn seek_tables_are_read_as_they_were_written() {
    let image = content(9000);
    let low = |content| (twox_hash::XxHash64::oneshot(0, content) & 0xFFFF_FFFF) as u32;
    for checksums in [true, false] {
        let mut table = SeekTableWriter::new(checksums);
        let mut blob = Vec::new();
        for content in [&image[..4000], &[], &image[4000..]] {
            let frame = frame(content, true, false);
            let lengths = (frame.len() as u64, content.len() as u64);
            table.push(lengths.0, lengths.1, low(content)).unwrap();
            blob.extend(frame);
        }
        let start = blob.len();
        blob.extend(table.finish().unwrap());
        let size = blob.len() as u64;
        let parse = |blob: &[u8]| {
            let footer = SeekTableFooter::parse(blob.last_chunk().unwrap())?;
            let footer = footer.ok_or(Error::new(Code::Finished, At::Whole))?;
            let from = blob.len().saturating_sub(footer.frame_size() as usize);
            SeekTable::parse(&blob[from..], &footer, size, &Limits::DEFAULT)
        };
        let parsed = parse(&blob).unwrap();
        assert_eq!((parsed.count(), parsed.image_size()), (3, 9000));
        assert!(!parsed.has_digests());
        assert_eq!(parsed.find(3999).unwrap().number, 0);
        assert_eq!(parsed.find(4000).unwrap().number, 2);
        assert_eq!(parsed.find(9000), None);
        let mut decoded = Vec::new();
        for number in 0..3 {
            decoded.extend(decode(&parsed.chunk(number).unwrap(), &blob).unwrap());
        }
        assert!(decoded == image);
        // zstd itself passes over the table.
        assert!(zstd::decode_all(blob.as_slice()).unwrap() == image);

        let code = |at: usize, value: u8| {
            let mut wrong = blob.clone();
            wrong[at] ^= value;
            parse(&wrong).unwrap_err()
        };
        assert_eq!(code(blob.len() - 1, 1).code(), Code::Finished);
        let reserved = code(blob.len() - 5, 4);
        assert_eq!(reserved.code(), Code::SeekTableReserved);
        assert!(is_passed_over(&reserved));
        assert_eq!(code(start, 1).code(), Code::SeekTableFrame);
        assert_eq!(code(start + 4, 1).code(), Code::SeekTableFrame);
        assert_eq!(code(start + 8, 1).code(), Code::SeekTableSize);
        // Bits that mean nothing.
        let mut unused = blob.clone();
        let descriptor = unused.len() - 5;
        unused[descriptor] |= 3;
        assert_eq!(parse(&unused).unwrap(), parsed);
        if checksums {
            let mut wrong = blob.clone();
            wrong[start + 16] ^= 1;
            let parsed = parse(&wrong).unwrap();
            let error = decode(&parsed.chunk(0).unwrap(), &wrong).unwrap_err();
            assert_eq!(error.code(), Code::ChunkChecksum);
        }
        let mut narrow = Limits::DEFAULT;
        narrow.chunk_index = 20;
        let footer = SeekTableFooter::parse(blob.last_chunk().unwrap());
        let footer = footer.unwrap().unwrap();
        let error = SeekTable::parse(&blob[start..], &footer, size, &narrow).unwrap_err();
        assert_eq!(error.code(), Code::ChunkIndexLimit);
    }
}

#[test]
fn a_chunk_of_a_seek_table_without_content_is_empty() {
    let checksum = Checksum::None;
    let chunk = |length: usize, image: u64| {
        let blob = Span {
            start: 0,
            end: length as u64,
        };
        let image = Span {
            start: 5,
            end: 5 + image,
        };
        Chunk {
            number: 0,
            blob,
            image,
            checksum,
        }
    };
    let skippable = b"\x50\x2A\x4D\x18\x01\0\0\0\0".to_vec();
    for (blob, code) in [
        (skippable.clone(), None),
        (frame(&[], true, true), None),
        (frame(b"a", true, true), Some(Code::ChunkLength)),
        (skippable[..8].to_vec(), Some(Code::ChunkFrame)),
        (vec![1, 2, 3, 4], Some(Code::ChunkFrame)),
    ] {
        let found = decode(&chunk(blob.len(), 0), &blob).err();
        assert_eq!(found.map(|error| error.code()), code);
    }
}

#[test]
fn chunks_over_the_limit_are_not_taken_into_memory() {
    let image = content(5000);
    let (blob, index) = wrapped(&image, &[1000, 5000], SHA256, true);
    let index = ChunkIndex::parse(index, &subject(&blob)).unwrap();
    let mut limits = Limits::DEFAULT;
    limits.chunk = 3999;
    let seekable = Seekable::new(blob.as_slice(), index, Compression::Zstd, &limits);
    let mut buffer = [0; 10];
    seekable.read_at(990, &mut buffer).unwrap();
    let Err(ReadError::Refused(error)) = seekable.read_at(991, &mut buffer) else {
        panic!("taken");
    };
    assert_eq!(error.code(), Code::ChunkLimit);
}

#[test]
fn what_is_kept_is_not_fetched_again() {
    let image = content(8000);
    let ends: Vec<usize> = (1..=8).map(|number| number * 1000).collect();
    let (blob, index) = wrapped(&image, &ends, SHA256, true);
    let index = ChunkIndex::parse(index, &subject(&blob)).unwrap();
    let mut limits = Limits::DEFAULT;
    limits.chunk_cache = 3000;
    let seekable = Seekable::new(blob.as_slice(), &index, Compression::Zstd, &limits);
    let mut byte = [0];
    for (number, fetched) in [
        (0, 1),
        (1, 2),
        (2, 3),
        (0, 3),
        (3, 4),
        (0, 4),
        (1, 5),
        (2, 6),
    ] {
        seekable.read_at(number * 1000 + 7, &mut byte).unwrap();
        assert_eq!(byte[0], image[number as usize * 1000 + 7]);
        assert_eq!(seekable.reads().chunks, fetched, "{number}");
    }
    let lengths = |numbers: [u32; 6]| -> u64 {
        let length = |number| index.chunk(number).unwrap().blob.length();
        numbers.into_iter().map(length).sum()
    };
    assert_eq!(seekable.reads().bytes, lengths([0, 1, 2, 3, 1, 2]));
    // A cache that holds nothing holds one chunk.
    limits.chunk_cache = 0;
    let seekable = Seekable::new(blob.as_slice(), &index, Compression::Zstd, &limits);
    for offset in 0..1000 {
        seekable.read_at(offset, &mut byte).unwrap();
    }
    assert_eq!(seekable.reads().chunks, 1);
}

#[test]
fn a_blob_that_ends_early_is_the_source_s_fault() {
    let image = content(5000);
    let (blob, index) = wrapped(&image, &[1000, 5000], SHA256, true);
    let index = ChunkIndex::parse(index, &subject(&blob)).unwrap();
    let short = &blob[..blob.len() - 1];
    let seekable = Seekable::new(short, index, Compression::Zstd, &Limits::DEFAULT);
    let mut buffer = [0; 2];
    let read = seekable.read_at(4000, &mut buffer);
    assert_eq!(read, Err(ReadError::Source(OutOfBounds)));
    let Err(ReadError::Refused(error)) = seekable.read_at(5000, &mut buffer) else {
        panic!("taken");
    };
    assert_eq!(error.code(), Code::ChunkBounds);
    seekable.read_at(5000, &mut []).unwrap();
}

proptest! {
    /// Any image in any chunks: what is read at random is what is read from the start.
    #[test]
    fn random_reads_give_the_image(
        length in 1_usize..20_000,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        reads in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..5000), 1..20),
        cache in 0_u64..10_000,
        sized in any::<bool>(),
    ) {
        let image = content(length);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(length)).collect();
        ends.push(length);
        ends.retain(|end| *end > 0);
        ends.sort_unstable();
        ends.dedup();
        let (blob, index) = wrapped(&image, &ends, SHA256, sized);
        let (blob, range) = embed(blob, &index);
        let section = Section::of(range, Compression::Zstd, blob.len() as u64, &Limits::DEFAULT);
        let section = section.unwrap();
        let payload = section.unframed(&blob[section.span.start as usize..]).unwrap();
        let subject = Subject { compression: Compression::Zstd, end: section.span.start };
        let index = ChunkIndex::parse(payload, &subject).unwrap();
        let mut limits = Limits::DEFAULT;
        limits.chunk_cache = cache;
        let seekable = Seekable::new(blob.as_slice(), index, Compression::Zstd, &limits);
        for (offset, length) in reads {
            let offset = offset.index(image.len());
            let end = (offset + length).min(image.len());
            let mut buffer = vec![0; end - offset];
            seekable.read_at(offset as u64, &mut buffer).unwrap();
            prop_assert!(buffer == image[offset..end]);
        }
        // And the whole blob is one stream for any decoder.
        let mut decoder = Zstd::new(&Limits::DEFAULT);
        let mut output = vec![0; length + 1];
        let (mut input, mut filled) = (blob.as_slice(), 0);
        while !input.is_empty() {
            let step = decoder.decode(input, &mut output[filled..]).unwrap();
            (input, filled) = (&input[step.consumed..], filled + step.produced);
        }
        decoder.finish().unwrap();
        prop_assert!(output[..filled] == image);
    }

    /// Any bytes are an index or are refused, and what is taken covers the image without a gap.
    #[test]
    fn any_index_is_whole_or_refused(
        index in prop::collection::vec(any::<u8>(), 0..200),
        start in any::<bool>(),
        count in 0_u32..4,
        end in 0_u64..1000,
    ) {
        let mut index = index;
        if start && index.len() >= 32 {
            let header = Header {
                compression: Compression::Zstd,
                image_size: 1 + u64::from(index[0]),
                count,
                hash: HashAlgorithm::None,
            };
            index[..32].copy_from_slice(&header.to_bytes());
            index.truncate(32 + count as usize * 16);
            for field in index[32..].chunks_mut(8) {
                field.iter_mut().skip(1).for_each(|byte| *byte = 0);
            }
        }
        let subject = Subject { compression: Compression::Zstd, end };
        if let Ok(parsed) = ChunkIndex::parse(index, &subject) {
            let mut last: Option<Chunk> = None;
            for number in 0..parsed.count() {
                let chunk = parsed.chunk(number).unwrap();
                prop_assert!(!chunk.blob.is_empty() && !chunk.image.is_empty());
                let (blob, image) = last.map_or((0, 0), |last| (last.blob.end, last.image.end));
                prop_assert_eq!((chunk.blob.start, chunk.image.start), (blob, image));
                last = Some(chunk);
            }
            let (blob, image) = last.map_or((end, 0), |last| (last.blob.end, last.image.end));
            prop_assert_eq!((blob, image), (end, parsed.image_size()));
        }
    }
}

/// A skippable frame with this much content.
fn padding(length: usize) -> Vec<u8> {
    let content = vec![0; length];
    [skippable(&content).unwrap().to_vec(), content].concat()
}

#[test]
fn frames_are_found_by_their_headers() {
    let image = content(400_000);
    let find =
        |blob: &[u8], limits: &Limits| Frames::find(&blob, blob.len() as u64, limits).unwrap();
    for sized in [true, false] {
        let mut blob = padding(4);
        let mut ends = Vec::new();
        for part in image.chunks(150_000) {
            blob.extend(frame(part, sized, ends.len() == 1));
            ends.push(blob.len() as u64);
            blob.extend(padding(4));
        }
        // What follows the last comes with it.
        *ends.last_mut().unwrap() = blob.len() as u64;
        let frames = find(&blob, &Limits::DEFAULT).unwrap();
        assert_eq!(frames.count(), 3);
        let mut before = 0;
        let sizes = [150_000_u64, 150_000, 100_000];
        for ((number, end), size) in (0..).zip(&ends).zip(sizes) {
            let chunk = frames.chunk(number).unwrap();
            assert_eq!((chunk.blob.start, chunk.blob.end), (before, *end));
            assert_eq!(chunk.checksum, Checksum::None);
            // Two blocks, of 128 KiB at most.
            let most = if sized {
                size
            } else {
                size.next_multiple_of(131_072)
            };
            assert_eq!(chunk.image.length(), most);
            before = *end;
        }
        assert_eq!(frames.chunk(3), None);
        // Seven frames, four of them with 4 bytes each.
        for (frames, skippable_size, chunk, found) in [
            (7, 16, 1 << 20, true),
            (6, 16, 1 << 20, false),
            (7, 15, 1 << 20, false),
            (7, 16, 149_999, false),
        ] {
            let mut limits = Limits::DEFAULT;
            limits.frames = frames;
            limits.skippable_size = skippable_size;
            limits.chunk = chunk;
            assert_eq!(find(&blob, &limits).is_some(), found, "{frames} {chunk}");
        }
        for cut in [1, 5, 11, 13, 20] {
            assert_eq!(find(&blob[..blob.len() - cut], &Limits::DEFAULT), None);
        }
        for (place, _) in [(0, ""), (12, ""), (16, "")] {
            let mut wrong = blob.clone();
            wrong[place] ^= 0x80;
            assert_ne!(find(&wrong, &Limits::DEFAULT), Some(frames.clone()));
        }
    }
    // One is none.
    assert_eq!(find(&frame(&image, true, true), &Limits::DEFAULT), None);
    assert_eq!(find(b"", &Limits::DEFAULT), None);
    assert_eq!(find(b"no frame of any kind", &Limits::DEFAULT), None);
}

#[test]
fn skippable_frames_of_a_chunk_are_counted() {
    let image = content(5000);
    let mut blob = frame(&image, true, true);
    let mut decoder = ChunkDecoder::new(Compression::Zstd, &Limits::DEFAULT);
    let mut decode = |blob: &[u8]| {
        let chunk = Chunk {
            number: 0,
            blob: Span {
                start: 0,
                end: blob.len() as u64,
            },
            image: Span {
                start: 0,
                end: 5000,
            },
            checksum: Checksum::None,
        };
        let mut output = vec![0; 5000];
        decoder.decode(&chunk, blob, &mut output).unwrap();
        assert!(output == image);
        decoder.skipped()
    };
    assert_eq!(decode(&blob), Skipped::default());
    let alone = blob.clone();
    blob.extend(padding(70));
    blob.extend(padding(0));
    let two = Skipped {
        frames: 2,
        bytes: 70,
    };
    assert_eq!(decode(&blob), two);
    assert_eq!(decode(&alone), Skipped::default());
}
