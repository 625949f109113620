//! What is taken, with what must be said of it.

use erofs_unpack_core::oci::Algorithm;
use serde_json::{Value as Json, json};

use super::super::super::suite::Suite;
use super::{BLOCK, Head, MAP_00, MAP_01, MAP_10, PIECES, SETTLED, Tar, case, lines, old_sparse};

/// Sections of POSIX.
const USTAR: &str = "ustar Interchange Format";
const PAX: &str = "pax Interchange Format";
const PAX_RECORDS: &str = "pax Extended Header";
/// Sections of GNU tar's manual.
const GNU: &str = "Basic Tar Format";
const SPARSE: &str = "Storing Sparse Files";

pub(super) fn add(suite: &mut Suite) {
    members(suite);
    extended(suite);
    attributes(suite);
    sparse(suite);
    ends(suite);
}

/// What is said of a member of root's with mode 0644 and time 1, and what is other there.
fn entry(path: &str, kind: &str, other: Json) -> Json {
    let mut all = json!({
        "path": path, "kind": kind, "mode": "0644", "uid": 0, "gid": 0, "mtime": [1, 0], "size": 0,
    });
    if let (Json::Object(all), Json::Object(other)) = (&mut all, other) {
        all.extend(other);
    }
    all
}

/// What is said of an archive with an end marker.
fn all(entries: &[Json]) -> Json {
    json!({ "entries": entries, "endMarker": true })
}

fn digest(content: &[u8]) -> String {
    Algorithm::Sha256.digest(content).to_string()
}

/// What is said of a file with this content.
fn file(path: &str, content: &[u8]) -> Json {
    if content.is_empty() {
        return entry(path, "file", json!({}));
    }
    let other = json!({ "size": content.len(), "content": digest(content) });
    entry(path, "file", other)
}

fn members(suite: &mut Suite) {
    let device = |kind| {
        Head::new("dev", kind)
            .put(329, b"0000010\0")
            .put(337, b"0003777\0")
    };
    let types = Tar::default()
        .sized(Head::new("dir/file", b'0'), b"hello")
        .add(Head::new("contiguous", b'7'), b"")
        .add(Head::link("hard", b'1', "dir/file"), b"")
        .add(Head::link("symbolic", b'2', "../file"), b"")
        .add(device(b'3'), b"")
        .add(device(b'4'), b"")
        .add(Head::new("dir/", b'5').put(100, b"0001777\0"), b"")
        .add(Head::new("pipe", b'6'), b"");
    let device = json!({ "device": [8, 2047] });
    let expected = [
        file("dir/file", b"hello"),
        file("contiguous", b""),
        entry("hard", "hard-link", json!({ "link": "dir/file" })),
        entry("symbolic", "symlink", json!({ "link": "../file" })),
        entry("dev", "char-device", device.clone()),
        entry("dev", "block-device", device),
        entry("dir/", "directory", json!({ "mode": "1777" })),
        entry("pipe", "fifo", json!({})),
    ];
    let draft = case(suite, "types", "Every type of POSIX.", &types.ended());
    suite.add(draft.demand("posix", USTAR).valid(all(&expected)));

    let old = Tar::default()
        .sized(Head::old("file", 0), b"hello")
        .add(Head::old("dir/", 0), b"")
        .add(Head::old("hard", b'1').put(157, b"file"), b"")
        .add(Head::old("prefix", 0).put(345, b"none"), b"");
    let expected = [
        file("file", b"hello"),
        entry("dir/", "directory", json!({})),
        entry("hard", "hard-link", json!({ "link": "file" })),
        file("prefix", b""),
    ];
    let text =
        "The form from before POSIX: a slash at the end is a directory, and there is no prefix.";
    let draft = case(suite, "old", text, &old.ended());
    suite.add(draft.demand("posix", USTAR).valid(all(&expected)));

    let names = Tar::default()
        .add(Head::new("n", b'0').put(345, b"pre/fix"), b"")
        .add(Head::gnu("n", b'0').put(345, b"pre/fix"), b"")
        .file("./a//../b")
        .file("/%\u{e9}\n");
    let expected = [
        file("pre/fix/n", b""),
        file("n", b""),
        file("./a//../b", b""),
        file("/%25%C3%A9%0A", b""),
    ];
    let text = "Names are what is stored, in the POSIX form alone with a prefix.";
    let draft = case(suite, "names", text, &names.ended());
    suite.add(
        draft
            .demand("posix", USTAR)
            .demand("gnu-tar", GNU)
            .valid(all(&expected)),
    );

    let numbers = Tar::default()
        .add(
            Head::new("octal", b'0')
                .put(100, b"  4755 \0")
                .put(108, b"7777777\0")
                .put(116, b"        ")
                .put(136, b"77777777777 "),
            b"",
        )
        .add(
            Head::gnu("binary", b'0')
                .put(108, b"\x80\0\0\0\xff\xff\xff\xff")
                .put(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"),
            b"",
        );
    let expected = [
        entry(
            "octal",
            "file",
            json!({ "mode": "4755", "uid": 2_097_151, "mtime": [8_589_934_591_u64, 0] }),
        ),
        entry(
            "binary",
            "file",
            json!({ "uid": u32::MAX, "mtime": [-2, 0] }),
        ),
    ];
    let text = "Numbers in octal digits between spaces, and in base 256, also below zero.";
    let draft = case(suite, "numbers", text, &numbers.ended());
    suite.add(
        draft
            .demand("posix", USTAR)
            .demand("gnu-tar", GNU)
            .valid(all(&expected)),
    );

    let mut signed = Head::new("caf\u{e9}", b'0').block();
    signed[148..156].fill(b' ');
    let sum: i64 = signed
        .iter()
        .map(|byte| i64::from(byte.cast_signed()))
        .sum();
    signed[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let text = "A checksum of bytes that have a sign, as some old programs have it.";
    let draft = case(
        suite,
        "checksum-signed",
        text,
        &Tar(signed.to_vec()).ended(),
    );
    suite.add(
        draft
            .demand("gnu-tar", GNU)
            .valid(all(&[file("caf%C3%A9", b"")])),
    );

    let label = Tar::default().add(Head::gnu("label", b'V'), b"").file("a");
    let draft = case(
        suite,
        "label",
        "The label of a volume, which is no member.",
        &label.ended(),
    );
    suite.add(draft.demand("gnu-tar", GNU).valid(all(&[file("a", b"")])));

    let sized = Tar::default()
        .add(Head::new("dir/", b'5').size(4096), b"")
        .file("a");
    let text = "A directory with a size, which says what it may hold.";
    let draft = case(suite, "directory-size", text, &sized.ended());
    let expected = [entry("dir/", "directory", json!({})), file("a", b"")];
    suite.add(draft.demand("posix", USTAR).valid(all(&expected)));

    let twice = Tar::default()
        .pax(&[
            ("SCHILY.xattr.user.a", b"first"),
            ("SCHILY.xattr.user.a", b"last"),
        ])
        .file("a");
    let text = "An extended attribute twice in one form, of which the last holds.";
    let draft = case(suite, "xattr-last", text, &twice.ended());
    let other = json!({ "xattrs": { "user.a": "last" } });
    let draft = draft.demand("posix", PAX_RECORDS);
    suite.add(draft.valid(all(&[entry("a", "file", other)])));

    let link = Head::gnu("link", b'1').put(157, b"a").size(5);
    let links = Tar::default()
        .sized(Head::gnu("a", b'0'), b"hello")
        .add(link, b"")
        .file("b");
    let expected = [
        file("a", b"hello"),
        entry("link", "hard-link", json!({ "link": "a" })),
        file("b", b""),
    ];
    let text = "A hard link with the size of what it leads to, and without content, as old programs write it.";
    let draft = case(suite, "hard-link-size", text, &links.ended());
    suite.add(draft.demand("unpack", SETTLED).valid(all(&expected)));

    let links = Tar::default()
        .pax(&[("mtime", b"1")])
        .file("a")
        .sized(Head::link("link", b'1', "a"), b"content")
        .file("b");
    let content = json!({ "link": "a", "size": 7, "content": digest(b"content") });
    let expected = [
        file("a", b""),
        entry("link", "hard-link", content),
        file("b", b""),
    ];
    let text = "A hard link with content, which a pax archive can have.";
    let draft = case(suite, "hard-link-content", text, &links.ended());
    suite.add(
        draft
            .demand("posix", PAX)
            .demand("unpack", SETTLED)
            .valid(all(&expected)),
    );
}

fn extended(suite: &mut Suite) {
    let long = "long/".repeat(60) + "name";
    let pax = Tar::default()
        .pax(&[
            ("path", long.as_bytes()),
            ("uid", b"3000000"),
            ("gid", b"4294967295"),
            ("mtime", b"-1.5"),
            ("size", b"5"),
            ("comment", b"\0=\n"),
            ("VENDOR.unknown", b"x"),
        ])
        .add(Head::new("short", b'0'), b"hello")
        .pax(&[("linkpath", long.as_bytes()), ("uid", b"1"), ("uid", b"2")])
        .add(Head::link("link", b'2', "short"), b"");
    let other = json!({
        "uid": 3_000_000, "gid": u32::MAX, "mtime": [-2, 500_000_000], "size": 5, "content": digest(b"hello"),
    });
    let expected = [
        entry(&long, "file", other),
        entry("link", "symlink", json!({ "link": long, "uid": 2 })),
    ];
    let text =
        "Records of a pax header: each overrides the header, and the last of a keyword holds.";
    let draft = case(suite, "pax", text, &pax.ended());
    suite.add(draft.demand("posix", PAX_RECORDS).valid(all(&expected)));

    let text = [long.as_bytes(), b"\0"].concat();
    let gnu = Tar::default()
        .long(b'K', &text)
        .long(b'L', &text)
        .add(Head::gnu("long", b'2').put(157, b"long"), b"");
    let expected = [entry(&long, "symlink", json!({ "link": long }))];
    let text = "A long name and a long target in GNU tar's form.";
    let draft = case(suite, "long-names", text, &gnu.ended());
    suite.add(draft.demand("gnu-tar", GNU).valid(all(&expected)));

    let global = Tar::default()
        .file("before")
        .global(&[("comment", b"0123abcd"), ("gid", b"7"), ("mtime", b"9.25")])
        .file("a")
        .pax(&[("gid", b"8")])
        .file("b")
        .file("c");
    let with = |gid: u32| json!({ "gid": gid, "mtime": [9, 250_000_000] });
    let expected = [
        file("before", b""),
        entry("a", "file", with(7)),
        entry("b", "file", with(8)),
        entry("c", "file", with(7)),
    ];
    let text = "A global header with group and time: it holds for all that follow, less what they say themselves.";
    let draft = case(suite, "global", text, &global.ended());
    suite.add(
        draft
            .demand("posix", PAX)
            .demand("unpack", SETTLED)
            .valid(all(&expected)),
    );

    let numbers = [
        ("SCHILY.devmajor", &b"8"[..]),
        ("SCHILY.devminor", b"2097152"),
    ];
    let device = Tar::default()
        .pax(&numbers)
        .add(Head::new("dev", b'4').put(329, b"0000010\0"), b"");
    let expected = [entry(
        "dev",
        "block-device",
        json!({ "device": [8, 2_097_152] }),
    )];
    let text = "A number of a device that its header has no room for.";
    let draft = case(suite, "device-large", text, &device.ended());
    suite.add(draft.demand("libarchive", "tar(5)").valid(all(&expected)));
}

fn attributes(suite: &mut Suite) {
    let tar = Tar::default()
        .pax(&[
            ("SCHILY.xattr.user.b", b"\0\n="),
            ("SCHILY.xattr.user.a%3Db%2541", b""),
            ("LIBARCHIVE.xattr.user.c%20d", b"/+8"),
            ("LIBARCHIVE.xattr.user.b", b"AAo9"),
        ])
        .file("a");
    let xattrs = json!({ "user.a=b%2541": "", "user.b": "%00%0A=", "user.c d": "%FF%EF" });
    let text = "Extended attributes in the forms of star and of libarchive, one in both.";
    let draft = case(suite, "xattrs", text, &tar.ended());
    let draft = draft.demand("libarchive", "tar(5)").demand("gnu-tar", PAX);
    suite.add(draft.valid(all(&[entry("a", "file", json!({ "xattrs": xattrs }))])));
}

fn sparse(suite: &mut Suite) {
    let said = |name: &str| {
        let other = json!({ "size": 20, "extents": [[4, 3], [12, 2]], "content": digest(PIECES) });
        all(&[entry(name, "file", other)])
    };
    let head = || Head::new("GNUSparseFile.1/real", b'0');
    let cases = [
        (
            "sparse-0-0",
            "0.0",
            Tar::default()
                .pax(&MAP_00)
                .sized(Head::new("real", b'0'), PIECES),
        ),
        (
            "sparse-0-1",
            "0.1",
            Tar::default().pax(&MAP_01).sized(head(), PIECES),
        ),
        (
            "sparse-1-0",
            "1.0",
            Tar::default().pax(&MAP_10).sized(head(), &lines()),
        ),
        (
            "sparse-old",
            "the old one",
            Tar::default().sized(old_sparse(&[(4, 3), (12, 2), (20, 0)], 20), PIECES),
        ),
    ];
    for (name, form, tar) in cases {
        let text = format!("A file without its holes, in the form {form} of GNU tar.");
        let draft = case(suite, name, &text, &tar.ended());
        suite.add(draft.demand("gnu-tar", SPARSE).valid(said("real")));
    }
    // Six pieces: more than the header has room for.
    let pieces: Vec<(u64, u64)> = (0..6).map(|index| (10 * index, 1)).collect();
    let mut more = Vec::new();
    for (offset, length) in &pieces[4..] {
        more.extend_from_slice(format!("{offset:011o}\0{length:011o}\0").as_bytes());
    }
    let head = old_sparse(&pieces[..4], 60).put(482, &[1]).size(6);
    let tar = Tar::default().add(head, b"").raw(&more).raw(b"abcdef");
    let other = json!({ "size": 60, "extents": pieces, "content": digest(b"abcdef") });
    let text = "A file without its holes, in GNU tar's old form, with a second block of its map.";
    let draft = case(suite, "sparse-old-more", text, &tar.ended());
    suite.add(
        draft
            .demand("gnu-tar", SPARSE)
            .valid(all(&[entry("real", "file", other)])),
    );
}

fn ends(suite: &mut Suite) {
    let tar = Tar::default().sized(Head::new("a", b'0'), b"hello");
    let entries = [file("a", b"hello")];
    let whole = tar.clone().ended();
    for (name, length, text) in [
        ("end-none", 1024, "No end marker."),
        (
            "end-padding",
            517,
            "No end marker, and nothing that fills the last block up.",
        ),
        (
            "end-zeros",
            1324,
            "No end marker, but zeros that are no block.",
        ),
    ] {
        let draft = case(suite, name, text, &whole[..length]);
        let said = json!({ "entries": entries, "endMarker": false });
        suite.add(draft.demand("unpack", SETTLED).valid(said));
    }
    let draft = case(suite, "end-half", "Half of an end marker.", &whole[..1536]);
    suite.add(draft.demand("unpack", SETTLED).valid(all(&entries)));
    let behind = Tar(whole).file("b").raw(b"anything").0;
    let draft = case(
        suite,
        "end-more",
        "Members and other bytes behind the end marker.",
        &behind,
    );
    suite.add(draft.demand("posix", USTAR).valid(all(&entries)));
    let draft = case(suite, "empty", "No member.", &[0; 2 * BLOCK]);
    suite.add(draft.demand("posix", USTAR).valid(all(&[])));
}
