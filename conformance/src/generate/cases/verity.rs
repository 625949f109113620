//! dm-verity trees behind an image, which annotations announce: made by hand, a hash at a time.

use std::collections::BTreeMap;

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::bases::Bases;
use super::super::image::Image;
use super::super::suite::{Draft, Suite, Wire};
use super::wires::{SMALL, every};

/// What says what a tree is.
const TREE: (&str, &str) = ("erofs-image-spec", "3.5 dm-verity Merkle Tree");
/// What says what a superblock and the order of levels are.
const FORMAT: (&str, &str) = ("cryptsetup", "lib/verity/verity.c, VERITY_read_sb");
const HASHES: (&str, &str) = (
    "linux",
    "Documentation/admin-guide/device-mapper/verity.rst, Hash Tree",
);

/// How a tree is made.
#[derive(Clone, Copy)]
struct Tree<'a> {
    algorithm: Algorithm,
    block: usize,
    salt: &'a [u8],
    /// 1: the salt comes before the block. 0: behind.
    kind: u8,
    superblock: bool,
}

/// What most of the cases have: SHA-256, blocks of 4096 bytes, no salt.
const PLAIN: Tree<'_> = Tree {
    algorithm: Algorithm::Sha256,
    block: 4096,
    salt: &[],
    kind: 1,
    superblock: true,
};

impl Tree<'_> {
    fn hash(&self, block: &[u8]) -> Vec<u8> {
        let parts = match self.kind {
            0 => [block, self.salt],
            _ => [self.salt, block],
        };
        self.algorithm.digest(&parts.concat()).as_bytes().to_vec()
    }

    /// The levels over this data, from the one above it up, and the root.
    fn levels(&self, data: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut levels: Vec<Vec<u8>> = Vec::new();
        let mut below = data.to_vec();
        while below.len() > self.block {
            let mut level: Vec<u8> = below
                .chunks(self.block)
                .flat_map(|block| self.hash(block))
                .collect();
            level.resize(level.len().next_multiple_of(self.block), 0);
            levels.push(level.clone());
            below = level;
        }
        (levels, self.hash(&below))
    }

    /// The superblock over so many blocks, up to the end of its block.
    fn head(&self, blocks: usize) -> Vec<u8> {
        let size = u32::try_from(self.block).unwrap().to_le_bytes();
        let mut head = b"verity\0\0".to_vec();
        head.extend([1, 0, 0, 0, self.kind, 0, 0, 0]);
        head.extend(b"0123456789abcdef");
        head.extend(self.algorithm.name().as_bytes());
        head.resize(64, 0);
        head.extend(size);
        head.extend(size);
        head.extend((blocks as u64).to_le_bytes());
        head.extend(u16::try_from(self.salt.len()).unwrap().to_le_bytes());
        head.resize(88, 0);
        head.extend(self.salt);
        head.resize(self.block.max(512), 0);
        head
    }

    /// What follows this data, and the root.
    fn of(&self, data: &[u8]) -> (Vec<u8>, String) {
        let (levels, root) = self.levels(data);
        let mut all = if self.superblock {
            self.head(data.len() / self.block)
        } else {
            Vec::new()
        };
        levels.iter().rev().for_each(|level| all.extend(level));
        let digits: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
        (all, format!("{}:{digits}", self.algorithm.name()))
    }
}

/// A layer, and what its annotations state.
struct Layer {
    image: Vec<u8>,
    offset: u64,
    root: String,
    block: Option<usize>,
}

impl Layer {
    fn new(image: &[u8], tree: Tree<'_>) -> Self {
        let (behind, root) = tree.of(image);
        Self {
            image: [image, &behind].concat(),
            offset: image.len() as u64,
            root,
            block: (tree.block != 4096).then_some(tree.block),
        }
    }

    /// The layer with bytes from an offset on that are others.
    fn with(&self, offset: usize, bytes: &[u8]) -> Self {
        let mut image = self.image.clone();
        image[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.changed(image)
    }

    fn changed(&self, image: Vec<u8>) -> Self {
        Self {
            image,
            offset: self.offset,
            root: self.root.clone(),
            block: self.block,
        }
    }

    fn stating(&self, draft: Draft) -> Draft {
        let mut annotations = BTreeMap::from([
            (
                "org.erofs.dmverity.hash_offset".to_owned(),
                self.offset.to_string(),
            ),
            (
                "org.erofs.dmverity.root_digest".to_owned(),
                self.root.clone(),
            ),
        ]);
        if let Some(block) = self.block {
            annotations.insert(
                "org.erofs.dmverity.block_size".to_owned(),
                block.to_string(),
            );
        }
        let diff_id = Algorithm::Sha256.digest(&self.image).to_string();
        draft.demand(TREE.0, TREE.1).stating(|input| {
            input.annotations = annotations;
            input.diff_id = Some(diff_id);
        })
    }

    /// Adds it, plain and as zstd, with this answer.
    fn add(
        &self,
        suite: &mut Suite,
        id: &str,
        description: &str,
        finish: impl Fn(Draft, Wire) -> Draft,
    ) {
        for wire in [Wire::Plain, Wire::Zstd] {
            let id = format!("verity/{id}/{}", wire.name());
            let draft = suite.layer(&id, description, wire, &wire.wrap(&self.image));
            suite.add(finish(self.stating(draft), wire));
        }
    }

    fn valid(&self, suite: &mut Suite, id: &str, description: &str, flags: &[&str]) {
        self.add(suite, id, description, |draft, _| {
            flags
                .iter()
                .fold(draft.demand(HASHES.0, HASHES.1), |draft, flag| {
                    draft.flag(flag)
                })
                .valid(json!({ "imageSize": self.image.len() }))
        });
    }

    fn refused(&self, suite: &mut Suite, id: &str, description: &str, from: &str, what: Refused) {
        self.add(suite, id, description, |draft, wire| {
            let differs = format!("verity/{from}/{}", wire.name());
            what.flags
                .iter()
                .fold(draft.demand(what.source.0, what.source.1), |draft, flag| {
                    draft.flag(flag)
                })
                .differs_from(&differs)
                .refused(what.code, what.at)
        });
    }
}

/// Why a layer is refused.
#[derive(Clone, Copy)]
struct Refused {
    source: (&'static str, &'static str),
    flags: &'static [&'static str],
    code: Code,
    at: At,
}

const fn refused(source: (&'static str, &'static str), code: Code, at: At) -> Refused {
    Refused {
        source,
        flags: &[],
        code,
        at,
    }
}

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let small = Image(bases.get("small.erofs").to_vec());
    one_block(suite, &small);
    let blocks = 20;
    let large = small.clone().set("blocks_lo", blocks).mend();
    let image = large.followed_by(&vec![b'x'; 4096 * (usize::try_from(blocks).unwrap() - 1)]);
    valid(suite, &image);
    differences(suite, &image);
    superblocks(suite, &image);
}

/// One block of data, which has no level.
fn one_block(suite: &mut Suite, small: &Image) {
    let bare = Tree {
        superblock: false,
        ..PLAIN
    };
    for (name, tree) in [("room-0", bare), ("room-1", PLAIN)] {
        let layer = Layer::new(&small.0, tree);
        every(
            suite,
            &format!("verity/{name}"),
            "A dm-verity tree over one block follows the image, without a superblock (room-0) or with one: it has no level.",
            &layer.image,
            |draft, _| {
                layer
                    .stating(draft)
                    .demand(HASHES.0, HASHES.1)
                    .flag("ambiguous")
                    .valid(json!({ "imageSize": layer.image.len() }))
            },
        );
    }
    for (name, from, tree) in [("level", "room-0", bare), ("room-2", "room-1", PLAIN)] {
        let layer = Layer::new(&small.0, tree);
        let mut level = tree.hash(&small.0);
        level.resize(4096, 0);
        let end = layer.image.len();
        let with_level = layer.changed([&layer.image[..], &level].concat());
        every(
            suite,
            &format!("verity/{name}"),
            "The dm-verity tree over one block has a level of one hash all the same, as some writers make it.",
            &with_level.image,
            |draft, wire| {
                with_level
                    .stating(draft)
                    .demand(HASHES.0, HASHES.1)
                    .flag("ambiguous")
                    .differs_from(&format!("verity/{from}/{}", wire.name()))
                    .refused(Code::VerityLevel, At::Image(end as u64))
            },
        );
    }
    let image = small.followed_by(&vec![0; 4096 * 2 + 1]);
    let layer = Layer::new(&small.0, bare).changed(image);
    every(
        suite,
        "verity/trailing",
        "A byte follows the largest dm-verity tree that there can be over one block.",
        &layer.image,
        |draft, wire| {
            layer
                .stating(draft)
                .differs_from(&format!("verity/room-0/{}", wire.name()))
                .refused(Code::ImageTrailing, At::Image(SMALL + 2 * 4096))
        },
    );
}

/// Trees that are right.
fn valid(suite: &mut Suite, image: &[u8]) {
    Layer::new(image, PLAIN).valid(
        suite,
        "tree",
        "A dm-verity superblock without a salt and a tree of one level.",
        &[],
    );
    Layer::new(
        image,
        Tree {
            superblock: false,
            ..PLAIN
        },
    )
    .valid(
        suite,
        "no-superblock",
        "A dm-verity tree without a superblock, as the draft's one known writer leaves it.",
        &["ambiguous"],
    );
    Layer::new(
        image,
        Tree {
            block: 512,
            ..PLAIN
        },
    )
    .valid(
        suite,
        "levels",
        "A dm-verity tree of two levels of blocks of 512 bytes: the root's comes first.",
        &[],
    );
    Layer::new(
        image,
        Tree {
            salt: &[0; 32],
            ..PLAIN
        },
    )
    .valid(
        suite,
        "salt",
        "The dm-verity superblock has a salt of 32 zero bytes, as containerd writes it.",
        &[],
    );
    Layer::new(
        image,
        Tree {
            algorithm: Algorithm::Sha512,
            kind: 0,
            salt: b"salt",
            ..PLAIN
        },
    )
    .valid(
        suite,
        "sha512",
        "A dm-verity tree of SHA-512 and hash type 0, whose salt comes behind each block.",
        &[],
    );
}

/// Data and trees that do not fit each other, or the root.
fn differences(suite: &mut Suite, image: &[u8]) {
    let end = image.len();
    let offset = |at: usize| At::Image(at as u64);
    let good = Layer::new(image, PLAIN);
    let root = refused(HASHES, Code::VerityRoot, At::Whole);
    let mut wrong = good.changed(good.image.clone());
    wrong.root = format!("sha256:{}", "ab".repeat(32));
    wrong.refused(
        suite,
        "wrong-root",
        "The root digest that is stated is another.",
        "tree",
        root,
    );
    let root = refused(HASHES, Code::VerityRoot, At::Whole);
    good.with(9000, b"y").refused(
        suite,
        "data",
        "A byte of the data is another; its diffID is that of what came.",
        "tree",
        root,
    );
    let tree = end + 4096;
    good.with(tree + 33, b"?").refused(
        suite,
        "hash",
        "A byte of the dm-verity tree is another.",
        "tree",
        refused(HASHES, Code::VerityHash, offset(tree)),
    );
    good.with(tree + 4095, b"?").refused(
        suite,
        "spare",
        "Behind the hashes of a block of the dm-verity tree there is a byte that is not zero.",
        "tree",
        refused(HASHES, Code::VerityHash, offset(tree)),
    );
    let levels = Layer::new(
        image,
        Tree {
            block: 512,
            ..PLAIN
        },
    );
    // 160 blocks: 10 of hashes, and the root's.
    let below = end + 512 + 512;
    levels.with(below + 5 * 512, b"?").refused(
        suite,
        "hash-below",
        "A byte of the lower level of the dm-verity tree is another: where that level begins is told.",
        "levels",
        refused(HASHES, Code::VerityHash, offset(below)),
    );
    good.changed(good.image[..tree + 100].to_vec()).refused(
        suite,
        "truncated",
        "The layer ends inside the dm-verity tree.",
        "tree",
        refused(TREE, Code::VerityTruncated, offset(tree + 100)),
    );
    good.changed(good.image[..end + 100].to_vec()).refused(
        suite,
        "truncated-superblock",
        "The layer ends inside the dm-verity superblock: no tree is so short.",
        "tree",
        refused(TREE, Code::ImageSize, offset(end + 100)),
    );
    levels
        .changed(levels.image[..levels.image.len() - 512].to_vec())
        .refused(
            suite,
            "truncated-block",
            "The layer lacks the last block of the dm-verity tree, and is as long as one without a superblock.",
            "levels",
            refused(
                TREE,
                Code::VerityTruncated,
                offset(levels.image.len() - 512),
            ),
        );
    let bare = Layer::new(
        image,
        Tree {
            superblock: false,
            ..PLAIN
        },
    );
    let bare_end = bare.image.len();
    bare.changed([&bare.image[..], &[0]].concat()).refused(
        suite,
        "behind",
        "A byte follows the dm-verity tree, which has no superblock.",
        "no-superblock",
        refused(TREE, Code::ImageTrailing, offset(bare_end)),
    );
    Layer::new(
        image,
        Tree {
            superblock: false,
            salt: &[0; 32],
            ..PLAIN
        },
    )
    .refused(
        suite,
        "salt-unknown",
        "The dm-verity tree has a salt, and no superblock that could say so; no annotation can.",
        "no-superblock",
        Refused {
            flags: &["ambiguous"],
            ..refused(HASHES, Code::VerityRoot, At::Whole)
        },
    );
    let mut behind = good.changed(good.image.clone());
    behind.offset = good.image.len().next_multiple_of(4096) as u64 + 4096;
    behind.refused(
        suite,
        "offset-behind",
        "The dm-verity tree is stated to begin behind the end of the layer.",
        "tree",
        refused(TREE, Code::ImageSize, offset(good.image.len())),
    );
}

/// Superblocks that are refused, or are not those of the tree.
fn superblocks(suite: &mut Suite, image: &[u8]) {
    let good = Layer::new(image, PLAIN);
    let end = image.len();
    for (id, description, field, bytes, code) in [
        (
            "version",
            "The dm-verity superblock is of version 2.",
            8,
            &[2][..],
            Code::VerityVersion,
        ),
        (
            "hash-type",
            "The dm-verity superblock is of hash type 2.",
            12,
            &[2],
            Code::VerityHashType,
        ),
        (
            "algorithm",
            "The dm-verity superblock names an algorithm that the digest of an annotation cannot have.",
            32,
            b"sha1\0\0",
            Code::VerityAlgorithm,
        ),
        (
            "algorithm-other",
            "The dm-verity superblock names sha512, and the root digest is one of sha256.",
            32,
            b"sha512",
            Code::VerityParams,
        ),
        (
            "block-size",
            "The data blocks of the dm-verity superblock have 4097 bytes.",
            64,
            &[1],
            Code::VerityBlockSize,
        ),
        (
            "block-size-other",
            "The hash blocks of the dm-verity superblock have 8192 bytes, and 4096 are stated.",
            69,
            &[32],
            Code::VerityParams,
        ),
        (
            "blocks",
            "The dm-verity superblock covers a block less than lie before it.",
            72,
            &[19],
            Code::VerityBlocks,
        ),
        (
            "blocks-none",
            "The dm-verity superblock covers no blocks.",
            72,
            &[0],
            Code::VeritySize,
        ),
        (
            "salt-long",
            "The dm-verity superblock has a salt of 257 bytes.",
            80,
            &[1, 1],
            Code::VeritySalt,
        ),
    ] {
        // The byte of a number that is changed need not be its first.
        let at = At::Image((end + if field == 69 { 68 } else { field }) as u64);
        good.with(end + field, bytes).refused(
            suite,
            id,
            description,
            "tree",
            refused(FORMAT, code, at),
        );
    }
    let salted = Layer::new(
        image,
        Tree {
            salt: &[0; 32],
            ..PLAIN
        },
    );
    salted.with(end + 88, b"?").refused(
        suite,
        "wrong-salt",
        "The dm-verity superblock has another salt than the tree.",
        "salt",
        refused(HASHES, Code::VerityRoot, At::Whole),
    );
}
