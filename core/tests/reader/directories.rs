//! Directories, paths and walks.

use std::cell::Cell;

use erofs_unpack_core::erofs::{DirEntry, Image, Inode, Walk};
use erofs_unpack_core::{At, Code, Limits};

use crate::build::{Build, Counted, ROOT, Record, code, dir_block};

const DIR: u16 = 0o4_0755;
const FILE: u16 = 0o10_0644;

/// The names of a directory.
fn names(image: &Image<&[u8]>, dir: &Inode) -> Vec<Vec<u8>> {
    let mut entries = image.entries(dir).unwrap();
    let mut names = Vec::new();
    while let Some(DirEntry { name, .. }) = entries.next().unwrap() {
        names.push(name.to_vec());
    }
    names
}

/// The paths of a walk, errors in between.
fn paths(mut walk: Walk<'_, &[u8]>) -> Vec<String> {
    let mut paths = Vec::new();
    loop {
        match walk.next() {
            Ok(Some(visit)) => {
                assert!(visit.path.ends_with(visit.name));
                let slashes = visit.path.iter().filter(|byte| **byte == b'/').count();
                let depth = if visit.path.is_empty() {
                    0
                } else {
                    slashes + 1
                };
                assert_eq!(visit.depth as usize, depth);
                paths.push(String::from_utf8_lossy(visit.path).into_owned());
            }
            Ok(None) => return paths,
            Err(error) => {
                let path = String::from_utf8_lossy(walk.path()).into_owned();
                let error = crate::build::refusal::<(), _>(Err(error));
                paths.push(format!("{path}: {}", error.id()));
            }
        }
    }
}

/// A directory of so many files, in blocks of 512 bytes, with all of them the inode 64.
fn many(count: u32) -> (Build, Vec<Vec<u8>>) {
    let all: Vec<Vec<u8>> = (0..count)
        .map(|n| format!("{:05}-{}", n * 2, "x".repeat(n as usize % 37)).into_bytes())
        .collect();
    let mut blocks = Vec::new();
    let mut rest = &all[..];
    while !rest.is_empty() {
        let mut room = 512;
        let fit = rest
            .iter()
            .take_while(|name| {
                let size = 12 + name.len();
                let fits = size <= room;
                room -= size.min(room);
                fits
            })
            .count();
        let (now, later) = rest.split_at(fit);
        let entries: Vec<(&[u8], u64)> = now.iter().map(|name| (&name[..], 64)).collect();
        let mut block = dir_block(&entries);
        // The last one is as long as its names.
        if !later.is_empty() {
            block.resize(512, 0);
        }
        blocks.extend(block);
        rest = later;
    }
    let size = blocks.len();
    let mut build = Build::new(9, 16 + size.div_ceil(512) as u32);
    build.inode(ROOT, Record::new(0, DIR, size as u64, 16));
    build.inode(64, Record::new(0, FILE, 0, 0));
    build.put(16 * 512, &blocks);
    (build, all)
}

#[test]
fn all_names_of_many_blocks_are_given_and_found() {
    let (build, all) = many(2000);
    let image = build.open();
    let root = image.root().unwrap();
    assert_eq!(names(&image, &root), all);
    for name in &all {
        let entry = image.lookup(&root, name).unwrap().unwrap();
        assert_eq!(entry.nid, 64);
        let mut absent = name.clone();
        absent.push(b'!');
        assert_eq!(image.lookup(&root, &absent).unwrap(), None);
    }
    for absent in [&b"0"[..], b"~", b"", b"a/b", b"00000\0", &[b'0'; 300]] {
        assert_eq!(image.lookup(&root, absent).unwrap(), None);
    }
}

#[test]
fn a_name_is_found_in_few_reads() {
    let (build, all) = many(20_000);
    let source = Counted {
        bytes: &build.bytes,
        reads: Cell::new(0),
    };
    let mut limits = Limits::DEFAULT;
    limits.metadata_cache = 0;
    let image = Image::open(&source, build.bytes.len() as u64, &limits).unwrap();
    let root = image.root().unwrap();
    source.reads.set(0);
    assert!(image.lookup(&root, &all[12_345]).unwrap().is_some());
    // 1400 blocks are halved 11 times; a line of the cache holds 8 of them.
    assert!(source.reads.get() <= 12, "{}", source.reads.get());
    // And a walk reads each line once, however small the cache.
    source.reads.set(0);
    let mut entries = image.entries(&root).unwrap();
    while entries.next().unwrap().is_some() {}
    assert!(source.reads.get() <= build.bytes.len() / 4096 + 1);
}

#[test]
fn paths_lead_through_directories_only() {
    let mut build = Build::new(12, 4);
    build
        .root(&[(b".", ROOT), (b"..", ROOT), (b"d", 48), (b"f", 64)])
        .dir(48, &[(b"g", 64), (b"l", 72)])
        .inode(64, Record::new(0, FILE, 0, 0))
        .inline(72, 0o12_0777, b"/d");
    let image = build.open();
    let nid = |path: &[u8]| image.resolve(path).unwrap().map(|inode| inode.nid);
    for root in [
        &b""[..],
        b"/",
        b".",
        b"..",
        b"/../..",
        b"d/..",
        b"./d/./../",
    ] {
        assert_eq!(nid(root), Some(ROOT));
    }
    for file in [&b"f"[..], b"/f", b"//d//g", b"d/../f", b"d/./g", b"f/"] {
        assert_eq!(nid(file), Some(64));
    }
    assert_eq!(nid(b"d/l"), Some(72));
    for absent in [&b"x"[..], b"d/x", b"f/g", b"f/..", b"d/l/g", b"d\0"] {
        assert_eq!(nid(absent), None);
    }
    let mut limits = Limits::DEFAULT;
    limits.directory_depth = 1;
    let image = build.open_with(&limits).unwrap();
    assert!(image.resolve(b"f").unwrap().is_some());
    assert_eq!(
        code(image.resolve(b"d/g")),
        (Code::DirectoryDepth, At::Nid(48))
    );
}

#[test]
fn a_walk_goes_down_before_it_goes_on() {
    let mut build = Build::new(12, 4);
    build
        .root(&[
            (b".", ROOT),
            (b"..", ROOT),
            (b"a", 48),
            (b"b", 64),
            (b"c", 56),
        ])
        .dir(48, &[(b"x", 64), (b"y", 56)])
        .dir(56, &[(b"z", 64)])
        .inode(64, Record::new(0, FILE, 0, 0));
    let image = build.open();
    assert_eq!(
        paths(image.walk().unwrap()),
        ["", "a", "a/x", "a/y", "a/y/z", "b", "c", "c/z"]
    );
    let below = image.resolve(b"a").unwrap().unwrap();
    assert_eq!(paths(image.walk_from(below)), ["", "x", "y", "y/z"]);
    let file = image.resolve(b"b").unwrap().unwrap();
    assert_eq!(paths(image.walk_from(file)), [""]);

    let mut walk = image.walk().unwrap();
    let mut seen = Vec::new();
    while let Some(visit) = walk.next().unwrap() {
        let (path, directory) = (visit.path.to_vec(), visit.name == b"a");
        seen.push(path);
        if directory {
            walk.skip_directory();
        }
    }
    assert_eq!(seen, [&b""[..], b"a", b"b", b"c", b"c/z"]);
}

#[test]
fn a_walk_can_leave_out_files() {
    let mut entries = dir_block(&[(b"a", 48), (b"b", 64), (b"c", 56), (b"d", 64)]);
    // What `a` is called counts, what `b` is, and `c` states no type; `d` leads to a file.
    for (place, stated) in [(0, 2), (1, 1), (2, 0), (3, 1)] {
        entries[place * 12 + 10] = stated;
    }
    let mut build = Build::new(12, 4);
    build
        .inline(ROOT, DIR, &entries)
        .dir(48, &[(b"x", 64)])
        .dir(56, &[(b"y", 64)])
        .inode(64, Record::new(0, FILE, 0, 0));
    let seen = |limits: &Limits, skipped: &[&[u8]]| {
        let image = build.open_with(limits).unwrap();
        let mut walk = image.walk().unwrap();
        let mut seen = Vec::new();
        loop {
            match walk.next() {
                Ok(Some(visit)) => {
                    let path = visit.path.to_vec();
                    if skipped.contains(&visit.path) {
                        walk.skip_files();
                    }
                    seen.push(String::from_utf8(path).unwrap());
                }
                Ok(None) => return seen,
                Err(error) => seen.push(format!("{:?}", code::<(), _>(Err(error)).0)),
            }
        }
    };
    let all = &Limits::DEFAULT;
    assert_eq!(seen(all, &[]), ["", "a", "a/x", "b", "c", "c/y", "d"]);
    // Of that directory alone.
    assert_eq!(seen(all, &[b""]), ["", "a", "a/x", "c", "c/y"]);
    assert_eq!(seen(all, &[b"", b"a"]), ["", "a", "c", "c/y"]);
    assert_eq!(seen(all, &[b"c"]), ["", "a", "a/x", "b", "c", "d"]);
    // What is left out is counted.
    let mut limits = Limits::DEFAULT;
    limits.inodes = 5;
    assert_eq!(
        seen(&limits, &[b"", b"a", b"c"]),
        ["", "a", "c", "InodeLimit"]
    );
}

#[test]
fn a_walk_goes_on_behind_what_is_damaged() {
    let mut build = Build::new(12, 4);
    build
        .root(&[(b"a", 48), (b"b", 1 << 40), (b"c", 56), (b"d", 64)])
        .dir(48, &[(b"x", 64), (b"y/", 64), (b"z", 64)])
        .inline(56, DIR, &[0; 30])
        .inode(64, Record::new(0, FILE, 0, 0));
    let image = build.open();
    assert_eq!(
        paths(image.walk().unwrap()),
        [
            "",
            "a",
            "a/x",
            "a: dirent-name",
            "b: inode-offset",
            "c",
            "c: dirent-table",
            "d"
        ]
    );
}

#[test]
fn a_directory_in_itself_is_a_loop() {
    let mut build = Build::new(12, 4);
    build
        .root(&[(b"a", 48), (b"b", 64)])
        .dir(48, &[(b"up", ROOT), (b"me", 48), (b"z", 64)])
        .inode(64, Record::new(0, FILE, 0, 0));
    let image = build.open();
    assert_eq!(
        paths(image.walk().unwrap()),
        [
            "",
            "a",
            "a/up",
            "a/up: directory-loop",
            "a/me",
            "a/me: directory-loop",
            "a/z",
            "b"
        ]
    );
}

#[test]
fn limits_end_a_walk() {
    let mut build = Build::new(12, 4);
    build
        .root(&[(b"a", 48), (b"b", 64)])
        .dir(48, &[(b"c", 56)])
        .dir(56, &[(b"f", 64)])
        .inode(64, Record::new(0, FILE, 0, 0));
    let with = |change: &dyn Fn(&mut Limits)| {
        let mut limits = Limits::DEFAULT;
        change(&mut limits);
        let image = build.open_with(&limits).unwrap();
        paths(image.walk().unwrap())
    };
    let all = ["", "a", "a/c", "a/c/f", "b"];
    assert_eq!(with(&|limits| limits.inodes = 5), all);
    assert_eq!(
        with(&|limits| limits.inodes = 2),
        ["", "a", "a/c: inode-limit"]
    );
    assert_eq!(with(&|limits| limits.directory_depth = 2), all);
    assert_eq!(
        with(&|limits| limits.directory_depth = 1),
        ["", "a", "a/c", "a/c: directory-depth", "b"]
    );
    assert_eq!(with(&|limits| limits.directory_entries = 2), all);
    assert_eq!(
        with(&|limits| limits.directory_entries = 1),
        ["", "a", "a/c", "a/c/f", ": directory-entries"]
    );
}

#[test]
fn dots_are_not_work_without_a_limit() {
    let mut build = Build::new(12, 4);
    build
        .root(&[(b".", ROOT), (b".", ROOT), (b".", ROOT), (b"b", 64)])
        .inode(64, Record::new(0, FILE, 0, 0));
    let image = build.open();
    assert_eq!(paths(image.walk().unwrap()), ["", ": dirent-name"]);
    // Where they lie is no concern of the iterator's.
    let root = image.root().unwrap();
    assert_eq!(names(&image, &root), [&b"."[..], b".", b".", b"b"]);
}

#[test]
fn names_that_are_paths_are_refused_where_they_lie() {
    let mut build = Build::new(12, 4);
    build.root(&[(b"a", 64), (b"b/c", 64), (b"d\0e", 64), (b"f", 64)]);
    let image = build.open();
    let root = image.root().unwrap();
    let mut entries = image.entries(&root).unwrap();
    assert_eq!(entries.next().unwrap().unwrap().name, b"a");
    assert_eq!(code(entries.next()), (Code::DirentName, At::File(ROOT, 12)));
    assert_eq!(code(entries.next()), (Code::DirentName, At::File(ROOT, 24)));
    let last = entries.next().unwrap().unwrap();
    assert_eq!((last.name, last.offset), (&b"f"[..], 36));
    assert_eq!(entries.next().unwrap(), None);
}

#[test]
fn a_damaged_block_ends_a_directory() {
    let (mut build, all) = many(200);
    // The second block has no entries.
    build.put(17 * 512 + 8, &[0, 0]);
    let image = build.open();
    let root = image.root().unwrap();
    let mut entries = image.entries(&root).unwrap();
    let mut given = 0;
    let error = loop {
        match entries.next() {
            Ok(entry) => {
                assert_eq!(entry.unwrap().name, all[given]);
                given += 1;
            }
            error => break code(error),
        }
    };
    assert_eq!(error, (Code::DirentTable, At::File(ROOT, 512)));
    assert_eq!(entries.next().unwrap(), None);
    let found = image.lookup(&root, &all[given]);
    assert_eq!(code(found), (Code::DirentTable, At::File(ROOT, 512)));
}

#[test]
fn an_inode_may_end_with_the_image() {
    let mut build = Build::new(9, 4);
    build.root(&[(b"a", 62), (b"b", 63), (b"c", 64)]);
    build.inode(62, Record::new(0, FILE, 7, 0));
    let image = build.open();
    assert_eq!(image.inode(62).unwrap().size, 7);
    // A compact inode in the last slot; an extended one there is cut off.
    build
        .put(63 * 32, &[0; 32])
        .put(63 * 32 + 4, &FILE.to_le_bytes());
    assert!(build.open().inode(63).is_ok());
    build.put(63 * 32, &[1]);
    assert_eq!(
        code(build.open().inode(63)),
        (Code::InodeOffset, At::Nid(63))
    );
    assert_eq!(
        code(build.open().inode(64)),
        (Code::InodeOffset, At::Nid(64))
    );
    assert_eq!(code(build.open().inode(1 << 62)).0, Code::InodeOffset);
}
