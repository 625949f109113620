//! Rules of content that is not compressed.

use erofs_unpack_core::{At, Code};

use super::super::super::suite::Suite;
use super::breach::Source;
use super::trees::Trees;

const MAP: Source = ("linux", "fs/erofs/data.c, erofs_map_blocks");
const DEVICE: Source = ("linux", "fs/erofs/data.c, erofs_map_dev");
const LINK: Source = ("linux", "fs/erofs/inode.c, erofs_fill_symlink");
const FOLLOW: Source = ("linux", "fs/namei.c, page_get_link");

pub(super) fn add(suite: &mut Suite, trees: &Trees) {
    let tree = &trees.tree;
    let blocks = (tree.made.image.0.len() / tree.made.block) as u64;
    let start = |nid: u64| At::File(nid, 0);
    for (name, text, block) in [
        ("bounds", "A file starts at the end of the image.", blocks),
        (
            "bounds-far",
            "A file starts at the last block there can be but one.",
            0xffff_fffe,
        ),
    ] {
        let id = format!("check-content/{name}");
        let image = tree.edit().inode("p", "i_u", block).mended();
        tree.breaks(&id, text, MAP, Code::FileBounds, start(tree.made.nid("p")))
            .always(suite, &image);
    }
    tree.breaks(
        "check-content/bounds-end",
        "A file of two blocks starts at the last one of the image.",
        MAP,
        Code::FileBounds,
        start(tree.made.nid("q")),
    )
    .always(suite, &tree.edit().inode("q", "i_size", 513).mended());
    tree.breaks(
        "check-content/inline-bounds",
        "Inline content goes on behind the end of its block.",
        MAP,
        Code::InlineBounds,
        tree.nid("x"),
    )
    .always(suite, &tree.edit().inode("x", "i_size", 512).mended());
    tree.breaks(
        "check-content/symlink-empty",
        "A symbolic link has no target.",
        FOLLOW,
        Code::SymlinkSize,
        tree.nid("s"),
    )
    .always(suite, &tree.edit().inode("s", "i_size", 0).mended());
    tree.breaks(
        "check-content/symlink-long",
        "A symbolic link has a target of 4096 bytes.",
        FOLLOW,
        Code::SymlinkSize,
        tree.nid("s"),
    )
    .always(suite, &tree.edit().inode("s", "i_size", 4096).mended());
    tree.breaks(
        "check-content/symlink-target",
        "The target of a symbolic link holds a NUL.",
        LINK,
        Code::SymlinkTarget,
        At::File(tree.made.nid("s"), 1),
    )
    .always(suite, &tree.edit().behind("s", 1, &[0]).mended());

    let metabox = &trees.metabox;
    metabox
        .breaks(
            "check-content/inline-metabox",
            "Inline content in the metabox goes on behind its end.",
            MAP,
            Code::FileBounds,
            start(metabox.made.nid("d/f")),
        )
        .always(
            suite,
            &metabox.edit().inode("#metabox", "i_size", 128).mended(),
        );

    let chunks = &trees.chunks;
    // Entries of 8 bytes: two bytes of nothing, the device, the block.
    chunks
        .breaks(
            "check-content/chunk-device",
            "A chunk lies on a fifth device, and there are four.",
            DEVICE,
            Code::ChunkDevice,
            At::File(chunks.made.nid("indexes"), 512),
        )
        .always(
            suite,
            &chunks
                .edit()
                .behind("indexes", 8, &[0, 0, 5, 0, 0, 0, 0, 0])
                .mended(),
        );
    for (name, text, path, offset, bytes, at) in [
        (
            "chunk-bounds",
            "A chunk lies beyond the image.",
            "blocks",
            8,
            &[0, 0, 1, 0][..],
            2048,
        ),
        (
            "chunk-bounds-device",
            "A chunk lies beyond its device.",
            "indexes",
            0,
            &[0, 0, 1, 0, 2, 0, 0, 0][..],
            0,
        ),
    ] {
        let id = format!("check-content/{name}");
        let image = chunks.edit().behind(path, offset, bytes).mended();
        chunks
            .breaks(
                &id,
                text,
                MAP,
                Code::FileBounds,
                At::File(chunks.made.nid(path), at),
            )
            .always(suite, &image);
    }
    chunks
        .breaks(
            "check-content/chunk-table",
            "The table of a file's chunks goes on behind the end of the image.",
            MAP,
            Code::MetadataBounds,
            chunks.nid("one"),
        )
        .always(
            suite,
            &chunks.edit().inode("one", "i_size", 1 << 40).mended(),
        );
}
