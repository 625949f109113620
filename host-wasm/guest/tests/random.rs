//! Readers and checks of a layer whose blob the host holds: its image is read out of its chunks.
#![allow(
    unsafe_code,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::disallowed_methods,
    reason = "this is a test; it fills the buffers as a host does"
)]

#[allow(dead_code, reason = "each test uses a part of it")]
mod host;

use std::path::Path;
use std::sync::Mutex;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::seekable::{Checksum, ChunkIndexWriter, HashAlgorithm};
use erofs_unpack_wasm::status::{HANDLE, KEY, OK, ORDER, RANGE, REFUSED, SOURCE, VALUE};
use erofs_unpack_wasm::{INPUT_SIZE, OUTPUT_SIZE, abi};

use host::{base, content, lock, put, record, text};

const UNPACKER: u32 = 1;
const CHECK: u32 = 3;
const READER: u32 = 4;
/// Keys.
const COMPRESSION: u32 = 1;
const BLOB_SIZE: u32 = 3;
const DEVICE: u32 = 24;
const IS_BLOB: u32 = 27;
const VOUCHED: u32 = 28;
const INDEX_LIMIT: u32 = 45;
const CHUNK_LIMIT: u32 = 46;
const RANGE_TEXT: u32 = 8;
const DIGEST_TEXT: u32 = 9;

/// The digest of the index of most of the layers in the vectors.
const DIGEST: &str = "sha256:4ec31ba74e0fda9d494d04211ce4f2cddaaac5a1c9996d70a468d52fb5b8497c";

/// What the host holds, and what it has at hand of that: a host that cannot wait says at first that
/// it has nothing.
struct Host {
    bytes: Vec<u8>,
    waits: bool,
    at_hand: Vec<(usize, usize)>,
    missing: Option<(usize, usize)>,
}

static BLOB: Mutex<Host> = Mutex::new(Host {
    bytes: Vec::new(),
    waits: true,
    at_hand: Vec::new(),
    missing: None,
});

fn read_at(offset: u64, buffer: &mut [u8]) -> bool {
    let mut host = BLOB.lock().unwrap();
    let Ok(start) = usize::try_from(offset) else {
        return false;
    };
    let range = (start, start.saturating_add(buffer.len()));
    let Some(part) = host.bytes.get(range.0..range.1) else {
        return false;
    };
    if host.waits || host.at_hand.contains(&range) {
        buffer.copy_from_slice(part);
        return true;
    }
    host.missing = Some(range);
    false
}

/// Gives the module this to read.
fn hold(bytes: Vec<u8>, waits: bool) {
    *BLOB.lock().unwrap() = Host {
        bytes,
        waits,
        at_hand: Vec::new(),
        missing: None,
    };
    *abi::READ_AT.write().unwrap() = Some(read_at);
}

/// Makes a call until the host has all that it needs: at each failure one range more.
fn again(mut call: impl FnMut() -> i32) -> i32 {
    loop {
        let status = call();
        let mut host = BLOB.lock().unwrap();
        match host.missing.take() {
            Some(range) if status == SOURCE => host.at_hand.push(range),
            _ => return status,
        }
    }
}

fn case(name: &str) -> Vec<u8> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/cases");
    std::fs::read(cases.join(name)).unwrap()
}

fn set(handle: i32, key: u32, value: u64) {
    assert_eq!(abi::eu_set(handle, key, value), OK, "{key}");
}

fn set_text(handle: i32, key: u32, text: &str) {
    assert_eq!(abi::eu_set_text(handle, key, put(text.as_bytes())), OK);
}

fn number(handle: i32, key: u32) -> u64 {
    assert_eq!(abi::eu_get(handle, key), OK, "{key}");
    abi::eu_value()
}

fn refused(handle: i32, status: i32) -> String {
    assert_eq!(status, REFUSED);
    let record = record(abi::eu_error(handle));
    String::from_utf8(record[40..40 + usize::from(record[2])].to_vec()).unwrap()
}

/// A handle for a blob that the host holds, not started yet.
fn opened(sort: u32, blob: Vec<u8>, compression: u64) -> i32 {
    let size = blob.len() as u64;
    hold(blob, true);
    let handle = abi::eu_open(sort);
    set(handle, IS_BLOB, 1);
    set(handle, COMPRESSION, compression);
    set(handle, BLOB_SIZE, size);
    handle
}

/// All content of the regular files in the directories below, one after the other.
fn all(handle: i32, nid: u64) -> Vec<u8> {
    let bytes = record(again(|| abi::eu_list(handle, nid, 0)));
    let mut found = Vec::new();
    let mut rest = &bytes[..];
    while let Some((nid, after)) = rest.split_first_chunk() {
        let nid = u64::from_le_bytes(*nid);
        match after[0] {
            1 => found.extend(content(again(|| abi::eu_read(handle, nid, 0, OUTPUT_SIZE)))),
            2 => found.extend(all(handle, nid)),
            _ => {}
        }
        rest = &after[2 + usize::from(after[1])..];
    }
    found
}

/// The same of a plain image.
fn all_of(image: &str) -> Vec<u8> {
    let image = base(image);
    let size = image.len() as u64;
    hold(image, true);
    let handle = abi::eu_open(READER);
    set(handle, 16, size);
    assert_eq!(abi::eu_start(handle), OK);
    let found = all(handle, number(handle, 6));
    // Nothing is read of a blob here.
    assert_eq!(abi::eu_get(handle, 9), VALUE);
    assert_eq!(abi::eu_close(handle), OK);
    found
}

#[test]
fn a_layer_with_a_pinned_index_is_read_and_checked() {
    let _host = lock();
    let expected = all_of("small.erofs");
    for (name, compression, range, digest) in [
        ("embedded.erofs.zst", 2, "448:632", DIGEST),
        ("embedded.erofs.zst", 2, "448", DIGEST),
        ("embedded.erofs.zst", 2, "", DIGEST),
        (
            "plain.erofs",
            0,
            "4096",
            "sha256:02f321f3f9b7f2e1c6e1bb6dd42f1c8bc7709f984b1d50dd2a9427ab9bf077a9",
        ),
    ] {
        let blob = case(&format!("chunk-index/{name}"));
        let size = blob.len() as u64;
        for sort in [READER, CHECK] {
            let handle = opened(sort, blob.clone(), compression);
            // Where no range is stated it is looked for.
            if !range.is_empty() {
                set_text(handle, RANGE_TEXT, range);
            }
            set_text(handle, DIGEST_TEXT, digest);
            assert_eq!(abi::eu_start(handle), OK, "{name}");
            assert_eq!(abi::eu_start(handle), ORDER);
            assert_eq!(abi::eu_set(handle, BLOB_SIZE, size), ORDER);
            if sort == READER {
                assert!(all(handle, number(handle, 6)) == expected, "{name}");
            } else {
                assert_eq!(abi::eu_check(handle), OK);
                assert_eq!(abi::eu_finding(handle, 0), RANGE);
            }
            assert_eq!(number(handle, 2), 4096);
            assert!((1..=size).contains(&number(handle, 9)), "{name}");
            assert!((1..=3).contains(&number(handle, 10)), "{name}");
            assert_eq!((number(handle, 11), number(handle, 12)), (3, 2));
            assert_eq!(abi::eu_get(handle, 13), KEY);
            assert_eq!(abi::eu_close(handle), OK);
        }
    }
}

#[test]
fn an_index_that_is_a_layer_comes_in_pieces() {
    let _host = lock();
    let expected = all_of("small.erofs");
    let index = case("chunk-index/standalone.index");
    let open = || {
        let handle = opened(READER, case("chunk-index/standalone.erofs.zst"), 2);
        for piece in index.chunks(100) {
            assert_eq!(abi::eu_index(handle, put(piece)), OK);
        }
        handle
    };
    let handle = open();
    set_text(handle, DIGEST_TEXT, DIGEST);
    assert_eq!(abi::eu_start(handle), OK);
    assert_eq!(abi::eu_index(handle, 0), ORDER);
    assert!(all(handle, number(handle, 6)) == expected);
    assert_eq!(number(handle, 12), 2);
    assert_eq!(abi::eu_close(handle), OK);

    // That the blob is verified says nothing of it.
    let handle = open();
    set(handle, VOUCHED, 1);
    let id = refused(handle, abi::eu_start(handle));
    assert_eq!(id, "chunk-index-unpinned");
    assert_eq!(abi::eu_close(handle), OK);

    let handle = open();
    set_text(handle, DIGEST_TEXT, &format!("sha256:{}", "0".repeat(64)));
    let id = refused(handle, abi::eu_start(handle));
    assert_eq!(id, "chunk-index-digest");
    assert_eq!(abi::eu_close(handle), OK);

    let handle = opened(READER, case("chunk-index/standalone.erofs.zst"), 2);
    set(handle, INDEX_LIMIT, 100);
    assert_eq!(abi::eu_index(handle, 100), OK);
    let id = refused(handle, abi::eu_index(handle, 1));
    assert_eq!(id, "chunk-index-limit");
    assert_eq!(abi::eu_index(handle, INPUT_SIZE + 1), RANGE);
    assert_eq!(abi::eu_close(handle), OK);
    assert_eq!(abi::eu_index(handle, 0), HANDLE);

    let unpacker = abi::eu_open(UNPACKER);
    assert_eq!(abi::eu_index(unpacker, 0), ORDER);
    assert_eq!(abi::eu_close(unpacker), OK);
}

#[test]
fn without_trust_nothing_is_read_at_random() {
    let _host = lock();
    let expected = all_of("small.erofs");
    let table = "seek-table/checksums.erofs.zst";
    let bare = "chunk-index/embedded-unverified.erofs.zst";
    let good = "chunk-index/embedded.erofs.zst";
    let unpinned = Err("chunk-index-unpinned");
    let unverified = Err("chunk-index-unverified");
    for (name, vouched, outcome) in [
        (good, 0, unpinned),
        (good, 1, Ok(1)),
        (good, 2, Ok(0)),
        (bare, 0, unpinned),
        (bare, 1, unverified),
        (bare, 2, Ok(0)),
        (table, 0, unpinned),
        (table, 1, unverified),
        (table, 2, Ok(0)),
    ] {
        let handle = opened(READER, case(name), 2);
        set(handle, VOUCHED, vouched);
        let status = abi::eu_start(handle);
        match outcome {
            Ok(pin) => {
                assert_eq!(status, OK, "{name} {vouched}");
                assert_eq!(number(handle, 12), pin);
                assert!(all(handle, number(handle, 6)) == expected);
            }
            Err(id) => {
                assert_eq!(refused(handle, status), id, "{name} {vouched}");
                assert_eq!(abi::eu_get(handle, 6), ORDER);
                // It can be said then that it is to be used.
                set(handle, VOUCHED, 2);
                assert_eq!(abi::eu_start(handle), OK);
            }
        }
        assert_eq!(abi::eu_close(handle), OK);
    }
}

#[test]
fn what_cannot_be_read_at_random_is_told() {
    let _host = lock();
    // No index at all, none that could be there, and no size of the blob.
    for (name, compression) in [
        ("small.erofs.zst", 2),
        ("small.erofs.gz", 1),
        ("small.erofs", 0),
    ] {
        let handle = opened(CHECK, base(name), compression);
        set(handle, VOUCHED, 2);
        assert_eq!(abi::eu_start(handle), VALUE);
        assert_eq!(abi::eu_check(handle), ORDER);
        assert_eq!(abi::eu_close(handle), OK);
    }
    let handle = abi::eu_open(READER);
    assert_eq!(abi::eu_set(handle, IS_BLOB, 2), VALUE);
    assert_eq!(abi::eu_set(handle, VOUCHED, 3), VALUE);
    set(handle, IS_BLOB, 1);
    assert_eq!(abi::eu_start(handle), VALUE);
    assert_eq!(abi::eu_close(handle), OK);

    let starts = |name: &str, set_up: &dyn Fn(i32)| {
        let handle = opened(READER, case(name), 2);
        set(handle, VOUCHED, 2);
        set_up(handle);
        let id = refused(handle, abi::eu_start(handle));
        assert_eq!(abi::eu_close(handle), OK);
        id
    };
    let good = "chunk-index/embedded.erofs.zst";
    let other = "chunk-index/unknown-hash.erofs.zst";
    assert_eq!(starts(other, &|_| ()), "chunk-index-hash");
    let wrong = |handle| set_text(handle, RANGE_TEXT, "440:632");
    assert_eq!(starts(good, &wrong), "chunk-index-frame");
    let chunk = |handle| set(handle, CHUNK_LIMIT, 100);
    assert_eq!(starts(good, &chunk), "chunk-limit");
    let index = |handle| set(handle, INDEX_LIMIT, 100);
    assert_eq!(starts(good, &index), "chunk-index-limit");
    let image = |handle| set(handle, 33, 4095);
    assert_eq!(starts(good, &image), "image-limit");
}

#[test]
fn a_chunk_that_is_another_is_refused_when_it_is_read() {
    let _host = lock();
    let mut blob = case("chunk-index/embedded.erofs.zst");
    blob[30] ^= 1;
    for sort in [READER, CHECK] {
        let handle = opened(sort, blob.clone(), 2);
        set_text(handle, DIGEST_TEXT, DIGEST);
        let mut status = abi::eu_start(handle);
        if sort == CHECK {
            assert_eq!(status, OK);
            status = abi::eu_check(handle);
        }
        assert_eq!(refused(handle, status), "chunk-checksum");
        let said = text(abi::eu_get_text(handle, 1));
        assert!(said.contains("blob"), "{said}");
        assert_eq!(abi::eu_close(handle), OK);
    }
}

#[test]
fn a_host_that_cannot_wait_fetches_and_calls_again() {
    let _host = lock();
    let expected = all_of("small.erofs");
    let blob = case("chunk-index/embedded.erofs.zst");
    for sort in [READER, CHECK] {
        let handle = opened(sort, blob.clone(), 2);
        set_text(handle, DIGEST_TEXT, DIGEST);
        hold(blob.clone(), false);
        // The index, then the first chunk.
        assert_eq!(abi::eu_start(handle), SOURCE);
        assert_eq!(again(|| abi::eu_start(handle)), OK);
        if sort == READER {
            assert!(all(handle, number(handle, 6)) == expected);
        } else {
            assert_eq!(again(|| abi::eu_check(handle)), OK);
            assert_eq!(number(handle, 16), 0);
        }
        // No chunk twice, however often a call was made again; the tail, the index and the chunks.
        let mut ranges = BLOB.lock().unwrap().at_hand.clone();
        let chunks = number(handle, 10);
        assert!((1..=3).contains(&chunks));
        assert_eq!(ranges.len() as u64, chunks + 2);
        ranges.sort_unstable();
        ranges.dedup();
        assert_eq!(ranges.len() as u64, chunks + 2);
        assert_eq!(abi::eu_close(handle), OK);
    }
}

/// A plain blob in chunks, its index in it, and the range and digest of that.
fn indexed(image: &[u8], chunk: usize) -> (Vec<u8>, String, String) {
    let hash = HashAlgorithm::Sha2(Algorithm::Sha256);
    let mut index = ChunkIndexWriter::new(Compression::None, hash);
    for piece in image.chunks(chunk) {
        let length = piece.len() as u64;
        let digest = Checksum::Digest(Algorithm::Sha256.digest(piece));
        index.push(length, length, digest).unwrap();
    }
    let index = index.finish();
    let digest = Algorithm::Sha256.digest(&index).to_string();
    let range = image.len().to_string();
    (image.iter().copied().chain(index).collect(), range, digest)
}

#[test]
fn devices_lie_behind_the_blob() {
    let _host = lock();
    let (blob, range, digest) = indexed(&case("check-clean/chunks.erofs"), 1000);
    let handle = opened(CHECK, blob.clone(), 0);
    set_text(handle, RANGE_TEXT, &range);
    set_text(handle, DIGEST_TEXT, &digest);
    // As many as it has, each a megabyte of nothing.
    let devices = 4;
    for _ in 0..devices {
        set(handle, DEVICE, 1 << 20);
    }
    let mut all = blob.clone();
    all.resize(blob.len() + (devices << 20), 0);
    hold(all, true);
    assert_eq!(abi::eu_start(handle), OK);
    assert_eq!(abi::eu_check(handle), OK);
    assert!(number(handle, 9) <= blob.len() as u64);
    assert_eq!(abi::eu_close(handle), OK);
}

#[test]
fn memory_for_chunks_is_bounded_by_the_host() {
    let _host = lock();
    let expected = all_of("zstd.erofs");
    let (blob, range, digest) = indexed(&base("zstd.erofs"), 512);
    let read = |cache: u64| {
        let handle = opened(READER, blob.clone(), 0);
        set_text(handle, RANGE_TEXT, &range);
        set_text(handle, DIGEST_TEXT, &digest);
        set(handle, 47, cache);
        assert_eq!(abi::eu_start(handle), OK);
        for _ in 0..2 {
            assert!(all(handle, number(handle, 6)) == expected);
        }
        let read = number(handle, 10);
        assert!(number(handle, 11) > 2);
        assert_eq!(abi::eu_close(handle), OK);
        read
    };
    // With room for one chunk they are fetched again.
    assert!(read(512) > read(1 << 20));
}
