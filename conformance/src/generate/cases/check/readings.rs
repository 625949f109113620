//! Compressed content that kernels read in two ways, or that only some of them read.

use super::super::super::erofs::{Index, Node, Tree, full, header, lz4_run};
use super::super::super::suite::Suite;
use super::breach::{Source, clean};

/// Size of a block of these images.
const BLOCK: usize = 512;
/// Who reads LZ4 without zeros in front of it, and how.
pub(super) const LEGACY: Source = (
    "linux",
    "fs/erofs/decompressor.c of 6.x, z_erofs_lz4_decompress_mem",
);
/// The type of a head of the first algorithm.
const HEAD: u16 = 1;

pub(super) fn add(suite: &mut Suite) {
    legacy(suite);
}

/// LZ4 without zeros in front of the data.
fn legacy(suite: &mut Suite) {
    for (name, distance, description) in [
        (
            "legacy-lz4",
            65_535,
            "LZ4 without zeros in front of it, as mkfs.erofs -Elegacy-compress wrote it up to 1.7: a \
             pcluster holds more than its extent.",
        ),
        (
            "legacy-lz4-unnamed",
            0,
            "The same as mkfs.erofs 1.0 and 1.1 wrote it: the superblock does not name LZ4.",
        ),
    ] {
        let id = format!("check-clean/{name}");
        let image = legacy_tree()
            .field("available_compr_algs", distance)
            .write();
        let draft = clean(suite, &id, description, &image.image.0, [2, 1])
            .demand(LEGACY.0, LEGACY.1)
            // It was dropped in 1.9.
            .flag("fsck-rejects");
        suite.add(draft);
    }
}

/// A file of three extents. The second is shorter than its pcluster, and than what that decodes to.
pub(super) fn legacy_tree() -> Tree {
    let map = vec![
        Index::Head(HEAD, 0, 0),
        Index::Head(HEAD, 188, 1),
        Index::Head(HEAD, 76, 2),
    ];
    let blocks: Vec<u8> = [(b'a', 700), (b'b', 900), (b'c', 600)]
        .into_iter()
        .flat_map(|(letter, length)| {
            let mut block = lz4_run(letter, 1, length);
            block.resize(BLOCK, 0);
            block
        })
        .collect();
    Tree::new(vec![
        Node::dir(""),
        Node::compressed("old", 1, 1500, full(header(0, 0, 0, 0), map), blocks),
    ])
}
