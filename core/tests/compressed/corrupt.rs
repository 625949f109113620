//! Damaged images: nothing of them makes the reader panic, hang or take memory without bound.

use core::time::Duration;
use std::time::Instant;

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{Image, Inode, Place};

use super::support::{Files, Folder, Random, files, has_mkfs, inodes, mkfs, open};

/// The longest that reading one small file may take, whatever is wrong with it: most of it for
/// decoding a pcluster of the largest size without optimisation.
const PATIENCE: Duration = Duration::from_secs(5);

/// Files small enough that every byte of their maps and of a pcluster can be changed.
fn small_files() -> Files {
    let all = files();
    ["copy", "log", "mixed", "sparse", "noise", "small-7"]
        .into_iter()
        .map(|name| {
            let content = &all[name];
            let end = content.len().min(70_000);
            (name.to_string(), content[..end].to_vec())
        })
        .collect()
}

/// Reads a file, or what there is to be read, and walks over its extents.
fn read(bytes: &[u8], inode: &Inode, sorted: bool) {
    let start = Instant::now();
    let Ok(image) = Image::open(bytes, bytes.len() as u64, &Limits::DEFAULT) else {
        return;
    };
    let size = usize::try_from(inode.size).unwrap();
    let mut content = vec![0; size];
    if let Ok(read) = image.read(inode, 0, &mut content) {
        assert_eq!(read, size);
        // What can be read whole can be read in pieces, and is the same. Extents that are not
        // in order are the exception: what a search finds then depends on where it begins.
        let mut piece = [0; 1000];
        for at in (0..size).step_by(7777) {
            let read = image.read(inode, at as u64, &mut piece);
            if !sorted {
                let read = read.unwrap();
                assert!(piece[..read] == content[at..at + read], "at {at}");
            }
        }
    }
    let mut at = 0;
    while at < inode.size {
        let Ok(extent) = image.extent(inode, at) else {
            break;
        };
        assert!(extent.offset <= at && at - extent.offset < extent.length);
        at = extent.offset + extent.length;
    }
    assert!(at <= inode.size);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

/// Changes bytes one after another and reads the file each time.
fn change(bytes: &mut [u8], inode: &Inode, sorted: bool, places: impl Iterator<Item = usize>) {
    for at in places {
        let Some(byte) = bytes.get(at).copied() else {
            return;
        };
        for changed in [byte ^ 1, byte ^ 0x80, !byte] {
            if changed != byte {
                bytes[at] = changed;
                read(bytes, inode, sorted);
            }
        }
        bytes[at] = byte;
    }
}

fn damage(name: &str, options: &str) {
    if !has_mkfs() {
        return;
    }
    let folder = Folder::new(name);
    folder.write(&small_files());
    let options: Vec<&str> = options.split(' ').collect();
    let mut bytes = mkfs(&folder, "image", &options).unwrap();
    let image = open(&bytes);
    let superblock = *image.superblock();
    let found = inodes(&image).unwrap();
    let mut plan: Vec<(Inode, usize, usize, usize)> = Vec::new();
    for inode in found.values() {
        if !inode.layout.is_compressed() {
            continue;
        }
        if !inode.in_metabox(&superblock) {
            // The header and the map, or most of it.
            let start = usize::try_from(inode.end()).unwrap();
            plan.push((*inode, start, start + 200, 1));
        }
        let extent = image.extent(inode, 0).unwrap();
        if let Place::Encoded(pcluster) = extent.place {
            let start = usize::try_from(pcluster.offset).unwrap();
            let end = start + usize::try_from(pcluster.length).unwrap();
            // The head in full, since there are the headers, and the rest here and there.
            let head = start + 80;
            plan.push((*inode, start, head, 1));
            plan.push((*inode, head, end, 97));
        }
    }
    assert!(plan.len() > 2, "{options:?}");
    let sorted = options.iter().any(|option| option.contains("48bit"));
    for (inode, start, end, step) in plan {
        change(&mut bytes, &inode, sorted, (start..end).step_by(step));
    }
    many_at_once(&bytes);
}

/// Changes several bytes anywhere in the metadata and reads everything.
fn many_at_once(bytes: &[u8]) {
    let mut random = Random::new(bytes.len() as u64);
    for _ in 0..60 {
        let mut changed = bytes.to_vec();
        for _ in 0..1 + random.below(6) {
            // Metadata lies at either end of the image.
            let at = 1024 + random.below(8192);
            let at = if random.below(2) == 0 {
                at
            } else {
                changed.len().saturating_sub(at)
            };
            if let Some(byte) = changed.get_mut(at) {
                *byte = (random.below(256)) as u8;
            }
        }
        let Ok(image) = Image::open(&changed[..], changed.len() as u64, &Limits::DEFAULT) else {
            continue;
        };
        let Ok(found) = inodes(&image) else {
            continue;
        };
        let start = Instant::now();
        for inode in found.values() {
            let mut piece = vec![0; 100_000];
            for at in [0, inode.size / 2, inode.size.saturating_sub(9)] {
                let _ = image.read(inode, at, &mut piece);
            }
            let _ = image.extent(inode, inode.size.saturating_sub(1));
        }
        assert!(start.elapsed() < PATIENCE * 4, "{:?}", start.elapsed());
    }
}

#[test]
fn lz4_compact() {
    damage("damage-lz4", "-zlz4 -C16384");
}

#[test]
fn lz4_full_and_partial() {
    damage("damage-legacy", "-zlz4 -Elegacy-compress,dedupe");
}

#[test]
fn deflate_inline() {
    damage("damage-deflate", "-zdeflate -Eztailpacking -C8192");
}

#[test]
fn zstd_fragments() {
    damage("damage-zstd", "-zzstd -Efragments -C65536");
}

#[test]
fn zstd_extents() {
    damage(
        "damage-extents",
        "-zzstd -E48bit -C16384 --max-extent-bytes=65536",
    );
}

#[cfg(feature = "lzma")]
#[test]
fn lzma() {
    damage("damage-lzma", "-zlzma,level=1 -Efragments,dedupe -C8192");
}

#[test]
fn metabox() {
    damage("damage-metabox", "-zlz4 -m4096 --MZ -Eztailpacking");
}
