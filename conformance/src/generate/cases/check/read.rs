//! What only a reader says: of a walk that does not end, and of its limits.

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::super::image::Image;
use super::super::super::suite::Suite;
use super::readings::{LEGACY, holes_tree, legacy_tree};
use super::trees::{Trees, devices, forged};
use crate::blob::sha256;

/// Where the limits are stated.
const LIMITS: (&str, &str) = ("security", "Limits");

pub(super) fn add(suite: &mut Suite, trees: &Trees) {
    let tree = &trees.tree;
    let image = &tree.made.image.0;
    let valid = suite
        .read("read/tree", "A file of each kind.", image)
        .demand("linux", "fs/erofs/dir.c, erofs_readdir");
    // Both names of d/f, forged, the hole, two blocks, x.
    let content = [
        &b"hello\nhello\n"[..],
        &forged(),
        &[0; 700],
        &[b'p'; 512],
        &[b'q'; 512],
        b"extended\n",
    ]
    .concat();
    suite.add(valid.valid(json!({
        "paths": [
            ".what", "d", "d/f", "d/g", "fifo", "forged", "hole", "null", "p", "q", "s", "sock",
            "x", "y",
        ],
        "bytes": content.len(),
        "sha256": sha256(&content),
    })));
    // Both devices are appended, each with bytes of its own.
    let mut appended = devices().write().image.0;
    for letter in b"fghij" {
        appended.resize(appended.len() + 512, *letter);
    }
    let valid = suite
        .read(
            "read/devices",
            "Chunks go on from the image into two devices that follow it.",
            &appended,
        )
        .demand("linux", "fs/erofs/data.c, erofs_map_dev");
    // By number the second block of the first device and the third of the second.
    let content: Vec<u8> = b"gjefghi"
        .iter()
        .flat_map(|letter| [*letter; 512])
        .collect();
    suite.add(valid.valid(json!({
        "paths": ["numbers", "one-space"],
        "bytes": 7 * 512,
        "sha256": sha256(&content),
    })));
    // The root lies behind the one block that is declared.
    let few = Image(appended).set("blocks_lo", 1).mend().0;
    let draft = suite
        .read(
            "read/devices-blocks",
            "The same, and the superblock declares the blocks of something else.",
            &few,
        )
        .demand("nydus", "rafs/src/metadata/layout/v6.rs, RafsV6SuperBlock")
        .differs_from("read/devices");
    suite.add(draft.valid(json!({
        "paths": ["numbers", "one-space"],
        "bytes": 7 * 512,
        "sha256": sha256(&content),
    })));
    let legacy = legacy_tree().write().image.0;
    let draft = suite
        .read(
            "read/legacy-lz4",
            "LZ4 without zeros in front of it: what a pcluster holds beyond its extent is not the file's.",
            &legacy,
        )
        .demand(LEGACY.0, LEGACY.1);
    let content = [[b'a'; 700].as_slice(), &[b'b'; 400], &[b'c'; 400]].concat();
    suite.add(draft.valid(json!({
        "paths": ["old"],
        "bytes": content.len(),
        "sha256": sha256(&content),
    })));
    let holes = holes_tree().write().image.0;
    let draft = suite
        .read(
            "read/holes",
            "Compressed extents that are marked as holes.",
            &holes,
        )
        .demand("linux", "fs/erofs/zmap.c, z_erofs_get_extent_compressedlen");
    let content = [[b'a'; 1024].as_slice(), &[0; 2048], &[b'b'; 300]].concat();
    suite.add(draft.valid(json!({
        "paths": ["sparse"],
        "bytes": content.len(),
        "sha256": sha256(&content),
    })));
    let looped = tree
        .edit()
        .lead("d", "g", "")
        .dirent("d", "g", "file_type", 2)
        .inode("d", "i_nlink", 3)
        .inode("d/f", "i_nlink", 1)
        .mended();
    let draft = suite
        .read(
            "read/loop",
            "A directory below the root is the root.",
            &looped,
        )
        .demand("linux", "fs/dcache.c, d_splice_alias")
        .differs_from("read/tree")
        .refused(Code::DirectoryLoop, At::Nid(tree.made.nid("")));
    suite.add(draft);
    // The target is d/f.
    let draft = suite
        .read(
            "read/symlink-length",
            "A symbolic link is longer than the limit.",
            image,
        )
        .demand(LIMITS.0, LIMITS.1)
        .differs_from("read/symlink-length-exact")
        .limits(|limits| limits.symlink_length = Some(2))
        .refused(Code::SymlinkLength, At::Nid(tree.made.nid("s")));
    suite.add(draft);
    let draft = suite
        .read(
            "read/symlink-length-exact",
            "A symbolic link is as long as the limit.",
            image,
        )
        .demand(LIMITS.0, LIMITS.1)
        .limits(|limits| limits.symlink_length = Some(3));
    suite.add(draft.valid(json!({ "bytes": 1777 })));
}
