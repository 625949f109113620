//! A reader of an image that the host holds, or of one in the chunks of a blob: names, files and
//! their content.

use erofs_unpack_core::erofs::{FileType, Image, Inode};
use erofs_unpack_core::{At, Code, Error};

use crate::answer::Answer;
use crate::instance::Refusal;
use crate::settings::{self, Settings};
use crate::source::{Held, Source};
use crate::status;

/// An image, once it is open.
#[derive(Default)]
pub(crate) struct Reading {
    held: Held,
    image: Option<Image<Source>>,
}

impl Reading {
    pub(crate) const fn is_started(&self) -> bool {
        self.image.is_some()
    }

    pub(crate) const fn is_settled(&self) -> bool {
        self.image.is_some() || self.held.is_settled()
    }

    /// Opens the image.
    pub(crate) fn start(&mut self, settings: &mut Settings) -> Result<(), Refusal> {
        self.held.settle(settings)?;
        self.image = Some(Image::open(
            self.held.image(),
            self.held.size(),
            settings.limits(),
        )?);
        Ok(())
    }

    fn image(&self) -> Result<&Image<Source>, Refusal> {
        self.image.as_ref().ok_or(Refusal::Status(status::ORDER))
    }

    pub(crate) fn number(&self, key: u32) -> Result<u64, Refusal> {
        let superblock = self.image()?.superblock();
        if key == settings::IMAGE_SIZE {
            return Ok(self.held.size());
        }
        if let Some(number) = self.held.number(key) {
            return number;
        }
        settings::superblock(superblock, key).ok_or(Refusal::Status(status::KEY))
    }

    /// The number of the file at a path from the root.
    pub(crate) fn find(&self, path: &[u8]) -> Result<u64, Refusal> {
        match self.image()?.resolve(path)? {
            Some(inode) => Ok(inode.nid),
            None => Err(Refusal::Status(status::VALUE)),
        }
    }

    pub(crate) fn file(&self, nid: u64) -> Result<Inode, Refusal> {
        Ok(self.image()?.inode(nid)?)
    }

    /// Puts entries of a directory into the answer buffer, those at or behind byte `place` of
    /// the directory, and says at which byte to go on: 0 at the end.
    pub(crate) fn list(&self, nid: u64, place: u64, answer: &mut Answer) -> Result<u64, Refusal> {
        let image = self.image()?;
        answer.clear();
        let mut entries = image.entries_from(&image.inode(nid)?, place)?;
        while let Some(entry) = entries.next()? {
            if entry.offset < place || matches!(entry.name, b"." | b"..") {
                continue;
            }
            if !answer.add_entry(&entry) {
                return Ok(entry.offset);
            }
        }
        Ok(0)
    }

    /// Content of a regular file; how many bytes, fewer than there is room for at its end only.
    pub(crate) fn read(&self, nid: u64, offset: u64, to: &mut [u8]) -> Result<usize, Refusal> {
        let image = self.image()?;
        let inode = image.inode(nid)?;
        if inode.file_type != FileType::Regular {
            return Err(Error::new(Code::InodeType, At::Nid(nid)).into());
        }
        image.holds_content(&inode)?;
        Ok(image.read(&inode, offset, to)?)
    }

    /// The target of a symbolic link.
    pub(crate) fn link(&self, nid: u64) -> Result<Vec<u8>, Refusal> {
        let image = self.image()?;
        Ok(image.read_link(&image.inode(nid)?)?)
    }
}
