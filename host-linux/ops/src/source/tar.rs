//! The members of a tar archive, read strictly.
//!
//! Two readers that understand one archive differently are a way past whoever looked at it
//! first, so everything that readers are known to differ on is refused here rather than
//! resolved: sizes that overflow, a header without its checksum, links with content, extended
//! headers twice, members after the end, names that lead upwards. Where content is held by its
//! digest there is nothing to differ on: it may be stored without its holes, be a link, or lack
//! the archive's end marker behind it. What is read is POSIX.1-2017 `pax` ("pax Interchange Format", "ustar Interchange Format") and the
//! GNU form of long names (`L`, `K`) and large sizes (base 256).

use std::io;

use super::blob::Extent;
use super::sparse::Sparse;
use crate::error::SourceFault;

/// The unit of an archive, in bytes.
pub(super) const BLOCK: usize = 512;

/// The largest extended header that is read, in bytes. It may hold a file's attributes, whose
/// size Linux bounds at 64 KiB each.
const EXTENSION: u64 = 1 << 20;

/// A block of zeros: half of the end marker.
const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Why the reading of an archive stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// The archive is refused; the position is where the header in question starts.
    Fault(SourceFault, u64),
    /// The system failed.
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What sort of thing a member is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    File,
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
    /// What is said of its holes, where they are left out.
    pub(super) sparse: Option<Sparse>,
    /// The name that it has for readers who know nothing of holes; `None` when that is no other.
    pub(super) alias: Option<Vec<u8>>,
}

/// What extended headers say of the next member.
#[derive(Debug, Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: Option<Sparse>,
    /// Whether there was a `pax` header.
    pax: bool,
}

/// Reads an archive's headers from its first to its end marker.
#[derive(Debug)]
pub(super) struct Members<'a> {
    archive: &'a Extent,
    position: u64,
    /// Whether the archive ended without its end marker.
    pub(super) is_cut: bool,
}

impl<'a> Members<'a> {
    pub(super) const fn new(archive: &'a Extent) -> Self {
        Self::at(archive, 0)
    }

    /// As [`Self::new`], from a header on.
    pub(super) const fn at(archive: &'a Extent, position: u64) -> Self {
        Self {
            archive,
            position,
            is_cut: false,
        }
    }

    /// The next member, or `None` at the end marker or where the archive ends without one, behind
    /// a whole member. Calls `seen` for every header, those of
    /// extended headers included, which may stop the reading.
    pub(super) fn next(
        &mut self,
        mut seen: impl FnMut(u64) -> Result<(), Stop>,
    ) -> Result<Option<Member>, Stop> {
        let mut extended: Option<Extended> = None;
        let start = self.position;
        loop {
            let at = self.position;
            let fault = |fault| Stop::Fault(fault, at);
            if start > 0 && at == start && self.only_zeros_are_left()? {
                self.is_cut = true;
                return Ok(None);
            }
            let block = self.block()?;
            if block == ZEROS {
                if extended.is_some() {
                    return Err(fault(SourceFault::ArchiveExtension));
                }
                self.end()?;
                return Ok(None);
            }
            seen(at)?;
            let header = Header(&block);
            if !header.is_intact() {
                return Err(fault(SourceFault::ArchiveHeader));
            }
            let size = header
                .size()
                .ok_or_else(|| fault(SourceFault::ArchiveNumber))?;
            match header.kind() {
                kind @ (b'L' | b'K' | b'x' | b'g') => {
                    let text = self.extension(size, at)?;
                    if kind == b'g' {
                        // It speaks of all members that follow. What it may say of their names
                        // and sizes, readers are at odds about.
                        let mut global = Extended::default();
                        global
                            .read_pax(&text)
                            .filter(|()| {
                                global.name.is_none()
                                    && global.link.is_none()
                                    && global.size.is_none()
                                    && global.sparse.is_none()
                            })
                            .ok_or_else(|| fault(SourceFault::ArchiveExtension))?;
                        continue;
                    }
                    let extended = extended.get_or_insert_default();
                    let read = match kind {
                        b'L' => set(&mut extended.name, until_zero(&text).to_vec()),
                        b'K' => set(&mut extended.link, until_zero(&text).to_vec()),
                        _ if extended.pax => None,
                        _ => {
                            extended.pax = true;
                            extended.read_pax(&text)
                        }
                    };
                    read.ok_or_else(|| fault(SourceFault::ArchiveExtension))?;
                }
                kind => {
                    let mut extended = extended.unwrap_or_default();
                    if kind == b'S' {
                        extended.sparse = Some(self.old_sparse(&block, at)?);
                    }
                    let member = self.member(&header, kind, size, extended, at)?;
                    return Ok(Some(Member { start, ..member }));
                }
            }
        }
    }

    /// Makes a member of a header and what was said of it before, and moves past its content.
    fn member(
        &mut self,
        header: &Header<'_>,
        kind: u8,
        size: u64,
        extended: Extended,
        at: u64,
    ) -> Result<Member, Stop> {
        let fault = |fault| Stop::Fault(fault, at);
        let size = extended.size.unwrap_or(size);
        let own = header.name();
        let sparse = extended
            .sparse
            .filter(|_| matches!(kind, b'0' | 0 | b'7' | b'S'));
        let real = sparse.as_ref().and_then(|sparse| sparse.name.as_ref());
        let plain = extended.name.as_ref().unwrap_or(&own);
        let alias = real.map(|_| normal(plain).unwrap_or_default());
        let name = real.unwrap_or(plain);
        let mut kind = match kind {
            // Archives from before POSIX mark directories by their names alone.
            b'0' | 0 | b'7' | b'S' if !name.ends_with(b"/") => Type::File,
            b'1' => Type::HardLink,
            b'2' => Type::SymLink,
            _ => Type::Other,
        };
        if size != 0 && matches!(header.kind(), b'1'..=b'6') {
            return Err(fault(SourceFault::ArchivePayload));
        }
        let name = normal(name).ok_or_else(|| fault(SourceFault::ArchiveName))?;
        let link = || extended.link.clone().unwrap_or_else(|| header.link());
        let link = match kind {
            Type::HardLink => normal(&link()).ok_or_else(|| fault(SourceFault::ArchiveName))?,
            Type::SymLink => target(&name, &link()).unwrap_or_else(|| {
                kind = Type::LinkOut;
                Vec::new()
            }),
            _ => Vec::new(),
        };
        let offset = self.position;
        self.skip(size, at)?;
        Ok(Member {
            start: at,
            header: at,
            kind,
            name,
            link,
            offset,
            size,
            sparse,
            alias,
        })
    }

    /// What a header of GNU's old form says of the holes, with the blocks that follow it.
    fn old_sparse(&mut self, header: &[u8; BLOCK], at: u64) -> Result<Sparse, Stop> {
        let fault = || Stop::Fault(SourceFault::ArchiveSparse, at);
        let mut sparse = Sparse::default();
        let mut more = sparse.old(header).ok_or_else(fault)?;
        while more {
            let block = self.block()?;
            more = sparse.old_more(&block).ok_or_else(fault)?;
        }
        Ok(sparse)
    }

    /// Whether nothing is left of the archive but less than a block of zeros.
    fn only_zeros_are_left(&self) -> io::Result<bool> {
        let mut block = [0; BLOCK];
        let read = self.archive.fill_at(&mut block, self.position)?;
        Ok(read < BLOCK && block == ZEROS)
    }

    /// The block at the current position, which it moves past.
    fn block(&mut self) -> Result<[u8; BLOCK], Stop> {
        let mut block = ZEROS;
        let read = self.archive.fill_at(&mut block, self.position)?;
        if read < BLOCK {
            return Err(Stop::Fault(SourceFault::ArchiveTruncated, self.position));
        }
        self.position += BLOCK as u64;
        Ok(block)
    }

    /// After one block of zeros: the archive ends, or a second one follows. What comes after
    /// both is padding, as for tar(1).
    fn end(&mut self) -> Result<(), Stop> {
        match self.block() {
            Ok(ZEROS) | Err(Stop::Fault(SourceFault::ArchiveTruncated, _)) => Ok(()),
            Ok(_) => Err(Stop::Fault(
                SourceFault::ArchiveEnd,
                self.position - BLOCK as u64,
            )),
            Err(error) => Err(error),
        }
    }

    /// Moves past content, which must be there, and its padding.
    fn skip(&mut self, size: u64, at: u64) -> Result<(), Stop> {
        let too_large = Stop::Fault(SourceFault::ArchiveNumber, at);
        let Some(end) = self.position.checked_add(size) else {
            return Err(too_large);
        };
        let Some(padded) = end.checked_next_multiple_of(BLOCK as u64) else {
            return Err(too_large);
        };
        if end > self.archive.length {
            return Err(Stop::Fault(SourceFault::ArchiveTruncated, at));
        }
        self.position = padded.min(self.archive.length);
        Ok(())
    }

    /// The content of an extended header, which it moves past.
    fn extension(&mut self, size: u64, at: u64) -> Result<Vec<u8>, Stop> {
        let length = usize::try_from(size)
            .ok()
            .filter(|_| size <= EXTENSION)
            .ok_or(Stop::Fault(SourceFault::ArchiveExtensionSize, at))?;
        let start = self.position;
        self.skip(size, at)?;
        let mut text = vec![0; length];
        if self.archive.fill_at(&mut text, start)? < length {
            return Err(Stop::Fault(SourceFault::ArchiveTruncated, at));
        }
        Ok(text)
    }
}

impl Extended {
    /// Reads the records of a `pax` header: `LENGTH KEYWORD=VALUE\n`, where the length counts
    /// the whole record. `None` when it breaks that form or says a thing twice.
    fn read_pax(&mut self, text: &[u8]) -> Option<()> {
        for record in pax_records(text) {
            let (keyword, value) = record?;
            match keyword {
                b"path" => set(&mut self.name, value.to_vec())?,
                b"linkpath" => set(&mut self.link, value.to_vec())?,
                b"size" => set(&mut self.size, decimal(value)?)?,
                keyword => {
                    if let Some(keyword) = keyword.strip_prefix(b"GNU.sparse.") {
                        let sparse = self.sparse.get_or_insert_default();
                        sparse.record(keyword, value)?;
                    }
                }
            }
        }
        Some(())
    }
}

/// The keywords and values of a `pax` header; `None` in the place of what has not their form.
fn pax_records(text: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    let mut rest = text;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = pax_record(rest);
        rest = record.map_or(&[], |(_, _, after)| after);
        Some(record.map(|(keyword, value, _)| (keyword, value)))
    })
}

/// The first record of a `pax` header: keyword, value, and what follows.
fn pax_record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = text.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(text.get(..space)?)?).ok()?;
    let (record, after) = text.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, after))
}

/// Sets what must not be set yet.
fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.is_none().then(|| *slot = Some(value))
}

/// A decimal number of at most 63 bits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    i64::try_from(number).ok()?;
    Some(number)
}

/// A text of a header: it ends at the first zero byte, if there is one.
fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or(text)
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

/// One header, with the offsets of the ustar format.
struct Header<'a>(&'a [u8; BLOCK]);

impl Header<'_> {
    fn field(&self, start: usize, length: usize) -> &[u8] {
        self.0.get(start..start + length).unwrap_or_default()
    }

    /// Whether the bytes, with spaces in the place of the checksum, add up to it.
    fn is_intact(&self) -> bool {
        let sum: u64 = self
            .0
            .iter()
            .enumerate()
            .map(|(position, byte)| match position {
                148..156 => u64::from(b' '),
                _ => u64::from(*byte),
            })
            .sum();
        octal(self.field(148, 8)) == Some(sum)
    }

    fn kind(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or(0)
    }

    fn size(&self) -> Option<u64> {
        number(self.field(124, 12))
    }

    /// The name; in the POSIX format (not in GNU's, which keeps times there) behind its prefix.
    fn name(&self) -> Vec<u8> {
        let name = until_zero(self.field(0, 100));
        let prefix = until_zero(self.field(345, 155));
        if self.field(257, 6) != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, name].join(&b'/')
    }

    fn link(&self) -> Vec<u8> {
        until_zero(self.field(157, 100)).to_vec()
    }
}

/// A number of at most 63 bits, in octal digits or (GNU, star) in base 256 after a byte 0x80.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    let number = match field.split_first() {
        Some((0x80, digits)) => digits.iter().try_fold(0_u64, |number, digit| {
            Some(number.checked_mul(256)? | u64::from(*digit))
        })?,
        _ => octal(field)?,
    };
    i64::try_from(number).ok()?;
    Some(number)
}

/// A number in octal digits, between spaces and ended by a space or a zero byte. Nothing but
/// those counts as zero, as writers leave the field of members without content.
fn octal(field: &[u8]) -> Option<u64> {
    let end = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().take_while(|byte| **byte == b' ').count();
    let (digits, rest) = field.get(start..).map(|field| {
        let length = field.iter().take_while(|byte| !end(byte)).count();
        field.split_at_checked(length).unwrap_or((field, &[]))
    })?;
    if !rest.iter().all(end) {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => Some(number.checked_mul(8)? | u64::from(digit - b'0')),
        _ => None,
    })
}

/// Whether a block is a tar header with the right checksum.
pub(super) fn is_header(block: &[u8; BLOCK]) -> bool {
    *block != ZEROS && Header(block).is_intact()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(octal(b"0000644\0"), Some(0o644));
        assert_eq!(octal(b"   644 \0"), Some(0o644));
        assert_eq!(octal(b"77777777"), Some(0o77_777_777));
        assert_eq!(octal(b"\0\0\0\0"), Some(0));
        assert_eq!(octal(b"8\0"), None);
        assert_eq!(octal(b"-1\0"), None);
        assert_eq!(octal(b"1\x002\0"), None);
        assert_eq!(octal(&[b'7'; 22]), None);
        assert_eq!(decimal(b"9223372036854775807"), Some(i64::MAX as u64));
        assert_eq!(decimal(b"9223372036854775808"), None);
        assert_eq!(decimal(b"+1"), None);
        assert_eq!(decimal(b""), None);
        let mut block = ZEROS;
        let size = |block: &[u8; BLOCK]| Header(block).size();
        block[124] = 0x80;
        block[135] = 7;
        block[127] = 0;
        assert_eq!(size(&block), Some(7));
        block[128] = 0x80;
        assert_eq!(size(&block), None, "2^63");
        block[128] = 0;
        block[125] = 1;
        assert_eq!(size(&block), None, "beyond 64 bits");
        block[124] = 0xff;
        assert_eq!(size(&block), None, "negative");
    }

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

    #[test]
    fn pax_records_may_hold_newlines() {
        let records: Vec<_> = pax_records(b"8 a=\n\n=\n6 b=c\n").collect();
        assert_eq!(
            records,
            [Some((&b"a"[..], &b"\n\n="[..])), Some((b"b", b"c"))]
        );
        for broken in [
            &b"5 a=b\n"[..],
            b"7 a=b\n",
            b"6 a=b ",
            b"a=b\n",
            b"0 \n",
            b"3 \n",
            b"99999999999999999999999 a=b\n",
        ] {
            assert!(pax_records(broken).any(|record| record.is_none()));
        }
    }
}
