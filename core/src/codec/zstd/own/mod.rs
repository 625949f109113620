//! Compressed blocks, decoded into memory that also holds what came before them.
//!
//! RFC 8878 section 3.1.1.3, and `doc/zstd_compression_format.md` of facebook/zstd. There is no
//! allocation: the tables have a fixed size, and the memory is the caller's.
//!
//! As strict as the specification: every bit stream ends with its last symbol. libzstd takes
//! streams of literals that do not (1.5.7 with its fast loops), and some more; `vectors/README.md`
//! has a list.

mod bits;
#[cfg(feature = "alloc")]
pub(super) mod carried;
mod copy;
mod fse;
mod huffman;
mod literals;
#[cfg(feature = "alloc")]
pub(super) mod phases;
mod sequences;
mod tables;

use self::literals::Literals;
use self::sequences::Repeats;
use self::tables::Tables;

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
    literals: Literals,
    tables: Tables,
    repeats: Repeats,
}

impl Blocks {
    pub(super) const fn new() -> Self {
        Self {
            literals: Literals::new(),
            tables: Tables::new(),
            repeats: Repeats::START,
        }
    }

    /// Makes ready for another frame.
    pub(super) const fn reset(&mut self) {
        self.literals.reset();
        self.tables.reset();
        self.repeats = Repeats::START;
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
        let most = room.end.saturating_sub(room.start);
        let found = self.literals.read(body, scratch, most)?;
        let literals = found.place(scratch)?;
        let mut data = found.rest;
        let count = self.tables.read(&mut data)?;
        if count > 0 {
            return sequences::run(
                &self.tables,
                &mut self.repeats,
                count,
                data,
                literals,
                output,
                room,
            );
        }
        if !data.is_empty() {
            return Err(Corrupt);
        }
        sequences::last_literals(literals, output, room.start, room.end)
    }
}
