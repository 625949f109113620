//! An image out of a tar archive.

use super::content::Builder;
use super::prove::Built;
use super::{BuildError, BuildResult, Entry, EntryKind, Options, Output};
use crate::tar::{self, Event, Reader};
use crate::{At, Code, Error, Limits, Value};

/// Makes an image out of a tar archive: its bytes with [`Self::push`], in pieces of any size, then
/// [`Self::finish`].
///
/// How the archive is cut changes nothing about the image.
#[derive(Debug)]
pub struct TarBuilder<O> {
    reader: Reader,
    builder: Builder<O>,
    /// Whether there was a member.
    has_members: bool,
    /// Whether the end marker has come.
    has_ended: bool,
}

impl<O: Output> TarBuilder<O> {
    /// An image of an archive of which nothing has come yet.
    ///
    /// # Errors
    ///
    /// Those of [`Builder::new`].
    pub fn new(output: O, options: &Options, limits: &Limits) -> Result<Self, Error> {
        Ok(Self {
            reader: Reader::new(limits),
            builder: Builder::new(output, options, limits)?,
            has_members: false,
            has_ended: false,
        })
    }

    /// Takes the next bytes of the archive. What follows its end marker is not looked at, unless nothing
    /// came before that. `each` sees each member, may change what is said of it, and passes over those for
    /// which it says no.
    ///
    /// # Errors
    ///
    /// [`Code::TarTruncated`] for what starts with zeros and goes on with something else, such as a disk's
    /// image; those of [`Reader::step`], [`Builder::entry`] and [`Builder::content`]; it is of no more use then.
    pub fn push(
        &mut self,
        input: &[u8],
        each: &mut dyn FnMut(&mut tar::Entry) -> bool,
    ) -> BuildResult<(), O> {
        let mut rest = input;
        loop {
            if self.has_ended {
                self.behind_end(rest)?;
            }
            let (taken, event) = self.reader.step(rest)?;
            rest = rest.get(taken..).unwrap_or(&[]);
            match event {
                Event::More => return Ok(()),
                Event::End => {
                    self.has_ended = true;
                    if rest.is_empty() {
                        return Ok(());
                    }
                }
                Event::EntryEnd => {}
                Event::Content { offset, bytes } => self.builder.content(offset, bytes)?,
                Event::Entry(mut entry) => {
                    self.has_members = true;
                    if each(&mut entry) {
                        self.entry(&entry)?;
                    } else {
                        self.builder.pass(At::Archive(entry.header))?;
                    }
                }
            }
        }
    }

    /// Looks at what follows the end marker: behind nothing there are no more than zeros.
    fn behind_end(&self, bytes: &[u8]) -> Result<(), Error> {
        if self.has_members {
            return Ok(());
        }
        match bytes.iter().position(|byte| *byte != 0) {
            None => Ok(()),
            Some(index) => {
                let at = self.reader.position().saturating_add(index as u64);
                Err(Error::new(Code::TarTruncated, At::Archive(at)))
            }
        }
    }

    fn entry(&mut self, entry: &tar::Entry) -> BuildResult<(), O> {
        let (major, minor) = entry.device;
        let kind = match entry.kind {
            tar::EntryKind::File => EntryKind::File {
                size: entry.size,
                extents: entry.extents.as_deref(),
            },
            tar::EntryKind::HardLink => EntryKind::HardLink(&entry.link),
            tar::EntryKind::Symlink => EntryKind::Symlink(&entry.link),
            tar::EntryKind::CharDevice => EntryKind::CharDevice(major, minor),
            tar::EntryKind::BlockDevice => EntryKind::BlockDevice(major, minor),
            tar::EntryKind::Directory => EntryKind::Directory,
            tar::EntryKind::Fifo => EntryKind::Fifo,
        };
        let at = At::Archive(entry.header);
        self.builder.entry(&Entry {
            path: &entry.path,
            kind,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: &entry.xattrs,
            at,
        })?;
        // A link's own content is that of the file which it leads to, or something would be lost.
        if entry.kind == tar::EntryKind::HardLink && entry.size > 0 {
            let there = self.builder.linked_size();
            if there != Some(entry.size) {
                return Err(BuildError::Refused(
                    Error::new(Code::BuildLink, at)
                        .found(Value::Number(entry.size))
                        .expected(Value::Number(there.unwrap_or(0))),
                ));
            }
        }
        Ok(())
    }

    /// Ends the image, as [`Builder::finish`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Reader::finish`] and [`Builder::finish`].
    pub fn finish(mut self, uuid: Option<[u8; 16]>) -> BuildResult<(O, Built), O> {
        self.reader.finish()?;
        self.builder.finish(uuid)
    }
}
