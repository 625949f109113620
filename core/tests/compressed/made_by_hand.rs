//! Maps that mkfs.erofs does not make, or not of files that a test can hold: every form of
//! record and every refusal. Their pclusters are not compressed, unless it matters.

use erofs_unpack_core::erofs::{Encoding, Image, Inode, Place, ReadError};
use erofs_unpack_core::{At, Code, Limits};

use super::common;

const BLOCK: usize = common::BLOCK;
const KIB: u64 = 1 << 10;
/// Where the inode of every test lies, and its map header.
const NID: u64 = 64;
const INODE: usize = 2048;
const HEADER: usize = INODE + 64;
/// Where the data starts: behind the largest map of any test.
const DATA: u32 = 8;
/// Advice in the map header.
const EXTENTS: u16 = 1;
const BIG: u16 = 2 | 4;
const INLINE: u16 = 8;
const INTERLACED: u16 = 16;
const FRAGMENT: u16 = 32;
/// Types of logical clusters.
const PLAIN: u16 = 0;
const HEAD1: u16 = 1;
const NONHEAD: u16 = 2;
const HEAD2: u16 = 3;
const PARTIAL: u16 = 1 << 15;
/// A distance that is a number of blocks.
const COUNT: u16 = 1 << 11;

/// A byte of the data area.
fn byte(at: usize) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

/// A run of the data area.
fn run(at: usize, length: usize) -> Vec<u8> {
    (at..at + length).map(byte).collect()
}

/// An image with one compressed inode.
struct Made(common::Image);

impl Made {
    /// An inode of this layout (1 full, 3 compact) and size.
    fn new(layout: u16, size: u64) -> Self {
        let mut image = common::Image::new(64);
        // LZ4 padding, configurations (big pclusters), fragments; LZ4 and zstd.
        image.set(80, &0x23_u32.to_le_bytes());
        image.set(84, &0b1001_u16.to_le_bytes());
        // The records of the two: 14 and 6 bytes, behind the superblock.
        image.0[1024 + 128..][..2].copy_from_slice(&14_u16.to_le_bytes());
        image.0[1024 + 144..][..2].copy_from_slice(&6_u16.to_le_bytes());
        for at in DATA as usize * BLOCK..image.0.len() {
            image.0[at] = byte(at);
        }
        let mut made = Self(image);
        made.inode(INODE, layout, size);
        made
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn inode(&mut self, at: usize, layout: u16, size: u64) -> &mut Self {
        self.put(at, &(1 | layout << 1).to_le_bytes())
            .put(at + 4, &0o10_0644_u16.to_le_bytes())
            .put(at + 8, &size.to_le_bytes())
    }

    /// The map header: what is in its first four bytes, the flags, the algorithms of both
    /// heads, and how many bits a logical cluster is larger than a block.
    fn header(&mut self, first: u32, flags: u16, algorithms: u8, bits: u8) -> &mut Self {
        self.put(HEADER, &first.to_le_bytes())
            .put(HEADER + 4, &flags.to_le_bytes())
            .put(HEADER + 6, &[algorithms, bits])
    }

    /// Full indexes from the first on: the type with flags, the offset, the block or the two
    /// distances.
    fn indexes(&mut self, indexes: &[(u16, u16, u32)]) -> &mut Self {
        for (number, (kind, offset, block)) in indexes.iter().enumerate() {
            self.put(HEADER + 16 + number * 8, &kind.to_le_bytes())
                .put(HEADER + 18 + number * 8, &offset.to_le_bytes())
                .put(HEADER + 20 + number * 8, &block.to_le_bytes());
        }
        self
    }

    fn open(&self) -> (Image<&[u8]>, Inode) {
        let bytes = self.0.0.as_slice();
        let image = Image::open(bytes, bytes.len() as u64, &Limits::DEFAULT).unwrap();
        let inode = image.inode(NID).unwrap();
        (image, inode)
    }

    /// Bytes of the content.
    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let (image, inode) = self.open();
        let mut buf = vec![0xA5; length];
        let read = image.read(&inode, offset, &mut buf).unwrap();
        buf.truncate(read);
        buf
    }

    /// The extents, as their starts and places.
    fn extents(&self) -> Vec<(u64, u64, Place)> {
        let (image, inode) = self.open();
        let mut extents = vec![];
        let mut at = 0;
        while at < inode.size {
            let extent = image.extent(&inode, at).unwrap();
            assert!(extent.length > 0);
            extents.push((extent.offset, extent.length, extent.place));
            at = extent.offset + extent.length;
        }
        extents
    }

    /// Why a byte of the content cannot be read; the map and the reading must agree.
    fn refused(&self, offset: u64) -> (Code, At) {
        let (image, inode) = self.open();
        let Err(ReadError::Refused(error)) = image.read(&inode, offset, &mut [0]) else {
            panic!("byte {offset} can be read");
        };
        let Err(ReadError::Refused(mapped)) = image.extent(&inode, offset) else {
            panic!("byte {offset} has an extent");
        };
        assert_eq!(mapped, error);
        (error.code(), error.at())
    }
}

/// The block or distances of an index that is no head.
const fn back(distance: u16, on: u16) -> u32 {
    distance as u32 | (on as u32) << 16
}

fn encoded(place: Place) -> (Encoding, u64, u64) {
    match place {
        Place::Encoded(pcluster) => (pcluster.encoding, pcluster.offset, pcluster.length),
        place => panic!("{place:?}"),
    }
}

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

/// A packed inode of two blocks at nid 32, and a superblock that knows it.
fn with_packed(made: &mut Made) -> &mut Made {
    made.0.set(96, &40_u64.to_le_bytes());
    made.inode(40 * 32, 0, 8192)
        .put(40 * 32 + 16, &(DATA + 20).to_le_bytes())
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
        (PLAIN, 0, DATA + 1),
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
    made.indexes(&[(PLAIN, 0, DATA), (PLAIN, 0, 0), (NONHEAD, 0, back(1, 1))]);
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

/// A record of this size: encoded length and flags, physical offset, start.
fn record(size: usize, plen: u32, offset: u64, start: u64) -> Vec<u8> {
    let mut record = [0; 32];
    record[..4].copy_from_slice(&plen.to_le_bytes());
    record[4..12].copy_from_slice(&offset.to_le_bytes());
    record[12..20].copy_from_slice(&start.to_le_bytes());
    record[..size].to_vec()
}

/// An inode with extents in records of `size` bytes.
fn with_extents(size: usize, length: u64, flags: u16, records: &[(u32, u64, u64)]) -> Made {
    let mut made = Made::new(1, length);
    let bits = u16::try_from(size.ilog2() - 2).unwrap();
    let count = u32::try_from(records.len()).unwrap();
    // In the short forms the place of the upper bits of the count has the cluster size.
    made.header(
        if size > 8 { count } else { 0 },
        EXTENTS | bits << 1 | flags,
        0,
        u8::from(size <= 8),
    );
    let mut at = (HEADER + 8).next_multiple_of(size);
    if size == 4 {
        made.put(at, &records[0].1.to_le_bytes());
        at += 8;
    }
    for (plen, offset, start) in records {
        made.put(at, &record(size, *plen, *offset, *start));
        at += size;
    }
    made
}

#[test]
fn extents_one_after_the_other() {
    // 4 bytes each, clusters of 8 KiB: 8192, a hole, 8192, 1000 bytes.
    let start = u64::from(DATA) * 4096 + 123;
    let records = [(8192, start, 0), (0, 0, 0), (8200, 0, 0), (1000, 0, 0)];
    let made = with_extents(4, 3 * 8192 + 1000, 0, &records);
    let at = usize::try_from(start).unwrap();
    let mut content = run(at, 8192);
    content.extend([0; 8192]);
    content.extend(run(at + 8192, 8192));
    content.extend(run(at + 8192 + 8200, 1000));
    assert_eq!(made.read(0, 99_999), content);
    // Backwards, so that the cursor has to start again.
    let (image, inode) = made.open();
    for at in (0..content.len()).rev().step_by(1111) {
        let mut buf = [0; 700];
        let read = image.read(&inode, at as u64, &mut buf).unwrap();
        assert_eq!(buf[..read], content[at..at + read]);
    }
    assert_eq!(made.extents()[1], (8192, 8192, Place::Hole));
}

#[test]
fn extents_with_places() {
    // 8 bytes each, clusters of 8 KiB; the last one in the packed inode, whose offset has its
    // upper half in the place of the address.
    let base = u64::from(DATA) * 4096;
    let records = [(8192, base + 8192, 0), (8192, base + 1, 0), (55, 0, 0)];
    let mut made = with_extents(8, 2 * 8192 + 1000, FRAGMENT, &records);
    with_packed(&mut made);
    let base = DATA as usize * BLOCK;
    let mut content = run(base + 8192, 8192);
    content.extend(run(base + 1, 8192));
    content.extend(run(base + 20 * BLOCK + 55, 1000));
    assert_eq!(made.read(0, 99_999), content);
    assert_eq!(made.read(9000, 10), content[9000..9010]);
}

#[test]
fn extents_with_starts() {
    // 16 bytes each. The content begins with a hole; the second is interlaced.
    let base = u64::from(DATA) * 4096;
    let records = [(5000, base + 7, 100), (4096, base, 5000), (0, 0, 6000)];
    let made = with_extents(16, 7000, INTERLACED, &records);
    let at = DATA as usize * BLOCK;
    let mut content = vec![0; 100];
    content.extend(run(at + 7, 4900));
    content.extend(run(at + 5000 % BLOCK, 1000));
    content.extend([0; 1000]);
    assert_eq!(made.read(0, 99_999), content);
    let extents = made.extents();
    assert_eq!(extents[0], (0, 100, Place::Hole));
    assert_eq!(encoded(extents[1].2), (Encoding::Shifted, base + 7, 5000));
    assert_eq!(encoded(extents[2].2).0, Encoding::Interlaced);
    assert_eq!(extents[3], (6000, 1000, Place::Hole));
    // Out of order, and beyond the content.
    let made = with_extents(
        16,
        7000,
        0,
        &[(9, base, 6900), (9, base, 6800), (9, base, 6950)],
    );
    assert_eq!(made.refused(10).0, Code::MapExtents);
    let made = with_extents(16, 7000, 0, &[(9, base, 7001)]);
    assert_eq!(made.refused(10), (Code::MapExtents, At::File(NID, 10)));
}

#[test]
fn extents_beyond_four_gib() {
    // 32 bytes each, of a file that is nearly all holes.
    let base = u64::from(DATA) * 4096;
    let far = (5 << 30) + 17;
    let records = [(0, 0, 0), (6000, base + 3, far), (0, 0, far + 6000)];
    let made = with_extents(32, 20 << 30, 0, &records);
    let at = DATA as usize * BLOCK;
    let mut content = vec![0; 20];
    content.extend(run(at + 3, 6000));
    content.extend([0; 30]);
    assert_eq!(made.read(far - 20, 6050), content);
    assert_eq!(
        made.extents()
            .iter()
            .map(|e| (e.0, e.1))
            .collect::<Vec<_>>(),
        [(0, far), (far, 6000), (far + 6000, (20 << 30) - far - 6000)]
    );
}

#[test]
fn extents_that_cannot_be() {
    let base = u64::from(DATA) * 4096;
    let refused = |plen: u32, offset: u64, length: u64| {
        let made = with_extents(16, length, 0, &[(plen, offset, 0)]);
        let (image, inode) = made.open();
        match image.read(&inode, 0, &mut [0; 4096]) {
            Err(ReadError::Refused(error)) => error.code(),
            other => panic!("{other:?}"),
        }
    };
    let format = |algorithm: u32| (algorithm + 1) << 28;
    assert_eq!(refused(4095, base, 4096), Code::PclusterPlain);
    assert_eq!(refused(4096, 64 * 4096 - 4095, 4096), Code::FileBounds);
    assert_eq!(refused(4096, u64::MAX - 5, 4096), Code::FileBounds);
    assert_eq!(refused((1 << 20) + 1, base, 4096), Code::PclusterSize);
    assert_eq!(refused(4096, base, (12 << 20) + 1), Code::PclusterSize);
    assert_eq!(
        refused(4096 | format(1), base, 4096),
        Code::PclusterAlgorithm
    );
    assert_eq!(refused(4096 | format(9), base, 4096), Code::PclusterUnknown);
    assert_eq!(refused(4096 | format(3), base, 4096), Code::PclusterData);
}
