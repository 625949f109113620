//! Images out of tar archives: which tree an archive means.

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::{At, Code};
use serde_json::{Value as Json, json};

use super::super::suite::{Draft, Suite};
use super::tar::{Head, Tar};
use crate::manifest::{Limits, Operation, TarInput};

/// The section of `vectors/README.md`.
const SETTLED: &str = "images out of tar archives";
/// The section of the OCI specification's layers.
const WHITEOUTS: &str = "layer, Whiteouts";

pub(super) fn add(suite: &mut Suite) {
    trees(suite);
    links(suite);
    whiteouts(suite);
    refused(suite);
}

fn case(suite: &mut Suite, name: &str, description: &str, tar: Tar) -> Draft {
    let id = format!("build/{name}");
    let input = TarInput {
        archive: suite.file(&format!("cases/{id}.tar"), &tar.ended()),
        limits: Limits::default(),
    };
    Draft::new(&id, description, Operation::Build(input)).demand("unpack", SETTLED)
}

/// What is said of a file of root's with mode 0644, time 1 and one link, and what is other there.
fn entry(path: &str, kind: &str, other: Json) -> Json {
    let (mode, links) = if kind == "directory" {
        ("0755", 2)
    } else {
        ("0644", 1)
    };
    let mut all = json!({
        "path": path, "kind": kind, "mode": mode, "uid": 0, "gid": 0, "mtime": [1, 0], "links": links,
    });
    if let (Json::Object(all), Json::Object(other)) = (&mut all, other) {
        all.extend(other);
    }
    all
}

fn directory(path: &str, links: u32) -> Json {
    entry(path, "directory", json!({ "links": links }))
}

fn file(path: &str, content: &[u8], links: u32) -> Json {
    let digest = Algorithm::Sha256.digest(content).to_string();
    let size = content.len();
    entry(
        path,
        "file",
        json!({ "size": size, "content": digest, "links": links }),
    )
}

fn symlink(path: &str, to: &str) -> Json {
    entry(path, "symlink", json!({ "link": to }))
}

/// The name of a device that covers what lower layers have.
fn whiteout(path: &str) -> Json {
    entry(
        path,
        "char-device",
        json!({ "device": [0, 0], "mode": "0000" }),
    )
}

fn content(tar: Tar, name: &str, content: &[u8]) -> Tar {
    tar.sized(Head::new(name, b'0'), content)
}

fn valid(suite: &mut Suite, name: &str, description: &str, tar: Tar, tree: &[Json]) {
    let draft = case(suite, name, description, tar);
    suite.add(draft.valid(json!({ "tree": tree })));
}

fn trees(suite: &mut Suite) {
    let tar = content(Tar::default(), "a/b/c", b"hello");
    valid(
        suite,
        "implied",
        "Directories that no member names are root's, with mode 0755 and the time of what implies them.",
        tar,
        &[
            directory("/", 3),
            directory("/a", 3),
            directory("/a/b", 2),
            file("/a/b/c", b"hello", 1),
        ],
    );
    let tar = Tar::default().add(Head::new("./", b'5').put(100, b"0000700\0"), b"");
    let tar = content(content(tar, "/x", b"x"), ".//y", b"y");
    let root = entry("/", "directory", json!({ "mode": "0700" }));
    valid(
        suite,
        "names",
        "The root has its own member; leading slashes, empty parts and dots count for nothing.",
        tar,
        &[root, file("/x", b"x", 1), file("/y", b"y", 1)],
    );
    let tar = content(content(Tar::default(), "f", b"first"), "d/kept", b"kept");
    let tar = content(tar, "f", b"second").add(Head::new("d/", b'5').put(100, b"0000700\0"), b"");
    valid(
        suite,
        "again",
        "The last of a path counts, and a directory that comes again keeps what it names.",
        tar,
        &[
            directory("/", 3),
            entry("/d", "directory", json!({ "mode": "0700" })),
            file("/d/kept", b"kept", 1),
            file("/f", b"second", 1),
        ],
    );
    let tar = content(Tar::default(), "d/gone", b"x").add(Head::link("d", b'2', "e"), b"");
    let tar = content(
        tar.add(Head::new("d/", b'5').put(100, b"0000755\0"), b""),
        "d/new",
        b"y",
    );
    valid(
        suite,
        "kinds",
        "What takes the place of a directory takes that of all below it.",
        tar,
        &[
            directory("/", 3),
            directory("/d", 2),
            file("/d/new", b"y", 1),
        ],
    );
}

fn links(suite: &mut Suite) {
    let tar = Tar::default()
        .add(Head::new("usr/lib/", b'5').put(100, b"0000755\0"), b"")
        .add(Head::link("lib", b'2', "usr/lib"), b"")
        .add(Head::link("up", b'2', "/../usr"), b"");
    let tar = content(content(tar, "lib/a", b"a"), "up/lib/b", b"b");
    valid(
        suite,
        "below-symlink",
        "What lies below a symbolic link of the archive lies where that leads, which is never above the root.",
        tar,
        &[
            directory("/", 3),
            symlink("/lib", "usr/lib"),
            symlink("/up", "/../usr"),
            directory("/usr", 3),
            directory("/usr/lib", 2),
            file("/usr/lib/a", b"a", 1),
            file("/usr/lib/b", b"b", 1),
        ],
    );
    let tar = Tar::default().add(Head::link("early", b'1', "file"), b"");
    let tar = content(tar, "file", b"content")
        .add(Head::link("late", b'1', "./file"), b"")
        .add(Head::link("late", b'1', "late"), b"");
    valid(
        suite,
        "hard-links",
        "Hard links to what was and to what comes; one to itself changes nothing.",
        tar,
        &[
            directory("/", 2),
            file("/early", b"content", 3),
            file("/file", b"content", 3),
            file("/late", b"content", 3),
        ],
    );
    let tar = content(Tar::default(), "a", b"old").add(Head::link("b", b'1', "a"), b"");
    valid(
        suite,
        "hard-link-kept",
        "A hard link keeps the file that it was made to when that path gets another.",
        content(tar, "a", b"new"),
        &[
            directory("/", 2),
            file("/a", b"new", 1),
            file("/b", b"old", 1),
        ],
    );
}

fn whiteouts(suite: &mut Suite) {
    let with = |path: &str, links: u32, xattrs: Json| {
        entry(
            path,
            "directory",
            json!({ "links": links, "xattrs": xattrs }),
        )
    };
    let tar = Tar::default().file("d/.wh.gone");
    let draft = case(
        suite,
        "whiteout",
        "A whiteout is a device 0/0 without permissions, and its directory is marked so that nobody sees it.",
        tar,
    );
    let origin = json!({ "trusted.overlay.origin": "" });
    suite.add(draft.demand("oci", WHITEOUTS).valid(json!({ "tree": [
        directory("/", 3), with("/d", 2, origin), whiteout("/d/gone"),
    ] })));
    let tar = content(Tar::default(), "d/x", b"x").file("d/.wh..wh..opq");
    let draft = case(
        suite,
        "opaque",
        "A directory that covers those of lower layers keeps what this layer has in it.",
        tar,
    );
    let opaque = json!({ "trusted.overlay.opaque": "y" });
    suite.add(draft.demand("oci", WHITEOUTS).valid(json!({ "tree": [
        directory("/", 3), with("/d", 2, opaque.clone()), file("/d/x", b"x", 1),
    ] })));
    for (name, first) in [("whiteout-before", true), ("whiteout-behind", false)] {
        let mut tar = Tar::default();
        if first {
            tar = tar.file(".wh.d").file(".wh.f");
        }
        tar = content(content(tar, "d/x", b"x"), "f", b"f");
        if !first {
            tar = tar.file(".wh.d").file(".wh.f");
        }
        let draft = case(
            suite,
            name,
            "A whiteout speaks of lower layers alone: what this one has by that name stays, and a \
             directory covers what they have in it.",
            tar,
        );
        suite.add(draft.demand("oci", WHITEOUTS).valid(json!({ "tree": [
            directory("/", 3), with("/d", 2, opaque.clone()), file("/d/x", b"x", 1), file("/f", b"f", 1),
        ] })));
    }
    let tar = Tar::default()
        .file(".wh..wh.plnk/1.2")
        .file(".wh..wh.aufs")
        .file("kept");
    valid(
        suite,
        "aufs",
        "What AUFS keeps for itself is left out.",
        tar,
        &[directory("/", 2), file("/kept", b"", 1)],
    );
}

fn refused(suite: &mut Suite) {
    let file = |name: &str| Tar::default().file(name);
    let mut refuse = |name: &str, text: &str, tar: Tar, code, at: u64, valid: &str| {
        let draft = case(suite, name, text, tar);
        let draft = draft.differs_from(&format!("build/{valid}"));
        suite.add(draft.refused(code, At::Archive(at)));
    };
    refuse(
        "upwards",
        "A path that leads upwards.",
        file("a/../../b"),
        Code::BuildPath,
        0,
        "names",
    );
    let long = Tar::default()
        .long(b'L', &[&[b'n'; 256][..], b"\0"].concat())
        .file("n");
    refuse(
        "name-long",
        "A name of 256 bytes.",
        long,
        Code::BuildName,
        1024,
        "names",
    );
    let below = content(Tar::default(), "f", b"f").file("f/x");
    refuse(
        "below-file",
        "A member below a file.",
        below,
        Code::BuildNotDirectory,
        1024,
        "kinds",
    );
    let circle = Tar::default()
        .add(Head::link("a", b'2', "b"), b"")
        .add(Head::link("b", b'2', "a"), b"")
        .file("a/x");
    let text = "A member below symbolic links that lead in a circle.";
    refuse(
        "circle",
        text,
        circle,
        Code::BuildLoop,
        1024,
        "below-symlink",
    );
    let dangling = file("x").add(Head::link("a", b'1', "nothing"), b"");
    refuse(
        "link-nothing",
        "A hard link to nothing.",
        dangling,
        Code::BuildLink,
        512,
        "hard-links",
    );
    let circle = Tar::default()
        .add(Head::link("a", b'1', "b"), b"")
        .add(Head::link("b", b'1', "a"), b"");
    refuse(
        "link-circle",
        "Hard links in a circle.",
        circle,
        Code::BuildLink,
        0,
        "hard-links",
    );
    let to = Tar::default()
        .add(Head::new("d/", b'5'), b"")
        .add(Head::link("a", b'1', "d"), b"");
    refuse(
        "link-directory",
        "A hard link to a directory.",
        to,
        Code::BuildLink,
        512,
        "hard-links",
    );
    refuse(
        "whiteout-nameless",
        "A whiteout of nothing.",
        file("d/.wh."),
        Code::BuildWhiteout,
        0,
        "whiteout",
    );
    let large = Tar::default()
        .pax(&[("SCHILY.xattr.user.a", &[b'v'; 65_536])])
        .file("f");
    refuse(
        "xattr-large",
        "A value of 65,536 bytes, which 16 bits cannot count.",
        large,
        Code::BuildXattr,
        // Header, 65,568 bytes in whole blocks.
        512 + 129 * 512,
        "implied",
    );
    let kept = Tar::default()
        .pax(&[("SCHILY.xattr.user.a", &[b'v'; 60_000])])
        .file("f");
    let draft = case(
        suite,
        "memory",
        "An attribute of 60,000 bytes, where 32,768 bytes of memory are allowed.",
        kept,
    );
    // Header, 60,000 bytes and what is before them, in whole blocks.
    let at = At::Archive(512 + 118 * 512);
    suite.add(
        draft
            .limits(|limits| limits.build_memory = Some(32_768))
            .differs_from("build/implied")
            .refused(Code::BuildMemory, at),
    );
    let mut refuse = |name: &str, text: &str, tar: Tar, code, at: u64, valid: &str| {
        let draft = case(suite, name, text, tar);
        let draft = draft.differs_from(&format!("build/{valid}"));
        suite.add(draft.refused(code, At::Archive(at)));
    };
    let device = Head::new("dev", b'3')
        .put(329, b"0010000\0")
        .put(337, b"0000000\0");
    refuse(
        "device-large",
        "A major number of 4096, for which Linux has 12 bits.",
        Tar::default().add(device, b""),
        Code::BuildDevice,
        0,
        "implied",
    );
}
