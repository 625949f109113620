//! Full indexes: 8 bytes for each logical cluster.
//!
//! Follows `struct z_erofs_lcluster_index` and `z_erofs_load_full_lcluster` in
//! `fs/erofs/zmap.c`.

use super::super::{ReadAt, ReadResult};
use super::index::{BLOCK_COUNT, Index, Kind};
use super::map::Map;
use super::records::Records;

/// Size of an index.
const SIZE: u64 = 8;
/// The indexes start so far behind the start of the map header
/// (`Z_EROFS_FULL_INDEX_START`): 8 bytes of header, 8 that are left free.
const START: u64 = 16;
/// The extent is a part of what its pcluster decodes to (`Z_EROFS_LI_PARTIAL_REF`).
const PARTIAL: u16 = 1 << 15;
/// The extent is a hole (`Z_EROFS_LI_HOLE`, Linux 7.2).
const HOLE: u16 = 1 << 14;

/// Reads the index of a logical cluster.
pub(super) fn load<R: ReadAt>(
    records: &mut Records<'_, R>,
    map: &Map,
    lcn: u64,
) -> ReadResult<Index, R> {
    let position = map
        .header
        .saturating_add(START)
        .saturating_add(lcn.saturating_mul(SIZE));
    let mut index = parse(records.get(position)?);
    index.lcn = lcn;
    index.next = position.saturating_add(SIZE);
    Ok(index)
}

/// How many logical clusters ahead the next head is, by this index, which is of none.
pub(super) fn ahead<R: ReadAt>(
    records: &mut Records<'_, R>,
    map: &Map,
    lcn: u64,
) -> ReadResult<u64, R> {
    let position = map
        .header
        .saturating_add(START)
        .saturating_add(lcn.saturating_mul(SIZE));
    let [_, _, _, _, _, _, low, high]: [u8; 8] = records.get(position)?;
    Ok(u16::from_le_bytes([low, high]).into())
}

/// The byte after the last index of a map.
pub(super) fn end(map: &Map) -> u64 {
    let clusters = map.lcn(map.size.saturating_sub(1)).saturating_add(1);
    map.header
        .saturating_add(START)
        .saturating_add(clusters.saturating_mul(SIZE))
}

/// The fields of an index; where it lies is left open.
fn parse(record: [u8; 8]) -> Index {
    let [a0, a1, o0, o1, u0, u1, u2, u3] = record;
    let advise = u16::from_le_bytes([a0, a1]);
    let mut index = Index {
        kind: Kind::of(advise),
        ..Index::default()
    };
    if index.kind == Kind::NonHead {
        let back = u32::from(u16::from_le_bytes([u0, u1]));
        if back & BLOCK_COUNT == 0 {
            index.back = back.into();
        } else {
            index.back = 1;
            index.blocks = Some(back & !BLOCK_COUNT);
        }
    } else {
        index.partial = advise & PARTIAL != 0;
        index.hole = advise & HOLE != 0;
        index.offset = u16::from_le_bytes([o0, o1]).into();
        index.block = u32::from_le_bytes([u0, u1, u2, u3]);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_the_rest() {
        let head = parse([0x01, 0x80, 0x34, 0x02, 1, 2, 3, 4]);
        assert_eq!(
            head,
            Index {
                kind: Kind::Head1,
                partial: true,
                offset: 0x234,
                block: 0x0403_0201,
                ..Index::default()
            }
        );
        let hole = parse([0x01, 0x40, 0, 0, 1, 2, 3, 4]);
        assert_eq!(
            (hole.hole, hole.partial, hole.block),
            (true, false, 0x0403_0201)
        );
        let first = parse([2, 0, 0, 0, 0x10, 0x08, 5, 0]);
        assert_eq!((first.back, first.blocks), (1, Some(0x10)));
        let later = parse([2, 0, 0, 0, 0xff, 0x07, 5, 0]);
        assert_eq!((later.back, later.blocks), (0x7ff, None));
    }
}
