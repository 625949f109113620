//! A stream in phases, for hosts with several processors: [`Scan`] cuts it into batches of blocks,
//! [`Entropy`] decodes their literals and sequences, for any number of batches at a time and in any
//! order, and [`Execution`] makes the content of them, in order.
//!
//! Content, errors and offsets are those of [`Zstd`](super::Zstd). A batch brings the descriptions of the
//! tables that it takes from blocks before it, so no phase waits for another but for its batch.
//!
//! ```
//! use erofs_unpack_core::Limits;
//! use erofs_unpack_core::codec::Status;
//! use erofs_unpack_core::codec::phases::{Batch, Entropy, Execution, Scan};
//!
//! let frame = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
//! let (mut scan, mut batch) = (Scan::new(&Limits::DEFAULT), Batch::new());
//! let taken = scan.scan(frame, &mut batch);
//! assert_eq!(taken, frame.len());
//! scan.finish(&mut batch);
//! Entropy::new().decode(&mut batch);
//! let (mut execution, mut memory) = (Execution::new(), [0; 128]);
//! let step = execution.run(&mut batch, &mut memory, 0)?;
//! assert_eq!((step.status, &memory[..step.produced]), (Status::Done, &b"hello"[..]));
//! # Ok::<(), erofs_unpack_core::Error>(())
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use super::content::{Content, Fault, no_memory};
use super::flat::plain;
use super::frame::{BLOCK, Block, BlockType, Frame};
use super::framing::{Framing, Progress, Progressed};
use super::own::carried::Carried;
use super::own::phases as own;
use super::own::{Corrupt, Room, SLACK};
use crate::codec::{Status, Step};
use crate::{Error, Limits};

/// Most blocks of a batch.
const BLOCKS: usize = 4;

/// What stands in a stream, in order.
#[derive(Debug)]
enum Event {
    Frame {
        frame: Frame,
        start: u64,
    },
    Block {
        block: Block,
        start: u64,
        body: Range<usize>,
        /// Literals and sequences of a compressed block, and where they lie; until that is known
        /// it is taken for corrupt.
        decoded: Result<Decoded, Fault>,
    },
    /// The header of a block whose body is cut off: what it says may be wrong before that.
    Opened(Block),
    /// The blocks of the frame have ended.
    Last,
    Checksum {
        stated: u32,
        start: u64,
    },
    /// The stream has ended, or is at fault.
    End(Result<(), Error>),
}

/// What entropy decoding of a block came to.
#[derive(Clone, Copy, Debug, Default)]
struct Decoded {
    literals: usize,
    sequences: usize,
    parts: own::Parts,
}

/// Some blocks that follow each other, and what the phases make of them. It is made once and
/// filled again and again.
///
/// Memory: below 4 MiB, as a rule 2.
#[derive(Debug, Default)]
pub struct Batch {
    events: Vec<Event>,
    blocks: usize,
    bodies: Vec<u8>,
    literals: Vec<u8>,
    sequences: Vec<own::Sequence>,
    /// What the blocks before it left behind, where its blocks take of that.
    carried: Option<Box<Carried>>,
    needs: own::Shared,
    /// The event that [`Execution`] is at.
    at: usize,
}

impl Batch {
    /// An empty one, which has no memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it has as many blocks as it may, or the stream has ended in it: it should go on
    /// to [`Entropy`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.blocks >= BLOCKS || self.is_last()
    }

    /// Whether the stream ends in it, well or at a fault: there is none behind it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self.events.last(), Some(Event::End(_)))
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Empties it, and keeps the memory.
    pub fn clear(&mut self) {
        self.events.clear();
        self.blocks = 0;
        self.bodies.clear();
        self.carried = None;
        self.needs = own::Shared::NONE;
        self.at = 0;
    }
}

/// Finds the blocks of a stream.
#[derive(Debug)]
pub struct Scan {
    framing: Framing,
    carried: Box<Carried>,
    /// What the tables were before the batch at hand.
    before: Box<Carried>,
    /// The tables that this batch has made so far.
    made: own::Shared,
    /// A block that arrives in pieces.
    gather: Vec<u8>,
    ended: bool,
}

impl Scan {
    /// At the start of a stream.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let carried = Box::new(Carried::new());
        Self {
            framing: Framing::new(limits, false),
            before: carried.clone(),
            carried,
            made: own::Shared::NONE,
            gather: Vec::new(),
            ended: false,
        }
    }

    /// Takes input until it is used up or the batch is full, and says how much. What is wrong is
    /// told by [`Execution::run`], when all before it was given out.
    pub fn scan(&mut self, input: &[u8], batch: &mut Batch) -> usize {
        let mut rest = input;
        if batch.is_empty() {
            self.before.clone_from(&self.carried);
            self.made = own::Shared::NONE;
        }
        while !self.ended && !batch.is_full() {
            let event = match self.step(&mut rest, batch) {
                Ok(None) => break,
                Ok(Some(event)) => event,
                Err(error) => {
                    self.ended = true;
                    Event::End(Err(error))
                }
            };
            // It grows to a few events.
            batch.events.push(event);
        }
        if self.ended {
            // What follows a fault is passed by.
            return input.len();
        }
        input.len().saturating_sub(rest.len())
    }

    /// Says that there is no more input; the batch, which must not be full, becomes the last one.
    pub fn finish(&mut self, batch: &mut Batch) {
        if self.ended {
            return;
        }
        self.ended = true;
        if let Some(block) = self.framing.block() {
            batch.events.push(Event::Opened(block));
        }
        let end = if self.framing.complete() {
            Ok(())
        } else {
            Err(self.framing.truncated())
        };
        batch.events.push(Event::End(end));
    }

    /// The next event; none when the input is used up.
    fn step(&mut self, input: &mut &[u8], batch: &mut Batch) -> Result<Option<Event>, Error> {
        loop {
            match self.framing.advance(input)? {
                Progress::Made => {}
                Progress::Starved => return Ok(None),
                Progress::Frame => {
                    *self.carried = Carried::new();
                    // Whatever a block takes, it takes it from this frame.
                    self.before.clone_from(&self.carried);
                    self.made = own::Shared::NONE;
                    return Ok(Some(Event::Frame {
                        frame: *self.framing.frame(),
                        start: self.framing.frame_start(),
                    }));
                }
                Progress::Last => return Ok(Some(Event::Last)),
                Progress::Checksum { stated, start } => {
                    return Ok(Some(Event::Checksum { stated, start }));
                }
                Progress::Block(block) => return self.block(block, input, batch),
            }
        }
    }

    fn block(
        &mut self,
        block: Block,
        input: &mut &[u8],
        batch: &mut Batch,
    ) -> Result<Option<Event>, Error> {
        let memory = no_memory(self.framing.frame(), self.framing.frame_start());
        if self.gather.is_empty() {
            self.gather.try_reserve_exact(BLOCK).map_err(|_| memory)?;
            self.gather.resize(BLOCK, 0);
        }
        let start = self.framing.start();
        let body = self.framing.body(block, input, &mut self.gather);
        let Progressed::Body(body) = body.ok_or(memory)? else {
            return Ok(None);
        };
        batch.bodies.try_reserve(body.len()).map_err(|_| memory)?;
        let from = batch.bodies.len();
        batch.bodies.extend_from_slice(body);
        if block.kind == BlockType::Compressed
            && let Ok(uses) = self.carried.note(body)
        {
            let needs = uses.needs_beside(self.made);
            self.made = self.made.and(uses);
            if needs != own::Shared::NONE {
                batch.needs = batch.needs.with(needs);
                batch.carried.get_or_insert_with(|| self.before.clone());
            }
        }
        batch.blocks = batch.blocks.saturating_add(1);
        Ok(Some(Event::Block {
            block,
            start,
            body: from..batch.bodies.len(),
            decoded: Err(Fault::Corrupt),
        }))
    }
}

/// Decodes the literals and sequences of batches, whichever they are.
#[derive(Clone, Debug)]
pub struct Entropy(Box<own::Entropy>);

impl Default for Entropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy {
    /// A decoder, of below 32 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::new(own::Entropy::new()))
    }

    /// Decodes a batch that [`Scan`] has filled. A block that is corrupt is told by
    /// [`Execution::run`], in its turn.
    pub fn decode(&mut self, batch: &mut Batch) {
        self.0.reset();
        let mut loaded = match &batch.carried {
            Some(carried) => self.0.load(carried, batch.needs),
            None => Ok(()),
        };
        let Batch {
            events,
            bodies,
            literals,
            sequences,
            ..
        } = batch;
        let (mut of_literals, mut of_sequences) = (0_usize, 0_usize);
        for event in events {
            match event {
                Event::Frame { .. } => {
                    self.0.reset();
                    loaded = Ok(());
                }
                Event::Block {
                    block,
                    body,
                    decoded,
                    ..
                } if block.kind == BlockType::Compressed => {
                    let body = bodies.get(body.clone()).unwrap_or_default();
                    let room = reserve(literals, of_literals, BLOCK.saturating_add(SLACK));
                    let more = own::most_sequences(BLOCK);
                    let places = reserve(sequences, of_sequences, more);
                    let (Some(room), Some(places)) = (room, places) else {
                        *decoded = Err(Fault::Memory);
                        return;
                    };
                    let parts = loaded.and_then(|()| self.0.decode(body, room, places));
                    let Ok(parts) = parts else {
                        // Nothing behind it counts.
                        return;
                    };
                    *decoded = Ok(Decoded {
                        literals: of_literals,
                        sequences: of_sequences,
                        parts,
                    });
                    of_literals = of_literals
                        .saturating_add(parts.literals)
                        .saturating_add(SLACK);
                    of_sequences = of_sequences.saturating_add(parts.sequences);
                }
                _ => {}
            }
        }
    }
}

/// The part from `start` on, of at least `more` elements, if there is memory for it.
fn reserve<T: Clone + Default>(memory: &mut Vec<T>, start: usize, more: usize) -> Option<&mut [T]> {
    let end = start.checked_add(more)?;
    if end > memory.len() {
        memory.try_reserve(end.saturating_sub(memory.len())).ok()?;
        memory.resize(end, T::default());
    }
    memory.get_mut(start..end)
}

/// Makes the content of batches, in order.
#[derive(Debug)]
pub struct Execution {
    content: Content,
    execution: own::Execution,
    ended: Option<Result<(), Error>>,
}

impl Default for Execution {
    fn default() -> Self {
        Self::new()
    }
}

impl Execution {
    /// At the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self {
            content: Content::new(),
            execution: own::Execution::new(),
            ended: None,
        }
    }

    /// As [`ZstdFlat::keep`](super::ZstdFlat::keep).
    #[must_use]
    pub fn keep(&self) -> usize {
        match self.ended {
            Some(_) => 0,
            None => self.content.reach(),
        }
    }

    /// As [`ZstdFlat::room`](super::ZstdFlat::room).
    #[must_use]
    pub fn room(&self) -> usize {
        self.content.frame().block_maximum().saturating_add(SLACK)
    }

    /// Makes the content of a batch in `memory`, from `filled` on, as
    /// [`ZstdFlat::decode`](super::ZstdFlat::decode) does. The step's `consumed` is 0.
    ///
    /// The same batch is given again after [`Status::NeedOutput`], the next one after
    /// [`Status::NeedInput`]. [`Status::Done`] is the end of the stream.
    ///
    /// # Errors
    ///
    /// The first fault of the stream, once all before it has been given out.
    pub fn run(
        &mut self,
        batch: &mut Batch,
        memory: &mut [u8],
        filled: usize,
    ) -> Result<Step, Error> {
        let mut end = filled;
        let status = loop {
            match self.ended {
                Some(Err(error)) if end == filled => return Err(error),
                // What was made now is told first; the next call gives the error.
                Some(Err(_)) => break Status::NeedOutput,
                Some(Ok(())) => break Status::Done,
                None => {}
            }
            let Some(event) = batch.events.get(batch.at) else {
                break Status::NeedInput;
            };
            match self.event(event, batch, memory, end) {
                Ok(Some(size)) => end = end.saturating_add(size),
                Ok(None) => break Status::NeedOutput,
                Err(error) => self.ended = Some(Err(error)),
            }
            batch.at = batch.at.saturating_add(1);
        };
        Ok(Step {
            consumed: 0,
            produced: end.saturating_sub(filled),
            status,
        })
    }

    /// How much content an event makes; none where there is no room for it.
    fn event(
        &mut self,
        event: &Event,
        batch: &Batch,
        memory: &mut [u8],
        start: usize,
    ) -> Result<Option<usize>, Error> {
        match event {
            Event::Frame {
                frame,
                start: frame_start,
            } => {
                self.content.begin(*frame, *frame_start);
                self.execution.reset();
            }
            Event::Block {
                block,
                start: at,
                body,
                decoded,
            } => {
                self.content.admits(*block)?;
                if memory.len().saturating_sub(start) < self.room() {
                    return Ok(None);
                }
                let room = self.content.room(start);
                let size = if block.kind == BlockType::Compressed {
                    decoded.and_then(|decoded| {
                        self.compressed(decoded, batch, memory, room)
                            .map_err(|_| Fault::Corrupt)
                    })
                } else {
                    let body = batch.bodies.get(body.clone()).unwrap_or_default();
                    plain(*block, body, memory, room)
                };
                let size = self.content.decoded(*block, *at, size)?;
                let made = memory.get(start..start.saturating_add(size));
                self.content.hash(made.unwrap_or_default());
                return Ok(Some(size));
            }
            Event::Opened(block) => self.content.admits(*block)?,
            Event::Last => self.content.ends()?,
            Event::Checksum { stated, start } => self.content.checksum(*stated, *start)?,
            Event::End(end) => self.ended = Some(*end),
        }
        Ok(Some(0))
    }

    fn compressed(
        &mut self,
        decoded: Decoded,
        batch: &Batch,
        memory: &mut [u8],
        room: Room,
    ) -> Result<usize, Corrupt> {
        let literals = batch.literals.get(decoded.literals..).ok_or(Corrupt)?;
        let sequences = batch.sequences.get(decoded.sequences..).ok_or(Corrupt)?;
        let run = self
            .execution
            .run(decoded.parts, literals, sequences, memory, room);
        run.map(|end| end.saturating_sub(room.start))
    }
}
