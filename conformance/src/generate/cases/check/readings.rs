//! Compressed content that kernels read in two ways, or that only some of them read.

use erofs_unpack_core::{At, Code};

use super::super::super::erofs::{
    BLOCK_COUNT, Index, Node, Tree, advise, full, header, incompat, lz4_run,
};
use super::super::super::suite::{Draft, Suite};
use super::breach::{Clean, Source, clean};
use super::trees::{lz4_tree, pcluster};
use crate::manifest::Level;

/// Size of a block of these images.
const BLOCK: usize = 512;
/// Who reads LZ4 without zeros in front of it, and how.
pub(super) const LEGACY: Source = (
    "linux",
    "fs/erofs/decompressor.c of 6.x, z_erofs_lz4_decompress_mem",
);
/// The type of a head of the first algorithm.
const HEAD: u16 = 1;
/// Marks a head as a hole (`Z_EROFS_LI_HOLE`).
const HOLE: u16 = 1 << 14;
/// The patch that came with Linux 7.2.
const SPARSE: Source = (
    "linux",
    "fs/erofs/zmap.c, erofs: add sparse support to pcluster layout",
);

pub(super) fn add(suite: &mut Suite) {
    legacy(suite);
    holes(suite);
    blocks(suite);
}

/// Pclusters that are holes to Linux 7.2 and newer.
fn holes(suite: &mut Suite) {
    let mut add = |name: &str, description: &str, tree: &Tree, flag: Option<&str>| {
        let id = format!("check-clean/{name}");
        let made = tree.write();
        let draft = clean(suite, &id, description, &made.image.0, [2, 1]);
        let draft = draft.demand(SPARSE.0, SPARSE.1);
        suite.add(flag.into_iter().fold(draft, Draft::flag));
        Clean {
            id,
            made,
            level: Level::Full,
            devices: 0,
        }
    };
    let marked = add(
        "holes",
        "Two pclusters that are marked as holes and share one that decodes to zeros, for kernels that do \
         not know the mark.",
        &holes_tree(),
        None,
    );
    add(
        "holes-counted",
        "A big pcluster of no blocks, whose first block decodes to zeros.",
        &counted_tree(),
        // As Linux before 6.17.
        Some("fsck-rejects"),
    );
    let inode = marked.made.nid("sparse");
    // Of the second extent: two bytes of type, two of offset in the cluster, four of the block.
    let index = 16 + 2 * 8;
    marked
        .breaks(
            "check-map/hole",
            "A pcluster that is marked as a hole decodes to something.",
            SPARSE,
            Code::PclusterHole,
            At::File(inode, 1024),
        )
        .container(
            suite,
            &marked
                .edit()
                .behind("sparse", index + 4, &first_block(&marked).to_le_bytes())
                .mended(),
        );
    marked
        .breaks(
            "check-map/hole-within",
            "A hole starts within a logical cluster, behind content, which Linux 7.2 takes for a hole too \
             when it reads from there.",
            SPARSE,
            Code::PclusterHole,
            At::File(inode, 1030),
        )
        .container(
            suite,
            &marked
                .edit()
                .behind("sparse", index + 2, &[6, 0])
                .bytes(marked.made.at("blocks sparse"), &pcluster(b'a', 1030, 1))
                .mended(),
        );
    marked
        .breaks(
            "check-map/hole-plain",
            "A pcluster that is not compressed is marked as a hole.",
            SPARSE,
            Code::PclusterPlain,
            At::File(inode, 1024),
        )
        .always(
            suite,
            &marked
                .edit()
                .behind("sparse", index, &HOLE.to_le_bytes())
                .mended(),
        );
}

/// The block where the data of the file starts.
fn first_block(holes: &Clean) -> u32 {
    u32::try_from(holes.made.at("blocks sparse") / BLOCK).expect("small")
}

/// Content, two holes, content.
pub(super) fn holes_tree() -> Tree {
    let map = vec![
        Index::Head(HEAD, 0, 0),
        Index::Rest(1, 1),
        Index::Head(HEAD | HOLE, 0, 1),
        Index::Rest(1, 1),
        Index::Head(HEAD | HOLE, 0, 1),
        Index::Rest(1, 1),
        Index::Head(HEAD, 0, 2),
    ];
    let blocks = [
        pcluster(b'a', 1024, 1),
        pcluster(0, 1024, 1),
        pcluster(b'b', 300, 1),
    ];
    lz4_tree(vec![
        Node::dir(""),
        Node::compressed(
            "sparse",
            1,
            3372,
            full(header(0, 0, 0, 0), map),
            blocks.concat(),
        ),
    ])
}

fn counted_tree() -> Tree {
    let big = advise::BIG_PCLUSTER_1 | advise::BIG_PCLUSTER_2;
    let map = vec![
        Index::Head(HEAD, 0, 0),
        Index::Rest(BLOCK_COUNT, 1),
        Index::Head(HEAD, 0, 1),
    ];
    lz4_tree(vec![
        Node::dir(""),
        Node::compressed(
            "counted",
            1,
            1324,
            full(header(0, big, 0, 0), map),
            [pcluster(0, 1024, 1), pcluster(b'b', 300, 1)].concat(),
        ),
    ])
}

/// A compressed inode whose number of blocks has upper bits.
fn blocks(suite: &mut Suite) {
    let map = vec![Index::Head(HEAD, 0, 0)];
    let made = lz4_tree(vec![
        Node::dir(""),
        Node::compressed(
            "many",
            1,
            300,
            full(header(0, 0, 0, 0), map),
            pcluster(b'm', 300, 1),
        )
        .extended(),
    ])
    .incompat(incompat::BIT48)
    .write();
    let id = "check-clean/compressed-extended";
    let draft = clean(
        suite,
        id,
        "A compressed file with an extended inode, in an image with addresses of 48 bits.",
        &made.image.0,
        [2, 1],
    );
    suite.add(draft);
    let many = Clean {
        id: id.to_owned(),
        made,
        level: Level::Full,
        devices: 0,
    };
    many.breaks(
        "check-inode/blocks",
        "A compressed inode takes more blocks than 32 bits count.",
        ("linux", "fs/erofs/inode.c, erofs_read_inode"),
        Code::InodeBlocks,
        many.nid("many"),
    )
    .container(suite, &many.edit().inode("many", "i_nb", 1).mended());
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
