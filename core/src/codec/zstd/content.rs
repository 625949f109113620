//! What the blocks of a frame decode to, held against what the frame declares: its window, its size
//! and its checksum.

use core::hash::Hasher as _;

use twox_hash::XxHash64;

use super::frame::{Block, Frame};
use super::framing::{Framing, Progress};
use super::own::Room;
use crate::{At, Code, Error, Value};

/// Why a block was not decoded. In every case nothing of it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is corrupt, or decodes to more than a block may.
    Corrupt,
    /// There is no memory.
    Memory,
}

/// There is no memory for what a frame asks for that begins at this offset.
pub(super) fn no_memory(frame: &Frame, start: u64) -> Error {
    Error::new(Code::ZstdMemory, At::Blob(start)).found(Value::Number(frame.window))
}

/// The content of one frame after another.
#[derive(Clone, Debug)]
pub(super) struct Content {
    frame: Frame,
    /// Where the frame began.
    start: u64,
    /// Whether blocks are to come behind those that were decoded.
    open: bool,
    /// Whether none was decoded yet.
    fresh: bool,
    /// How much was decoded.
    size: u64,
    hasher: XxHash64,
}

impl Content {
    pub(super) fn new() -> Self {
        Self {
            frame: Frame::default(),
            start: 0,
            open: false,
            fresh: true,
            size: 0,
            hasher: XxHash64::with_seed(0),
        }
    }

    /// That of a frame that begins at this offset.
    pub(super) fn begin(&mut self, frame: Frame, start: u64) {
        *self = Self {
            frame,
            start,
            ..Self::new()
        };
    }

    /// Goes on with what stands around the blocks; whether there may be more in the input.
    pub(super) fn pass(&mut self, progress: Progress, framing: &Framing) -> Result<bool, Error> {
        match progress {
            Progress::Frame => self.begin(*framing.frame(), framing.frame_start()),
            Progress::Last => self.ends()?,
            Progress::Checksum { stated, start } => self.checksum(stated, start)?,
            Progress::Starved => return Ok(false),
            Progress::Made | Progress::Block(_) => {}
        }
        Ok(true)
    }

    /// The frame.
    pub(super) const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// How many bytes of it the blocks to come may reach back to.
    pub(super) fn reach(&self) -> usize {
        if self.open {
            usize::try_from(self.size.min(self.frame.window)).unwrap_or(usize::MAX)
        } else {
            0
        }
    }

    /// Whether the block that is next is the first.
    pub(super) const fn is_first(&self) -> bool {
        self.fresh
    }

    /// How much content is ever alive at once, where `first` is the first block: the window, or
    /// less where the frame says that it is shorter.
    pub(super) fn history(&self, first: Block) -> u64 {
        let alive = if first.last {
            self.frame.block_maximum() as u64
        } else {
            self.frame.content.unwrap_or(u64::MAX)
        };
        self.frame.window.min(alive)
    }

    /// There is no memory for what the frame asks for.
    pub(super) fn no_memory(&self) -> Error {
        no_memory(&self.frame, self.start)
    }

    /// Where in the memory the block goes that is next, when it starts there.
    pub(super) fn room(&self, start: usize) -> Room {
        Room {
            start,
            end: start.saturating_add(self.frame.block_maximum()),
            history: self.reach(),
            window: usize::try_from(self.frame.window).unwrap_or(usize::MAX),
        }
    }

    /// What the declared size has left; endless where there is none.
    fn left(&self) -> u64 {
        self.frame
            .content
            .map_or(u64::MAX, |declared| declared.saturating_sub(self.size))
    }

    /// It does not have the declared size, but this one.
    fn wrong_size(&self, found: Value) -> Error {
        Error::new(Code::ZstdContentSize, At::Blob(self.start))
            .found(found)
            .expected(Value::Number(self.frame.content.unwrap_or(0)))
    }

    /// A block makes it this much longer, which may be too much.
    fn fits(&self, size: usize) -> Result<(), Error> {
        if size as u64 > self.left() {
            return Err(self.wrong_size(Value::AtLeast(self.size.saturating_add(size as u64))));
        }
        Ok(())
    }

    /// Looks at the header of a block, before its body is there.
    pub(super) fn admits(&self, block: Block) -> Result<(), Error> {
        self.fits(block.content_size().unwrap_or(0))
    }

    /// Takes note of what a block decoded to, which begins at this offset.
    pub(super) fn decoded(
        &mut self,
        block: Block,
        start: u64,
        decoded: Result<usize, Fault>,
    ) -> Result<usize, Error> {
        let size = decoded.map_err(|fault| match fault {
            Fault::Corrupt => Error::new(Code::ZstdBlock, At::Blob(start)),
            Fault::Memory => self.no_memory(),
        })?;
        self.fits(size)?;
        self.size = self.size.saturating_add(size as u64);
        self.fresh = false;
        self.open = !block.last;
        Ok(size)
    }

    /// Counts bytes into the checksum, in their order.
    pub(super) fn hash(&mut self, bytes: &[u8]) {
        if self.frame.checksum {
            self.hasher.write(bytes);
        }
    }

    /// Says that the last block was decoded.
    pub(super) fn ends(&self) -> Result<(), Error> {
        if self.frame.content.is_some() && self.left() > 0 {
            return Err(self.wrong_size(Value::Number(self.size)));
        }
        Ok(())
    }

    /// Compares the checksum that stands at this offset. All bytes must have been counted.
    pub(super) fn checksum(&self, stated: u32, start: u64) -> Result<(), Error> {
        let stated = u64::from(stated);
        let computed = self.hasher.finish() & 0xFFFF_FFFF;
        if stated != computed {
            return Err(Error::new(Code::ZstdChecksum, At::Blob(start))
                .found(Value::Hex(computed))
                .expected(Value::Hex(stated)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_frame_lie_where_it_began() {
        let frame = Frame {
            window: 1024,
            content: Some(5),
            checksum: false,
        };
        let mut content = Content::new();
        content.begin(frame, 77);
        assert_eq!((content.reach(), content.is_first()), (0, true));
        assert_eq!(content.no_memory().at(), At::Blob(77));
        let error = content.ends().unwrap_err();
        assert_eq!(
            (error.code(), error.at()),
            (Code::ZstdContentSize, At::Blob(77))
        );
        let error = content.fits(6).unwrap_err();
        assert_eq!(
            (error.code(), error.at()),
            (Code::ZstdContentSize, At::Blob(77))
        );
        assert_eq!(content.fits(5), Ok(()));
    }
}
