//! Mutants: which bits of an image are flipped, and the image with one of them flipped.

use std::io;

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{FileType, Image, Inode, Place, Space};
use serde::{Deserialize, Serialize};

use crate::generate::image;

/// Zeros that no content takes, from this many on, are a gap.
const GAP: usize = 32;
/// Where the checksum of the superblock lies: mending it would undo the flip.
const CHECKSUM: std::ops::Range<usize> = 1028..1032;

/// One bit of an image that is flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mutant {
    /// The byte, from the start of the image.
    pub offset: usize,
    /// The bit, 0 for the lowest.
    pub bit: u8,
}

impl Mutant {
    /// The image with the bit flipped and the superblock's checksum mended.
    #[must_use]
    pub fn of(self, original: &[u8]) -> Vec<u8> {
        let mut bytes = original.to_vec();
        bytes[self.offset] ^= 1 << self.bit;
        image::Image(bytes).mend().0
    }
}

/// What a byte of an image is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Metadata,
    /// Content as it is.
    Content,
    /// Content that is compressed; at its start, where formats have their headers.
    EncodedStart,
    Encoded,
    Gap,
}

/// The bits of an image that are flipped: all of its metadata, and some of the rest.
///
/// # Errors
///
/// When the image cannot be read.
pub fn all(bytes: &[u8]) -> io::Result<Vec<Mutant>> {
    let uses = uses(bytes).map_err(|error| io::Error::other(error.to_string()))?;
    let mut mutants = Vec::new();
    for (offset, what) in uses.into_iter().enumerate() {
        // One bit of every so many bytes, another one each time.
        let one = |every: usize| {
            let bit = u8::try_from(offset / every % 8).unwrap_or(0);
            let some = offset.is_multiple_of(every);
            if some { bit..bit + 1 } else { 0..0 }
        };
        let bits = match what {
            _ if CHECKSUM.contains(&offset) => 0..0,
            Use::Metadata | Use::EncodedStart => 0..8,
            Use::Encoded => one(3),
            Use::Gap => one(61),
            Use::Content => one(257),
        };
        mutants.extend(bits.map(|bit| Mutant { offset, bit }));
    }
    Ok(mutants)
}

/// What each byte is there for.
fn uses(bytes: &[u8]) -> Result<Vec<Use>, Box<dyn std::error::Error>> {
    let image = Image::open(bytes, bytes.len() as u64, &Limits::DEFAULT)?;
    let mut uses = vec![Use::Metadata; bytes.len()];
    let superblock = image.superblock();
    let mut files = Vec::new();
    for nid in [superblock.packed_inode(), superblock.metabox_inode()]
        .into_iter()
        .flatten()
    {
        files.push(image.inode(nid)?);
    }
    let mut walk = image.walk()?;
    while let Some(visit) = walk.next()? {
        // A directory is metadata, unless it is compressed.
        let is_file = visit.inode.file_type == FileType::Regular;
        if is_file || visit.inode.layout.is_compressed() {
            files.push(visit.inode);
        }
    }
    for inode in &files {
        mark(
            bytes,
            &image,
            inode,
            superblock.metabox_inode() == Some(inode.nid),
            &mut uses,
        )?;
    }
    gaps(bytes, &mut uses);
    uses[..image::SUPERBLOCK.min(bytes.len())].fill(Use::Gap);
    Ok(uses)
}

/// Marks where the content of a file lies.
fn mark(
    bytes: &[u8],
    image: &Image<&[u8]>,
    inode: &Inode,
    is_metabox: bool,
    uses: &mut [Use],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut offset = 0;
    while offset < inode.size {
        let extent = image.extent(inode, offset)?;
        let (start, length, what) = match extent.place {
            Place::Raw { offset, .. } if !is_metabox => (offset, extent.length, Use::Content),
            Place::Encoded(pcluster) if pcluster.metadata != Some(Space::Metabox) => {
                (pcluster.offset, pcluster.length, Use::Encoded)
            }
            _ => (0, 0, Use::Metadata),
        };
        let start = usize::try_from(start)?;
        let end = start
            .saturating_add(usize::try_from(length)?)
            .min(uses.len());
        uses.get_mut(start..end).unwrap_or_default().fill(what);
        if what == Use::Encoded {
            // Zeros before the stream are padding.
            let padding = bytes[start..end]
                .iter()
                .take_while(|byte| **byte == 0)
                .count();
            let from = start + padding.saturating_sub(1);
            uses[from..end.min(from + 16)].fill(Use::EncodedStart);
        }
        offset = extent.offset.saturating_add(extent.length.max(1));
    }
    Ok(())
}

/// Marks the middle of long runs of zeros.
fn gaps(bytes: &[u8], uses: &mut [Use]) {
    let mut start = 0;
    for end in 0..=bytes.len() {
        let goes_on = bytes.get(end) == Some(&0) && uses.get(end) == uses.get(start);
        if goes_on && bytes[start] == 0 {
            continue;
        }
        // From the start, or behind it where that is what the zeros follow.
        let first = start + usize::from(bytes[start] != 0);
        if end - first.min(end) >= GAP && uses[first] != Use::Content {
            uses[first + GAP / 4..end - GAP / 4].fill(Use::Gap);
        }
        start = end.min(bytes.len() - 1);
    }
}

/// A share of the mutants: `count` of them, chosen by a seed, in their order.
#[must_use]
pub fn sample(mutants: Vec<(usize, Mutant)>, count: usize, seed: u64) -> Vec<(usize, Mutant)> {
    let mut keyed: Vec<_> = mutants
        .into_iter()
        .map(|(image, mutant)| {
            let place = (image as u64) << 40 | (mutant.offset as u64) << 3 | u64::from(mutant.bit);
            (mix(place ^ mix(seed)), image, mutant)
        })
        .collect();
    keyed.sort_unstable();
    keyed.truncate(count);
    let mut chosen: Vec<_> = keyed
        .into_iter()
        .map(|(_, image, mutant)| (image, mutant))
        .collect();
    chosen.sort_unstable();
    chosen
}

/// The finalizer of splitmix64.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
