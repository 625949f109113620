//! The back end of our own: blocks decoded into one piece of memory, whose end is the window.
//!
//! When the memory is full, the window moves to its front. It holds at least as much again as
//! the window, up to [`CHUNK`], beyond that a quarter: so a byte moves once at most, or four
//! times where the window is large.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::engine::{Bounds, Decoded, Engine, Fault};
#[cfg(feature = "fast-zstd")]
use super::frame::Descriptor;
use super::frame::{BLOCK, Block, BlockType, Frame};
use super::own::{Blocks, Room, SLACK};
use crate::bytes;

/// Most bytes beside the window, if that is not more than four times as large.
const CHUNK: usize = 8 << 20;

/// Frames decoded by the project's own decoder.
#[derive(Debug)]
pub(super) struct Flat {
    blocks: Box<Blocks>,
    /// Further ones for whole frames in memory, made at the first.
    #[cfg(feature = "fast-zstd")]
    whole: Option<Box<Blocks>>,
    /// Room for the literals of a block.
    scratch: Vec<u8>,
    /// It grows to `size` as the frame needs it.
    memory: Vec<u8>,
    /// How much memory the frame may take, slack included.
    size: usize,
    /// What of the memory has still to be given out.
    start: usize,
    end: usize,
    /// How far back a match may reach.
    window: usize,
    /// How much of the window is filled.
    filled: usize,
}

impl Flat {
    pub(super) fn new() -> Self {
        Self {
            blocks: Box::new(Blocks::new()),
            #[cfg(feature = "fast-zstd")]
            whole: None,
            scratch: Vec::new(),
            memory: Vec::new(),
            size: 0,
            start: 0,
            end: 0,
            window: 0,
            filled: 0,
        }
    }

    /// Makes the room for literals, once.
    fn make_scratch(&mut self) -> Result<(), Fault> {
        let size = BLOCK.saturating_add(SLACK);
        if self.scratch.is_empty() {
            self.scratch
                .try_reserve_exact(size)
                .map_err(|_| Fault::Memory)?;
            self.scratch.resize(size, 0);
        }
        Ok(())
    }

    /// Makes room for a block of up to so many bytes behind what was decoded.
    fn make_room(&mut self, block: usize) -> Result<(), Fault> {
        let block = block.saturating_add(SLACK);
        if self.end.saturating_add(block) > self.size {
            let from = self.end.saturating_sub(self.filled);
            let (front, window) = self
                .memory
                .get_mut(..self.end)
                .and_then(|memory| memory.split_at_mut_checked(from))
                .ok_or(Fault::Corrupt)?;
            if window.len() <= front.len() {
                bytes::copy(window, front);
            } else {
                self.memory.drain(..from);
            }
            self.end = self.filled;
            self.start = self.end;
        }
        let needed = self.end.saturating_add(block);
        if needed > self.memory.len() {
            // Within what was reserved.
            self.memory.resize(needed, 0);
        }
        Ok(())
    }
}

/// What a block of a type and a size decodes to, into its room; says where it ends.
fn decode(
    blocks: &mut Blocks,
    kind: BlockType,
    body: &[u8],
    size: usize,
    scratch: &mut [u8],
    output: &mut [u8],
    room: Room,
) -> Result<usize, Fault> {
    if kind == BlockType::Compressed {
        let decoded = blocks.decode(body, scratch, output, room);
        return decoded.map_err(|_| Fault::Corrupt);
    }
    let end = room.start.saturating_add(size);
    let place = output.get_mut(room.start..end).ok_or(Fault::Corrupt)?;
    match kind {
        BlockType::Rle => place.fill(*body.first().ok_or(Fault::Corrupt)?),
        _ => {
            bytes::copy(body, place);
        }
    }
    Ok(end)
}

impl Engine for Flat {
    fn begin(&mut self, frame: &Frame, history: usize) -> Result<(), Fault> {
        self.blocks.reset();
        (self.start, self.end, self.filled) = (0, 0, 0);
        self.window = usize::try_from(frame.window).unwrap_or(usize::MAX);
        self.make_scratch()?;
        // All of a short content, and a block that runs over; else the window and a part more.
        let more = if frame
            .content
            .is_some_and(|content| content <= history as u64)
        {
            0
        } else {
            history.min(CHUNK).max(history / 4)
        };
        let more = more.max(frame.block_maximum());
        self.size = history.saturating_add(more).saturating_add(SLACK);
        if self.size > self.memory.capacity() {
            // It would be copied; this lets go of it first.
            self.memory = Vec::new();
            self.memory
                .try_reserve_exact(self.size)
                .map_err(|_| Fault::Memory)?;
        }
        Ok(())
    }

    fn block(
        &mut self,
        header: [u8; 3],
        body: &[u8],
        bounds: Bounds,
        _output: &mut [u8],
    ) -> Result<Decoded, Fault> {
        let block = Block::read(header, bounds.block).map_err(|_| Fault::Corrupt)?;
        self.make_room(bounds.block)?;
        let room = Room {
            start: self.end,
            end: self.end.saturating_add(bounds.block),
            history: self.filled,
            window: self.window,
        };
        let end = decode(
            &mut self.blocks,
            block.kind,
            body,
            block.size,
            &mut self.scratch,
            &mut self.memory,
            room,
        )?;
        let size = end.saturating_sub(self.end);
        if size as u64 > bounds.left {
            return Err(Fault::TooLong(size));
        }
        (self.start, self.end) = (self.end, end);
        self.filled = self.filled.saturating_add(size).min(self.window);
        Ok(Decoded { size, written: 0 })
    }

    #[cfg(feature = "fast-zstd")]
    fn whole(&mut self, frame: &[u8], output: &mut [u8]) -> Result<usize, Fault> {
        let (_, rest) = frame.split_at_checked(4).ok_or(Fault::Corrupt)?;
        let descriptor = Descriptor(*rest.first().ok_or(Fault::Corrupt)?);
        let (header, mut rest) = rest
            .split_at_checked(descriptor.header_length())
            .ok_or(Fault::Corrupt)?;
        let frame = Frame::read(header, u64::MAX).map_err(|_| Fault::Corrupt)?;
        self.make_scratch()?;
        let blocks = self.whole.get_or_insert_with(|| Box::new(Blocks::new()));
        blocks.reset();
        let mut at = 0;
        loop {
            let (header, body) = rest.split_first_chunk().ok_or(Fault::Corrupt)?;
            let block = Block::read(*header, frame.block_maximum()).map_err(|_| Fault::Corrupt)?;
            let (body, others) = body
                .split_at_checked(block.wire_size())
                .ok_or(Fault::Corrupt)?;
            let room = Room {
                start: at,
                end: at.saturating_add(frame.block_maximum()).min(output.len()),
                history: at,
                window: usize::try_from(frame.window).unwrap_or(usize::MAX),
            };
            at = decode(
                blocks,
                block.kind,
                body,
                block.size,
                &mut self.scratch,
                output,
                room,
            )?;
            if block.last {
                return Ok(at);
            }
            rest = others;
        }
    }

    fn forget(&mut self) {
        self.start = self.end;
    }

    fn readable(&self, _keep: usize) -> usize {
        self.end.saturating_sub(self.start)
    }

    fn read(&mut self, _keep: usize, output: &mut [u8]) -> usize {
        let Some(rest) = self.memory.get(self.start..self.end) else {
            return 0;
        };
        let read = bytes::copy(rest, output);
        self.start = self.start.saturating_add(read);
        read
    }
}
