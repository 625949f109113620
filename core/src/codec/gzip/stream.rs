//! What stands around the deflate streams of a gzip blob, and where their content goes. What a match
//! may reach back to is brought along by the caller.

use core::fmt;

use super::crc::crc32;
use super::header::{Header, MAGIC};
use super::inflater::{Backend, Inflater, Room};
use super::step::InflateStatus;
use crate::bytes::Gather;
use crate::codec::inflate::Past;
use crate::codec::stranger::Stranger;
use crate::codec::{Compression, Status, Step};
use crate::{At, Code, Error, Limits, Value};

/// The most bytes that are inflated before their CRC is taken, so that they are still in the
/// cache then.
const STRIDE: usize = 128 << 10;

/// Who takes the CRC-32 of a member's content.
#[derive(Debug)]
enum Crc {
    /// This decoder; so far it is this.
    Own(u32),
    /// Its user, who has given it for the member whose content has ended, or has yet to.
    Given(Option<u32>),
}

/// Where in the blob the next byte of input stands.
#[derive(Debug)]
enum State {
    /// Before a member, or behind the last.
    Between,
    /// Behind the first byte of a member's magic.
    Magic,
    /// In a member's header.
    Header(Header),
    /// In a member's deflate stream, which started at this offset of the blob.
    Deflate(u64),
    /// In a member's trailer.
    Trailer(Gather<8>),
    /// Behind the last member, in zeros.
    Padding,
    /// In what is no gzip stream.
    Stranger(Stranger),
}

/// The decoder behind [`Gzip`](super::Gzip) and [`GzipFlat`](super::GzipFlat).
pub(super) struct Stream {
    state: State,
    /// Where in the blob the next byte of input stands.
    offset: u64,
    /// Complete members so far.
    members: u64,
    /// The most members.
    limit: u64,
    /// CRC-32 of this member's content.
    crc: Crc,
    /// Length of this member's content so far, modulo 2^32 as ISIZE is.
    size: u32,
    /// The first fault. Told once all that comes before it has been delivered.
    fault: Option<Error>,
    /// Whether the last call ended with [`Status::NeedOutput`].
    unfetched: bool,
    pub(super) inflater: Inflater,
}

/// How far one call has come.
struct Progress<'a> {
    input: &'a [u8],
    memory: &'a mut [u8],
    consumed: usize,
    /// Where in the memory the next byte of content goes.
    filled: usize,
    /// What came before the memory.
    past: Past<'a>,
}

impl Progress<'_> {
    fn input(&self) -> &[u8] {
        self.input.get(self.consumed..).unwrap_or(&[])
    }
}

impl Stream {
    pub(super) const fn new(backend: Backend, limits: &Limits) -> Self {
        Self {
            state: State::Between,
            offset: 0,
            members: 0,
            limit: limits.frames,
            crc: Crc::Own(0),
            size: 0,
            fault: None,
            unfetched: false,
            inflater: Inflater::new(backend),
        }
    }

    /// As [`Gzip::leave_crc_to_user`](super::Gzip::leave_crc_to_user).
    pub(super) const fn leave_crc_to_user(&mut self) {
        self.crc = Crc::Given(None);
    }

    /// As [`Gzip::awaits_crc`](super::Gzip::awaits_crc).
    pub(super) const fn awaits_crc(&self) -> bool {
        matches!(self.crc, Crc::Given(None))
            && matches!(self.state, State::Trailer(_))
            && self.fault.is_none()
    }

    /// As [`Gzip::give_crc`](super::Gzip::give_crc).
    pub(super) fn give_crc(&mut self, crc: u32) {
        if self.awaits_crc() {
            self.crc = Crc::Given(Some(crc));
        }
    }

    /// How many members are complete.
    pub(super) const fn members(&self) -> u64 {
        self.members
    }

    /// Whether more content of the same member may follow.
    pub(super) const fn in_content(&self) -> bool {
        matches!(self.state, State::Deflate(_))
    }

    /// Goes on until the input is used up or the output is full. What was done is in `at`
    /// also when an error comes back.
    fn run(&mut self, at: &mut Progress<'_>) -> Result<Status, Error> {
        loop {
            if self.awaits_crc() {
                return Ok(Status::NeedOutput);
            }
            let taken = match &mut self.state {
                State::Deflate(start) => {
                    let start = *start;
                    if let Some(status) = self.inflate(start, at)? {
                        return Ok(status);
                    }
                    continue;
                }
                State::Header(header) => {
                    let taken = header.push(at.input(), self.offset)?;
                    if header.is_complete() {
                        self.crc = match self.crc {
                            Crc::Own(_) => Crc::Own(0),
                            Crc::Given(_) => Crc::Given(None),
                        };
                        self.size = 0;
                        self.inflater.start();
                        self.state = State::Deflate(self.offset.saturating_add(taken as u64));
                    }
                    taken
                }
                State::Trailer(_) => self.trailer(at.input())?,
                State::Stranger(stranger) => stranger.take(at.input(), Compression::Gzip.name())?,
                State::Between | State::Magic | State::Padding => self.boundary(at.input())?,
            };
            self.advance(at, taken);
            if taken == 0 {
                return Ok(if self.may_end() {
                    Status::Done
                } else {
                    Status::NeedInput
                });
            }
        }
    }

    fn advance(&mut self, at: &mut Progress<'_>, taken: usize) {
        at.consumed = at.consumed.saturating_add(taken);
        self.offset = self.offset.saturating_add(taken as u64);
    }

    const fn may_end(&self) -> bool {
        match self.state {
            State::Between => self.members > 0,
            State::Padding => true,
            _ => false,
        }
    }

    /// Takes bytes where a member may start: its magic, or padding.
    fn boundary(&mut self, input: &[u8]) -> Result<usize, Error> {
        let Some(first) = input.first().copied() else {
            return Ok(0);
        };
        let [id1, id2] = MAGIC;
        match self.state {
            State::Padding => {
                let Some(other) = input.iter().position(|byte| *byte != 0) else {
                    return Ok(input.len());
                };
                let at = self.offset.saturating_add(other as u64);
                let found = input.get(other).copied().unwrap_or(0);
                return Err(Error::new(Code::GzipTrailing, At::Blob(at))
                    .found(Value::Byte(found))
                    .expected(Value::Byte(0)));
            }
            State::Magic if first == id2 => {
                if self.members >= self.limit {
                    let start = self.offset.saturating_sub(1);
                    return Err(Error::new(Code::FrameLimit, At::Blob(start))
                        .found(Value::AtLeast(self.members.saturating_add(1)))
                        .expected(Value::AtMost(self.limit)));
                }
                self.state = State::Header(Header::new());
            }
            State::Magic if self.members == 0 => {
                self.estrange(first, id2);
            }
            State::Magic => {
                let start = self.offset.saturating_sub(1);
                return Err(Error::new(Code::GzipTrailing, At::Blob(start))
                    .found(Value::Hex(u16::from_be_bytes([id1, first]).into()))
                    .expected(Value::Hex(u16::from_be_bytes(MAGIC).into())));
            }
            _ if first == id1 => self.state = State::Magic,
            _ if self.members == 0 => {
                self.estrange(first, id1);
            }
            _ if first == 0 => self.state = State::Padding,
            _ => {
                return Err(Error::new(Code::GzipTrailing, At::Blob(self.offset))
                    .found(Value::Byte(first))
                    .expected(Value::Text("a member or zeros")));
            }
        }
        Ok(1)
    }

    /// Finds this byte where the first member's magic would have another.
    fn estrange(&mut self, found: u8, expected: u8) {
        let error = Error::new(Code::GzipMagic, At::Blob(self.offset))
            .found(Value::Hex(found.into()))
            .expected(Value::Hex(expected.into()));
        self.state = State::Stranger(Stranger::new(error, self.offset.saturating_add(1)));
    }

    /// Inflates a stretch, and says with which status the call ends, if it does.
    fn inflate(&mut self, start: u64, at: &mut Progress<'_>) -> Result<Option<Status>, Error> {
        let from = at.filled;
        let room = Room {
            end: at.memory.len().min(from.saturating_add(STRIDE)),
            memory: &mut *at.memory,
            at: from,
            past: at.past,
        };
        let rest = at.input.get(at.consumed..).unwrap_or(&[]);
        let step = self.inflater.inflate(rest, room);
        at.filled = from.saturating_add(step.produced);
        self.account(at.memory.get(from..at.filled).unwrap_or(&[]));
        self.advance(at, step.consumed);
        match step.status {
            InflateStatus::Input => Ok(Some(Status::NeedInput)),
            // Only the end of the stride.
            InflateStatus::Output if at.filled < at.memory.len() => Ok(None),
            InflateStatus::Output => Ok(Some(Status::NeedOutput)),
            InflateStatus::End => {
                self.state = State::Trailer(Gather::new());
                Ok(None)
            }
            InflateStatus::Corrupt => Err(Error::new(Code::GzipDeflate, At::Blob(start))),
            #[cfg(feature = "zlib-rs")]
            InflateStatus::Counter => Err(Error::new(Code::GzipCounter, At::Blob(start))),
        }
    }

    /// Adds a piece of content to the sums that the trailer states.
    fn account(&mut self, content: &[u8]) {
        if let Crc::Own(crc) = &mut self.crc {
            *crc = crc32(*crc, content);
        }
        // ISIZE is modulo 2^32, and so is this: the upper half of the length is cut off.
        let [.., a, b, c, d] = (content.len() as u64).to_be_bytes();
        self.size = self.size.wrapping_add(u32::from_be_bytes([a, b, c, d]));
    }

    /// Takes the rest of the trailer and checks each of its two numbers as soon as it is there.
    fn trailer(&mut self, input: &[u8]) -> Result<usize, Error> {
        let State::Trailer(gather) = &mut self.state else {
            return Ok(0);
        };
        let gathered = gather.filled().len();
        let taken = gather.fill(8, input);
        let start = self.offset.saturating_sub(gathered as u64);
        let mut numbers = gather
            .filled()
            .chunks_exact(4)
            .map(|bytes| bytes.try_into().map_or(0, u32::from_le_bytes));
        let crc = match self.crc {
            Crc::Own(crc) | Crc::Given(Some(crc)) => crc,
            // It is asked for before the trailer is looked at.
            Crc::Given(None) => 0,
        };
        if let Some(stated) = numbers.next()
            && stated != crc
        {
            return Err(Error::new(Code::GzipCrc, At::Blob(start))
                .found(Value::Hex(crc.into()))
                .expected(Value::Hex(stated.into())));
        }
        if let Some(stated) = numbers.next() {
            if stated != self.size {
                return Err(
                    Error::new(Code::GzipSize, At::Blob(start.saturating_add(4)))
                        .found(Value::Number(self.size.into()))
                        .expected(Value::Number(stated.into())),
                );
            }
            self.members = self.members.saturating_add(1);
            self.state = State::Between;
        }
        Ok(taken)
    }

    /// Decodes into the memory from `filled` on. [`Inflater::history`] bytes of the content lie
    /// before that and in the past.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        memory: &mut [u8],
        filled: usize,
        past: Past<'_>,
    ) -> Result<Step, Error> {
        let mut at = Progress {
            input,
            memory,
            consumed: 0,
            filled,
            past,
        };
        let mut status = Status::NeedOutput;
        if self.fault.is_none() {
            match self.run(&mut at) {
                Ok(ended) => {
                    self.unfetched = ended == Status::NeedOutput;
                    status = ended;
                }
                Err(error) => self.fault = Some(error),
            }
        }
        let produced = at.filled.saturating_sub(filled);
        match self.fault {
            Some(error) if produced == 0 => Err(error),
            // First what comes before the fault, then the fault.
            _ => Ok(Step {
                consumed: at.consumed,
                produced,
                status,
            }),
        }
    }

    /// Says that there is no more input.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if self.unfetched && self.fault.is_none() {
            return Err(Error::new(Code::Finished, At::Blob(self.offset)));
        }
        if let Some(error) = self.fault {
            return Err(error);
        }
        // Whatever comes next, the end was told.
        self.fault = Some(Error::new(Code::Finished, At::Blob(self.offset)));
        if self.may_end() {
            return Ok(());
        }
        let missing = match &self.state {
            State::Stranger(stranger) => {
                let error = stranger.refusal();
                self.fault = Some(error);
                return Err(error);
            }
            State::Between | State::Magic => "a member",
            State::Header(_) => "the rest of the header",
            State::Deflate(_) => "the rest of the deflate stream",
            State::Trailer(_) | State::Padding => "the rest of the trailer",
        };
        let error =
            Error::new(Code::GzipTruncated, At::Blob(self.offset)).expected(Value::Text(missing));
        self.fault = Some(error);
        Err(error)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("backend", &self.inflater.backend())
            .field("state", &self.state)
            .field("offset", &self.offset)
            .field("members", &self.members)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
