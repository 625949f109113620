//! A mutator that knows what an image is made of: superblock, inodes, and where their content
//! lies. It edits fields rather than bytes, with values that mean something in an image.

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{Image, Layout, OutOfBounds, Place, ReadError, Space};
use libfuzzer_sys::fuzzer_mutate;

const SUPERBLOCK: usize = 1024;
/// Most files whose parts are looked for.
const FILES: usize = 64;

/// Some randomness (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// A part of an image: where it starts and ends.
type Part = (usize, usize);

/// The part of this length; one that cannot be is found empty when it is used.
fn part(offset: u64, length: u64) -> Part {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    (
        start,
        start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX)),
    )
}

/// What an image is made of.
#[derive(Default)]
struct Parts {
    /// Superblock, inodes with what follows them, directories, tables: what is edited most.
    metadata: Vec<Part>,
    /// Where inodes start.
    inodes: Vec<usize>,
    nids: Vec<u64>,
    /// Compressed content.
    encoded: Vec<Part>,
}

/// Changes an image; the new size.
pub(crate) fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut dice = Dice(seed.into());
    if size <= SUPERBLOCK + 128 || dice.below(16) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut parts = Parts {
        metadata: vec![(SUPERBLOCK, SUPERBLOCK + 144)],
        ..Parts::default()
    };
    // What was found before an error will do.
    let _ = find(&data[..size], &mut parts);
    let mut size = size;
    for _ in 0..=dice.below(4) {
        size = edit(data, size, max_size, &parts, &mut dice);
    }
    size
}

/// Finds the parts of an image.
fn find(bytes: &[u8], parts: &mut Parts) -> Result<(), ReadError<OutOfBounds>> {
    let mut limits = Limits::DEFAULT;
    limits.inodes = FILES as u64;
    limits.directory_depth = 8;
    let image = Image::open(bytes, bytes.len() as u64, &limits)?;
    let start = u32::from_le_bytes([bytes[1064], bytes[1065], bytes[1066], bytes[1067]]);
    let start = u64::from(start) << bytes[1036].min(16);
    let superblock = *image.superblock();
    if let Some((offset, slots)) = superblock.device_table() {
        parts.metadata.push(part(offset, u64::from(slots) * 128));
    }
    let internal = [superblock.packed_inode(), superblock.metabox_inode()];
    let mut inodes = Vec::new();
    for nid in internal.into_iter().flatten() {
        inodes.extend(image.inode(nid));
    }
    let mut walk = image.walk()?;
    for _ in 0..FILES {
        match walk.next() {
            Ok(Some(visit)) => inodes.push(visit.inode),
            Ok(None) => break,
            Err(_) => {}
        }
    }
    for inode in inodes {
        let at = start.saturating_add(inode.nid.saturating_mul(32));
        // Those in the metabox are found as its content.
        if image.space(inode.nid) == Space::Image && at < bytes.len() as u64 {
            let record = if bytes[at as usize] & 1 == 0 { 32 } else { 64 };
            let behind = if inode.layout == Layout::FlatPlain {
                0
            } else {
                64
            };
            parts
                .metadata
                .push(part(at, record + inode.xattr_size().min(4096) + behind));
            parts.inodes.push(at as usize);
        }
        parts.nids.push(inode.nid);
        let mut offset = 0;
        for _ in 0..8 {
            if offset >= inode.size {
                break;
            }
            let Ok(extent) = image.extent(&inode, offset) else {
                break;
            };
            let length = extent.length.min(1 << 16);
            match extent.place {
                Place::Raw { device: 0, offset }
                | Place::Metadata {
                    space: Space::Image,
                    offset,
                } => parts.metadata.push(part(offset, length)),
                Place::Encoded(pcluster) if pcluster.metadata != Some(Space::Metabox) => {
                    parts.encoded.push(part(pcluster.offset, pcluster.length));
                }
                _ => {}
            }
            offset = extent.offset.saturating_add(extent.length.max(1));
        }
    }
    Ok(())
}

/// One edit; the new size.
fn edit(data: &mut [u8], size: usize, max_size: usize, parts: &Parts, dice: &mut Dice) -> usize {
    let encoded = !parts.encoded.is_empty() && dice.below(8) == 0;
    let list = if encoded {
        &parts.encoded
    } else {
        &parts.metadata
    };
    let (start, end) = list[dice.below(list.len())];
    let end = end.min(size);
    if start >= end {
        return size;
    }
    match dice.below(20) {
        // What libFuzzer does to bytes, within the part.
        0..=2 => {
            let part = &mut data[start..end];
            let length = part.len();
            fuzzer_mutate(part, length, length);
            size
        }
        // One inode over another.
        3 if parts.inodes.len() > 1 => {
            let from = parts.inodes[dice.below(parts.inodes.len())];
            let to = parts.inodes[dice.below(parts.inodes.len())];
            let length = 32.min(size.saturating_sub(from.max(to)));
            if length > 0 {
                data.copy_within(from..from + length, to);
            }
            size
        }
        // Another end: a block less, or one more of zeros.
        4 => {
            let block = 1_usize << data[1036].clamp(9, 12);
            if dice.below(2) == 0 {
                size.saturating_sub(block).max(SUPERBLOCK + 128)
            } else {
                let new = (size + block).min(max_size);
                data[size..new].fill(0);
                new
            }
        }
        _ => {
            field(data, size, (start, end), parts, dice);
            size
        }
    }
}

/// Gives a field another value.
fn field(data: &mut [u8], size: usize, part: Part, parts: &Parts, dice: &mut Dice) {
    let width = 1_usize << dice.below(4);
    let (start, end) = part;
    let places = (end - start) / width;
    if places == 0 {
        return;
    }
    // The first bytes say most: half of the edits go there.
    let places = if dice.below(2) == 0 {
        places.min(64 / width)
    } else {
        places
    };
    let at = start + dice.below(places) * width;
    let Some(bytes) = data.get(at..at + width) else {
        return;
    };
    let mut old = [0; 8];
    old[..width].copy_from_slice(bytes);
    let old = u64::from_le_bytes(old);
    let new = match dice.below(12) {
        0..=3 => old ^ 1 << dice.below(8 * width),
        4 => old.wrapping_add(1),
        5 => old.wrapping_sub(1),
        6 => [0, 1, u64::MAX, u64::MAX >> 1, 1 << 63][dice.below(5)],
        7 => size as u64 >> dice.below(13),
        8 if !parts.nids.is_empty() => parts.nids[dice.below(parts.nids.len())],
        // What stands elsewhere.
        9 | 10 => {
            let (start, end) = parts.metadata[dice.below(parts.metadata.len())];
            let from = start.min(size) + dice.below(end.min(size).saturating_sub(start).max(1));
            let mut value = [0; 8];
            if let Some(bytes) = data.get(from..from + width) {
                value[..width].copy_from_slice(bytes);
            }
            u64::from_le_bytes(value)
        }
        _ => dice.next() >> dice.below(64),
    };
    data[at..at + width].copy_from_slice(&new.to_le_bytes()[..width]);
}
