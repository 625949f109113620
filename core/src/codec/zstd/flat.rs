//! The flat form: frames decoded straight into memory of the caller's, which is their window too.
//!
//! A block needs no memory but the place that it goes to, the window before that, and room for
//! its literals and its body. So nothing is copied but the window, when the caller goes on in
//! another piece of memory.

use super::content::{Content, Fault};
#[cfg(feature = "alloc")]
use super::frame::{self, BLOCK, Descriptor, Frame};
use super::frame::{Block, BlockType};
use super::framing::{Framing, Progress, Progressed};
use super::own::{Blocks, Room, SLACK};
use crate::bytes;
use crate::codec::{Status, Step};
use crate::{At, Code, Error, Limits};

/// Decodes into memory that is given at each call.
#[derive(Clone, Debug)]
pub(super) struct Flat {
    framing: Framing,
    content: Content,
    blocks: Blocks,
    /// Whether [`Self::begin`] was called for the first block of a frame.
    begun: bool,
    /// What ended the stream, or does when all before it is given out.
    fault: Option<Error>,
}

/// How much is decoded in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// As much as there is input and room for.
    #[cfg(feature = "alloc")]
    All,
    /// A block at most, while it is in the processor's caches, and the first of a frame only
    /// after [`Flat::begin`].
    Block,
}

/// Bytes of working memory for blocks of up to this size: for the literals of a block, and for
/// a block that arrives in pieces, of which one of repeated bytes has a byte even where it decodes
/// to none.
pub(super) const fn work_size(block: usize) -> usize {
    let gather = if block == 0 { 1 } else { block };
    block.saturating_add(SLACK).saturating_add(gather)
}

impl Flat {
    /// Working memory that suffices for all frames.
    #[cfg(feature = "alloc")]
    pub(super) const WORK: usize = work_size(BLOCK);

    pub(super) fn new(limits: &Limits, single: bool) -> Self {
        Self {
            framing: Framing::new(limits, single),
            content: Content::new(),
            blocks: Blocks::new(),
            begun: false,
            fault: None,
        }
    }

    /// Makes ready for a stream of its own.
    #[cfg(feature = "alloc")]
    pub(super) fn restart(&mut self) {
        self.framing.restart();
        self.content = Content::new();
        self.begun = false;
        self.fault = None;
    }

    /// The frame, and what was decoded of it.
    pub(super) const fn content(&self) -> &Content {
        &self.content
    }

    /// How much content of the frame is ever alive at once ([`Content::history`]).
    pub(super) fn history(&self) -> u64 {
        let block = self.framing.block();
        block.map_or(0, |first| self.content.history(first))
    }

    /// The offset of the next byte of the stream.
    pub(super) const fn offset(&self) -> u64 {
        self.framing.offset()
    }

    /// How many bytes the blocks to come may reach back to.
    pub(super) fn keep(&self) -> usize {
        match self.fault {
            Some(_) => 0,
            None => self.content.reach(),
        }
    }

    /// How many bytes of room the next block needs, of the frame that has begun.
    pub(super) fn room(&self) -> usize {
        match self.fault {
            Some(_) => 0,
            None => self.content.frame().block_maximum().saturating_add(SLACK),
        }
    }

    /// Says that there is memory for the frame whose first block is next; and whether that was
    /// not said before.
    pub(super) const fn begin(&mut self) -> bool {
        !core::mem::replace(&mut self.begun, true)
    }

    /// Ends the stream with an error, once all before it is given out.
    pub(super) fn fail(&mut self, error: Error) {
        self.fault = self.fault.or(Some(error));
    }

    /// Decodes into `memory[filled..]`, before which the history lies ([`Self::keep`]). `work`
    /// has [`work_size`] bytes, and is the same at each call.
    ///
    /// [`Status::NeedOutput`] with nothing produced: there is less than [`Self::room`] left.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        work: &mut [u8],
        memory: &mut [u8],
        filled: usize,
        pace: Pace,
    ) -> Result<Step, Error> {
        let mut rest = input;
        let mut end = filled;
        let status = loop {
            if let Some(error) = self.fault {
                if end == filled {
                    return Err(error);
                }
                // What was decoded now is told first; the next call gives the error.
                break Status::NeedOutput;
            }
            let progress = match self.framing.advance(&mut rest) {
                Ok(Progress::Block(block)) => match self.content.admits(block) {
                    Ok(()) => {
                        let waits = match pace {
                            #[cfg(feature = "alloc")]
                            Pace::All => false,
                            Pace::Block => end > filled || (self.content.is_first() && !self.begun),
                        };
                        if waits || memory.len().saturating_sub(end) < self.room() {
                            break Status::NeedOutput;
                        }
                        self.block(block, &mut rest, work, memory, &mut end)
                    }
                    Err(error) => Err(error),
                },
                Ok(progress) => self.content.pass(progress, &self.framing),
                Err(error) => Err(error),
            };
            match progress {
                Ok(true) => {}
                Ok(false) if self.framing.complete() => break Status::Done,
                Ok(false) => break Status::NeedInput,
                Err(error) => self.fail(error),
            }
        };
        Ok(Step {
            consumed: input.len().saturating_sub(rest.len()),
            produced: end.saturating_sub(filled),
            status,
        })
    }

    /// Decodes a block that was admitted, once all of it is there, and moves `end` behind it;
    /// whether it was.
    fn block(
        &mut self,
        block: Block,
        input: &mut &[u8],
        work: &mut [u8],
        memory: &mut [u8],
        end: &mut usize,
    ) -> Result<bool, Error> {
        let maximum = self.content.frame().block_maximum();
        let at = self.framing.start();
        let (scratch, gather) = work
            .split_at_mut_checked(maximum.saturating_add(SLACK))
            .ok_or(self.content.no_memory())?;
        let body = self.framing.body(block, input, gather);
        let Progressed::Body(body) = body.ok_or(self.content.no_memory())? else {
            return Ok(false);
        };
        if self.content.is_first() {
            self.blocks.reset();
        }
        let room = self.content.room(*end);
        let decoded = decode(&mut self.blocks, block, body, scratch, memory, room);
        let size = self.content.decoded(block, at, decoded)?;
        self.begun = false;
        *end = room.start.saturating_add(size);
        self.content
            .hash(memory.get(room.start..*end).unwrap_or(&[]));
        Ok(true)
    }

    /// Says that there is no more input, and that all was taken that was decoded.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if let Some(error) = self.fault {
            return Err(error);
        }
        if self.framing.complete() {
            return Ok(());
        }
        let error = self.framing.truncated();
        self.fault = Some(error);
        Err(error)
    }

    /// Fills `output` with the content of the one frame that `input` is, and says whether that
    /// worked. The stream that was begun is lost.
    ///
    /// It does not for a frame that does not declare just this size, nor for one that is wrong in
    /// any way; [`Self::decode`] says why.
    #[cfg(feature = "alloc")]
    pub(super) fn decode_whole(
        &mut self,
        input: &[u8],
        work: &mut [u8],
        output: &mut [u8],
    ) -> bool {
        let decoded = self.whole(input, work, output);
        self.restart();
        decoded.is_some()
    }

    #[cfg(feature = "alloc")]
    fn whole(&mut self, input: &[u8], work: &mut [u8], output: &mut [u8]) -> Option<()> {
        let (magic, rest) = input.split_at_checked(4)?;
        let descriptor = Descriptor(*rest.first()?);
        if frame::word(magic) != Some(frame::MAGIC) || descriptor.reserved() || output.is_empty() {
            return None;
        }
        let (header, mut rest) = rest.split_at_checked(descriptor.header_length())?;
        let frame = Frame::read(header, self.framing.window_limit()).ok()?;
        if frame.content != Some(output.len() as u64) {
            return None;
        }
        self.blocks.reset();
        let maximum = frame.block_maximum();
        let mut end = 0_usize;
        loop {
            let (header, body) = rest.split_first_chunk()?;
            let block = Block::read(*header, maximum).ok()?;
            let (body, others) = body.split_at_checked(block.wire_size())?;
            rest = others;
            let room = Room {
                start: end,
                end: end.saturating_add(maximum).min(output.len()),
                history: end,
                window: usize::try_from(frame.window).ok()?,
            };
            end = decode(&mut self.blocks, block, body, work, output, room)
                .ok()?
                .saturating_add(end);
            if block.last {
                break;
            }
        }
        let rest = if frame.checksum {
            let (stated, rest) = rest.split_at_checked(4)?;
            let computed = twox_hash::XxHash64::oneshot(0, output) & 0xFFFF_FFFF;
            if frame::word(stated).map(u64::from) != Some(computed) {
                return None;
            }
            rest
        } else {
            rest
        };
        (end == output.len() && rest.is_empty()).then_some(())
    }
}

/// Decodes a block into its room, and says how long it is.
fn decode(
    blocks: &mut Blocks,
    block: Block,
    body: &[u8],
    scratch: &mut [u8],
    output: &mut [u8],
    room: Room,
) -> Result<usize, Fault> {
    if block.kind == BlockType::Compressed {
        let end = blocks.decode(body, scratch, output, room);
        return end
            .map(|end| end.saturating_sub(room.start))
            .map_err(|_| Fault::Corrupt);
    }
    plain(block, body, output, room)
}

/// As [`decode`], for a block that is not compressed.
pub(super) fn plain(
    block: Block,
    body: &[u8],
    output: &mut [u8],
    room: Room,
) -> Result<usize, Fault> {
    let end = room.start.saturating_add(block.size);
    let place = output.get_mut(room.start..end).ok_or(Fault::Corrupt)?;
    match block.kind {
        BlockType::Rle => place.fill(*body.first().ok_or(Fault::Corrupt)?),
        _ => {
            bytes::copy(body, place);
        }
    }
    Ok(block.size)
}

/// The error of a call before all output was taken.
pub(super) const fn unfinished(offset: u64) -> Error {
    Error::new(Code::Finished, At::Blob(offset))
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::super::Zstd;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn frame(checksum: bool) -> (Vec<u8>, Vec<u8>) {
        let content: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| (n % 977).to_le_bytes())
            .collect();
        let mut encoder = zstd::bulk::Compressor::new(3).unwrap();
        encoder.include_checksum(checksum).unwrap();
        encoder.window_log(17).unwrap();
        (encoder.compress(&content).unwrap(), content)
    }

    #[test]
    #[cfg_attr(miri, ignore = "libzstd makes the frames")]
    fn only_the_very_frame_passes() {
        for checksum in [false, true] {
            let (frame, content) = frame(checksum);
            let mut zstd = Zstd::new(&Limits::DEFAULT);
            let mut output = vec![0; content.len()];
            assert!(zstd.decode_whole(&frame, &mut output));
            assert!(output == content);
            assert!(!zstd.decode_whole(&frame[..frame.len() - 1], &mut output));
            assert!(!zstd.decode_whole(&frame, &mut output[1..]));
            assert!(!zstd.decode_whole(&frame, &mut vec![0; content.len() + 1]));
            let mut longer = frame.clone();
            longer.push(0);
            assert!(!zstd.decode_whole(&longer, &mut output));
            // A skippable frame without content.
            longer.pop();
            longer.extend_from_slice(&[0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]);
            assert!(!zstd.decode_whole(&longer, &mut output));
            // And the decoder still works.
            assert!(zstd.decode_whole(&frame, &mut output));
            assert!(output == content);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "libzstd makes the frames")]
    fn a_wrong_checksum_or_window_does_not_pass() {
        let (mut frame, content) = frame(true);
        let mut output = vec![0; content.len()];
        let mut zstd = Zstd::new(&Limits::DEFAULT);
        *frame.last_mut().unwrap() ^= 1;
        assert!(!zstd.decode_whole(&frame, &mut output));
        *frame.last_mut().unwrap() ^= 1;
        let narrow = Limits {
            zstd_window: 1 << 16,
            ..Limits::DEFAULT
        };
        let mut zstd = Zstd::new(&narrow);
        assert!(!zstd.decode_whole(&frame, &mut output));
    }

    #[cfg(feature = "ruzstd")]
    #[test]
    #[cfg_attr(miri, ignore = "libzstd makes the frames")]
    fn the_other_library_leaves_it_to_the_stream() {
        let (frame, content) = frame(false);
        let mut zstd = Zstd::with_backend(super::super::Backend::Ruzstd, &Limits::DEFAULT);
        assert!(!zstd.decode_whole(&frame, &mut vec![0; content.len()]));
    }

    /// The error of a block that is too long does not depend on how much room there is.
    #[test]
    #[cfg_attr(miri, ignore = "libzstd makes the frames")]
    fn less_room_than_a_block_is_asked_for() {
        let (frame, content) = frame(false);
        let mut flat = Flat::new(&Limits::DEFAULT, false);
        let mut work = vec![0; Flat::WORK];
        let mut memory = vec![0; BLOCK + SLACK - 1];
        let step = flat.decode(&frame, &mut work, &mut memory, 0, Pace::All);
        let step = step.unwrap();
        assert_eq!((step.produced, step.status), (0, Status::NeedOutput));
        assert_eq!((flat.keep(), flat.room()), (0, BLOCK + SLACK));
        let mut memory = vec![0; BLOCK + SLACK];
        let input = &frame[step.consumed..];
        let step = flat.decode(input, &mut work, &mut memory, 0, Pace::All);
        assert_eq!(step.unwrap().produced, BLOCK);
        assert!(memory[..BLOCK] == content[..BLOCK]);
        assert_eq!(flat.keep(), BLOCK);
    }
    /// Two blocks of three bytes in a window of 1 KiB.
    const TWO: &[u8] = b"\x28\xb5\x2f\xfd\x00\x00\x18\x00\x00abc\x19\x00\x00def";

    #[test]
    fn a_block_at_a_time_and_the_first_only_once_it_was_begun() {
        let mut flat = Flat::new(&Limits::DEFAULT, false);
        let mut work = vec![0; Flat::WORK];
        let mut memory = vec![0; 1030 + SLACK];
        let mut step = |flat: &mut Flat, input: &[u8], filled| {
            let step = flat.decode(input, &mut work, &mut memory, filled, Pace::Block);
            let Step {
                consumed,
                produced,
                status,
            } = step.unwrap();
            (consumed, produced, status)
        };
        assert_eq!(step(&mut flat, TWO, 0), (9, 0, Status::NeedOutput));
        assert_eq!(step(&mut flat, &TWO[9..], 0), (0, 0, Status::NeedOutput));
        assert_eq!(flat.history(), 1024);
        assert!(flat.begin());
        assert!(!flat.begin());
        assert_eq!(step(&mut flat, &TWO[9..], 0), (6, 3, Status::NeedOutput));
        assert_eq!(step(&mut flat, &TWO[15..], 3), (3, 3, Status::Done));
        assert!(flat.begin());
        assert_eq!(memory[..6], *b"abcdef");
    }
}
