//! The calls of a reader: what they give of images, and what they say of bad arguments.
#![allow(
    unsafe_code,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    clippy::disallowed_methods,
    reason = "this is a test; it fills the buffers as a host does"
)]

#[allow(dead_code, reason = "each test uses a part of it")]
mod host;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::RwLock;

use erofs_unpack_wasm::status::{HANDLE, KEY, OK, ORDER, RANGE, REFUSED, SOURCE, VALUE};
use erofs_unpack_wasm::{OUTPUT_SIZE, abi};

use host::{base, content, lock, put, record, text};

const CHECK: u32 = 3;
const READER: u32 = 4;

/// The image that is read.
static IMAGE: RwLock<Vec<u8>> = RwLock::new(Vec::new());

fn read_at(offset: u64, buffer: &mut [u8]) -> bool {
    let image = IMAGE.read().unwrap();
    let part = usize::try_from(offset)
        .ok()
        .and_then(|start| image.get(start..start.checked_add(buffer.len())?));
    part.is_some_and(|part| {
        buffer.copy_from_slice(part);
        true
    })
}

/// A started reader of an image.
fn open(image: Vec<u8>) -> i32 {
    let size = image.len() as u64;
    *IMAGE.write().unwrap() = image;
    *abi::READ_AT.write().unwrap() = Some(read_at);
    let handle = abi::eu_open(READER);
    assert_eq!(abi::eu_file(handle, 0), ORDER);
    assert_eq!(abi::eu_set(handle, 16, size), OK);
    assert_eq!(abi::eu_start(handle), OK);
    handle
}

fn number(record: &[u8], at: usize, size: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(&record[at..at + size]);
    u64::from_le_bytes(bytes)
}

/// The entries of a directory: nid, type, name; and in how many parts they came.
fn list(handle: i32, nid: u64) -> (Vec<(u64, u8, String)>, usize) {
    let mut entries = Vec::new();
    let mut place = 0;
    for part in 1.. {
        let bytes = record(abi::eu_list(handle, nid, place));
        place = abi::eu_value();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let length = usize::from(rest[9]);
            let name = String::from_utf8(rest[10..10 + length].to_vec()).unwrap();
            entries.push((number(rest, 0, 8), rest[8], name));
            rest = &rest[10 + length..];
        }
        if place == 0 {
            return (entries, part);
        }
    }
    unreachable!()
}

fn find(handle: i32, path: &str) -> u64 {
    assert_eq!(abi::eu_find(handle, put(path.as_bytes())), OK, "{path}");
    abi::eu_value()
}

#[test]
fn a_tree_is_listed_and_its_files_are_read() {
    let _host = lock();
    let handle = open(base("demo-3.erofs"));
    assert_eq!(abi::eu_get(handle, 6), OK);
    let root = abi::eu_value();
    assert_eq!(find(handle, "/"), root);
    let mut directories = vec![(root, String::new())];
    let (mut files, mut links) = (0, 0);
    while let Some((directory, path)) = directories.pop() {
        let (entries, parts) = list(handle, directory);
        assert_eq!(parts, 1);
        for (nid, file_type, name) in entries {
            assert!(name != "." && name != "..");
            let path = format!("{path}/{name}");
            assert_eq!(find(handle, &path), nid);
            let file = record(abi::eu_file(handle, nid));
            assert_eq!(file.len(), 56);
            assert_eq!(number(&file, 0, 8), nid);
            let size = number(&file, 8, 8);
            match (file_type, number(&file, 28, 4) >> 12) {
                (1, 8) => {
                    files += 1;
                    let all = content(abi::eu_read(handle, nid, 0, OUTPUT_SIZE));
                    assert_eq!(all.len() as u64, size);
                    let two = content(abi::eu_read(handle, nid, 1, 2));
                    assert_eq!(two, all[1..][..2.min(all.len() - 1)]);
                    assert_eq!(abi::eu_read(handle, nid, size, 8), 0);
                    assert_eq!(abi::eu_read(handle, nid, u64::MAX, 8), 0);
                    assert_eq!(abi::eu_list(handle, nid, 0), REFUSED);
                    assert_eq!(abi::eu_link(handle, nid), REFUSED);
                }
                (7, 10) => {
                    links += 1;
                    let target = text(abi::eu_link(handle, nid));
                    assert_eq!(target.len() as u64, size);
                    assert_eq!(abi::eu_read(handle, nid, 0, 8), REFUSED);
                }
                (2, 4) => {
                    assert_eq!(abi::eu_read(handle, nid, 0, 8), REFUSED);
                    directories.push((nid, path));
                }
                // A whiteout.
                (3, 2) => assert_eq!(number(&file, 44, 8), 0),
                other => panic!("{path}: {other:?}"),
            }
        }
    }
    assert!(files > 0 && links > 0, "{files} files, {links} links");
    assert_eq!(abi::eu_close(handle), OK);
}

#[test]
fn compressed_content_is_decoded() {
    let _host = lock();
    for name in ["zstd", "deflate", "lz4", "lzma", "fragments", "metabox"] {
        let handle = open(base(&format!("{name}.erofs")));
        let root = find(handle, "");
        let mut directories = vec![root];
        let mut read = 0;
        while let Some(nid) = directories.pop() {
            for (nid, file_type, name) in list(handle, nid).0 {
                if file_type == 2 {
                    directories.push(nid);
                } else if file_type == 1 {
                    let size = number(&record(abi::eu_file(handle, nid)), 8, 8);
                    let bytes = content(abi::eu_read(handle, nid, 0, OUTPUT_SIZE));
                    assert_eq!(bytes.len() as u64, size.min(OUTPUT_SIZE.into()), "{name}");
                    read += bytes.len();
                }
            }
        }
        assert!(read > 0, "{name}");
        assert_eq!(abi::eu_close(handle), OK);
    }
}

#[test]
fn content_outside_of_the_image_is_refused() {
    let _host = lock();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
    let image = std::fs::read(vectors.join("cases/check-xattr/metacopy.erofs")).unwrap();
    let handle = open(image);
    let nid = find(handle, "/far");
    assert_eq!(abi::eu_read(handle, nid, 0, 8), REFUSED);
    assert_eq!(&record(abi::eu_error(handle))[40..54], b"file-elsewhere");
    assert_eq!(abi::eu_close(handle), OK);
}

#[test]
fn bad_arguments_are_statuses() {
    let _host = lock();
    let handle = open(base("small.erofs"));
    assert_eq!(abi::eu_start(handle), ORDER);
    assert_eq!(abi::eu_push(handle, 0, 0), ORDER);
    assert_eq!(abi::eu_check(handle), ORDER);
    assert_eq!(abi::eu_get(handle, 1), KEY);
    assert_eq!(abi::eu_find(handle, u32::MAX), RANGE);
    assert_eq!(abi::eu_find(handle, put(b"no/such/file")), VALUE);
    assert_eq!(abi::eu_find(handle, put(b"\xff\0")), VALUE);
    assert_eq!(abi::eu_value(), 0);
    let root = find(handle, "/");
    for nid in [root + 1_000_000, u64::MAX, 1 << 63] {
        assert_eq!(abi::eu_file(handle, nid), REFUSED);
        assert_eq!(abi::eu_list(handle, nid, 0), REFUSED);
        assert_eq!(abi::eu_read(handle, nid, 0, 1), REFUSED);
        assert_eq!(abi::eu_link(handle, nid), REFUSED);
    }
    assert_eq!(abi::eu_read(handle, root, 0, OUTPUT_SIZE + 1), RANGE);
    // Beyond the end of a directory nothing lies.
    assert_eq!(abi::eu_list(handle, root, u64::MAX), 0);
    assert_eq!(abi::eu_value(), 0);
    assert_eq!(abi::eu_close(handle), OK);
    for handle in [0, handle] {
        assert_eq!(abi::eu_find(handle, 0), HANDLE);
        assert_eq!(abi::eu_file(handle, 0), HANDLE);
        assert_eq!(abi::eu_list(handle, 0, 0), HANDLE);
        assert_eq!(abi::eu_read(handle, 0, 0, 0), HANDLE);
        assert_eq!(abi::eu_link(handle, 0), HANDLE);
    }
    let check = abi::eu_open(CHECK);
    assert_eq!(abi::eu_file(check, root), ORDER);
    assert_eq!(abi::eu_close(check), OK);
}

#[test]
fn what_is_no_image_or_cannot_be_read_is_not_opened() {
    let _host = lock();
    *IMAGE.write().unwrap() = vec![0; 4096];
    *abi::READ_AT.write().unwrap() = Some(read_at);
    let handle = abi::eu_open(READER);
    assert_eq!(abi::eu_set(handle, 16, 4096), OK);
    assert_eq!(abi::eu_start(handle), REFUSED);
    assert_eq!(&record(abi::eu_error(handle))[40..56], b"superblock-magic");
    // More than the host has.
    assert_eq!(abi::eu_set(handle, 16, 8192), OK);
    *abi::READ_AT.write().unwrap() = Some(|_, _| false);
    assert_eq!(abi::eu_start(handle), SOURCE);
    assert_eq!(abi::eu_close(handle), OK);
}

#[test]
fn a_large_directory_comes_in_parts() {
    let _host = lock();
    let work = std::env::temp_dir().join(format!("erofs-unpack-abi-{}", std::process::id()));
    let tree = work.join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    let names: BTreeSet<String> = (0..1500).map(|number| format!("{number:0110}")).collect();
    for name in &names {
        std::fs::write(tree.join(name), b"").unwrap();
    }
    let made = mkfs(&work.join("image"), &tree);
    let image = made.then(|| std::fs::read(work.join("image")).unwrap());
    std::fs::remove_dir_all(&work).unwrap();
    let Some(image) = image else { return };
    let handle = open(image);
    let (entries, parts) = list(handle, find(handle, "/"));
    assert!(parts > 1, "{parts}");
    assert_eq!(entries.len(), names.len());
    let found: BTreeSet<String> = entries.into_iter().map(|entry| entry.2).collect();
    assert!(found == names);
    assert_eq!(abi::eu_close(handle), OK);
}

/// Makes an image; `false` where there is nothing to make it with.
fn mkfs(image: &Path, tree: &Path) -> bool {
    match Command::new("mkfs.erofs")
        .arg("-Enoinline_data")
        .args([image, tree])
        .output()
    {
        Ok(made) => {
            assert!(made.status.success(), "{made:?}");
            true
        }
        Err(_) => {
            println!("skipped: needs mkfs.erofs");
            assert!(
                std::env::var_os("EROFS_UNPACK_REQUIRE_TOOLS").is_none(),
                "mkfs.erofs must be there"
            );
            false
        }
    }
}
