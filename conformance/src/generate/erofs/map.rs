//! Maps of compressed files, and an LZ4 block.

/// The head of an extent, or a further logical cluster of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// A head: its type (0 plain, 1 first algorithm, 3 second), where the extent starts in the
    /// logical cluster, and its block, counted from where the data of the file starts.
    Head(u16, u16, u32),
    /// The head of an extent in the packed inode, whose block is the upper half of an offset: 0.
    Fragment(u16),
    /// A further one: how far the head is behind, and how far the next one ahead.
    Rest(u16, u16),
}

/// The type of a logical cluster that is no head.
const REST: u16 = 2;
/// Set in the distance of the first further one of a big pcluster, which is the number of its
/// blocks then (`Z_EROFS_LI_D0_CBLKCNT`).
pub const BLOCK_COUNT: u16 = 1 << 11;

/// A map header (`struct z_erofs_map_header`).
#[must_use]
pub fn header(low: u32, advise: u16, algorithms: u8, cluster_bits: u8) -> [u8; 8] {
    let mut header = [0; 8];
    header[..4].copy_from_slice(&low.to_le_bytes());
    header[4..6].copy_from_slice(&advise.to_le_bytes());
    header[6] = algorithms;
    header[7] = cluster_bits;
    header
}

/// A map of full indexes: the header, 8 bytes that are free, 8 bytes for each.
pub fn full(header: [u8; 8], indexes: Vec<Index>) -> impl Fn(u32) -> Vec<u8> {
    move |first| {
        let mut map = header.to_vec();
        map.extend([0; 8]);
        for index in &indexes {
            match *index {
                Index::Head(kind, offset, block) => {
                    map.extend(kind.to_le_bytes());
                    map.extend(offset.to_le_bytes());
                    map.extend((first + block).to_le_bytes());
                }
                Index::Fragment(kind) => {
                    map.extend(kind.to_le_bytes());
                    map.extend([0; 6]);
                }
                Index::Rest(back, ahead) => {
                    map.extend(REST.to_le_bytes());
                    map.extend([0; 2]);
                    map.extend(back.to_le_bytes());
                    map.extend(ahead.to_le_bytes());
                }
            }
        }
        map
    }
}

/// A map of compact indexes of 4 bytes: the header, then packs of two entries of 16 bits and a
/// block. `big` says that there are big pclusters, which are counted in another way.
pub fn compact(header: [u8; 8], big: bool, indexes: Vec<Index>) -> impl Fn(u32) -> Vec<u8> {
    move |first| {
        let mut map = header.to_vec();
        for pair in indexes.chunks(2) {
            let mut block = 0_u32;
            let mut blocks_before = u32::from(!big);
            for (place, index) in pair.iter().enumerate().rev() {
                if let Index::Head(_, _, at) = *index {
                    block = first + at;
                    blocks_before = u32::from(!big);
                } else if let Index::Rest(back, _) = *index
                    && big
                    && place == 0
                    && back & BLOCK_COUNT != 0
                {
                    blocks_before += u32::from(back & !BLOCK_COUNT);
                }
            }
            for place in 0..2 {
                let entry = match pair.get(place) {
                    Some(Index::Head(kind, offset, _)) => offset | kind << 12,
                    Some(Index::Fragment(kind)) => kind << 12,
                    // The last of a pack says how far the next head is.
                    Some(Index::Rest(back, ahead)) if place == 1 && back & BLOCK_COUNT == 0 => {
                        ahead | REST << 12
                    }
                    Some(Index::Rest(back, _)) => back | REST << 12,
                    None => 0,
                };
                map.extend(entry.to_le_bytes());
            }
            map.extend(block.wrapping_sub(blocks_before).to_le_bytes());
        }
        map
    }
}

/// A map of encoded extents of 16 bytes: where each starts, its encoded length with flags, and
/// its block, counted from where the data of the file starts; `None` for a hole.
pub fn extents(records: Vec<(u32, u32, Option<u32>)>, block_bits: u8) -> impl Fn(u32) -> Vec<u8> {
    move |first| {
        let count = u32::try_from(records.len()).expect("few");
        // Bits 1 and 2: 4 bytes, doubled twice.
        let mut map = header(count, super::advise::EXTENTS | 2 << 1, 0, 0).to_vec();
        // The records start at a multiple of their size.
        map.resize(16, 0);
        for (start, length, block) in &records {
            map.extend(length.to_le_bytes());
            let offset = block.map_or(0, |block| u64::from(first + block) << block_bits);
            map.extend(offset.to_le_bytes());
            map.extend(start.to_le_bytes());
        }
        map
    }
}

/// An LZ4 block that decodes to one byte, `length` times: so many literals, a match of the rest,
/// and five literals, which a block must end with.
///
/// # Panics
///
/// When there is no literal, or too little for a match.
#[must_use]
pub fn lz4_run(byte: u8, literals: usize, length: usize) -> Vec<u8> {
    assert!(literals > 0, "a match needs something before it");
    let matched = length.checked_sub(literals + 5 + 4).expect("long enough");
    let nibble = |number: usize| u8::try_from(number.min(15)).unwrap_or(15);
    let more = |block: &mut Vec<u8>, number: usize| {
        if let Some(mut more) = number.checked_sub(15) {
            while more >= 255 {
                block.push(255);
                more -= 255;
            }
            block.push(u8::try_from(more).expect("less than 255"));
        }
    };
    let mut block = vec![nibble(literals) << 4 | nibble(matched)];
    more(&mut block, literals);
    block.resize(block.len() + literals, byte);
    block.extend([1, 0]);
    more(&mut block, matched);
    block.push(0x50);
    block.extend([byte; 5]);
    block
}

/// Bytes at the end of so many, behind zeros.
///
/// # Panics
///
/// When there are more of them.
#[must_use]
pub fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut padded = vec![0; length.checked_sub(bytes.len()).expect("they fit")];
    padded.extend(bytes);
    padded
}
