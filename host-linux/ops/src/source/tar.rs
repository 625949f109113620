//! The members of an OCI archive, read strictly.
//!
//! Two readers that understand one archive differently are a way past whoever looked at it
//! first. The core's reader of tar archives says which those are; here it is one that picks members,
//! and names that lead upwards are refused besides. Where content is held by its
//! digest there is nothing to differ on: it may be stored without its holes, be a link, or lack
//! the archive's end marker behind it.

use std::io;

use erofs_unpack_core::tar::{Entry, EntryKind, Event, Reader};
use erofs_unpack_core::{At, Code, Error, Limits};

use super::blob::Extent;
use crate::error::SourceFault;

/// How much is read at once to find headers, in bytes.
const BUFFER: usize = 4 << 10;

/// Why the reading of an archive stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The archive is refused; the position is where the header in question starts, or the part of it
    /// that is wrong.
    Fault(SourceFault, u64),
    /// The system failed.
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let at = match error.at() {
            At::Archive(at) => at,
            _ => 0,
        };
        Self::Fault(fault(error.code()), at)
    }
}

/// What a refusal of the core's reader is called here.
const fn fault(code: Code) -> SourceFault {
    match code {
        Code::TarTruncated => SourceFault::ArchiveTruncated,
        Code::TarChecksum => SourceFault::ArchiveHeader,
        Code::TarEnd => SourceFault::ArchiveEnd,
        Code::TarNumber => SourceFault::ArchiveNumber,
        Code::TarName => SourceFault::ArchiveName,
        Code::TarPayload | Code::TarLinkContent => SourceFault::ArchivePayload,
        Code::TarHeaderLimit => SourceFault::ArchiveExtensionSize,
        Code::TarExtension
        | Code::TarRecord
        | Code::TarValue
        | Code::TarGlobal
        | Code::TarXattr => SourceFault::ArchiveExtension,
        Code::TarSparse | Code::TarMap | Code::TarMapSize | Code::TarExtentLimit => {
            SourceFault::ArchiveSparse
        }
        _ => SourceFault::ArchiveForm,
    }
}

/// What sort of thing a member is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    File,
    /// A file that is stored without its holes.
    Sparse,
    /// Another name for the member that the link's text names.
    HardLink,
    /// A symbolic link to a name in the archive.
    SymLink,
    /// A symbolic link out of the archive.
    LinkOut,
    /// A directory, a device, or a type of someone's own.
    Other,
}

/// One member.
#[derive(Debug)]
pub(super) struct Member {
    /// Where the first of its headers starts in the archive.
    pub(super) start: u64,
    /// Where its (last) header starts in the archive.
    pub(super) header: u64,
    pub(super) kind: Type,
    /// The name in its parts, joined by `/`, without empty parts and `.`.
    pub(super) name: Vec<u8>,
    /// The name that a link leads to; empty for what is none.
    pub(super) link: Vec<u8>,
    /// Where its content starts in the archive.
    pub(super) offset: u64,
    /// The size of its content in bytes, as it is stored.
    pub(super) size: u64,
    /// The name that it has for readers who know nothing of holes; `None` when that is no other.
    pub(super) alias: Option<Vec<u8>>,
}

/// Reads an archive's headers from its first to its end marker.
#[derive(Debug)]
pub(super) struct Members<'a> {
    archive: &'a Extent,
    reader: Reader,
    /// The most headers.
    limit: u64,
    buffer: Vec<u8>,
    /// Where the buffer's first byte lies in the archive.
    start: u64,
}

impl<'a> Members<'a> {
    /// Of an archive with at most `limit` headers.
    pub(super) fn new(archive: &'a Extent, limit: u64) -> Self {
        Self {
            archive,
            reader: Reader::picking(&Limits::DEFAULT),
            limit,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// Whether the archive ended without its end marker. It is known at the end.
    pub(super) const fn is_cut(&self) -> bool {
        self.reader.is_cut()
    }

    /// The next member, or `None` at the end marker or where the archive ends without one, behind
    /// a whole member.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Stop> {
        loop {
            self.reader.skip(u64::MAX);
            let position = self.reader.position();
            let gone = position.checked_sub(self.start);
            let gone = gone.and_then(|gone| usize::try_from(gone).ok());
            let mut input = gone.and_then(|gone| self.buffer.get(gone..));
            if input.is_none_or(<[u8]>::is_empty) {
                self.buffer.resize(BUFFER, 0);
                let filled = self.archive.fill_at(&mut self.buffer, position)?;
                self.buffer.truncate(filled);
                self.start = position;
                input = Some(&self.buffer);
            }
            let input = input.unwrap_or_default();
            let (_, event) = self.reader.step(input)?;
            if self.reader.headers() > self.limit {
                return Err(Stop::Fault(SourceFault::ArchiveMembers, position));
            }
            match event {
                Event::Entry(entry) => {
                    let end = entry.content.saturating_add(entry.stored);
                    if end > self.archive.length {
                        return Err(Stop::Fault(SourceFault::ArchiveTruncated, entry.header));
                    }
                    return member(&entry).map(Some);
                }
                Event::End => {
                    self.reader.finish()?;
                    return Ok(None);
                }
                Event::More if input.is_empty() => {
                    self.reader.finish()?;
                    return Ok(None);
                }
                Event::More | Event::Content { .. } | Event::EntryEnd => {}
            }
        }
    }
}

/// What a member is here.
fn member(entry: &Entry) -> Result<Member, Stop> {
    let name =
        |name: &[u8]| normal(name).ok_or(Stop::Fault(SourceFault::ArchiveName, entry.header));
    let own = name(&entry.path)?;
    let mut link = Vec::new();
    let kind = match (entry.kind, entry.fault) {
        (_, Some(Code::TarType | Code::TarSlash)) => Type::Other,
        (EntryKind::File, Some(_)) => Type::Sparse,
        (EntryKind::File, None) if entry.extents.is_some() => Type::Sparse,
        (EntryKind::File, None) => Type::File,
        (EntryKind::HardLink, _) => {
            link = name(&entry.link)?;
            Type::HardLink
        }
        (EntryKind::Symlink, _) => match target(&own, &entry.link) {
            Some(target) => {
                link = target;
                Type::SymLink
            }
            None => Type::LinkOut,
        },
        _ => Type::Other,
    };
    let alias = entry.alias.as_deref();
    Ok(Member {
        start: entry.offset,
        header: entry.header,
        kind,
        name: own,
        link,
        offset: entry.content,
        size: entry.stored,
        alias: alias.map(|alias| normal(alias).unwrap_or_default()),
    })
}

/// A name without empty parts and `.`; `None` when a part is `..`.
fn normal(name: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

/// The name that a symbolic link of this name leads to; `None` when that is outside of the archive.
fn target(name: &[u8], link: &[u8]) -> Option<Vec<u8>> {
    if link.first() == Some(&b'/') {
        return None;
    }
    let mut parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    parts.pop();
    for part in link.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(normal(b"./a//b/./c/").as_deref(), Some(&b"a/b/c"[..]));
        assert_eq!(normal(b"/a").as_deref(), Some(&b"a"[..]));
        assert_eq!(normal(b"a/../b"), None);
        assert_eq!(normal(b"..a").as_deref(), Some(&b"..a"[..]));
        let target = |link: &[u8]| target(b"blobs/sha256/x", link);
        assert_eq!(target(b"../../a").as_deref(), Some(&b"a"[..]));
        assert_eq!(target(b"./y").as_deref(), Some(&b"blobs/sha256/y"[..]));
        assert_eq!(target(b"../../../a"), None);
        assert_eq!(target(b"/a"), None);
    }
}
