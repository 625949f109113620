//! Rules of compressed content.

use erofs_unpack_core::{At, Code};

use super::super::super::erofs::{
    BLOCK_COUNT, Index, Node, advise, full, header, incompat, lz4_run, padded,
};
use super::super::super::suite::Suite;
use super::breach::{Clean, Source};
use super::trees::{LZ4, Trees, lz4_tree, metabox_tree, pcluster};

const FILL: Source = ("linux", "fs/erofs/zmap.c, z_erofs_fill_inode");
const LOAD: Source = ("linux", "fs/erofs/zmap.c, z_erofs_load_lcluster_from_disk");
const COMPACT: Source = ("linux", "fs/erofs/zmap.c, z_erofs_load_compact_lcluster");
const BACK: Source = ("linux", "fs/erofs/zmap.c, z_erofs_extent_lookback");
const AHEAD: Source = (
    "linux",
    "fs/erofs/zmap.c, z_erofs_get_extent_decompressedlen",
);
const LENGTH: Source = ("linux", "fs/erofs/zmap.c, z_erofs_get_extent_compressedlen");
const EXTENTS: Source = ("linux", "fs/erofs/zmap.c, z_erofs_map_blocks_ext");
const SANITY: Source = ("linux", "fs/erofs/zmap.c, z_erofs_map_sanity_check");
const BLOCKS: Source = ("linux", "fs/erofs/zmap.c, z_erofs_map_blocks_fo");
const PLAIN: Source = ("linux", "fs/erofs/decompressor.c, z_erofs_transform_plain");
const DECODE: Source = ("linux", "fs/erofs/decompressor.c, z_erofs_lz4_decompress");
const FRAGMENT: Source = ("linux", "fs/erofs/zdata.c, z_erofs_read_fragment");
const REGISTER: Source = ("linux", "fs/erofs/zdata.c, z_erofs_register_pcluster");
const PACKED: Source = ("erofs-utils", "lib/super.c, erofs_read_superblock");
const METABOX: Source = ("linux", "fs/erofs/data.c, erofs_init_metabuf");
/// Where the indexes start behind the start of a full map.
const INDEXES: usize = 16;

pub(super) fn add(suite: &mut Suite, trees: &Trees) {
    let compressed = &trees.compressed;
    headers(suite, compressed);
    indexes(suite, compressed);
    pclusters(suite, compressed);
    encoded(suite, &trees.extents);
    fragments(suite, &trees.fragments);
    metabox(suite, &trees.metabox);
}

fn at(clean: &Clean, path: &str, offset: u64) -> At {
    At::File(clean.made.nid(path), offset)
}

fn headers(suite: &mut Suite, compressed: &Clean) {
    compressed
        .breaks(
            "check-map/header",
            "Compact indexes have big pclusters of the first algorithm alone.",
            FILL,
            Code::MapHeader,
            compressed.nid("compact-big"),
        )
        .always(
            suite,
            &compressed
                .edit()
                .map("compact-big", "h_advise", advise::BIG_PCLUSTER_1.into())
                .mended(),
        );
    compressed
        .breaks(
            "check-map/lcluster-size",
            "Compact indexes have logical clusters of 32 KiB.",
            COMPACT,
            Code::MapLclusterSize,
            at(compressed, "compact", 0),
        )
        .always(
            suite,
            &compressed
                .edit()
                .map("compact", "h_clusterbits", 6)
                .mended(),
        );
    compressed
        .breaks(
            "check-map/algorithm-unknown",
            "A pcluster is of an algorithm that nobody knows.",
            SANITY,
            Code::PclusterUnknown,
            at(compressed, "full", 0),
        )
        .always(
            suite,
            &compressed.edit().map("full", "h_algorithmtype", 4).mended(),
        );
    compressed
        .breaks(
            "check-map/algorithm",
            "A pcluster is of zstd, which the superblock does not name.",
            SANITY,
            Code::PclusterAlgorithm,
            at(compressed, "full", 0),
        )
        .always(
            suite,
            &compressed.edit().map("full", "h_algorithmtype", 3).mended(),
        );
}

fn indexes(suite: &mut Suite, compressed: &Clean) {
    // Of an index: two bytes of type, two of offset in the cluster, two of distance back.
    for (name, text, source, code, offset, bytes, place) in [
        (
            "offset",
            "An extent starts behind the end of its logical cluster.",
            LOAD,
            Code::MapOffset,
            2 * 8 + 2,
            512_u16,
            1024,
        ),
        (
            "distance",
            "An index leads to itself.",
            BACK,
            Code::MapDistance,
            8 + 4,
            0,
            512,
        ),
        (
            "distance-far",
            "An index leads to before the file.",
            BACK,
            Code::MapDistance,
            8 + 4,
            2,
            512,
        ),
        (
            "block-count",
            "A pcluster states its blocks where no big pclusters are.",
            LENGTH,
            Code::MapBlockCount,
            8 + 4,
            BLOCK_COUNT | 1,
            512,
        ),
        (
            "lookahead",
            "An index leads past the head of the next extent.",
            AHEAD,
            Code::MapLookahead,
            8 + 6,
            5,
            1024,
        ),
    ] {
        let id = format!("check-map/{name}");
        let image = compressed
            .edit()
            .behind("full", INDEXES + offset, &bytes.to_le_bytes())
            .mended();
        compressed
            .breaks(&id, text, source, code, at(compressed, "full", place))
            .always(suite, &image);
    }
    let counting = |count| {
        compressed
            .edit()
            .behind("big", INDEXES + 8 + 4, &u16::to_le_bytes(count))
            .mended()
    };
    compressed
        .breaks(
            "check-map/block-count-none",
            "A big pcluster does not state its blocks.",
            LENGTH,
            Code::MapBlockCount,
            at(compressed, "big", 512),
        )
        .always(suite, &counting(1));
    compressed
        .breaks(
            "check-map/block-count-zero",
            "A big pcluster has no blocks: a hole to Linux 7.2, and one block that does not decode to \
             Linux 6.17.",
            LENGTH,
            Code::PclusterHole,
            at(compressed, "big", 0),
        )
        .container(suite, &counting(BLOCK_COUNT));
}

fn pclusters(suite: &mut Suite, compressed: &Clean) {
    let surplus = lz4_tree(vec![
        Node::dir(""),
        Node::compressed(
            "big",
            1,
            1536,
            full(
                header(0, advise::BIG_PCLUSTER_1, 0, 0),
                vec![
                    Index::Head(1, 0, 0),
                    Index::Rest(BLOCK_COUNT | 3, 1),
                    Index::Head(1, 0, 3),
                ],
            ),
            [
                // Nearly all literals: the data is longer than what it decodes to.
                padded(&lz4_run(b'a', 1015, 1024), 1536),
                pcluster(b'b', 512, 1),
            ]
            .concat(),
        ),
    ])
    .write();
    compressed
        .breaks(
            "check-map/surplus",
            "A compressed pcluster of three blocks holds two, in the middle of a file.",
            PLAIN,
            Code::PclusterSurplus,
            At::File(surplus.nid("big"), 0),
        )
        .always(suite, &surplus.image.0);
    compressed
        .breaks(
            "check-map/plain",
            "A plain pcluster of one block holds two.",
            BLOCKS,
            Code::PclusterPlain,
            at(compressed, "full", 0),
        )
        .always(
            suite,
            &compressed.edit().behind("full", INDEXES, &[0]).mended(),
        );
    let tail = compressed.made.at("behind tail");
    let room = compressed.made.block - (tail + INDEXES + 16) % compressed.made.block;
    compressed
        .breaks(
            "check-map/inline",
            "An inline pcluster goes on behind the end of its block.",
            BLOCKS,
            Code::PclusterInline,
            at(compressed, "tail", 0),
        )
        .always(
            suite,
            &compressed
                .edit()
                .map("tail", "h_idata_size", room as u64 + 1)
                .mended(),
        );
    let blocks = compressed.made.at("blocks full");
    for (name, text, code, bytes) in [
        (
            "data",
            "A match of an LZ4 block starts before the first byte.",
            Code::PclusterData,
            matching(2),
        ),
        (
            "data-distance",
            "A match of an LZ4 block is at no distance.",
            Code::PclusterData,
            matching(0),
        ),
        (
            "data-zero",
            "A pcluster is all zeros.",
            Code::PclusterData,
            vec![0; 512],
        ),
        (
            "length",
            "A pcluster decodes to one byte less than its extent has.",
            Code::PclusterLength,
            pcluster(b'a', 1023, 1),
        ),
        (
            "length-more",
            "A pcluster decodes to one byte more than its extent has.",
            Code::PclusterLength,
            pcluster(b'a', 1025, 1),
        ),
    ] {
        let id = format!("check-map/{name}");
        let image = compressed.edit().bytes(blocks, &bytes).mended();
        compressed
            .breaks(&id, text, DECODE, code, at(compressed, "full", 0))
            .always(suite, &image);
    }
}

/// A pcluster whose match has this distance.
fn matching(distance: u8) -> Vec<u8> {
    let mut block = lz4_run(b'a', 1, 1024);
    block[2] = distance;
    padded(&block, 512)
}

fn encoded(suite: &mut Suite, clean: &Clean) {
    // Records of 16 bytes, the first at byte 16: length with flags, block in 8 bytes, start.
    clean
        .breaks(
            "check-map/extents",
            "The first extent starts behind the second.",
            EXTENTS,
            Code::MapExtents,
            at(clean, "extents", 0),
        )
        .always(
            suite,
            &clean
                .edit()
                .behind("extents", 16 + 12, &1500_u32.to_le_bytes())
                .mended(),
        );
    clean
        .breaks(
            "check-map/extents-last",
            "The second extent starts behind the third.",
            EXTENTS,
            Code::MapExtents,
            at(clean, "extents", 2500),
        )
        .always(
            suite,
            &clean
                .edit()
                .behind("extents", 16 + 16 + 12, &2500_u32.to_le_bytes())
                .mended(),
        );
    clean
        .breaks(
            "check-map/size",
            "A pcluster has more than 1 MiB.",
            SANITY,
            Code::PclusterSize,
            at(clean, "extents", 0),
        )
        .always(
            suite,
            &clean
                .edit()
                .behind("extents", 16, &(((1 << 20) + 1) | LZ4).to_le_bytes())
                .mended(),
        );
    clean
        .breaks(
            "check-map/size-decoded",
            "A pcluster decodes to more than 12 MiB.",
            SANITY,
            Code::PclusterSize,
            at(clean, "one", 0),
        )
        .always(
            suite,
            &clean.edit().inode("one", "i_size", (12 << 20) + 1).mended(),
        );
    clean
        .breaks(
            "check-map/bounds",
            "A pcluster lies beyond the image.",
            SANITY,
            Code::FileBounds,
            at(clean, "one", 0),
        )
        .always(
            suite,
            &clean
                .edit()
                .behind("one", 20, &(1_u64 << 40).to_le_bytes())
                .mended(),
        );
}

fn fragments(suite: &mut Suite, clean: &Clean) {
    clean
        .breaks(
            "check-map/fragment-bounds",
            "A fragment goes on behind the end of the packed inode.",
            FRAGMENT,
            Code::FragmentBounds,
            clean.nid("whole"),
        )
        .always(
            suite,
            &clean
                .edit()
                .behind("whole", 0, &301_u16.to_le_bytes())
                .mended(),
        );
    clean
        .breaks(
            "check-map/fragment-inode",
            "There are fragments, and no packed inode.",
            FRAGMENT,
            Code::FragmentInode,
            clean.nid("tail"),
        )
        .always(suite, &clean.edit().superblock("packed_nid", 0).mended());
    clean
        .breaks(
            "check-map/plain-fragment",
            "The head of a fragment is plain, and no pcluster holds it.",
            BLOCKS,
            Code::PclusterPlain,
            At::File(clean.made.nid("tail"), 1024),
        )
        .always(
            suite,
            &clean.edit().behind("tail", INDEXES + 16, &[0]).mended(),
        );
    let twice = lz4_tree(vec![
        Node::dir(""),
        Node::compressed(
            "twice",
            1,
            1536,
            full(
                header(0, 0, 0, 0),
                vec![
                    Index::Head(1, 0, 0),
                    Index::Rest(1, 1),
                    Index::Head(0, 0, 0),
                ],
            ),
            pcluster(b'a', 1024, 1),
        ),
    ])
    .incompat(incompat::FRAGMENTS)
    .write();
    clean
        .breaks(
            "check-overlap/pcluster",
            "A pcluster is compressed for the start of a file, and plain for its end.",
            REGISTER,
            Code::OverlapPcluster,
            At::Image(twice.at("blocks twice") as u64),
        )
        .always(suite, &twice.image.0);
    let itself = |_| (1_u64 << 63).to_le_bytes().to_vec();
    let looped = lz4_tree(vec![
        Node::compressed("#packed", 1, 512, itself, Vec::new()),
        Node::dir(""),
    ])
    .incompat(incompat::FRAGMENTS)
    .write();
    clean
        .breaks(
            "check-map/fragment-loop",
            "The packed inode is a fragment of itself.",
            FRAGMENT,
            Code::FragmentLoop,
            At::Nid(looped.nid("#packed")),
        )
        .always(suite, &looped.image.0);
}

fn metabox(suite: &mut Suite, clean: &Clean) {
    let with_packed = |inode| {
        let mut tree = metabox_tree(inode);
        tree.nodes
            .insert(1, Node::plain("#packed", &[0; 512]).in_metabox());
        tree.incompat(incompat::FRAGMENTS | incompat::ZERO_PADDING)
            .write()
    };
    let made = with_packed(Node::plain("#metabox", &[0; 512]));
    clean
        .breaks(
            "check-superblock/packed-metabox",
            "The packed inode lies in the metabox.",
            PACKED,
            Code::SuperblockPacked,
            At::Image(1024 + 96),
        )
        .always(suite, &made.image.0);
    let in_packed = |_| (1_u64 << 63).to_le_bytes().to_vec();
    let made = with_packed(Node::compressed("#metabox", 1, 512, in_packed, Vec::new()));
    clean
        .breaks(
            "check-map/metabox-loop",
            "The metabox is a fragment of a packed inode that lies in it.",
            METABOX,
            Code::MetaboxLoop,
            At::Nid(made.nid("#metabox")),
        )
        .allowing(Code::SuperblockPacked)
        .always(suite, &made.image.0);
}
