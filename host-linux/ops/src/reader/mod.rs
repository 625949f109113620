//! One EROFS image to look into: files by their paths, and what is reported of them.

mod dump;
mod file;
mod path;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use erofs_unpack_core::erofs::{FileType, Image, Inode, ReadError};

use crate::error::HostError;
use crate::image_file::{FileAt, ImageFile, ImageFileOptions};

pub use dump::{CompressionReport, DeviceReport, ExtentReport, InodeDump, SuperblockDump};
pub use file::{FileReport, StatReport, XattrReport, device};
pub use path::{Found, Last, find};

pub(crate) use path::lookup_given;

/// An open image.
#[derive(Debug)]
pub struct Reader {
    file: ImageFile,
    image: Image<FileAt>,
}

impl Reader {
    /// Opens an EROFS image, or the blob of a layer, which is unpacked and verified first; `-` is
    /// the standard input.
    ///
    /// An image that has not been unpacked just now is held against the checksum of its
    /// superblock, as the kernel does at mount; without `verify` it is not.
    ///
    /// # Errors
    ///
    /// As [`ImageFile::open`], [`ImageFile::image`] and [`ImageFile::verify_checksum`].
    pub fn open(path: &Path, options: &ImageFileOptions, verify: bool) -> Result<Self, HostError> {
        let file = ImageFile::open(path, options)?;
        let image = file.image()?;
        if verify {
            file.verify_checksum()?;
        }
        Ok(Self { file, image })
    }

    /// The file that the image lies in.
    #[must_use]
    pub const fn file(&self) -> &ImageFile {
        &self.file
    }

    /// The image.
    #[must_use]
    pub const fn image(&self) -> &Image<FileAt> {
        &self.image
    }

    /// What lies at a path that the user gave.
    ///
    /// # Errors
    ///
    /// As [`find`].
    pub fn find(&self, path: &OsStr, last: Last) -> Result<Found, HostError> {
        find(&self.image, path.as_bytes(), last).map_err(|error| match error {
            ReadError::Source(error) => {
                HostError::environment(self.file.inside(path.as_bytes()), "find", error)
            }
            ReadError::Refused(_) => self.failed(path.as_bytes(), error),
        })
    }

    /// The target of a symbolic link at this path; `None` for all else.
    ///
    /// # Errors
    ///
    /// What refuses it, and what the system fails at.
    pub fn target(&self, path: &[u8], inode: &Inode) -> Result<Option<Vec<u8>>, HostError> {
        if inode.file_type != FileType::Symlink {
            return Ok(None);
        }
        let target = self.image.read_link(inode);
        Ok(Some(target.map_err(|error| self.failed(path, error))?))
    }

    /// An error of reading, at a path in the image.
    #[must_use]
    pub fn failed(&self, path: &[u8], error: ReadError<io::Error>) -> HostError {
        self.file.failed_at(path, error)
    }
}
