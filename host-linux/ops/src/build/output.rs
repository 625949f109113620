//! The file of an image that is being made, and the spool beside it.

use std::io;

use erofs_unpack_core::build::Output;

use crate::publish::scratch;
use crate::system::{self, File, FileExt as _};

/// How much of the spool is written, and at most read, at a time, in bytes.
const WINDOW: usize = 256 << 10;
/// How much is read at the least: the ends of files are wanted in the order of their inodes, which is not
/// that in which they came.
const NEAR: usize = 4 << 10;

/// Writes an image to its file. The spool is a file without a name, in the folder for temporary
/// files, which is made when it is needed.
pub(crate) struct ImageOutput<'a> {
    file: &'a File,
    spool: Option<File>,
    /// Bytes of the spool that are not written yet.
    gathered: Vec<u8>,
    /// How many are.
    written: u64,
    /// Bytes of the spool that were read, and where they start.
    window: Vec<u8>,
    start: u64,
}

impl<'a> ImageOutput<'a> {
    pub(crate) const fn new(file: &'a File) -> Self {
        Self {
            file,
            spool: None,
            gathered: Vec::new(),
            written: 0,
            window: Vec::new(),
            start: 0,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let spool = match &self.spool {
            Some(spool) => spool,
            None => {
                let spool = scratch(&system::temp_dir()).map_err(io::Error::other)?;
                self.spool.insert(spool)
            }
        };
        spool.write_all_at(&self.gathered, self.written)?;
        self.written += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }
}

impl Output for ImageOutput<'_> {
    type Error = io::Error;

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn spool(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= WINDOW {
            self.flush()?;
        }
        Ok(())
    }

    fn read_spool(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.flush()?;
        let end = offset + buf.len() as u64;
        let known = self.start + self.window.len() as u64;
        if offset < self.start || end > known {
            // More and more where the next bytes are wanted, little where others are.
            let goes_on = (self.start..=known).contains(&offset);
            let ahead = if goes_on { self.window.len() * 2 } else { 0 };
            let ahead = ahead.clamp(NEAR, WINDOW).max(buf.len());
            let length = (self.written.saturating_sub(offset)).min(ahead as u64);
            self.window.resize(usize::try_from(length).unwrap_or(0), 0);
            self.start = offset;
            if let Some(spool) = &self.spool {
                spool.read_exact_at(&mut self.window, offset)?;
            }
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let bytes = self
            .window
            .get(from..)
            .and_then(|rest| rest.get(..buf.len()));
        let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spool_is_read_in_any_order() {
        let file = scratch(&system::temp_dir()).unwrap();
        let mut output = ImageOutput::new(&file);
        let all: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
        for piece in all.chunks(1000) {
            output.spool(piece).unwrap();
        }
        let mut read = |offset: usize, length: usize| {
            let mut buf = vec![0; length];
            output.read_spool(offset as u64, &mut buf).unwrap();
            assert!(buf == all[offset..offset + length], "{length} at {offset}");
        };
        for number in 0..300 {
            read(number * 997, 997);
        }
        for number in 0..3000 {
            read(number * 7_919 % 2_990_000, number * 3);
        }
        for number in (0..30).rev() {
            read(number * 100_000, 100_000);
        }
        read(0, 1_000_000);
        read(all.len(), 0);
        let mut buf = [0; 2];
        let end = output.read_spool(all.len() as u64 - 1, &mut buf);
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
