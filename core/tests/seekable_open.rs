//! A layer that is opened by its index: where that is looked for, and what it is held against.
#![cfg(feature = "alloc")]

use core::cell::RefCell;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::{OutOfBounds, ReadAt, ReadError};
use erofs_unpack_core::oci::{Algorithm, ByteRange, Digest};
use erofs_unpack_core::seekable::{
    Checksum, ChunkIndexWriter, Chunks as _, HashAlgorithm, Index, IndexPlace, Pin,
    SeekTableWriter, Seekable, Stated, is_passed_over, skippable,
};
use erofs_unpack_core::{Code, Limits};

const SHA256: HashAlgorithm = HashAlgorithm::Sha2(Algorithm::Sha256);
const CHUNK: usize = 1000;

/// Bytes that are different everywhere.
fn content(length: usize) -> Vec<u8> {
    let byte = |place: usize| ((place / 3) ^ (place >> 9)) as u8;
    (0..length).map(byte).collect()
}

/// A blob that says which parts of it were read.
struct Blob {
    bytes: Vec<u8>,
    ranges: RefCell<Vec<(u64, u64)>>,
}

impl ReadAt for Blob {
    type Error = OutOfBounds;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), OutOfBounds> {
        let range = (offset, offset + buf.len() as u64);
        self.ranges.borrow_mut().push(range);
        self.bytes.as_slice().read_at(offset, buf)
    }
}

impl Blob {
    fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            ranges: RefCell::default(),
        }
    }
}

/// The frames of a blob, and its index.
fn wrapped(image: &[u8], hash: HashAlgorithm) -> (Vec<u8>, Vec<u8>) {
    let mut index = ChunkIndexWriter::new(Compression::Zstd, hash);
    let mut blob = Vec::new();
    for piece in image.chunks(CHUNK) {
        let frame = zstd::bulk::compress(piece, 3).unwrap();
        let checksum = match hash {
            HashAlgorithm::None => Checksum::None,
            HashAlgorithm::Sha2(algorithm) => Checksum::Digest(algorithm.digest(&frame)),
        };
        index
            .push(frame.len() as u64, piece.len() as u64, checksum)
            .unwrap();
        blob.extend(frame);
    }
    (blob, index.finish())
}

fn embed(mut blob: Vec<u8>, index: &[u8]) -> Vec<u8> {
    blob.extend(skippable(index).unwrap());
    blob.extend(index);
    blob
}

fn stated(blob: &[u8], index: IndexPlace, digest: Option<Digest>) -> Stated {
    Stated {
        compression: Compression::Zstd,
        size: blob.len() as u64,
        index,
        digest,
        blob_verified: false,
        allow_unpinned: false,
    }
}

type Opened<'a> = Option<(Seekable<&'a Blob, Index>, Pin)>;

fn open<'a>(blob: &'a Blob, stated: Stated) -> Result<Opened<'a>, ReadError<OutOfBounds>> {
    Seekable::open(blob, stated, &Limits::DEFAULT)
}

fn refused(blob: &Blob, stated: Stated, limits: &Limits) -> Code {
    match Seekable::open(blob, stated, limits) {
        Err(ReadError::Refused(error)) => error.code(),
        other => panic!("{:?}", other.map(drop)),
    }
}

#[test]
fn an_index_is_found_where_it_is_stated_and_where_it_is_not() {
    let image = content(10 * CHUNK + 7);
    let (frames, index) = wrapped(&image, SHA256);
    let digest = Algorithm::Sha256.digest(&index);
    let blob = embed(frames.clone(), &index);
    let range = ByteRange {
        offset: frames.len() as u64,
        end: None,
    };
    for (bytes, place, in_blob) in [
        (&blob, IndexPlace::Range(range), index.len() + 8),
        (&blob, IndexPlace::End, index.len() + 8),
        (&frames, IndexPlace::Payload(index.clone()), 0),
    ] {
        let held = Blob::new(bytes);
        let opened = open(&held, stated(bytes, place, Some(digest))).unwrap();
        let (layer, pin) = opened.unwrap();
        assert_eq!(pin, Pin::Manifest);
        assert_eq!(layer.chunks().image_size(), image.len() as u64);
        // Nothing but the index.
        assert_eq!(layer.reads().chunks, 0);
        assert_eq!(layer.reads().bytes, in_blob as u64);
        let mut part = vec![0; 2 * CHUNK];
        layer.read_at(3500, &mut part).unwrap();
        assert!(part == image[3500..5500]);
        assert_eq!(layer.reads().chunks, 3);
        assert!(layer.reads().bytes < bytes.len() as u64);
    }
}

#[test]
fn little_is_read_of_the_end_at_first() {
    let image = content(4 * CHUNK);
    let (frames, index) = wrapped(&image, SHA256);
    let mut padded = content(9 << 20);
    padded.extend(&frames);
    let blob = embed(padded, &index);
    // The index does not fit such a blob, which is seen once it was read.
    let held = Blob::new(&blob);
    let wanted = stated(&blob, IndexPlace::End, None);
    assert!(open(&held, wanted).is_err());
    let size = blob.len() as u64;
    let ranges = held.ranges.borrow();
    let expected = [
        (size - 9, size),
        (size - (64 << 10), size),
        (size - 8 - index.len() as u64, size),
    ];
    assert_eq!(*ranges, expected);

    // Where there is none, as much is looked at as for any index.
    let held = Blob::new(&blob[..9 << 20]);
    let wanted = stated(&held.bytes, IndexPlace::End, None);
    assert!(open(&held, wanted).unwrap().is_none());
    let size = held.bytes.len() as u64;
    let ranges = held.ranges.borrow();
    assert_eq!(ranges.last(), Some(&(size - (4 << 20), size)));
    assert_eq!(ranges.len(), 4);
}

#[test]
fn a_large_index_is_found_by_looking_further() {
    // 80 bytes an entry, so more than is read at first.
    let image = content(1 << 21);
    let (frames, index) = wrapped(&image, HashAlgorithm::Sha2(Algorithm::Sha512));
    assert!(index.len() > 64 << 10);
    let blob = embed(frames, &index);
    let held = Blob::new(&blob);
    let digest = Algorithm::Sha512.digest(&index);
    let opened = open(&held, stated(&blob, IndexPlace::End, Some(digest))).unwrap();
    let (layer, _) = opened.unwrap();
    let mut part = [0; 100];
    layer.read_at(2_000_000, &mut part).unwrap();
    assert!(part == image[2_000_000..2_000_100]);
}

#[test]
fn a_seek_table_is_found_and_needs_leave() {
    let image = content(5 * CHUNK);
    let mut table = SeekTableWriter::new(false);
    let mut blob = Vec::new();
    for piece in image.chunks(CHUNK) {
        let frame = zstd::bulk::compress(piece, 3).unwrap();
        let sizes = (frame.len() as u64, piece.len() as u64);
        table.push(sizes.0, sizes.1, 0).unwrap();
        blob.extend(frame);
    }
    blob.extend(table.finish().unwrap());
    let held = Blob::new(&blob);
    let wanted = stated(&blob, IndexPlace::End, None);
    let limits = Limits::DEFAULT;
    assert_eq!(
        refused(&held, wanted.clone(), &limits),
        Code::ChunkIndexUnpinned
    );
    let verified = Stated {
        blob_verified: true,
        ..wanted.clone()
    };
    assert_eq!(
        refused(&held, verified.clone(), &limits),
        Code::ChunkIndexUnverified
    );
    let mut small = limits;
    small.chunk_index = 20;
    assert_eq!(refused(&held, verified, &small), Code::ChunkIndexLimit);
    let allowed = Stated {
        allow_unpinned: true,
        ..wanted.clone()
    };
    let (layer, pin) = open(&held, allowed).unwrap().unwrap();
    assert_eq!(pin, Pin::None);
    let mut all = vec![0; image.len()];
    layer.read_at(0, &mut all).unwrap();
    assert!(all == image);
    // The digest of a chunk index does not vouch for a seek table.
    let pinned = Stated {
        digest: Some(Algorithm::Sha256.digest(&[])),
        ..wanted
    };
    assert!(open(&held, pinned).unwrap().is_none());
}

#[test]
fn what_is_wrong_with_an_index_refuses_it() {
    let image = content(3 * CHUNK);
    let (frames, index) = wrapped(&image, SHA256);
    let digest = Algorithm::Sha256.digest(&index);
    let blob = embed(frames.clone(), &index);
    let held = Blob::new(&blob);
    let limits = Limits::DEFAULT;
    let wanted = stated(&blob, IndexPlace::End, Some(digest));

    let other = Stated {
        digest: Some(Algorithm::Sha256.digest(b"other")),
        ..wanted.clone()
    };
    assert_eq!(refused(&held, other, &limits), Code::ChunkIndexDigest);
    let mut small = limits;
    small.chunk = 999;
    assert_eq!(refused(&held, wanted.clone(), &small), Code::ChunkLimit);
    small = limits;
    small.image_size = 2999;
    assert_eq!(refused(&held, wanted.clone(), &small), Code::ImageLimit);
    small = limits;
    small.chunk_index = index.len() as u64 - 1;
    assert_eq!(refused(&held, wanted, &small), Code::ChunkIndexLimit);

    let bare = Blob::new(&frames);
    let payload = |index: &[u8]| stated(&frames, IndexPlace::Payload(index.to_vec()), None);
    assert_eq!(
        refused(&bare, payload(&index), &small),
        Code::ChunkIndexLimit
    );
    // That the blob is verified says nothing of an index outside of it.
    let verified = Stated {
        blob_verified: true,
        ..payload(&index)
    };
    assert_eq!(refused(&bare, verified, &limits), Code::ChunkIndexUnpinned);
    // What is not known is passed over.
    let mut later = index.clone();
    later[4] = 9;
    let Err(ReadError::Refused(error)) = open(&bare, payload(&later)) else {
        panic!("taken");
    };
    assert!(is_passed_over(&error), "{error}");
}

#[test]
fn plain_and_gzip_blobs_do_not_say_where_theirs_is() {
    let held = Blob::new(&content(5000));
    for compression in [Compression::None, Compression::Gzip] {
        let wanted = Stated {
            compression,
            ..stated(&held.bytes, IndexPlace::End, None)
        };
        assert!(open(&held, wanted).unwrap().is_none());
    }
    assert!(held.ranges.borrow().is_empty());
}

#[test]
fn a_blob_that_cannot_be_read_is_the_source_s_fault() {
    let image = content(3 * CHUNK);
    let (frames, index) = wrapped(&image, SHA256);
    let blob = embed(frames, &index);
    let held = Blob::new(&blob);
    let mut wanted = stated(&blob, IndexPlace::End, None);
    wanted.size += 5;
    let failed = open(&held, wanted);
    assert!(matches!(failed, Err(ReadError::Source(OutOfBounds))));
    // As short as no index is.
    let empty = Blob::new(&[]);
    let wanted = stated(&[], IndexPlace::End, None);
    assert!(open(&empty, wanted).unwrap().is_none());
}
