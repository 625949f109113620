//! A file that is read at any offset, as a stream and in pieces.

use std::io::{self, Read};

use erofs_unpack_core::Code;
use erofs_unpack_core::erofs::ReadAt as _;

use crate::file_at::FileAt;
use crate::memory::zeroed;
use crate::system::FileExt as _;

impl FileAt {
    /// Its first `size` bytes, read from their start on.
    pub(crate) fn reader(&self, size: u64) -> Reader {
        Reader {
            file: self.clone(),
            position: 0,
            size,
        }
    }

    /// `length` bytes from this offset on.
    ///
    /// # Errors
    ///
    /// What the system says; [`io::ErrorKind::OutOfMemory`].
    pub(crate) fn read_vec(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let memory = zeroed(length, Code::ChunkMemory);
        let mut bytes = memory.map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a file that others read at the same time.
#[derive(Debug)]
pub(crate) struct Reader {
    file: FileAt,
    position: u64,
    size: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.size.saturating_sub(self.position);
        let length = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let offset = self.file.start.saturating_add(self.position);
        let read = self.file.file.read_at(buffer, offset)?;
        self.position = self.position.saturating_add(read as u64);
        Ok(read)
    }
}
