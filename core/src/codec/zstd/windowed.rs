//! The flat form behind [`Decoder`]: memory for the window and what is decoded beyond it, out of
//! which the content is copied once.
//!
//! When the memory is full, the window moves to its front. With as much again as the window a byte
//! moves once at most.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

#[cfg(feature = "alloc")]
use super::content::Content;
use super::content::Fault;
use super::flat::{Flat, Pace, unfinished, work_size};
use super::frame::BLOCK;
use super::own::SLACK;
use crate::bytes;
use crate::codec::{Decoder, Status, Step};
use crate::{Error, Limits};

/// Most bytes beside the window, if that is not more than four times as large.
#[cfg(feature = "alloc")]
const CHUNK: usize = 8 << 20;

/// What a frame asks for, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// The largest block.
    block: usize,
    /// For content: the least.
    least: usize,
    /// For content: with so much the window is seldom moved.
    #[cfg(feature = "alloc")]
    good: usize,
}

/// How much a frame is given beside its history, in bytes: nothing for a short content, else a
/// part of the window.
#[cfg(feature = "alloc")]
fn beside(content: &Content, history: usize) -> usize {
    match content.frame().content {
        Some(size) if size <= history as u64 => 0,
        _ => history.min(CHUNK).max(history / 4),
    }
}

/// Where a decoder's memory comes from.
pub(super) trait Memory {
    /// Makes ready for a frame. What was there is lost.
    fn reserve(&mut self, need: Need) -> Result<(), Fault>;

    /// The working memory, and the memory for the content, which has at least `used` bytes where
    /// it can have so many.
    fn parts(&mut self, used: usize) -> (&mut [u8], &mut [u8]);

    /// How much content there may be room for.
    fn size(&self) -> usize;
}

/// Memory that is allocated as frames need it.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, Default)]
pub(super) struct Allocated {
    work: Vec<u8>,
    content: Vec<u8>,
    size: usize,
}

#[cfg(feature = "alloc")]
impl Allocated {
    /// The working memory alone.
    pub(super) fn work(&mut self) -> Result<&mut [u8], Fault> {
        allocate_work(&mut self.work)?;
        Ok(&mut self.work)
    }
}

/// Makes the working memory, once.
#[cfg(feature = "alloc")]
pub(super) fn allocate_work(work: &mut Vec<u8>) -> Result<(), Fault> {
    if work.is_empty() {
        work.try_reserve_exact(Flat::WORK)
            .map_err(|_| Fault::Memory)?;
        work.resize(Flat::WORK, 0);
    }
    Ok(())
}

#[cfg(feature = "alloc")]
impl Memory for Allocated {
    fn reserve(&mut self, need: Need) -> Result<(), Fault> {
        allocate_work(&mut self.work)?;
        self.size = need.good;
        if self.size > self.content.capacity() {
            // It would be copied; this lets go of it first.
            self.content = Vec::new();
            self.content
                .try_reserve_exact(self.size)
                .map_err(|_| Fault::Memory)?;
        }
        Ok(())
    }

    fn parts(&mut self, used: usize) -> (&mut [u8], &mut [u8]) {
        if used <= self.size {
            // Within what was reserved.
            let size = self.content.len().max(used);
            self.content.resize(size, 0);
        }
        (&mut self.work, &mut self.content)
    }

    fn size(&self) -> usize {
        self.size
    }
}

/// Memory of the caller's.
#[derive(Debug)]
pub(super) struct Lent<'m> {
    memory: &'m mut [u8],
    /// How much of it is working memory.
    work: usize,
}

impl<'m> Lent<'m> {
    pub(super) const fn new(memory: &'m mut [u8]) -> Self {
        Self { memory, work: 0 }
    }

    /// What frames of this window need.
    pub(super) const fn needed(window: usize) -> usize {
        let block = if window < BLOCK { window } else { BLOCK };
        work_size(block)
            .saturating_add(window)
            .saturating_add(block)
            .saturating_add(SLACK)
    }
}

impl Memory for Lent<'_> {
    fn reserve(&mut self, need: Need) -> Result<(), Fault> {
        self.work = work_size(need.block);
        if self.size() < need.least {
            return Err(Fault::Memory);
        }
        Ok(())
    }

    fn parts(&mut self, _used: usize) -> (&mut [u8], &mut [u8]) {
        self.memory
            .split_at_mut_checked(self.work)
            .unwrap_or_default()
    }

    fn size(&self) -> usize {
        self.memory.len().saturating_sub(self.work)
    }
}

/// A decoder with memory for its window.
#[derive(Clone, Debug)]
pub(super) struct Windowed<M> {
    flat: Flat,
    memory: M,
    /// What of the memory has still to be given out.
    start: usize,
    end: usize,
}

impl<M: Memory> Windowed<M> {
    pub(super) fn new(limits: &Limits, single: bool, memory: M) -> Self {
        Self {
            flat: Flat::new(limits, single),
            memory,
            start: 0,
            end: 0,
        }
    }

    /// Makes ready for a stream of its own, and keeps the memory.
    #[cfg(feature = "alloc")]
    pub(super) fn restart(&mut self) {
        self.flat.restart();
        (self.start, self.end) = (0, 0);
    }

    /// Makes room for a block behind what was decoded, all of which was given out.
    fn make_room(&mut self) -> Result<(), Fault> {
        if self.flat.content().is_first() {
            if !self.flat.begin() {
                return Err(Fault::Memory);
            }
            let content = self.flat.content();
            let block = content.frame().block_maximum();
            let history = usize::try_from(self.flat.history()).map_err(|_| Fault::Memory)?;
            let size = |more: usize| history.saturating_add(more).saturating_add(SLACK);
            (self.start, self.end) = (0, 0);
            return self.memory.reserve(Need {
                block,
                least: size(block),
                #[cfg(feature = "alloc")]
                good: size(beside(content, history).max(block)),
            });
        }
        if self.end.saturating_add(self.flat.room()) <= self.memory.size() {
            return Ok(());
        }
        let keep = self.flat.keep();
        let from = self.end.saturating_sub(keep);
        let (_, memory) = self.memory.parts(self.end);
        let (front, window) = memory
            .get_mut(..self.end)
            .and_then(|memory| memory.split_at_mut_checked(from))
            .ok_or(Fault::Corrupt)?;
        if window.len() <= front.len() {
            bytes::copy(window, front);
        } else {
            bytes::move_to_front(memory, from, keep);
        }
        self.end = keep;
        self.start = keep;
        Ok(())
    }

    /// Decodes a block at most into the memory.
    fn step(&mut self, input: &[u8]) -> Result<Step, Error> {
        let used = self.end.saturating_add(self.flat.room());
        let (work, memory) = self.memory.parts(used);
        let used = used.min(memory.len());
        let memory = memory.get_mut(..used).unwrap_or_default();
        let step = self
            .flat
            .decode(input, work, memory, self.end, Pace::Block)?;
        self.start = self.end;
        self.end = self.end.saturating_add(step.produced);
        Ok(step)
    }
}

#[cfg(feature = "alloc")]
impl Windowed<Allocated> {
    /// As [`Flat::decode_whole`].
    pub(super) fn decode_whole(&mut self, input: &[u8], output: &mut [u8]) -> bool {
        (self.start, self.end) = (0, 0);
        let work = self.memory.work();
        work.is_ok_and(|work| self.flat.decode_whole(input, work, output))
    }
}

impl<M: Memory> Decoder for Windowed<M> {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let mut rest = input;
        let mut produced = 0_usize;
        let status = loop {
            let (_, memory) = self.memory.parts(self.end);
            let decoded = memory.get(self.start..self.end).unwrap_or_default();
            let taken = bytes::copy(decoded, output.get_mut(produced..).unwrap_or_default());
            self.start = self.start.saturating_add(taken);
            produced = produced.saturating_add(taken);
            if self.start < self.end {
                break Status::NeedOutput;
            }
            let step = match self.step(rest) {
                Ok(step) => step,
                // What was delivered now is told first; the next call gives the error.
                Err(_) if produced > 0 => break Status::NeedOutput,
                Err(error) => return Err(error),
            };
            rest = rest.get(step.consumed..).unwrap_or_default();
            if step.produced == 0 {
                match step.status {
                    Status::NeedOutput => {
                        if self.make_room().is_err() {
                            self.flat.fail(self.flat.content().no_memory());
                        }
                    }
                    status => break status,
                }
            }
        };
        Ok(Step {
            consumed: input.len().saturating_sub(rest.len()),
            produced,
            status,
        })
    }

    fn finish(&mut self) -> Result<(), Error> {
        if self.start < self.end {
            return Err(unfinished(self.flat.offset()));
        }
        self.flat.finish()
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::super::frame::Frame;
    use super::*;

    #[test]
    fn what_a_frame_is_given_beside_its_history() {
        let given = |size, history: usize| {
            let mut content = Content::new();
            let frame = Frame {
                window: history as u64,
                content: size,
                checksum: false,
            };
            content.begin(frame, 0);
            beside(&content, history)
        };
        // All of it is history.
        assert_eq!(given(Some(1000), 1000), 0);
        assert_eq!(given(Some(999), 1000), 0);
        assert_eq!(given(Some(1001), 1000), 1000);
        assert_eq!(given(None, 1000), 1000);
        assert_eq!(given(None, 16 << 20), 8 << 20);
        assert_eq!(given(None, 64 << 20), 16 << 20);
    }
    #[test]
    fn a_stream_after_one_that_was_left() {
        let frame = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
        let bad = b"\x28\xb5\x2f\xfd\x28";
        let mut decoder = Windowed::new(&Limits::DEFAULT, true, Allocated::default());
        // In a header, in a block, with content that was not taken, at the end, after an error.
        for (before, room) in [(&frame[..5], 9), (&frame[..11], 9), (frame, 2), (frame, 9)] {
            decoder.decode(before, &mut [0; 9][..room]).unwrap();
            decoder.restart();
            assert!(decoder.decode(bad, &mut [0; 9]).is_err());
            decoder.restart();
            let mut output = [0; 9];
            let step = decoder.decode(frame, &mut output).unwrap();
            assert_eq!((step.consumed, step.status), (frame.len(), Status::Done));
            assert_eq!(output[..step.produced], *b"hello");
            decoder.restart();
        }
    }
}
