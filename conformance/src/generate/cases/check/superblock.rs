//! Rules of the superblock and of what lies around it.

use erofs_unpack_core::{At, Code};

use super::super::super::bases::Bases;
use super::super::super::erofs::{Node, Tree};
use super::super::super::image::Image;
use super::super::super::suite::Suite;
use super::super::wires::{KERNEL, at};
use super::breach::{Clean, Model, Source, clean};
use super::trees::{Trees, lz4_config};
use crate::manifest::Level;

const CHECKSUM: Source = ("linux", "fs/erofs/super.c, erofs_superblock_csum_verify");
const FEATURES: Source = ("linux", "fs/erofs/super.c, check_layout_compatibility");
const RECORD: Source = ("linux", "fs/erofs/erofs_fs.h, struct erofs_super_block");
const PREFIXES: Source = ("linux", "fs/erofs/xattr.c, erofs_xattr_prefixes_init");
const SLOT: Source = ("linux", "fs/erofs/erofs_fs.h, struct erofs_deviceslot");
const DEVICES: Source = ("linux", "fs/erofs/super.c, erofs_scan_devices");
const CONFIGS: Source = ("linux", "fs/erofs/decompressor.c, z_erofs_parse_cfgs");
const LZ4: Source = ("linux", "fs/erofs/decompressor.c, z_erofs_load_lz4_config");
const DATA: Source = ("linux", "fs/erofs/data.c, erofs_bread");
const RAW: Source = ("erofs-image-spec", "3.2 Raw EROFS Filesystem Image");
const FOREIGN: Source = ("erofs-image-spec", "5. Multi-Device Images");
/// What edits of the small image differ from.
const SMALL: Model<'static> = Model {
    id: "check-clean/small",
    level: Level::Metadata,
    devices: 0,
};

pub(super) fn add(suite: &mut Suite, bases: &Bases, trees: &Trees) {
    let small = Image(bases.get("small.erofs").to_vec());
    let text = "A right image of one block, made by mkfs.erofs.";
    let draft = clean(suite, SMALL.id, text, &small.0, [4, 2]);
    suite.add(draft.origin("programs"));
    parsed(suite, &small);
    looked_at(suite, &small);
    metadata_area(suite, &trees.metabox);
    devices(suite, &trees.chunks);
    configs(suite, &trees.compressed);
    ends(suite, bases, &small, &trees.tree);
    page(suite, trees);
}

/// Blocks that the kernel mounts on few machines.
fn page(suite: &mut Suite, trees: &Trees) {
    let mut tree = Tree::new(vec![Node::dir("")]);
    tree.block_bits = 14;
    let page = Clean {
        id: trees.tree.id.clone(),
        made: tree.write(),
        level: Level::Metadata,
        devices: 0,
    };
    page.breaks(
        "check-superblock/page",
        "A block is larger than a page of most machines.",
        KERNEL,
        Code::SuperblockPage,
        at(12),
    )
    .said(suite, &page.made.image.0);
}

/// What a superblock is refused for before anything else is read.
fn parsed(suite: &mut Suite, small: &Image) {
    type Edit<'a> = (&'a str, &'a str, Source, &'a [(&'a str, u64)], Code, u64);
    let edits: [Edit<'_>; 13] = [
        (
            "magic",
            "The magic is another.",
            KERNEL,
            &[("magic", 0xe0f5_e1e3)],
            Code::SuperblockMagic,
            0,
        ),
        (
            "block-size",
            "Blocks have 128 KiB.",
            KERNEL,
            &[("blkszbits", 17)],
            Code::SuperblockBlockSize,
            12,
        ),
        (
            "extslots",
            "The extension slots reach beyond the first page.",
            KERNEL,
            &[("sb_extslots", 185)],
            Code::SuperblockExtSlots,
            13,
        ),
        (
            "root",
            "The root is the first inode beyond the image.",
            ("linux", "fs/erofs/super.c, erofs_fc_fill_super"),
            &[("rootnid_2b", 128)],
            Code::SuperblockRoot,
            14,
        ),
        (
            "inodes",
            "There are more inodes than the image has slots.",
            RECORD,
            &[("inos", 129)],
            Code::SuperblockInodes,
            16,
        ),
        (
            "nanoseconds",
            "The time has a billion nanoseconds.",
            RECORD,
            &[("fixed_nsec", 1_000_000_000)],
            Code::SuperblockNanoseconds,
            32,
        ),
        (
            "blocks",
            "The image has no blocks.",
            RECORD,
            &[("blocks_lo", 0)],
            Code::SuperblockBlocks,
            36,
        ),
        (
            "xattr",
            "The shared xattrs start at the image's end.",
            ("linux", "fs/erofs/xattr.c, erofs_xattr_iter_shared"),
            &[("xattr_blkaddr", 1)],
            Code::SuperblockXattr,
            44,
        ),
        (
            "features",
            "The first incompatible feature that nobody knows is set.",
            FEATURES,
            &[("feature_incompat", 0x200)],
            Code::SuperblockFeatures,
            80,
        ),
        (
            "algorithms",
            "A compression algorithm that nobody knows is there.",
            CONFIGS,
            &[("feature_incompat", 2), ("available_compr_algs", 16)],
            Code::SuperblockAlgorithms,
            84,
        ),
        (
            "dirblk",
            "Blocks of directories have two blocks.",
            KERNEL,
            &[("dirblkbits", 1)],
            Code::SuperblockDirBlock,
            90,
        ),
        (
            "prefixes",
            "The table of xattr prefixes starts at the image's end.",
            PREFIXES,
            &[("xattr_prefix_count", 1), ("xattr_prefix_start", 1024)],
            Code::SuperblockPrefixes,
            92,
        ),
        (
            "packed",
            "The packed inode is the first one beyond the image.",
            ("linux", "fs/erofs/super.c, erofs_fc_fill_super"),
            &[("feature_incompat", 0x20), ("packed_nid", 128)],
            Code::SuperblockPacked,
            96,
        ),
    ];
    for (name, text, source, sets, code, field) in edits {
        let set = |image: Image, (name, value): &(&str, u64)| image.set(name, *value);
        let image = sets.iter().fold(small.clone(), set).mend();
        let id = format!("check-superblock/{name}");
        SMALL
            .breaks(&id, text, source, code, at(field))
            .always(suite, &image.0);
    }
    SMALL
        .breaks(
            "check-superblock/metabox",
            "There is a metabox, and no extension slot that says where.",
            KERNEL,
            Code::SuperblockMetabox,
            at(128),
        )
        .always(
            suite,
            &small.clone().set("feature_incompat", 0x100).mend().0,
        );
    SMALL
        .breaks(
            "check-superblock/truncated",
            "The image ends with the last but one byte of the superblock.",
            KERNEL,
            Code::SuperblockTruncated,
            At::Image(1024 + 127),
        )
        .always(suite, &small.cut(1024 + 127));
}

/// What the check looks at in a superblock that can be read.
fn looked_at(suite: &mut Suite, small: &Image) {
    let mut flipped = small.clone();
    flipped.0[1024 + 48] ^= 1;
    SMALL
        .breaks(
            "check-superblock/checksum",
            "A bit of the UUID is changed, and the checksum is not.",
            CHECKSUM,
            Code::SuperblockChecksum,
            at(4),
        )
        .always(suite, &flipped.0);
    let signed = u64::from(small.0[1024 + 8]);
    for (name, text, source, field, value, code, place) in [
        (
            "compat",
            "The first compatible feature that nobody knows is set.",
            FEATURES,
            "feature_compat",
            signed | 0x40,
            Code::SuperblockCompat,
            8,
        ),
        (
            "unsigned",
            "There is no checksum.",
            CHECKSUM,
            "feature_compat",
            signed & !1,
            Code::SuperblockUnsigned,
            8,
        ),
        (
            "reserved",
            "The first reserved bytes are not zero.",
            RECORD,
            "reserved",
            0x100,
            Code::SuperblockReserved,
            106,
        ),
        (
            "reserved-last",
            "The last reserved byte is not zero.",
            RECORD,
            "reserved2",
            1 << 63,
            Code::SuperblockReserved,
            120,
        ),
        (
            "count-more",
            "One more inode is declared than there is.",
            ("linux", "fs/erofs/super.c, erofs_statfs"),
            "inos",
            5,
            Code::SuperblockCount,
            16,
        ),
        (
            "count-fewer",
            "One inode fewer is declared than there are.",
            ("linux", "fs/erofs/super.c, erofs_statfs"),
            "inos",
            3,
            Code::SuperblockCount,
            16,
        ),
    ] {
        let id = format!("check-superblock/{name}");
        let image = small.clone().set(field, value).mend();
        SMALL
            .breaks(&id, text, source, code, at(place))
            .strict(suite, &image.0);
    }
}

/// The metadata area is beyond the image, where no inode lies in it but the metabox's own.
fn metadata_area(suite: &mut Suite, metabox: &Clean) {
    let root = metabox.made.nid("d");
    let blocks = (metabox.made.image.0.len() / metabox.made.block) as u64;
    let image = metabox
        .edit()
        .superblock("feature_incompat", 0x180)
        .superblock("rootnid_2b", 0)
        .superblock("rootnid_8b", root)
        .superblock("meta_blkaddr", blocks)
        .mended();
    metabox
        .breaks(
            "check-superblock/meta",
            "The root lies in the metabox, and the metadata area starts at the image's end.",
            ("linux", "fs/erofs/internal.h, erofs_iloc"),
            Code::SuperblockMeta,
            at(40),
        )
        .always(suite, &image);
}

fn devices(suite: &mut Suite, chunks: &Clean) {
    let slot = |number: u16| At::Image(chunks.made.at(&format!("device {number}")) as u64);
    let table = |id: &str, text: &str, offset| {
        (
            chunks.breaks(id, text, DEVICES, Code::DeviceTable, at(88)),
            chunks.edit().superblock("devt_slotoff", offset).mended(),
        )
    };
    let (breach, image) = table(
        "check-superblock/device-table",
        "The device table starts where the superblock does.",
        8,
    );
    breach.always(suite, &image);
    let (breach, image) = table(
        "check-superblock/device-table-beyond",
        "The device table lies beyond the image.",
        0xffff,
    );
    breach.always(suite, &image);
    for (name, text, number, field, value) in [
        (
            "-image",
            "A device has addresses of the image.",
            3,
            "uniaddr_lo",
            1,
        ),
        (
            "-overlap",
            "A device has addresses of the one before it.",
            4,
            "uniaddr_lo",
            68,
        ),
    ] {
        let id = format!("check-superblock/device-slot{name}");
        let image = chunks.edit().device(number, field, value).mended();
        let source = ("linux", "fs/erofs/super.c, erofs_init_device");
        chunks
            .breaks(&id, text, source, Code::DeviceSlot, slot(number))
            .always(suite, &image);
    }
    // With an address and without one.
    let none = chunks
        .edit()
        .device(3, "blocks_lo", 0)
        .device(4, "blocks_lo", 0)
        .device(4, "uniaddr_lo", 0);
    let draft = clean(
        suite,
        "check-clean/device-empty",
        "Two devices have no blocks, as mkfs.erofs writes for a tree without content.",
        &none.mended(),
        [4, 1],
    );
    suite.add(draft.with_input(|input| input.devices = 4));
    // As the bootstraps of nydus do: a constant, and the blocks of devices, of which there are few.
    for (name, text, blocks) in [
        (
            "more",
            "An image with devices declares 4096 blocks, and is shorter.",
            4096,
        ),
        (
            "few",
            "The root of an image with devices lies behind its declared blocks.",
            1,
        ),
    ] {
        let id = format!("check-superblock/image-blocks-{name}");
        let source = ("nydus", "rafs/src/metadata/layout/v6.rs, RafsV6SuperBlock");
        chunks
            .breaks(&id, text, source, Code::ImageBlocks, at(36))
            .allowing(Code::ImageTrailing)
            .container(
                suite,
                &chunks.edit().superblock("blocks_lo", blocks).mended(),
            );
    }
    let At::Image(last) = slot(4) else {
        unreachable!("a slot lies in the image");
    };
    chunks
        .breaks(
            "check-superblock/device-reserved",
            "The reserved bytes of a device slot are not zero.",
            SLOT,
            Code::SuperblockReserved,
            At::Image(last + 76),
        )
        .strict(suite, &chunks.edit().device(4, "reserved", 1).mended());
    let three = Model {
        id: &chunks.id,
        level: chunks.level,
        devices: 3,
    };
    three
        .breaks(
            "check-superblock/device-foreign",
            "The image names four devices, and three belong to it.",
            FOREIGN,
            Code::DeviceForeign,
            slot(4),
        )
        .container(suite, &chunks.made.image.0);
}

fn configs(suite: &mut Suite, compressed: &Clean) {
    let start = compressed.made.at("configs");
    let place = At::Image(start as u64);
    let mut short = lz4_config(4);
    short[0] = 13;
    for (name, text, config) in [
        ("", "The configuration of LZ4 is one byte too short.", short),
        (
            "-pcluster",
            "The configuration of LZ4 states pclusters of more than 1 MiB.",
            lz4_config(2049),
        ),
    ] {
        let id = format!("check-superblock/compression-config{name}");
        let image = compressed.edit().bytes(start, &config).mended();
        compressed
            .breaks(&id, text, LZ4, Code::CompressionConfig, place)
            .always(suite, &image);
    }
}

/// Where an image ends, and what may follow it.
fn ends(suite: &mut Suite, bases: &Bases, small: &Image, tree: &Clean) {
    let size = tree.made.image.0.len();
    let blocks = (size / tree.made.block) as u64;
    tree.breaks(
        "check-superblock/image-size",
        "One more block is declared than there is.",
        DATA,
        Code::ImageSize,
        At::Image(size as u64),
    )
    .always(
        suite,
        &tree.edit().superblock("blocks_lo", blocks + 1).mended(),
    );
    SMALL
        .breaks(
            "check-superblock/image-trailing",
            "A block of other bytes follows the image.",
            RAW,
            Code::ImageTrailing,
            At::Image(small.0.len() as u64),
        )
        .container(suite, &small.followed_by(&[0x5a; 4096]));
    SMALL
        .breaks(
            "check-superblock/image-trailing-zero",
            "A zero byte follows the image.",
            RAW,
            Code::ImageTrailing,
            At::Image(small.0.len() as u64),
        )
        .container(suite, &small.followed_by(&[0]));
    let mut tree_of_hashes = b"verity\0\0".to_vec();
    tree_of_hashes.resize(4096, 1);
    let draft = clean(
        suite,
        "check-clean/verity",
        "A dm-verity superblock with its tree follows the image.",
        &small.followed_by(&tree_of_hashes),
        [4, 2],
    );
    suite.add(draft.demand("erofs-image-spec", "6. dm-verity"));
    let draft = clean(
        suite,
        "check-clean/tar",
        "A tar archive with its padding follows the image and is its device.",
        bases.get("tar-index.erofs"),
        [2, 1],
    );
    suite.add(draft.origin("programs"));
}
