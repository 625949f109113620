//! Logical clusters: how their indexes lead from a byte of the content to its extent.
//!
//! Follows `z_erofs_map_blocks_fo`, `z_erofs_extent_lookback` and
//! `z_erofs_get_extent_compressedlen` in `fs/erofs/zmap.c`. The end of an extent is found by
//! looking at every index up to the next head, not by the distance that an index gives to it:
//! the kernel maps what it reads backwards only, so this is what it sees.

use super::super::{Layout, ReadAt, ReadResult};
use super::index::{Index, Kind};
use super::map::Map;
use super::pcluster::MAX_DECODED;
use super::records::Records;
use super::{compact, full};
use crate::{At, Code, Error, Value};

/// The shortest step that mkfs takes backwards where the head is out of reach of one step is
/// twice this.
const FAR: u64 = 1024;

/// An extent that was found: its head, and its bounds in the content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) head: Index,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The indexes of one inode.
pub(super) struct Indexes<'a, 'b, R> {
    pub(super) records: &'b mut Records<'a, R>,
    pub(super) map: &'b Map,
}

impl<R: ReadAt> Indexes<'_, '_, R> {
    /// Reads the index of a logical cluster (`z_erofs_load_lcluster_from_disk`).
    pub(super) fn load(&mut self, lcn: u64) -> ReadResult<Index, R> {
        let index = if self.map.layout == Layout::CompressedCompact {
            compact::load(self.records, self.map, lcn)?
        } else {
            full::load(self.records, self.map, lcn)?
        };
        if index.kind != Kind::NonHead && u64::from(index.offset) >= self.map.lcluster_size() {
            return Err(self
                .fault(Code::MapOffset, lcn)
                .found(Value::Number(index.offset.into()))
                .expected(Value::AtMost(self.map.lcluster_size().saturating_sub(1)))
                .into());
        }
        if index.blocks.is_some() && !self.map.has_big_pclusters() {
            return Err(self.fault(Code::MapBlockCount, lcn).into());
        }
        Ok(index)
    }

    /// The head of the extent that holds `offset`, and the index of the logical cluster that
    /// `offset` is in. At most `steps` indexes are followed.
    pub(super) fn head(&mut self, offset: u64, steps: u64) -> ReadResult<(Index, Index), R> {
        let map = self.map;
        let first = self.load(map.lcn(offset))?;
        let within = offset.saturating_sub(map.start_of(first.lcn));
        if first.kind != Kind::NonHead && within >= u64::from(first.offset) {
            return Ok((first, first));
        }
        let mut index = first;
        let mut back = if first.kind == Kind::NonHead {
            first.back
        } else {
            1
        };
        for _ in 0..=steps {
            let lcn = match index.lcn.checked_sub(back) {
                Some(lcn) if back > 0 => lcn,
                _ => {
                    return Err(self
                        .fault(Code::MapDistance, index.lcn)
                        .found(Value::Number(back))
                        .into());
                }
            };
            index = self.load(lcn)?;
            if index.kind != Kind::NonHead {
                return Ok((index, first));
            }
            back = index.back;
        }
        Err(self.too_long(offset).into())
    }

    /// How many indexes lead from the last one to its head at most: those of the largest
    /// pcluster one by one, and for a fragment, which may be larger, the steps that mkfs takes.
    pub(super) fn most_steps(&self) -> u64 {
        let far = self.map.lcn(self.map.size) / FAR;
        self.map
            .lcn(MAX_DECODED)
            .saturating_add(far)
            .saturating_add(2)
    }

    /// The extent that holds `offset`. One that starts in the cluster `tail` must go to the
    /// end of the content, however far that is.
    pub(super) fn find(&mut self, offset: u64, tail: Option<u64>) -> ReadResult<Found, R> {
        let map = self.map;
        let steps = map.lcn(MAX_DECODED).saturating_add(1);
        let (head, _) = self.head(offset, steps)?;
        let start = map.start_of(head.lcn).saturating_add(head.offset.into());
        let mut found = Found {
            head,
            start,
            end: map.size,
        };
        let is_tail = tail == Some(head.lcn);
        let mut lcn = head.lcn.saturating_add(1);
        while map.start_of(lcn) < map.size {
            let index = self.load(lcn)?;
            if index.kind != Kind::NonHead {
                let end = map.start_of(lcn).saturating_add(index.offset.into());
                if end > map.size {
                    return Err(self
                        .fault(Code::MapOffset, lcn)
                        .found(Value::Number(end))
                        .expected(Value::AtMost(map.size))
                        .into());
                }
                if offset >= end || is_tail && end < map.size {
                    // The index of `offset`, or the last one, leads past a head in between.
                    return Err(self.fault(Code::MapDistance, map.lcn(offset)).into());
                }
                found.end = end;
                return Ok(found);
            }
            // Every further cluster must lead to the same head, else the content would
            // depend on where reading starts.
            if index.back == 0 || index.back > lcn.saturating_sub(head.lcn) {
                return Err(self
                    .fault(Code::MapDistance, lcn)
                    .found(Value::Number(index.back))
                    .expected(Value::AtMost(lcn.saturating_sub(head.lcn)))
                    .into());
            }
            if map.start_of(lcn).saturating_sub(start) > MAX_DECODED {
                if is_tail {
                    break;
                }
                return Err(self.too_long(start).into());
            }
            lcn = lcn.saturating_add(1);
        }
        Ok(found)
    }

    /// The number of blocks of the pcluster that this head starts; none where it is a hole.
    pub(super) fn blocks(&mut self, head: &Index) -> ReadResult<u32, R> {
        let big = match head.kind {
            Kind::Head1 => self.map.big_pclusters.0,
            _ => self.map.big_pclusters.1,
        };
        let next = head.lcn.saturating_add(1);
        if !self.map.has_big_pclusters() || self.map.start_of(next) >= self.map.size {
            return Ok(1);
        }
        let index = self.load(next)?;
        match index.blocks {
            _ if index.kind != Kind::NonHead => Ok(1),
            Some(blocks) if big => Ok(blocks),
            // Whether the kernel looks at a count that is not for this head depends on where it starts.
            None if !big => Ok(1),
            _ => Err(self.fault(Code::MapBlockCount, next).into()),
        }
    }

    /// The extent from `start` on is longer than a pcluster may decode to.
    fn too_long(&self, start: u64) -> Error {
        Error::new(Code::PclusterSize, At::File(self.map.nid, start))
            .found(Value::AtLeast(MAX_DECODED.saturating_add(1)))
            .expected(Value::AtMost(MAX_DECODED))
    }

    /// An error at a logical cluster.
    fn fault(&self, code: Code, lcn: u64) -> Error {
        Error::new(code, At::File(self.map.nid, self.map.start_of(lcn)))
    }
}
