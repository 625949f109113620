//! Rules of directories.

use erofs_unpack_core::{At, Code};

use super::super::super::erofs::{Node, Tree};
use super::super::super::suite::Suite;
use super::breach::{Clean, Source, clean};
use super::trees::Trees;
use crate::manifest::Level;

const READ: Source = ("linux", "fs/erofs/dir.c, erofs_readdir");
const NAMES: Source = ("linux", "fs/erofs/dir.c, erofs_fill_dentries");
const LOOKUP: Source = ("linux", "fs/erofs/namei.c, erofs_namei");
const RECORD: Source = ("linux", "fs/erofs/erofs_fs.h, struct erofs_dirent");
const WALK: Source = ("erofs-utils", "lib/dir.c, traverse_dirents");
const NAME: Source = ("linux", "fs/readdir.c, verify_dirent_name");
const ONCE: Source = ("linux", "fs/dcache.c, d_splice_alias");
const AUFS: Source = ("aufs", "include/uapi/linux/aufs_type.h");
const MODE: Source = ("linux", "fs/overlayfs/util.c, ovl_copyattr");
const WHITEOUT_MODE: u16 = 0o02_0000;
const WHITEOUT: Source = ("erofs-image-spec", "4. Whiteouts");

pub(super) fn add(suite: &mut Suite, trees: &Trees) {
    table(suite, &trees.tree);
    names(suite, &trees.tree);
    order(suite, &trees.tree, &trees.names);
    dots(suite, &trees.tree, &trees.names);
    targets(suite, &trees.tree);
    unused(suite, &trees.tree, &trees.names);
}

/// The place of a directory's first byte.
fn start(clean: &Clean, dir: &str) -> At {
    At::File(clean.made.nid(dir), 0)
}

fn table(suite: &mut Suite, tree: &Clean) {
    for (name, text, offset) in [
        (
            "table",
            "The first name starts in the middle of an entry.",
            13,
        ),
        (
            "table-none",
            "The first name starts where the block does: there is no entry.",
            0,
        ),
        (
            "table-beyond",
            "The first name starts beyond the directory.",
            0x1ffe / 12 * 12,
        ),
    ] {
        let id = format!("check-directory/{name}");
        let image = tree.edit().dirent("d", ".", "nameoff", offset).mended();
        tree.breaks(&id, text, READ, Code::DirentTable, start(tree, "d"))
            .always(suite, &image);
    }
}

fn names(suite: &mut Suite, tree: &Clean) {
    // The names of d are "...fg", from byte 48 on.
    for (name, text, entry, offset, at) in [
        (
            "name",
            "A name is empty: the next one starts where it does.",
            "g",
            51,
            "f",
        ),
        (
            "name-back",
            "A name starts before the one in front of it.",
            "g",
            50,
            "f",
        ),
        (
            "name-beyond",
            "The last name starts at the end of the directory.",
            "g",
            53,
            "g",
        ),
        (
            "name-table",
            "A name starts among the entries.",
            "..",
            47,
            ".",
        ),
    ] {
        let id = format!("check-directory/{name}");
        let image = tree.edit().dirent("d", entry, "nameoff", offset).mended();
        tree.breaks(&id, text, NAMES, Code::DirentName, tree.entry("d", at))
            .always(suite, &image);
    }
    for (name, text, bytes) in [
        ("character", "A name holds a slash.", b"h/le"),
        ("character-nul", "A name holds a NUL.", b"h\0le"),
    ] {
        let id = format!("check-directory/{name}");
        let image = tree.edit().rename("", "hole", bytes).mended();
        tree.breaks(
            &id,
            text,
            NAME,
            Code::DirentCharacter,
            tree.entry("", "hole"),
        )
        .always(suite, &image);
    }
}

fn order(suite: &mut Suite, tree: &Clean, long: &Clean) {
    tree.breaks(
        "check-directory/order",
        "A name comes before the one in front of it.",
        LOOKUP,
        Code::DirentOrder,
        tree.entry("", "y"),
    )
    .always(suite, &tree.edit().rename("", "y", b"w").mended());
    tree.breaks(
        "check-directory/order-same",
        "A name is there twice.",
        LOOKUP,
        Code::DirentOrder,
        tree.entry("d", "g"),
    )
    .always(suite, &tree.edit().rename("d", "g", b"f").mended());
    // The first name of the second block.
    let (last, name) = ("c".repeat(160), "a".repeat(160));
    long.breaks(
        "check-directory/order-blocks",
        "The first name of a block is one of the block before.",
        LOOKUP,
        Code::DirentOrder,
        long.entry("", &last),
    )
    .always(
        suite,
        &long.edit().rename("", &last, name.as_bytes()).mended(),
    );
}

fn dots(suite: &mut Suite, tree: &Clean, names: &Clean) {
    tree.breaks(
        "check-directory/dot",
        "The entry for the directory itself leads to its parent.",
        READ,
        Code::DirentDot,
        tree.entry("d", "."),
    )
    .always(suite, &tree.edit().lead("d", ".", "").mended());
    let format = |clean: &Clean, path: &str| {
        let at = clean.made.at(&format!("inode {path}"));
        u64::from(clean.made.image.0[at])
    };
    names
        .breaks(
            "check-directory/dot-missing",
            "The entry for the directory itself is not there, and the inode does not say so.",
            READ,
            Code::DirentDot,
            names.nid("e"),
        )
        .always(
            suite,
            &names
                .edit()
                .inode("e", "i_format", format(names, "e") & !0x10)
                .mended(),
        );
    tree.breaks(
        "check-directory/dot-there",
        "The inode says that the entry for itself is omitted, and it is there.",
        READ,
        Code::DirentDot,
        tree.nid("d"),
    )
    .always(
        suite,
        &tree
            .edit()
            .inode("d", "i_format", format(tree, "d") | 0x10)
            .mended(),
    );
    tree.breaks(
        "check-directory/dot-dot",
        "The entry for the parent leads to the directory itself.",
        WALK,
        Code::DirentDotDot,
        tree.entry("d", ".."),
    )
    .always(suite, &tree.edit().lead("d", "..", "d").mended());
    tree.breaks(
        "check-directory/dot-dot-root",
        "The root's entry for its parent leads to a directory below it.",
        WALK,
        Code::DirentDotDot,
        tree.entry("", ".."),
    )
    .always(suite, &tree.edit().lead("", "..", "d").mended());
}

fn targets(suite: &mut Suite, tree: &Clean) {
    for (name, text, dir, entry, file_type) in [
        (
            "type",
            "An entry says that a file is a directory.",
            "",
            "y",
            2,
        ),
        (
            "type-unknown",
            "An entry says nothing of a file's type.",
            "",
            "y",
            0,
        ),
        (
            "type-none",
            "An entry states a type that there is not.",
            "",
            "y",
            8,
        ),
        (
            "type-dot",
            "The entry for the directory itself says that it is a file.",
            "d",
            ".",
            1,
        ),
    ] {
        let id = format!("check-directory/{name}");
        let image = tree
            .edit()
            .dirent(dir, entry, "file_type", file_type)
            .mended();
        tree.breaks(&id, text, WALK, Code::DirentType, tree.entry(dir, entry))
            .always(suite, &image);
    }
    // One entry of a file more leads to a directory, which its parent counts.
    tree.breaks(
        "check-directory/links",
        "A directory is in its parent twice.",
        ONCE,
        Code::DirectoryLinks,
        tree.entry("", "y"),
    )
    .always(
        suite,
        &tree
            .edit()
            .lead("", "y", "d")
            .dirent("", "y", "file_type", 2)
            .inode("", "i_nlink", 4)
            .superblock("inos", 13)
            .mended(),
    );
    tree.breaks(
        "check-directory/links-loop",
        "A directory below the root is the root.",
        ONCE,
        Code::DirectoryLinks,
        tree.entry("d", "g"),
    )
    .always(
        suite,
        &tree
            .edit()
            .lead("d", "g", "")
            .dirent("d", "g", "file_type", 2)
            .inode("d", "i_nlink", 3)
            .inode("d/f", "i_nlink", 1)
            .mended(),
    );
    tree.breaks(
        "check-directory/whiteout",
        "A name is a whiteout of another file system.",
        WHITEOUT,
        Code::DirectoryWhiteout,
        tree.entry("", ".what"),
    )
    .container(suite, &tree.edit().rename("", ".what", b".wh.t").mended());
    hidden(suite);
    writable(suite);
}

/// Names of aufs: its own, and what `mkfs.erofs --aufs` makes of them.
fn hidden(suite: &mut Suite) {
    let aufs = [
        (
            "aufs",
            "A directory that aufs keeps for itself.",
            Node::dir(".wh..wh.plnk"),
        ),
        (
            "aufs-whiteout",
            "A name that aufs keeps for itself, made into a whiteout by mkfs.erofs --aufs.",
            Node::special(".wh.plnk", WHITEOUT_MODE, 0),
        ),
    ];
    for (name, text, node) in aufs {
        let path = node.path.clone();
        let broken = base(vec![node]);
        let at = broken.entry("", &path);
        broken
            .breaks(
                &format!("check-directory/{name}"),
                text,
                AUFS,
                Code::DirectoryAufs,
                at,
            )
            .said(suite, &broken.made.image.0);
    }
    // As a file it is a whiteout of something else.
    let broken = base(vec![Node::empty(".wh.plnk")]);
    broken
        .breaks(
            "check-directory/aufs-file",
            "A file whose name is that of a whiteout, and what mkfs.erofs --aufs makes of one of aufs.",
            WHITEOUT,
            Code::DirectoryWhiteout,
            broken.entry("", ".wh.plnk"),
        )
        .container(suite, &broken.made.image.0);
}

/// Directories that all may write to.
fn writable(suite: &mut Suite) {
    let open = |path: &str| Node {
        mode: 0o04_0777,
        ..Node::dir(path)
    };
    let broken = base(vec![Node::dir("usr"), open("usr/bin")]);
    broken
        .breaks(
            "check-directory/writable",
            "All may write to a directory, and remove what is in it.",
            MODE,
            Code::DirectoryWritable,
            broken.nid("usr/bin"),
        )
        .said(suite, &broken.made.image.0);
    // Somewhere else it is nothing of the kind.
    let broken = base(vec![Node::dir("usr"), open("usr/tmp")]);
    broken
        .breaks(
            "check-directory/writable-tmp",
            "All may write to a directory that has the name of one for temporary files.",
            MODE,
            Code::DirectoryWritable,
            broken.nid("usr/tmp"),
        )
        .said(suite, &broken.made.image.0);
    let sticky = Node {
        mode: 0o04_1777,
        ..Node::dir("run")
    };
    let made = base(vec![
        Node::dir("dev"),
        open("dev/shm"),
        sticky,
        open("tmp"),
        Node::dir("var"),
        open("var/tmp"),
    ])
    .made;
    let made = made.edit().inode("", "i_mode", 0o04_0777).mended();
    let draft = clean(
        suite,
        "check-clean/writable",
        "Directories that all may write to: the root, sticky ones, and those for temporary files.",
        &made,
        [7, 7],
    );
    suite.add(draft);
}

/// An image with a root and these nodes.
fn base(nodes: Vec<Node>) -> Clean {
    let mut all = vec![Node::dir("")];
    all.extend(nodes);
    Clean {
        id: "check-clean/writable".to_owned(),
        made: Tree::new(all).write(),
        level: Level::Metadata,
        devices: 0,
    }
}

fn unused(suite: &mut Suite, tree: &Clean, names: &Clean) {
    tree.breaks(
        "check-directory/reserved",
        "The reserved byte of an entry is not zero.",
        RECORD,
        Code::DirentReserved,
        tree.entry("", "y"),
    )
    .strict(
        suite,
        &tree.edit().dirent("", "y", "reserved", 0x80).mended(),
    );
    // The first block of the directory ends with zeros.
    let first = names.made.at("blocks ");
    let last = names.made.image.0[..first + names.made.block]
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("a name");
    names
        .breaks(
            "check-directory/padding",
            "A byte behind the last name of a block is not zero.",
            NAMES,
            Code::DirentPadding,
            At::File(names.made.nid(""), (last + 1 - first) as u64),
        )
        .strict(
            suite,
            &names
                .edit()
                .bytes(first + names.made.block - 1, b"x")
                .mended(),
        );
}
