//! Rules of inodes.

use erofs_unpack_core::Code;

use super::super::super::suite::Suite;
use super::breach::{Clean, Source};
use super::trees::Trees;

const READ: Source = ("linux", "fs/erofs/inode.c, erofs_read_inode");
const COMPACT: Source = ("linux", "fs/erofs/erofs_fs.h, struct erofs_inode_compact");
const EXTENDED: Source = ("linux", "fs/erofs/erofs_fs.h, struct erofs_inode_extended");
const MOUNT: Source = ("linux", "fs/erofs/super.c, erofs_fc_fill_super");

pub(super) fn add(suite: &mut Suite, trees: &Trees) {
    format(suite, &trees.tree);
    fields(suite, &trees.tree);
    links(suite, &trees.tree);
    let chunks = &trees.chunks;
    chunks
        .breaks(
            "check-inode/chunk-format",
            "A chunk format sets a bit that nobody knows.",
            READ,
            Code::InodeChunkFormat,
            chunks.nid("blocks"),
        )
        .always(suite, &chunks.edit().inode("blocks", "i_u", 0x81).mended());
    let tree = &trees.tree;
    tree.breaks(
        "check-inode/chunk-format-device",
        "A device has the layout of chunks, whose format its number is not.",
        READ,
        Code::InodeChunkFormat,
        tree.nid("null"),
    )
    .always(suite, &tree.edit().inode("null", "i_format", 8).mended());
    internal(suite, &trees.fragments);
}

fn format(suite: &mut Suite, tree: &Clean) {
    let block_slots = tree.made.image.0.len() as u64 / 32;
    tree.breaks(
        "check-inode/offset",
        "An entry leads to the first inode beyond the image.",
        READ,
        Code::InodeOffset,
        erofs_unpack_core::At::Nid(block_slots),
    )
    .always(
        suite,
        &tree.edit().dirent("", "y", "nid", block_slots).mended(),
    );
    tree.breaks(
        "check-inode/offset-far",
        "An entry leads to an inode beyond 64 bits.",
        READ,
        Code::InodeOffset,
        erofs_unpack_core::At::Nid(u64::MAX >> 4),
    )
    .always(
        suite,
        &tree.edit().dirent("", "y", "nid", u64::MAX >> 4).mended(),
    );
    for (name, text, code, field, value) in [
        (
            "format",
            "A format sets the first bit that nobody knows.",
            Code::InodeFormat,
            "i_format",
            0x20,
        ),
        (
            "layout",
            "A data layout is the first that there is not.",
            Code::InodeLayout,
            "i_format",
            5 << 1,
        ),
        (
            "layout-last",
            "A data layout is the last that there is not.",
            Code::InodeLayout,
            "i_format",
            7 << 1,
        ),
        (
            "mode",
            "A file has no type.",
            Code::InodeMode,
            "i_mode",
            0o644,
        ),
        (
            "mode-type",
            "A file is of a type that there is not.",
            Code::InodeMode,
            "i_mode",
            0o03_0644,
        ),
    ] {
        let id = format!("check-inode/{name}");
        let image = tree.edit().inode("y", field, value).mended();
        tree.breaks(&id, text, READ, code, tree.nid("y"))
            .always(suite, &image);
    }
}

fn fields(suite: &mut Suite, tree: &Clean) {
    tree.breaks(
        "check-inode/size",
        "A file has a size of 2^63 bytes.",
        READ,
        Code::InodeSize,
        tree.nid("x"),
    )
    .always(suite, &tree.edit().inode("x", "i_size", 1 << 63).mended());
    tree.breaks(
        "check-inode/nanoseconds",
        "A time has a billion nanoseconds.",
        EXTENDED,
        Code::InodeNanoseconds,
        tree.nid("x"),
    )
    .always(
        suite,
        &tree
            .edit()
            .inode("x", "i_mtime_nsec", 1_000_000_000)
            .mended(),
    );
    for (name, text, source, path, field, value) in [
        (
            "reserved",
            "The reserved field of a compact inode is not zero.",
            COMPACT,
            "y",
            "i_reserved",
            1 << 31,
        ),
        (
            "reserved-extended",
            "The reserved field of an extended inode is not zero.",
            EXTENDED,
            "x",
            "i_reserved2",
            1,
        ),
    ] {
        let id = format!("check-inode/{name}");
        let image = tree.edit().inode(path, field, value).mended();
        tree.breaks(&id, text, source, Code::InodeReserved, tree.nid(path))
            .strict(suite, &image);
    }
    for (name, text, path) in [
        ("special", "A pipe has a size.", "fifo"),
        ("special-device", "A device has a size.", "null"),
        ("special-socket", "A socket has a size.", "sock"),
    ] {
        let id = format!("check-inode/{name}");
        let image = tree.edit().inode(path, "i_size", 1).mended();
        let source = ("linux", "fs/erofs/inode.c, erofs_fill_inode");
        tree.breaks(&id, text, source, Code::InodeSpecial, tree.nid(path))
            .strict(suite, &image);
    }
    tree.breaks(
        "check-inode/root",
        "The root is a file.",
        MOUNT,
        Code::InodeRoot,
        tree.nid(""),
    )
    .always(suite, &tree.edit().inode("", "i_mode", 0o10_0755).mended());
}

fn links(suite: &mut Suite, tree: &Clean) {
    for (name, text, path) in [
        ("no-links", "A file that is there has no links.", "y"),
        (
            "no-links-directory",
            "A directory that is there has no links.",
            "d",
        ),
    ] {
        let id = format!("check-inode/{name}");
        let image = tree.edit().inode(path, "i_nlink", 0).mended();
        tree.breaks(&id, text, READ, Code::InodeNoLinks, tree.nid(path))
            .container(suite, &image);
    }
    for (name, text, path, links) in [
        ("links", "A file of one link claims two.", "y", 2),
        ("links-few", "A file of two links claims one.", "d/f", 1),
        ("links-many", "A file of two links claims three.", "d/f", 3),
        (
            "links-directory",
            "A directory claims a directory in it.",
            "d",
            3,
        ),
        ("links-root", "The root claims no directory in it.", "", 2),
    ] {
        let id = format!("check-inode/{name}");
        let image = tree.edit().inode(path, "i_nlink", links).mended();
        tree.breaks(&id, text, READ, Code::InodeLinks, tree.nid(path))
            .strict(suite, &image);
    }
}

fn internal(suite: &mut Suite, fragments: &Clean) {
    fragments
        .breaks(
            "check-inode/internal",
            "A directory names the packed inode.",
            MOUNT,
            Code::InodeInternal,
            fragments.entry("", "whole"),
        )
        .always(
            suite,
            &fragments
                .edit()
                .lead("", "whole", "#packed")
                .superblock("inos", 2)
                .mended(),
        );
    fragments
        .breaks(
            "check-inode/internal-type",
            "The packed inode is a symbolic link.",
            MOUNT,
            Code::InodeInternal,
            fragments.nid("#packed"),
        )
        .always(
            suite,
            &fragments
                .edit()
                .inode("#packed", "i_mode", 0o12_0777)
                .mended(),
        );
}
