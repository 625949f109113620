//! What a check may use, and how far it goes.

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::super::suite::{Draft, Suite};
use super::trees::Trees;
use crate::manifest::{Level, Limits};

/// Where the limits are stated.
const LIMITS: (&str, &str) = ("security", "Limits");
/// What the image declares, in bytes: all of it.
const SIZE: u64 = 3584;

pub(super) fn add(suite: &mut Suite, trees: &Trees) {
    let tree = &trees.tree;
    assert_eq!(tree.made.image.0.len() as u64, SIZE);
    let id = |name: &str| format!("check-limit/{name}");
    let passes = |suite: &mut Suite, name: &str, text: &str, set: fn(&mut Limits)| {
        let draft = suite.check(&id(name), text, &tree.id, &tree.made.image.0);
        let said = json!({"errors": [], "warnings": []});
        suite.add(draft.limits(set).demand(LIMITS.0, LIMITS.1).valid(said));
    };
    let fails =
        |suite: &mut Suite, name: &str, text: &str, set: fn(&mut Limits), refusal: (Code, At)| {
            let draft = suite.check(&id(name), text, &tree.id, &tree.made.image.0);
            let draft = draft.limits(set).demand(LIMITS.0, LIMITS.1);
            suite.add(draft.differs_from(&tree.id).refused(refusal.0, refusal.1));
        };
    passes(
        suite,
        "inodes-enough",
        "There are as many inodes as the limit.",
        |limits| limits.inodes = Some(14),
    );
    passes(
        suite,
        "entries-enough",
        "A directory has as many entries as the limit.",
        |limits| limits.directory_entries = Some(14),
    );
    passes(
        suite,
        "depth-enough",
        "A directory lies as deep as the limit.",
        |limits| limits.directory_depth = Some(1),
    );
    passes(
        suite,
        "image-enough",
        "The image declares as many bytes as the limit.",
        |limits| limits.image_size = Some(SIZE),
    );
    fails(
        suite,
        "image",
        "The image declares more bytes than the limit.",
        |limits| limits.image_size = Some(SIZE - 1),
        (Code::ImageLimit, At::Image(1024 + 36)),
    );
    fails(
        suite,
        "entries",
        "A directory has one entry more than the limit.",
        |limits| limits.directory_entries = Some(13),
        (Code::DirectoryEntries, tree.nid("")),
    );
    fails(
        suite,
        "depth",
        "A directory lies deeper than the limit.",
        |limits| limits.directory_depth = Some(0),
        (Code::DirectoryDepth, tree.nid("d")),
    );
    // The last inode that is reached: what is in a directory comes after what is beside it.
    fails(
        suite,
        "inodes",
        "There is one inode more than the limit.",
        |limits| limits.inodes = Some(13),
        (Code::InodeLimit, tree.nid("d/f")),
    );
    fails(
        suite,
        "work",
        "There is more metadata than the limit.",
        |limits| limits.check_work = Some(64),
        (Code::CheckWork, At::Whole),
    );
    fails(
        suite,
        "memory",
        "The check needs more memory than the limit.",
        |limits| limits.check_memory = Some(64),
        (Code::CheckMemory, At::Whole),
    );
    levels(suite, trees);
}

/// What is not looked at, because it was not asked for.
fn levels(suite: &mut Suite, trees: &Trees) {
    let tree = &trees.tree;
    let level = |draft: Draft, level| draft.with_input(|input| input.level = level);
    let image = tree.edit().inode("y", "i_mode", 0).mended();
    let draft = suite.check(
        "check-limit/level-superblock",
        "An inode is wrong, and only the superblock is looked at.",
        "check-limit/level-superblock",
        &image,
    );
    let said = json!({"errors": [], "warnings": [], "inodes": 0});
    suite.add(
        level(draft, Level::Superblock)
            .demand("unpack", "How far a check goes")
            .valid(said),
    );
    let allowed = tree.edit().inode("s", "i_size", 0).mended();
    let draft = suite.check(
        "check-limit/allow",
        "A rule is broken that is switched off.",
        "check-limit/allow",
        &allowed,
    );
    suite.add(
        draft
            .with_input(|input| input.allow = vec!["symlink-size".into()])
            .demand("unpack", "How severe a breach is")
            .valid(json!({"errors": [], "warnings": []})),
    );
    let image = &trees.compressed;
    let broken = image.edit().bytes(image.made.at("blocks full") + 511, b"!");
    let draft = suite.check(
        "check-limit/level-metadata",
        "A pcluster decodes to other bytes, and nothing is decoded.",
        "check-limit/level-metadata",
        &broken.mended(),
    );
    suite.add(
        level(draft, Level::Metadata)
            .demand("unpack", "How far a check goes")
            .valid(json!({"errors": [], "warnings": []})),
    );
}
