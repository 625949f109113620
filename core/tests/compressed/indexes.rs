//! Indexes and fragments that mkfs.erofs does not make, and every way in which they can be
//! wrong. Pclusters are not compressed, unless it matters.

use erofs_unpack_core::erofs::{Encoding, Place, ReadError};
use erofs_unpack_core::{At, Code};

use super::builder::*;

#[test]
fn full_indexes_in_clusters_larger_than_blocks() {
    // Clusters of 8 KiB: a big plain pcluster that ends inside the third, one of one block
    // that begins there, and the end of the content inside the fourth.
    let mut made = Made::new(1, 26_000);
    made.header(0, BIG, 0, 1).indexes(&[
        (PLAIN, 0, DATA),
        (NONHEAD, 0, back(COUNT | 5, 1)),
        (PLAIN, 4000, DATA + 9),
        (PLAIN, 0, DATA + 12),
    ]);
    let data = DATA as usize * BLOCK;
    let mut content = run(data, 16_384 + 4000);
    // 4192 bytes are more than the block holds.
    assert_eq!(
        made.refused(21_000),
        (Code::PclusterPlain, At::File(NID, 20_384))
    );
    made.indexes(&[
        (PLAIN, 0, DATA),
        (NONHEAD, 0, back(COUNT | 6, 1)),
        (PLAIN, 4096, DATA + 9),
        (PLAIN, 0, DATA + 12),
    ]);
    content.extend(run(data + 16_384 + 4000, 96));
    content.extend(run(data + 9 * BLOCK, 4096));
    assert_eq!(made.read(0, 24_576), content);
    assert_eq!(made.read(20_400, 200), content[20_400..20_600]);
    // The rest is 1424 bytes of the block at 12.
    assert_eq!(made.read(24_000, 9999)[576..], run(data + 12 * BLOCK, 1424));
    let extents = made.extents();
    assert_eq!(
        extents.iter().map(|e| (e.0, e.1)).collect::<Vec<_>>(),
        [(0, 20_480), (20_480, 4096), (24_576, 1424)]
    );
    assert_eq!(
        encoded(extents[0].2),
        (Encoding::Shifted, data as u64, 6 * 4096)
    );
}

#[test]
fn the_second_head_has_the_second_algorithm() {
    let mut made = Made::new(1, 8192);
    // zstd first, LZ4 second.
    made.header(0, 0, 3, 0)
        .indexes(&[(HEAD2 | PARTIAL, 0, DATA), (HEAD1, 0, DATA + 1)]);
    // A block of 13 literals, up to the end of the pcluster.
    let end = (DATA as usize + 1) * BLOCK;
    made.put(end - BLOCK, &[0; BLOCK])
        .put(end - 14, b"\xd0Hello, world!");
    assert_eq!(made.extents()[0].2, {
        let Place::Encoded(pcluster) = made.extents()[0].2 else {
            panic!()
        };
        assert_eq!(pcluster.encoding, Encoding::Lz4);
        assert!(pcluster.partial);
        Place::Encoded(pcluster)
    });
    assert_eq!(encoded(made.extents()[1].2).0, Encoding::Zstd);
    let (image, inode) = made.open();
    let Err(ReadError::Refused(error)) = image.read(&inode, 0, &mut [0; 4096]) else {
        panic!()
    };
    // It decodes to 13 bytes, and the extent has 4096.
    assert_eq!(error.code(), Code::PclusterLength);
    // The extent of the first 13 bytes is that.
    made.indexes(&[(HEAD2 | PARTIAL, 0, DATA), (PLAIN, 13, DATA + 1)]);
    made.indexes(&[(HEAD2 | PARTIAL, 0, DATA)]);
    made.inode(INODE, 1, 13);
    assert_eq!(made.read(0, 99), b"Hello, world!");
    assert_eq!(made.read(7, 5), b"world");
}

#[test]
fn interlaced_pclusters_of_several_blocks() {
    let mut made = Made::new(1, 8492 + 6000);
    made.header(0, BIG | INTERLACED, 0, 0).indexes(&[
        (PLAIN, 0, DATA + 2),
        (NONHEAD, 0, back(COUNT | 3, 1)),
        (PLAIN, 300, DATA + 8),
        (NONHEAD, 0, back(COUNT | 2, 1)),
    ]);
    let data = DATA as usize * BLOCK;
    // The first block of the content is the last one of the pcluster.
    let mut content = run(data + 4 * BLOCK, BLOCK);
    content.extend(run(data + 2 * BLOCK, 8492 - BLOCK));
    // The second extent begins 300 bytes into a block.
    content.extend(run(data + 9 * BLOCK + 300, BLOCK - 300));
    content.extend(run(data + 8 * BLOCK, 6000 - (BLOCK - 300)));
    assert_eq!(made.read(0, 99_999), content);
    for at in (0..content.len()).step_by(777) {
        assert_eq!(
            made.read(at as u64, 5),
            content[at..content.len().min(at + 5)]
        );
    }
    let extents = made.extents();
    assert_eq!(encoded(extents[1].2).0, Encoding::Interlaced);
    // With two blocks the first pcluster is too small.
    made.put(HEADER + 28, &back(COUNT | 2, 1).to_le_bytes());
    assert_eq!(made.refused(0), (Code::PclusterPlain, At::File(NID, 0)));
}

#[test]
fn chains_of_indexes_are_followed_no_further_than_a_pcluster_goes() {
    // 4096 clusters that all point one back, and no head but at the very start.
    let mut made = Made::new(1, 3500 * 4 * KIB);
    made.header(0, 0, 0, 0).indexes(&[(PLAIN, 0, DATA)]);
    for lcn in 1..3500 {
        made.put(HEADER + 16 + lcn * 8, &[2, 0, 0, 0, 1, 0, 1, 0]);
    }
    let last = 3499 * 4 * KIB;
    assert_eq!(
        made.refused(last),
        (Code::PclusterSize, At::File(NID, last))
    );
    assert_eq!(made.refused(0), (Code::PclusterSize, At::File(NID, 0)));
}

#[test]
fn indexes_that_lead_nowhere() {
    let made = |indexes: &[(u16, u16, u32)]| {
        let mut made = Made::new(1, 12_288);
        made.header(0, 0, 0, 0).indexes(indexes);
        made
    };
    let head = (PLAIN, 0, DATA);
    // No distance, one to before the start, one over the head.
    for (distance, at) in [(0, 8192), (3, 8192), (2, 8192)] {
        let indexes = [(HEAD1, 0, DATA), head, (NONHEAD, 0, back(distance, 1))];
        let made = made(&indexes);
        assert_eq!(made.refused(8192), (Code::MapDistance, At::File(NID, at)));
        if distance == 2 {
            // Seen from the head before it, the distance is too long.
            assert_eq!(made.refused(4096), (Code::MapDistance, At::File(NID, at)));
        }
    }
    // The first extent begins after the start.
    let late = made(&[(PLAIN, 1, DATA), head, head]);
    assert_eq!(late.refused(0), (Code::MapDistance, At::File(NID, 0)));
    // An offset beyond the cluster, and one beyond the end of the content.
    let beyond = made(&[(PLAIN, 4096, DATA), head, head]);
    assert_eq!(beyond.refused(0), (Code::MapOffset, At::File(NID, 0)));
    let mut past = made(&[head, (PLAIN, 100, DATA), head]);
    past.inode(INODE, 1, 4096 + 50);
    assert_eq!(past.refused(0), (Code::MapOffset, At::File(NID, 4096)));
    // A count of blocks where there are no big pclusters; none where there are.
    let count = made(&[head, (NONHEAD, 0, back(COUNT | 2, 1)), head]);
    assert_eq!(count.refused(0), (Code::MapBlockCount, At::File(NID, 4096)));
    let mut count = made(&[(HEAD1, 0, DATA), (NONHEAD, 0, back(1, 1)), head]);
    count.header(0, BIG, 0, 0);
    assert_eq!(count.refused(0), (Code::MapBlockCount, At::File(NID, 4096)));
}

#[test]
fn pclusters_that_cannot_be() {
    let refused = |flags: u16, algorithms: u8, indexes: &[(u16, u16, u32)]| {
        let mut made = Made::new(1, 12_288);
        made.header(0, flags, algorithms, 0).indexes(indexes);
        made.refused(0)
    };
    let at = At::File(NID, 0);
    let (head, rest) = ((HEAD1, 0, DATA), (NONHEAD, 0, back(1, 1)));
    // MicroLZMA, which the superblock does not name; an algorithm that there is not.
    assert_eq!(
        refused(0, 1, &[head, rest, head]),
        (Code::PclusterAlgorithm, at)
    );
    assert_eq!(
        refused(0, 4, &[head, rest, head]),
        (Code::PclusterUnknown, at)
    );
    // 257 blocks are more than 1 MiB; three more than the 8 KiB that they decode to.
    let big = (NONHEAD, 0, back(COUNT | 257, 1));
    assert_eq!(
        refused(BIG, 0, &[head, big, head]),
        (Code::PclusterSize, at)
    );
    let big = (NONHEAD, 0, back(COUNT | 3, 1));
    assert_eq!(
        refused(BIG, 0, &[head, big, head]),
        (Code::PclusterSurplus, at)
    );
    // At the end of the content, or of a part, it may be.
    let mut made = Made::new(1, 8192);
    made.header(0, BIG, 0, 0).indexes(&[head, big]);
    assert_eq!(made.extents().len(), 1);
    // Big pclusters in an image without them.
    let mut made = Made::new(1, 8192);
    made.header(0, BIG, 0, 0).indexes(&[head, rest]);
    made.0.set(80, &0x01_u32.to_le_bytes());
    assert_eq!(made.refused(0), (Code::MapHeader, At::Nid(NID)));
    // Of one head only, in the compact layout.
    let mut made = Made::new(3, 8192);
    made.header(0, 2, 0, 0);
    assert_eq!(made.refused(0), (Code::MapHeader, At::Nid(NID)));
    // Clusters of 32 KiB with compact indexes.
    let mut made = Made::new(3, 8192);
    made.header(0, 0, 0, 3);
    assert_eq!(made.refused(0), (Code::MapLclusterSize, At::File(NID, 0)));
}

#[test]
fn inline_pclusters_stay_in_their_block() {
    // Two clusters; the second is inline, behind its index.
    let mut made = Made::new(1, 4096 + 100);
    made.header(100 << 16, INLINE, 0, 0)
        .indexes(&[(PLAIN, 0, DATA), (PLAIN, 0, 0)])
        .put(HEADER + 32, &run(0, 100));
    let mut content = run(DATA as usize * BLOCK, BLOCK);
    content.extend(run(0, 100));
    assert_eq!(made.read(0, 9999), content);
    let tail = made.extents()[1].2;
    assert_eq!(
        encoded(tail),
        (Encoding::Shifted, (HEADER + 32) as u64, 100)
    );
    // To the very end of the block and one byte on.
    let room = u32::try_from(BLOCK - (HEADER + 32)).unwrap();
    made.header(room << 16, INLINE, 0, 0);
    assert_eq!(made.read(4096, 100), run(0, 100));
    made.header((room + 1) << 16, INLINE, 0, 0);
    assert_eq!(
        made.refused(4096),
        (Code::PclusterInline, At::File(NID, 4096))
    );
}

#[test]
fn fragments() {
    let packed = (DATA as usize + 20) * BLOCK;
    // The whole file; the highest bit of the header says so.
    let mut made = Made::new(1, 5000);
    with_packed(&mut made).put(HEADER, &(1_u64 << 63 | 1234).to_le_bytes());
    assert_eq!(made.read(0, 9999), run(packed + 1234, 5000));
    assert_eq!(
        made.extents(),
        [(0, 5000, Place::Fragment { offset: 1234 })]
    );
    // The tail, from the middle of a cluster on.
    let mut made = Made::new(1, 10_000);
    with_packed(&mut made).header(77, FRAGMENT, 0, 0).indexes(&[
        (PLAIN, 0, DATA),
        (HEAD1, 0, DATA + 1),
        (NONHEAD, 0, back(1, 1)),
    ]);
    assert_eq!(
        made.extents()[1],
        (
            4096,
            5904,
            Place::Fragment {
                offset: u64::from(DATA + 1) << 32 | 77
            }
        )
    );
    // A plain head would be held against a pcluster that is not there.
    made.indexes(&[(PLAIN, 0, DATA), (PLAIN, 0, 0), (NONHEAD, 0, back(1, 1))]);
    assert_eq!(
        made.refused(4096),
        (Code::PclusterPlain, At::File(NID, 4096))
    );
    made.indexes(&[(PLAIN, 0, DATA), (HEAD1, 0, 0), (NONHEAD, 0, back(1, 1))]);
    assert_eq!(made.read(4096, 9999), run(packed + 77, 5904));
    // Beyond the end of the packed inode; no packed inode.
    let (image, inode) = made.open();
    assert_eq!(image.read(&inode, 4096, &mut [0; 9]).unwrap(), 9);
    made.header(8192 - 5903, FRAGMENT, 0, 0);
    let (image, inode) = made.open();
    let Err(ReadError::Refused(error)) = image.read(&inode, 9999, &mut [0]) else {
        panic!()
    };
    assert_eq!(error.code(), Code::FragmentBounds);
    made.0.set(96, &0_u64.to_le_bytes());
    let (image, inode) = made.open();
    let Err(ReadError::Refused(error)) = image.read(&inode, 4096, &mut [0]) else {
        panic!()
    };
    assert_eq!(error.code(), Code::FragmentInode);
}

#[test]
fn fragments_in_the_packed_inode_are_refused() {
    // The file is the packed inode; and the packed inode is another such file.
    for packed in [NID, 40] {
        let mut made = Made::new(1, 5000);
        made.0.set(96, &packed.to_le_bytes());
        made.put(HEADER, &(1_u64 << 63 | 12).to_le_bytes());
        made.inode(40 * 32, 1, 9000)
            .put(40 * 32 + 64, &(1_u64 << 63 | 13).to_le_bytes());
        let (image, inode) = made.open();
        let Err(ReadError::Refused(error)) = image.read(&inode, 0, &mut [0; 99]) else {
            panic!()
        };
        assert_eq!(error.code(), Code::FragmentLoop);
        assert_eq!(error.at(), At::Nid(packed));
    }
}

#[test]
fn a_metabox_that_needs_itself_is_refused() {
    // The metabox is a fragment of the packed inode, which lies in the metabox.
    let metabox = 1_u64 << 63;
    let mut made = Made::new(1, 5000);
    made.put(HEADER, &(1_u64 << 63 | 12).to_le_bytes());
    made.0
        .set(80, &0x121_u32.to_le_bytes())
        .set(84, &[0, 0])
        .set(13, &[1])
        .set(96, &(metabox | 3).to_le_bytes())
        .set(128, &NID.to_le_bytes());
    let (image, _) = made.open();
    for _ in 0..2 {
        let Err(ReadError::Refused(error)) = image.inode(metabox | 5) else {
            panic!()
        };
        assert_eq!(error.code(), Code::MetaboxLoop);
        assert_eq!(error.at(), At::Nid(NID));
    }
    // The packed inode lies in the image: then the fragment is read.
    made.0.set(96, &40_u64.to_le_bytes());
    made.inode(40 * 32, 0, 8192)
        .put(40 * 32 + 16, &(DATA + 20).to_le_bytes());
    let at = (DATA as usize + 20) * BLOCK + 12 + 5 * 32;
    made.inode(at, 0, 4321);
    let (image, _) = made.open();
    let inode = image.inode(metabox | 5).unwrap();
    assert_eq!((inode.size, inode.offset), (4321, 5 * 32));
    // Beyond the end of the metabox.
    let Err(ReadError::Refused(error)) = image.inode(metabox | 157) else {
        panic!()
    };
    assert_eq!(error.code(), Code::InodeOffset);
}

#[test]
fn lz4_without_zero_padding_is_decoded_as_far_as_its_extent_goes() {
    // The first mkfs.erofs named no algorithm; later ones named LZ4 by its largest distance, or in a list.
    for (incompat, named) in [(0, 0), (0, 0xffff), (2, 1)] {
        let mut made = Made::new(1, 9000);
        made.0.set(80, &u32::to_le_bytes(incompat));
        made.0.set(84, &u16::to_le_bytes(named));
        made.header(0, 0, 0, 0).indexes(&[
            (HEAD1, 0, DATA),
            (HEAD1, 100, DATA + 1),
            (HEAD1, 0, DATA + 2),
        ]);
        // 12 literals, and 10,000 bytes more by a match with them: more than any extent has. What
        // follows is no LZ4.
        let mut block = b"\xcfHello, world\x0c\x00".to_vec();
        block.extend([255; 39]);
        block.push(36);
        let data = DATA as usize * BLOCK;
        for number in 0..3 {
            made.put(data + number * BLOCK, &block);
        }
        let turns = |length| b"Hello, world".iter().copied().cycle().take(length);
        // The second extent is shorter than its pcluster, in the middle of the file.
        let content: Vec<u8> = turns(4196).chain(turns(3996)).chain(turns(808)).collect();
        assert_eq!(made.read(0, 9999), content, "{incompat} {named}");
        assert_eq!(made.read(4000, 450), content[4000..4450]);
        let extents = made.extents();
        assert_eq!(encoded(extents[0].2).0, Encoding::Lz4);
    }
}

#[test]
fn a_count_of_blocks_is_that_of_its_head() {
    // Big pclusters of the first head alone, and a count behind the second.
    let mut made = Made::new(1, 12_288);
    made.header(0, 2, 0, 0).indexes(&[
        (HEAD2, 0, DATA),
        (NONHEAD, 0, back(COUNT | 1, 1)),
        (HEAD1, 0, DATA + 1),
    ]);
    assert_eq!(made.refused(0), (Code::MapBlockCount, At::File(NID, 4096)));
    made.indexes(&[(HEAD2, 0, DATA), (NONHEAD, 0, back(1, 1))]);
    assert_eq!(encoded(made.extents()[0].2).0, Encoding::Lz4);
}

#[test]
fn holes_by_their_mark_and_by_their_count() {
    const HOLE: u16 = 1 << 14;
    let mut made = Made::new(1, 20_480);
    made.header(0, BIG, 0, 0).indexes(&[
        (PLAIN, 0, DATA),
        // Whatever its pcluster counts.
        (HEAD1 | HOLE, 0, DATA + 1),
        (NONHEAD, 0, back(COUNT | 3, 1)),
        (HEAD1, 0, DATA + 2),
        (NONHEAD, 0, back(COUNT, 1)),
    ]);
    let mut content = run(DATA as usize * BLOCK, BLOCK);
    content.resize(20_480, 0);
    assert_eq!(made.read(0, 99_999), content);
    for (at, length) in [(4096, 8192), (9000, 8192), (17_000, 3480)] {
        assert_eq!(made.read(at, length), vec![0; length]);
    }
    let extents = made.extents();
    assert_eq!(extents[1], (4096, 8192, Place::Hole));
    assert_eq!(extents[2], (12_288, 8192, Place::Hole));
    // What is not compressed is no hole, and needs blocks.
    made.indexes(&[(PLAIN | HOLE, 0, DATA)]);
    assert_eq!(made.refused(0), (Code::PclusterPlain, At::File(NID, 0)));
}
