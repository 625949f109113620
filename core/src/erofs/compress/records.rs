//! Records of a map, read a few hundred bytes at a time.

use super::super::{Image, ReadAt, ReadResult, Space};
use crate::bytes;

/// Bytes that are at hand at once.
const SPAN: usize = 512;
/// What the start of a span is a multiple of. Indexes are searched backwards as well as
/// forwards, so a span begins somewhat before what was asked for.
const ALIGN: u64 = 256;

/// A cursor over metadata: records that lie next to each other are copied out of the cache
/// once, not one by one.
pub(super) struct Records<'a, R> {
    image: &'a Image<R>,
    space: Space,
    /// Where the space ends, in bytes.
    end: u64,
    start: u64,
    length: usize,
    span: [u8; SPAN],
}

impl<'a, R: ReadAt> Records<'a, R> {
    pub(super) fn new(image: &'a Image<R>, space: Space) -> ReadResult<Self, R> {
        Ok(Self {
            image,
            space,
            end: image.space_end(space)?,
            start: 0,
            length: 0,
            span: [0; SPAN],
        })
    }

    /// The `N` bytes from `offset` on; `N` is at most 256.
    ///
    /// Fails with [`Code::MetadataBounds`](crate::Code::MetadataBounds) where they are not
    /// all inside the space.
    pub(super) fn get<const N: usize>(&mut self, offset: u64) -> ReadResult<[u8; N], R> {
        if let Some(found) = self.held(offset) {
            return Ok(found);
        }
        let start = offset & !ALIGN.saturating_sub(1);
        let length = usize::try_from(self.end.saturating_sub(start)).unwrap_or(SPAN);
        self.length = 0;
        if let Some(span) = self.span.get_mut(..length.min(SPAN)) {
            self.image.metadata(self.space, start, span)?;
            (self.start, self.length) = (start, span.len());
        }
        if let Some(found) = self.held(offset) {
            return Ok(found);
        }
        // Not all of it is inside: the cache says so in its own words.
        let mut found = [0; N];
        self.image.metadata(self.space, offset, &mut found)?;
        Ok(found)
    }

    fn held<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let within = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let held = self.span.get(..self.length)?;
        let from = held.get(within..within.checked_add(N)?)?;
        let mut found = [0; N];
        bytes::copy(from, &mut found);
        Some(found)
    }
}
