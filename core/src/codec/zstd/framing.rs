//! The framing of a zstd stream: all that stands around the blocks, read and held against the
//! rules. What the blocks decode to is no matter here; that is held against the frame's header and
//! checksum in `content`.

use super::frame::{self, Block, Descriptor, Frame, HEADER, Magic, Refusal};
use crate::bytes::{self, Gather};
use crate::codec::Compression;
use crate::codec::stranger::Stranger;
use crate::{At, Code, Error, Limits, Value};

/// What a step of the state machine came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// On to the next.
    Made,
    /// A frame begins: [`Framing::frame`] from [`Framing::frame_start`] on.
    Frame,
    /// A block is next, from [`Framing::start`] on: [`Framing::body`] goes on.
    Block(Block),
    /// The blocks of the frame have ended.
    Last,
    /// The checksum of the frame's content, from this offset on.
    Checksum { stated: u32, start: u64 },
    /// The input is used up.
    Starved,
}

/// What taking a block's body came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progressed<'a> {
    /// All of it.
    Body(&'a [u8]),
    /// The input is used up.
    Starved,
}

/// Reads a stream of frames up to each block, and on behind it.
#[derive(Clone, Debug)]
pub(super) struct Framing {
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
    /// How much of a block that arrives in pieces has been gathered.
    gathered: usize,
    frame: Frame,
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
    /// Behind the last block.
    Last,
    Checksum,
    /// The only frame of [`Zstd::single_frame`] is complete.
    End,
    /// In what is no zstd stream.
    Stranger(Stranger),
}

impl Framing {
    /// For one stream: of exactly one frame (behind skippable ones) where it is `single`.
    pub(super) fn new(limits: &Limits, single: bool) -> Self {
        Self {
            window_limit: limits.zstd_window.min(frame::WINDOW),
            frame_limit: limits.frames,
            skippable_limit: limits.skippable_size,
            single,
            state: State::Magic,
            offset: 0,
            frame_start: 0,
            start: 0,
            frames: 0,
            skippable: 0,
            field: Gather::new(),
            gathered: 0,
            frame: Frame::default(),
        }
    }

    /// Makes ready for a stream of its own, wherever the one before was left.
    #[cfg(feature = "alloc")]
    pub(super) fn restart(&mut self) {
        self.state = State::Magic;
        self.offset = 0;
        self.frame_start = 0;
        self.start = 0;
        self.frames = 0;
        self.skippable = 0;
        self.field.clear();
        self.gathered = 0;
    }

    /// The frame that is read, or was read last.
    pub(super) const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The largest window that is taken.
    #[cfg(feature = "alloc")]
    pub(super) const fn window_limit(&self) -> u64 {
        self.window_limit
    }

    /// Where the frame began.
    pub(super) const fn frame_start(&self) -> u64 {
        self.frame_start
    }

    /// The block that is next.
    pub(super) const fn block(&self) -> Option<Block> {
        match self.state {
            State::Block(block) => Some(block),
            _ => None,
        }
    }

    /// Where the structure began that is read.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// The offset of the next byte.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
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

    /// One step, of which an input that is used up may be the end.
    pub(super) fn advance(&mut self, input: &mut &[u8]) -> Result<Progress, Error> {
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
                self.next(State::BlockHeader);
                return Ok(Progress::Frame);
            }
            State::BlockHeader => {
                if !self.gather(input, 3) {
                    return Ok(Progress::Starved);
                }
                self.block_header()?;
            }
            State::Block(block) => return Ok(Progress::Block(block)),
            State::Last => {
                if self.frame.checksum {
                    self.next(State::Checksum);
                } else {
                    self.end_frame();
                }
                return Ok(Progress::Last);
            }
            State::Checksum => {
                if !self.gather(input, 4) {
                    return Ok(Progress::Starved);
                }
                let stated = frame::word(self.field.filled()).unwrap_or(0);
                let start = self.start;
                self.end_frame();
                return Ok(Progress::Checksum { stated, start });
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

    /// Starts the block whose header is in hand.
    fn block_header(&mut self) -> Result<(), Error> {
        let header = self
            .field
            .filled()
            .first_chunk::<3>()
            .copied()
            .unwrap_or_default();
        let block = Block::read(header, self.frame.block_maximum()).map_err(refusal(self.start))?;
        self.gathered = 0;
        // The block begins with its header: `start` stays.
        self.state = State::Block(block);
        Ok(())
    }

    /// The body of the block that is next, once all of it is there; then what follows it is next.
    /// `gather` has room for a block and keeps what has come of it; `None` when it has too little.
    pub(super) fn body<'a, 'i: 'a>(
        &mut self,
        block: Block,
        input: &mut &'i [u8],
        gather: &'a mut [u8],
    ) -> Option<Progressed<'a>> {
        let size = block.wire_size();
        let body = match input.get(..size) {
            Some(body) if self.gathered == 0 => {
                self.take(input, size);
                body
            }
            _ => {
                let gather = gather.get_mut(..size)?;
                let taken = bytes::copy(input, gather.get_mut(self.gathered..)?);
                self.take(input, taken);
                self.gathered = self.gathered.saturating_add(taken);
                if self.gathered < size {
                    return Some(Progressed::Starved);
                }
                gather
            }
        };
        self.behind(block);
        Some(Progressed::Body(body))
    }

    /// How many bytes are next of a block's body or of a skippable frame, in which nothing has to be
    /// looked at.
    #[cfg(feature = "alloc")]
    pub(super) fn unread(&self) -> u64 {
        match self.state {
            State::Skippable { left } => left.into(),
            State::Block(block) => block.wire_size().saturating_sub(self.gathered) as u64,
            _ => 0,
        }
    }

    /// Goes over so many of [`Self::unread`], and behind a block's body to what follows it.
    #[cfg(feature = "alloc")]
    pub(super) fn pass(&mut self, bytes: u64) {
        let passed = bytes.min(self.unread());
        self.offset = self.offset.saturating_add(passed);
        match self.state {
            State::Skippable { left } => {
                // No more than `left` was passed.
                let left = left.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX));
                self.state = State::Skippable { left };
                if left == 0 {
                    self.next(State::Magic);
                }
            }
            State::Block(block) => {
                let passed = usize::try_from(passed).unwrap_or(usize::MAX);
                self.gathered = self.gathered.saturating_add(passed);
                if self.gathered >= block.wire_size() {
                    self.behind(block);
                }
            }
            _ => {}
        }
    }

    /// The body of a block has come as a whole.
    fn behind(&mut self, block: Block) {
        self.next(if block.last {
            State::Last
        } else {
            State::BlockHeader
        });
    }

    fn end_frame(&mut self) {
        self.next(if self.single {
            State::End
        } else {
            State::Magic
        });
    }

    /// Whether a frame has ended and no other has begun.
    #[cfg(feature = "alloc")]
    pub(super) fn is_between(&self) -> bool {
        match self.state {
            State::Magic => self.field.filled().is_empty(),
            State::End => true,
            _ => false,
        }
    }

    /// Whether the input may end here.
    pub(super) fn complete(&self) -> bool {
        match self.state {
            State::Magic => !self.single && self.frames > 0 && self.field.filled().is_empty(),
            State::End => true,
            _ => false,
        }
    }

    /// The input ends inside a structure: which, and how much of it is there.
    pub(super) fn truncated(&self) -> Error {
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
            | State::Last
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
