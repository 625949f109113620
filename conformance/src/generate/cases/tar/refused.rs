//! What is refused, and where.

use erofs_unpack_core::{At, Code};

use super::super::super::suite::{Draft, Suite};
use super::{BLOCK, Head, MAP_01, MAP_10, PIECES, SETTLED, Tar, case, lines, old_sparse};

pub(super) fn add(suite: &mut Suite) {
    headers(suite);
    extended(suite);
    sparse(suite);
}

/// The valid case that a refused one differs from, by the beginning of its name.
const VALID: [(&str, &str); 28] = [
    ("sparse-old", "sparse-old"),
    ("sparse-posix", "sparse-old"),
    ("sparse-version", "sparse-1-0"),
    ("sparse-line", "sparse-1-0"),
    ("sparse-offsets", "sparse-0-0"),
    ("sparse", "sparse-0-1"),
    ("star-sparse", "sparse-0-1"),
    ("global", "global"),
    ("pax-global", "global"),
    ("xattr", "xattrs"),
    ("pax", "pax"),
    ("path", "pax"),
    ("linkpath", "pax"),
    ("record", "pax"),
    ("value", "pax"),
    ("truncated-pax", "pax"),
    ("long-name", "long-names"),
    ("header-limit", "long-names"),
    ("hard-link", "hard-link-content"),
    ("device", "device-large"),
    ("end", "end-half"),
    ("truncated", "end-none"),
    ("checksum", "checksum-signed"),
    ("payload-label", "label"),
    ("payload-old", "old"),
    ("type-old", "old"),
    ("name", "names"),
    ("", "types"),
];

/// Adds a case that is refused, by what is settled here.
fn refuse(suite: &mut Suite, name: &str, text: &str, tar: &[u8], code: Code, at: usize) {
    let draft = case(suite, name, text, tar);
    suite.add(refused(draft, name, code, at));
}

/// It is refused by what is settled here.
fn refused(draft: Draft, name: &str, code: Code, at: usize) -> Draft {
    let valid = VALID.iter().find(|(start, _)| name.starts_with(start));
    let (_, valid) = valid.unwrap_or(&VALID[27]);
    draft
        .demand("unpack", SETTLED)
        .differs_from(&format!("tar/{valid}"))
        .refused(code, At::Archive(at as u64))
}

fn headers(suite: &mut Suite) {
    let a = || Tar::default().file("a");
    let mut refuse = |name: &str, text: &str, tar: Tar, code, at| {
        refuse(suite, name, text, &tar.ended(), code, at);
    };
    let mut wrong = a().file("b");
    wrong.0[BLOCK] = b'c';
    refuse(
        "checksum",
        "A header whose name was changed.",
        wrong,
        Code::TarChecksum,
        512,
    );
    let magic = Head::new("b", b'0').put(257, b"ustar   ");
    refuse(
        "magic",
        "A magic that is neither POSIX's nor GNU tar's.",
        a().add(magic, b""),
        Code::TarFormat,
        512 + 257,
    );
    let star = Head::new("b", b'0')
        .put(345, &[b'p'; 131])
        .put(508, b"tar\0");
    let text = "The mark of star, and a prefix that star has no room for.";
    refuse(
        "star-prefix",
        text,
        a().add(star, b""),
        Code::TarFormat,
        512 + 257,
    );
    for (name, at) in [
        ("mode", 100),
        ("uid", 108),
        ("gid", 116),
        ("size", 124),
        ("mtime", 136),
    ] {
        let text = format!("A {name} that is not in octal digits.");
        let head = Head::new("b", b'0').put(at, b"8");
        refuse(
            &format!("number-{name}"),
            &text,
            a().add(head, b""),
            Code::TarNumber,
            512 + at,
        );
    }
    let head = Head::new("b", b'0').put(108, b"\x80\0\0\x01\0\0\0\0");
    refuse(
        "uid-large",
        "An owner with more than 32 bits.",
        a().add(head, b""),
        Code::TarNumber,
        512 + 108,
    );
    let head = Head::new("b", b'0').put(124, &[0xff; 12]);
    refuse(
        "size-negative",
        "A size below zero.",
        a().add(head, b""),
        Code::TarNumber,
        512 + 124,
    );
    let large = b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\0\0";
    let head = Head::new("b", b'0').put(124, large);
    refuse(
        "size-large",
        "A size of nearly 2^63.",
        a().add(head, b""),
        Code::TarTruncated,
        2048,
    );
    for (kind, text) in [
        (b'D', "GNU tar's list of a directory."),
        (b'M', "The rest of a member of another volume."),
        (b'N', "GNU tar's first form of long names."),
        (b'X', "Sun's form of pax headers."),
        (b'Z', "A type of nobody."),
    ] {
        let name = format!("type-{}", char::from(kind).to_ascii_lowercase());
        refuse(
            &name,
            text,
            a().add(Head::gnu("b", kind), b""),
            Code::TarType,
            512 + 156,
        );
    }
    let text = "A device in the form from before POSIX, which has no field for its numbers.";
    refuse(
        "type-old-device",
        text,
        a().add(Head::old("b", b'3'), b""),
        Code::TarType,
        512 + 156,
    );
    let text = "A file by its type, with the name of a directory.";
    refuse("slash", text, a().file("b/"), Code::TarSlash, 512 + 156);
    refuse("name-empty", "No name.", a().file(""), Code::TarName, 512);
    refuse(
        "target-empty",
        "A link without a target.",
        a().add(Head::new("b", b'2'), b""),
        Code::TarName,
        512 + 157,
    );
    for (kind, what) in [(b'2', "symlink"), (b'3', "device"), (b'6', "fifo")] {
        let tar = a().sized(Head::link("b", kind, "a"), b"content");
        refuse(
            &format!("payload-{what}"),
            &format!("A {what} with a size."),
            tar,
            Code::TarPayload,
            512 + 124,
        );
    }
    let tar = a().sized(Head::old("b/", 0), b"content");
    let text = "A directory of the form from before POSIX with a size.";
    refuse("payload-old", text, tar, Code::TarPayload, 512 + 124);
    let tar = a().sized(Head::gnu("label", b'V'), b"content");
    refuse(
        "payload-label",
        "The label of a volume with a size.",
        tar,
        Code::TarPayload,
        512 + 124,
    );
    let hidden = Head::new("hidden", b'0').block();
    let tar = Tar::default()
        .pax(&[("mtime", b"1")])
        .sized(Head::link("b", b'1', "a"), &hidden);
    let text = "A hard link whose content is a header: whoever thinks that it has none finds a member there.";
    refuse("hard-link-header", text, tar, Code::TarLinkContent, 1536);
    let tar = Tar::default()
        .pax(&[])
        .sized(Head::link("b", b'1', "a"), &[0; BLOCK]);
    let text =
        "A hard link whose content is zeros: whoever thinks that it has none finds the end there.";
    refuse("hard-link-zeros", text, tar, Code::TarLinkContent, 1024);
    let tar = a().raw(&[0; BLOCK]).file("b");
    refuse(
        "end-alone",
        "A block of zeros, and a member.",
        tar,
        Code::TarEnd,
        1024,
    );
    let mut refuse = |name: &str, text: &str, tar: &[u8], at| {
        self::refuse(suite, name, text, tar, Code::TarTruncated, at);
    };
    let whole = Tar::default().sized(Head::new("a", b'0'), b"hello").ended();
    refuse(
        "truncated-header",
        "It ends in a header.",
        &whole[..500],
        500,
    );
    refuse(
        "truncated-content",
        "It ends in a file.",
        &whole[..516],
        516,
    );
    refuse("truncated-all", "It has no byte.", b"", 0);
    let pax = Tar::default().pax(&[("mtime", b"1")]).0;
    refuse("truncated-pax", "It ends behind a pax header.", &pax, 1024);
}

fn extended(suite: &mut Suite) {
    let empty = Tar::default;
    let mut refuse = |name: &str, text: &str, tar: Tar, code, at| {
        refuse(suite, name, text, &tar.ended(), code, at);
    };
    let extension = Code::TarExtension;
    refuse(
        "pax-twice",
        "Two pax headers for one member.",
        empty().pax(&[]).pax(&[]).file("a"),
        extension,
        512,
    );
    let tar = empty().long(b'L', b"b\0").long(b'L', b"c\0").file("a");
    refuse(
        "long-name-twice",
        "Two long names for one member.",
        tar,
        extension,
        1024,
    );
    let tar = empty().long(b'L', b"b\0").pax(&[("path", b"c")]).file("a");
    refuse(
        "long-name-pax",
        "A long name in GNU tar's form and in pax's.",
        tar,
        extension,
        1536,
    );
    let tar = empty()
        .pax(&[("path", b"c")])
        .long(b'K', b"b\0")
        .pax(&[])
        .file("a");
    refuse(
        "pax-long-pax",
        "Two pax headers, with a long target between them.",
        tar,
        extension,
        2048,
    );
    let tar = empty().pax(&[("mtime", b"2")]).global(&[]).file("a");
    refuse(
        "pax-global",
        "A global header between a pax header and its member.",
        tar,
        extension,
        1024,
    );
    let tar = empty().file("a").pax(&[("mtime", b"2")]);
    refuse(
        "pax-end",
        "A pax header before the end marker.",
        tar,
        extension,
        512,
    );
    for (name, text, record) in [
        (
            "record-length",
            "A length that ends before the line feed.",
            &b"6 a=bc\n"[..],
        ),
        ("record-long", "A length beyond the header.", b"9 a=b\n"),
        ("record-equals", "No equals sign.", b"6 a b\n"),
        ("record-keyword", "No keyword.", b"5 =b\n"),
    ] {
        let tar = empty().sized(Head::new("x", b'x'), record).file("a");
        refuse(name, text, tar, Code::TarRecord, 512);
    }
    for (name, text, keyword, value, code) in [
        (
            "value-uid",
            "An owner with more than 32 bits.",
            "uid",
            &b"4294967296"[..],
            Code::TarValue,
        ),
        (
            "value-gid",
            "A group below zero.",
            "gid",
            b"-1",
            Code::TarValue,
        ),
        (
            "value-mtime",
            "A time with a comma.",
            "mtime",
            b"1,5",
            Code::TarValue,
        ),
        (
            "value-size",
            "A size of 2^63.",
            "size",
            b"9223372036854775808",
            Code::TarValue,
        ),
        (
            "path-empty",
            "A path of no bytes.",
            "path",
            b"",
            Code::TarName,
        ),
        (
            "path-nul",
            "A path with a NUL.",
            "path",
            b"a\0b",
            Code::TarName,
        ),
        (
            "linkpath-nul",
            "A target with a NUL.",
            "linkpath",
            b"a\0b",
            Code::TarName,
        ),
        (
            "xattr-name",
            "An attribute without a name.",
            "SCHILY.xattr.",
            b"b",
            Code::TarXattr,
        ),
        (
            "xattr-base64",
            "An attribute that is not base64.",
            "LIBARCHIVE.xattr.user.a",
            b"Y!",
            Code::TarXattr,
        ),
        (
            "star-sparse",
            "A sparse file in the form of star.",
            "SCHILY.realsize",
            b"20",
            Code::TarSparse,
        ),
    ] {
        let tar = empty().pax(&[("comment", b""), (keyword, value)]).file("a");
        refuse(name, text, tar, code, 512 + 12);
    }
    let both = [
        ("SCHILY.xattr.user.a", &b"b"[..]),
        ("LIBARCHIVE.xattr.user.a", b"YQ"),
    ];
    let text = "An attribute in both forms with two values.";
    refuse(
        "xattr-twice",
        text,
        empty().pax(&both).file("a"),
        Code::TarXattr,
        512 + 25,
    );
    for (name, keyword, value) in [
        ("global-path", "path", &b"b"[..]),
        ("global-size", "size", b"5"),
        ("global-xattr", "SCHILY.xattr.user.a", b"b"),
        ("global-sparse", "GNU.sparse.major", b"1"),
    ] {
        let tar = empty()
            .global(&[("comment", b""), (keyword, value)])
            .file("a");
        let text = format!("A global header with the keyword {keyword}.");
        refuse(name, &text, tar, Code::TarGlobal, 512 + 12);
    }
    let tar = empty()
        .global(&[("gid", b"1")])
        .global(&[("uid", b"1")])
        .file("a");
    let text = "A global header that does not say again what one before it says.";
    refuse("global-twice", text, tar, Code::TarGlobal, 1536);
    let tar = empty()
        .pax(&[("SCHILY.devmajor", b"1"), ("SCHILY.devminor", b"3")])
        .add(Head::new("a", b'3'), b"");
    let text =
        "A device that is another, a whiteout, to who does not know the records of its numbers.";
    refuse("device-other", text, tar, Code::TarNumber, 1024 + 329);
    let tar = empty().long(b'K', &[b'k'; 1000]).long(b'L', &[b'l'; 1001]);
    let draft = case(
        suite,
        "header-limit",
        "Extended headers that are larger together than the limit.",
        &tar.file("a").ended(),
    );
    let draft = draft.limits(|limits| limits.tar_header = Some(2000));
    suite.add(refused(draft, "header-limit", Code::TarHeaderLimit, 1536));
}

fn sparse(suite: &mut Suite) {
    let head = || Head::new("GNUSparseFile.1/real", b'0');
    let tar = |records: &[(&str, &[u8])], content: &[u8]| {
        Tar::default().pax(records).sized(head(), content)
    };
    let mut refuse = |name: &str, text: &str, tar: Tar, code, at| {
        refuse(
            suite,
            &format!("sparse-{name}"),
            text,
            &tar.ended(),
            code,
            at,
        );
    };
    for (name, text, map, content, code) in [
        (
            "overlap",
            "A piece that overlaps the one before.",
            &b"4,3,6,2"[..],
            &b"abcde"[..],
            Code::TarMap,
        ),
        (
            "order",
            "A piece that lies before the one before.",
            b"12,2,4,3",
            b"abcde",
            Code::TarMap,
        ),
        (
            "beyond",
            "A piece that lies beyond the size.",
            b"18,3",
            b"abc",
            Code::TarMap,
        ),
        (
            "overflow",
            "A piece whose end has more than 63 bits.",
            b"9223372036854775807,9223372036854775807",
            b"",
            Code::TarMap,
        ),
        (
            "less",
            "Pieces of fewer bytes than are stored.",
            b"4,3",
            b"abcd",
            Code::TarMapSize,
        ),
        (
            "more",
            "Pieces of more bytes than are stored.",
            b"4,3",
            b"ab",
            Code::TarMapSize,
        ),
    ] {
        let records = [("GNU.sparse.size", &b"20"[..]), ("GNU.sparse.map", map)];
        // Behind a pax header of one block.
        refuse(name, text, tar(&records, content), code, 1024);
    }
    let old = Tar::default().sized(old_sparse(&[(4, 3), (6, 2)], 20), PIECES);
    refuse(
        "old-overlap",
        "A piece of the old form that overlaps the one before.",
        old,
        Code::TarMap,
        0,
    );
    let odd = [
        ("GNU.sparse.size", &b"20"[..]),
        ("GNU.sparse.map", b"4,3,12"),
    ];
    refuse(
        "odd",
        "An offset without a length.",
        tar(&odd, b"abc"),
        Code::TarValue,
        512 + 22,
    );
    let twice = [
        ("GNU.sparse.offset", &b"4"[..]),
        ("GNU.sparse.offset", b"5"),
    ];
    refuse(
        "offsets",
        "Two offsets before a length.",
        tar(&twice, b"abc"),
        Code::TarValue,
        512 + 23,
    );
    let records = [MAP_01[1], ("GNU.sparse.numblocks", b"3"), MAP_01[3]];
    refuse(
        "count",
        "A number of pieces other than there are.",
        tar(&records, PIECES),
        Code::TarSparse,
        1024,
    );
    let records = [MAP_01[3]];
    refuse(
        "no-size",
        "No size.",
        tar(&records, PIECES),
        Code::TarSparse,
        1024,
    );
    let mut records = MAP_10;
    records[1].1 = b"1";
    refuse(
        "version",
        "The form 1.1, which is nobody's.",
        tar(&records, &lines()),
        Code::TarSparse,
        1024,
    );
    let link = Tar::default()
        .pax(&MAP_01)
        .add(Head::link("a", b'2', "b"), b"");
    refuse(
        "symlink",
        "A symbolic link with holes.",
        link,
        Code::TarSparse,
        1024,
    );
    let star = Tar::default().sized(Head::new("a", b'S'), b"");
    refuse(
        "posix",
        "GNU tar's type in a POSIX header, as star writes it.",
        star,
        Code::TarSparse,
        0,
    );
    let line = tar(&MAP_10, b"2\n4\nx\n");
    refuse(
        "line",
        "A line of a map that is no number.",
        line,
        Code::TarSparse,
        1536 + 4,
    );
    let line = tar(&MAP_10, b"2\n4\n3\n");
    refuse(
        "lines",
        "Too few lines of a map.",
        line,
        Code::TarSparse,
        1536 + 6,
    );
    let limited = tar(&[MAP_01[1], ("GNU.sparse.map", b"0,1,2,1,4,1")], b"abc").ended();
    let draft = case(
        suite,
        "sparse-limit",
        "More pieces than the limit.",
        &limited,
    );
    let draft = draft.limits(|limits| limits.tar_extents = Some(2));
    suite.add(refused(
        draft,
        "sparse-limit",
        Code::TarExtentLimit,
        512 + 22,
    ));
}
