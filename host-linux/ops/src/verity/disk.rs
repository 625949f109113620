//! A tree in a file: written as it grows, and read in small pieces.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use erofs_unpack_core::erofs::ReadAt;
use erofs_unpack_core::verity::{LEVELS_MAX, Layout, Sink};

/// How much of a level is written or read at a time, in bytes: a block of the largest size.
const PIECE: usize = 64 << 10;

/// Writes the levels of a tree to their places.
pub(super) struct Writer<'a> {
    file: &'a File,
    layout: &'a Layout,
    /// What was not written yet of each level, and where that lies.
    levels: Vec<(u64, Vec<u8>)>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(file: &'a File, layout: &'a Layout) -> Self {
        let levels = layout.levels().iter();
        Self {
            file,
            layout,
            levels: levels.map(|level| (level.offset, Vec::new())).collect(),
        }
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> io::Result<()> {
        (0..self.levels.len()).try_for_each(|level| self.flush(level))
    }

    fn flush(&mut self, level: usize) -> io::Result<()> {
        let Some((offset, bytes)) = self.levels.get_mut(level) else {
            return Ok(());
        };
        self.file.write_all_at(bytes, *offset)?;
        *offset = offset.saturating_add(bytes.len() as u64);
        bytes.clear();
        Ok(())
    }
}

impl Sink for Writer<'_> {
    type Error = io::Error;

    fn write(&mut self, level: usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let place = self.layout.levels().get(level);
        let Some((end, (start, waiting))) = place
            .map(|place| place.offset.saturating_add(offset))
            .zip(self.levels.get_mut(level))
        else {
            // The file became longer meanwhile.
            return Err(io::ErrorKind::InvalidData.into());
        };
        debug_assert_eq!(start.saturating_add(waiting.len() as u64), end);
        waiting.extend_from_slice(bytes);
        if waiting.len() >= PIECE {
            self.flush(level)?;
        }
        Ok(())
    }
}

/// Reads a tree in a file, a hash at a time: each level is gone through by itself, so a piece of each
/// is kept.
pub(super) struct Stored<'a> {
    file: &'a File,
    pieces: RefCell<Vec<(u64, Vec<u8>)>>,
}

impl<'a> Stored<'a> {
    pub(super) const fn new(file: &'a File) -> Self {
        Self {
            file,
            pieces: RefCell::new(Vec::new()),
        }
    }
}

impl ReadAt for Stored<'_> {
    type Error = io::Error;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let from = |(start, piece): &(u64, Vec<u8>), buf: &mut [u8]| {
            let place = usize::try_from(offset.checked_sub(*start)?).ok()?;
            let found = piece.get(place..)?.get(..buf.len())?;
            buf.copy_from_slice(found);
            Some(())
        };
        let mut pieces = self.pieces.borrow_mut();
        if pieces.iter().any(|piece| from(piece, buf).is_some()) {
            return Ok(());
        }
        if buf.len() > PIECE {
            return self.file.read_exact_at(buf, offset);
        }
        // The oldest piece goes: that of a level which is not read any more, or is read least.
        let mut memory = if pieces.len() > LEVELS_MAX {
            pieces.remove(0).1
        } else {
            Vec::new()
        };
        memory.resize(PIECE, 0);
        let mut filled = 0;
        while filled < PIECE {
            match self
                .file
                .read_at(&mut memory[filled..], offset.saturating_add(filled as u64))
            {
                Ok(0) => break,
                Ok(read) => filled = filled.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        memory.truncate(filled);
        let piece = (offset, memory);
        let found = from(&piece, buf);
        pieces.push(piece);
        found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}
