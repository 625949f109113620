//! Layers that are decoded chunk by chunk come to the same as those that are read from their start.

use super::*;
use crate::indexed::Index;
use crate::sandbox::Sandbox;
use crate::source::{Source, SourceOptions};
use crate::system::File;
use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::seekable::{
    Checksum, ChunkIndex, ChunkIndexWriter, HashAlgorithm, SeekTableWriter, Subject, skippable,
};
use erofs_unpack_core::unpack::Content;
use std::path::PathBuf;

/// Bytes that compress, and are different everywhere.
fn content(size: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut content = Vec::new();
    while content.len() < size {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        let word = (state >> 40) % 1500;
        content.extend(format!("{word} ").bytes());
    }
    content.truncate(size);
    content
}

fn frame(content: &[u8], sized: bool) -> Vec<u8> {
    use zstd::stream::raw::CParameter;
    let mut encoder = zstd::bulk::Compressor::new(1).unwrap();
    for parameter in [
        CParameter::ContentSizeFlag(sized),
        CParameter::ChecksumFlag(true),
    ] {
        encoder.set_parameter(parameter).unwrap();
    }
    encoder.compress(content).unwrap()
}

/// A zstd blob of chunks, and what tells of them.
struct Made {
    blob: Vec<u8>,
    payload: Vec<u8>,
    /// Where the chunks end.
    end: usize,
}

/// The image cut into chunks of this size, with a skippable frame behind the last where there is to
/// be padding, and the index at the end.
fn embedded(image: &[u8], size: usize, sized: bool, padding: bool) -> Made {
    let mut writer =
        ChunkIndexWriter::new(Compression::Zstd, HashAlgorithm::Sha2(Algorithm::Sha256));
    let mut blob = Vec::new();
    let count = image.len().div_ceil(size);
    for (number, chunk) in image.chunks(size).enumerate() {
        let mut frame = frame(chunk, sized);
        if padding && number + 1 == count {
            frame.extend(skippable(&[0; 100]).unwrap());
            frame.extend([0; 100]);
        }
        let digest = Checksum::Digest(Algorithm::Sha256.digest(&frame));
        let lengths = (frame.len() as u64, chunk.len() as u64);
        writer.push(lengths.0, lengths.1, digest).unwrap();
        blob.extend(frame);
    }
    let payload = writer.finish();
    let end = blob.len();
    blob.extend(skippable(&payload).unwrap());
    blob.extend(&payload);
    Made { blob, payload, end }
}

/// A folder that is removed with its content.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let name = format!("parallel-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn blob(&self, bytes: &[u8]) -> BlobReader {
        let path = self.0.join("blob");
        std::fs::write(&path, bytes).unwrap();
        let options = SourceOptions {
            blob: true,
            ..SourceOptions::default()
        };
        match Source::open(&path, &options).unwrap() {
            Source::Blob(blob) => blob,
            Source::Image(_) => panic!("a blob was asked for"),
        }
    }

    fn output(&self) -> (File, PathBuf) {
        let path = self.0.join("output");
        let file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        (file, path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn expected(blob: &[u8], image: &[u8]) -> Expectations {
    let mut expected = Expectations::new(Compression::Zstd);
    expected.content = Content::Bytes;
    expected.blob_size = Some(blob.len() as u64);
    expected.blob_digest = Some(Algorithm::Sha256.digest(blob));
    expected.diff_id = Some(Algorithm::Sha256.digest(image));
    expected
}

const fn terms(limits: &Limits, threads: usize) -> Terms<'_> {
    Terms {
        limits,
        sandbox: &Sandbox::NONE,
        threads,
        by_chunks: false,
    }
}

/// What came of a layer: its outcome and its content, or why it was refused.
type Came = Result<(Outcome, Vec<u8>), String>;

fn told(error: &HostError) -> String {
    let report = crate::report::ErrorReport::of(error);
    format!("{} {}", report.id, report.message)
}

/// What comes of a blob that is read from its start.
fn from_start(dir: &Dir, blob: &[u8], expected: &Expectations, limits: &Limits) -> Came {
    let mut blob = dir.blob(blob);
    let (file, path) = dir.output();
    let space = Some(Space::new(&file, path.clone()));
    let progress = Progress::default();
    let came = layer::unpack(&mut blob, space, expected, &terms(limits, 1), &progress);
    let outcome = came.map_err(|error| told(&error))?;
    Ok((outcome, std::fs::read(path).unwrap()))
}

/// What comes of it with an index.
fn by_index(
    dir: &Dir,
    blob: &[u8],
    announced: Announced,
    expected: &Expectations,
    terms: &Terms<'_>,
) -> Result<(Unpacked, Vec<u8>), String> {
    let mut opening = Opening {
        blob: dir.blob(blob),
        announced,
    };
    let (file, path) = dir.output();
    let space = Some(Space::new(&file, path.clone()));
    let progress = Progress::default();
    let came = unpack(&mut opening, space, expected, terms, &progress);
    let unpacked = came.map_err(|error| told(&error))?;
    Ok((unpacked, std::fs::read(path).unwrap()))
}

fn index(payload: &[u8], end: usize) -> Announced {
    let subject = Subject {
        compression: Compression::Zstd,
        end: end as u64,
    };
    Announced::Index(Opened {
        chunks: Index::Chunks(ChunkIndex::parse(payload.to_vec(), &subject).unwrap()),
        pin: Pin::Manifest,
        end: end as u64,
    })
}

#[test]
fn chunks_change_nothing_in_what_comes() {
    let dir = Dir::new("same");
    let image = content(3_000_000);
    let limits = Limits::DEFAULT;
    for size in [100_000, 1 << 20, 5_000_000] {
        for (sized, padding) in [(true, false), (true, true), (false, false), (false, true)] {
            let made = embedded(&image, size, sized, padding);
            let expected = expected(&made.blob, &image);
            let reference = from_start(&dir, &made.blob, &expected, &limits).unwrap();
            for threads in [0, 1, 2, 5] {
                let announced = index(&made.payload, made.end);
                let terms = terms(&limits, threads);
                let came = by_index(&dir, &made.blob, announced, &expected, &terms);
                let (unpacked, content) = came.unwrap();
                assert_eq!(unpacked.outcome, reference.0);
                assert!(content == image && reference.1 == image);
                let chunks = unpacked.chunks.unwrap();
                let count = image.len().div_ceil(size);
                assert_eq!(chunks.chunks as usize, count);
                assert_eq!(chunks.threads, threads.clamp(1, count));
                assert_eq!((chunks.index, chunks.pin), ("chunk index", "manifest"));
            }
        }
    }
}

/// Whatever is damaged, where, and however many threads there are: what is said is what is said of
/// a blob that is read from its start.
#[test]
fn chunks_change_nothing_in_what_is_said() {
    let dir = Dir::new("said");
    let image = content(600_000);
    let made = embedded(&image, 70_000, true, true);
    let limits = Limits::DEFAULT;
    let whole = expected(&made.blob, &image);
    let mut cases = Vec::new();
    // Every field around the first frames and the index, and some of everything.
    let near = (0..20).chain(made.end - 115..made.end - 95);
    let near = near.chain(made.end - 4..made.end + 44);
    let far = (40..made.blob.len()).step_by(made.end / 50);
    for place in near.chain(far) {
        let mut wrong = made.blob.clone();
        wrong[place] ^= 1 << (place % 8);
        cases.push((wrong, whole));
    }
    for place in (0..made.blob.len()).step_by(made.blob.len() / 25) {
        cases.push((made.blob[..place].to_vec(), whole));
    }
    for (wrong, expected) in &mut cases.clone() {
        // The same as if its digests were right: then it is what decodes it that says why.
        expected.blob_size = Some(wrong.len() as u64);
        expected.blob_digest = None;
        cases.push((core::mem::take(wrong), *expected));
    }
    for (number, (blob, expected)) in cases.iter().enumerate() {
        let reference = from_start(&dir, blob, expected, &limits);
        let threads = [0, 1, 2, 4][number % 4];
        let announced = index(&made.payload, made.end);
        let came = by_index(&dir, blob, announced, expected, &terms(&limits, threads));
        match (came, reference) {
            (Ok((unpacked, content)), Ok(reference)) => {
                assert_eq!((unpacked.outcome, content), reference);
            }
            (Err(said), Err(reference)) => assert_eq!(said, reference, "case {number}"),
            // The layer is what it should be, without its index.
            (Err(said), Ok(_)) => {
                assert!(said.starts_with("chunk-"), "case {number}: {said}");
            }
            (Ok(_), Err(reference)) => panic!("case {number}: {reference}"),
        }
    }
}

/// An index that lies about a layer that is whole.
#[test]
fn an_index_that_lies_is_refused() {
    let dir = Dir::new("lies");
    let image = content(300_000);
    let made = embedded(&image, 100_000, true, false);
    let limits = Limits::DEFAULT;
    let expected = expected(&made.blob, &image);
    // A checksum; where the second chunk begins, in the blob and in the image.
    for (place, id) in [
        (32 + 16, "chunk-checksum"),
        (32 + 48, "chunk-checksum"),
        (32 + 48 + 8, "chunk-length"),
    ] {
        let mut payload = made.payload.clone();
        payload[place] ^= 1;
        for threads in [0, 1, 3] {
            let announced = index(&payload, made.end);
            let came = by_index(
                &dir,
                &made.blob,
                announced,
                &expected,
                &terms(&limits, threads),
            );
            let said = came.map(|_| ()).unwrap_err();
            assert!(said.starts_with(id), "{said}");
        }
    }
}

#[test]
fn limits_are_those_of_the_whole_blob() {
    let dir = Dir::new("limits");
    let image = content(300_000);
    let made = embedded(&image, 30_000, true, true);
    let expected = expected(&made.blob, &image);
    let skippable = 100 + made.payload.len() as u64;
    // Ten frames, padding, and the index.
    for (frames, skippable_size, image_size, passes) in [
        (12, skippable, 300_000, true),
        (11, skippable, 300_000, false),
        (10, skippable, 300_000, false),
        (12, skippable - 1, 300_000, false),
        (12, 99, 300_000, false),
        (12, skippable, 299_999, false),
    ] {
        let mut limits = Limits::DEFAULT;
        limits.frames = frames;
        limits.skippable_size = skippable_size;
        limits.image_size = image_size;
        let reference = from_start(&dir, &made.blob, &expected, &limits);
        let announced = index(&made.payload, made.end);
        let came = by_index(&dir, &made.blob, announced, &expected, &terms(&limits, 2));
        assert_eq!(came.is_ok(), passes);
        assert_eq!(came.map(|_| ()), reference.map(|_| ()));
    }
    // Memory for a chunk is taken whole.
    let mut limits = Limits::DEFAULT;
    limits.chunk = 29_999;
    let announced = index(&made.payload, made.end);
    let came = by_index(&dir, &made.blob, announced, &expected, &terms(&limits, 2));
    assert_eq!(came.unwrap().0.chunks, None);
}

#[test]
fn a_blob_by_itself_may_end_with_an_index() {
    let dir = Dir::new("hints");
    let image = content(500_000);
    let made = embedded(&image, 90_000, true, false);
    let mut seekable = made.blob[..made.end].to_vec();
    let mut writer = SeekTableWriter::new(false);
    let mut before = 0;
    let mut chunks = image.chunks(90_000);
    let Announced::Index(opened) = index(&made.payload, made.end) else {
        panic!("an index")
    };
    for number in 0..opened.chunks.count() {
        let chunk = opened.chunks.chunk(number).unwrap();
        assert_eq!(chunk.blob.start, before);
        before = chunk.blob.end;
        let decoded = chunks.next().unwrap().len() as u64;
        writer.push(chunk.blob.length(), decoded, 0).unwrap();
    }
    seekable.extend(writer.finish().unwrap());
    let limits = Limits::DEFAULT;
    for (blob, name) in [(&made.blob, "chunk index"), (&seekable, "seek table")] {
        let expected = expected(blob, &image);
        let terms = terms(&limits, 2);
        let came = by_index(&dir, blob, Announced::Nothing, &expected, &terms);
        let (unpacked, content) = came.unwrap();
        assert!(content == image);
        let chunks = unpacked.chunks.unwrap();
        assert_eq!((chunks.index, chunks.pin), (name, "blob"));
    }
    // What lies there and is no help does no harm: the table tells of one byte less.
    let entry = seekable.len() - 9 - 6 * 8;
    seekable[entry + 4] ^= 1;
    let expected = expected(&seekable, &image);
    let came = by_index(
        &dir,
        &seekable,
        Announced::Nothing,
        &expected,
        &terms(&limits, 2),
    );
    let (unpacked, content) = came.unwrap();
    assert!(content == image);
    assert_eq!(unpacked.chunks, None);
    assert_eq!(unpacked.passed_over.unwrap().id(), "chunk-length");
}

/// Keeps what comes.
struct Kept(Vec<u8>);

impl Sink for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[test]
fn a_blob_of_which_nobody_says_anything_may_tell_of_its_chunks() {
    let dir = Dir::new("hint");
    let image = content(900_000);
    let limits = Limits::DEFAULT;
    let mut expected = Expectations::new(Compression::Zstd);
    expected.content = Content::Bytes;
    let terms = Terms {
        by_chunks: true,
        ..terms(&limits, 3)
    };
    let run = |blob: &[u8]| {
        let mut kept = Kept(Vec::new());
        let blob = dir.blob(blob);
        let ended = by_hint(&blob, &mut kept, &expected, &terms, &Progress::default());
        (ended.unwrap(), kept.0)
    };
    let mut frames = image.chunks(250_000).flat_map(|chunk| frame(chunk, true));
    let several: Vec<u8> = frames.by_ref().collect();
    match run(&several) {
        (Some(Ended::Whole(outcome)), came) => {
            assert_eq!(outcome.image_size, 900_000);
            assert!(came == image);
        }
        (ended, _) => panic!("{ended:?}"),
    }
    assert!(matches!(run(&frame(&image, true)), (None, _)));
    let mut wrong = several;
    let last = wrong.len() - 20;
    wrong[last] ^= 0xFF;
    assert!(matches!(run(&wrong), (Some(Ended::Chunk(_)), _)));
}

/// As `pzstd` writes them, and as others do.
#[test]
fn frames_without_an_index_are_found() {
    let dir = Dir::new("frames");
    let image = content(900_000);
    let limits = Limits::DEFAULT;
    for (sized, skippables) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut blob = Vec::new();
        for chunk in image.chunks(250_000) {
            let frame = frame(chunk, sized);
            if skippables {
                let size = u32::try_from(frame.len()).unwrap().to_le_bytes();
                blob.extend(skippable(&size).unwrap());
                blob.extend(size);
            }
            blob.extend(frame);
        }
        let whole = expected(&blob, &image);
        for threads in [0, 1, 3] {
            let terms = terms(&limits, threads);
            let came = by_index(&dir, &blob, Announced::Nothing, &whole, &terms);
            let (unpacked, content) = came.unwrap();
            assert!(content == image);
            let chunks = unpacked.chunks.unwrap();
            assert_eq!((chunks.index, chunks.chunks), ("frames", 4));
        }
        for place in (0..blob.len()).step_by(blob.len() / 40) {
            let mut wrong = blob.clone();
            wrong[place] ^= 2;
            for blob in [&wrong[..], &blob[..place]] {
                let mut expected = whole;
                expected.blob_digest = None;
                expected.blob_size = Some(blob.len() as u64);
                let reference = from_start(&dir, blob, &expected, &limits);
                let terms = terms(&limits, 2);
                let came = by_index(&dir, blob, Announced::Nothing, &expected, &terms);
                let came = came.map(|(unpacked, content)| (unpacked.outcome, content));
                assert_eq!(came, reference, "{place}");
            }
        }
    }
}

#[test]
fn chunks_alone_verify_a_layer() {
    let dir = Dir::new("alone");
    let image = content(500_000);
    let made = embedded(&image, 90_000, true, true);
    let limits = Limits::DEFAULT;
    let mut expected = expected(&made.blob, &image);
    // Nobody computes it.
    expected.diff_id = Some(Algorithm::Sha256.digest(b"another"));
    for threads in [0, 1, 2] {
        let terms = Terms {
            by_chunks: true,
            ..terms(&limits, threads)
        };
        let announced = index(&made.payload, made.end);
        let came = by_index(&dir, &made.blob, announced, &expected, &terms);
        let (unpacked, content) = came.unwrap();
        assert!(content == image);
        assert_eq!(unpacked.outcome.image_size, image.len() as u64);
        assert_eq!(Some(unpacked.outcome.diff_id), expected.diff_id);
        // But every byte of a chunk is.
        for place in (0..made.end).step_by(made.end / 9) {
            let mut wrong = made.blob.clone();
            wrong[place] ^= 16;
            let announced = index(&made.payload, made.end);
            let came = by_index(&dir, &wrong, announced, &expected, &terms);
            let said = came.map(|_| ()).unwrap_err();
            assert!(said.starts_with("chunk-checksum"), "{said}");
        }
    }
}

#[test]
fn chunks_alone_need_a_pin_and_checksums() {
    let dir = Dir::new("usage");
    let image = content(50_000);
    let made = embedded(&image, 20_000, true, false);
    let limits = Limits::DEFAULT;
    let expected = expected(&made.blob, &image);
    let terms = Terms {
        by_chunks: true,
        ..terms(&limits, 2)
    };
    let mut unpinned = index(&made.payload, made.end);
    if let Announced::Index(opened) = &mut unpinned {
        opened.pin = Pin::None;
    }
    let mut writer = ChunkIndexWriter::new(Compression::Zstd, HashAlgorithm::None);
    let length = made.end as u64;
    let pushed = writer.push(length, image.len() as u64, Checksum::None);
    pushed.unwrap();
    let without = index(&writer.finish(), made.end);
    for (announced, why) in [
        (unpinned, "the manifest does not state the digest"),
        (without, "its chunk index has no checksums"),
        (Announced::Nothing, "it has no chunk index"),
    ] {
        let came = by_index(&dir, &made.blob, announced, &expected, &terms);
        let said = came.map(|_| ()).unwrap_err();
        assert!(said.contains("--skip-serial-digests"), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
