//! Members of a tar archive that are stored without their holes, in the forms of GNU tar: the old
//! one with the type `S`, and 0.0, 0.1 and 1.0 in `pax` headers (GNU tar manual, "Storing Sparse
//! Files"). bsdtar writes the last for every file that has holes, unasked.

use std::io;

use super::blob::Extent;
use super::tar::{BLOCK, decimal, number};
use crate::system::{File, FileExt as _};

/// The most pieces of one member. As text they fill the largest extended header that is read.
const PIECES: usize = 1 << 17;

/// The largest map in front of a member's content, in bytes.
const MAP: usize = 1 << 20;

/// The buffer between archive and file, in bytes.
const BUFFER: usize = 256 << 10;

/// Offset and length of pieces of a member, in bytes.
type Pieces = Vec<(u64, u64)>;

/// What headers say of a member without its holes.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    /// Its name: what the header has is made up.
    pub(super) name: Option<Vec<u8>>,
    /// Its size with all holes, in bytes.
    size: Option<u64>,
    major: Option<u64>,
    minor: Option<u64>,
    /// What is not a hole, as far as headers say it.
    pieces: Pieces,
    /// An offset whose length has not come yet.
    offset: Option<u64>,
}

/// Where the pieces of a member lie, one behind the other.
#[derive(Debug)]
pub(super) struct Map {
    pieces: Pieces,
    /// The size of the member, in bytes.
    pub(super) size: u64,
    /// Where the first piece starts in the archive.
    start: u64,
}

impl Sparse {
    /// Reads a record `GNU.sparse.…`; `None` when it is malformed, repeated or unknown.
    pub(super) fn record(&mut self, keyword: &[u8], value: &[u8]) -> Option<()> {
        let once = |slot: &mut Option<u64>| {
            let number = decimal(value)?;
            slot.is_none().then(|| *slot = Some(number))
        };
        match keyword {
            b"name" if self.name.is_none() => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => once(&mut self.size)?,
            b"major" => once(&mut self.major)?,
            b"minor" => once(&mut self.minor)?,
            // The map says it too.
            b"numblocks" => {
                decimal(value)?;
            }
            b"offset" => once(&mut self.offset)?,
            b"numbytes" => {
                let offset = self.offset.take()?;
                self.push(offset, decimal(value)?)?;
            }
            b"map" if self.pieces.is_empty() => {
                let mut numbers = value.split(|byte| *byte == b',').map(decimal);
                while let Some(offset) = numbers.next() {
                    self.push(offset?, numbers.next()??)?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Reads the fields of a header of the old form, and says whether blocks of more follow.
    pub(super) fn old(&mut self, header: &[u8; BLOCK]) -> Option<bool> {
        self.size = Some(number(header.get(483..495)?)?);
        self.old_pieces(header.get(386..482)?)?;
        Some(*header.get(482)? != 0)
    }

    /// Reads a block that follows such a header, and says whether another follows.
    pub(super) fn old_more(&mut self, block: &[u8; BLOCK]) -> Option<bool> {
        self.old_pieces(block.get(..504)?)?;
        Some(*block.get(504)? != 0)
    }

    fn old_pieces(&mut self, fields: &[u8]) -> Option<()> {
        for field in fields.chunks_exact(24) {
            let (offset, length) = field.split_at_checked(12)?;
            // The first unused entry is the last.
            if offset.first() == Some(&0) {
                return Some(());
            }
            self.push(number(offset)?, number(length)?)?;
        }
        Some(())
    }

    fn push(&mut self, offset: u64, length: u64) -> Option<()> {
        (self.pieces.len() < PIECES).then(|| self.pieces.push((offset, length)))
    }

    /// The map of a member whose content starts at `start` of the archive and is of `stored` bytes
    /// there. `None` when what is said does not hold together.
    pub(super) fn map(self, archive: &Extent, start: u64, stored: u64) -> io::Result<Option<Map>> {
        let Some(size) = self.size.filter(|_| self.offset.is_none()) else {
            return Ok(None);
        };
        let (pieces, used) = match (self.major, self.minor) {
            (None, None) | (Some(0), _) => (self.pieces, 0),
            (Some(1), Some(0)) if self.pieces.is_empty() => {
                match map_in_content(archive, start, stored)? {
                    Some(map) => map,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let map = Map {
            pieces,
            size,
            start: start.saturating_add(used),
        };
        Ok(map.fits(stored.saturating_sub(used)).then_some(map))
    }
}

/// The map of version 1.0, in decimal lines before the content: how many pieces, then offset and
/// length of each, filled up to a whole block. With it, how many bytes it takes.
fn map_in_content(archive: &Extent, start: u64, stored: u64) -> io::Result<Option<(Pieces, u64)>> {
    let length = usize::try_from(stored).map_or(MAP, |stored| stored.min(MAP));
    let mut text = vec![0; length];
    let filled = archive.fill_at(&mut text, start)?;
    text.truncate(filled);
    let mut used = 0;
    let mut next = || {
        let rest = text.get(used..)?;
        let length = rest.iter().take(20).position(|byte| *byte == b'\n')?;
        used += length + 1;
        decimal(rest.get(..length)?)
    };
    let mut read = || {
        let count = usize::try_from(next()?).ok().filter(|n| *n <= PIECES)?;
        (0..count)
            .map(|_| Some((next()?, next()?)))
            .collect::<Option<Vec<_>>>()
    };
    let Some(pieces) = read() else {
        return Ok(None);
    };
    let used = used.next_multiple_of(BLOCK) as u64;
    Ok((used <= stored).then_some((pieces, used)))
}

impl Map {
    /// Whether the pieces lie one behind the other in the member, and are what is stored.
    fn fits(&self, stored: u64) -> bool {
        let mut end = 0;
        let mut sum = 0_u64;
        for (offset, length) in &self.pieces {
            let next = offset.checked_add(*length).filter(|_| *offset >= end);
            let (Some(next), Some(more)) = (next, sum.checked_add(*length)) else {
                return false;
            };
            (end, sum) = (next, more);
        }
        end <= self.size && sum == stored
    }

    /// Writes the member, with its holes, into an empty file.
    pub(super) fn expand(&self, archive: &Extent, file: &File) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        let mut from = self.start;
        for (offset, length) in &self.pieces {
            let mut to = *offset;
            let end = offset.saturating_add(*length);
            while to < end {
                let room = usize::try_from(end - to).map_or(BUFFER, |left| left.min(BUFFER));
                let space = buffer.get_mut(..room).unwrap_or_default();
                if archive.fill_at(space, from)? < room {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                file.write_all_at(space, to)?;
                to += room as u64;
                from += room as u64;
            }
        }
        file.set_len(self.size)
    }
}
