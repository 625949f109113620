//! Headers: those of members, and extended ones before them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::super::BLOCK;
use super::super::entry::{Entry, EntryKind};
use super::super::extended::{Extended, copied};
use super::super::header::{Form, Header, field, until_nul};
use super::super::number::{number, small, unsigned};
use super::{Reader, State};
use crate::{At, Code, Error, Value};

impl Reader {
    /// Reads a header: of a member, which it gives, or another, which changes the state.
    pub(super) fn header(&mut self, header: Header<'_>, at: u64) -> Result<Option<Entry>, Error> {
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
    pub(super) fn begin_text(&mut self, kind: u8, size: u64, at: u64) -> Result<(), Error> {
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
    pub(super) fn text(&mut self, kind: u8, start: u64) -> Result<(), Error> {
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
    pub(super) fn member(
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
            // POSIX: how much the directory may hold.
            EntryKind::Directory if byte == b'5' && !self.is_picking => stored = 0,
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
