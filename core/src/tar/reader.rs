//! The reader: bytes in, members and their content out.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::BLOCK;
use super::entry::{Entry, EntryKind};
use super::extended::{Extended, Owner, copied};
use super::header::{Form, Header, field, until_nul};
use super::number::{number, small, unsigned};
use super::sparse::{Fault, Lines, Pieces, Rest, Sparse};
use crate::bytes::Gather;
use crate::{At, Code, Error, Limits, Value};

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

/// Content that is being read.
#[derive(Clone, Copy, Debug)]
struct Content {
    /// Bytes that are still to come from the archive.
    left: u64,
    /// Where the next of them lies in the file.
    offset: u64,
    /// Where the piece that it belongs to ends in the file.
    end: u64,
    /// Which piece comes next.
    next: usize,
    /// Whether its first block is still to be told from a header.
    guard: bool,
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
    /// readers agree on it: a link with a size, and a name or a size that is twice in one `pax` header.
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

    /// Reads a header: of a member, which it gives, or another, which changes the state.
    fn header(&mut self, header: Header<'_>, at: u64) -> Result<Option<Entry>, Error> {
        let refused = |code, place: usize| {
            let place = at.saturating_add(u64::try_from(place).unwrap_or(0));
            Error::new(code, At::Archive(place))
        };
        if header.is_zero() {
            if let Some(extended) = &self.extended {
                return Err(Error::new(Code::TarExtension, At::Archive(extended.start)));
            }
            self.state = State::SecondZero;
            return Ok(None);
        }
        if !header.is_intact() {
            return Err(refused(Code::TarChecksum, 0));
        }
        self.headers = self.headers.saturating_add(1);
        let form = header.form();
        let form = form.ok_or_else(|| refused(Code::TarFormat, field::MAGIC.start))?;
        let kind = header.byte(field::TYPE);
        let size = unsigned(header.field(field::SIZE));
        let size = size.ok_or_else(|| refused(Code::TarNumber, field::SIZE.start))?;
        match kind {
            b'L' | b'K' | b'x' | b'g' => self.begin_text(kind, size, at)?,
            b'V' => {
                if self.extended.is_some() {
                    return Err(refused(Code::TarExtension, 0));
                }
                if size != 0 {
                    return Err(refused(Code::TarPayload, field::SIZE.start));
                }
                self.has_members = true;
            }
            _ => return self.member(header, form, size, at),
        }
        Ok(None)
    }

    /// Makes room for the content of an extended header.
    fn begin_text(&mut self, kind: u8, size: u64, at: u64) -> Result<(), Error> {
        let refused = |code| Error::new(code, At::Archive(at));
        let so_far = match (&self.extended, kind) {
            // Readers differ on whether it parts the one before from its member.
            (Some(_), b'g') => return Err(refused(Code::TarExtension)),
            (Some(extended), _) => extended.bytes,
            (None, _) => 0,
        };
        let all = so_far.saturating_add(size);
        if all > self.header_limit {
            return Err(refused(Code::TarHeaderLimit)
                .found(Value::AtLeast(all))
                .expected(Value::AtMost(self.header_limit)));
        }
        if kind != b'g' {
            let extended = self
                .extended
                .get_or_insert_with(|| Box::new(Extended::new(at)));
            extended.bytes = all;
            let again = match kind {
                b'L' => extended.path.is_some(),
                b'K' => extended.link.is_some(),
                _ => extended.pax,
            };
            if again {
                return Err(refused(Code::TarExtension));
            }
        }
        self.text.clear();
        let room = usize::try_from(size).map(|size| self.text.try_reserve(size));
        if !matches!(room, Ok(Ok(()))) {
            return Err(refused(Code::TarMemory));
        }
        self.state = State::Text {
            kind,
            start: self.position,
            left: size,
        };
        Ok(())
    }

    /// Reads the content of an extended header, which starts at `start`.
    fn text(&mut self, kind: u8, start: u64) -> Result<(), Error> {
        self.is_pax |= matches!(kind, b'x' | b'g');
        if kind == b'g' {
            return self.global.read_global(&self.text, start);
        }
        let extended = self
            .extended
            .get_or_insert_with(|| Box::new(Extended::new(start)));
        if kind == b'x' {
            extended.pax = true;
            return extended.read_pax(&self.text, start, self.piece_limit, self.is_picking);
        }
        let name = until_nul(&self.text);
        let refused = |code| Error::new(code, At::Archive(start));
        if name.is_empty() {
            return Err(refused(Code::TarName));
        }
        let name = copied(name).ok_or_else(|| refused(Code::TarMemory))?;
        if kind == b'L' {
            extended.path = Some(name);
        } else {
            extended.link = Some(name);
        }
        Ok(())
    }

    /// Makes a member of its header and of what was said of it before.
    fn member(
        &mut self,
        header: Header<'_>,
        form: Form,
        size: u64,
        at: u64,
    ) -> Result<Option<Entry>, Error> {
        let refused = |code, place: usize| {
            let place = at.saturating_add(u64::try_from(place).unwrap_or(0));
            Error::new(code, At::Archive(place))
        };
        let wrong = |place: core::ops::Range<usize>| refused(Code::TarNumber, place.start);
        let mut extended = self.extended.take();
        let mut extended = extended.as_deref_mut();
        let offset = extended.as_ref().map_or(at, |extended| extended.start);
        let mut owner = self.global;
        let mut stated = None;
        if let Some(extended) = &extended {
            owner = extended.owner.or(owner);
            stated = extended.size;
        }
        let path = match extended.as_mut().and_then(|extended| extended.path.take()) {
            Some(path) => path,
            None => header.name(form),
        };
        let byte = header.byte(field::TYPE);
        let mut fault = None;
        let kind = match kind(byte, form, &path) {
            Some(kind) => kind,
            None => {
                let code = match byte {
                    b'0' | b'7' | b'S' => Code::TarSlash,
                    _ => Code::TarType,
                };
                if !self.is_picking {
                    return Err(refused(code, field::TYPE).found(Value::Byte(byte)));
                }
                fault = Some(code);
                EntryKind::File
            }
        };
        let mode = unsigned(header.field(field::MODE)).ok_or_else(|| wrong(field::MODE))?;
        let id = |known: Option<u32>, place: core::ops::Range<usize>| match known {
            Some(id) => Ok(id),
            None => small(header.field(place.clone())).ok_or_else(|| wrong(place)),
        };
        let uid = id(owner.uid, field::UID)?;
        let gid = id(owner.gid, field::GID)?;
        let mtime = match owner.mtime {
            Some(time) => time,
            None => {
                let seconds = number(header.field(field::MTIME));
                (seconds.ok_or_else(|| wrong(field::MTIME))?, 0)
            }
        };
        let mut device = (0, 0);
        if matches!(kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
            let known = extended
                .as_ref()
                .map(|extended| (extended.major, extended.minor));
            let (major, minor) = known.unwrap_or_default();
            device = (
                device_number(header, major, field::MAJOR).ok_or_else(|| wrong(field::MAJOR))?,
                device_number(header, minor, field::MINOR).ok_or_else(|| wrong(field::MINOR))?,
            );
        }
        let mut stored = stated.unwrap_or(size);
        let mut guard = false;
        match kind {
            EntryKind::File => {}
            EntryKind::HardLink if self.is_picking && (size != 0 || stored != 0) => {
                return Err(refused(Code::TarPayload, field::SIZE.start));
            }
            EntryKind::HardLink if !self.is_pax || form != Form::Posix => {
                if stated.is_some() {
                    return Err(refused(Code::TarPayload, field::SIZE.start));
                }
                stored = 0;
            }
            EntryKind::HardLink => guard = stored > 0,
            _ if stored != 0 || size != 0 => {
                return Err(refused(Code::TarPayload, field::SIZE.start));
            }
            _ => {}
        }
        let mut link = Vec::new();
        if matches!(kind, EntryKind::HardLink | EntryKind::Symlink) {
            link = match extended.as_mut().and_then(|extended| extended.link.take()) {
                Some(link) => link,
                None => until_nul(header.field(field::LINK)).to_vec(),
            };
            if link.is_empty() {
                return Err(refused(Code::TarName, field::LINK.start));
            }
        }
        // It could not be counted where the content ends.
        if self
            .position
            .checked_add(stored)
            .and_then(|end| end.checked_add(BLOCK as u64))
            .is_none()
        {
            return Err(wrong(field::SIZE));
        }
        let (xattrs, sparse) = match extended {
            Some(extended) => (
                core::mem::take(&mut extended.xattrs),
                extended.sparse.take(),
            ),
            None => Default::default(),
        };
        let entry = Entry {
            path,
            kind,
            link,
            mode: u16::try_from(mode & 0o7777).unwrap_or(0),
            uid,
            gid,
            mtime,
            size: stored,
            device,
            xattrs: xattrs
                .into_iter()
                .map(|xattr| (xattr.name, xattr.value))
                .collect(),
            extents: None,
            alias: None,
            offset,
            header: at,
            content: self.position,
            stored,
            fault,
        };
        if fault.is_none() && (byte == b'S' || sparse.is_some()) {
            return self.sparse(header, form, entry, sparse);
        }
        if entry.path.is_empty() {
            return Err(refused(Code::TarName, field::NAME.start));
        }
        self.begin(&entry, None, guard);
        Ok(Some(entry))
    }

    /// Begins a member that is stored without its holes; it is given where its map is complete.
    fn sparse(
        &mut self,
        header: Header<'_>,
        form: Form,
        mut entry: Entry,
        sparse: Option<Sparse>,
    ) -> Result<Option<Entry>, Error> {
        let at = entry.header;
        let refused = |(code, value)| Error::new(code, At::Archive(at)).found(value);
        let malformed = || refused((Code::TarSparse, Value::None));
        let is_old = header.byte(field::TYPE) == b'S';
        let mut more = false;
        let sparse = match sparse {
            None if form == Form::Gnu => {
                let mut sparse = Sparse::new(self.piece_limit);
                more = sparse.old(header).map_err(refused)?;
                sparse
            }
            Some(mut sparse) if !is_old && entry.kind == EntryKind::File => {
                if let Some(name) = sparse.name.take()
                    && name != entry.path
                {
                    if name.ends_with(b"/") {
                        return Err(refused((Code::TarSlash, Value::None)));
                    }
                    entry.alias = Some(core::mem::replace(&mut entry.path, name));
                }
                sparse
            }
            _ => return Err(malformed()),
        };
        if entry.path.is_empty() {
            return Err(refused((Code::TarName, Value::None)));
        }
        let rest = match sparse.rest() {
            Ok(rest) => rest,
            Err(fault) if self.is_picking => return Ok(Some(self.fault(entry, fault))),
            Err(fault) => return Err(refused(fault)),
        };
        self.pending = Some((entry, sparse));
        if more {
            self.state = State::OldMap;
            return Ok(None);
        }
        if rest == Rest::InContent {
            self.state = State::Map(Lines::default());
            return Ok(None);
        }
        self.complete()
    }

    /// Reads a block that goes on with the map of a sparse file of the old form.
    fn old_map(&mut self, block: Header<'_>, at: u64) -> Result<Option<Entry>, Error> {
        let refused = |(code, value)| Error::new(code, At::Archive(at)).found(value);
        if let Some((entry, sparse)) = &mut self.pending {
            entry.content = self.position;
            if sparse.old_more(block).map_err(refused)? {
                return Ok(None);
            }
        }
        self.complete()
    }

    /// Gives a member whose map is refused, with what is stored of it as its content.
    fn fault(&mut self, mut entry: Entry, (code, _): Fault) -> Entry {
        entry.fault = Some(code);
        entry.size = entry.stored;
        self.begin(&entry, None, false);
        entry
    }

    /// Reads on in the map before a sparse file's content.
    fn map(&mut self, mut lines: Lines, rest: &mut &[u8]) -> Result<Option<Entry>, Error> {
        let Some((mut entry, mut sparse)) = self.pending.take() else {
            return Ok(None);
        };
        let left = entry.stored.saturating_sub(lines.taken);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let input = rest.get(..left).unwrap_or(rest);
        let (taken, mut end) = match lines.take(input, &mut sparse) {
            Ok((taken, true)) => (taken, Ok(true)),
            Ok((taken, false)) if taken == left => (taken, Err((Code::TarSparse, Value::None))),
            Ok((taken, false)) => (taken, Ok(false)),
            Err((taken, fault)) => (taken, Err(fault)),
        };
        self.advance(rest, u64::try_from(taken).unwrap_or(0));
        let padding = padding(lines.taken);
        let mut used = lines.taken;
        if end == Ok(true) {
            used = used.saturating_add(padding);
            if used > entry.stored {
                used = lines.taken;
                end = Err((Code::TarSparse, Value::None));
            }
        }
        self.state = State::Map(lines);
        match end {
            Ok(false) => {
                self.pending = Some((entry, sparse));
                Ok(None)
            }
            Ok(true) => {
                entry.stored = entry.stored.saturating_sub(used);
                entry.content = self.position.saturating_add(padding);
                self.pending = Some((entry, sparse));
                self.state = State::MapPadding(padding);
                Ok(None)
            }
            Err(fault) if self.is_picking => {
                entry.stored = entry.stored.saturating_sub(used);
                entry.content = self.position;
                Ok(Some(self.fault(entry, fault)))
            }
            Err((code, value)) => Err(Error::new(code, At::Archive(self.position)).expected(value)),
        }
    }

    /// Gives the sparse file whose map is complete.
    fn complete(&mut self) -> Result<Option<Entry>, Error> {
        let Some((mut entry, sparse)) = self.pending.take() else {
            return Ok(None);
        };
        let at = At::Archive(entry.header);
        let (size, pieces) = match sparse.finish(entry.stored) {
            Ok(map) => map,
            Err(fault) if self.is_picking => return Ok(Some(self.fault(entry, fault))),
            Err((code, value)) => {
                let error = Error::new(code, at).found(value);
                return Err(match code {
                    Code::TarMapSize => error.expected(Value::Number(entry.stored)),
                    _ => error,
                });
            }
        };
        entry.size = size;
        self.begin(&entry, Some(pieces), false);
        let mut copy = Vec::new();
        let room = copy.try_reserve_exact(self.pieces.len());
        room.map_err(|_| Error::new(Code::TarMemory, at))?;
        copy.extend_from_slice(&self.pieces);
        entry.extents = Some(copy);
        Ok(Some(entry))
    }

    /// Begins the content of a member.
    fn begin(&mut self, entry: &Entry, pieces: Option<Pieces>, guard: bool) {
        self.has_members = true;
        let end = if pieces.is_some() { 0 } else { entry.size };
        self.pieces = pieces.unwrap_or_default();
        let content = Content {
            left: entry.stored,
            offset: 0,
            end,
            next: 0,
            guard,
        };
        self.state = content.state(self.position);
    }

    /// Takes at most `most` bytes of content, which lie in one piece, and says how many.
    fn take(&mut self, content: &mut Content, most: u64) -> u64 {
        if content.offset == content.end
            && let Some((offset, length)) = self.pieces.get(content.next)
        {
            content.offset = *offset;
            content.end = offset.saturating_add(*length);
            content.next = content.next.saturating_add(1);
        }
        let piece = content.end.saturating_sub(content.offset);
        let length = most.min(piece).min(content.left);
        content.offset = content.offset.saturating_add(length);
        content.left = content.left.saturating_sub(length);
        self.position = self.position.saturating_add(length);
        length
    }

    /// Reads content; `None` when there is something else to do.
    fn content<'i>(
        &mut self,
        mut content: Content,
        rest: &mut &'i [u8],
    ) -> Result<Option<Event<'i>>, Error> {
        if rest.is_empty() {
            return Ok(Some(Event::More));
        }
        let mut most = length(rest);
        if content.guard {
            // The last byte of the first block goes out when it is known what the block is.
            let missing = BLOCK.saturating_sub(self.block.filled().len());
            let missing = u64::try_from(missing).unwrap_or(0);
            most = most.min(missing.saturating_sub(1).max(1)).min(content.left);
            let piece = rest
                .get(..usize::try_from(most).unwrap_or(0))
                .unwrap_or_default();
            self.block.fill(BLOCK, piece);
            if missing == 1 {
                let block: Option<[u8; BLOCK]> = self.block.filled().try_into().ok();
                self.block.clear();
                let start = self.position.saturating_sub(BLOCK as u64).saturating_add(1);
                if let Some(block) = block {
                    self.guarded(Header(&block), start)?;
                }
                content.guard = false;
            }
        }
        let taken = self.take(&mut content, most);
        let length = usize::try_from(taken).unwrap_or(0);
        let (bytes, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        *rest = after;
        let offset = content.offset.saturating_sub(taken);
        self.state = content.state(self.position);
        Ok(Some(Event::Content { offset, bytes }))
    }

    /// Looks at the first block of a hard link's content: those who think that it has none take the
    /// block for a header.
    fn guarded(&mut self, block: Header<'_>, at: u64) -> Result<(), Error> {
        if block.is_zero() || block.is_intact() {
            return Err(Error::new(Code::TarLinkContent, At::Archive(at)));
        }
        self.state = State::EntryEnd(0);
        Ok(())
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

impl Content {
    /// The state in which the next byte is the next of this content, when `position` bytes have been
    /// taken.
    const fn state(self, position: u64) -> State {
        if self.left > 0 {
            State::Content(self)
        } else if self.guard {
            State::Guarded
        } else {
            State::EntryEnd(padding(position))
        }
    }
}

/// What a type stands for; `None` when readers understand it differently.
fn kind(byte: u8, form: Form, path: &[u8]) -> Option<EntryKind> {
    let has_slash = path.ends_with(b"/");
    match byte {
        0 if has_slash => Some(EntryKind::Directory),
        0 => Some(EntryKind::File),
        b'0' | b'7' | b'S' => (!has_slash).then_some(EntryKind::File),
        b'1' => Some(EntryKind::HardLink),
        b'2' => Some(EntryKind::Symlink),
        // Before POSIX there were no fields for its numbers; as 0 and 0 it would be a whiteout.
        b'3' | b'4' if form == Form::Old => None,
        b'3' => Some(EntryKind::CharDevice),
        b'4' => Some(EntryKind::BlockDevice),
        b'5' => Some(EntryKind::Directory),
        b'6' => Some(EntryKind::Fifo),
        _ => None,
    }
}

/// A number of a device: that of a `pax` record is taken where it is too large for the header, and must
/// else be the same.
fn device_number(
    header: Header<'_>,
    known: Option<u32>,
    place: core::ops::Range<usize>,
) -> Option<u32> {
    /// What seven octal digits hold.
    const MOST: u32 = 0o7_777_777;
    match known {
        Some(number) if number > MOST => Some(number),
        known => {
            let own = small(header.field(place))?;
            known.is_none_or(|number| number == own).then_some(own)
        }
    }
}

/// How many bytes fill a block up.
const fn padding(length: u64) -> u64 {
    length.wrapping_neg() & (BLOCK as u64).wrapping_sub(1)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
