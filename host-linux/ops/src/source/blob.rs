//! The bytes of one blob, from wherever they come.

use core::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::HostError;
use crate::report::shown;
use crate::system::{File, FileExt as _};

/// A part of a file: where it starts and how long it is, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Extent {
    /// Reads at a position of the extent. 0 is its end (or the file's, if that is shorter).
    pub(super) fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let rest = self.length.saturating_sub(position);
        let length = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let space = buffer.get_mut(..length).unwrap_or_default();
        self.file
            .read_at(space, self.offset.saturating_add(position))
    }

    /// Fills as much of the buffer as the extent holds from a position on, and returns how
    /// much that is.
    pub(super) fn fill_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty()) {
            match self.read_at(space, position.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// Where the bytes come from.
enum Origin {
    /// A part of a file, read at its own position: readers of one file do not disturb each
    /// other.
    File { extent: Extent, position: u64 },
    /// A stream, whose first bytes may have been read already.
    Stream {
        start: io::Cursor<Vec<u8>>,
        rest: Box<dyn Read + Send>,
    },
}

/// Reads one blob from its start to its end.
///
/// What it reads is not verified: size and digest are the core's to check.
pub struct BlobReader {
    place: PathBuf,
    origin: Origin,
}

impl BlobReader {
    /// A reader of a part of a file.
    pub(super) const fn file_part(place: PathBuf, extent: Extent) -> Self {
        Self {
            place,
            origin: Origin::File {
                extent,
                position: 0,
            },
        }
    }

    /// A reader of a stream whose first bytes have been taken off already.
    #[must_use]
    pub fn stream(place: PathBuf, start: Vec<u8>, rest: Box<dyn Read + Send>) -> Self {
        Self {
            place,
            origin: Origin::Stream {
                start: io::Cursor::new(start),
                rest,
            },
        }
    }

    /// What to call it in messages: the file, or the archive and the member after a colon.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Its length in bytes, where that is known before it is read. A file that changes
    /// meanwhile may still give fewer bytes, never more.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        match &self.origin {
            Origin::File { extent, .. } => Some(extent.length),
            Origin::Stream { .. } => None,
        }
    }

    /// The file that it lies in and the offset where it starts there, for copies inside the
    /// kernel and for reading at random. The file may hold more than this blob.
    #[must_use]
    pub fn file(&self) -> Option<(&File, u64)> {
        match &self.origin {
            Origin::File { extent, .. } => Some((&extent.file, extent.offset)),
            Origin::Stream { .. } => None,
        }
    }

    /// Leaves out what is before this byte of the file: the blob starts there.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`] for a stream, and when the file ends before.
    pub(crate) fn start_at(&mut self, offset: u64) -> Result<(), HostError> {
        let place = shown(&self.place);
        let Origin::File { extent, .. } = &mut self.origin else {
            return Err(HostError::Usage(format!(
                "--offset: {place} is a stream: expected a file"
            )));
        };
        let Some(length) = extent.length.checked_sub(offset) else {
            let length = extent.length;
            return Err(HostError::Usage(format!(
                "--offset {offset}: {place} has {length} bytes"
            )));
        };
        extent.offset = extent.offset.saturating_add(offset);
        extent.length = length;
        Ok(())
    }

    /// The first bytes of a blob that lies in a file, at most `length` of them, wherever the reader
    /// is. `None` for a stream.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn start(&self, length: usize) -> io::Result<Option<Vec<u8>>> {
        let Origin::File { extent, .. } = &self.origin else {
            return Ok(None);
        };
        let mut start = vec![0; length];
        let filled = extent.fill_at(&mut start, 0)?;
        start.truncate(filled);
        Ok(Some(start))
    }

    /// Its first bytes, at most `length` of them, without moving the reader. Of a stream they are
    /// read and kept.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn peek(&mut self, length: usize) -> io::Result<Vec<u8>> {
        match &mut self.origin {
            Origin::File { extent, position } => {
                let mut head = vec![0; length];
                let filled = extent.fill_at(&mut head, *position)?;
                head.truncate(filled);
                Ok(head)
            }
            Origin::Stream { start, rest } => {
                let mut head = Vec::new();
                start.read_to_end(&mut head)?;
                let missing = length.saturating_sub(head.len());
                rest.take(missing as u64).read_to_end(&mut head)?;
                let kept = head.get(..length).unwrap_or(&head).to_vec();
                *start = io::Cursor::new(head);
                Ok(kept)
            }
        }
    }

    /// Reads at a position of the blob, without moving the reader. `None` for a stream.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn read_at(&self, buffer: &mut [u8], position: u64) -> Option<io::Result<usize>> {
        match &self.origin {
            Origin::File { extent, .. } => Some(extent.read_at(buffer, position)),
            Origin::Stream { .. } => None,
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.origin {
            Origin::File { extent, position } => {
                let read = extent.read_at(buffer, *position)?;
                *position = position.saturating_add(read as u64);
                Ok(read)
            }
            Origin::Stream { start, rest } => match start.read(buffer)? {
                0 => rest.read(buffer),
                read => Ok(read),
            },
        }
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader")
            .field("place", &self.place)
            .field("length", &self.length())
            .finish_non_exhaustive()
    }
}
