//! Files that are stored without their holes.

use erofs_unpack_core::{At, Code, Limits};

use crate::support::{Head, Tar, members, only, read_within, refused};

/// Records of a `pax` header.
type Records<'a> = Vec<(&'a str, &'a [u8])>;

/// A file of 20 bytes that is no hole in 4..7 and 12..14, in all forms but the old one.
fn forms<'a>() -> Vec<(Records<'a>, Vec<u8>)> {
    let whole = b"abcde".to_vec();
    let mut map = b"2\n4\n3\n12\n2\n".to_vec();
    map.resize(512, 0);
    map.extend_from_slice(&whole);
    vec![
        (
            vec![
                ("GNU.sparse.size", b"20"),
                ("GNU.sparse.numblocks", b"2"),
                ("GNU.sparse.offset", b"4"),
                ("GNU.sparse.numbytes", b"3"),
                ("GNU.sparse.offset", b"12"),
                ("GNU.sparse.numbytes", b"2"),
            ],
            whole.clone(),
        ),
        (
            vec![
                ("GNU.sparse.name", b"real"),
                ("GNU.sparse.size", b"20"),
                ("GNU.sparse.numblocks", b"2"),
                ("GNU.sparse.map", b"4,3,12,2"),
            ],
            whole,
        ),
        (
            vec![
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.name", b"real"),
                ("GNU.sparse.realsize", b"20"),
            ],
            map,
        ),
    ]
}

fn tar(records: &[(&str, &[u8])], content: &[u8]) -> Tar {
    Tar::default()
        .pax(records)
        .sized(&Head::new("made/up", b'0'), content)
}

/// A header of the old form.
fn old(pieces: &[(u64, u64)], size: u64, more: bool) -> Head {
    let mut head = Head::gnu("old", b'S')
        .put(482, &[u8::from(more)])
        .put(483, format!("{size:011o}\0").as_bytes());
    for (index, (offset, length)) in pieces.iter().enumerate() {
        let text = format!("{offset:011o}\0{length:011o}\0");
        head = head.put(386 + 24 * index, text.as_bytes());
    }
    head
}

#[test]
fn all_forms_of_pax() {
    for (index, (records, content)) in forms().into_iter().enumerate() {
        let tar = tar(&records, &content).file("next");
        let found = members(&tar.ended());
        let entry = &found[0].entry;
        assert_eq!((entry.size, entry.stored), (20, 5));
        assert_eq!(entry.extents, Some(vec![(4, 3), (12, 2)]));
        assert_eq!(found[0].file(), b"\0\0\0\0abc\0\0\0\0\0de\0\0\0\0\0\0");
        let (path, alias) = match index {
            0 => ("made/up", None),
            _ => ("real", Some(b"made/up".to_vec())),
        };
        assert_eq!((found[0].path(), &entry.alias), (path.to_owned(), &alias));
        assert_eq!(found[1].path(), "next");
    }
}

#[test]
fn the_old_form() {
    let tar = Tar::default()
        .sized(&old(&[(4, 3), (12, 2), (20, 0)], 20, false), b"abcde")
        .file("next");
    let found = members(&tar.ended());
    assert_eq!(found[0].entry.extents, Some(vec![(4, 3), (12, 2)]));
    assert_eq!((found[0].entry.size, found[0].entry.stored), (20, 5));
    // More pieces than its header has room for, and than one block has.
    let pieces: Vec<_> = (0..4 + 21 + 3).map(|index| (index * 10, 1)).collect();
    let head = old(&pieces[..4], 300, true).size(28);
    let mut tar = Tar::default().add(&head, b"");
    for (index, pieces) in pieces[4..].chunks(21).enumerate() {
        let mut block = Vec::new();
        for (offset, length) in pieces {
            block.extend_from_slice(format!("{offset:011o}\0{length:011o}\0").as_bytes());
        }
        block.resize(512, 0);
        block[504] = u8::from(index == 0);
        tar = tar.raw(&block);
    }
    let content: Vec<u8> = (0..28).collect();
    let member = only(&tar.clone().raw(&content));
    assert_eq!(member.entry.extents.unwrap(), pieces);
    assert_eq!(member.entry.content, 3 * 512);
    assert_eq!(member.pieces[27], (270, vec![27]));
    refused(&tar.0[..1100], Code::TarTruncated, 1100);
}

#[test]
fn pieces_that_touch_are_one() {
    let tar = |map: &str, size: &'static [u8], content: &[u8]| {
        only(&tar(
            &[
                ("GNU.sparse.size", size),
                ("GNU.sparse.map", map.as_bytes()),
            ],
            content,
        ))
        .entry
    };
    assert_eq!(
        tar("0,2,2,3,7,0,7,1", b"9", b"abcdef").extents,
        Some(vec![(0, 5), (7, 1)])
    );
    assert_eq!(tar("9,0", b"9", b"").extents, Some(vec![]));
    assert_eq!(tar("0,3", b"3", b"abc").extents, Some(vec![(0, 3)]));
    let empty = self::tar(
        &[("GNU.sparse.size", b"9"), ("GNU.sparse.numblocks", b"0")],
        b"",
    );
    assert_eq!(only(&empty).entry.extents, Some(vec![]));
    assert_eq!(only(&empty).file(), [0; 9]);
}

#[test]
fn maps_that_overlap_or_go_beyond() {
    let maps = |map: &str, content: &[u8], code| {
        let tar = tar(
            &[
                ("GNU.sparse.size", b"20"),
                ("GNU.sparse.map", map.as_bytes()),
            ],
            content,
        );
        refused(&tar.ended(), code, 1024);
    };
    maps("4,3,6,2", b"abcde", Code::TarMap);
    maps("12,2,4,3", b"abcde", Code::TarMap);
    maps("4,3,4,2", b"abcde", Code::TarMap);
    maps("18,3", b"abc", Code::TarMap);
    maps("21,0", b"", Code::TarMap);
    maps("9223372036854775807,9223372036854775807", b"", Code::TarMap);
    maps("4,3", b"ab", Code::TarMapSize);
    maps("4,3", b"abcd", Code::TarMapSize);
    let tar = Tar::default().sized(&old(&[(4, 3), (6, 2)], 20, false), b"abcde");
    refused(&tar.ended(), Code::TarMap, 0);
    let tar = Tar::default().sized(&old(&[(4, 3)], 20, false), b"abcde");
    refused(&tar.ended(), Code::TarMapSize, 0);
}

#[test]
fn records_that_do_not_hold_together() {
    let record = |records: &[(&str, &[u8])], at: usize| {
        refused(&tar(records, b"abc").ended(), Code::TarValue, at);
    };
    let refused = |records: &[(&str, &[u8])], at: usize| {
        refused(&tar(records, b"abc").ended(), Code::TarSparse, at);
    };
    record(&[("GNU.sparse.other", b"1")], 512);
    record(&[("GNU.sparse.size", b"x")], 512);
    refused(&[("SCHILY.realsize", b"1")], 512);
    record(&[("GNU.sparse.numbytes", b"1")], 512);
    record(
        &[("GNU.sparse.offset", b"1"), ("GNU.sparse.offset", b"1")],
        512 + 23,
    );
    record(
        &[("GNU.sparse.map", b"0,3"), ("GNU.sparse.map", b"0,3")],
        512 + 22,
    );
    record(&[("GNU.sparse.map", b"")], 512);
    record(&[("GNU.sparse.map", b"0,3,4")], 512);
    record(&[("GNU.sparse.map", b"0,3,")], 512);
    for twice in ["name", "size", "major", "minor", "numblocks"] {
        let keyword = format!("GNU.sparse.{twice}");
        let pair = [(&*keyword, &b"1"[..]), (&*keyword, b"1")];
        record(&pair, 512 + 17 + twice.len());
    }
    record(
        &[("GNU.sparse.size", b"1"), ("GNU.sparse.realsize", b"1")],
        512 + 21,
    );
    // No size, an offset without a length, and versions that nobody knows.
    refused(&[("GNU.sparse.map", b"0,3")], 1024);
    refused(
        &[("GNU.sparse.size", b"9"), ("GNU.sparse.offset", b"0")],
        1024,
    );
    let version = |major: &'static [u8], minor: &'static [u8]| {
        [
            ("GNU.sparse.major", major),
            ("GNU.sparse.minor", minor),
            ("GNU.sparse.size", b"9"),
            ("GNU.sparse.map", b"0,3"),
        ]
    };
    refused(&version(b"1", b"0"), 1024);
    refused(&version(b"1", b"1"), 1024);
    refused(&version(b"2", b"0"), 1024);
    refused(&version(b"0", b"2"), 1024);
    refused(&version(b"0", b"1")[1..], 1024);
    refused(
        &[
            ("GNU.sparse.size", b"9"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.map", b"0,3"),
        ],
        1024,
    );
    let map = [("GNU.sparse.size", &b"9"[..]), ("GNU.sparse.map", b"0,3")];
    only(&tar(&map, b"abc"));
    only(&tar(&version(b"0", b"1"), b"abc"));
}

#[test]
fn only_files_are_sparse() {
    let map = [("GNU.sparse.size", &b"9"[..]), ("GNU.sparse.map", b"9,0")];
    for kind in *b"123456S" {
        let tar = Tar::default()
            .pax(&map)
            .add(&Head::link("a", kind, "b"), b"");
        refused(&tar.ended(), Code::TarSparse, 1024);
    }
    // star keeps other things where GNU tar has the map.
    let star = Tar::default().sized(&Head::new("a", b'S'), b"");
    refused(&star.ended(), Code::TarSparse, 0);
    let named = [("GNU.sparse.name", &b"a/"[..]), map[0], map[1]];
    let tar = tar(&named, b"");
    refused(&tar.ended(), Code::TarSlash, 1024);
}

/// A file of the form 1.0 with this map before its content.
fn lines(map: &[u8], content: &[u8]) -> Tar {
    let mut all = map.to_vec();
    all.extend_from_slice(content);
    tar(
        &[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"99999"),
        ],
        &all,
    )
}

#[test]
fn maps_before_the_content() {
    // One that fills its blocks, one of no piece, and one of several blocks.
    let filled = |text: &str| {
        let mut map = text.as_bytes().to_vec();
        map.resize(map.len().next_multiple_of(512), 0);
        map
    };
    let exact = format!("1\n{:0509}\n", 3);
    let exact = format!("1\n3\n{}3\n", "0".repeat(512 - 6)).replace(&exact, "");
    assert_eq!(exact.len(), 512);
    let member = only(&lines(exact.as_bytes(), b"abc"));
    assert_eq!(member.pieces, [(3, b"abc".to_vec())]);
    assert_eq!(member.entry.content, 1024 + 512 + 512);
    assert_eq!(
        only(&lines(&filled("0\n"), b"")).entry.extents,
        Some(vec![])
    );
    let many: Vec<_> = (0..300_u64).map(|index| (index * 300, 1)).collect();
    let text: String = many
        .iter()
        .map(|(at, length)| format!("{at}\n{length}\n"))
        .collect();
    let member = only(&lines(&filled(&format!("300\n{text}")), &[7; 300]));
    assert_eq!(member.entry.extents.unwrap(), many);
    let refused = |map: &[u8], code, at: usize| refused(&lines(map, b"").ended(), code, at);
    let start = 1536;
    refused(b"x\n", Code::TarSparse, start);
    refused(b"1\n\n", Code::TarSparse, start + 2);
    refused(b"1\n-1\n", Code::TarSparse, start + 2);
    refused(b"99999999999999999999\n", Code::TarSparse, start + 18);
    refused(b"9223372036854775808\n", Code::TarSparse, start + 18);
    refused(b"", Code::TarSparse, start);
    refused(b"1\n0", Code::TarSparse, start + 3);
    refused(b"1\n0\n", Code::TarSparse, start + 4);
    // It is complete, and nothing fills its block up.
    refused(b"0\n", Code::TarSparse, start + 2);
    refused(b"9999999\n", Code::TarExtentLimit, start + 7);
}

#[test]
fn pieces_have_a_limit() {
    let mut limits = Limits::DEFAULT;
    limits.tar_extents = 2;
    let said = |tar: &Tar| {
        let error = read_within(&tar.ended(), &limits).end;
        error.map_err(|error| (error.code(), error.at()))
    };
    let two = [
        ("GNU.sparse.size", &b"9"[..]),
        ("GNU.sparse.map", b"0,1,2,1"),
    ];
    assert_eq!(said(&tar(&two, b"ab")), Ok(()));
    let three = [
        ("GNU.sparse.size", &b"9"[..]),
        ("GNU.sparse.map", b"0,1,2,1,4,1"),
    ];
    assert_eq!(
        said(&tar(&three, b"abc")),
        Err((Code::TarExtentLimit, At::Archive(512 + 21)))
    );
    assert_eq!(
        said(&lines(b"3\n", b"")),
        Err((Code::TarExtentLimit, At::Archive(1537)))
    );
    let old = Tar::default().sized(&old(&[(0, 1), (2, 1), (4, 1)], 9, false), b"abc");
    assert_eq!(said(&old), Err((Code::TarExtentLimit, At::Archive(0))));
}
