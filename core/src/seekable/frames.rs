//! The frames of a zstd blob that has no index, by the headers of their blocks.
//!
//! Follows RFC 8878, 3.1.1. `pzstd` writes a skippable frame before each frame, and neither states
//! the size of the content; the blocks bound it.

use alloc::vec::Vec;

use super::chunk::{Checksum, Chunk, Chunks, Span};
use crate::Limits;
use crate::codec::zstd_headers::{self as headers, Start};
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
        let mut search = Search {
            blob,
            size,
            limits,
            window: Vec::new(),
            start: 0,
            at: 0,
            frames: 0,
            skipped: 0,
        };
        let found = search.run()?;
        Ok(found.filter(|frames| frames.ends.len() > 1))
    }
}

/// The way through a blob.
struct Search<'a, B> {
    blob: &'a B,
    size: u64,
    limits: &'a Limits,
    /// Bytes of the blob from `start` on.
    window: Vec<u8>,
    start: u64,
    /// Where the next header lies.
    at: u64,
    /// Frames so far, skippable ones included, and the bytes in those.
    frames: u64,
    skipped: u64,
}

impl<B: ReadAt> Search<'_, B> {
    /// Up to so many bytes of a header.
    fn header(&mut self, length: usize) -> Result<&[u8], B::Error> {
        let left = self.size.saturating_sub(self.at);
        let wanted = (length as u64).min(left);
        let end = self.start.saturating_add(self.window.len() as u64);
        if self.at < self.start || self.at.saturating_add(wanted) > end {
            self.window
                .resize(usize::try_from(left).map_or(READ, |left| left.min(READ)), 0);
            self.start = self.at;
            self.blob.read_at(self.at, &mut self.window)?;
        }
        let from = usize::try_from(self.at.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let rest = self.window.get(from..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest))
    }

    fn run(&mut self) -> Result<Option<Frames>, B::Error> {
        let mut ends: Vec<(u64, u64)> = Vec::new();
        let mut image = 0_u64;
        let mut begins = 0_u64;
        while self.at < self.size {
            self.frames = self.frames.saturating_add(1);
            let window_limit = self.limits.zstd_window;
            let start = headers::start(self.header(headers::START)?, window_limit);
            let most = match start {
                None => return Ok(None),
                Some(Start::Skippable(size)) => {
                    self.at = self.at.saturating_add(size);
                    self.skipped = self.skipped.saturating_add(size.saturating_sub(8));
                    None
                }
                Some(Start::Frame(frame)) => {
                    self.at = self.at.saturating_add(frame.header);
                    let Some(most) = self.blocks(&frame)? else {
                        return Ok(None);
                    };
                    Some(most)
                }
            };
            if self.at > self.size
                || self.frames > self.limits.frames
                || self.skipped > self.limits.skippable_size
            {
                return Ok(None);
            }
            if let Some(most) = most {
                image = image.saturating_add(most);
                let kept = (ends.len() as u64).saturating_add(1).saturating_mul(ENTRY);
                if kept > self.limits.chunk_index || ends.try_reserve(1).is_err() {
                    return Ok(None);
                }
                ends.push((self.at, image));
            } else if let Some(last) = ends.last_mut()
                && self.at == self.size
            {
                // What follows the last one comes with it.
                last.0 = self.at;
            }
            let before = ends.len().checked_sub(2).and_then(|place| ends.get(place));
            begins = before.map_or(begins, |(end, _)| *end);
            if self.at.saturating_sub(begins) > self.limits.chunk {
                return Ok(None);
            }
        }
        let whole = ends.last().is_some_and(|(end, _)| *end == self.size);
        Ok(whole.then_some(Frames { ends }))
    }

    /// Goes behind the blocks of a frame, and says how much they decode to at most.
    fn blocks(&mut self, frame: &headers::Begun) -> Result<Option<u64>, B::Error> {
        let start = self.at;
        let mut most = 0_u64;
        loop {
            let Some(block) = headers::block(self.header(3)?, frame) else {
                return Ok(None);
            };
            self.at = self.at.saturating_add(block.size);
            most = most.saturating_add(block.most);
            let limit = self.limits.chunk;
            let read = self.at.saturating_sub(start);
            if self.at > self.size || read > limit || frame.content.unwrap_or(most) > limit {
                return Ok(None);
            }
            if block.last {
                self.at = self.at.saturating_add(frame.trailer);
                return Ok(Some(frame.content.unwrap_or(most)));
            }
        }
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
