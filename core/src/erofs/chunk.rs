//! Chunk-based files: an address for each chunk of one size.
//!
//! Follows `struct erofs_inode_chunk_index` and the second half of `erofs_map_blocks` in
//! `fs/erofs/data.c` of Linux.

use super::{ChunkFormat, Extent, Image, Inode, Place, ReadAt, ReadResult, Space};
use crate::{At, Code, Error, Value};

/// Most chunks that are given as one extent: a bound of the work for it.
const MERGED_MAX: u32 = 1024;

/// The table of chunks behind an inode.
struct Table {
    space: Space,
    /// Where it starts, in bytes of its space.
    start: u64,
    format: ChunkFormat,
    /// Size of an entry in bytes: 4 or 8.
    unit: u64,
    /// Size of a chunk as a power of two: at most 47.
    chunk_bits: u32,
    /// Size of a block as a power of two: at most 16.
    block_bits: u32,
    /// Bits of a device's number that count.
    device_mask: u16,
}

impl Table {
    /// The place in an entry, or `None` when its address does not fit 64 bits.
    fn place(&self, entry: [u8; 8]) -> Option<Place> {
        let [e0, e1, e2, e3, e4, e5, e6, e7] = entry;
        let (device, block, hole) = if self.format.has_indexes() {
            let low = u64::from(u32::from_le_bytes([e4, e5, e6, e7]));
            let (high, hole) = if self.format.is_48bit() {
                let high = u64::from(u16::from_le_bytes([e0, e1])) << 32;
                (high, (1 << 48) - 1)
            } else {
                (0, u64::from(u32::MAX))
            };
            let device = u16::from_le_bytes([e2, e3]) & self.device_mask;
            (device, high | low, hole)
        } else {
            let block = u32::from_le_bytes([e0, e1, e2, e3]);
            (0, u64::from(block), u64::from(u32::MAX))
        };
        if block == hole {
            return Some(Place::Hole);
        }
        let offset = block.checked_mul(1 << self.block_bits)?;
        // The whole chunk must be addressable.
        offset.checked_add(1 << self.chunk_bits)?;
        Some(Place::Raw { device, offset })
    }
}

impl<R: ReadAt> Image<R> {
    /// The table of chunks behind a chunk-based inode: from its start to the byte after its end,
    /// in bytes of the space that the inode lies in.
    pub(super) fn chunk_table(
        &self,
        inode: &Inode,
        format: ChunkFormat,
    ) -> Result<(u64, u64), Error> {
        let unit = if format.has_indexes() { 8 } else { 4 };
        let bits = u32::from(self.superblock.block_bits).saturating_add(format.block_bits());
        let chunks = inode.size.div_ceil(1 << (bits & 63));
        let start = inode.end().checked_next_multiple_of(unit);
        start
            .and_then(|start| Some((start, start.checked_add(chunks.checked_mul(unit)?)?)))
            .ok_or_else(|| Error::new(Code::MetadataBounds, At::Nid(inode.nid)))
    }

    /// The extent of a chunk-based file: the chunk that holds `offset` and those that follow it
    /// on the device, until `wanted` bytes are covered. Where a device that is addressed as one with
    /// the image begins or ends, a new extent begins: the two sides are read from two sources.
    pub(super) fn chunk_extent(
        &self,
        inode: &Inode,
        format: ChunkFormat,
        offset: u64,
        wanted: u64,
    ) -> ReadResult<Extent, R> {
        let stop = offset.saturating_add(wanted).min(inode.size);
        let block_bits = u32::from(self.superblock.block_bits);
        let unit = if format.has_indexes() { 8 } else { 4 };
        let table = Table {
            space: self.space(inode.nid),
            start: inode
                .end()
                .checked_next_multiple_of(unit)
                .unwrap_or(u64::MAX),
            format,
            unit,
            chunk_bits: block_bits.saturating_add(format.block_bits()),
            block_bits,
            device_mask: self.device_mask(),
        };
        let chunk = 1_u64 << (table.chunk_bits & 63);
        let mut number = offset >> (table.chunk_bits & 63);
        let first = number << (table.chunk_bits & 63);
        let place = self.chunk(inode, &table, number)?;
        let mut end = first.saturating_add(chunk);
        let border = match place {
            Place::Raw { device: 0, offset } => self.border_behind(offset),
            _ => u64::MAX,
        };
        let mut merged = 1;
        while merged < MERGED_MAX && end < stop {
            let so_far = end.saturating_sub(first);
            let next = match place {
                Place::Raw { device, offset } => Place::Raw {
                    device,
                    offset: offset.saturating_add(so_far),
                },
                hole => hole,
            };
            if matches!(next, Place::Raw { offset, .. } if offset >= border) {
                break;
            }
            number = number.saturating_add(1);
            // What is wrong with a later chunk is said when that one is asked for.
            if !self
                .chunk(inode, &table, number)
                .is_ok_and(|place| place == next)
            {
                break;
            }
            end = end.saturating_add(chunk);
            merged = merged.saturating_add(1);
        }
        Ok(Extent {
            offset: first,
            length: end.min(inode.size).saturating_sub(first),
            place,
        })
    }

    /// Where behind this byte the next device begins or ends that is addressed as one with the image.
    fn border_behind(&self, offset: u64) -> u64 {
        let devices = self.devices.iter().map(|device| &device.slot);
        devices
            .filter(|slot| slot.start != 0)
            .flat_map(|slot| [Some(slot.start), slot.end()])
            .flatten()
            .map(|block| block.saturating_mul(self.superblock.block_size()))
            .filter(|border| *border > offset)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// The place of one chunk.
    fn chunk(&self, inode: &Inode, table: &Table, number: u64) -> ReadResult<Place, R> {
        let position = number
            .checked_mul(table.unit)
            .and_then(|within| within.checked_add(table.start))
            .unwrap_or(u64::MAX);
        let mut entry = [0; 8];
        let used = usize::try_from(table.unit).unwrap_or(8);
        let part = entry.get_mut(..used).unwrap_or(&mut []);
        self.metadata_of(inode.nid, table.space, position, part)?;
        let at = || At::File(inode.nid, number << (table.chunk_bits & 63));
        let Some(place) = table.place(entry) else {
            return Err(Error::new(Code::FileBounds, at()).into());
        };
        match place {
            Place::Raw { device, .. } if usize::from(device) > self.devices.len() => {
                Err(Error::new(Code::ChunkDevice, at())
                    .found(Value::Number(device.into()))
                    .expected(Value::AtMost(self.devices.len() as u64))
                    .into())
            }
            place => Ok(place),
        }
    }

    /// The bits of a device's number that count (`device_id_mask` in `erofs_scan_devices`).
    fn device_mask(&self) -> u16 {
        let devices = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
        devices
            .saturating_add(1)
            .checked_next_power_of_two()
            .and_then(|power| u16::try_from(power.saturating_sub(1)).ok())
            .unwrap_or(u16::MAX)
    }
}
