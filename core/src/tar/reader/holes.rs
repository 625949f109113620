//! Members that are stored without their holes.

use alloc::vec::Vec;

use super::super::entry::{Entry, EntryKind};
use super::super::header::{Form, Header, field};
use super::super::sparse::{Fault, Lines, Rest, Sparse};
use super::{Reader, State, padding};
use crate::{At, Code, Error, Value};

impl Reader {
    /// Begins a member that is stored without its holes; it is given where its map is complete.
    pub(super) fn sparse(
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
    pub(super) fn old_map(&mut self, block: Header<'_>, at: u64) -> Result<Option<Entry>, Error> {
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
    pub(super) fn fault(&mut self, mut entry: Entry, (code, _): Fault) -> Entry {
        entry.fault = Some(code);
        entry.size = entry.stored;
        self.begin(&entry, None, false);
        entry
    }

    /// Reads on in the map before a sparse file's content.
    pub(super) fn map(
        &mut self,
        mut lines: Lines,
        rest: &mut &[u8],
    ) -> Result<Option<Entry>, Error> {
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
    pub(super) fn complete(&mut self) -> Result<Option<Entry>, Error> {
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
}
