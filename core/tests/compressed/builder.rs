//! Images with one compressed inode, whose map is written byte by byte.

use erofs_unpack_core::erofs::{Encoding, Image, Inode, Place, ReadError};
use erofs_unpack_core::{At, Code, Limits};

use super::common;

pub(crate) const BLOCK: usize = common::BLOCK;
pub(crate) const KIB: u64 = 1 << 10;
/// Where the inode of every test lies, and its map header.
pub(crate) const NID: u64 = 64;
pub(crate) const INODE: usize = 2048;
pub(crate) const HEADER: usize = INODE + 64;
/// Where the data starts: behind the largest map of any test.
pub(crate) const DATA: u32 = 8;
/// Advice in the map header.
pub(crate) const EXTENTS: u16 = 1;
pub(crate) const BIG: u16 = 2 | 4;
pub(crate) const INLINE: u16 = 8;
pub(crate) const INTERLACED: u16 = 16;
pub(crate) const FRAGMENT: u16 = 32;
/// Types of logical clusters.
pub(crate) const PLAIN: u16 = 0;
pub(crate) const HEAD1: u16 = 1;
pub(crate) const NONHEAD: u16 = 2;
pub(crate) const HEAD2: u16 = 3;
pub(crate) const PARTIAL: u16 = 1 << 15;
/// A distance that is a number of blocks.
pub(crate) const COUNT: u16 = 1 << 11;

/// A byte of the data area.
pub(crate) fn byte(at: usize) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

/// A run of the data area.
pub(crate) fn run(at: usize, length: usize) -> Vec<u8> {
    (at..at + length).map(byte).collect()
}

/// An image with one compressed inode.
pub(crate) struct Made(pub(crate) common::Image);

impl Made {
    /// An inode of this layout (1 full, 3 compact) and size.
    pub(crate) fn new(layout: u16, size: u64) -> Self {
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

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn inode(&mut self, at: usize, layout: u16, size: u64) -> &mut Self {
        self.put(at, &(1 | layout << 1).to_le_bytes())
            .put(at + 4, &0o10_0644_u16.to_le_bytes())
            .put(at + 8, &size.to_le_bytes())
    }

    /// The map header: what is in its first four bytes, the flags, the algorithms of both
    /// heads, and how many bits a logical cluster is larger than a block.
    pub(crate) fn header(&mut self, first: u32, flags: u16, algorithms: u8, bits: u8) -> &mut Self {
        self.put(HEADER, &first.to_le_bytes())
            .put(HEADER + 4, &flags.to_le_bytes())
            .put(HEADER + 6, &[algorithms, bits])
    }

    /// Full indexes from the first on: the type with flags, the offset, the block or the two
    /// distances.
    pub(crate) fn indexes(&mut self, indexes: &[(u16, u16, u32)]) -> &mut Self {
        for (number, (kind, offset, block)) in indexes.iter().enumerate() {
            self.put(HEADER + 16 + number * 8, &kind.to_le_bytes())
                .put(HEADER + 18 + number * 8, &offset.to_le_bytes())
                .put(HEADER + 20 + number * 8, &block.to_le_bytes());
        }
        self
    }

    pub(crate) fn open(&self) -> (Image<&[u8]>, Inode) {
        let bytes = self.0.0.as_slice();
        let image = Image::open(bytes, bytes.len() as u64, &Limits::DEFAULT).unwrap();
        let inode = image.inode(NID).unwrap();
        (image, inode)
    }

    /// Bytes of the content.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let (image, inode) = self.open();
        let mut buf = vec![0xA5; length];
        let read = image.read(&inode, offset, &mut buf).unwrap();
        buf.truncate(read);
        buf
    }

    /// The extents, as their starts and places.
    pub(crate) fn extents(&self) -> Vec<(u64, u64, Place)> {
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
    pub(crate) fn refused(&self, offset: u64) -> (Code, At) {
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
pub(crate) const fn back(distance: u16, on: u16) -> u32 {
    distance as u32 | (on as u32) << 16
}

pub(crate) fn encoded(place: Place) -> (Encoding, u64, u64) {
    match place {
        Place::Encoded(pcluster) => (pcluster.encoding, pcluster.offset, pcluster.length),
        place => panic!("{place:?}"),
    }
}

/// A packed inode of two blocks at nid 32, and a superblock that knows it.
pub(crate) fn with_packed(made: &mut Made) -> &mut Made {
    made.0.set(96, &40_u64.to_le_bytes());
    made.inode(40 * 32, 0, 8192)
        .put(40 * 32 + 16, &(DATA + 20).to_le_bytes())
}
