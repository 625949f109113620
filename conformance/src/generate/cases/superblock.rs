//! The superblock, field by field, in every wire form.

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::image::{FIELDS, Image};
use super::super::suite::Suite;
use super::wires::{KERNEL, SMALL, at, every, refused};

/// What the checksum is read by.
const CHECKSUM: (&str, &str) = ("linux", "fs/erofs/super.c, erofs_superblock_csum_verify");
pub(super) fn add(suite: &mut Suite, small: &Image) {
    unmended(suite, small);
    fields(suite, small);
    wide_fields(suite, small);
}

/// Every field with one bit changed and the checksum left as it was.
fn unmended(suite: &mut Suite, small: &Image) {
    for field in &FIELDS[..28] {
        // What is wrong by itself is told before the checksum, which needs the whole block.
        let (code, place) = match field.name {
            "magic" => (Code::SuperblockMagic, at(0)),
            // The lowest bit of 12 set is 13: a block of 8192 bytes, beyond the image's end.
            // The end of that block never comes, and with it the checksum's.
            "blkszbits" => (Code::ImageSize, At::Image(SMALL)),
            // One block less is none at all.
            "blocks_lo" => (Code::SuperblockBlocks, at(36)),
            // The metadata area would start at the image's end, and the root with it.
            "meta_blkaddr" => (Code::SuperblockRoot, at(14)),
            "xattr_blkaddr" => (Code::SuperblockXattr, at(44)),
            "dirblkbits" => (Code::SuperblockDirBlock, at(90)),
            _ => (Code::SuperblockChecksum, at(4)),
        };
        refused(
            suite,
            &format!("superblock/unmended-{}", field.name.replace('_', "-")),
            &format!("A bit of {} is changed, and nothing else.", field.name),
            &small.clone().flip(*field).0,
            CHECKSUM,
            code,
            place,
        );
    }
}

/// Fields set to what they must not be, with a right checksum, and to what they may be.
fn fields(suite: &mut Suite, small: &Image) {
    type Edit<'a> = (&'a str, &'a str, &'a [(&'a str, u64)], Code, u64);
    let edits: [Edit<'_>; 22] = [
        (
            "magic",
            "The magic is another.",
            &[("magic", 0xe0f5_e1e3)],
            Code::SuperblockMagic,
            0,
        ),
        (
            "block-size-small",
            "Blocks have 256 bytes.",
            &[("blkszbits", 8)],
            Code::SuperblockBlockSize,
            12,
        ),
        (
            "block-size-large",
            "Blocks have 128 KiB.",
            &[("blkszbits", 17)],
            Code::SuperblockBlockSize,
            12,
        ),
        (
            "block-size-huge",
            "The block size is 2 to the power of 255.",
            &[("blkszbits", 255)],
            Code::SuperblockBlockSize,
            12,
        ),
        (
            "extension-slots",
            "The extension slots reach beyond the first page.",
            &[("sb_extslots", 185)],
            Code::SuperblockExtSlots,
            13,
        ),
        (
            "root-beyond",
            "The root is the first inode beyond the image.",
            &[("rootnid_2b", 128)],
            Code::SuperblockRoot,
            14,
        ),
        (
            "root-far",
            "The root is the last inode that there can be.",
            &[("rootnid_2b", 0xffff)],
            Code::SuperblockRoot,
            14,
        ),
        (
            "inodes",
            "There are more inodes than the image has slots.",
            &[("inos", 129)],
            Code::SuperblockInodes,
            16,
        ),
        (
            "inodes-huge",
            "There are 2^64 - 1 inodes.",
            &[("inos", u64::MAX)],
            Code::SuperblockInodes,
            16,
        ),
        (
            "nanoseconds",
            "The time has a billion nanoseconds.",
            &[("fixed_nsec", 1_000_000_000)],
            Code::SuperblockNanoseconds,
            32,
        ),
        (
            "blocks-zero",
            "The image has no blocks.",
            &[("blocks_lo", 0)],
            Code::SuperblockBlocks,
            36,
        ),
        (
            "metadata-beyond",
            "The metadata starts at the image's end, and takes the root with it.",
            &[("meta_blkaddr", 1)],
            Code::SuperblockRoot,
            14,
        ),
        (
            "xattrs-beyond",
            "The shared xattrs start at the image's end.",
            &[("xattr_blkaddr", 1)],
            Code::SuperblockXattr,
            44,
        ),
        (
            "feature-next",
            "The first incompatible feature that nobody knows is set.",
            &[("feature_incompat", 0x200)],
            Code::SuperblockFeatures,
            80,
        ),
        (
            "feature-last",
            "The last bit of the incompatible features is set.",
            &[("feature_incompat", 0x8000_0000)],
            Code::SuperblockFeatures,
            80,
        ),
        (
            "algorithms",
            "Files may use a compression that nobody knows.",
            &[("feature_incompat", 2), ("available_compr_algs", 16)],
            Code::SuperblockAlgorithms,
            84,
        ),
        (
            "device-table-low",
            "The device table lies over the superblock.",
            &[
                ("feature_incompat", 8),
                ("extra_devices", 1),
                ("devt_slotoff", 8),
            ],
            Code::DeviceTable,
            88,
        ),
        (
            "device-table-high",
            "The device table lies beyond the image.",
            &[
                ("feature_incompat", 8),
                ("extra_devices", 1),
                ("devt_slotoff", 32),
            ],
            Code::DeviceTable,
            88,
        ),
        (
            "directory-blocks",
            "Directories have blocks of another size.",
            &[("dirblkbits", 1)],
            Code::SuperblockDirBlock,
            90,
        ),
        (
            "prefixes",
            "The table of xattr prefixes starts beyond the image.",
            &[("xattr_prefix_count", 1), ("xattr_prefix_start", 1024)],
            Code::SuperblockPrefixes,
            92,
        ),
        (
            "packed",
            "The packed inode lies beyond the image.",
            &[("feature_incompat", 0x20), ("packed_nid", 128)],
            Code::SuperblockPacked,
            96,
        ),
        (
            "shared-prefix",
            "Sharing goes by an xattr prefix that there is not.",
            &[("feature_compat", 0x23)],
            Code::SuperblockPrefixes,
            105,
        ),
    ];
    for (id, description, edits, code, field) in edits {
        let image = edits.iter().fold(small.clone(), |image, (name, value)| {
            image.set(name, *value)
        });
        refused(
            suite,
            &format!("superblock/{id}"),
            description,
            &image.mend().0,
            KERNEL,
            code,
            at(field),
        );
    }
    let stale = small.clone().set("checksum", 0);
    refused(
        suite,
        "superblock/checksum",
        "The checksum is zero.",
        &stale.0,
        CHECKSUM,
        Code::SuperblockChecksum,
        at(4),
    );
    for (id, description, edits) in [
        (
            "free-epoch",
            "The base of the times is another.",
            &[("epoch", u64::MAX)][..],
        ),
        (
            "free-build-time",
            "The time of the build is another.",
            &[("build_time", 0xffff_ffff)],
        ),
        (
            "free-uuid",
            "The UUID is another.",
            &[("uuid", 0x1234_5678)],
        ),
        (
            "free-volume-name",
            "The volume has a name that is no text.",
            &[("volume_name", 0xfffe_0a1b)],
        ),
        (
            "free-reserved",
            "Reserved bytes are not zero, which the kernel ignores.",
            &[("reserved", 0xffff), ("reserved2", u64::MAX)],
        ),
        (
            "free-compatible",
            "A compatible feature that nobody knows is set.",
            &[("feature_compat", 0x8000_0003)],
        ),
        (
            "free-nanoseconds",
            "The time has the most nanoseconds there are.",
            &[("fixed_nsec", 999_999_999)],
        ),
        (
            "free-inodes",
            "There are as many inodes as the image has slots.",
            &[("inos", 128)],
        ),
        (
            "free-packed-zero",
            "There are fragments and no packed inode, as with shared extents.",
            &[("feature_incompat", 0x20)],
        ),
        (
            "free-devices-none",
            "The device table's bit is set without devices, as for a second compression.",
            &[("feature_incompat", 8)],
        ),
    ] {
        let image = edits
            .iter()
            .fold(small.clone(), |image, (name, value)| {
                image.set(name, *value)
            })
            .mend();
        valid(suite, &format!("superblock/{id}"), description, &image.0);
    }
    let unchecked = small
        .clone()
        .set("feature_compat", 2)
        .set("checksum", 0x1234_5678);
    valid(
        suite,
        "superblock/free-checksum",
        "The image has no checksum, so that its field means nothing.",
        &unchecked.0,
    );
}

fn valid(suite: &mut Suite, id: &str, description: &str, image: &[u8]) {
    let digest = Algorithm::Sha256.digest(image).to_string();
    every(suite, id, description, image, |draft, _| {
        draft
            .demand(KERNEL.0, KERNEL.1)
            .valid(json!({ "diffId": digest, "imageSize": image.len() }))
    });
}

/// Fields that images of 48-bit addresses and with a metabox have.
fn wide_fields(suite: &mut Suite, small: &Image) {
    let wide = small
        .clone()
        .set("feature_incompat", 0x80)
        .set("rootnid_2b", 0)
        .set("rootnid_8b", 36);
    valid(
        suite,
        "superblock/wide",
        "Block addresses have 48 bits, and the root's nid 64.",
        &wide.clone().mend().0,
    );
    let boxed = small
        .clone()
        .set("feature_incompat", 0x100)
        .set("sb_extslots", 1)
        .set("metabox_nid", 36);
    // The slot lies where the root's inode was not, so that the tree is another: only the
    // superblock is the matter here.
    valid(
        suite,
        "superblock/metabox",
        "Metadata may lie in a metabox, whose inode the extension slot names.",
        &boxed.clone().mend().0,
    );
    let unsigned = boxed.clone().set("feature_compat", 2);
    valid(
        suite,
        "superblock/metabox-unsigned",
        "There is an extension slot, and no checksum.",
        &unsigned.0,
    );
    let both = |meta: u64| {
        small
            .clone()
            .set("feature_incompat", 0x180)
            .set("sb_extslots", 1)
            .set("metabox_nid", 36)
            .set("rootnid_2b", 0)
            .set("rootnid_8b", 1 << 63 | 1)
            .set("meta_blkaddr", meta)
            .mend()
    };
    valid(
        suite,
        "superblock/wide-metabox",
        "The root lies in the metabox.",
        &both(0).0,
    );
    for (id, description, image, code, field, positive) in [
        (
            "wide-root",
            "The root's nid of 64 bits lies beyond the image.",
            wide.clone().set("rootnid_8b", u64::MAX >> 1).mend(),
            Code::SuperblockRoot,
            112,
            "wide",
        ),
        (
            "wide-root-metabox",
            "The root lies in a metabox that there is not.",
            wide.set("rootnid_8b", 1 << 63).mend(),
            Code::SuperblockRoot,
            112,
            "wide",
        ),
        (
            "metabox-beyond",
            "The metabox's inode lies beyond the image.",
            boxed.clone().set("metabox_nid", 128).mend(),
            Code::SuperblockMetabox,
            128,
            "metabox",
        ),
        (
            "metabox-in-itself",
            "The metabox lies in itself.",
            boxed.clone().set("metabox_nid", 1 << 63).mend(),
            Code::SuperblockMetabox,
            128,
            "metabox",
        ),
        (
            "metabox-unsigned-beyond",
            "Without a checksum, the metabox's inode lies beyond the image.",
            unsigned.clone().set("metabox_nid", 128),
            Code::SuperblockMetabox,
            128,
            "metabox-unsigned",
        ),
        (
            "metabox-unsigned-root",
            "Without a checksum, the root lies beyond the image.",
            unsigned.clone().set("rootnid_2b", 128),
            Code::SuperblockRoot,
            14,
            "metabox-unsigned",
        ),
        (
            "metabox-missing",
            "There is no extension slot to name the metabox.",
            boxed.set("sb_extslots", 0).mend(),
            Code::SuperblockMetabox,
            128,
            "metabox",
        ),
        (
            "metadata-alone",
            "The metadata area starts at the image's end, with the root in the metabox.",
            both(1),
            Code::SuperblockMeta,
            40,
            "wide-metabox",
        ),
    ] {
        every(
            suite,
            &format!("superblock/{id}"),
            description,
            &image.0,
            |draft, wire| {
                draft
                    .demand(KERNEL.0, KERNEL.1)
                    .differs_from(&format!("superblock/{positive}/{}", wire.name()))
                    .refused(code, at(field))
            },
        );
    }
    let slots = small.clone().set("sb_extslots", 1).mend();
    every(
        suite,
        "superblock/extension-truncated",
        "The image ends before its extension slot does.",
        &slots.0[..1160],
        |draft, wire| {
            draft
                .demand(KERNEL.0, KERNEL.1)
                .differs_from(&format!("superblock/metabox/{}", wire.name()))
                .refused(Code::SuperblockTruncated, At::Image(1160))
        },
    );
    every(
        suite,
        "superblock/extension-unsigned-truncated",
        "Without a checksum, the image ends before its extension slot does.",
        &unsigned.0[..1160],
        |draft, wire| {
            draft
                .demand(KERNEL.0, KERNEL.1)
                .differs_from(&format!("superblock/metabox-unsigned/{}", wire.name()))
                .refused(Code::SuperblockTruncated, At::Image(1160))
        },
    );
}
