//! The zstd form: RFC 8878, frames one after another.
//!
//! The framing is our own, the blocks are decoded by a library. So magics, headers, sizes,
//! limits, skippable frames, the declared content size and the checksum are read and refused
//! here, once, the same for every library; and a library sees nothing but one block at a time,
//! of a type and size that have passed.
//!
//! What is read, and where the rules come from (sections of RFC 8878):
//!
//! | structure | section | refused when |
//! |---|---|---|
//! | magic | 3.1.1 | it starts no frame; it starts a frame older than the RFC |
//! | frame header | 3.1.1.1 | the reserved bit is set; a dictionary is named (id 0 is none); the window is over the limit |
//! | block header | 3.1.1.2 | the type is reserved; the size is over the smaller of window and 128 KiB |
//! | block | 3.1.1.2.4 | the library finds it corrupt; it decodes to more than that size |
//! | content size | 3.1.1.1.4 | the blocks decode to more or less |
//! | checksum | 3.1.1 | it is not the low half of the content's XXH64 |
//! | skippable frame | 3.1.2 | all of a blob's are larger together than the limit |
//!
//! A block is decoded when all of it is there and the output of the block before has been
//! taken. Nothing is delivered of a block that is refused.

mod engine;
mod flat;
mod frame;
#[cfg(feature = "fast-zstd")]
mod memory;
mod own;
mod ruzstd;
#[cfg(feature = "fast-zstd")]
mod structured;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::hash::Hasher as _;

use twox_hash::XxHash64;

use self::engine::{Bounds, Engine, Fault};
use self::frame::{BLOCK, Block, Descriptor, Frame, HEADER, Magic, Refusal};
use super::stranger::Stranger;
use super::{Compression, Decoder, Status, Step};
use crate::bytes::Gather;
use crate::{At, Code, Error, Limits, Value};

/// What decodes zstd's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// This crate's own: without unsafe code, and every block is given out at once. It takes up
    /// to 8 MiB beside the window, or a quarter of the window where that is more.
    Own,
    /// `ruzstd`: small. It gives out a byte only when the window has passed over it or its
    /// frame has ended.
    Ruzstd,
    /// `structured-zstd`: fast, with much unsafe code. It gives out every block at once.
    #[cfg(feature = "fast-zstd")]
    Structured,
}

impl Backend {
    /// The one that [`Zstd::new`] takes: the fast one where the feature `fast-zstd` is on.
    #[cfg(feature = "fast-zstd")]
    pub const DEFAULT: Self = Self::Structured;
    /// The one that [`Zstd::new`] takes: the fast one where the feature `fast-zstd` is on.
    #[cfg(not(feature = "fast-zstd"))]
    pub const DEFAULT: Self = Self::Ruzstd;

    fn engine(self) -> Box<dyn Engine> {
        match self {
            Self::Own => Box::new(flat::Flat::new()),
            Self::Ruzstd => Box::new(ruzstd::Ruzstd::new()),
            #[cfg(feature = "fast-zstd")]
            Self::Structured => Box::new(structured::Structured::new()),
        }
    }
}

impl Default for Backend {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Decodes a zstd stream: any number of frames, empty and skippable ones among them.
///
/// Memory: the window of the frame, from its first block on, and below 1 MiB more, with
/// [`Backend::Own`] what stands there. The window is
/// at most [`Limits::zstd_window`], and 2 GiB (on 32-bit platforms 1 GiB) whatever that says.
///
/// ```
/// use erofs_unpack_core::Limits;
/// use erofs_unpack_core::codec::{Decoder, Status, Zstd};
///
/// // A frame of one raw block, without a checksum.
/// let frame = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
/// let mut decoder = Zstd::new(&Limits::DEFAULT);
/// let mut output = [0; 16];
/// let step = decoder.decode(frame, &mut output)?;
/// assert_eq!(step.status, Status::Done);
/// assert_eq!(&output[..step.produced], b"hello");
/// decoder.finish()?;
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Zstd {
    engine: Box<dyn Engine>,
    window_limit: u64,
    frame_limit: u64,
    skippable_limit: u64,
    single: bool,

    state: State,
    /// Bytes of the blob that were taken.
    offset: u64,
    /// Where the frame began.
    frame_start: u64,
    /// Where the structure began that `state` reads.
    start: u64,
    /// Frames begun, skippable ones included.
    frames: u64,
    /// Bytes of skippable frames, in all.
    skippable: u64,

    /// A magic, a header, a size, a checksum.
    field: Gather<HEADER>,
    /// The header of the block that is read.
    block_header: [u8; 3],
    /// A block that arrives in pieces.
    body: Vec<u8>,
    frame: Frame,
    /// Whether the back end has begun the frame.
    begun: bool,
    /// How much of the frame's content was decoded.
    content: u64,
    hasher: XxHash64,
    /// What ends the stream once everything before it is delivered.
    fault: Option<Error>,
}

/// What is read next.
#[derive(Clone, Debug)]
enum State {
    Magic,
    SkippableSize,
    Skippable {
        left: u32,
    },
    Header,
    BlockHeader,
    Block(Block),
    /// The last block is decoded; its output is being taken.
    Content,
    Checksum,
    /// The only frame of [`Zstd::single_frame`] is complete.
    End,
    /// In what is no zstd stream.
    Stranger(Stranger),
}

/// What a step of the state machine came to.
enum Progress {
    /// On to the next.
    Made,
    /// The input is used up.
    Starved,
}

impl Zstd {
    /// The largest window that is decoded on this platform, in bytes, whatever the limit: 2 GiB,
    /// on 32-bit platforms [`Self::WINDOW_32_BIT`].
    pub const WINDOW: u64 = frame::WINDOW;

    /// The largest window that is decoded on 32-bit platforms, WebAssembly among them, in bytes:
    /// 1 GiB.
    pub const WINDOW_32_BIT: u64 = frame::WINDOW_32_BIT;

    /// A decoder on the default back end, [`Backend::DEFAULT`].
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self::with_backend(Backend::DEFAULT, limits)
    }

    /// A decoder on this back end.
    #[must_use]
    pub fn with_backend(backend: Backend, limits: &Limits) -> Self {
        Self {
            engine: backend.engine(),
            window_limit: limits.zstd_window.min(Self::WINDOW),
            frame_limit: limits.frames,
            skippable_limit: limits.skippable_size,
            single: false,
            state: State::Magic,
            offset: 0,
            frame_start: 0,
            start: 0,
            frames: 0,
            skippable: 0,
            field: Gather::new(),
            block_header: [0; 3],
            body: Vec::new(),
            frame: Frame::default(),
            begun: false,
            content: 0,
            hasher: XxHash64::with_seed(0),
            fault: None,
        }
    }

    /// A decoder of exactly one frame, with any skippable frames before it, for blobs whose
    /// frames are decoded one by one. It refuses bytes after that frame with
    /// [`Code::ZstdTrailing`].
    #[must_use]
    pub fn single_frame(backend: Backend, limits: &Limits) -> Self {
        let mut decoder = Self::with_backend(backend, limits);
        decoder.single = true;
        decoder
    }

    /// Makes ready for a stream of its own, wherever the one before was left, and keeps the
    /// memory.
    pub(crate) fn restart(&mut self) {
        self.engine.forget();
        self.state = State::Magic;
        self.offset = 0;
        self.frame_start = 0;
        self.start = 0;
        self.frames = 0;
        self.skippable = 0;
        self.field.clear();
        self.body.clear();
        self.begun = false;
        self.content = 0;
        self.fault = None;
    }

    /// How many bytes the blocks to come may still reach back to.
    fn keep(&self) -> usize {
        match self.state {
            _ if self.fault.is_some() => 0,
            State::BlockHeader | State::Block(_) => {
                usize::try_from(self.frame.window).unwrap_or(usize::MAX)
            }
            _ => 0,
        }
    }

    /// Moves decoded bytes to the output.
    fn drain(&mut self, output: &mut Output<'_>) {
        let keep = self.keep();
        let space = output.space();
        if space.is_empty() {
            return;
        }
        let read = self.engine.read(keep, space);
        self.delivered(output, read);
    }

    /// Counts bytes that were written to the output.
    fn delivered(&mut self, output: &mut Output<'_>, size: usize) {
        if let Some(bytes) = output.space().get(..size)
            && self.frame.checksum
        {
            self.hasher.write(bytes);
        }
        output.filled = output.filled.saturating_add(size);
    }

    /// Takes bytes from the input.
    fn take(&mut self, input: &mut &[u8], size: usize) {
        *input = input.get(size..).unwrap_or(&[]);
        self.offset = self.offset.saturating_add(size as u64);
    }

    /// Gathers the first `want` bytes of a field and says whether they are there.
    fn gather(&mut self, input: &mut &[u8], want: usize) -> bool {
        let taken = self.field.fill(want, input);
        self.take(input, taken);
        self.field.filled().len() >= want
    }

    /// Goes on to the next structure.
    fn next(&mut self, state: State) {
        self.field.clear();
        self.start = self.offset;
        self.state = state;
    }

    /// One step. All output that can be read was read before.
    fn advance(&mut self, input: &mut &[u8], output: &mut Output<'_>) -> Result<Progress, Error> {
        match self.state {
            State::Magic => {
                if !self.gather(input, 4) {
                    return Ok(Progress::Starved);
                }
                self.magic()?;
            }
            State::SkippableSize => {
                if !self.gather(input, 4) {
                    return Ok(Progress::Starved);
                }
                self.skippable_size()?;
            }
            State::Skippable { left } => {
                let size = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                self.take(input, size);
                // No more than `left` was taken.
                let left = left.saturating_sub(u32::try_from(size).unwrap_or(u32::MAX));
                if left > 0 {
                    self.state = State::Skippable { left };
                    return Ok(Progress::Starved);
                }
                self.next(State::Magic);
            }
            State::Header => {
                if !self.gather(input, 1) {
                    return Ok(Progress::Starved);
                }
                let descriptor = Descriptor(self.field.filled().first().copied().unwrap_or(0));
                if descriptor.reserved() {
                    return Err(Error::new(Code::ZstdReserved, At::Blob(self.frame_start))
                        .found(Value::Hex(descriptor.0.into())));
                }
                if !self.gather(input, descriptor.header_length()) {
                    return Ok(Progress::Starved);
                }
                self.frame = Frame::read(self.field.filled(), self.window_limit)
                    .map_err(refusal(self.frame_start))?;
                self.begun = false;
                self.content = 0;
                self.hasher = XxHash64::with_seed(0);
                self.next(State::BlockHeader);
            }
            State::BlockHeader => {
                if !self.gather(input, 3) {
                    return Ok(Progress::Starved);
                }
                self.block_header()?;
            }
            State::Block(block) => return self.block(block, input, output),
            State::Content => self.content()?,
            State::Checksum => {
                if !self.gather(input, 4) {
                    return Ok(Progress::Starved);
                }
                self.checksum()?;
            }
            State::Stranger(ref mut stranger) => {
                let taken = stranger.take(input, Compression::Zstd.name())?;
                self.take(input, taken);
                return Ok(Progress::Starved);
            }
            State::End => {
                if input.is_empty() {
                    return Ok(Progress::Starved);
                }
                return Err(Error::new(Code::ZstdTrailing, At::Blob(self.start)));
            }
        }
        Ok(Progress::Made)
    }

    /// Starts the frame whose magic is in hand.
    fn magic(&mut self) -> Result<(), Error> {
        let magic = frame::word(self.field.filled()).unwrap_or(0);
        let error = |code| Error::new(code, At::Blob(self.start)).found(Value::Hex(magic.into()));
        let state = match Magic::of(magic) {
            Magic::Zstd => State::Header,
            Magic::Skippable => State::SkippableSize,
            Magic::Legacy => return Err(error(Code::ZstdLegacy)),
            Magic::Unknown => {
                let error = error(Code::ZstdMagic).expected(Value::Hex(frame::MAGIC.into()));
                if self.frames > 0 || self.single {
                    return Err(error);
                }
                self.state = State::Stranger(Stranger::new(error, self.offset));
                return Ok(());
            }
        };
        self.frame_start = self.start;
        self.frames = self.frames.saturating_add(1);
        if self.frames > self.frame_limit {
            return Err(Error::new(Code::FrameLimit, At::Blob(self.start))
                .found(Value::AtLeast(self.frames))
                .expected(Value::AtMost(self.frame_limit)));
        }
        // The frame begins with its magic: `start` stays.
        self.field.clear();
        self.state = state;
        Ok(())
    }

    /// Starts a skippable frame's content.
    fn skippable_size(&mut self) -> Result<(), Error> {
        let left = frame::word(self.field.filled()).unwrap_or(0);
        self.skippable = self.skippable.saturating_add(left.into());
        if self.skippable > self.skippable_limit {
            return Err(Error::new(Code::ZstdSkippable, At::Blob(self.frame_start))
                .found(Value::AtLeast(self.skippable))
                .expected(Value::AtMost(self.skippable_limit)));
        }
        self.state = State::Skippable { left };
        Ok(())
    }

    /// What the frame's declared size has left; endless where it declares none.
    fn left(&self) -> u64 {
        self.frame
            .content
            .map_or(u64::MAX, |declared| declared.saturating_sub(self.content))
    }

    /// The content does not have the declared size, but this one.
    fn wrong_size(&self, found: Value) -> Error {
        Error::new(Code::ZstdContentSize, At::Blob(self.frame_start))
            .found(found)
            .expected(Value::Number(self.frame.content.unwrap_or(0)))
    }

    /// The block at hand makes the content this much longer, which is too much.
    fn too_long(&self, size: usize) -> Error {
        self.wrong_size(Value::AtLeast(self.content.saturating_add(size as u64)))
    }

    /// Starts the block whose header is in hand.
    fn block_header(&mut self) -> Result<(), Error> {
        let header = self
            .field
            .filled()
            .first_chunk::<3>()
            .copied()
            .unwrap_or_default();
        let block = Block::read(header, self.frame.block_maximum()).map_err(refusal(self.start))?;
        if let Some(size) = block.content_size()
            && size as u64 > self.left()
        {
            return Err(self.too_long(size));
        }
        if !self.begun {
            self.begin(block)?;
        }
        self.block_header = Block::header(header);
        self.body.clear();
        // The block begins with its header: `start` stays.
        self.state = State::Block(block);
        Ok(())
    }

    /// Makes room for the frame and starts it at the back end.
    fn begin(&mut self, first: Block) -> Result<(), Error> {
        let memory = Error::new(Code::ZstdMemory, At::Blob(self.frame_start))
            .found(Value::Number(self.frame.window));
        let alive = if first.last {
            self.frame.block_maximum() as u64
        } else {
            self.frame.content.unwrap_or(u64::MAX)
        };
        let history = usize::try_from(self.frame.window.min(alive)).map_err(|_| memory)?;
        if self.body.capacity() == 0 {
            self.body.try_reserve_exact(BLOCK).map_err(|_| memory)?;
        }
        self.engine
            .begin(&self.frame, history)
            .map_err(|fault| match fault {
                Fault::Memory => memory,
                Fault::Corrupt | Fault::TooLong(_) => {
                    Error::new(Code::ZstdBlock, At::Blob(self.frame_start))
                }
            })?;
        self.begun = true;
        Ok(())
    }

    /// Decodes a block as soon as it is whole.
    fn block(
        &mut self,
        block: Block,
        input: &mut &[u8],
        output: &mut Output<'_>,
    ) -> Result<Progress, Error> {
        let size = block.wire_size();
        let bounds = Bounds {
            block: self.frame.block_maximum(),
            left: self.left(),
        };
        let whole = match input.get(..size) {
            Some(body) if self.body.is_empty() => {
                let decoded = self
                    .engine
                    .block(self.block_header, body, bounds, output.space());
                self.take(input, size);
                decoded
            }
            _ => {
                let missing = size.saturating_sub(self.body.len());
                let piece = input.get(..missing).unwrap_or(input);
                // Within the capacity that was reserved.
                self.body.extend_from_slice(piece);
                let taken = piece.len();
                self.take(input, taken);
                if self.body.len() < size {
                    return Ok(Progress::Starved);
                }
                self.engine
                    .block(self.block_header, &self.body, bounds, output.space())
            }
        };
        let decoded = whole.map_err(|fault| match fault {
            Fault::Corrupt => Error::new(Code::ZstdBlock, At::Blob(self.start)),
            Fault::TooLong(size) => self.too_long(size),
            Fault::Memory => Error::new(Code::ZstdMemory, At::Blob(self.frame_start)),
        })?;
        self.content = self.content.saturating_add(decoded.size as u64);
        self.delivered(output, decoded.written);
        self.next(if block.last {
            State::Content
        } else {
            State::BlockHeader
        });
        Ok(Progress::Made)
    }

    /// Ends the content.
    fn content(&mut self) -> Result<(), Error> {
        if self.frame.content.is_some() && self.left() > 0 {
            return Err(self.wrong_size(Value::Number(self.content)));
        }
        if self.frame.checksum {
            self.next(State::Checksum);
        } else {
            self.end_frame();
        }
        Ok(())
    }

    /// Compares the checksum.
    fn checksum(&mut self) -> Result<(), Error> {
        let stated = u64::from(frame::word(self.field.filled()).unwrap_or(0));
        let computed = self.hasher.finish() & 0xFFFF_FFFF;
        if stated != computed {
            return Err(Error::new(Code::ZstdChecksum, At::Blob(self.start))
                .found(Value::Hex(computed))
                .expected(Value::Hex(stated)));
        }
        self.end_frame();
        Ok(())
    }

    fn end_frame(&mut self) {
        self.next(if self.single {
            State::End
        } else {
            State::Magic
        });
    }

    /// Whether the input may end here.
    fn complete(&self) -> bool {
        match self.state {
            State::Magic => !self.single && self.frames > 0 && self.field.filled().is_empty(),
            State::End => true,
            _ => false,
        }
    }

    /// The input ends inside a structure: which, and how much of it is there.
    fn truncated(&self) -> Error {
        let field = self.field.filled();
        if let State::Stranger(stranger) = &self.state {
            return stranger.refusal();
        }
        if let State::Magic = self.state
            && !Magic::may_start(field)
        {
            return Error::new(Code::ZstdMagic, At::Blob(self.start))
                .expected(Value::Hex(frame::MAGIC.into()));
        }
        let there = self.offset.saturating_sub(self.start);
        let needed = match self.state {
            State::Header => field.first().map_or(5, |byte| {
                4_usize.saturating_add(Descriptor(*byte).header_length())
            }),
            State::SkippableSize => 8,
            State::BlockHeader => 3,
            State::Block(block) => 3_usize.saturating_add(block.wire_size()),
            State::Skippable { .. }
            | State::Stranger(_)
            | State::Magic
            | State::Content
            | State::Checksum
            | State::End => 4,
        };
        let needed = match self.state {
            State::Skippable { left } => there.saturating_add(left.into()),
            _ => needed as u64,
        };
        Error::new(Code::ZstdTruncated, At::Blob(self.start))
            .found(Value::Number(there))
            .expected(Value::AtLeast(needed))
    }
}

/// Places what is wrong with a structure.
fn refusal(start: u64) -> impl Fn(Refusal) -> Error {
    move |(code, found, expected)| {
        Error::new(code, At::Blob(start))
            .found(found)
            .expected(expected)
    }
}

/// The caller's output and how much of it is filled.
struct Output<'a> {
    bytes: &'a mut [u8],
    filled: usize,
}

impl Output<'_> {
    fn space(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }
}

impl Decoder for Zstd {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let mut rest = input;
        let mut output = Output {
            bytes: output,
            filled: 0,
        };
        let status = loop {
            self.drain(&mut output);
            if self.engine.readable(self.keep()) > 0 {
                break Status::NeedOutput;
            }
            if let Some(error) = self.fault {
                if output.filled == 0 {
                    return Err(error);
                }
                // What was delivered now is told first; the next call gives the error.
                break Status::NeedOutput;
            }
            match self.advance(&mut rest, &mut output) {
                Ok(Progress::Made) => {}
                Ok(Progress::Starved) if self.complete() => break Status::Done,
                Ok(Progress::Starved) => break Status::NeedInput,
                Err(error) => self.fault = Some(error),
            }
        };
        Ok(Step {
            consumed: input.len().saturating_sub(rest.len()),
            produced: output.filled,
            status,
        })
    }

    fn finish(&mut self) -> Result<(), Error> {
        if self.engine.readable(self.keep()) > 0 {
            return Err(Error::new(Code::Finished, At::Blob(self.offset)));
        }
        if let Some(error) = self.fault {
            return Err(error);
        }
        if self.complete() {
            return Ok(());
        }
        let error = self.truncated();
        // What was held back for blocks to come is not delivered after the refusal.
        self.engine.forget();
        self.fault = Some(error);
        Err(error)
    }
}
