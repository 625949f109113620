//! Extended headers: `pax` records, global ones, GNU tar's long names, extended attributes.

use erofs_unpack_core::tar::Entry;
use erofs_unpack_core::{Code, Limits};

use crate::support::{Head, Tar, members, only, read_within, records, refused};

/// The member after a `pax` header with these records.
#[track_caller]
fn with(records: &[(&str, &[u8])]) -> Entry {
    only(&Tar::default().pax(records).file("own")).entry
}

/// Asserts that these records are refused so, at this byte of theirs.
#[track_caller]
fn refuses(records: &[(&str, &[u8])], code: Code, at: usize) {
    let tar = Tar::default().pax(records).file("own");
    refused(&tar.ended(), code, 512 + at);
}

#[test]
fn records_override_the_header() {
    let long = "/n".repeat(2000);
    let entry = with(&[
        ("path", long.as_bytes()),
        ("uid", b"4294967295"),
        ("gid", b"3000000"),
        ("mtime", b"-1.5"),
        ("comment", b"\0=\n"),
        ("SCHILY.dev", b"x"),
        ("atime", b"x"),
    ]);
    assert_eq!(entry.path, long.as_bytes());
    assert_eq!((entry.uid, entry.gid), (u32::MAX, 3_000_000));
    assert_eq!(entry.mtime, (-2, 500_000_000));
    assert_eq!((entry.offset, entry.header), (0, entry.content - 512));
    let tar = Tar::default()
        .pax(&[("linkpath", &b"t".repeat(300)), ("path", b"l")])
        .add(&Head::link("own", b'2', "own"), b"");
    assert_eq!(only(&tar).entry.link, b"t".repeat(300));
}

#[test]
fn the_last_of_a_keyword_holds() {
    let entry = with(&[("path", b"a"), ("uid", b"1"), ("path", b"b"), ("uid", b"2")]);
    assert_eq!((entry.path, entry.uid), (b"b".to_vec(), 2));
}

#[test]
fn a_size_of_a_record_counts() {
    let tar = Tar::default()
        .pax(&[("size", b"5")])
        .add(&Head::new("a", b'0'), b"hello")
        .file("b");
    let found = members(&tar.ended());
    assert_eq!(found[0].file(), b"hello");
    assert_eq!(found[1].path(), "b");
    refuses(
        &[("uid", b"1"), ("size", b"9223372036854775808")],
        Code::TarValue,
        8,
    );
    refuses(&[("size", b"")], Code::TarValue, 0);
}

#[test]
fn values_that_a_keyword_cannot_have() {
    for (keyword, value) in [
        ("uid", &b"4294967296"[..]),
        ("uid", b"-1"),
        ("gid", b""),
        ("gid", b"1 "),
        ("mtime", b""),
        ("mtime", b"1,5"),
        ("mtime", b"1e3"),
        ("SCHILY.devmajor", b"x"),
    ] {
        refuses(&[("comment", b""), (keyword, value)], Code::TarValue, 12);
    }
    for keyword in ["path", "linkpath"] {
        refuses(&[(keyword, b"")], Code::TarName, 0);
        refuses(&[(keyword, b"a\0b")], Code::TarName, 0);
    }
}

#[test]
fn records_have_one_form() {
    for text in [
        &b"6 a=b\n0"[..],
        b"7 a=b\n",
        b"6 a=b ",
        b"5 =b\n",
        b"6 a b\n",
        b"99 a=b\n",
        b"\0\0\0",
        b" 7 a=b\n",
    ] {
        let tar = Tar::default()
            .sized(&Head::new("x", b'x'), text)
            .file("own");
        let at = if text.ends_with(b"0") { 518 } else { 512 };
        refused(&tar.ended(), Code::TarRecord, at);
    }
}

#[test]
fn long_names_of_gnu_tar() {
    let (name, link) = ("n".repeat(300), "l".repeat(200));
    let tar = Tar::default()
        .sized(
            &Head::gnu("././@LongLink", b'K'),
            format!("{link}\0").as_bytes(),
        )
        .sized(
            &Head::gnu("././@LongLink", b'L'),
            format!("{name}\0").as_bytes(),
        )
        .add(
            &Head::gnu(&name[..100], b'2').put(157, &link.as_bytes()[..100]),
            b"",
        );
    let entry = only(&tar).entry;
    assert_eq!(
        (entry.path, entry.link),
        (name.into_bytes(), link.into_bytes())
    );
    assert_eq!((entry.offset, entry.header), (0, 2048));
    // Without a NUL, and with something behind it.
    for text in [&b"name"[..], b"name\0rest"] {
        let tar = Tar::default()
            .sized(&Head::gnu("L", b'L'), text)
            .file("own");
        assert_eq!(only(&tar).path(), "name");
    }
}

#[test]
fn extended_headers_belong_to_one_member() {
    let long = |tar: Tar, kind| tar.sized(&Head::gnu("L", kind), b"name\0");
    let empty = Tar::default;
    let tar = empty().pax(&[]).pax(&[]).file("a");
    refused(&tar.ended(), Code::TarExtension, 512);
    for kind in *b"LK" {
        let tar = long(long(empty(), kind), kind).file("a");
        refused(&tar.ended(), Code::TarExtension, 1024);
        let keyword = if kind == b'L' { "path" } else { "linkpath" };
        let tar = long(empty(), kind)
            .pax(&[("mtime", b"1"), (keyword, b"x")])
            .file("a");
        refused(&tar.ended(), Code::TarExtension, 1024 + 512 + 11);
        let tar = long(empty().pax(&[(keyword, b"x")]), kind).file("a");
        refused(&tar.ended(), Code::TarExtension, 1024);
        let tar = long(empty(), kind).pax(&[("mtime", b"2")]).file("a");
        assert_eq!(only(&tar).entry.mtime, (2, 0));
    }
    let tar = empty().pax(&[]).global(&[]).file("a");
    refused(&tar.ended(), Code::TarExtension, 512);
    let tar = empty().file("a").pax(&[("mtime", b"1")]);
    refused(&tar.ended(), Code::TarExtension, 512);
    refused(&tar.0, Code::TarTruncated, tar.len());
    refused(&tar.0[..1030], Code::TarTruncated, 1030);
    refused(&tar.0[..1400], Code::TarTruncated, 1400);
}

#[test]
fn extended_headers_have_a_limit() {
    let mut limits = Limits::DEFAULT;
    limits.tar_header = 1000;
    let tar = |length| {
        Tar::default()
            .sized(&Head::gnu("K", b'K'), b"0123456789")
            .pax(&[("comment", &b"c".repeat(length))])
            .file("a")
    };
    let fits = records(&[("comment", &b"c".repeat(977))]).len();
    assert_eq!(fits, 990);
    assert_eq!(read_within(&tar(977).ended(), &limits).end, Ok(()));
    let error = read_within(&tar(978).ended(), &limits).end.unwrap_err();
    assert_eq!(error.code(), Code::TarHeaderLimit);
    assert_eq!(error.at(), erofs_unpack_core::At::Archive(1024));
    // It is asked before anything is kept.
    let huge = Head::gnu("L", b'L').size(1 << 32);
    refused(
        &Tar::default().add(&huge, b"").ended(),
        Code::TarHeaderLimit,
        0,
    );
}

#[test]
fn global_headers() {
    let tar = Tar::default()
        .file("before")
        .global(&[("comment", b"0123"), ("uid", b"7"), ("mtime", b"9.5")])
        .file("a")
        .pax(&[("uid", b"8")])
        .file("b")
        .file("c");
    let found = members(&tar.ended());
    let found: Vec<_> = found
        .iter()
        .map(|m| (m.entry.uid, m.entry.mtime, m.entry.offset))
        .collect();
    let time = (9, 500_000_000);
    assert_eq!(
        found,
        [
            (0, (1, 0), 0),
            (7, time, 1536),
            (8, time, 2048),
            (7, time, 3584)
        ]
    );
    for (keyword, value) in [
        ("path", &b"a"[..]),
        ("linkpath", b"a"),
        ("size", b"5"),
        ("SCHILY.xattr.user.a", b"b"),
        ("LIBARCHIVE.xattr.user.a", b"YQ"),
        ("GNU.sparse.major", b"1"),
        ("SCHILY.devmajor", b"1"),
    ] {
        let tar = Tar::default()
            .global(&[("comment", b""), (keyword, value)])
            .file("a");
        refused(&tar.ended(), Code::TarGlobal, 512 + 12);
    }
    // GNU tar forgets what the first has set.
    let two = |second: &[(&str, &[u8])]| {
        Tar::default()
            .global(&[("gid", b"1")])
            .global(second)
            .file("a")
    };
    refused(&two(&[("uid", b"1")]).ended(), Code::TarGlobal, 1536);
    assert_eq!(only(&two(&[("gid", b"2")])).entry.gid, 2);
    let tar = Tar::default()
        .global(&[("comment", b"")])
        .global(&[("uid", b"1")])
        .file("a");
    assert_eq!(only(&tar).entry.uid, 1);
}

#[test]
fn extended_attributes() {
    let entry = with(&[
        ("SCHILY.xattr.user.b", b"\0\n="),
        ("SCHILY.xattr.user.a%3Db%25", b""),
        ("LIBARCHIVE.xattr.user.c%20d", b"/+8"),
    ]);
    assert_eq!(
        entry.xattrs,
        [
            (b"user.a=b%".to_vec(), b"".to_vec()),
            (b"user.b".to_vec(), b"\0\n=".to_vec()),
            (b"user.c d".to_vec(), b"\xff\xef".to_vec()),
        ]
    );
    // bsdtar writes each in both forms.
    let both = with(&[
        ("LIBARCHIVE.xattr.user.a", b"YQ=="),
        ("SCHILY.xattr.user.a", b"a"),
    ]);
    assert_eq!(both.xattrs, [(b"user.a".to_vec(), b"a".to_vec())]);
    let twice = with(&[
        ("SCHILY.xattr.user.a", b"first"),
        ("SCHILY.xattr.user.b", b"b"),
        ("SCHILY.xattr.user.a", b"last"),
    ]);
    assert_eq!(twice.xattrs[0], (b"user.a".to_vec(), b"last".to_vec()));
    assert_eq!(twice.xattrs.len(), 2);
    refuses(
        &[
            ("SCHILY.xattr.user.a", b"b"),
            ("SCHILY.xattr.user.b", b"b"),
            ("LIBARCHIVE.xattr.user.a", b"YQ"),
        ],
        Code::TarXattr,
        2 * 25,
    );
    refuses(&[("SCHILY.xattr.", b"b")], Code::TarXattr, 0);
    refuses(&[("SCHILY.xattr.a\0b", b"b")], Code::TarXattr, 0);
    refuses(&[("LIBARCHIVE.xattr.a%00", b"YQ")], Code::TarXattr, 0);
    refuses(&[("LIBARCHIVE.xattr.a", b"Y")], Code::TarXattr, 0);
    refuses(&[("LIBARCHIVE.xattr.a", b"Y!==")], Code::TarXattr, 0);
}

#[test]
fn many_attributes_take_little_time() {
    let names: Vec<String> = (0..30_000).map(|n| format!("SCHILY.xattr.{n}")).collect();
    let list: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), &b"v"[..]))
        .collect();
    let tar = Tar::default().pax(&list).file("a").ended();
    let said = crate::support::read_cut(&tar, &Limits::DEFAULT, || usize::MAX);
    assert_eq!(said.end, Ok(()));
    assert_eq!(said.members[0].entry.xattrs.len(), 30_000);
}

#[test]
fn numbers_of_devices() {
    let device = |records: &[(&str, &[u8])], major: &[u8]| {
        Tar::default()
            .pax(records)
            .add(&Head::new("d", b'4').put(329, major), b"")
    };
    let tar = device(
        &[("SCHILY.devmajor", b"8"), ("SCHILY.devminor", b"2097152")],
        b"0000010\0",
    );
    assert_eq!(only(&tar).entry.device, (8, 2_097_152));
    // Who does not know the record sees another device.
    let tar = device(&[("SCHILY.devmajor", b"8")], b"0000000\0");
    refused(&tar.ended(), Code::TarNumber, 1024 + 329);
}
