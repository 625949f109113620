//! The maps of files that are stored without their holes, in the forms of GNU tar: the old one with
//! the type `S`, and 0.0, 0.1 and 1.0 in `pax` headers (GNU tar manual, "Storing Sparse Files").
//!
//! bsdtar writes the last for every file that has holes, unasked.

use alloc::vec::Vec;

use super::extended::copied;
use super::header::{Header, field};
use super::number::{decimal, unsigned};
use crate::{Code, Value};

/// Offset and length of what is no hole, in bytes.
pub(super) type Pieces = Vec<(u64, u64)>;

/// What headers say of a file without its holes.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparse {
    /// Its name: what the header has is made up.
    pub(super) name: Option<Vec<u8>>,
    /// Its size with all holes, in bytes.
    size: Option<u64>,
    major: Option<u64>,
    minor: Option<u64>,
    /// How many pieces there are said to be.
    count: Option<u64>,
    pieces: Pieces,
    /// An offset whose length has not come yet.
    offset: Option<u64>,
    /// The most pieces.
    limit: usize,
}

/// Where the rest of a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It is complete.
    None,
    /// It stands before the content (1.0).
    InContent,
}

/// Why a map is refused.
pub(super) type Fault = (Code, Value);

/// What headers say does not hold together, or a map breaks its form.
const MALFORMED: Fault = (Code::TarSparse, Value::None);

/// A record breaks its form, is there again or is unknown.
const RECORD: Fault = (Code::TarValue, Value::None);

impl Sparse {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Reads a record `GNU.sparse.…`.
    pub(super) fn record(&mut self, keyword: &[u8], value: &[u8]) -> Result<(), Fault> {
        let number = || decimal(value).ok_or(RECORD);
        // GNU tar takes the last of each, Go's reader prefers one of the two sizes.
        let once = |slot: &mut Option<u64>| match slot.replace(number()?) {
            None => Ok(()),
            Some(_) => Err(RECORD),
        };
        match keyword {
            b"name" if self.name.is_none() => {
                let name = copied(value).ok_or((Code::TarMemory, Value::None))?;
                self.name = Some(name);
            }
            b"size" | b"realsize" => once(&mut self.size)?,
            b"major" => once(&mut self.major)?,
            b"minor" => once(&mut self.minor)?,
            b"numblocks" => once(&mut self.count)?,
            b"offset" => once(&mut self.offset)?,
            b"numbytes" => {
                let offset = self.offset.take().ok_or(RECORD)?;
                self.push(offset, number()?)?;
            }
            b"map" if self.pieces.is_empty() => {
                let mut numbers = value.split(|byte| *byte == b',').map(decimal);
                while let Some(offset) = numbers.next() {
                    let length = numbers.next().flatten();
                    let (offset, length) = offset.zip(length).ok_or(RECORD)?;
                    self.push(offset, length)?;
                }
            }
            _ => return Err(RECORD),
        }
        Ok(())
    }

    /// Reads the fields of a header of the old form, and says whether blocks of more follow.
    pub(super) fn old(&mut self, header: Header<'_>) -> Result<bool, Fault> {
        let size = unsigned(header.field(field::REAL_SIZE));
        self.size = Some(size.ok_or(MALFORMED)?);
        self.old_pieces(header.field(field::PIECES))?;
        Ok(header.byte(field::MORE_PIECES) != 0)
    }

    /// Reads a block that follows such a header, and says whether another follows.
    pub(super) fn old_more(&mut self, block: Header<'_>) -> Result<bool, Fault> {
        self.old_pieces(block.field(0..504))?;
        Ok(block.byte(504) != 0)
    }

    fn old_pieces(&mut self, fields: &[u8]) -> Result<(), Fault> {
        let (fields, _) = fields.as_chunks::<24>();
        for field in fields {
            // The first unused entry is the last.
            let Some((offset, length)) = field
                .split_at_checked(12)
                .filter(|(offset, _)| offset.first() != Some(&0))
            else {
                break;
            };
            let numbers = unsigned(offset).zip(unsigned(length));
            let (offset, length) = numbers.ok_or(MALFORMED)?;
            self.push(offset, length)?;
        }
        Ok(())
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<(), Fault> {
        if self.pieces.len() >= self.limit {
            let most = u64::try_from(self.limit).unwrap_or(u64::MAX);
            return Err((Code::TarExtentLimit, Value::AtMost(most)));
        }
        let room = self.pieces.try_reserve(1);
        room.map_err(|_| (Code::TarMemory, Value::None))?;
        self.pieces.push((offset, length));
        Ok(())
    }

    /// Whether what headers say holds together as far as that can be known, and where the rest is.
    pub(super) fn rest(&self) -> Result<Rest, Fault> {
        if self.offset.is_some() || self.size.is_none() {
            return Err(MALFORMED);
        }
        match (self.major, self.minor) {
            (None, None) | (Some(0), Some(0 | 1)) => Ok(Rest::None),
            (Some(1), Some(0)) if self.pieces.is_empty() && self.count.is_none() => {
                Ok(Rest::InContent)
            }
            _ => Err(MALFORMED),
        }
    }

    /// The size of the file and its map, when all of it is known and its pieces, which lie one behind
    /// the other in the archive, are `stored` bytes there.
    pub(super) fn finish(self, stored: u64) -> Result<(u64, Pieces), Fault> {
        let size = self.size.ok_or(MALFORMED)?;
        let mut pieces = self.pieces;
        if self
            .count
            .is_some_and(|count| usize::try_from(count) != Ok(pieces.len()))
        {
            return Err(MALFORMED);
        }
        let mut sum = 0_u64;
        let mut end = 0;
        for (offset, length) in &pieces {
            let next = offset
                .checked_add(*length)
                .filter(|next| *offset >= end && *next <= size);
            end = next.ok_or((Code::TarMap, Value::Number(*offset)))?;
            // As they do not overlap, the sum is within the size.
            sum = sum.saturating_add(*length);
        }
        if sum != stored {
            return Err((Code::TarMapSize, Value::Number(sum)));
        }
        pieces.retain(|(_, length)| *length > 0);
        pieces.dedup_by(|next, before| {
            let joins = before.0.checked_add(before.1) == Some(next.0);
            if joins {
                before.1 = before.1.saturating_add(next.1);
            }
            joins
        });
        Ok((size, pieces))
    }
}

/// The map of version 1.0, in decimal lines before the content: how many pieces, then offset and
/// length of each, filled up to a whole block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    /// Bytes of it so far.
    pub(super) taken: u64,
    /// The number of this line so far, and whether there is a digit.
    line: Option<u64>,
    /// How many numbers are to come; `None` before the first line.
    left: Option<u64>,
    offset: Option<u64>,
}

impl Lines {
    /// Takes bytes up to the end of the map, and says how many and whether that has come.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        sparse: &mut Sparse,
    ) -> Result<(usize, bool), (usize, Fault)> {
        for (index, byte) in input.iter().enumerate() {
            let end = self.byte(*byte, sparse).map_err(|fault| (index, fault))?;
            self.taken = self.taken.saturating_add(1);
            if end {
                return Ok((index.saturating_add(1), true));
            }
        }
        Ok((input.len(), false))
    }

    fn byte(&mut self, byte: u8, sparse: &mut Sparse) -> Result<bool, Fault> {
        if byte != b'\n' {
            let digit = byte.is_ascii_digit().then_some(u64::from(byte & 15));
            let number = self.line.unwrap_or(0).checked_mul(10);
            let number = number
                .zip(digit)
                .and_then(|(number, digit)| number.checked_add(digit));
            let number = number.filter(|number| i64::try_from(*number).is_ok());
            self.line = Some(number.ok_or(MALFORMED)?);
            return Ok(false);
        }
        let number = self.line.take().ok_or(MALFORMED)?;
        match self.left {
            None => {
                let most = u64::try_from(sparse.limit).unwrap_or(u64::MAX);
                if number > most {
                    return Err((Code::TarExtentLimit, Value::AtMost(most)));
                }
                self.left = Some(number.saturating_mul(2));
            }
            Some(left) => {
                self.left = Some(left.saturating_sub(1));
                match self.offset.take() {
                    None => self.offset = Some(number),
                    Some(offset) => sparse.push(offset, number)?,
                }
            }
        }
        Ok(self.left == Some(0))
    }
}
