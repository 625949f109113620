//! Compact indexes: packs of 2 entries in 8 bytes and of 16 entries in 32 bytes.
//!
//! An entry is a number and, above it, the two bits of the type. The block of the pack's first
//! pcluster is in the last four bytes of the pack; the others are counted from there. Follows
//! `z_erofs_load_compact_lcluster` in `fs/erofs/zmap.c`.

use super::super::{ReadAt, ReadResult};
use super::index::{BLOCK_COUNT, Index, Kind};
use super::map::{HEADER, Map};
use super::records::Records;
use crate::{At, Code, Error, Value};

/// Size of the largest pack.
const PACK: usize = 32;
/// What a 2-byte pack is aligned to.
const PACK_ALIGN: u64 = 32;
/// Largest logical cluster, as a power of two, whose offsets fit an entry of a 4-byte pack,
/// and of a 2-byte pack.
const BITS_4B: u32 = 14;
const BITS_2B: u32 = 12;

/// Reads the index of a logical cluster.
pub(super) fn load<R: ReadAt>(
    records: &mut Records<'_, R>,
    map: &Map,
    lcn: u64,
) -> ReadResult<Index, R> {
    let (place, pack) = pack(records, map, lcn)?;
    let mut index = pack
        .index(place.entry, map.has_big_pclusters())
        .ok_or_else(|| fault(Code::MapDistance, map, lcn))?;
    index.lcn = lcn;
    index.next = place.pack.saturating_add(place.size());
    Ok(index)
}

/// How many logical clusters ahead the next head is, by the pack of this index, which is of
/// none (`get_compacted_la_distance`).
pub(super) fn ahead<R: ReadAt>(
    records: &mut Records<'_, R>,
    map: &Map,
    lcn: u64,
) -> ReadResult<u64, R> {
    let (place, pack) = pack(records, map, lcn)?;
    Ok(pack.ahead(place.entry))
}

/// Reads the pack that the index of a logical cluster is in.
fn pack<R: ReadAt>(
    records: &mut Records<'_, R>,
    map: &Map,
    lcn: u64,
) -> ReadResult<(Place, Pack), R> {
    let total = map.blocks();
    if lcn >= total {
        return Err(fault(Code::MapIndex, map, lcn)
            .found(Value::Number(lcn))
            .expected(Value::AtMost(total.saturating_sub(1)))
            .into());
    }
    let place = place(map.header.saturating_add(8), total, map.compact_2b, lcn);
    let widest = if place.shift == 1 { BITS_2B } else { BITS_4B };
    if map.lcluster_bits > widest {
        return Err(fault(Code::MapLclusterSize, map, lcn)
            .found(Value::Number(map.lcluster_size()))
            .expected(Value::AtMost(1 << widest))
            .into());
    }
    let mut pack = Pack {
        bytes: [0; PACK],
        entries: place.entries(),
        entry_bits: place.entry_bits(),
        // 512-byte clusters still have block counts of 12 bits.
        number_bits: map.lcluster_bits.max(BLOCK_COUNT.ilog2().saturating_add(1)),
    };
    if place.shift == 1 {
        pack.bytes = records.get(place.pack)?;
    } else {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = records.get(place.pack)?;
        if let Some(start) = pack.bytes.first_chunk_mut() {
            *start = [b0, b1, b2, b3, b4, b5, b6, b7];
        }
    }
    Ok((place, pack))
}

fn fault(code: Code, map: &Map, lcn: u64) -> Error {
    Error::new(code, At::File(map.nid, map.start_of(lcn)))
}

/// The byte after the last pack of a map.
pub(super) fn end(map: &Map) -> u64 {
    let base = map.header.saturating_add(HEADER);
    let last = map.lcn(map.size.saturating_sub(1));
    let place = place(base, map.blocks(), map.compact_2b, last);
    place.pack.saturating_add(place.size())
}

/// Where an index lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Where its pack starts.
    pack: u64,
    /// Its number in the pack.
    entry: u32,
    /// Bytes for each entry, as a power of two: 1 or 2.
    shift: u32,
}

impl Place {
    const fn entries(&self) -> u32 {
        if self.shift == 1 { 16 } else { 2 }
    }

    /// Size of the pack.
    const fn size(&self) -> u64 {
        (self.entries() as u64) << self.shift
    }

    /// Bits of an entry: 14 or 16.
    const fn entry_bits(&self) -> u32 {
        if self.shift == 1 { 14 } else { 16 }
    }
}

/// Where the index of a cluster lies, when the first one is at `base` and there are `total`:
/// first 4-byte packs up to a multiple of 32 bytes, then 2-byte packs as far as whole ones
/// go, then 4-byte packs again.
fn place(base: u64, total: u64, has_2b: bool, lcn: u64) -> Place {
    let initial = (PACK_ALIGN.saturating_sub(base & (PACK_ALIGN - 1)) / 4) & 7;
    let middle = if has_2b {
        total.saturating_sub(initial) & !15
    } else {
        0
    };
    let after = initial.saturating_add(middle);
    let at =
        |start: u64, entry: u64, shift: u32| start.saturating_add(entry.saturating_mul(1 << shift));
    let (position, shift) = if lcn < initial {
        (at(base, lcn, 2), 2)
    } else if lcn < after {
        let start = at(base, initial, 2);
        (at(start, lcn.saturating_sub(initial), 1), 1)
    } else {
        let start = at(at(base, initial, 2), middle, 1);
        (at(start, lcn.saturating_sub(after), 2), 2)
    };
    let mut place = Place {
        pack: 0,
        entry: 0,
        shift,
    };
    let within = position & place.size().saturating_sub(1);
    place.pack = position.saturating_sub(within);
    place.entry = u32::try_from(within >> shift).unwrap_or(0);
    place
}

/// The bytes of a pack and how to read them.
struct Pack {
    bytes: [u8; PACK],
    entries: u32,
    entry_bits: u32,
    number_bits: u32,
}

impl Pack {
    /// The number and the type of an entry.
    fn entry(&self, entry: u32) -> (u32, Kind) {
        let bit = entry.saturating_mul(self.entry_bits);
        let byte = usize::try_from(bit / 8).unwrap_or(PACK);
        let word = self
            .bytes
            .get(byte..)
            .and_then(|bytes| bytes.first_chunk())
            .map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let value = word.checked_shr(bit % 8).unwrap_or(0);
        let mask = 1_u32
            .checked_shl(self.number_bits)
            .unwrap_or(0)
            .wrapping_sub(1);
        let kind = value.checked_shr(self.number_bits).unwrap_or(0) & 3;
        (
            value & mask,
            Kind::of(u16::try_from(kind).unwrap_or_default()),
        )
    }

    /// The address at the end of the pack.
    fn address(&self) -> u32 {
        let size = u64::from(self.entries)
            .saturating_mul(self.entry_bits.into())
            .saturating_div(8);
        usize::try_from(size)
            .ok()
            .and_then(|start| self.bytes.get(start..)?.first_chunk())
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// What an entry says; `None` when a distance makes no sense.
    fn index(&self, entry: u32, big: bool) -> Option<Index> {
        let (number, kind) = self.entry(entry);
        let mut index = Index {
            kind,
            ..Index::default()
        };
        if kind != Kind::NonHead {
            index.offset = number;
            index.block = self.block(entry, big)?;
        } else if number & BLOCK_COUNT != 0 {
            index.back = 1;
            index.blocks = Some(number & !BLOCK_COUNT);
        } else if entry.saturating_add(1) != self.entries {
            index.back = number.into();
        } else {
            // The last of a pack holds the distance to the next head; the one to its own head
            // follows from the entry before.
            let before = match self.entry(entry.saturating_sub(1)) {
                (number, Kind::NonHead) if number & BLOCK_COUNT != 0 => 1,
                (number, Kind::NonHead) => number,
                _ => 0,
            };
            index.back = u64::from(before).saturating_add(1);
        }
        Some(index)
    }

    /// How many entries ahead the next head is; one behind the pack is known by the last entry.
    fn ahead(&self, entry: u32) -> u64 {
        let mut distance = 0_u64;
        let mut last = 0;
        for entry in entry..self.entries {
            let (number, kind) = self.entry(entry);
            if kind != Kind::NonHead {
                return distance;
            }
            distance = distance.saturating_add(1);
            last = number;
        }
        if last & BLOCK_COUNT == 0 {
            // A zero takes one away, as in the kernel.
            distance = distance.saturating_add(last.into()).saturating_sub(1);
        }
        distance
    }

    /// The block of the pcluster whose head is this entry: that of the pack, and as many
    /// further as the heads before it take.
    fn block(&self, entry: u32, big: bool) -> Option<u32> {
        let mut blocks: u32 = if big { 0 } else { 1 };
        let mut left = i64::from(entry);
        while left > 0 {
            left = left.saturating_sub(1);
            let (number, kind) = self.entry(u32::try_from(left).unwrap_or(0));
            match kind {
                Kind::NonHead if !big => left = left.saturating_sub(number.into()),
                Kind::NonHead if number & BLOCK_COUNT != 0 => {
                    left = left.saturating_sub(1);
                    blocks = blocks.wrapping_add(number & !BLOCK_COUNT);
                    continue;
                }
                Kind::NonHead => {
                    // The one at distance 1 holds the count of blocks instead.
                    left = left.saturating_sub(number.checked_sub(2)?.into());
                    continue;
                }
                Kind::Plain | Kind::Head1 | Kind::Head2 => {}
            }
            if left >= 0 {
                blocks = blocks.wrapping_add(1);
            }
        }
        // As the kernel adds them, in 32 bits.
        Some(self.address().wrapping_add(blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Packs entries as `write_compacted_indexes` of mkfs.erofs does.
    fn pack(entries: &[(u32, Kind)], bits: u32, address: u32) -> Pack {
        let entry_bits = if entries.len() == 16 { 14 } else { 16 };
        let mut bytes = [0; PACK];
        for (number, (low, kind)) in entries.iter().enumerate() {
            let kind = match kind {
                Kind::Plain => 0,
                Kind::Head1 => 1,
                Kind::NonHead => 2,
                Kind::Head2 => 3,
            };
            let value = low | kind << bits;
            for bit in 0..entry_bits {
                let at = number * entry_bits + bit;
                bytes[at / 8] |= ((value >> bit & 1) as u8) << (at % 8);
            }
        }
        let end = entries.len() * entry_bits / 8;
        bytes[end..end + 4].copy_from_slice(&address.to_le_bytes());
        Pack {
            bytes,
            entries: u32::try_from(entries.len()).unwrap(),
            entry_bits: u32::try_from(entry_bits).unwrap(),
            number_bits: bits,
        }
    }

    fn blocks(pack: &Pack, big: bool) -> Vec<Option<u32>> {
        (0..pack.entries)
            .filter(|entry| pack.entry(*entry).1 != Kind::NonHead)
            .map(|entry| pack.index(entry, big).map(|index| index.block))
            .collect()
    }

    #[test]
    fn pairs() {
        let heads = pack(&[(0x123, Kind::Head1), (0xffe, Kind::Plain)], 12, 99);
        let first = heads.index(0, false).unwrap();
        assert_eq!(
            (first.kind, first.offset, first.block),
            (Kind::Head1, 0x123, 100)
        );
        let second = heads.index(1, false).unwrap();
        assert_eq!(
            (second.kind, second.offset, second.block),
            (Kind::Plain, 0xffe, 101)
        );
        // The last entry says how far the next head is, so its own head is found by the first.
        let rest = pack(&[(5, Kind::NonHead), (3, Kind::NonHead)], 12, 0);
        assert_eq!(rest.index(0, false).unwrap().back, 5);
        assert_eq!(rest.index(1, false).unwrap().back, 6);
        let after_head = pack(&[(7, Kind::Head2), (3, Kind::NonHead)], 14, 0);
        assert_eq!(after_head.index(0, false).unwrap().kind, Kind::Head2);
        assert_eq!(after_head.index(1, false).unwrap().back, 1);
        let after_count = pack(&[(0x803, Kind::NonHead), (3, Kind::NonHead)], 12, 0);
        let count = after_count.index(0, true).unwrap();
        assert_eq!((count.back, count.blocks), (1, Some(3)));
        assert_eq!(after_count.index(1, true).unwrap().back, 2);
    }

    /// Sixteen entries of pclusters of one block: the block of a head follows from the heads
    /// before it, of which the rests of an extent tell how far they are.
    #[test]
    fn blocks_of_small_pclusters() {
        let mut entries = [(0, Kind::Head1); 16];
        // An extent of five clusters that began in the pack before, one of three, and heads.
        for (entry, back) in [(0, 3), (1, 4), (3, 1), (4, 2)] {
            entries[entry] = (back, Kind::NonHead);
        }
        let pack = pack(&entries, 12, 1000);
        // Entry 2 is the first head of the pack, after two rests of an extent before it.
        let found = blocks(&pack, false);
        assert_eq!(found.len(), 12);
        assert_eq!(found[0], Some(1001));
        assert_eq!(found[1], Some(1002));
        assert_eq!(found[11], Some(1012));
    }

    #[test]
    fn blocks_of_big_pclusters() {
        let mut entries = [(0, Kind::Head1); 16];
        // Four blocks in three clusters, one block, two blocks in two clusters.
        for (entry, number) in [(1, BLOCK_COUNT | 4), (2, 2), (5, BLOCK_COUNT | 2)] {
            entries[entry] = (number, Kind::NonHead);
        }
        let pack_of_three = pack(&entries, 12, 50);
        assert_eq!(
            blocks(&pack_of_three, true)[..4],
            [Some(50), Some(54), Some(55), Some(57)]
        );
        // A distance of one where the count of blocks must be is corrupt.
        entries[1] = (1, Kind::NonHead);
        entries[2] = (0, Kind::Head1);
        assert_eq!(blocks(&pack(&entries, 12, 50), true)[1], None);
    }

    /// No number in a pack makes it loop or leave the pack.
    #[test]
    fn any_numbers() {
        let mut state = 1_u32;
        // Miri is slower by a factor of hundreds.
        for _ in 0..if cfg!(miri) { 100 } else { 20_000 } {
            let mut entries = [(0, Kind::Plain); 16];
            for entry in &mut entries {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *entry = (state >> 8 & 0xfff, Kind::of((state >> 30) as u16));
            }
            for big in [false, true] {
                for (entries, bits) in [(&entries[..], 12), (&entries[..2], 14)] {
                    let pack = pack(entries, bits, state);
                    for entry in 0..pack.entries {
                        let _ = pack.index(entry, big);
                    }
                }
            }
        }
    }

    #[test]
    fn places() {
        let at = |base, total, has_2b, lcn| {
            let place = place(base, total, has_2b, lcn);
            (place.pack, place.entry, place.shift)
        };
        // 8 bytes before a multiple of 32: two indexes of 4 bytes come first.
        assert_eq!(at(56, 40, true, 0), (56, 0, 2));
        assert_eq!(at(56, 40, true, 1), (56, 1, 2));
        assert_eq!(at(56, 40, true, 2), (64, 0, 1));
        assert_eq!(at(56, 40, true, 17), (64, 15, 1));
        assert_eq!(at(56, 40, true, 18), (96, 0, 1));
        assert_eq!(at(56, 40, true, 33), (96, 15, 1));
        assert_eq!(at(56, 40, true, 34), (128, 0, 2));
        assert_eq!(at(56, 40, true, 39), (144, 1, 2));
        // Aligned: none come first. Too few for a pack of sixteen: none has 2 bytes.
        assert_eq!(at(64, 16, true, 0), (64, 0, 1));
        assert_eq!(at(64, 15, true, 14), (120, 0, 2));
        assert_eq!(at(64, 16, false, 15), (120, 1, 2));
        assert_eq!(at(40, 3, true, 2), (48, 0, 2));
    }
}
