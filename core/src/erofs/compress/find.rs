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
