//! Writing that leaves runs of zeros out.

use std::io::{self, Write};

use crate::system::{self, File, FileExt as _};

/// The unit in which zeros are looked for, in bytes: the block of most file systems. Blocks
/// are counted from the start of the file.
const BLOCK: usize = 4096;

/// The shortest run of zeros that is given back to the file system where space was reserved,
/// in bytes. Shorter ones are not worth a system call and a split extent.
const PUNCH: u64 = 128 * 1024;

/// Writes a new file from its start; 4 KiB blocks that hold only zeros become holes.
///
/// The file must be empty (or reserved beyond its end): what is left out reads as zero only
/// where nothing was before. [`Self::finish`] gives the file its full length, which matters
/// when it ends in a hole.
#[derive(Debug)]
pub struct SparseWriter<'a> {
    file: &'a File,
    position: u64,
    /// Whether space was reserved, which a hole must give back.
    reserved: bool,
    /// Where the run of zeros that ends at `position` began.
    zeros: Option<u64>,
}

impl<'a> SparseWriter<'a> {
    /// A writer at the start of an empty file.
    #[must_use]
    pub const fn new(file: &'a File) -> Self {
        Self {
            file,
            position: 0,
            reserved: false,
            zeros: None,
        }
    }

    /// Reserves space for a file of this length, so that a disk that is too small shows before
    /// the work is done. What is left out is given back. On a file system in memory nothing is
    /// reserved: there the space of holes would be taken from the machine meanwhile.
    ///
    /// # Errors
    ///
    /// What the system says when there is not enough space.
    pub fn reserve(&mut self, length: u64) -> io::Result<()> {
        self.reserved |= system::reserve(self.file, length)?;
        Ok(())
    }

    /// How many bytes the file has so far, holes included.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Gives the file its full length, and returns that.
    ///
    /// # Errors
    ///
    /// What the system says when it cannot.
    pub fn finish(mut self) -> io::Result<u64> {
        self.end_zeros()?;
        self.file.set_len(self.position)?;
        Ok(self.position)
    }

    /// Writes bytes that are not all zero.
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.end_zeros()?;
        self.file.write_all_at(bytes, self.position)?;
        self.advance(bytes.len())
    }

    /// Leaves zeros out.
    fn hole(&mut self, length: usize) -> io::Result<()> {
        self.zeros.get_or_insert(self.position);
        self.advance(length)
    }

    /// Gives the space of a run of zeros back if it was reserved.
    fn end_zeros(&mut self) -> io::Result<()> {
        let Some(start) = self.zeros.take() else {
            return Ok(());
        };
        let length = self.position.saturating_sub(start);
        if self.reserved && length >= PUNCH {
            // Beyond the end of a file there is nothing to give back, some file systems say.
            self.file.set_len(self.position)?;
            system::punch(self.file, start, length)?;
        }
        Ok(())
    }

    fn advance(&mut self, length: usize) -> io::Result<()> {
        self.position = u64::try_from(length)
            .ok()
            .and_then(|length| self.position.checked_add(length))
            .ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(())
    }
}

impl Write for SparseWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for (is_zero, run) in runs(self.position, bytes) {
            if is_zero {
                self.hole(run.len())?;
            } else {
                self.data(run)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The runs of bytes that are not to become holes, with their positions in the file. `bytes`
/// start at `position`.
pub fn data_runs(position: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut position = position;
    runs(position, bytes).filter_map(move |(is_zero, run)| {
        let start = position;
        position = position.saturating_add(run.len() as u64);
        (!is_zero).then_some((start, run))
    })
}

/// Bytes that start at this position of a file, cut into runs of whole blocks that are zero or
/// are not. Blocks at the ends may be parts of one.
fn runs(position: u64, bytes: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    let offset = usize::try_from(position % BLOCK as u64).unwrap_or(0);
    let mut rest = bytes;
    // The first piece ends where a block of the file does.
    let mut piece = BLOCK - offset;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // Neighbouring pieces of one kind go together.
        let zero = is_zero(rest.get(..piece).unwrap_or(rest));
        let mut length = piece.min(rest.len());
        while let Some(next) = rest.get(length..).filter(|next| !next.is_empty()) {
            let next = next.get(..BLOCK).unwrap_or(next);
            if is_zero(next) != zero {
                break;
            }
            length += next.len();
        }
        let (run, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        rest = after;
        piece = BLOCK;
        Some((zero, run))
    })
}

/// Whether all bytes are zero. Data that is not zero is told by its first bytes as a rule, so
/// that this costs next to nothing for them; zeros are compared 64 bytes at a time.
fn is_zero(bytes: &[u8]) -> bool {
    let (lines, tail) = bytes.as_chunks::<64>();
    lines.iter().all(|line| *line == [0; 64]) && tail.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_lies_between_zero_blocks() {
        let mut bytes = vec![0; 5 * BLOCK + 10];
        bytes[BLOCK + 3] = 1;
        bytes[5 * BLOCK + 9] = 2;
        let found: Vec<_> = data_runs(0, &bytes)
            .map(|(position, run)| (position, run.len()))
            .collect();
        assert_eq!(found, [(4096, 4096), (5 * 4096, 10)]);
        // The blocks are the file's, not the buffer's.
        let found: Vec<_> = data_runs(4090, &bytes)
            .map(|(position, run)| (position, run.len()))
            .collect();
        assert_eq!(found, [(4096, 4096), (24576, 4)]);
        assert_eq!(data_runs(7, &[]).count(), 0);
    }

    #[test]
    fn zeros_are_told_at_every_position_and_length() {
        for length in 0..300 {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes));
            for position in 0..length {
                bytes[position] = 0x80;
                assert!(!is_zero(&bytes), "{position} of {length}");
                bytes[position] = 0;
            }
        }
    }
}
