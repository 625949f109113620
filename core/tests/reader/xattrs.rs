//! Extended attributes, their prefixes and their filter.

use erofs_unpack_core::erofs::{Image, Inode};
use erofs_unpack_core::{At, Code};

use crate::build::{Build, Record, code};

/// An entry: index of its prefix, name, value.
type Entry<'a> = (u8, &'a [u8], &'a [u8]);

fn entry((index, name, value): Entry<'_>) -> Vec<u8> {
    let mut bytes = vec![name.len() as u8, index];
    bytes.extend((value.len() as u16).to_le_bytes());
    bytes.extend(name);
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An image whose inode 64 has these xattrs, shared ones among them by their ids.
fn build(filter: u32, shared: &[u32], entries: &[Entry<'_>]) -> Build {
    let mut area = filter.to_le_bytes().to_vec();
    area.push(shared.len() as u8);
    area.resize(12, 0);
    shared.iter().for_each(|id| area.extend(id.to_le_bytes()));
    entries.iter().for_each(|each| area.extend(entry(*each)));
    let mut record = Record::new(0, 0o10_0644, 0, 0);
    record.xattr_count = ((area.len() - 8) / 4) as u16;
    let mut build = Build::new(9, 32);
    build.inode(64, record).put(64 * 32 + 64, &area);
    // Shared ones lie in block 16.
    build.field(44, &16_u32.to_le_bytes());
    build
}

/// A long prefix in its table.
fn long_prefix(base: u8, infix: &[u8]) -> Vec<u8> {
    let mut bytes = (infix.len() as u16 + 1).to_le_bytes().to_vec();
    bytes.push(base);
    bytes.extend(infix);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn all(image: &Image<&[u8]>, inode: &Inode) -> Vec<(String, Vec<u8>)> {
    let mut xattrs = image.xattrs(inode).unwrap();
    let mut all = Vec::new();
    while let Some(xattr) = xattrs.next().unwrap() {
        let name = String::from_utf8(xattr.name.to_vec()).unwrap();
        all.push((name, xattr.value.to_vec()));
    }
    assert_eq!(xattrs.next().unwrap(), None);
    all
}

/// The first refusal among the xattrs of inode 64, and that nothing comes behind it.
fn refused(build: &Build) -> (Code, At) {
    let (image, inode) = build.file();
    let mut xattrs = match image.xattrs(&inode) {
        Ok(xattrs) => xattrs,
        error => return code(error),
    };
    loop {
        match xattrs.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("not refused"),
            error => {
                let error = code(error);
                assert_eq!(xattrs.next().unwrap(), None);
                return error;
            }
        }
    }
}

#[test]
fn none_at_all() {
    let mut build = Build::new(9, 32);
    build.inode(64, Record::new(0, 0o10_0644, 0, 0));
    let (image, inode) = build.file();
    assert_eq!(all(&image, &inode), []);
    assert_eq!(image.xattr(&inode, b"user.a").unwrap(), None);
}

#[test]
fn those_behind_the_inode_then_those_that_are_shared() {
    let long = vec![b'v'; 3000];
    let mut build = build(
        0,
        &[0, 130],
        &[
            (1, b"a", b"1"),
            (2, b"", b"acl"),
            (4, b"overlay.opaque", b"y"),
            (6, b"x", b""),
        ],
    );
    build.put(16 * 512, &entry((1, b"shared", b"s")));
    build.put(16 * 512 + 130 * 4, &entry((3, b"", &long)));
    let (image, inode) = build.file();
    let owned = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    assert_eq!(
        all(&image, &inode),
        [
            owned("user.a", b"1"),
            owned("system.posix_acl_access", b"acl"),
            owned("trusted.overlay.opaque", b"y"),
            owned("security.x", b""),
            owned("user.shared", b"s"),
            owned("system.posix_acl_default", &long),
        ]
    );
    let value = |name: &[u8]| image.xattr(&inode, name).unwrap();
    assert_eq!(value(b"trusted.overlay.opaque"), Some(b"y".to_vec()));
    assert_eq!(value(b"security.x"), Some(vec![]));
    assert_eq!(value(b"user.shared"), Some(b"s".to_vec()));
    assert_eq!(value(b"system.posix_acl_default"), Some(long));
    for absent in [
        &b"user."[..],
        b"user.b",
        b"user.aa",
        b"trusted.a",
        b"a",
        b"lustre.a",
    ] {
        assert_eq!(value(absent), None);
    }
}

#[test]
fn a_name_that_comes_twice_counts_as_it_came_first() {
    let mut build = build(0, &[0], &[(1, b"a", b"1"), (1, b"a", b"2")]);
    build.put(16 * 512, &entry((1, b"a", b"3")));
    let (image, inode) = build.file();
    assert_eq!(all(&image, &inode).len(), 3);
    assert_eq!(image.xattr(&inode, b"user.a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn names_that_the_kernel_does_not_show_are_left_out() {
    let build = build(
        0,
        &[],
        &[
            (0, b"a", b"1"),
            (5, b"b", b"2"),
            (7, b"c", b"3"),
            (1, b"d", b"4"),
        ],
    );
    let (image, inode) = build.file();
    assert_eq!(all(&image, &inode), [("user.d".to_owned(), b"4".to_vec())]);
}

#[test]
fn a_damaged_area_is_refused() {
    let good = build(0, &[3], &[(1, b"a", b"1"), (1, b"b", b"2")]);
    let at = At::Nid(64);
    // A header and nothing else.
    let mut bad = good.clone();
    bad.put(64 * 32 + 2, &[1, 0]);
    assert_eq!(refused(&bad), (Code::XattrHeader, at));
    // More shared ids than there is room for.
    let mut bad = good.clone();
    bad.put(64 * 32 + 64 + 4, &[6]);
    assert_eq!(refused(&bad), (Code::XattrHeader, at));
    // The last entry is longer than the area.
    let mut bad = good.clone();
    bad.put(64 * 32 + 64 + 16 + 8 + 2, &[4]);
    assert_eq!(refused(&bad), (Code::XattrEntry, at));
    let mut bad = good.clone();
    bad.put(64 * 32 + 64 + 16 + 4, &[0]);
    assert_eq!(refused(&bad), (Code::XattrName, at));
    // A shared one beyond the image.
    let mut bad = good.clone();
    bad.put(64 * 32 + 64 + 12, &[0xff; 4]);
    assert_eq!(refused(&bad), (Code::MetadataBounds, at));
    // A long prefix that is not there.
    let mut bad = good;
    bad.put(64 * 32 + 64 + 16 + 1, &[0x80]);
    assert_eq!(refused(&bad), (Code::XattrPrefix, at));
}

/// An image whose superblock states two long prefixes at `start`.
fn with_prefixes(start: u32) -> Build {
    let mut build = build(
        0,
        &[],
        &[(0x81, b"opaque", b"y"), (0x80, b"", b"z"), (4, b"a", b"1")],
    );
    build
        .field(80, &0x40_u32.to_le_bytes())
        .field(91, &[2])
        .field(92, &(start / 4).to_le_bytes());
    build
}

const EXPECTED: [(&str, &[u8]); 3] = [
    ("trusted.overlay.opaque", b"y"),
    ("user.long.name", b"z"),
    ("trusted.a", b"1"),
];

fn check_prefixes(build: &Build) {
    let (image, inode) = build.file();
    let expected = EXPECTED.map(|(name, value)| (name.to_owned(), value.to_vec()));
    assert_eq!(all(&image, &inode), expected);
    for (name, value) in EXPECTED {
        let found = image.xattr(&inode, name.as_bytes()).unwrap();
        assert_eq!(found.as_deref(), Some(value));
    }
    assert_eq!(image.xattr(&inode, b"trusted.overlay.").unwrap(), None);
}

#[test]
fn long_prefixes_lie_in_the_image() {
    let table = [long_prefix(1, b"long.name"), long_prefix(4, b"overlay.")].concat();
    let mut build = with_prefixes(20 * 512 + 500);
    build.put(20 * 512 + 500, &table);
    check_prefixes(&build);
    // With a bit that says so even where there is a packed inode.
    build
        .field(80, &0x60_u32.to_le_bytes())
        .field(96, &100_u64.to_le_bytes());
    let (image, inode) = build.file();
    assert_eq!(
        code(image.xattrs(&inode).unwrap().next()).0,
        Code::InodeMode
    );
    build.field(8, &0x10_u32.to_le_bytes());
    check_prefixes(&build);
}

#[test]
fn long_prefixes_lie_in_the_packed_inode() {
    let mut table = vec![0; 8];
    table.extend(long_prefix(1, b"long.name"));
    table.extend(long_prefix(4, b"overlay."));
    let mut build = with_prefixes(8);
    build
        .field(80, &0x60_u32.to_le_bytes())
        .field(96, &100_u64.to_le_bytes())
        .inline(100, 0o10_0644, &table);
    check_prefixes(&build);
    // Cut off, empty, too long.
    build.inline(100, 0o10_0644, &table[..table.len() - 4]);
    assert_eq!(refused(&build), (Code::XattrPrefix, At::File(100, 20)));
    table[8] = 0;
    build.inline(100, 0o10_0644, &table);
    assert_eq!(refused(&build), (Code::XattrPrefix, At::File(100, 8)));
    table[9] = 2;
    build.inline(100, 0o10_0644, &table);
    assert_eq!(refused(&build), (Code::XattrPrefix, At::File(100, 8)));
}

#[test]
fn the_metabox_holds_inodes_prefixes_and_shared_xattrs() {
    const METABOX: u64 = 1 << 63;
    let mut build = build(0, &[], &[]);
    // The superblock has a slot more, so the root lies behind that.
    build
        .field(8, &8_u32.to_le_bytes())
        .field(13, &[1])
        .field(14, &40_u16.to_le_bytes())
        .field(44, &1_u32.to_le_bytes())
        .field(80, &0x140_u32.to_le_bytes())
        .field(91, &[1])
        .field(92, &(256_u32 / 4).to_le_bytes())
        .put(1152, &[0; 64])
        .put(1152, &100_u64.to_le_bytes())
        .dir(40, &[(b"f", METABOX | 2)]);
    // Slot 2 of the metabox: an inode with an entry with a long prefix and a shared one.
    let area = [
        &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0][..],
        &entry((0x80, b"x", b"y")),
    ]
    .concat();
    let mut record = Record::new(2, 0o10_0644, 5, u32::MAX);
    record.xattr_count = ((area.len() - 8) / 4) as u16;
    let mut content = vec![0; 640];
    content[64..128].copy_from_slice(&record.bytes());
    content[128..128 + area.len()].copy_from_slice(&area);
    content[128 + area.len()..][..5].copy_from_slice(b"hello");
    content[256..268].copy_from_slice(&long_prefix(4, b"overlay."));
    content[524..532].copy_from_slice(&entry((1, b"s", b"v")));
    build
        .put(20 * 512, &content)
        .inode(100, Record::new(0, 0o10_0600, 640, 20));
    let image = build.open();
    let inode = image.resolve(b"f").unwrap().unwrap();
    assert_eq!(inode.nid, METABOX | 2);
    let owned = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let expected = [owned("trusted.overlay.x", b"y"), owned("user.s", b"v")];
    assert_eq!(all(&image, &inode), expected);
    let mut found = [0; 9];
    assert_eq!(image.read(&inode, 0, &mut found).unwrap(), 5);
    assert_eq!(&found[..5], b"hello");
    // Beyond the end of the metabox.
    let beyond = code(image.inode(METABOX | 20));
    assert_eq!(beyond, (Code::InodeOffset, At::Nid(METABOX | 20)));
}

#[test]
fn the_filter_saves_looking() {
    // A set bit says that the name is absent; so all bits hide every name, though it is there.
    let mut build = build(u32::MAX, &[], &[(1, b"a", b"1")]);
    let value = |build: &Build| {
        let (image, inode) = build.file();
        image.xattr(&inode, b"user.a").unwrap()
    };
    assert_eq!(value(&build), Some(b"1".to_vec()));
    build.field(8, &4_u32.to_le_bytes());
    assert_eq!(value(&build), None);
    let (image, inode) = build.file();
    assert_eq!(all(&image, &inode).len(), 1);
    // Another filter than the one that is known does not count.
    build.field(104, &[1]);
    assert_eq!(value(&build), Some(b"1".to_vec()));
}

#[test]
fn content_outside_of_the_image() {
    let digest = [&[0, 36, 0, 1][..], &[7; 32]].concat();
    let (mark, redirect) = (b"overlay.metacopy", b"overlay.redirect");
    let marked = build(0, &[], &[(4, mark, &digest), (4, redirect, b"/07/07")]);
    let (image, inode) = marked.file();
    let metacopy = image.metacopy(&inode).unwrap().unwrap();
    assert_eq!(metacopy.object(), Some(&b"07/07"[..]));
    assert_eq!(metacopy.digest.unwrap().as_bytes(), [7; 32]);
    let elsewhere = (Code::FileElsewhere, At::Nid(64));
    assert_eq!(code(image.holds_content(&inode)), elsewhere);
    // Where it lies makes no such file, nor does a mark on what is no regular file.
    let (image, inode) = {
        let moved = build(0, &[], &[(4, redirect, b"/07/07")]);
        let bytes: &'static [u8] = moved.bytes.leak();
        let limits = &erofs_unpack_core::Limits::DEFAULT;
        let image = Image::open(bytes, bytes.len() as u64, limits).unwrap();
        let inode = image.inode(64).unwrap();
        (image, inode)
    };
    assert_eq!(image.metacopy(&inode).unwrap(), None);
    image.holds_content(&inode).unwrap();
    let mut pipe = marked;
    pipe.put(64 * 32 + 4, &0o1_0644_u16.to_le_bytes());
    let (image, inode) = pipe.file();
    assert_eq!(image.metacopy(&inode).unwrap(), None);
    // The first of two counts, and another form is refused.
    let twice = build(0, &[], &[(4, mark, b"bad"), (4, mark, &digest)]);
    let (image, inode) = twice.file();
    let refused = (Code::XattrMetacopy, At::Nid(64));
    assert_eq!(code(image.metacopy(&inode)), refused);
}

#[test]
fn content_from_outside_is_what_the_image_states() {
    use erofs_unpack_core::erofs::Metacopy;
    use erofs_unpack_core::fsverity::Hasher;
    use erofs_unpack_core::oci::Algorithm;
    let built = build(0, &[], &[(1, b"a", b"")]);
    let (_, mut inode) = built.file();
    inode.size = 5000;
    let content = [b'c'; 5000];
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(&content);
    let metacopy = |digest| Metacopy {
        digest,
        redirect: None,
    };
    let verify = |metacopy: Metacopy, content: &[u8]| {
        let mut object = metacopy.expected(&inode);
        content
            .chunks(999)
            .try_for_each(|piece| object.update(piece))?;
        object.finish()
    };
    let stated = metacopy(Some(hasher.finish()));
    assert_eq!(verify(stated.clone(), &content), Ok(()));
    let mut other = content;
    other[4999] = b'd';
    let error = verify(stated.clone(), &other).unwrap_err();
    assert_eq!(
        (error.code(), error.at()),
        (Code::ObjectDigest, At::Nid(64))
    );
    for wrong in [&content[1..], &[b'c'; 5001][..], b""] {
        for metacopy in [stated.clone(), metacopy(None)] {
            let error = verify(metacopy, wrong).unwrap_err();
            assert_eq!(error.code(), Code::ObjectSize);
        }
    }
    assert_eq!(verify(metacopy(None), &other), Ok(()));
}
