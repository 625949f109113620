//! The reader: bytes in, members and their content out.

mod content;
mod holes;
mod member;

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::BLOCK;
use super::entry::Entry;
use super::extended::{Extended, Owner};
use super::header::Header;
use super::sparse::{Lines, Pieces, Sparse};
use crate::bytes::Gather;
use crate::{At, Code, Error, Limits};
use content::Content;

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// All of the input was taken, and more is needed.
    More,
    /// The next member. What follows up to [`Self::EntryEnd`] is its content.
    Entry(Entry),
    /// A piece of the member's content. Pieces come in order; what none of them covers is a hole.
    Content {
        /// Where it lies in the file, in bytes.
        offset: u64,
        /// The bytes; never empty.
        bytes: &'i [u8],
    },
    /// The member is complete.
    EntryEnd,
    /// The end marker has been read. What follows it is taken and not looked at, as tar(1) does.
    End,
}

/// Reads an archive from its first byte to its last.
///
/// ```
/// use erofs_unpack_core::Limits;
/// use erofs_unpack_core::tar::{Event, Reader};
///
/// fn list(mut archive: &[u8]) -> Result<Vec<String>, erofs_unpack_core::Error> {
///     let mut reader = Reader::new(&Limits::DEFAULT);
///     let mut names = Vec::new();
///     loop {
///         let (taken, event) = reader.step(archive)?;
///         archive = &archive[taken..];
///         match event {
///             Event::Entry(entry) => names.push(String::from_utf8_lossy(&entry.path).into_owned()),
///             // A host would read on here, and finish where nothing is left.
///             Event::More => break,
///             Event::Content { .. } | Event::EntryEnd => {}
///             Event::End => break,
///         }
///     }
///     reader.finish()?;
///     Ok(names)
/// }
/// assert_eq!(list(&[0; 1024]), Ok(vec![]));
/// assert!(list(&[]).is_err());
/// ```
#[derive(Debug)]
pub struct Reader {
    /// The most bytes in all extended headers of one member.
    header_limit: u64,
    /// The most pieces of a sparse file.
    piece_limit: usize,
    state: State,
    /// How many bytes have been taken.
    position: u64,
    /// A block that has come in part.
    block: Gather<BLOCK>,
    /// The content of an extended header, as far as it has come.
    text: Vec<u8>,
    /// What extended headers say of the next member.
    extended: Option<Box<Extended>>,
    /// What global headers say of all that follow.
    global: Owner,
    /// Whether the archive has `pax` headers.
    is_pax: bool,
    /// A sparse file whose map is not complete.
    pending: Option<(Entry, Sparse)>,
    /// Where the pieces of the sparse file that is read lie in it.
    pieces: Pieces,
    has_members: bool,
    is_cut: bool,
    /// Whether it is one of [`Reader::picking`].
    is_picking: bool,
    /// How many headers there were.
    headers: u64,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug)]
enum State {
    /// A byte of a header.
    Header,
    /// A byte of an extended header's content, which starts at `start` and of which `left` bytes are
    /// still to come.
    Text { kind: u8, start: u64, left: u64 },
    /// A byte that fills a block up, or is the first of a header.
    Padding(u64),
    /// A byte of a block that goes on with the map of a sparse file of the old form.
    OldMap,
    /// A byte of the map before a sparse file's content.
    Map(Lines),
    /// The same, of what fills its last block up.
    MapPadding(u64),
    /// A byte of content.
    Content(Content),
    /// A byte of the first block of a hard link's content, behind the content.
    Guarded,
    /// The member is complete, and this many bytes fill its last block up.
    EntryEnd(u64),
    /// A byte of the second block of zeros.
    SecondZero,
    /// A byte behind the end marker.
    End,
    /// A byte behind an error, or one after [`Reader::finish`].
    Failed,
}

impl Reader {
    /// A reader for one archive.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            header_limit: limits.tar_header,
            piece_limit: usize::try_from(limits.tar_extents).unwrap_or(usize::MAX),
            state: State::Header,
            position: 0,
            block: Gather::new(),
            text: Vec::new(),
            extended: None,
            global: Owner::default(),
            is_pax: false,
            pending: None,
            pieces: Vec::new(),
            has_members: false,
            is_cut: false,
            is_picking: false,
            headers: 0,
        }
    }

    /// A reader for who looks for some members of an archive and does not unpack it, as of an OCI
    /// archive.
    ///
    /// What is wrong with one member alone, its type or the map of its holes, is said in
    /// [`Entry::fault`], for nobody may ask for it. What such an archive has no need of is refused, though
    /// readers agree on it: a link or a directory with a size, and a name or a size that is twice in one `pax` header.
    #[must_use]
    pub fn picking(limits: &Limits) -> Self {
        Self {
            is_picking: true,
            ..Self::new(limits)
        }
    }

    /// How many headers there were, those of extended headers included, for who limits them.
    #[must_use]
    pub const fn headers(&self) -> u64 {
        self.headers
    }

    /// How many bytes of the archive have been taken.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Whether the archive ended without its end marker, behind a whole member. It is known after
    /// [`Self::finish`].
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// How many bytes of the member's content are still to come from the archive.
    #[must_use]
    pub const fn content_left(&self) -> u64 {
        match self.state {
            State::Content(content) => content.left,
            _ => 0,
        }
    }

    /// Takes bytes from the front of `input`, and says how many and what came of them.
    ///
    /// It is to be called until it says [`Event::More`], also when `input` is empty. Any cutting of the
    /// archive gives the same events (but content is cut as `input` is) and the same error.
    ///
    /// # Errors
    ///
    /// Codes that start with `Tar`, at the byte of the archive that is wrong; [`Code::Finished`] after an
    /// error or [`Self::finish`].
    pub fn step<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Event<'i>), Error> {
        let mut rest = input;
        match self.run(&mut rest) {
            Ok(event) => Ok((input.len().saturating_sub(rest.len()), event)),
            Err(error) => {
                self.state = State::Failed;
                Err(error)
            }
        }
    }

    /// Passes over at most `most` bytes of the member's content without seeing them, for who can move
    /// forward in the archive, and says how many bytes of the archive that are.
    pub fn skip(&mut self, most: u64) -> u64 {
        let State::Content(mut content) = self.state else {
            return 0;
        };
        if content.guard {
            return 0;
        }
        let mut skipped = 0_u64;
        while skipped < most {
            let room = most.saturating_sub(skipped);
            let length = self.take(&mut content, room);
            skipped = skipped.saturating_add(length);
            if length == 0 {
                break;
            }
        }
        self.state = content.state(self.position);
        skipped
    }

    /// Says that the archive has no more bytes.
    ///
    /// # Errors
    ///
    /// [`Code::TarTruncated`] inside of a member, or when there is neither a member nor an end marker;
    /// [`Code::TarEnd`] inside of an end marker, when that is no zero; [`Code::Finished`] after an error, or before
    /// [`Self::step`] has said [`Event::More`] or [`Event::End`].
    pub fn finish(&mut self) -> Result<(), Error> {
        let state = core::mem::replace(&mut self.state, State::Failed);
        let at = |code| Error::new(code, At::Archive(self.position));
        let partial = self.block.filled();
        let is_zero = partial.iter().all(|byte| *byte == 0);
        match state {
            State::End => Ok(()),
            State::SecondZero if is_zero => Ok(()),
            State::SecondZero => Err(at(Code::TarEnd)),
            State::Header | State::Padding(_) => {
                if !is_zero || !self.has_members || self.extended.is_some() {
                    return Err(at(Code::TarTruncated));
                }
                self.is_cut = true;
                Ok(())
            }
            State::Text { .. }
            | State::OldMap
            | State::Map(_)
            | State::MapPadding(_)
            | State::Content(_)
            | State::Guarded => Err(at(Code::TarTruncated)),
            State::EntryEnd(_) | State::Failed => Err(at(Code::Finished)),
        }
    }

    fn run<'i>(&mut self, rest: &mut &'i [u8]) -> Result<Event<'i>, Error> {
        loop {
            match self.state {
                State::Header => match self.block(rest, Self::header)? {
                    Some(Some(entry)) => return Ok(Event::Entry(entry)),
                    Some(None) => {}
                    None => return Ok(Event::More),
                },
                State::Text { kind, start, left } => {
                    let taken = self.advance(rest, left);
                    self.text.extend_from_slice(taken);
                    let left = left.saturating_sub(length(taken));
                    self.state = State::Text { kind, start, left };
                    if left > 0 {
                        return Ok(Event::More);
                    }
                    self.text(kind, start)?;
                    self.state = State::Padding(padding(self.position));
                }
                State::Padding(left) => {
                    let taken = length(self.advance(rest, left));
                    if taken < left {
                        self.state = State::Padding(left.saturating_sub(taken));
                        return Ok(Event::More);
                    }
                    self.state = State::Header;
                }
                State::OldMap => match self.block(rest, Self::old_map)? {
                    Some(Some(entry)) => return Ok(Event::Entry(entry)),
                    Some(None) => {}
                    None => return Ok(Event::More),
                },
                State::Map(lines) => {
                    if let Some(entry) = self.map(lines, rest)? {
                        return Ok(Event::Entry(entry));
                    }
                    if matches!(self.state, State::Map(_)) {
                        return Ok(Event::More);
                    }
                }
                State::MapPadding(left) => {
                    let taken = length(self.advance(rest, left));
                    let left = left.saturating_sub(taken);
                    self.state = State::MapPadding(left);
                    if left > 0 {
                        return Ok(Event::More);
                    }
                    if let Some(entry) = self.complete()? {
                        return Ok(Event::Entry(entry));
                    }
                }
                State::Content(content) => {
                    if let Some(event) = self.content(content, rest)? {
                        return Ok(event);
                    }
                }
                State::Guarded => match self.block(rest, Self::guarded)? {
                    Some(()) => {}
                    None => return Ok(Event::More),
                },
                State::EntryEnd(left) => {
                    self.state = State::Padding(left);
                    return Ok(Event::EntryEnd);
                }
                State::SecondZero => match self.block(rest, Self::second_zero)? {
                    Some(()) => return Ok(Event::End),
                    None => return Ok(Event::More),
                },
                State::End => {
                    self.advance(rest, u64::MAX);
                    return Ok(Event::End);
                }
                State::Failed => {
                    return Err(Error::new(Code::Finished, At::Archive(self.position)));
                }
            }
        }
    }

    /// Takes at most `most` bytes off the input.
    fn advance<'i>(&mut self, rest: &mut &'i [u8], most: u64) -> &'i [u8] {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let (taken, after) = rest.split_at_checked(most).unwrap_or((rest, &[]));
        *rest = after;
        self.position = self.position.saturating_add(length(taken));
        taken
    }

    /// Calls `then` with the next block and where it starts, once it is there.
    fn block<T>(
        &mut self,
        rest: &mut &[u8],
        then: impl FnOnce(&mut Self, Header<'_>, u64) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        if self.block.filled().is_empty()
            && let Some((block, after)) = rest.split_first_chunk()
        {
            *rest = after;
            let at = self.position;
            self.position = at.saturating_add(BLOCK as u64);
            return then(self, Header(block), at).map(Some);
        }
        let taken = self.block.fill(BLOCK, rest);
        self.advance(rest, u64::try_from(taken).unwrap_or(0));
        let Ok(block) = self.block.filled().try_into() else {
            return Ok(None);
        };
        let block: [u8; BLOCK] = block;
        self.block.clear();
        let at = self.position.saturating_sub(BLOCK as u64);
        then(self, Header(&block), at).map(Some)
    }

    /// Looks at what follows a block of zeros.
    fn second_zero(&mut self, block: Header<'_>, at: u64) -> Result<(), Error> {
        if !block.is_zero() {
            return Err(Error::new(Code::TarEnd, At::Archive(at)));
        }
        self.state = State::End;
        Ok(())
    }
}

/// How many bytes fill a block up.
const fn padding(length: u64) -> u64 {
    length.wrapping_neg() & (BLOCK as u64).wrapping_sub(1)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
