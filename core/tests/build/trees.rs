//! Trees by chance: what is told is what is read, in all block sizes, and the order of cutting
//! content changes nothing.

use std::collections::BTreeMap;

use crate::support::{Kind, Told, UUID, build, build_in, directory, file, read, told};
use erofs_unpack_core::Limits;
use erofs_unpack_core::build::Options;
use erofs_unpack_core::erofs::{FileType, Image};
use proptest::prelude::*;

#[test]
fn an_image_without_entries_has_a_root() {
    for bits in 9..=16 {
        let options = Options {
            block_bits: bits,
            volume_name: *b"a volume name...",
            build_time: Some(5),
            ..Options::DEFAULT
        };
        let image = build(&[], &options).unwrap();
        let tree = read(&image);
        assert_eq!((tree.len(), tree[""].nlink, tree[""].mode), (1, 2, 0o755));
        let opened = Image::open(image.as_slice(), image.len() as u64, &Limits::DEFAULT).unwrap();
        let superblock = opened.superblock();
        assert_eq!(superblock.uuid, UUID);
        assert_eq!(superblock.volume_name, options.volume_name);
        assert_eq!((superblock.epoch, superblock.build_time), (0, 5));
    }
}

#[test]
fn large_directories_and_long_names() {
    for bits in [9, 12, 16] {
        let mut entries: Vec<Told> = (0..3000)
            .map(|number| file(&format!("d/{number:0200}"), format!("{number}").as_bytes()))
            .collect();
        // Names before the dot and behind it.
        for name in ["d/!", "d/-", "d/.a", "d/..b", "d/...", "d/0"] {
            entries.push(file(name, name.as_bytes()));
        }
        let options = Options {
            block_bits: bits,
            inline_data: true,
            ..Options::DEFAULT
        };
        let tree = read(&build(&entries, &options).unwrap());
        assert_eq!(tree.len(), 3008);
        for entry in &entries {
            let path = String::from_utf8(entry.path.clone()).unwrap();
            assert_eq!(Kind::File(tree[&path].content.clone()), entry.kind);
        }
    }
}

#[test]
fn inodes_are_short_where_that_says_as_much() {
    // Two that have the time of most, each of the others with something that a short one lacks.
    let mut entries = vec![file("a", b""), file("b", b"")];
    let mut other = file("time", b"");
    other.mtime = (5, 6);
    entries.push(other);
    let mut other = file("uid", b"");
    other.owner = (65_536, 0);
    entries.push(other);
    let mut other = file("gid", b"");
    other.owner = (0, 1 << 31);
    entries.push(other);
    let image = build(&entries, &Options::DEFAULT).unwrap();
    let opened = Image::open(image.as_slice(), image.len() as u64, &Limits::DEFAULT).unwrap();
    let root = opened.root().unwrap();
    let extended = |name: &[u8]| {
        let entry = opened.lookup(&root, name).unwrap().unwrap();
        opened.inode(entry.nid).unwrap().is_extended
    };
    assert!(!extended(b"a") && !extended(b"b"));
    assert!(extended(b"time") && extended(b"uid") && extended(b"gid"));
    let tree = read(&image);
    assert_eq!(tree["time"].mtime, (5, 6));
    assert_eq!(tree["gid"].owner, (0, 1 << 31));
}

#[test]
fn one_time_for_all() {
    let options = Options {
        all_time: Some(-7),
        ..Options::DEFAULT
    };
    let tree = read(&build(&[file("d/f", b"x")], &options).unwrap());
    assert!(tree.values().all(|inode| inode.mtime == (-7, 0)));
}

#[test]
fn targets_that_are_too_long_to_lie_behind_their_inodes() {
    for bits in [9, 12] {
        let options = Options {
            block_bits: bits,
            ..Options::DEFAULT
        };
        let entries: Vec<Told> = [1, 400, 460, 480, 481, 512, 513, 1024, 4000, 4095]
            .iter()
            .map(|length| told(&format!("{length}"), Kind::Symlink(vec![b'x'; *length])))
            .collect();
        let tree = read(&build(&entries, &options).unwrap());
        for entry in &entries {
            let path = String::from_utf8(entry.path.clone()).unwrap();
            assert_eq!(Kind::Symlink(tree[&path].content.clone()), entry.kind);
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-e]",
        1 => "[!-~&&[^/]]{1,20}".prop_filter("dots", |name| name != "." && name != ".."),
        1 => "x{240,255}",
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    let byte = any::<u8>();
    prop_oneof![
        3 => (byte, 0_usize..9000).prop_map(|(byte, size)| Kind::File(vec![byte; size])),
        2 => Just(Kind::Directory),
        1 => "[a-z/]{1,40}".prop_map(|target| Kind::Symlink(target.into_bytes())),
        1 => (0_u32..4096, 0_u32..1 << 20).prop_map(|(major, minor)| Kind::Char(major, minor)),
        1 => Just(Kind::Fifo),
        1 => Just(Kind::Socket),
        1 => (byte, 1_u64..3000, 1_usize..5000).prop_map(|(byte, before, length)| {
            let offset = before * 100;
            Kind::Sparse(offset + length as u64 + before, vec![(offset, vec![byte; length])])
        }),
    ]
}

fn entry() -> impl Strategy<Value = Told> {
    let xattr = (
        prop_oneof![
            "user\\.[a-c]",
            Just("security.selinux".to_owned()),
            "trusted\\.[x-z]{1,200}"
        ],
        prop::collection::vec(any::<u8>(), 0..300),
    );
    let xattrs = prop::collection::btree_map(xattr.0.prop_map(String::into_bytes), xattr.1, 0..4);
    (
        prop::collection::vec(name(), 1..4),
        kind(),
        0_u16..0o10000,
        (
            prop_oneof![Just(0_u32), any::<u32>()],
            prop_oneof![Just(0_u32), any::<u32>()],
        ),
        prop_oneof![3 => Just((1_000_000, 0)), 1 => (any::<i64>(), 0_u32..1_000_000_000)],
        xattrs,
    )
        .prop_map(|(names, kind, mode, owner, mtime, xattrs)| Told {
            path: names.join("/").into_bytes(),
            kind,
            mode,
            owner,
            mtime,
            xattrs: xattrs.into_iter().collect(),
        })
}

/// What the tree should be, in the plainest way, or what an entry lies below that is no directory.
fn expected(entries: &[Told]) -> Result<BTreeMap<String, Told>, Kind> {
    let mut tree: BTreeMap<String, Told> = BTreeMap::new();
    for entry in entries {
        let path = String::from_utf8(entry.path.clone()).unwrap();
        let mut above = Vec::new();
        for (index, _) in path.match_indices('/') {
            above.push(path[..index].to_owned());
        }
        for parent in above {
            match tree.get(&parent) {
                Some(there) if there.kind != Kind::Directory => return Err(there.kind.clone()),
                Some(_) => {}
                None => {
                    let mut made = directory(&parent);
                    made.mtime = entry.mtime;
                    tree.insert(parent, made);
                }
            }
        }
        let keeps = entry.kind == Kind::Directory
            && tree
                .get(&path)
                .is_some_and(|there| there.kind == Kind::Directory);
        if !keeps {
            let below = format!("{path}/");
            tree.retain(|name, _| !name.starts_with(&below));
        }
        tree.insert(path, entry.clone());
    }
    Ok(tree)
}

proptest! {
    #[test]
    fn what_is_told_is_what_is_read(
        entries in prop::collection::vec(entry(), 0..40),
        bits in 9_u8..=16,
        inline_data: bool,
        piece in 1_usize..5000,
    ) {
        let options = Options { block_bits: bits, inline_data, ..Options::DEFAULT };
        let expected = match expected(&entries) {
            Ok(expected) => expected,
            // Where such a link leads has tests of its own.
            Err(Kind::Symlink(_)) => return Ok(()),
            Err(_) => {
                prop_assert!(build(&entries, &options).is_err());
                return Ok(());
            }
        };
        let image = build(&entries, &options).unwrap();
        let (again, _) = build_in(&entries, &options, &Limits::DEFAULT, piece).unwrap();
        prop_assert!(image == again);
        let mut tree = read(&image);
        tree.remove("").unwrap();
        prop_assert_eq!(tree.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (path, told) in &expected {
            let read = &tree[path];
            prop_assert_eq!(read.mode, told.mode);
            prop_assert_eq!(read.owner, told.owner);
            prop_assert_eq!(read.mtime, told.mtime);
            let xattrs: BTreeMap<_, _> = told
                .xattrs
                .iter()
                .map(|(name, value)| (String::from_utf8(name.clone()).unwrap(), value.clone()))
                .collect();
            prop_assert_eq!(&read.xattrs, &xattrs);
            match &told.kind {
                Kind::File(content) => prop_assert!(read.content == *content),
                Kind::Sparse(size, data) => {
                    let mut content = vec![0; usize::try_from(*size).unwrap()];
                    for (offset, bytes) in data {
                        let start = usize::try_from(*offset).unwrap();
                        content[start..start + bytes.len()].copy_from_slice(bytes);
                    }
                    prop_assert!(read.content == content);
                }
                Kind::Symlink(target) => prop_assert_eq!(&read.content, target),
                Kind::Char(major, minor) => {
                    prop_assert_eq!(read.device, Some((*major, *minor)));
                }
                Kind::Directory => prop_assert_eq!(read.kind, FileType::Directory),
                _ => {}
            }
        }
    }
}
