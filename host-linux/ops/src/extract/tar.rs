//! The files of an image as a tar stream.
//!
//! The order is that of the image: each directory before what it holds, names as bytes rise.
//! One image always gives the same stream. Holes are written as zeros.

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::Arc;

use erofs_unpack_core::Value;
use erofs_unpack_core::erofs::{Data, FileType, Image, Inode, Place, ReadAt, ReadError};
use erofs_unpack_core::tar::{BLOCK, EntryKind, Headers, Member};

use super::attributes::each_xattr;
use super::context::Context;
use super::links::{First, FirstNames, Made};
use super::names::Order;
use super::node::Node;
use super::paths::{self, Found};
use super::skipped::Loss;
use crate::error::ExtractFault;
use crate::error::HostError;
use crate::image_file::{FileAt, ImageFile};

/// Size of the buffer that content goes through, in bytes.
const BUFFER: usize = 256 << 10;

/// Writes files of an image as a tar stream.
///
/// What a ustar header has no room for goes into pax headers; extended attributes do in the
/// form `SCHILY.xattr.NAME`. A file with several names comes once, then as hard links to its
/// first name. Sockets, which tar does not know, are left out. Without the two blocks of zeros
/// at its end, after an error, the stream is not complete.
///
/// # Errors
///
/// As [`super::create::create_files`]; what is left out for want of permission there is none here.
pub(super) fn write_tar(
    context: &Context<'_>,
    file: &ImageFile,
    paths: &[OsString],
    out: &mut dyn Write,
) -> Result<(), HostError> {
    let image = file.image()?;
    let selection = paths::find(context, &image, paths)?;
    let mut stream = Stream {
        context,
        image: &image,
        out,
        headers: Headers::default(),
        written: Vec::new(),
        buffer: vec![0; BUFFER],
        first: FirstNames::default(),
    };
    for found in &selection {
        stream.one(found)?;
    }
    stream.write(&[0; 2 * BLOCK])?;
    stream
        .out
        .flush()
        .map_err(|error| HostError::environment("stdout", "write", error))
}

/// A stream that is being written.
struct Stream<'a, R> {
    context: &'a Context<'a>,
    image: &'a Image<R>,
    out: &'a mut dyn Write,
    headers: Headers,
    /// The headers of one member.
    written: Vec<u8>,
    buffer: Vec<u8>,
    first: FirstNames,
}

impl<R: ReadAt<Error = io::Error>> Stream<'_, R> {
    /// Writes one of the things that were asked for.
    fn one(&mut self, found: &Found) -> Result<(), HostError> {
        let (context, image) = (self.context, self.image);
        let mut top = Node::root();
        let parents = match found.names.split_last() {
            Some((_, parents)) => parents,
            None => &[],
        };
        for name in parents {
            top = Node::child(&top, name);
        }
        let mut levels: Vec<(Arc<Node>, Order)> = Vec::new();
        let mut walk = image.walk_from(found.inode);
        loop {
            let visit = match walk.next() {
                Ok(Some(visit)) => visit,
                Ok(None) => return Ok(()),
                Err(error) => {
                    // The walk goes on behind it.
                    let unread = context.unread(&top, walk.path(), error);
                    context.pass(Err::<(), _>(unread))?;
                    continue;
                }
            };
            let is_directory = visit.inode.file_type == FileType::Directory;
            let depth = usize::try_from(visit.depth).unwrap_or(usize::MAX);
            let (dir, name) = if depth == 0 {
                (
                    Arc::clone(&top),
                    found.names.last().map_or(&b""[..], |name| name),
                )
            } else {
                levels.truncate(depth);
                let Some((dir, order)) = levels.last_mut() else {
                    return Err(context.fault(ExtractFault::Path, &top, visit.name, Value::None));
                };
                let in_order = order
                    .check(visit.name)
                    .map_err(|fault| context.fault(fault, dir, visit.name, Value::None));
                if context.pass(in_order)?.is_none() {
                    walk.skip_directory();
                    continue;
                }
                (Arc::clone(dir), visit.name)
            };
            if is_directory {
                let node = if name.is_empty() {
                    Arc::clone(&dir)
                } else {
                    Node::child(&dir, name)
                };
                levels.push((node, Order::default()));
            } else if name.is_empty() {
                let fault = context.fault(ExtractFault::Path, &top, name, Value::None);
                return context.pass(Err::<(), _>(fault)).map(drop);
            }
            let inode = visit.inode;
            if self.entry(&dir, name, &inode)? {
                context.progress.add_entry();
            }
        }
    }

    /// Writes one member; `false` when it could not be read. What is wrong with it is found before
    /// its header is written.
    fn entry(&mut self, dir: &Arc<Node>, name: &[u8], inode: &Inode) -> Result<bool, HostError> {
        let context = self.context;
        if inode.file_type == FileType::Socket {
            context
                .skipped
                .add(Loss::Socket, || context.outside(dir, name));
            return Ok(true);
        }
        let is_directory = inode.file_type == FileType::Directory;
        let mut path = join(dir, name);
        if is_directory {
            path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
        }
        let has_names = inode.nlink > 1 && !is_directory;
        if has_names && let Some(first) = self.first.of(inode) {
            if first.made == Made::Failed {
                let fault = context.fault(ExtractFault::Link, dir, name, Value::None);
                return context.pass(Err::<(), _>(fault)).map(|_| false);
            }
            self.headers.clear();
            let target = join(&first.dir, &first.name);
            let member = member(&path, EntryKind::HardLink, &target, inode);
            return self.headers(&member).map(|()| true);
        }
        let read = self.read(dir, name, inode);
        let read = context.pass(read)?;
        let is_whole = read.is_some();
        if has_names {
            let made = read.as_ref().map_or(Made::Failed, |_| Made::Yes);
            let dir = Arc::clone(dir);
            let name = name.into();
            self.first.add(context, inode, First { dir, name, made })?;
        }
        let mut inode = *inode;
        let (kind, link, outside) = match read {
            Some(read) => read,
            None if is_directory => {
                // What lies in it is not lost, and nobody else gets in.
                self.headers.clear();
                inode.mode = inode.mode & !0o7777 | 0o700;
                (EntryKind::Directory, Vec::new(), None)
            }
            None => return Ok(false),
        };
        let mut member = member(&path, kind, &link, &inode);
        if kind == EntryKind::File {
            member.size = inode.size;
        }
        self.headers(&member)?;
        self.content(dir, name, &inode, outside.as_ref(), member.size)?;
        Ok(is_whole)
    }

    /// Reads what the header of a member says besides its path: its type, its link target, and
    /// its extended attributes, which go to the records. Content that lies outside of the image is
    /// verified, and given in a file; with [`super::Options::keep_going`] other content is read
    /// too.
    fn read(
        &mut self,
        dir: &Node,
        name: &[u8],
        inode: &Inode,
    ) -> Result<(EntryKind, Vec<u8>, Option<FileAt>), HostError> {
        let context = self.context;
        let mut link = Vec::new();
        let kind = match inode.file_type {
            FileType::Regular => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => {
                link = self
                    .image
                    .read_link(inode)
                    .map_err(|error| context.unread(dir, name, error))?;
                EntryKind::Symlink
            }
            FileType::CharDevice => EntryKind::CharDevice,
            FileType::BlockDevice => EntryKind::BlockDevice,
            FileType::Fifo | FileType::Socket => EntryKind::Fifo,
        };
        self.headers.clear();
        let headers = &mut self.headers;
        each_xattr(context, self.image, inode, (dir, name), |name, value| {
            headers.add_xattr(name, value);
            Ok(())
        })?;
        let mut outside = None;
        if kind == EntryKind::File {
            // Before the first byte, so that nothing is begun that cannot be finished.
            context.take(inode.size, dir, name)?;
            outside = context
                .elsewhere(self.image, inode, (dir, name))?
                .map(|outside| outside.spool().map(FileAt::new))
                .transpose()?;
            if context.options.keep_going && outside.is_none() {
                self.pieces((dir, name), inode, None, inode.size, |_, _| Ok(()))?;
            }
        }
        Ok((kind, link, outside))
    }

    fn headers(&mut self, member: &Member<'_>) -> Result<(), HostError> {
        let mut written = core::mem::take(&mut self.written);
        written.clear();
        self.headers.write(member, &mut written);
        let done = self.write(&written);
        self.written = written;
        done
    }

    /// Writes a file's content and fills the last block up.
    fn content(
        &mut self,
        dir: &Node,
        name: &[u8],
        inode: &Inode,
        outside: Option<&FileAt>,
        size: u64,
    ) -> Result<(), HostError> {
        self.pieces((dir, name), inode, outside, size, |stream, piece| {
            stream.write(piece)?;
            stream.context.progress.add_bytes(piece.len() as u64);
            Ok(())
        })?;
        let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if over > 0 {
            self.write([0; BLOCK].get(over..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Goes through a file's content, holes as zeros: that in the image, or that in another file.
    fn pieces(
        &mut self,
        (dir, name): (&Node, &[u8]),
        inode: &Inode,
        outside: Option<&FileAt>,
        size: u64,
        mut take: impl FnMut(&mut Self, &[u8]) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let context = self.context;
        let unread = |error| context.unread(dir, name, error);
        let mut buffer = core::mem::take(&mut self.buffer);
        buffer.resize(BUFFER, 0);
        let mut position = 0;
        while position < size {
            let rest = size - position;
            let length = usize::try_from(rest).map_or(BUFFER, |rest| rest.min(BUFFER));
            let piece = buffer.get_mut(..length).unwrap_or_default();
            if let Some(outside) = outside {
                outside
                    .read_at(position, piece)
                    .map_err(|error| unread(ReadError::Source(error)))?;
            } else {
                let extent = self.image.extent(inode, position).map_err(unread)?;
                let end = extent.offset.saturating_add(extent.length);
                if extent.place == Place::Hole && end - position >= length as u64 {
                    piece.fill(0);
                } else {
                    self.image.read(inode, position, piece).map_err(unread)?;
                }
            }
            take(self, piece)?;
            position += length as u64;
        }
        self.buffer = buffer;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        self.out
            .write_all(bytes)
            .map_err(|error| HostError::environment("stdout", "write", error))
    }
}

/// A member with the attributes of an inode, without content.
fn member<'a>(path: &'a [u8], kind: EntryKind, link: &'a [u8], inode: &Inode) -> Member<'a> {
    Member {
        path,
        kind,
        link,
        mode: inode.mode,
        uid: inode.uid,
        gid: inode.gid,
        size: 0,
        mtime: (inode.mtime, inode.mtime_ns.min(999_999_999)),
        device: match inode.data {
            Data::Device(major, minor) => (major, minor),
            _ => (0, 0),
        },
    }
}

/// A path from the root.
fn join(dir: &Node, name: &[u8]) -> Vec<u8> {
    let mut names = dir.names();
    if !name.is_empty() {
        names.push(name);
    }
    names.join(&b'/')
}
