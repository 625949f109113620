//! The back end on `ruzstd`.
//!
//! The library hands out a byte when the window has passed over it or the frame has ended, so
//! output lags behind by up to a window. It does not say how much a block decoded to, nor does
//! it hold literals without sequences to the block maximum. Once it takes a frame for finished
//! it reports and gives out its whole buffer, and it decodes further blocks all the same: so
//! an empty last block comes first, and the seam keeps the window in the buffer itself.

use ::ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ::ruzstd::io::{Error, Read};

use super::engine::{Bounds, Decoded, Engine, Fault, probe, single_segment};
use super::frame::{BLOCK, Frame};
use crate::bytes;

/// A last block, raw, of no bytes.
const END: [u8; 3] = [1, 0, 0];

/// The size of the library's buffer for a window: a power of two and room for two blocks.
fn buffer(window: usize) -> usize {
    let room = 2 * BLOCK;
    window
        .saturating_sub(room)
        .checked_next_power_of_two()
        .and_then(|size| size.checked_add(room))
        .unwrap_or(usize::MAX)
}

/// Frames decoded by `ruzstd`.
pub(super) struct Ruzstd {
    decoder: FrameDecoder,
    /// Decoded bytes in the library's buffer that may be given out. After a fault the buffer
    /// holds also a part of the block at fault.
    good: usize,
    /// The largest window that the library's buffer was made for.
    reserved: usize,
}

impl core::fmt::Debug for Ruzstd {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ruzstd")
            .field("good", &self.good)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

impl Ruzstd {
    pub(super) fn new() -> Self {
        Self {
            decoder: FrameDecoder::new(),
            good: 0,
            reserved: 0,
        }
    }
}

impl Engine for Ruzstd {
    fn begin(&mut self, frame: &Frame, history: usize) -> Result<(), Fault> {
        self.good = 0;
        // The library takes the smaller of this and 128 KiB as the block maximum; the seam
        // compares with the true one.
        let window = history.max(frame.block_maximum()).max(1 << 10);
        let header = single_segment(window as u64);
        if window > self.reserved {
            // A buffer that grows is copied; this lets go of it first.
            *self = Self::new();
            self.decoder.set_max_window_size(u64::MAX);
            probe(buffer(window))?;
            // The first time it makes its state, which reserves nothing; from the second on it
            // reserves the window in one piece.
            self.decoder
                .reset(header.as_slice())
                .map_err(|_| Fault::Corrupt)?;
            self.reserved = window;
        }
        self.decoder
            .reset(header.as_slice())
            .map_err(|_| Fault::Corrupt)?;
        self.decoder
            .decode_blocks(END.as_slice(), BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| Fault::Corrupt)?;
        Ok(())
    }

    fn block(
        &mut self,
        header: [u8; 3],
        body: &[u8],
        bounds: Bounds,
        _output: &mut [u8],
    ) -> Result<Decoded, Fault> {
        self.decoder
            .decode_blocks(
                Joined {
                    first: header.as_slice(),
                    second: body,
                },
                BlockDecodingStrategy::UptoBlocks(1),
            )
            .map_err(|_| Fault::Corrupt)?;
        let size = self.decoder.can_collect().saturating_sub(self.good);
        if size > bounds.block {
            return Err(Fault::Corrupt);
        }
        if size as u64 > bounds.left {
            return Err(Fault::TooLong(size));
        }
        self.good = self.good.saturating_add(size);
        Ok(Decoded { size, written: 0 })
    }

    fn forget(&mut self) {
        self.good = 0;
    }

    fn readable(&self, keep: usize) -> usize {
        self.good.saturating_sub(keep)
    }

    fn read(&mut self, keep: usize, output: &mut [u8]) -> usize {
        let size = self.readable(keep).min(output.len());
        let Some(output) = output.get_mut(..size) else {
            return 0;
        };
        // Reading from the library's memory cannot fail.
        let read = self.decoder.read(output).unwrap_or(0);
        self.good = self.good.saturating_sub(read);
        read
    }
}

/// Two slices read one after the other.
struct Joined<'a> {
    first: &'a [u8],
    second: &'a [u8],
}

impl Read for Joined<'_> {
    fn read(&mut self, output: &mut [u8]) -> Result<usize, Error> {
        let part = if self.first.is_empty() {
            &mut self.second
        } else {
            &mut self.first
        };
        let read = bytes::copy(part, output);
        *part = part.get(read..).unwrap_or(&[]);
        Ok(read)
    }
}
