//! The map of a compressed inode: its header, its tail, and which pcluster holds a byte.
//!
//! Follows `struct z_erofs_map_header`, `z_erofs_fill_inode` and `z_erofs_map_sanity_check`
//! in `fs/erofs/zmap.c`.

use super::super::{Incompat, Inode, Layout, ReadAt, ReadResult, Space, Superblock};
use super::extents::{self, Cursor};
use super::lcluster::{Found, Indexes, Kind};
use super::records::Records;
use super::{Encoding, Pcluster};
use super::{compact, full};
use crate::{At, Code, Error, Value};

/// Largest encoded size of a pcluster, in bytes (`Z_EROFS_PCLUSTER_MAX_SIZE`).
pub(super) const MAX_ENCODED: u64 = 1 << 20;
/// Largest decoded size of a pcluster, in bytes (`Z_EROFS_PCLUSTER_MAX_DSIZE`).
pub(super) const MAX_DECODED: u64 = 12 << 20;
/// Size of the map header; it is aligned to as much.
pub(super) const HEADER: u64 = 8;

/// `Z_EROFS_ADVISE_*`.
mod advise {
    /// In the compact layout: there are 2-byte packs.
    pub(super) const COMPACTED_2B: u16 = 0x01;
    /// In the full layout: there are extents, not indexes.
    pub(super) const EXTENTS: u16 = 0x01;
    /// Pclusters of the first algorithm may have several blocks.
    pub(super) const BIG_PCLUSTER_1: u16 = 0x02;
    /// Pclusters of the second algorithm and plain ones may have several blocks.
    pub(super) const BIG_PCLUSTER_2: u16 = 0x04;
    /// The last pcluster lies behind the indexes.
    pub(super) const INLINE_PCLUSTER: u16 = 0x08;
    /// Plain pclusters are turned round so that blocks and pages agree.
    pub(super) const INTERLACED_PCLUSTER: u16 = 0x10;
    /// The last extent lies in the packed inode.
    pub(super) const FRAGMENT_PCLUSTER: u16 = 0x20;
}

/// What a byte of the content is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::erofs) enum Source {
    /// Nothing: it is zero.
    Hole,
    /// A pcluster, which the extent starts with.
    Pcluster(Pcluster),
    /// The packed inode; the extent starts at this offset in it.
    Fragment(u64),
}

/// An extent of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::erofs) struct Mapped {
    /// Where it starts in the content, in bytes.
    pub(in crate::erofs) start: u64,
    /// How long it is, in bytes; never zero.
    pub(in crate::erofs) length: u64,
    pub(in crate::erofs) source: Source,
}

/// How the map lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// There is none: all of the content is in the packed inode, from this offset on.
    Packed(u64),
    /// Indexes, full or compact.
    Indexes(Tail),
    /// Extents.
    Extents(extents::Form),
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
    const fn lcn(self) -> Option<u64> {
        match self {
            Self::None => None,
            Self::Inline { lcn, .. } | Self::Fragment { lcn, .. } => Some(lcn),
        }
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
    block_bits: u32,
    /// Size of a logical cluster, as a power of two: 9 to 31.
    pub(super) lcluster_bits: u32,
    pub(super) compact_2b: bool,
    pub(super) interlaced: bool,
    pub(super) fragment: bool,
    /// Whether pclusters of more than one block are possible, by the head's algorithm.
    pub(super) big_pclusters: (bool, bool),
    /// `Z_EROFS_COMPRESSION_*` of the first and the second head.
    algorithms: (u8, u8),
    /// Which algorithms the image may use, one bit for each.
    available: u16,
    form: Form,
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

    /// How the map lies on disk.
    pub(super) const fn form(&self) -> &Form {
        &self.form
    }

    pub(super) const fn has_big_pclusters(&self) -> bool {
        self.big_pclusters.0 || self.big_pclusters.1
    }

    /// Reads the map header of an inode (`z_erofs_fill_inode`), which has content.
    pub(super) fn load<R: ReadAt>(
        superblock: &Superblock,
        inode: &Inode,
        records: &mut Records<'_, R>,
    ) -> ReadResult<Self, R> {
        let space = if inode.in_metabox(superblock) {
            Space::Metabox
        } else {
            Space::Image
        };
        let end = inode.end();
        let header = end.checked_next_multiple_of(HEADER).unwrap_or(u64::MAX);
        let record: [u8; 8] = records.get(header)?;
        let [e0, e1, e2, e3, a0, a1, algorithms, cluster_bits] = record;
        let mut map = Self {
            nid: inode.nid,
            size: inode.size,
            layout: inode.layout,
            space,
            header,
            block_bits: superblock.block_bits.into(),
            lcluster_bits: u32::from(superblock.block_bits)
                .saturating_add(u32::from(cluster_bits & 15)),
            compact_2b: false,
            interlaced: false,
            fragment: false,
            big_pclusters: (false, false),
            algorithms: (algorithms & 15, algorithms >> 4),
            available: available(superblock),
            form: Form::Indexes(Tail::None),
        };
        // The highest bit says that the rest is an offset in the packed inode.
        let whole = u64::from_le_bytes(record);
        if cluster_bits >> 7 != 0 {
            map.form = Form::Packed(whole & (u64::MAX >> 1));
            return Ok(map);
        }
        let flags = u16::from_le_bytes([a0, a1]);
        let has = |bit| flags & bit != 0;
        map.interlaced = has(advise::INTERLACED_PCLUSTER);
        map.fragment = has(advise::FRAGMENT_PCLUSTER);
        let low = u32::from_le_bytes([e0, e1, e2, e3]);
        if map.layout == Layout::CompressedFull && has(advise::EXTENTS) {
            let count =
                u64::from(low) | u64::from(u16::from_le_bytes([algorithms, cluster_bits])) << 32;
            map.form = Form::Extents(extents::Form::new(header, flags, count));
            return Ok(map);
        }
        map.compact_2b = has(advise::COMPACTED_2B);
        map.big_pclusters = (has(advise::BIG_PCLUSTER_1), has(advise::BIG_PCLUSTER_2));
        let unknown = map.has_big_pclusters() && !superblock.incompat.has(Incompat::COMPR_CFGS);
        let differ =
            map.layout == Layout::CompressedCompact && map.big_pclusters.0 != map.big_pclusters.1;
        if unknown || differ {
            return Err(Error::new(Code::MapHeader, At::Nid(map.nid))
                .found(Value::Hex(flags.into()))
                .into());
        }
        let inline = if has(advise::INLINE_PCLUSTER) && !map.fragment {
            u16::from_le_bytes([e2, e3])
        } else {
            0
        };
        map.form = Form::Indexes(map.tail(records, inline, low)?);
        Ok(map)
    }

    /// The byte after the header and the records, in bytes of the space.
    pub(super) fn end(&self) -> u64 {
        match &self.form {
            Form::Packed(_) => self.header.saturating_add(HEADER),
            Form::Extents(form) => form.end(self),
            Form::Indexes(_) if self.layout == Layout::CompressedFull => full::end(self),
            Form::Indexes(_) => compact::end(self),
        }
    }

    /// Finds the tail: from the last byte's index back to the head.
    fn tail<R: ReadAt>(
        &self,
        records: &mut Records<'_, R>,
        inline: u16,
        fragment: u32,
    ) -> ReadResult<Tail, R> {
        if inline == 0 && !self.fragment {
            return Ok(Tail::None);
        }
        let mut indexes = Indexes { records, map: self };
        let steps = indexes.most_steps();
        let (head, last) = indexes.head(self.size.saturating_sub(1), steps)?;
        Ok(if self.fragment {
            let high = if self.layout == Layout::CompressedFull {
                u64::from(head.block) << 32
            } else {
                0
            };
            Tail::Fragment {
                lcn: head.lcn,
                offset: high | u64::from(fragment),
            }
        } else {
            Tail::Inline {
                lcn: head.lcn,
                offset: last.next,
                length: inline.into(),
            }
        })
    }

    /// The extent that holds the byte `offset`, which must lie inside the content. `cursor`
    /// is where the last search in this map stopped.
    pub(super) fn find<R: ReadAt>(
        &self,
        records: &mut Records<'_, R>,
        cursor: &mut Cursor,
        offset: u64,
    ) -> ReadResult<Mapped, R> {
        let mapped = match self.form {
            Form::Packed(at) => Mapped {
                start: 0,
                length: self.size,
                source: Source::Fragment(at),
            },
            Form::Extents(form) => extents::find(records, self, &form, cursor, offset)?,
            Form::Indexes(tail) => self.find_index(records, tail, offset)?,
        };
        if let Source::Pcluster(pcluster) = &mapped.source {
            self.check(&mapped, pcluster)?;
        }
        Ok(mapped)
    }

    fn find_index<R: ReadAt>(
        &self,
        records: &mut Records<'_, R>,
        tail: Tail,
        offset: u64,
    ) -> ReadResult<Mapped, R> {
        let mut indexes = Indexes { records, map: self };
        let Found { head, start, end } = indexes.find(offset, tail.lcn())?;
        let (space, place, length) = match tail {
            Tail::Fragment { lcn, offset } if lcn == head.lcn => {
                // The kernel holds a plain head against its pcluster, of which there is none.
                if head.kind == Kind::Plain {
                    return Err(Error::new(Code::PclusterPlain, At::File(self.nid, start))
                        .found(Value::Number(0))
                        .expected(Value::AtLeast(end.saturating_sub(start)))
                        .into());
                }
                return Ok(Mapped {
                    start,
                    length: end.saturating_sub(start),
                    source: Source::Fragment(offset),
                });
            }
            Tail::Inline {
                lcn,
                offset,
                length,
            } if lcn == head.lcn => {
                let within = offset & self.block_size().saturating_sub(1);
                if within.saturating_add(length) > self.block_size() {
                    return Err(Error::new(Code::PclusterInline, At::File(self.nid, start))
                        .found(Value::Number(within.saturating_add(length)))
                        .expected(Value::AtMost(self.block_size()))
                        .into());
                }
                (Some(self.space), offset, length)
            }
            _ => {
                let blocks = indexes.blocks(&head)?;
                let place = u64::from(head.block).saturating_mul(self.block_size());
                let length = u64::from(blocks).saturating_mul(self.block_size());
                (None, place, length)
            }
        };
        let encoding = match head.kind {
            Kind::Plain | Kind::NonHead if self.interlaced => Encoding::Interlaced,
            Kind::Plain | Kind::NonHead => Encoding::Shifted,
            Kind::Head1 => self.algorithm(self.algorithms.0, start)?,
            Kind::Head2 => self.algorithm(self.algorithms.1, start)?,
        };
        Ok(Mapped {
            start,
            length: end.saturating_sub(start),
            source: Source::Pcluster(Pcluster {
                metadata: space,
                offset: place,
                length,
                encoding,
                partial: head.partial,
            }),
        })
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

    /// Holds an extent against what its pcluster can be (`z_erofs_map_sanity_check`).
    fn check(&self, mapped: &Mapped, pcluster: &Pcluster) -> Result<(), Error> {
        let at = At::File(self.nid, mapped.start);
        for (size, most) in [(pcluster.length, MAX_ENCODED), (mapped.length, MAX_DECODED)] {
            if size > most {
                return Err(Error::new(Code::PclusterSize, at)
                    .found(Value::Number(size))
                    .expected(Value::AtMost(most)));
            }
        }
        if pcluster.encoding.is_plain() {
            if mapped.length > pcluster.length {
                return Err(Error::new(Code::PclusterPlain, at)
                    .found(Value::Number(pcluster.length))
                    .expected(Value::AtLeast(mapped.length)));
            }
        } else if !pcluster.partial
            && mapped.length < pcluster.length
            && mapped.start.saturating_add(mapped.length) < self.size
        {
            return Err(Error::new(Code::PclusterSurplus, at)
                .found(Value::Number(pcluster.length))
                .expected(Value::AtMost(mapped.length)));
        }
        Ok(())
    }
}

/// The algorithms that the superblock names, one bit for each (`z_erofs_parse_cfgs`). Without
/// a list it is LZ4, where there is any sign of that.
fn available(superblock: &Superblock) -> u16 {
    if superblock.incompat.has(Incompat::COMPR_CFGS) {
        superblock.algorithms_or_distance
    } else {
        let lz4 = superblock.algorithms_or_distance != 0
            || superblock.incompat.has(Incompat::ZERO_PADDING);
        lz4.into()
    }
}
