//! The back end on `ruzstd`.
//!
//! The library hands out a byte when the window has passed over it or the frame has ended, so
//! output lags behind by up to a window. It does not say how much a block decoded to, nor does
//! it hold literals without sequences to the block maximum. Once it takes a frame for finished
//! it reports and gives out its whole buffer, and it decodes further blocks all the same: so
//! an empty last block comes first, and the window is kept in the buffer here.
//!
//! It never sees the frame's own header or checksum. It gets a header that is made up, whose only
//! purpose is to make it reserve the right buffer.

use alloc::vec::Vec;

use ::ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ::ruzstd::io::{Error as ReadError, Read};

use super::content::{Content, Fault};
use super::flat::unfinished;
use super::frame::{self, BLOCK, Block, BlockType};
use super::framing::{Framing, Progress, Progressed};
use crate::bytes;
use crate::codec::{Decoder, Status, Step};
use crate::{Error, Limits};

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

/// A frame header: a single segment of this size, without a checksum.
fn single_segment(size: u64) -> [u8; 13] {
    let [m0, m1, m2, m3] = frame::MAGIC.to_le_bytes();
    let [s0, s1, s2, s3, s4, s5, s6, s7] = size.to_le_bytes();
    [m0, m1, m2, m3, 0xE0, s0, s1, s2, s3, s4, s5, s6, s7]
}

/// A block header that is never of the last one, because frames are ended elsewhere.
fn header(block: Block) -> [u8; 3] {
    let kind = match block.kind {
        BlockType::Raw => 0,
        BlockType::Rle => 1_u32,
        BlockType::Compressed => 2,
    };
    // 21 bits.
    let size = u32::try_from(block.size).unwrap_or(0);
    let [low, middle, high, _] = (size.wrapping_shl(3) | kind.wrapping_shl(1)).to_le_bytes();
    [low, middle, high]
}

/// Asks for this much memory and gives it back at once.
///
/// The library panics or aborts when there is none for its window; what was free a moment ago is
/// very likely free still.
fn probe(size: usize) -> Result<(), Fault> {
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(size).map_err(|_| Fault::Memory)?;
    // Else the compiler may leave out an allocation that nothing is done with.
    core::hint::black_box(&mut memory);
    Ok(())
}

/// A stream whose blocks `ruzstd` decodes.
pub(super) struct Stream {
    framing: Framing,
    content: Content,
    decoder: FrameDecoder,
    /// A block that arrives in pieces.
    body: Vec<u8>,
    /// Decoded bytes in the library's buffer that may be given out. After a fault the buffer
    /// holds also a part of the block at fault.
    good: usize,
    /// The largest window that the library's buffer was made for.
    reserved: usize,
    /// Whether the library has begun the frame.
    begun: bool,
    /// What ends the stream once everything before it is delivered.
    fault: Option<Error>,
}

impl core::fmt::Debug for Stream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stream")
            .field("framing", &self.framing)
            .field("good", &self.good)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn new(limits: &Limits, single: bool) -> Self {
        Self {
            framing: Framing::new(limits, single),
            content: Content::new(),
            decoder: FrameDecoder::new(),
            body: Vec::new(),
            good: 0,
            reserved: 0,
            begun: false,
            fault: None,
        }
    }

    /// Makes ready for a stream of its own, and keeps the memory.
    pub(super) fn restart(&mut self) {
        self.framing.restart();
        self.content = Content::new();
        self.good = 0;
        self.begun = false;
        self.fault = None;
    }

    /// How many bytes the blocks to come may still reach back to.
    fn keep(&self) -> usize {
        match self.fault {
            Some(_) => 0,
            None => self.content.reach(),
        }
    }

    fn readable(&self) -> usize {
        self.good.saturating_sub(self.keep())
    }

    /// Moves decoded bytes to the output and returns how many.
    fn read(&mut self, output: &mut [u8]) -> usize {
        let size = self.readable().min(output.len());
        let Some(output) = output.get_mut(..size) else {
            return 0;
        };
        // Reading from the library's memory cannot fail.
        let read = self.decoder.read(output).unwrap_or(0);
        self.content.hash(output.get(..read).unwrap_or(&[]));
        self.good = self.good.saturating_sub(read);
        read
    }

    /// Makes room for the frame and starts it.
    fn begin(&mut self, first: Block) -> Result<(), Fault> {
        self.good = 0;
        if self.body.is_empty() {
            self.body
                .try_reserve_exact(BLOCK)
                .map_err(|_| Fault::Memory)?;
            self.body.resize(BLOCK, 0);
        }
        let history = usize::try_from(self.content.history(first)).map_err(|_| Fault::Memory)?;
        // The library takes the smaller of this and 128 KiB as the block maximum; the true one
        // is compared with here.
        let block = self.content.frame().block_maximum();
        let window = history.max(block).max(1 << 10);
        let header = single_segment(window as u64);
        if window > self.reserved {
            // A buffer that grows is copied; this lets go of it first.
            self.decoder = FrameDecoder::new();
            self.reserved = 0;
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
        self.begun = true;
        Ok(())
    }

    /// Decodes a block once all of it is there; whether it was.
    fn block(&mut self, block: Block, input: &mut &[u8]) -> Result<bool, Error> {
        self.content.admits(block)?;
        if self.content.is_first() && !self.begun {
            self.begin(block).map_err(|_| self.content.no_memory())?;
        }
        let start = self.framing.start();
        let body = self.framing.body(block, input, &mut self.body);
        let Progressed::Body(body) = body.ok_or(self.content.no_memory())? else {
            return Ok(false);
        };
        let read = self.decoder.decode_blocks(
            Joined {
                first: &header(block),
                second: body,
            },
            BlockDecodingStrategy::UptoBlocks(1),
        );
        let size = self.decoder.can_collect().saturating_sub(self.good);
        let decoded = match read {
            Ok(_) if size <= self.content.frame().block_maximum() => Ok(size),
            Ok(_) | Err(_) => Err(Fault::Corrupt),
        };
        let size = self.content.decoded(block, start, decoded)?;
        self.begun = false;
        self.good = self.good.saturating_add(size);
        Ok(true)
    }
}

impl Decoder for Stream {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let mut rest = input;
        let mut produced = 0_usize;
        let status = loop {
            let space = output.get_mut(produced..).unwrap_or_default();
            produced = produced.saturating_add(self.read(space));
            if self.readable() > 0 {
                break Status::NeedOutput;
            }
            if let Some(error) = self.fault {
                if produced == 0 {
                    return Err(error);
                }
                // What was delivered now is told first; the next call gives the error.
                break Status::NeedOutput;
            }
            let progress = match self.framing.advance(&mut rest) {
                Ok(Progress::Block(block)) => self.block(block, &mut rest),
                Ok(progress) => self.content.pass(progress, &self.framing),
                Err(error) => Err(error),
            };
            match progress {
                Ok(true) => {}
                Ok(false) if self.framing.complete() => break Status::Done,
                Ok(false) => break Status::NeedInput,
                Err(error) => self.fault = Some(error),
            }
        };
        Ok(Step {
            consumed: input.len().saturating_sub(rest.len()),
            produced,
            status,
        })
    }

    fn finish(&mut self) -> Result<(), Error> {
        if self.readable() > 0 {
            return Err(unfinished(self.framing.offset()));
        }
        if let Some(error) = self.fault {
            return Err(error);
        }
        if self.framing.complete() {
            return Ok(());
        }
        let error = self.framing.truncated();
        // What was held back for blocks to come is not delivered after the refusal.
        self.good = 0;
        self.fault = Some(error);
        Err(error)
    }
}

/// Two slices read one after the other.
struct Joined<'a> {
    first: &'a [u8],
    second: &'a [u8],
}

impl Read for Joined<'_> {
    fn read(&mut self, output: &mut [u8]) -> Result<usize, ReadError> {
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
