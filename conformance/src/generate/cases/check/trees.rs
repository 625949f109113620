//! The clean images that the others are made from.

use super::super::super::erofs::{
    BLOCK_COUNT, Index, Node, Tree, Xattr, acl, advise, compact, compat, extents, full, header,
    incompat, lz4_run, padded,
};
use super::super::super::suite::Suite;
use super::breach::{Clean, clean};
use crate::manifest::Level;

/// Size of a block of these images.
const BLOCK: usize = 512;
/// The type of a pipe, a character device, a socket.
const FIFO: u16 = 0o01_0644;
const CHAR: u16 = 0o02_0600;
const SOCKET: u16 = 0o14_0644;
/// Indexes of the prefixes of xattrs.
const USER: u8 = 1;
const ACL: u8 = 2;
const TRUSTED: u8 = 4;
const SECURITY: u8 = 6;
/// A file capability: version 2, nothing permitted.
const CAPABILITIES: [u8; 20] = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// The first long prefix.
const LONG: u8 = 0x80;
/// A plain pcluster, and one of the first algorithm.
const PLAIN: u16 = 0;
const HEAD: u16 = 1;
/// LZ4 in the length of an encoded extent.
pub(super) const LZ4: u32 = 1 << 28;

/// All of them.
pub(super) struct Trees {
    pub(super) tree: Clean,
    pub(super) names: Clean,
    pub(super) xattrs: Clean,
    pub(super) objects: Clean,
    pub(super) chunks: Clean,
    pub(super) compressed: Clean,
    pub(super) extents: Clean,
    pub(super) fragments: Clean,
    pub(super) metabox: Clean,
    pub(super) long_map: Clean,
}

impl Trees {
    pub(super) fn add(suite: &mut Suite) -> Self {
        let mut add = |name: &str, description: &str, tree: &Tree, count, devices| {
            let id = format!("check-clean/{name}");
            let made = tree.write();
            let draft = clean(suite, &id, description, &made.image.0, count);
            suite.add(draft.with_input(|input| input.devices = devices));
            Clean {
                id,
                made,
                level: Level::Metadata,
                devices,
            }
        };
        let mut trees = Self {
            tree: add(
                "tree",
                "Inodes of every type, both forms, plain, inline and one hole, with a hard link.",
                &tree(),
                [14, 2],
                0,
            ),
            names: add(
                "names",
                "A directory of two blocks, one inline, a plain one, and one without its entry for itself.",
                &names(),
                [6, 3],
                0,
            ),
            xattrs: add(
                "xattrs",
                "Xattrs behind inodes and shared, ACLs, a long prefix, and a filter of names.",
                &xattrs(),
                [7, 1],
                0,
            ),
            objects: add(
                "objects",
                "A hole with an xattr whose name is all but that of a mark of overlayfs.",
                &objects(),
                [2, 1],
                0,
            ),
            chunks: add(
                "chunks",
                "Chunk-based files with block addresses and with indexes, holes, and four devices.",
                &chunks(),
                [4, 1],
                4,
            ),
            compressed: add(
                "compressed",
                "LZ4 with full and compact indexes, plain, big and inline pclusters.",
                &compressed(),
                [7, 1],
                0,
            ),
            extents: add(
                "extents",
                "LZ4 with encoded extents and a hole.",
                &with_extents(),
                [3, 1],
                0,
            ),
            fragments: add(
                "fragments",
                "A file that is a fragment, and one whose tail is.",
                &fragments(),
                [3, 1],
                0,
            ),
            metabox: add(
                "metabox",
                "A directory and a file in a metabox.",
                &metabox(),
                [4, 2],
                0,
            ),
            long_map: add(
                "long-map",
                "The indexes of a compressed file fill a block.",
                &long_map(),
                [3, 1],
                0,
            ),
        };
        add(
            "compressed-empty",
            "An empty file in the compact compressed layout, whose map header, which nobody needs, has \
             big pclusters for one algorithm alone.",
            &compressed_empty(),
            [2, 1],
            0,
        );
        add(
            "devices",
            "Chunks that follow each other from the image into one device and into the next, by one \
             address space, and by numbers and blocks of devices.",
            &devices(),
            [3, 1],
            2,
        );
        for tree in [
            &mut trees.compressed,
            &mut trees.extents,
            &mut trees.fragments,
        ] {
            tree.level = Level::Full;
        }
        trees
    }
}

fn tree() -> Tree {
    Tree::new(vec![
        Node::dir(""),
        Node::empty(".what"),
        Node::dir("d").extended(),
        Node::inline("d/f", b"hello\n"),
        Node::link("d/g", "d/f"),
        Node::special("fifo", FIFO, 0),
        // What an inode could look like, for one that is led to here.
        Node::inline("forged", &forged()),
        Node::hole("hole", 700),
        Node::special("null", CHAR, 0x103),
        Node::plain("p", &[b'p'; BLOCK]),
        Node::plain("q", &[b'q'; BLOCK]),
        Node::symlink("s", "d/f"),
        Node::special("sock", SOCKET, 0).extended(),
        Node::inline("x", b"extended\n").extended(),
        Node::empty("y"),
    ])
}

/// A compact inode of an empty file.
pub(super) fn forged() -> [u8; 32] {
    let mut inode = [0; 32];
    inode[4..6].copy_from_slice(&0o10_0644_u16.to_le_bytes());
    inode[6] = 1;
    inode[20] = 99;
    inode
}

fn names() -> Tree {
    let long = |letter: &str| letter.repeat(160);
    Tree::new(vec![
        Node::dir(""),
        Node::empty(&long("a")),
        Node::empty(&long("b")),
        Node::empty(&long("c")),
        Node::plain_dir("d"),
        Node::dir("e").without_dot(),
    ])
}

fn xattrs() -> Tree {
    let mode = [(1, 6, u32::MAX), (4, 4, u32::MAX), (0x20, 4, u32::MAX)];
    let named = [
        (1, 6, u32::MAX),
        (2, 7, 1000),
        (4, 4, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 4, u32::MAX),
    ];
    let mut tree = Tree::new(vec![
        Node::dir("").with(vec![Xattr::inline(TRUSTED, "overlay.opaque", b"y")]),
        Node::empty("acl").with(vec![Xattr::inline(ACL, "", &acl(&named))]),
        Node::empty("bare").with(vec![Xattr::shared(USER, "common", b"shared")]),
        Node::inline("inline", b"content behind xattrs\n").with(vec![
            Xattr::inline(USER, "a", b"1"),
            Xattr::inline(USER, "b", b"22"),
            Xattr::inline(SECURITY, "capability", &CAPABILITIES),
        ]),
        Node::empty("long").with(vec![Xattr::inline(LONG, "name", b"long")]),
        Node::empty("mode").with(vec![Xattr::inline(ACL, "", &acl(&mode))]),
        Node::empty("shared").extended().with(vec![
            Xattr::shared(USER, "common", b"shared"),
            Xattr::inline(USER, "own", b"own"),
        ]),
    ])
    .compat(compat::XATTR_FILTER | compat::PLAIN_XATTR_PFX)
    .incompat(incompat::XATTR_PREFIXES);
    tree.prefixes = vec![(USER, "prefix.")];
    tree
}

/// A file that becomes a metacopy file of overlayfs with the last letter of an xattr's name.
fn objects() -> Tree {
    let digest = [&[0, 36, 0, 1][..], &[0x5a; 32]].concat();
    Tree::new(vec![
        Node::dir(""),
        Node::hole("far", 700).with(vec![
            Xattr::inline(TRUSTED, "overlay.metacop-", &digest),
            Xattr::inline(TRUSTED, "overlay.redirect", b"/5a/5a5a"),
        ]),
    ])
}

fn chunks() -> Tree {
    let block = |letter: u8| [letter; BLOCK];
    let mut tree = Tree::new(vec![
        Node::dir(""),
        Node::chunks(
            "blocks",
            BLOCK as u64 * 5,
            1,
            false,
            vec![Some((0, 0)), None, Some((0, 2))],
            [block(b'a'), block(b'b'), block(b'c')].concat(),
        ),
        Node::chunks(
            "indexes",
            BLOCK as u64 * 4 - 1,
            0,
            true,
            vec![Some((1, 1)), None, Some((0, 0)), Some((2, 0))],
            block(b'd').to_vec(),
        ),
        Node::chunks("one", 100, 5, true, vec![Some((2, 1))], Vec::new()).extended(),
    ])
    .incompat(incompat::CHUNKED_FILE | incompat::DEVICE_TABLE);
    // The last two hold nothing.
    tree.devices = vec![(2, 64), (2, 66), (1, 68), (1, 69)];
    tree
}

/// Two devices, of two and of three blocks, follow the image in the one address space, and chunks go on from
/// one to the next: what is read from each must still come from there.
pub(super) fn devices() -> Tree {
    let in_one_space = (0..5).map(|block| Some((0, block))).collect();
    let mut tree = Tree::new(vec![
        Node::dir(""),
        Node::chunks(
            "numbers",
            BLOCK as u64 * 2,
            0,
            true,
            vec![Some((1, 1)), Some((2, 2))],
            Vec::new(),
        ),
        // Its one block in the image is the last.
        Node::chunks(
            "one-space",
            BLOCK as u64 * 5,
            0,
            true,
            in_one_space,
            vec![b'e'; BLOCK],
        ),
    ])
    .incompat(incompat::CHUNKED_FILE | incompat::DEVICE_TABLE);
    tree.devices = vec![(2, 0), (3, 0)];
    // Where they start depends on how long the image is, which does not depend on that.
    let blocks = tree.write().image.0.len() / BLOCK;
    let end = u32::try_from(blocks).expect("small");
    tree.devices = vec![(2, end), (3, end + 2)];
    tree
}

/// The configuration of LZ4: the largest distance, and the largest pcluster in blocks.
pub(super) fn lz4_config(blocks: u16) -> Vec<u8> {
    let mut config = 14_u16.to_le_bytes().to_vec();
    config.extend(0_u16.to_le_bytes());
    config.extend(blocks.to_le_bytes());
    config.resize(16, 0);
    config
}

/// An image whose files are compressed with LZ4.
pub(super) fn lz4_tree(nodes: Vec<Node>) -> Tree {
    let mut tree = Tree::new(nodes)
        .incompat(incompat::ZERO_PADDING | incompat::COMPR_CFGS)
        .field("available_compr_algs", 1);
    tree.configs = lz4_config(4);
    tree
}

/// A pcluster of so many blocks that decodes to so many bytes. Its data starts in the first
/// block, which is as far as zeros may go in front of it.
pub(super) fn pcluster(letter: u8, length: usize, blocks: usize) -> Vec<u8> {
    let literals = (blocks - 1) * BLOCK + 1;
    padded(&lz4_run(letter, literals, length), blocks * BLOCK)
}

/// Two pclusters of one block, each of two logical clusters.
fn two() -> Vec<Index> {
    vec![
        Index::Head(HEAD, 0, 0),
        Index::Rest(1, 1),
        Index::Head(HEAD, 0, 1),
        Index::Rest(1, 1),
    ]
}

fn compressed() -> Tree {
    let pair = || [pcluster(b'a', 1024, 1), pcluster(b'b', 1024, 1)].concat();
    let big = advise::BIG_PCLUSTER_1 | advise::BIG_PCLUSTER_2;
    let big_map = vec![
        Index::Head(HEAD, 0, 0),
        Index::Rest(BLOCK_COUNT | 2, 3),
        Index::Rest(2, 2),
        Index::Rest(3, 1),
        Index::Head(HEAD, 0, 2),
        Index::Rest(BLOCK_COUNT | 1, 1),
    ];
    let big_blocks = [pcluster(b'g', 2048, 2), pcluster(b'h', 1024, 1)].concat();
    let tail = lz4_run(b't', 1, 1000);
    let idata = u32::try_from(tail.len()).expect("short") << 16;
    let tail_map = full(
        header(idata, advise::INLINE_PCLUSTER, 0, 0),
        vec![Index::Head(HEAD, 0, 0), Index::Rest(1, 1)],
    );
    let with_tail = move |first| [tail_map(first), tail.clone()].concat();
    let plain = vec![
        Index::Head(PLAIN, 0, 0),
        Index::Head(PLAIN, 0, 1),
        Index::Head(HEAD, 0, 2),
        Index::Rest(1, 1),
    ];
    let plain_blocks = [
        vec![b'p'; BLOCK],
        vec![b'q'; BLOCK],
        pcluster(b'r', 1024, 1),
    ]
    .concat();
    lz4_tree(vec![
        Node::dir(""),
        Node::compressed("tail", 1, 1000, with_tail, Vec::new()),
        Node::compressed(
            "big",
            1,
            3072,
            full(header(0, big, 0, 0), big_map.clone()),
            big_blocks.clone(),
        ),
        Node::compressed(
            "compact",
            3,
            2048,
            compact(header(0, 0, 0, 0), false, two()),
            pair(),
        ),
        Node::compressed(
            "compact-big",
            3,
            3072,
            compact(header(0, big, 0, 0), true, big_map),
            big_blocks,
        ),
        Node::compressed("full", 1, 2048, full(header(0, 0, 0, 0), two()), pair()),
        Node::compressed(
            "plain",
            1,
            2048,
            full(header(0, 0, 0, 0), plain),
            plain_blocks,
        ),
    ])
    .incompat(incompat::ZTAILPACKING)
}

/// One pcluster of so many logical clusters that their indexes cover a whole block.
fn long_map() -> Tree {
    let clusters = 130;
    let rest = (1..clusters).map(|back| Index::Rest(back, clusters - back));
    let map = [Index::Head(HEAD, 0, 0)].into_iter().chain(rest).collect();
    let size = usize::from(clusters) * BLOCK;
    lz4_tree(vec![
        Node::dir(""),
        Node::compressed(
            "long",
            1,
            size as u64,
            full(header(0, 0, 0, 0), map),
            pcluster(b'm', size, 1),
        ),
        Node::plain("p", &[b'p'; BLOCK]),
    ])
}

fn compressed_empty() -> Tree {
    let map = compact(header(0, advise::BIG_PCLUSTER_1, 0, 0), false, Vec::new());
    lz4_tree(vec![
        Node::dir(""),
        Node::compressed("empty", 3, 0, map, Vec::new()),
    ])
}

fn with_extents() -> Tree {
    let length = u32::try_from(BLOCK).expect("small");
    let records = vec![
        (0, length | LZ4, Some(0)),
        (1024, length | LZ4, Some(1)),
        (2048, 0, None),
    ];
    let blocks = [pcluster(b'a', 1024, 1), pcluster(b'b', 1024, 1)].concat();
    let one = vec![(0, length | LZ4, Some(0))];
    lz4_tree(vec![
        Node::dir(""),
        Node::compressed("extents", 1, 3000, extents(records, 9), blocks),
        Node::compressed("one", 1, 700, extents(one, 9), pcluster(b'c', 700, 1)).extended(),
    ])
    .incompat(incompat::BIT48)
}

fn fragments() -> Tree {
    // The highest bit says that the rest is where the file lies in the packed inode.
    let whole = |_| (1_u64 << 63 | 300).to_le_bytes().to_vec();
    let map = vec![
        Index::Head(HEAD, 0, 0),
        Index::Rest(1, 1),
        Index::Fragment(HEAD),
    ];
    lz4_tree(vec![
        Node::plain("#packed", &[vec![b'0'; 300], vec![b'1'; 200]].concat()),
        Node::dir(""),
        Node::compressed(
            "tail",
            1,
            1324,
            full(header(0, advise::FRAGMENT_PCLUSTER, 0, 0), map),
            pcluster(b'a', 1024, 1),
        ),
        Node::compressed("whole", 1, 200, whole, Vec::new()),
    ])
    .incompat(incompat::FRAGMENTS)
}

/// A directory and a file in a metabox, which `inode` holds.
pub(super) fn metabox_tree(inode: Node) -> Tree {
    Tree::new(vec![
        inode,
        Node::dir(""),
        Node::dir("d").in_metabox(),
        Node::inline("d/f", b"in the metabox\n").in_metabox(),
        Node::inline("outside", b"in the image\n"),
    ])
    .incompat(incompat::METABOX)
}

fn metabox() -> Tree {
    metabox_tree(Node::plain("#metabox", &[0; BLOCK]))
}
