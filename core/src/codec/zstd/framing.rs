//! The framing of a zstd stream: all that stands around the blocks, read and held against the
//! rules. What the blocks decode to is no matter here.

use core::hash::Hasher as _;

use twox_hash::XxHash64;

use super::frame::{self, Block, Descriptor, Frame, HEADER, Magic, Refusal};
use crate::bytes::{self, Gather};
use crate::codec::Compression;
use crate::codec::stranger::Stranger;
use crate::{At, Code, Error, Limits, Value};

/// Why a block was not decoded. In every case nothing of it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is corrupt, or decodes to more than a block may.
    Corrupt,
    /// There is no memory.
    Memory,
}

/// What a step of the state machine came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Progress {
    /// On to the next.
    Made,
    /// A block is next: [`Framing::body`] and [`Framing::decoded`] go on.
    Block(Block),
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
    /// Whether no block of the frame was decoded yet.
    fresh: bool,
    /// How much of the frame's content was decoded.
    content: u64,
    hasher: XxHash64,
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
            fresh: true,
            content: 0,
            hasher: XxHash64::with_seed(0),
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
        self.content = 0;
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

    /// How many bytes of the frame's content the blocks to come may reach back to.
    pub(super) fn reach(&self) -> usize {
        match self.state {
            State::BlockHeader | State::Block(_) => {
                usize::try_from(self.content.min(self.frame.window)).unwrap_or(usize::MAX)
            }
            _ => 0,
        }
    }

    /// Whether the block that is next is the first of its frame.
    pub(super) const fn is_first(&self) -> bool {
        self.fresh
    }

    /// How much content is ever alive at once: the window, or less where the frame says that it
    /// is shorter. Asked at the first block of a frame.
    pub(super) fn history(&self) -> u64 {
        let alive = match self.state {
            State::Block(block) if block.last => self.frame.block_maximum() as u64,
            _ => self.frame.content.unwrap_or(u64::MAX),
        };
        self.frame.window.min(alive)
    }

    /// Counts content into the checksum. All of what was decoded must have been before the next
    /// [`Self::advance`].
    pub(super) fn hash(&mut self, content: &[u8]) {
        if self.frame.checksum {
            self.hasher.write(content);
        }
    }

    /// There is no memory for what the frame asks for.
    pub(super) fn no_memory(&self) -> Error {
        Error::new(Code::ZstdMemory, At::Blob(self.frame_start))
            .found(Value::Number(self.frame.window))
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
                self.fresh = true;
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
            State::Block(block) => return Ok(Progress::Block(block)),
            State::Content => self.content_ends()?,
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
        self.gathered = 0;
        // The block begins with its header: `start` stays.
        self.state = State::Block(block);
        Ok(())
    }

    /// The body of the block that is next, once all of it is there; `gather` has room for it and
    /// keeps what has come of it.
    pub(super) fn body<'a, 'i: 'a>(
        &mut self,
        block: Block,
        input: &mut &'i [u8],
        gather: &'a mut [u8],
    ) -> Result<Option<&'a [u8]>, Error> {
        let size = block.wire_size();
        if self.gathered == 0
            && let Some(body) = input.get(..size)
        {
            self.take(input, size);
            return Ok(Some(body));
        }
        let space = gather
            .get_mut(..size)
            .and_then(|space| space.get_mut(self.gathered..));
        let taken = bytes::copy(input, space.ok_or(self.no_memory())?);
        self.take(input, taken);
        self.gathered = self.gathered.saturating_add(taken);
        if self.gathered < size {
            return Ok(None);
        }
        Ok(gather.get(..size))
    }

    /// Goes on behind a block that decoded to so many bytes.
    pub(super) fn decoded(
        &mut self,
        block: Block,
        decoded: Result<usize, Fault>,
    ) -> Result<usize, Error> {
        let size = decoded.map_err(|fault| match fault {
            Fault::Corrupt => Error::new(Code::ZstdBlock, At::Blob(self.start)),
            Fault::Memory => self.no_memory(),
        })?;
        if size as u64 > self.left() {
            return Err(self.too_long(size));
        }
        self.content = self.content.saturating_add(size as u64);
        self.fresh = false;
        self.next(if block.last {
            State::Content
        } else {
            State::BlockHeader
        });
        Ok(size)
    }

    /// Ends the content.
    fn content_ends(&mut self) -> Result<(), Error> {
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
