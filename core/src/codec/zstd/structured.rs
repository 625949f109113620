//! The back end on `structured-zstd`.
//!
//! The library decodes a block into memory of the caller's that has room for a whole one, and
//! keeps a copy in its own window. Where the caller of the seam has less room, the block goes
//! through a buffer here.

use alloc::boxed::Box;
use alloc::vec::Vec;

use structured_zstd::decoding::FrameDecoder;

use super::engine::{Bounds, Decoded, Engine, Fault, probe, single_segment};
use super::frame::{BLOCK, Frame, MAGIC, WINDOW};
use crate::bytes;

/// A content size that no frame reaches: it makes the library reserve the window in one piece.
const ENDLESS: u64 = 1 << 62;

/// Frames decoded by `structured-zstd`.
pub(super) struct Structured {
    decoder: FrameDecoder,
    /// A further one for whole frames in memory, made at the first.
    whole: Option<Box<FrameDecoder>>,
    /// Room for one block, used when the output has none.
    block: Vec<u8>,
    /// What of `block` has still to be given out.
    start: usize,
    end: usize,
    /// The largest history that the library's buffer was made for.
    reserved: usize,
}

impl core::fmt::Debug for Structured {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Structured")
            .field("start", &self.start)
            .field("end", &self.end)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

impl Structured {
    pub(super) fn new() -> Self {
        Self {
            decoder: FrameDecoder::new(),
            whole: None,
            block: Vec::new(),
            start: 0,
            end: 0,
            reserved: 0,
        }
    }
}

impl Engine for Structured {
    fn begin(&mut self, frame: &Frame, history: usize) -> Result<(), Fault> {
        if self.block.is_empty() {
            self.block
                .try_reserve_exact(BLOCK)
                .map_err(|_| Fault::Memory)?;
            self.block.resize(BLOCK, 0);
        }
        if history > self.reserved {
            // The buffer would be copied into a larger one; this lets go of it first.
            self.decoder = FrameDecoder::new();
            self.decoder
                .set_max_window_size(WINDOW)
                .map_err(|_| Fault::Corrupt)?;
            self.reserved = 0;
            probe(history.saturating_add(2 * BLOCK))?;
            self.reserved = history;
        }
        // Room for a block more than the frame declares: one that runs over must be seen to
        // do so, not make the buffer grow.
        let reserve = (history as u64).saturating_add(frame.block_maximum() as u64);
        let header = single_segment(reserve.min(WINDOW));
        match frame.window_descriptor {
            None => self.decoder.reset(header.as_slice()),
            Some(window) => {
                let content = if (history as u64) < frame.window {
                    reserve
                } else {
                    ENDLESS
                };
                let [m0, m1, m2, m3] = MAGIC.to_le_bytes();
                let [s0, s1, s2, s3, s4, s5, s6, s7] = content.to_le_bytes();
                let header = [m0, m1, m2, m3, 0xC0, window, s0, s1, s2, s3, s4, s5, s6, s7];
                self.decoder.reset(header.as_slice())
            }
        }
        .map_err(|_| Fault::Corrupt)
    }

    fn block(
        &mut self,
        header: [u8; 3],
        body: &[u8],
        bounds: Bounds,
        output: &mut [u8],
    ) -> Result<Decoded, Fault> {
        // With room for the largest block, an output that is too small is a block that is too
        // large.
        let direct = output.len() >= bounds.block;
        let target = if direct { output } else { &mut *self.block };
        let size = match self.decoder.decode_block(header, body, target) {
            Ok(size) if size <= bounds.block => size,
            Ok(_) | Err(_) => return Err(Fault::Corrupt),
        };
        if size as u64 > bounds.left {
            return Err(Fault::TooLong(size));
        }
        let written = if direct {
            size
        } else {
            (self.start, self.end) = (0, size);
            0
        };
        Ok(Decoded { size, written })
    }

    fn whole(&mut self, frame: &[u8], output: &mut [u8]) -> Result<usize, Fault> {
        self.whole
            .get_or_insert_with(|| Box::new(FrameDecoder::new()))
            .decode_all(frame, output)
            .map_err(|_| Fault::Corrupt)
    }

    fn forget(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    fn readable(&self, _keep: usize) -> usize {
        self.end.saturating_sub(self.start)
    }

    fn read(&mut self, _keep: usize, output: &mut [u8]) -> usize {
        let Some(rest) = self.block.get(self.start..self.end) else {
            return 0;
        };
        let read = bytes::copy(rest, output);
        self.start = self.start.saturating_add(read);
        read
    }
}
