//! Encoded extents: records of 4, 8, 16 or 32 bytes instead of indexes.
//!
//! Records of 4 and 8 bytes are for extents that all have the size of a logical cluster; those
//! of 4 bytes lie behind the physical offset of the first, and each pcluster follows the one
//! before. The longer ones state where they start and are sorted. Follows
//! `struct z_erofs_extent` and `z_erofs_map_blocks_ext` in `fs/erofs/zmap.c`.

use super::super::{ReadAt, ReadResult};
use super::map::{Cursor, ExtentTable, Map, Mapped, Source};
use super::pcluster::{Encoding, Pcluster};
use super::records::Records;
use crate::{At, Code, Error, Value};

/// The bits of the encoded length in `plen` (`Z_EROFS_EXTENT_PLEN_MASK`).
const LENGTH: u32 = (1 << 21) - 1;
/// The extent is a part of what its pcluster decodes to (`Z_EROFS_EXTENT_PLEN_PARTIAL`).
const PARTIAL: u32 = 1 << 27;
/// The algorithm plus one is in the bits from here on (`Z_EROFS_EXTENT_PLEN_FMT_BIT`).
const FORMAT_BIT: u32 = 28;

/// A record.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// Encoded length, flags and algorithm.
    plen: u32,
    /// Physical offset in bytes.
    offset: u64,
}

/// The extent that holds the byte `offset`.
pub(super) fn find<R: ReadAt>(
    records: &mut Records<'_, R>,
    map: &Map,
    table: &ExtentTable,
    cursor: &mut Cursor,
    offset: u64,
) -> ReadResult<Mapped, R> {
    if table.bits > 3 {
        return sorted(records, map, table, offset);
    }
    let lcn = map.lcn(offset);
    let record = if table.bits == 2 {
        consecutive(records, table, cursor, lcn)?
    } else {
        let [p0, p1, p2, p3, o0, o1, o2, o3] = records.get(table.place(lcn))?;
        Record {
            plen: u32::from_le_bytes([p0, p1, p2, p3]),
            offset: u32::from_le_bytes([o0, o1, o2, o3]).into(),
        }
    };
    let start = map.start_of(lcn);
    let end = start.saturating_add(map.lcluster_size());
    let last = end >= map.size;
    Ok(extent(map, table, start, end.min(map.size), last, record)?)
}

/// A record of 4 bytes: what it does not say follows from all before it.
fn consecutive<R: ReadAt>(
    records: &mut Records<'_, R>,
    table: &ExtentTable,
    cursor: &mut Cursor,
    lcn: u64,
) -> ReadResult<Record, R> {
    if cursor.record == 0 || cursor.record > lcn {
        *cursor = Cursor {
            record: 0,
            offset: u64::from_le_bytes(records.get(table.start)?),
        };
    }
    loop {
        let place = table.place(cursor.record).saturating_add(8);
        let plen = u32::from_le_bytes(records.get(place)?);
        if cursor.record >= lcn {
            return Ok(Record {
                plen,
                offset: cursor.offset,
            });
        }
        cursor.record = cursor.record.saturating_add(1);
        cursor.offset = cursor.offset.saturating_add((plen & LENGTH).into());
    }
}

/// A record of 16 or 32 bytes: the last one that does not start behind `offset`.
fn sorted<R: ReadAt>(
    records: &mut Records<'_, R>,
    map: &Map,
    table: &ExtentTable,
    offset: u64,
) -> ReadResult<Mapped, R> {
    let mut end = map.size;
    let mut found = None;
    let (mut low, mut high) = (0, table.count);
    while low < high {
        let middle = low.midpoint(high);
        let place = table.place(middle);
        let (start, record) = if table.bits == 4 {
            parse(records.get::<16>(place)?, [0; 4])
        } else {
            let bytes: [u8; 20] = records.get(place)?;
            let [head @ .., h0, h1, h2, h3] = bytes;
            parse(head, [h0, h1, h2, h3])
        };
        if start > offset {
            if start > end {
                return Err(Error::new(Code::MapExtents, At::File(map.nid, offset))
                    .found(Value::Number(start))
                    .expected(Value::AtMost(end))
                    .into());
            }
            (high, end) = (middle, start);
        } else {
            low = middle.saturating_add(1);
            found = Some((start, record));
        }
    }
    let Some((start, record)) = found else {
        // Nothing starts before it: a hole up to the first.
        return Ok(Mapped {
            start: offset,
            length: end.saturating_sub(offset),
            source: Source::Hole,
        });
    };
    Ok(extent(map, table, start, end, low >= table.count, record)?)
}

/// The start of the extent and the rest of its record.
fn parse(head: [u8; 16], high: [u8; 4]) -> (u64, Record) {
    let [
        p0,
        p1,
        p2,
        p3,
        o0,
        o1,
        o2,
        o3,
        o4,
        o5,
        o6,
        o7,
        s0,
        s1,
        s2,
        s3,
    ] = head;
    let [s4, s5, s6, s7] = high;
    (
        u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
        Record {
            plen: u32::from_le_bytes([p0, p1, p2, p3]),
            offset: u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
        },
    )
}

/// The extent of a record; `last` says whether none follows it.
fn extent(
    map: &Map,
    table: &ExtentTable,
    start: u64,
    end: u64,
    last: bool,
    record: Record,
) -> Result<Mapped, Error> {
    let length = record.plen & LENGTH;
    let source = if last && map.fragment {
        let high = if table.bits > 2 {
            record.offset << 32
        } else {
            0
        };
        Source::Fragment(u64::from(record.plen) | high)
    } else if length == 0 {
        Source::Hole
    } else {
        let aligned = (record.offset | u64::from(length)) & map.block_size().saturating_sub(1) == 0;
        let encoding = match u8::try_from(record.plen >> FORMAT_BIT) {
            Ok(0) | Err(_) if map.interlaced && aligned => Encoding::Interlaced,
            Ok(0) | Err(_) => Encoding::Shifted,
            Ok(format) => map.algorithm(format.saturating_sub(1), start)?,
        };
        Source::Pcluster(Pcluster {
            metadata: None,
            offset: record.offset,
            length: length.into(),
            encoding,
            partial: record.plen & PARTIAL != 0,
        })
    };
    Ok(Mapped {
        start,
        length: end.saturating_sub(start),
        source,
    })
}
