//! Creates files, each with its content and its attributes. Each thread has one [`Maker`].

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use erofs_unpack_core::erofs::{Data, FileType, Image, Inode, Place, ReadAt};
use rustix::fs::{AtFlags, Dev, FileType as Kind, OFlags};
use rustix::io::Errno;

use super::attributes::{self, Wanted};
use super::context::{Context, is_refusal, mode};
use super::directory::Directory;
use super::node::Node;
use super::skipped::Loss;
use crate::error::HostError;
use crate::publish::data_runs;

/// Size of the buffer that content goes through, in bytes. It stays in the second level cache of
/// a core: on a tmpfs this is a tenth faster than twice as much, or half.
const BUFFER: usize = 128 << 10;

/// Creates files.
pub(super) struct Maker<'a, R> {
    pub(super) context: &'a Context<'a>,
    image: &'a Image<R>,
    buffer: Vec<u8>,
}

impl<'a, R: ReadAt<Error = io::Error>> Maker<'a, R> {
    pub(super) fn new(context: &'a Context<'a>, image: &'a Image<R>) -> Self {
        Self {
            context,
            image,
            buffer: vec![0; BUFFER],
        }
    }

    /// Creates anything but a directory; `false` when it is not permitted and was left out.
    pub(super) fn make(
        &mut self,
        dir: &Directory,
        name: &[u8],
        inode: &Inode,
    ) -> Result<bool, HostError> {
        let wanted = Wanted::new(self.context, inode, dir);
        let made = match inode.file_type {
            FileType::Regular => self.file(dir, name, &wanted).map(|()| true),
            FileType::Symlink => self.symlink(dir, name, &wanted).map(|()| true),
            _ => self.node(dir, name, &wanted),
        };
        if made.is_ok() {
            self.context.progress.add_entry();
        }
        made
    }

    /// Gives a directory its attributes, nothing more being created in it.
    pub(super) fn finish(&self, dir: &Directory) -> Result<(), HostError> {
        let Some(inode) = &dir.inode else {
            return Ok(());
        };
        let wanted = Wanted::of_directory(self.context, inode, dir);
        let at = (&**dir.node(), &b""[..]);
        attributes::set(self.context, self.image, dir.fd(), &wanted, at)
    }

    fn file(&mut self, dir: &Directory, name: &[u8], wanted: &Wanted<'_>) -> Result<(), HostError> {
        let context = self.context;
        let first = mode(wanted.first_mode(context));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = context
            .create(dir, name, || {
                rustix::fs::openat(dir.fd(), name, flags, first)
            })?
            .map_err(|error| context.failed(dir.node(), name, "create", error))?;
        let at = (&**dir.node(), name);
        let filled = self
            .content(fd.as_fd(), wanted.inode, at)
            .and_then(|()| attributes::set(context, self.image, fd.as_fd(), wanted, at));
        undo_unless(filled, dir, name)
    }

    /// Writes a file's content. What the image has as a hole, and what is zero, becomes a hole.
    fn content(
        &mut self,
        fd: BorrowedFd<'_>,
        inode: &Inode,
        at: (&Node, &[u8]),
    ) -> Result<(), HostError> {
        let context = self.context;
        let failed = |error| context.failed(at.0, at.1, "write", error);
        let unread = |error| context.unread(at.0, at.1, error);
        let mut position = 0;
        let mut written = 0;
        if let Some(outside) = context.elsewhere(self.image, inode, at)? {
            context.take(inode.size, at.0, at.1)?;
            outside.read(|piece| {
                for (offset, run) in data_runs(position, piece) {
                    write_at(fd, run, offset).map_err(failed)?;
                    written = offset.saturating_add(run.len() as u64);
                }
                position = position.saturating_add(piece.len() as u64);
                context.progress.add_bytes(piece.len() as u64);
                if context.is_stopped() && position < inode.size {
                    return Err(HostError::Cancelled);
                }
                Ok(())
            })?;
        }
        while position < inode.size {
            let extent = self.image.extent(inode, position).map_err(unread)?;
            let end = extent.offset.saturating_add(extent.length);
            if extent.place == Place::Hole && end > position {
                position = end.min(inode.size);
                continue;
            }
            let rest = inode.size - position;
            let length = usize::try_from(rest).map_or(BUFFER, |rest| rest.min(BUFFER));
            let buffer = self.buffer.get_mut(..length).unwrap_or_default();
            context.take(length as u64, at.0, at.1)?;
            let read = self.image.read(inode, position, buffer).map_err(unread)?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                // The reader is short only at the end of the file.
                break;
            }
            for (offset, run) in data_runs(position, bytes) {
                write_at(fd, run, offset).map_err(failed)?;
                written = offset.saturating_add(run.len() as u64);
            }
            position = position.saturating_add(read as u64);
            context.progress.add_bytes(read as u64);
            if context.is_stopped() && position < inode.size {
                return Err(HostError::Cancelled);
            }
        }
        if written < inode.size {
            rustix::fs::ftruncate(fd, inode.size).map_err(failed)?;
        }
        Ok(())
    }

    fn symlink(&self, dir: &Directory, name: &[u8], wanted: &Wanted<'_>) -> Result<(), HostError> {
        let context = self.context;
        let text = self
            .image
            .read_link(wanted.inode)
            .map_err(|error| context.unread(dir.node(), name, error))?;
        context
            .create(dir, name, || rustix::fs::symlinkat(&*text, dir.fd(), name))?
            .map_err(|error| context.failed(dir.node(), name, "create", error))?;
        let set = attributes::set_special(context, self.image, dir, name, wanted);
        undo_unless(set, dir, name)
    }

    /// A pipe, a socket or a device.
    fn node(&self, dir: &Directory, name: &[u8], wanted: &Wanted<'_>) -> Result<bool, HostError> {
        let context = self.context;
        let kind = match wanted.inode.file_type {
            FileType::CharDevice => Kind::CharacterDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Socket => Kind::Socket,
            _ => Kind::Fifo,
        };
        let device: Dev = match wanted.inode.data {
            Data::Device(major, minor) => rustix::fs::makedev(major, minor),
            _ => 0,
        };
        let first = mode(wanted.first_mode(context));
        let made = context.create(dir, name, || {
            rustix::fs::mknodat(dir.fd(), name, kind, first, device)
        })?;
        match made {
            Ok(()) => {}
            Err(error) if !context.options.everything && is_refusal(error) => {
                let path = || context.outside(dir.node(), name);
                context.skipped.add(Loss::Device, path);
                return Ok(false);
            }
            Err(error) => return Err(context.failed(dir.node(), name, "create", error)),
        }
        let set = attributes::set_special(context, self.image, dir, name, wanted);
        undo_unless(set, dir, name).map(|()| true)
    }
}

/// Takes a file away again that did not come to its end: nobody is to take it for the whole one.
fn undo_unless(made: Result<(), HostError>, dir: &Directory, name: &[u8]) -> Result<(), HostError> {
    if made.is_err() {
        let _ = rustix::fs::unlinkat(dir.fd(), name, AtFlags::empty());
    }
    made
}

/// Writes all bytes.
fn write_at(fd: BorrowedFd<'_>, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(fd, bytes, offset) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                offset = offset.saturating_add(written as u64);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
