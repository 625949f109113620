//! The files of an image as a tar stream.
//!
//! The order is that of the image: each directory before what it holds, names as bytes rise.
//! One image always gives the same stream. Holes are written as zeros.

mod header;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use erofs_unpack_core::Value;
use erofs_unpack_core::erofs::{Data, FileType, Image, Inode, Place, ReadAt};

use header::{BLOCK, Member, Records};

use super::Options;
use super::attributes::each_xattr;
use super::context::Context;
use super::links::{First, FirstNames};
use super::names::Order;
use super::node::Node;
use super::paths::{self, Found};
use super::skipped::Loss;
use crate::error::ExtractFault;
use crate::error::HostError;
use crate::image_file::ImageFile;
use crate::observer::Counter;

/// Size of the buffer that content goes through, in bytes.
const BUFFER: usize = 256 << 10;

/// Writes files of an image as a tar stream, and returns what is to be told as warnings.
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
    file: &ImageFile,
    paths: &[OsString],
    out: &mut dyn Write,
    options: &Options,
    progress: &Counter,
) -> Result<Vec<String>, HostError> {
    let context = Context::new(file, Path::new(""), options, progress);
    let image = file.image()?;
    let selection = paths::find(&context, &image, paths)?;
    let mut stream = Stream {
        context: &context,
        image: &image,
        out,
        headers: Vec::new(),
        records: Records::default(),
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
        .map_err(|error| HostError::environment("stdout", "write", error))?;
    Ok(context.skipped.warnings())
}

/// A stream that is being written.
struct Stream<'a, R> {
    context: &'a Context<'a>,
    image: &'a Image<R>,
    out: &'a mut dyn Write,
    headers: Vec<u8>,
    records: Records,
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
                Err(error) => return Err(context.unread(&top, walk.path(), error)),
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
                order
                    .check(visit.name)
                    .map_err(|fault| context.fault(fault, dir, visit.name, Value::None))?;
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
                return Err(context.fault(ExtractFault::Path, &top, name, Value::None));
            }
            let inode = visit.inode;
            self.entry(&dir, name, &inode)?;
            context.progress.add_entry();
        }
    }

    /// Writes one member.
    fn entry(&mut self, dir: &Arc<Node>, name: &[u8], inode: &Inode) -> Result<(), HostError> {
        let context = self.context;
        let mut path = join(dir, name);
        let mut link = Vec::new();
        let mut size = 0;
        let mut device = (0, 0);
        let kind = match inode.file_type {
            FileType::Regular => {
                size = inode.size;
                b'0'
            }
            FileType::Directory => {
                path.extend_from_slice(if path.is_empty() { b"./" } else { b"/" });
                b'5'
            }
            FileType::Symlink => {
                link = self
                    .image
                    .read_link(inode)
                    .map_err(|error| context.unread(dir, name, error))?;
                b'2'
            }
            FileType::CharDevice => b'3',
            FileType::BlockDevice => b'4',
            FileType::Fifo => b'6',
            FileType::Socket => {
                let path = || dir.path(Path::new("/"), name);
                context.skipped.add(Loss::Socket, path);
                return Ok(());
            }
        };
        if let Data::Device(major, minor) = inode.data {
            device = (major, minor);
        }
        let mut member = Member {
            path: &path,
            kind,
            link: &link,
            mode: inode.mode,
            uid: inode.uid,
            gid: inode.gid,
            size,
            mtime: (inode.mtime, inode.mtime_ns.min(999_999_999)),
            device,
        };
        self.records.clear();
        if inode.nlink > 1 && inode.file_type != FileType::Directory {
            if let Some(first) = self.first.of(inode) {
                let first = join(&first.dir, &first.name);
                (member.kind, member.link, member.size) = (b'1', &first, 0);
                return self.headers(&member);
            }
            let first = First {
                dir: Arc::clone(dir),
                name: name.into(),
                made: true,
            };
            self.first.add(context, inode, first)?;
        }
        let records = &mut self.records;
        each_xattr(context, self.image, inode, (dir, name), |name, value| {
            records.add_xattr(name, value);
            Ok(())
        })?;
        self.headers(&member)?;
        if size > 0 {
            self.content(dir, name, inode)?;
        }
        Ok(())
    }

    fn headers(&mut self, member: &Member<'_>) -> Result<(), HostError> {
        self.records.add_member(member);
        self.headers.clear();
        self.records.write(member, &mut self.headers);
        let headers = core::mem::take(&mut self.headers);
        let written = self.write(&headers);
        self.headers = headers;
        written
    }

    /// Writes a file's content and fills the last block up.
    fn content(&mut self, dir: &Node, name: &[u8], inode: &Inode) -> Result<(), HostError> {
        let context = self.context;
        // Before the first byte, so that nothing is begun that cannot be finished.
        context.take(inode.size, dir, name)?;
        let unread = |error| context.unread(dir, name, error);
        let mut buffer = core::mem::take(&mut self.buffer);
        let mut position = 0;
        while position < inode.size {
            let rest = inode.size - position;
            let length = usize::try_from(rest).map_or(BUFFER, |rest| rest.min(BUFFER));
            let piece = buffer.get_mut(..length).unwrap_or_default();
            let extent = self.image.extent(inode, position).map_err(unread)?;
            let end = extent.offset.saturating_add(extent.length);
            if extent.place == Place::Hole && end - position >= length as u64 {
                piece.fill(0);
            } else {
                self.image.read(inode, position, piece).map_err(unread)?;
            }
            self.write(piece)?;
            position += length as u64;
            context.progress.add_bytes(length as u64);
        }
        self.buffer = buffer;
        let over = usize::try_from(inode.size % BLOCK as u64).unwrap_or(0);
        if over > 0 {
            self.write([0; BLOCK].get(over..).unwrap_or_default())?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        self.out
            .write_all(bytes)
            .map_err(|error| HostError::environment("stdout", "write", error))
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
