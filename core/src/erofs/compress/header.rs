//! Reads the header of a map: which form of map follows it, and where its tail is.
//!
//! Follows `z_erofs_fill_inode` in `fs/erofs/zmap.c`.

use super::super::{Incompat, Inode, Layout, ReadAt, ReadResult, Space, Superblock};
use super::lcluster::Indexes;
use super::map::{ExtentTable, Form, HEADER, Map, Tail};
use super::records::Records;
use super::{compact, full};
use crate::{At, Code, Error, Value};

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

impl Map {
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
            zero_padding: superblock.incompat.has(Incompat::ZERO_PADDING),
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
            map.form = Form::Extents(ExtentTable::new(header, flags, count));
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
            let high = match self.layout {
                // A hole has no block, which is a number too.
                Layout::CompressedFull if head.hole => u64::from(u32::MAX) << 32,
                Layout::CompressedFull => u64::from(head.block) << 32,
                _ => 0,
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
}

/// The algorithms that the superblock names, one bit for each (`z_erofs_parse_cfgs`). Without
/// a list it is LZ4, as in Linux before 7.0: the first mkfs.erofs left no sign of it in the
/// superblock.
const fn available(superblock: &Superblock) -> u16 {
    if superblock.incompat.has(Incompat::COMPR_CFGS) {
        superblock.algorithms_or_distance
    } else {
        1
    }
}
