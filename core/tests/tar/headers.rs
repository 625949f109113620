//! Headers of one block: types, names, numbers, links, and the end of the archive.

use erofs_unpack_core::Code;
use erofs_unpack_core::tar::EntryKind;

use crate::support::{Head, Tar, members, only, read, refused};

#[test]
fn a_file_and_what_is_said_of_it() {
    let head = Head::new("a/file", b'0')
        .put(100, b"0104755\0")
        .put(108, b"   1750 ")
        .put(116, b"7777777\0")
        .put(136, b"14524774374 ");
    let member = only(&Tar::default().sized(&head, b"hello"));
    let entry = &member.entry;
    assert_eq!(entry.path, b"a/file");
    assert_eq!(entry.kind, EntryKind::File);
    assert_eq!(
        (entry.mode, entry.uid, entry.gid),
        (0o4755, 1000, 0o7_777_777)
    );
    assert_eq!(entry.mtime, (0o14_524_774_374, 0));
    assert_eq!((entry.size, entry.stored), (5, 5));
    assert_eq!((entry.offset, entry.header, entry.content), (0, 0, 512));
    assert_eq!((entry.device, &entry.extents), ((0, 0), &None));
    assert!(entry.link.is_empty() && entry.xattrs.is_empty());
    assert_eq!(member.pieces, [(0, b"hello".to_vec())]);
}

#[test]
fn every_type() {
    let device = |kind| {
        Head::new("d", kind)
            .put(329, b"0000010\0")
            .put(337, b"0003777\0")
    };
    let tar = Tar::default()
        .add(&Head::new("f", 0), b"")
        .add(&Head::new("c", b'7'), b"")
        .add(&Head::link("h", b'1', "f"), b"")
        .add(&Head::link("s", b'2', "../x"), b"")
        .add(&device(b'3'), b"")
        .add(&device(b'4'), b"")
        .add(&Head::new("dir/", b'5'), b"")
        .add(&Head::new("dir", b'5'), b"")
        .add(&Head::new("p", b'6'), b"")
        .add(&Head::old("old/", 0), b"");
    let found: Vec<_> = members(&tar.ended())
        .into_iter()
        .map(|member| {
            let entry = member.entry;
            (entry.kind, entry.link, entry.device)
        })
        .collect();
    let plain = |kind| (kind, Vec::new(), (0, 0));
    assert_eq!(
        found,
        [
            plain(EntryKind::File),
            plain(EntryKind::File),
            (EntryKind::HardLink, b"f".to_vec(), (0, 0)),
            (EntryKind::Symlink, b"../x".to_vec(), (0, 0)),
            (EntryKind::CharDevice, Vec::new(), (8, 0o3777)),
            (EntryKind::BlockDevice, Vec::new(), (8, 0o3777)),
            plain(EntryKind::Directory),
            plain(EntryKind::Directory),
            plain(EntryKind::Fifo),
            plain(EntryKind::Directory),
        ]
    );
}

#[test]
fn types_that_readers_understand_differently() {
    let before = Tar::default().file("a");
    for kind in *b"ADEIMNXZ89\xff" {
        let tar = before.clone().add(&Head::gnu("b", kind), b"");
        refused(&tar.ended(), Code::TarType, 512 + 156);
    }
    for kind in *b"34" {
        let tar = before.clone().add(&Head::old("b", kind), b"");
        refused(&tar.ended(), Code::TarType, 512 + 156);
    }
    for kind in *b"07" {
        let tar = before.clone().add(&Head::new("b/", kind), b"");
        refused(&tar.ended(), Code::TarSlash, 512 + 156);
    }
}

#[test]
fn the_label_of_a_volume_is_passed_over() {
    let label = Head::gnu("label", b'V');
    let tar = Tar::default().add(&label, b"").file("a");
    assert_eq!(only(&tar).entry.offset, 512);
    assert_eq!(members(&Tar::default().add(&label, b"").ended()), []);
    let tar = Tar::default().add(&label.size(1), b"a");
    refused(&tar.ended(), Code::TarPayload, 124);
    let tar = Tar::default().pax(&[]).add(&Head::gnu("label", b'V'), b"");
    refused(&tar.file("a").ended(), Code::TarExtension, 512);
}

#[test]
fn names_have_a_prefix_in_the_posix_form_alone() {
    let path = |head: Head| only(&Tar::default().add(&head, b"")).path();
    let prefix = |head: Head| head.put(345, b"some/prefix");
    assert_eq!(path(prefix(Head::new("n", b'0'))), "some/prefix/n");
    assert_eq!(path(prefix(Head::gnu("n", b'0'))), "n");
    assert_eq!(path(prefix(Head::old("n", b'0'))), "n");
    let full = Head::new(&"n".repeat(100), b'0').put(345, "p".repeat(155).as_bytes());
    assert_eq!(
        path(full),
        format!("{}/{}", "p".repeat(155), "n".repeat(100))
    );
    let link = Head::link("l", b'2', &"t".repeat(100));
    assert_eq!(only(&Tar::default().add(&link, b"")).entry.link.len(), 100);
    for raw in ["./a", "/a", "../a/..", ".", "a//b/", "a/./b"] {
        assert_eq!(path(Head::new(raw, b'5')), raw);
    }
}

#[test]
fn forms_that_are_not_clear() {
    for magic in [&b"ustar   "[..], b"ustar\x2000", b"ustarx\0\0"] {
        let tar = Tar::default().add(&Head::new("a", b'0').put(257, magic), b"");
        refused(&tar.ended(), Code::TarFormat, 257);
    }
    let star = Head::new("a", b'0')
        .put(508, b"tar\0")
        .put(345, &[b'p'; 131]);
    refused(
        &Tar::default().add(&star, b"").ended(),
        Code::TarFormat,
        257,
    );
}

#[test]
fn nothing_without_a_name() {
    let tar = Tar::default().add(&Head::new("", b'0'), b"");
    refused(&tar.ended(), Code::TarName, 0);
    for kind in *b"12" {
        let tar = Tar::default().add(&Head::new("l", kind), b"");
        refused(&tar.ended(), Code::TarName, 157);
    }
    let tar = Tar::default()
        .sized(&Head::gnu("L", b'L'), b"\0x")
        .file("a");
    refused(&tar.ended(), Code::TarName, 512);
}

#[test]
fn numbers() {
    for at in [100, 108, 116, 124, 136] {
        for wrong in [b"8\0", b"-1", b"+1", b"0x"] {
            let tar = Tar::default().add(&Head::new("a", b'0').put(at, wrong), b"");
            refused(&tar.ended(), Code::TarNumber, at);
        }
        let tar = Tar::default().add(&Head::new("a", b'0').put(at, b"1 2\0\0\0\0\0"), b"");
        refused(&tar.ended(), Code::TarNumber, at);
    }
    for at in [329, 337] {
        let device = Head::new("a", b'3').put(at, b"8");
        refused(
            &Tar::default().add(&device, b"").ended(),
            Code::TarNumber,
            at,
        );
        // Nobody looks there in other members.
        only(&Tar::default().add(&Head::new("a", b'0').put(at, b"8"), b""));
    }
    let binary = |at: usize, length: usize, first: u8, value: i64| {
        let mut field = vec![if value < 0 { 0xff } else { 0 }; length];
        field[length.saturating_sub(8)..]
            .copy_from_slice(&value.to_be_bytes()[8 - length.min(8)..]);
        field[0] = first;
        Head::new("a", b'0').put(at, &field)
    };
    let only = |head: Head| only(&Tar::default().add(&head, b"")).entry;
    assert_eq!(only(binary(108, 8, 0x80, 0xffff_ffff)).uid, u32::MAX);
    assert_eq!(only(binary(116, 8, 0x80, 3_000_000)).gid, 3_000_000);
    assert_eq!(only(binary(136, 12, 0x80, 1 << 40)).mtime, (1 << 40, 0));
    assert_eq!(only(binary(136, 12, 0xff, -2)).mtime, (-2, 0));
    assert_eq!(only(binary(136, 12, 0xff, i64::MIN)).mtime, (i64::MIN, 0));
    let refused =
        |head: Head, at| refused(&Tar::default().add(&head, b"").ended(), Code::TarNumber, at);
    refused(binary(108, 8, 0x80, 1 << 32), 108);
    refused(binary(108, 8, 0xff, -1), 108);
    refused(binary(124, 12, 0xff, -1), 124);
    refused(binary(124, 12, 0x81, 0), 124);
}

#[test]
fn sizes_beyond_the_archive() {
    let tar = Tar::default().sized(&Head::new("a", b'0'), b"hello").0;
    refused(&tar[..512 + 4], Code::TarTruncated, 516);
    let large = Head::new("a", b'0').put(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\0\0");
    refused(
        &Tar::default().add(&large, b"hello").ended(),
        Code::TarTruncated,
        2048,
    );
}

#[test]
fn sizes_without_content() {
    for kind in *b"2346" {
        let head = Head::link("d", kind, if kind == b'2' { "to" } else { "" });
        let tar = Tar::default().sized(&head, b"content");
        refused(&tar.ended(), Code::TarPayload, 124);
    }
    let tar = Tar::default().sized(&Head::old("d/", 0), b"content");
    refused(&tar.ended(), Code::TarPayload, 124);
    // POSIX has a meaning for it there.
    let tar = Tar::default()
        .add(&Head::new("d/", b'5').size(4096), b"")
        .pax(&[("size", b"7")])
        .add(&Head::new("e/", b'5'), b"")
        .file("f");
    let found = members(&tar.ended());
    assert_eq!(found.len(), 3);
    assert_eq!((found[0].entry.size, found[1].entry.stored), (0, 0));
}

#[test]
fn hard_links_have_content_in_pax_alone() {
    let link = |kind: fn(&str, u8) -> Head, size| kind("l", b'1').put(157, b"f").size(size);
    // Old programs left the size of what it leads to.
    for form in [Head::new, Head::gnu, Head::old] {
        let tar = Tar::default().add(&link(form, 5), b"").file("b");
        let found = members(&tar.ended());
        assert_eq!((found[0].entry.size, found[0].entry.stored), (0, 0));
        assert_eq!(found[1].path(), "b");
    }
    for content in [
        &b"hello"[..],
        &[b'x'; 511],
        &[b'x'; 512],
        &[b'x'; 513],
        &[b'x'; 5000],
    ] {
        let link = link(Head::new, content.len() as u64);
        let tar = Tar::default()
            .pax(&[("mtime", b"1")])
            .add(&link, content)
            .file("b");
        let found = members(&tar.ended());
        assert_eq!(found[0].entry.kind, EntryKind::HardLink);
        assert_eq!(found[0].entry.size, content.len() as u64);
        assert_eq!(found[0].file(), content);
        assert_eq!(found[1].path(), "b");
    }
    // GNU's form does not have it, also in an archive with `pax` headers.
    let tar = Tar::default()
        .pax(&[])
        .add(&link(Head::gnu, 5), b"")
        .file("b");
    assert_eq!(members(&tar.ended()).len(), 2);
    let tar = Tar::default()
        .pax(&[("size", b"5")])
        .add(&link(Head::gnu, 5), b"hello");
    refused(&tar.ended(), Code::TarPayload, 1024 + 124);
}

#[test]
fn content_of_a_hard_link_that_could_be_a_header() {
    let hidden = Head::new("hidden", b'0').block();
    for size in [512, 500, 345, 1024, 4000] {
        let link = Head::link("l", b'1', "f").size(size);
        let tar = Tar::default().pax(&[("mtime", b"1")]).add(&link, &hidden);
        refused(&tar.raw(&[0; 4096]).ended(), Code::TarLinkContent, 1536);
    }
    // A writer that left the size, and has no content.
    let link = Head::link("l", b'1', "f").size(5);
    let tar = Tar::default().pax(&[]).add(&link, b"").file("b");
    refused(&tar.ended(), Code::TarLinkContent, 1024);
    let tar = Tar::default().pax(&[]).add(&link, b"");
    refused(&tar.ended(), Code::TarLinkContent, 1024);
    refused(&tar.0, Code::TarTruncated, 1024);
}

#[test]
fn checksums() {
    let mut tar = Tar::default().file("a").file("b").ended();
    tar[512] = b'c';
    refused(&tar, Code::TarChecksum, 512);
    // With a sign, as some old programs summed up.
    let mut block = Head::new("\u{e4}", b'0').block();
    block[148..156].fill(b' ');
    let sum: i64 = block.iter().map(|byte| i64::from(byte.cast_signed())).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let said = read(&Tar(block.to_vec()).ended());
    assert_eq!((said.end, said.members.len()), (Ok(()), 1));
}

#[test]
fn ends() {
    let tar = Tar::default().sized(&Head::new("a", b'0'), b"hello");
    let all = tar.ended();
    for length in [517, 600, 1023, 1024, 1025, 1200, 1535] {
        let said = read(&all[..length]);
        assert_eq!((said.end, said.is_cut), (Ok(()), true), "{length}");
        assert!(said.members[0].is_complete);
    }
    for length in [1536, 1537, 2047] {
        let said = read(&all[..length]);
        assert_eq!((said.end, said.is_cut), (Ok(()), false), "{length}");
    }
    let behind = Tar(all.clone()).file("b").raw(b"anything");
    assert_eq!(read(&behind.0).members.len(), 1);
    assert_eq!(read(&behind.0).end, Ok(()));
    let mut half = all.clone();
    half[1536 + 300] = 1;
    refused(&half, Code::TarEnd, 1536);
    refused(&half[..2047], Code::TarEnd, 2047);
    // But what is no block is no end.
    let mut cut = all[..1030].to_vec();
    cut[1029] = 1;
    refused(&cut, Code::TarTruncated, 1030);
}

#[test]
fn archives_of_nothing() {
    assert_eq!(members(&[0; 1024]), []);
    assert_eq!(members(&[0; 10240]), []);
    assert_eq!(members(&[0; 512]), []);
    refused(b"", Code::TarTruncated, 0);
    refused(&[0; 100], Code::TarTruncated, 100);
}

#[test]
fn content_can_be_passed_over() {
    use erofs_unpack_core::Limits;
    use erofs_unpack_core::tar::{Event, Reader};
    let tar = Tar::default()
        .sized(&Head::new("a", b'0'), &[7; 2000])
        .file("b")
        .ended();
    let mut reader = Reader::new(&Limits::DEFAULT);
    assert_eq!(reader.skip(9), 0);
    let (taken, event) = reader.step(&tar).unwrap();
    assert!(matches!(event, Event::Entry(_)));
    assert_eq!((taken, reader.content_left()), (512, 2000));
    assert_eq!(reader.skip(1500), 1500);
    let (taken, event) = reader.step(&tar[2012..2020]).unwrap();
    assert_eq!(taken, 8);
    let bytes = &[7; 8][..];
    assert_eq!(
        event,
        Event::Content {
            offset: 1500,
            bytes
        }
    );
    assert_eq!(reader.skip(u64::MAX), 492);
    assert_eq!(reader.position(), 2512);
    assert_eq!(reader.step(&[]).unwrap(), (0, Event::EntryEnd));
    let (_, event) = reader.step(&tar[2512..]).unwrap();
    assert!(matches!(event, Event::Entry(entry) if entry.path == b"b"));
}
