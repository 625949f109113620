//! A file that is read at any offset.

use std::io::{self, Seek as _};
use std::path::Path;
use std::sync::Arc;

use erofs_unpack_core::erofs::ReadAt;

use crate::chunked::{Chunked, RandomReads};
use crate::error::HostError;
use crate::system::{File, FileExt as _};

/// An open file that is read at any offset, without moving its position; or an image in the chunks
/// of a wrapped layer in one.
///
/// Clones share the file and can be used by several threads.
#[derive(Clone, Debug)]
pub struct FileAt {
    pub(crate) file: Arc<File>,
    pub(crate) start: u64,
    /// What is read out of the file; without it the file's own bytes.
    chunked: Option<Arc<Chunked>>,
}

impl FileAt {
    /// Reads a file from its start on.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self {
            file: Arc::new(file),
            start: 0,
            chunked: None,
        }
    }

    /// The image in the chunks of the blob that lies in this file.
    pub(crate) fn chunked(&self, chunked: Chunked) -> Self {
        Self {
            chunked: Some(Arc::new(chunked)),
            ..self.clone()
        }
    }

    /// What was read so far of a blob whose chunks are read; `None` for a file as it is.
    pub(crate) fn reads(&self) -> Option<RandomReads> {
        self.chunked.as_ref().map(|chunked| chunked.reads())
    }

    /// Opens a regular file or a block device, and gives its size in bytes as it is now.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when it cannot be opened, or is nothing that can be read at
    /// any offset.
    pub fn open(path: &Path) -> Result<(Self, u64), HostError> {
        let failed = |error| HostError::environment(path, "open for reading", error);
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let size = file.seek(io::SeekFrom::End(0)).map_err(failed)?;
        Ok((Self::new(file), size))
    }

    /// Reads a file from its start on, which stays open elsewhere too.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when the system has no descriptor for it; `place` is what to
    /// call it then.
    pub fn sharing(file: &File, place: &Path) -> Result<Self, HostError> {
        let file = file
            .try_clone()
            .map_err(|error| HostError::environment(place, "open a second time", error))?;
        Ok(Self::new(file))
    }
}

impl ReadAt for FileAt {
    type Error = io::Error;

    /// A file that has become shorter ends in [`io::ErrorKind::UnexpectedEof`]; a chunk that is
    /// refused in [`io::ErrorKind::InvalidData`].
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if let Some(chunked) = &self.chunked {
            return chunked.read_at(offset, buf);
        }
        self.file
            .read_exact_at(buf, self.start.saturating_add(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_became_shorter_is_an_error_of_the_system() {
        let path = std::env::temp_dir().join(format!("file-at-{}", std::process::id()));
        std::fs::write(&path, [7; 100]).unwrap();
        let (file, size) = FileAt::open(&path).unwrap();
        let mut buf = [0; 40];
        assert_eq!(size, 100);
        file.read_at(60, &mut buf).unwrap();
        assert_eq!(buf, [7; 40]);
        std::fs::write(&path, [7; 80]).unwrap();
        let error = file.read_at(60, &mut buf).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_directory_is_no_image() {
        let error = FileAt::open(&std::env::temp_dir()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
    }
}
