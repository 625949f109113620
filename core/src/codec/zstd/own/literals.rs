//! The literals section of a block.
//!
//! RFC 8878 section 3.1.1.3.1.

use super::huffman::Table;
use super::{Corrupt, SLACK};
use crate::bytes;

/// `Literals_Section_Header`, section 3.1.1.3.1.1.
pub(super) struct Header {
    /// `Literals_Block_Type`: 0 raw, 1 one byte, 2 with a tree, 3 with the tree before.
    pub(super) kind: u8,
    /// `Size_Format`.
    format: u8,
    /// Its own size in bytes.
    pub(super) length: usize,
    /// `Regenerated_Size`.
    pub(super) size: usize,
    /// `Compressed_Size` of the last two types.
    pub(super) compressed: usize,
}

impl Header {
    pub(super) fn read(body: &[u8]) -> Result<Self, Corrupt> {
        let first = *body.first().ok_or(Corrupt)?;
        let (kind, format) = (first & 3, first >> 2 & 3);
        let (length, bits) = match (kind, format) {
            (0 | 1, 0 | 2) => (1, 5),
            (0 | 1, 1) => (2, 12),
            (0 | 1, _) => (3, 20),
            (_, 0 | 1) => (3, 10),
            (_, 2) => (4, 14),
            _ => (5, 18),
        };
        let mut word = [0; 8];
        bytes::copy(body.get(..length).ok_or(Corrupt)?, &mut word);
        let word = u64::from_le_bytes(word);
        // The shortest form has one bit of format.
        let word = if length == 1 { word >> 3 } else { word >> 4 };
        let field = |word: u64| {
            let value = word & !u64::MAX.wrapping_shl(bits);
            usize::try_from(value).map_err(|_| Corrupt)
        };
        Ok(Self {
            kind,
            format,
            length,
            size: field(word)?,
            compressed: field(word.wrapping_shr(bits))?,
        })
    }
}

/// The literals of a block.
pub(super) struct Found<'a> {
    /// How many there are, in bytes.
    pub(super) size: usize,
    /// The block from them on, when they lie there as they are.
    raw: Option<&'a [u8]>,
    /// What is behind them in the block.
    pub(super) rest: &'a [u8],
}

impl<'a> Found<'a> {
    /// The literals, and [`SLACK`] bytes more, where they lie: in the block or in `scratch`.
    pub(super) fn place(&self, scratch: &'a mut [u8]) -> Result<&'a [u8], Corrupt> {
        let with_slack = self.size.saturating_add(SLACK);
        if let Some(there) = self.raw.and_then(|raw| raw.get(..with_slack)) {
            return Ok(there);
        }
        self.gather(scratch);
        scratch.get(..with_slack).ok_or(Corrupt)
    }

    /// Makes the literals lie in `scratch`.
    pub(super) fn gather(&self, scratch: &mut [u8]) {
        if let Some(raw) = self.raw.and_then(|raw| raw.get(..self.size)) {
            bytes::copy(raw, scratch);
        }
    }
}

/// Decodes the literals of a frame's blocks, one after another.
#[derive(Clone, Debug)]
pub(super) struct Literals {
    tree: Table,
    /// Whether the tree is this frame's.
    planted: bool,
}

impl Literals {
    pub(super) const fn new() -> Self {
        Self {
            tree: Table::new(),
            planted: false,
        }
    }

    /// Makes ready for another frame.
    pub(super) const fn reset(&mut self) {
        self.planted = false;
    }

    /// Decodes the literals of the block `body`, at most `most` bytes, into `scratch`, which has
    /// [`SLACK`] bytes more. Those that lie in the block as they are stay there.
    pub(super) fn read<'a>(
        &mut self,
        body: &'a [u8],
        scratch: &mut [u8],
        most: usize,
    ) -> Result<Found<'a>, Corrupt> {
        let header = Header::read(body)?;
        let size = header.size;
        if size > most {
            return Err(Corrupt);
        }
        let body = body.get(header.length..).ok_or(Corrupt)?;
        let scratch = scratch.get_mut(..size).ok_or(Corrupt)?;
        let mut raw = None;
        let rest = match header.kind {
            0 => {
                raw = Some(body);
                body.get(size..).ok_or(Corrupt)?
            }
            1 => {
                let (byte, rest) = body.split_first().ok_or(Corrupt)?;
                scratch.fill(*byte);
                rest
            }
            kind => {
                let (data, rest) = body.split_at_checked(header.compressed).ok_or(Corrupt)?;
                self.compressed(kind, header.format, data, scratch)?;
                rest
            }
        };
        Ok(Found { size, raw, rest })
    }

    /// Makes the tree that `data` starts with the description of, and says how long that is.
    pub(super) fn plant(&mut self, data: &[u8]) -> Result<usize, Corrupt> {
        self.planted = false;
        let taken = self.tree.read(data)?;
        self.planted = true;
        Ok(taken)
    }

    /// Huffman-coded literals, section 3.1.1.3.1.3 to 3.1.1.3.1.6.
    fn compressed(
        &mut self,
        kind: u8,
        format: u8,
        mut data: &[u8],
        output: &mut [u8],
    ) -> Result<(), Corrupt> {
        if kind == 2 {
            let taken = self.plant(data)?;
            data = data.get(taken..).ok_or(Corrupt)?;
        } else if !self.planted {
            return Err(Corrupt);
        }
        if format == 0 {
            return self.tree.one(data, output);
        }
        // Section 3.1.1.3.1.6: with fewer there are not four streams.
        if output.len() < 6 {
            return Err(Corrupt);
        }
        self.tree.four(data, output)
    }
}
