//! One EROFS image to look into: files by their paths, and what is reported of them.

mod dump;
mod file;
mod path;
mod unescape;

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use erofs_unpack_core::erofs::{FileType, Image, Inode, ReadAt as _, ReadError};

use crate::error::HostError;
use crate::image_file::{FileAt, ImageFile, ImageFileOptions};
use crate::objects::{Elsewhere, Objects, elsewhere};
use crate::system::OsStrExt as _;

pub use dump::{CompressionReport, DeviceReport, ExtentReport, InodeDump, SuperblockDump};
pub use file::{FileReport, MetacopyReport, StatReport, XattrReport, device};
pub use path::{Found, Last, find};

#[cfg(target_os = "linux")]
pub(crate) use path::lookup_given;

/// An open image.
#[derive(Debug)]
pub struct Reader {
    file: ImageFile,
    image: Image<FileAt>,
    objects: Option<Objects>,
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
        Ok(Self {
            file,
            image,
            objects: None,
        })
    }

    /// Opens the folder that the content of files is taken from which the image does not hold.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when it cannot be opened.
    pub fn take_objects_from(&mut self, folder: &Path) -> Result<(), HostError> {
        self.objects = Some(Objects::open(folder)?);
        Ok(())
    }

    /// Hands the content of a regular file at this path on in pieces, which take `buffer`.
    ///
    /// What lies outside of the image is verified before its first piece: it goes into an unnamed
    /// file in the system's directory for temporary files.
    ///
    /// # Errors
    ///
    /// What the core refuses, [`Code::FileElsewhere`] for content that lies outside without a
    /// folder to look in; what the system fails at; what `take` gives.
    ///
    /// [`Code::FileElsewhere`]: erofs_unpack_core::Code::FileElsewhere
    pub fn content(
        &self,
        inode: &Inode,
        path: &[u8],
        buffer: &mut [u8],
        mut take: impl FnMut(&[u8]) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let failed = |error| self.failed(path, error);
        let outside = elsewhere(&self.image, inode, self.objects.as_ref(), failed)?;
        let outside = outside.map(Elsewhere::spool).transpose()?;
        let outside = outside.map(FileAt::new);
        let mut offset: u64 = 0;
        while offset < inode.size {
            let read = match &outside {
                None => self.image.read(inode, offset, buffer).map_err(failed)?,
                Some(file) => {
                    let rest = usize::try_from(inode.size - offset).unwrap_or(usize::MAX);
                    let length = rest.min(buffer.len());
                    let piece = buffer.get_mut(..length).unwrap_or_default();
                    file.read_at(offset, piece)
                        .map_err(|error| failed(ReadError::Source(error)))?;
                    length
                }
            };
            if read == 0 {
                break;
            }
            take(buffer.get(..read).unwrap_or_default())?;
            offset = offset.saturating_add(read as u64);
        }
        Ok(())
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
