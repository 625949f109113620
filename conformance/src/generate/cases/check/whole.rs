//! Rules of the image as a whole: what lies over something else.

use erofs_unpack_core::{At, Code};

use super::super::super::suite::Suite;
use super::breach::Source;
use super::trees::Trees;

const RECORD: Source = ("linux", "fs/erofs/erofs_fs.h, struct erofs_inode_compact");
const DATA: Source = ("erofs-utils", "lib/inode.c, erofs_allocate_inode_bh_data");
const SHARED: Source = ("erofs-utils", "lib/dedupe.c, z_erofs_dedupe_match");

pub(super) fn add(suite: &mut Suite, trees: &Trees) {
    let tree = &trees.tree;
    let image = |at: usize| At::Image(at as u64);
    let inside = tree.made.at("behind forged");
    tree.breaks(
        "check-overlap/metadata",
        "An inode lies in the inline content of another.",
        RECORD,
        Code::OverlapMetadata,
        image(inside),
    )
    .always(
        suite,
        &tree
            .edit()
            .dirent("", "y", "nid", (inside / 32) as u64)
            .mended(),
    );
    let block = |what: &str| tree.made.at(what) / tree.made.block;
    let metadata = block("inode y");
    tree.breaks(
        "check-overlap/data",
        "The content of a file lies over inodes.",
        DATA,
        Code::OverlapData,
        image(metadata * tree.made.block),
    )
    .container(
        suite,
        &tree.edit().inode("p", "i_u", metadata as u64).mended(),
    );
    let long = &trees.long_map;
    // A block of nothing but indexes.
    let map = long.made.at("behind long").div_ceil(long.made.block);
    long.breaks(
        "check-overlap/data-map",
        "The content of a file lies over the indexes of another.",
        DATA,
        Code::OverlapData,
        image(map * long.made.block),
    )
    .container(suite, &long.edit().inode("p", "i_u", map as u64).mended());
    let shared = tree.made.at("blocks q");
    tree.breaks(
        "check-overlap/content",
        "Two files have their content in one block.",
        SHARED,
        Code::OverlapContent,
        image(shared),
    )
    .container(
        suite,
        &tree
            .edit()
            .inode("p", "i_u", (shared / tree.made.block) as u64)
            .mended(),
    );
    let chunks = &trees.chunks;
    let first = chunks.made.at("blocks blocks");
    let same = u32::try_from(first / chunks.made.block).expect("small");
    let draft = super::clean(
        suite,
        "check-clean/chunks-shared",
        "Chunks of two files lie in one block, as chunks may.",
        &chunks
            .edit()
            .behind("indexes", 20, &same.to_le_bytes())
            .mended(),
        [4, 1],
    );
    suite.add(draft.with_input(|input| input.devices = 4));
}
