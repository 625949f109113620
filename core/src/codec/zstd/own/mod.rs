//! Compressed blocks, decoded into memory that also holds what came before them.
//!
//! RFC 8878 section 3.1.1.3, and `doc/zstd_compression_format.md` of facebook/zstd. There is no
//! allocation: the tables have a fixed size, and the memory is the caller's.
//!
//! As strict as the specification: every bit stream ends with its last symbol. libzstd takes
//! streams of literals that do not (1.5.7 with its fast loops).

mod bits;
mod copy;
mod fse;
mod huffman;
mod sequences;

use self::huffman::Table;
use self::sequences::Sequences;
use crate::bytes;

/// A block that is not what the specification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

/// Bytes behind the end of what is decoded or read that make it quicker when they are there.
pub(super) const SLACK: usize = copy::SHORT;

/// Where a block goes, in bytes of the memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Where it starts.
    pub(super) start: usize,
    /// Where it must end at the latest.
    pub(super) end: usize,
    /// How much of the frame's content lies before the start.
    pub(super) history: usize,
    /// How far back a match may reach.
    pub(super) window: usize,
}

/// Decodes the compressed blocks of a frame, one after another.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    tree: Table,
    /// Whether the tree is this frame's.
    planted: bool,
    sequences: Sequences,
}

/// `Literals_Section_Header`, section 3.1.1.3.1.1.
struct Header {
    /// `Literals_Block_Type`: 0 raw, 1 one byte, 2 with a tree, 3 with the tree before.
    kind: u8,
    /// `Size_Format`.
    format: u8,
    /// Its own size in bytes.
    length: usize,
    /// `Regenerated_Size`.
    size: usize,
    /// `Compressed_Size` of the last two types.
    compressed: usize,
}

impl Header {
    fn read(body: &[u8]) -> Result<Self, Corrupt> {
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

impl Blocks {
    pub(super) const fn new() -> Self {
        Self {
            tree: Table::new(),
            planted: false,
            sequences: Sequences::new(),
        }
    }

    /// Makes ready for another frame.
    pub(super) const fn reset(&mut self) {
        self.planted = false;
        self.sequences.reset();
    }

    /// Decodes a block into its room in `output`, and says where it ends. `scratch` has the size
    /// of a block and [`SLACK`]. It is quicker where `output` has [`SLACK`] behind the room.
    ///
    /// As much of the history as the window reaches back to must lie in `output` before the
    /// room. What lies behind the end is overwritten.
    ///
    /// # Errors
    ///
    /// When it is not what the specification says, or does not end within the room.
    pub(super) fn decode(
        &mut self,
        body: &[u8],
        scratch: &mut [u8],
        output: &mut [u8],
        room: Room,
    ) -> Result<usize, Corrupt> {
        let header = Header::read(body)?;
        let size = header.size;
        if size > room.end.saturating_sub(room.start) {
            return Err(Corrupt);
        }
        let body = body.get(header.length..).ok_or(Corrupt)?;
        let with_slack = size.saturating_add(SLACK);
        let scratch = scratch.get_mut(..with_slack).ok_or(Corrupt)?;
        let (literals, rest) = match header.kind {
            0 => {
                let (literals, rest) = body.split_at_checked(size).ok_or(Corrupt)?;
                if let Some(literals) = body.get(..with_slack) {
                    (literals, rest)
                } else {
                    bytes::copy(literals, scratch);
                    (&*scratch, rest)
                }
            }
            1 => {
                let (byte, rest) = body.split_first().ok_or(Corrupt)?;
                scratch.fill(*byte);
                (&*scratch, rest)
            }
            kind => {
                let (data, rest) = body.split_at_checked(header.compressed).ok_or(Corrupt)?;
                let room = scratch.get_mut(..size).ok_or(Corrupt)?;
                self.literals(kind, header.format, data, room)?;
                (&*scratch, rest)
            }
        };
        self.sequences.run(rest, literals, output, room)
    }

    /// Huffman-coded literals, section 3.1.1.3.1.3 to 3.1.1.3.1.6.
    fn literals(
        &mut self,
        kind: u8,
        format: u8,
        mut data: &[u8],
        output: &mut [u8],
    ) -> Result<(), Corrupt> {
        if kind == 2 {
            self.planted = false;
            let taken = self.tree.read(data)?;
            self.planted = true;
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
