//! A reader that looks for some members: what is wrong with one alone refuses no archive.

use erofs_unpack_core::tar::{Entry, Event, Reader};
use erofs_unpack_core::{At, Code, Error, Limits};

use crate::support::{Head, Tar, records};

/// The members, with a reader that picks, in pieces of so many bytes.
fn pick(archive: &[u8], piece: usize) -> Result<Vec<Entry>, Error> {
    let mut reader = Reader::picking(&Limits::DEFAULT);
    let mut entries = Vec::new();
    for mut input in archive.chunks(piece) {
        loop {
            let (taken, event) = reader.step(input)?;
            input = &input[taken..];
            match event {
                Event::Entry(entry) => entries.push(entry),
                Event::More => break,
                Event::End if input.is_empty() => break,
                _ => {}
            }
        }
    }
    reader.finish()?;
    Ok(entries)
}

/// The faults of the members of an archive that ends with a file `last`.
#[track_caller]
fn faults(tar: Tar) -> Vec<Option<Code>> {
    let archive = tar.file("last").ended();
    let entries = pick(&archive, usize::MAX).unwrap();
    assert_eq!(pick(&archive, 1), Ok(entries.clone()));
    assert_eq!(entries.last().unwrap().path, b"last");
    entries[..entries.len() - 1]
        .iter()
        .map(|entry| entry.fault)
        .collect()
}

#[track_caller]
fn refused(tar: &Tar, code: Code, at: u64) {
    let error = pick(&tar.ended(), usize::MAX).unwrap_err();
    assert_eq!((error.code(), error.at()), (code, At::Archive(at)));
}

#[test]
fn faults_of_one_member() {
    let tar = Tar::default()
        .file("good")
        .sized(&Head::gnu("dump", b'D'), b"content")
        .file("dir/")
        .add(&Head::old("device", b'3'), b"");
    let expected = [
        None,
        Some(Code::TarType),
        Some(Code::TarSlash),
        Some(Code::TarType),
    ];
    assert_eq!(faults(tar), expected);
    let map = |records: &[(&str, &[u8])], content: &[u8]| {
        faults(
            Tar::default()
                .pax(records)
                .sized(&Head::new("a", b'0'), content),
        )
    };
    let size = ("GNU.sparse.size", &b"20"[..]);
    assert_eq!(
        map(&[size, ("GNU.sparse.map", b"4,3,6,2")], b"abcde"),
        [Some(Code::TarMap)]
    );
    assert_eq!(
        map(&[size, ("GNU.sparse.map", b"4,3")], b"abcde"),
        [Some(Code::TarMapSize)]
    );
    assert_eq!(map(&[size, ("GNU.sparse.map", b"4,5")], b"abcde"), [None]);
    assert_eq!(
        map(&[("GNU.sparse.map", b"4,5")], b"abcde"),
        [Some(Code::TarSparse)]
    );
    let lines = [size, ("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")];
    for (content, fault) in [
        (&b"1\nx\n"[..], Code::TarSparse),
        (b"1\n4\n", Code::TarSparse),
        (b"0\n", Code::TarSparse),
        (b"", Code::TarSparse),
        (b"9999999\n", Code::TarExtentLimit),
    ] {
        assert_eq!(map(&lines, content), [Some(fault)], "{content:?}");
    }
}

#[test]
fn what_an_archive_of_documents_has_no_need_of() {
    let link = |head: fn(&str, u8) -> Head| head("a", b'1').put(157, b"b").size(5);
    for form in [Head::new, Head::gnu, Head::old] {
        refused(
            &Tar::default().add(&link(form), b"").file("c"),
            Code::TarPayload,
            124,
        );
    }
    for keyword in ["path", "linkpath", "size"] {
        let twice = [(keyword, &b"0"[..]), (keyword, b"0")];
        let second = 512 + records(&twice[..1]).len() as u64;
        refused(
            &Tar::default().pax(&twice).file("a"),
            Code::TarExtension,
            second,
        );
    }
    let tar = Tar::default().pax(&[("path", b"a"), ("size", b"0"), ("uid", b"1"), ("uid", b"2")]);
    assert_eq!(faults(tar.file("b")), [None]);
    // In two headers each is there once.
    let tar = Tar::default()
        .pax(&[("path", b"a")])
        .file("b")
        .pax(&[("path", b"a")]);
    assert_eq!(faults(tar.file("b")), [None, None]);
}

#[test]
fn headers_are_counted() {
    let tar = Tar::default()
        .global(&[])
        .pax(&[])
        .file("a")
        .file("b")
        .ended();
    let mut reader = Reader::new(&Limits::DEFAULT);
    let mut counts = Vec::new();
    let mut rest = &tar[..];
    loop {
        let (taken, event) = reader.step(rest).unwrap();
        rest = &rest[taken..];
        match event {
            Event::Entry(_) => counts.push(reader.headers()),
            Event::End => break,
            _ => {}
        }
    }
    assert_eq!(counts, [3, 4]);
}
