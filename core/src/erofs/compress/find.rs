//! Which pcluster holds a byte of the content, by the map of its inode.
//!
//! Follows `z_erofs_map_sanity_check` in `fs/erofs/zmap.c`.

use super::super::{ReadAt, ReadResult};
use super::extents;
use super::index::Kind;
use super::lcluster::{Found, Indexes};
use super::map::{Cursor, Form, Map, Mapped, Source, Tail};
use super::pcluster::{Encoding, MAX_DECODED, MAX_ENCODED, Pcluster};
use super::records::Records;
use crate::{At, Code, Error, Value};

impl Map {
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
        match &mapped.source {
            Source::Pcluster(pcluster) => self.check(&mapped, pcluster)?,
            Source::Sparse(_) => self.check_decoded(&mapped)?,
            Source::Hole | Source::Fragment(_) => {}
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
        let mut hole = false;
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
                hole = head.hole || blocks == 0;
                // The kernel holds a plain head against the blocks, of which there are none.
                if hole && head.kind == Kind::Plain {
                    return Err(Error::new(Code::PclusterPlain, At::File(self.nid, start))
                        .found(Value::Number(0))
                        .expected(Value::AtLeast(end.saturating_sub(start)))
                        .into());
                }
                let place = u64::from(head.block).saturating_mul(self.block_size());
                let length = u64::from(blocks.max(1)).saturating_mul(self.block_size());
                (None, place, length)
            }
        };
        let encoding = match head.kind {
            Kind::Plain | Kind::NonHead if self.interlaced => Encoding::Interlaced,
            Kind::Plain | Kind::NonHead => Encoding::Shifted,
            Kind::Head1 => self.algorithm(self.algorithms.0, start)?,
            Kind::Head2 => self.algorithm(self.algorithms.1, start)?,
        };
        let pcluster = Pcluster {
            metadata: space,
            offset: place,
            length,
            encoding,
            partial: head.partial,
        };
        Ok(Mapped {
            start,
            length: end.saturating_sub(start),
            source: if hole {
                Source::Sparse(pcluster)
            } else {
                Source::Pcluster(pcluster)
            },
        })
    }

    /// Holds the length of an extent against what a pcluster may decode to.
    fn check_decoded(&self, mapped: &Mapped) -> Result<(), Error> {
        self.check_size(mapped, mapped.length, MAX_DECODED)
    }

    fn check_size(&self, mapped: &Mapped, size: u64, most: u64) -> Result<(), Error> {
        if size > most {
            return Err(
                Error::new(Code::PclusterSize, At::File(self.nid, mapped.start))
                    .found(Value::Number(size))
                    .expected(Value::AtMost(most)),
            );
        }
        Ok(())
    }

    /// Holds an extent against what its pcluster can be (`z_erofs_map_sanity_check`).
    pub(super) fn check(&self, mapped: &Mapped, pcluster: &Pcluster) -> Result<(), Error> {
        let at = At::File(self.nid, mapped.start);
        self.check_size(mapped, pcluster.length, MAX_ENCODED)?;
        self.check_decoded(mapped)?;
        if pcluster.encoding.is_plain() {
            if mapped.length > pcluster.length {
                return Err(Error::new(Code::PclusterPlain, at)
                    .found(Value::Number(pcluster.length))
                    .expected(Value::AtLeast(mapped.length)));
            }
        } else if pcluster.encoding == Encoding::Lz4 && !self.zero_padding {
            // The first form of LZ4 may hold more than its extent: it is decoded as far as that goes
            // (`z_erofs_lz4_decompress_mem`).
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
