//! The check of an image: for each rule an image that breaks it and no other, made from a clean
//! one by edits of named fields, with a right checksum.

mod breach;
mod compressed;
mod content;
mod directories;
mod fingerprints;
mod inodes;
mod kernel;
mod limits;
mod read;
mod readings;
mod superblock;
mod trees;
mod verdicts;
mod whole;
mod xattrs;

use self::breach::clean;
use super::super::bases::Bases;
use super::super::suite::Suite;

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let trees = trees::Trees::add(suite);
    made_by_mkfs(suite, bases);
    superblock::add(suite, bases, &trees);
    inodes::add(suite, &trees);
    directories::add(suite, &trees);
    xattrs::add(suite, &trees);
    fingerprints::add(suite);
    content::add(suite, &trees);
    compressed::add(suite, &trees);
    readings::add(suite);
    whole::add(suite, &trees);
    kernel::add(suite, &trees);
    limits::add(suite, &trees);
    read::add(suite, &trees);
}

/// Images as `mkfs.erofs` writes them, with each layout and algorithm.
fn made_by_mkfs(suite: &mut Suite, bases: &Bases) {
    for (name, description) in [
        ("chunks", "Chunks of two blocks."),
        ("deflate", "Content that is compressed with DEFLATE."),
        (
            "extents",
            "LZ4 with encoded extents, and addresses of 48 bits.",
        ),
        (
            "fragments",
            "LZ4 with tails in the packed inode, and shared extents.",
        ),
        ("lz4", "LZ4 with compact indexes."),
        ("lzma", "Content that is compressed with LZMA."),
        ("metabox", "A metabox that is compressed with zstd."),
        ("tail", "LZ4 with tails behind the indexes."),
        ("zstd", "Content that is compressed with zstd."),
    ] {
        let id = format!("check-clean/mkfs-{name}");
        let image = bases.get(&format!("{name}.erofs"));
        let draft = clean(suite, &id, description, image, [5, 1]);
        suite.add(draft.origin("programs"));
    }
}
