//! The frames of a zstd blob that has no index, by the headers of their blocks.
//!
//! Follows RFC 8878, 3.1.1. `pzstd` writes a skippable frame before each frame, and neither states
//! the size of the content; the blocks bound it.

use alloc::vec::Vec;

use super::chunk::{Checksum, Chunk, Chunks, Span};
use crate::Limits;
use crate::codec::{FoundFrame, FrameScan};
use crate::erofs::ReadAt;

/// How much is read at a time, in bytes: small blocks are passed over without further reading.
const READ: usize = 4 << 10;
/// Bytes that are kept for each frame.
const ENTRY: u64 = 16;

/// The frames of a blob that follow each other, each a chunk whose bytes of the image are known
/// only when it is decoded: [`Chunk::image`] has room for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    /// Where each ends in the blob, and in images of the largest sizes.
    ends: Vec<(u64, u64)>,
}

impl Frames {
    /// The frames of a blob of `size` bytes: those that hold something, each with the skippable ones
    /// before it, the last with those behind it too.
    ///
    /// `None` when it is no such blob, there is only one, or one may be larger than
    /// [`Limits::chunk`]; when all of them are more than [`Limits::frames`], skippable ones included,
    /// or those are together larger than [`Limits::skippable_size`]; and when what is kept of them
    /// is more than [`Limits::chunk_index`]. Then it is to be read from its start.
    ///
    /// # Errors
    ///
    /// What `blob` gives.
    pub fn find<B: ReadAt>(blob: &B, size: u64, limits: &Limits) -> Result<Option<Self>, B::Error> {
        let mut scan = FrameScan::new(limits);
        let mut search = Search {
            limits,
            ends: Vec::new(),
        };
        let mut window = Vec::new();
        loop {
            let left = size.saturating_sub(scan.offset());
            scan.skip(scan.unread().min(left));
            let left = size.saturating_sub(scan.offset());
            window.resize(usize::try_from(left).map_or(READ, |left| left.min(READ)), 0);
            if !window.is_empty() {
                blob.read_at(scan.offset(), &mut window)?;
            }
            let mut rest = window.as_slice();
            loop {
                let Ok((consumed, found)) = scan.scan(rest) else {
                    return Ok(None);
                };
                rest = rest.get(consumed..).unwrap_or_default();
                match found {
                    None => break,
                    Some(frame) if search.push(&frame) => {}
                    Some(_) => return Ok(None),
                }
            }
            if !search.fits(&scan) {
                return Ok(None);
            }
            if window.is_empty() {
                break;
            }
        }
        if scan.finish().is_err() {
            return Ok(None);
        }
        Ok(search.finish(size).filter(|frames| frames.ends.len() > 1))
    }
}

/// The way through a blob.
struct Search<'a> {
    limits: &'a Limits,
    ends: Vec<(u64, u64)>,
}

impl Search<'_> {
    /// Keeps a frame, unless that cannot be.
    fn push(&mut self, frame: &FoundFrame) -> bool {
        let (start, image) = self.ends.last().copied().unwrap_or_default();
        let most = frame.content.unwrap_or(frame.most);
        let kept = (self.ends.len() as u64)
            .saturating_add(1)
            .saturating_mul(ENTRY);
        if most > self.limits.chunk
            || frame.end.saturating_sub(start) > self.limits.chunk
            || kept > self.limits.chunk_index
            || self.ends.try_reserve(1).is_err()
        {
            return false;
        }
        self.ends.push((frame.end, image.saturating_add(most)));
        true
    }

    /// Whether what has begun may become a chunk.
    fn fits(&self, scan: &FrameScan) -> bool {
        let start = self.ends.last().map_or(0, |(end, _)| *end);
        let read = scan.offset().saturating_sub(start);
        let most = scan
            .begun()
            .map(|frame| frame.content.unwrap_or(frame.most));
        read.max(most.unwrap_or(0)) <= self.limits.chunk
    }

    /// The frames of a blob of this size; what follows the last comes with it.
    fn finish(mut self, size: u64) -> Option<Frames> {
        let before = self.ends.len().checked_sub(2);
        let start = before
            .and_then(|place| self.ends.get(place))
            .map_or(0, |(end, _)| *end);
        self.ends.last_mut()?.0 = size;
        let fits = size.saturating_sub(start) <= self.limits.chunk;
        fits.then_some(Frames { ends: self.ends })
    }
}

impl Chunks for Frames {
    fn count(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    fn chunk(&self, number: u32) -> Option<Chunk> {
        let place = usize::try_from(number).ok()?;
        let end = self.ends.get(place)?;
        let before = place
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let (blob, image) = before.copied().unwrap_or_default();
        Some(Chunk {
            number,
            blob: Span {
                start: blob,
                end: end.0,
            },
            image: Span {
                start: image,
                end: end.1,
            },
            checksum: Checksum::None,
        })
    }

    fn image_size(&self) -> u64 {
        self.ends.last().map_or(0, |(_, image)| *image)
    }

    fn has_digests(&self) -> bool {
        false
    }
}
