//! What the commands share that read in one EROFS image: `ls`, `tree`, `stat`, `cat`, `dump`.

mod out;
mod show;

pub(super) use out::{Out, run};
pub(super) use show::{FileReport, Widths, device, mode_text, row};

use std::io;
use std::os::unix::ffi::OsStrExt as _;

use erofs_unpack_core::erofs::{FileType, Image, Inode, ReadError};

use crate::error::HostError;
use crate::image_file::{FileAt, ImageFile};
use crate::image_path::{Last, find};

/// An open image, by its name for messages.
pub(super) struct Reader<'a> {
    pub(super) file: &'a ImageFile,
    pub(super) image: &'a Image<FileAt>,
}

impl Reader<'_> {
    /// The inode at a path that the user gave.
    pub(super) fn find(&self, path: &std::ffi::OsStr, last: Last) -> Result<Inode, HostError> {
        find(self.image, path.as_bytes(), last).map_err(|error| match error {
            ReadError::Source(error) => {
                HostError::environment(self.file.inside(path.as_bytes()), "find", error)
            }
            ReadError::Refused(_) => self.file.failed_at(path.as_bytes(), error),
        })
    }

    /// The target of a symbolic link; `None` for all else.
    pub(super) fn target(&self, path: &[u8], inode: &Inode) -> Result<Option<Vec<u8>>, HostError> {
        if inode.file_type != FileType::Symlink {
            return Ok(None);
        }
        let target = self.image.read_link(inode);
        Ok(Some(target.map_err(|error| self.failed(path, error))?))
    }

    /// An error of reading, at a path in the image.
    pub(super) fn failed(&self, path: &[u8], error: ReadError<io::Error>) -> HostError {
        self.file.failed_at(path, error)
    }
}
