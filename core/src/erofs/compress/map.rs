//! The map of a compressed inode, as data: what its header says, and what is found in it.
//!
//! How it is read is in `header`, how a byte is found in `find`. Follows `struct z_erofs_map_header`
//! in `fs/erofs/erofs_fs.h`.

use super::super::{Layout, Space};
use super::pcluster::{Encoding, Pcluster};
use crate::{At, Code, Error, Value};

/// Size of the map header; it is aligned to as much.
pub(super) const HEADER: u64 = 8;

/// What a byte of the content is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Nothing: it is zero.
    Hole,
    /// A pcluster, which the extent starts with.
    Pcluster(Pcluster),
    /// Nothing, by a mark that older kernels do not know: they read this pcluster.
    Sparse(Pcluster),
    /// The packed inode; the extent starts at this offset in it.
    Fragment(u64),
}

/// An extent of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    /// Where it starts in the content, in bytes.
    pub(super) start: u64,
    /// How long it is, in bytes; never zero.
    pub(super) length: u64,
    pub(super) source: Source,
}

/// Where the last search in encoded extents of 4 bytes stopped.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    /// The record whose pcluster starts at `offset`; zero is always so.
    pub(super) record: u64,
    /// Where that pcluster starts, in bytes.
    pub(super) offset: u64,
}

/// How the map lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// There is none: all of the content is in the packed inode, from this offset on.
    Packed(u64),
    /// Indexes, full or compact.
    Indexes(Tail),
    /// Extents.
    Extents(ExtentTable),
}

/// What is special about the last extent of a map of indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    None,
    /// It starts in this logical cluster, and its pcluster lies here in the space of the
    /// inode.
    Inline { lcn: u64, offset: u64, length: u64 },
    /// It starts in this logical cluster and lies here in the packed inode.
    Fragment { lcn: u64, offset: u64 },
}

impl Tail {
    /// The logical cluster that the tail starts in.
    pub(super) const fn lcn(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Inline { lcn, .. } | Self::Fragment { lcn, .. } => Some(lcn),
        }
    }
}

/// Where the records of encoded extents are, and how long each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtentTable {
    /// Where the first starts, in bytes of the inode's space; for records of 4 bytes, where
    /// the physical offset is.
    pub(super) start: u64,
    /// Size of a record, as a power of two: 2 to 5.
    pub(super) bits: u8,
    /// Number of records, where they have 16 or 32 bytes.
    pub(super) count: u64,
}

impl ExtentTable {
    /// From the map header at `header` with these flags and this count.
    pub(super) fn new(header: u64, flags: u16, count: u64) -> Self {
        // `Z_EROFS_ADVISE_EXTRECSZ_BIT`: 4 bytes, doubled this many times.
        let bits = 2_u8.saturating_add(u8::try_from(flags >> 1 & 3).unwrap_or(0));
        let size = 1_u64 << bits;
        Self {
            start: header
                .saturating_add(HEADER)
                .checked_next_multiple_of(size)
                .unwrap_or(u64::MAX),
            bits,
            count,
        }
    }

    /// The byte after the last record.
    pub(super) fn end(&self, map: &Map) -> u64 {
        let clusters = map.lcn(map.size.saturating_sub(1)).saturating_add(1);
        match self.bits {
            // Behind the physical offset of the first.
            2 => self.place(clusters).saturating_add(8),
            3 => self.place(clusters),
            _ => self.place(self.count),
        }
    }

    /// Where a record is, in bytes of the inode's space.
    pub(super) fn place(&self, record: u64) -> u64 {
        self.start
            .saturating_add(record.saturating_mul(1_u64 << self.bits))
    }
}

/// What the map header of an inode says, with what else is needed to read the map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map {
    pub(super) nid: u64,
    /// Size of the content in bytes.
    pub(super) size: u64,
    pub(super) layout: Layout,
    pub(super) space: Space,
    /// Where the header is, in bytes of the space.
    pub(super) header: u64,
    pub(super) block_bits: u32,
    /// Size of a logical cluster, as a power of two: 9 to 31.
    pub(super) lcluster_bits: u32,
    pub(super) compact_2b: bool,
    pub(super) interlaced: bool,
    pub(super) fragment: bool,
    /// Whether pclusters of more than one block are possible, by the head's algorithm.
    pub(super) big_pclusters: (bool, bool),
    /// `Z_EROFS_COMPRESSION_*` of the first and the second head.
    pub(super) algorithms: (u8, u8),
    /// Which algorithms the image may use, one bit for each.
    pub(super) available: u16,
    /// Whether there are zeros in front of LZ4 data.
    pub(super) zero_padding: bool,
    pub(super) form: Form,
}

impl Map {
    /// Where this logical cluster starts in the content.
    pub(super) const fn start_of(&self, lcn: u64) -> u64 {
        lcn.saturating_mul(self.lcluster_size())
    }

    /// The logical cluster that holds this byte.
    pub(super) const fn lcn(&self, offset: u64) -> u64 {
        match offset.checked_shr(self.lcluster_bits) {
            Some(lcn) => lcn,
            None => 0,
        }
    }

    /// Size of a logical cluster in bytes.
    pub(super) const fn lcluster_size(&self) -> u64 {
        match 1_u64.checked_shl(self.lcluster_bits) {
            Some(size) => size,
            None => 1,
        }
    }

    /// Size of a block in bytes.
    pub(super) const fn block_size(&self) -> u64 {
        match 1_u64.checked_shl(self.block_bits) {
            Some(size) => size,
            None => 1,
        }
    }

    /// Number of blocks of the content, as if it were not compressed.
    pub(super) const fn blocks(&self) -> u64 {
        let last = match self.size.saturating_sub(1).checked_shr(self.block_bits) {
            Some(last) => last,
            None => 0,
        };
        if self.size == 0 {
            0
        } else {
            last.saturating_add(1)
        }
    }

    pub(super) const fn has_big_pclusters(&self) -> bool {
        self.big_pclusters.0 || self.big_pclusters.1
    }

    /// The algorithm of this number, if the image may use it.
    pub(super) fn algorithm(&self, number: u8, start: u64) -> Result<Encoding, Error> {
        let at = At::File(self.nid, start);
        let encoding = match number {
            0 => Encoding::Lz4,
            1 => Encoding::Lzma,
            2 => Encoding::Deflate,
            3 => Encoding::Zstd,
            _ => {
                return Err(Error::new(Code::PclusterUnknown, at)
                    .found(Value::Number(number.into()))
                    .expected(Value::AtMost(3)));
            }
        };
        if self.available >> number & 1 == 0 {
            return Err(Error::new(Code::PclusterAlgorithm, at)
                .found(Value::Text(encoding.name()))
                .expected(Value::Hex(self.available.into())));
        }
        Ok(encoding)
    }
}
