//! The builder: entries one after the other, and the content of files as it comes.

use core::hash::Hasher as _;

use twox_hash::XxHash64;

use super::output::Sequence;
use super::path::{Place, parts};
use super::sparse::Sparse;
use super::tree::{Attributes, Body, Child, KEPT, ROOT, Tree, reserve};
use super::xattrs::Xattrs;
use super::{BuildResult, Entry, EntryKind, Options, Output};
use crate::erofs::{FileType, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE};
use crate::{At, Code, Error, Limits, Value};

/// Size of the long form of an inode, in bytes: what is reckoned with before it is known which
/// form will do.
const INODE: u64 = 64;
/// What marks a whiteout in an OCI layer.
const WHITEOUT: &[u8] = b".wh.";
/// What marks names of AUFS' own, an opaque directory among them.
const AUFS: &[u8] = b".wh..wh.";
/// The mark of an opaque directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Makes an image: [`Self::entry`] for each entry, [`Self::content`] for what is in it, then
/// [`Self::finish`].
///
/// It keeps some hundred bytes of each inode, beside names, link targets and xattrs, and nothing of content.
#[derive(Debug)]
pub struct Builder<O> {
    pub(super) output: O,
    pub(super) options: Options,
    pub(super) tree: Tree,
    pub(super) data: Sequence,
    /// Where the content of files starts, in bytes of the image.
    pub(super) data_start: u64,
    /// Bytes in the spool.
    spooled: u64,
    open: Open,
    /// The inode that the last entry has led to.
    last: u32,
    /// Digest of the content that came since.
    digest: XxHash64,
}

/// What becomes of the content that comes.
#[derive(Clone, Copy, Debug)]
enum Open {
    /// None is expected.
    Nothing,
    /// It is of no interest.
    Skipped,
    /// It goes into the image up to `whole`, a size in bytes of the file, and into the spool
    /// behind that.
    File { whole: u64, size: u64, told: Told },
    /// It goes into the chunks of the sparse file of this number. `run` counts the runs of chunks
    /// that have been begun, and `end` is where the last of them ends in the file.
    Sparse {
        number: u32,
        run: usize,
        end: u64,
        told: Told,
    },
}

/// How far the content of a file has come.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The next byte of the file.
    at: u64,
    /// The end of its last data.
    end: u64,
    /// Whether there are no holes.
    dense: bool,
}

impl Told {
    /// Takes a piece, which must be the next one.
    fn take(&mut self, offset: u64, length: u64) -> Result<(), Error> {
        let end = offset.saturating_add(length);
        let follows = if self.dense {
            offset == self.at
        } else {
            offset >= self.at
        };
        if !follows || end > self.end {
            return Err(Error::new(Code::BuildContent, At::Whole)
                .found(Value::Number(offset))
                .expected(Value::Number(self.at)));
        }
        self.at = end;
        Ok(())
    }

    /// Whether all has come.
    fn finish(&self, next: At) -> Result<(), Error> {
        if self.at == self.end {
            return Ok(());
        }
        Err(Error::new(Code::BuildContent, next)
            .found(Value::Number(self.at))
            .expected(Value::Number(self.end)))
    }
}

impl<O: Output> Builder<O> {
    /// An image with nothing but its root.
    ///
    /// # Errors
    ///
    /// Those of [`Options::check`].
    pub fn new(output: O, options: &Options, limits: &Limits) -> Result<Self, Error> {
        options.check()?;
        let block = 1 << options.block_bits;
        // As far as the checksum of the superblock reaches.
        let head = SUPERBLOCK_OFFSET.saturating_add(if block > SUPERBLOCK_OFFSET {
            SUPERBLOCK_SIZE as u64
        } else {
            block
        });
        let data_start = head.next_multiple_of(block);
        Ok(Self {
            output,
            options: *options,
            tree: Tree::new(limits),
            data: Sequence::new(data_start),
            data_start,
            spooled: 0,
            open: Open::Nothing,
            last: ROOT,
            digest: XxHash64::with_seed(0),
        })
    }

    /// Takes an entry. What was told of the one before is complete then.
    ///
    /// # Errors
    ///
    /// Paths, names, links, xattrs and numbers that cannot be, and limits; then the builder is of no
    /// more use. [`Code::BuildContent`] when the entry before lacks content.
    pub fn entry(&mut self, entry: &Entry<'_>) -> BuildResult<(), O> {
        self.close(entry.at)?;
        let mtime = match self.options.all_time {
            Some(time) => (time, 0),
            None => entry.mtime,
        };
        if !self.tree.is_begun {
            self.tree.is_begun = true;
            if let Some(root) = self.tree.inode_mut(ROOT) {
                (root.mtime, root.mtime_ns) = mtime;
            }
        }
        self.open = Open::Skipped;
        if self.options.whiteouts {
            let marked = parts(entry.path).find(|part| part.starts_with(AUFS));
            if let Some(part) = marked {
                let is_last = parts(entry.path).last() == Some(part);
                // Of what AUFS keeps for itself nothing else is anybody's business.
                if part == OPAQUE && is_last {
                    self.opaque(entry, mtime)?;
                }
                return Ok(());
            }
        }
        let Some(place) = self.tree.place(entry.path, Some(mtime), entry.at)? else {
            return Ok(());
        };
        let (xattrs, added) = self.tree.xattrs.set(entry.xattrs, entry.at)?;
        self.tree.charge(added, entry.at)?;
        let attributes = Attributes {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime,
            xattrs,
        };
        match place {
            Place::Root if entry.kind == EntryKind::Directory => self.set(ROOT, attributes),
            Place::Root => return Err(Error::new(Code::BuildNotDirectory, entry.at).into()),
            Place::Name(directory, name) => {
                let hidden = name.strip_prefix(WHITEOUT);
                match hidden.filter(|_| self.options.whiteouts) {
                    Some(hidden) => self.whiteout(directory, hidden, attributes, entry.at)?,
                    None => self.put(directory, name, attributes, entry)?,
                }
            }
        }
        Ok(())
    }

    /// Passes over an entry: what comes of its content is not looked at.
    ///
    /// # Errors
    ///
    /// [`Code::BuildContent`] when the entry before lacks content.
    pub fn pass(&mut self, at: At) -> BuildResult<(), O> {
        self.close(at)?;
        self.open = Open::Skipped;
        Ok(())
    }

    /// Takes the next bytes of the last entry's content. `offset` counts in the file; what is
    /// skipped is a hole, as the entry's extents say.
    ///
    /// # Errors
    ///
    /// [`Code::BuildContent`] for more than the entry's size, or out of order;
    /// [`Code::ImageLimit`].
    pub fn content(&mut self, offset: u64, bytes: &[u8]) -> BuildResult<(), O> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.open {
            Open::Skipped => Ok(()),
            Open::Nothing => Err(Error::new(Code::BuildContent, At::Whole)
                .found(Value::Number(offset))
                .into()),
            Open::File { whole, told, .. } => {
                let (whole, from) = (*whole, told.at);
                told.take(offset, bytes.len() as u64)?;
                self.hole(from, offset, whole)?;
                self.store(offset, bytes, whole)
            }
            Open::Sparse { told, .. } => {
                let from = told.at;
                told.take(offset, bytes.len() as u64)?;
                self.sparse_content(from, offset, bytes)?;
                self.digest.write(bytes);
                Ok(())
            }
        }
    }

    /// Bytes of a file that is not sparse: up to `whole` into the image, the rest into the spool.
    fn store(&mut self, offset: u64, bytes: &[u8], whole: u64) -> BuildResult<(), O> {
        let split = whole.saturating_sub(offset).min(bytes.len() as u64);
        let (data, tail) = usize::try_from(split)
            .ok()
            .and_then(|split| bytes.split_at_checked(split))
            .unwrap_or((bytes, &[]));
        self.write(data)?;
        self.tail(tail)?;
        self.digest.write(bytes);
        Ok(())
    }

    /// Zeros for a hole in a file that is not sparse.
    fn hole(&mut self, from: u64, to: u64, whole: u64) -> BuildResult<(), O> {
        let zeros = [0; 512];
        let mut at = from;
        while at < to {
            let piece = to.saturating_sub(at).min(zeros.len() as u64);
            let bytes = usize::try_from(piece)
                .ok()
                .and_then(|length| zeros.get(..length));
            self.store(at, bytes.unwrap_or(&[]), whole)?;
            at = at.saturating_add(piece);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> BuildResult<(), O> {
        self.grow(bytes.len() as u64)?;
        self.data.write(bytes, &mut self.output)
    }

    fn tail(&mut self, bytes: &[u8]) -> BuildResult<(), O> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.grow(0)?;
        self.output
            .spool(bytes)
            .map_err(super::BuildError::Output)?;
        self.spooled = self.spooled.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Whether the image may grow by so much.
    pub(super) fn grow(&self, by: u64) -> Result<(), Error> {
        self.tree
            .limits()
            .admit_image(self.data.position.saturating_add(by))
    }

    /// Content of a sparse file, whose last piece ended at `from`.
    fn sparse_content(&mut self, from: u64, offset: u64, bytes: &[u8]) -> BuildResult<(), O> {
        let mut rest = bytes;
        let mut from = from;
        let mut offset = offset;
        while !rest.is_empty() {
            let Open::Sparse {
                number,
                run,
                end,
                told,
            } = self.open
            else {
                break;
            };
            let misplaced = Error::new(Code::BuildContent, At::Whole)
                .found(Value::Number(offset))
                .expected(Value::Number(from));
            let (found, start, until) = self
                .tree
                .sparse_file(number)
                .and_then(|sparse| sparse.run_at(offset))
                .ok_or(misplaced)?;
            if found.saturating_add(1) != run {
                if found != run {
                    return Err(misplaced.into());
                }
                // The run before is filled up.
                self.zeros(end.saturating_sub(from))?;
                from = start;
            }
            self.zeros(offset.saturating_sub(from))?;
            let length = until.saturating_sub(offset).min(rest.len() as u64);
            let (now, later) = usize::try_from(length)
                .ok()
                .and_then(|length| rest.split_at_checked(length))
                .ok_or(misplaced)?;
            self.write(now)?;
            rest = later;
            offset = offset.saturating_add(length);
            from = offset;
            self.open = Open::Sparse {
                number,
                run: found.saturating_add(1),
                end: until,
                told,
            };
        }
        Ok(())
    }

    fn zeros(&mut self, count: u64) -> BuildResult<(), O> {
        self.grow(count)?;
        self.data.zeros(count, &mut self.output)
    }

    /// Ends the content of the last entry.
    pub(super) fn close(&mut self, next: At) -> BuildResult<(), O> {
        let has_content = matches!(self.open, Open::File { .. } | Open::Sparse { .. });
        match core::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing | Open::Skipped => {}
            Open::File { whole, size, told } => {
                told.finish(next)?;
                self.hole(told.at, size, whole)?;
            }
            Open::Sparse {
                number, end, told, ..
            } => {
                told.finish(next)?;
                let size = self
                    .tree
                    .sparse_file(number)
                    .map_or(0, |sparse| sparse.size);
                self.zeros(size.min(end).saturating_sub(told.at))?;
            }
        }
        if has_content && let Some(inode) = self.tree.inode_mut(self.last) {
            inode.digest = self.digest.finish();
            self.digest = XxHash64::with_seed(0);
        }
        let block = 1_u64 << self.options.block_bits;
        let end = self.data.position.next_multiple_of(block);
        self.zeros(end.saturating_sub(self.data.position))
    }

    /// Gives an inode other attributes.
    fn set(&mut self, number: u32, attributes: Attributes) {
        if let Some(inode) = self.tree.inode_mut(number) {
            inode.mode = (inode.mode & !0o7777) | (attributes.mode & 0o7777);
            inode.uid = attributes.uid;
            inode.gid = attributes.gid;
            (inode.mtime, inode.mtime_ns) = attributes.mtime;
            inode.xattrs = attributes.xattrs;
        }
    }

    /// Marks the directory that holds the mark as opaque.
    fn opaque(&mut self, entry: &Entry<'_>, mtime: (i64, u32)) -> BuildResult<(), O> {
        if let Some(Place::Name(directory, _)) =
            self.tree.place(entry.path, Some(mtime), entry.at)?
            && let Some(directory) = self.tree.directory_mut(directory)
        {
            directory.opaque = true;
        }
        Ok(())
    }

    /// Covers a name of lower layers. What this layer has by that name stays, wherever it stands:
    /// whiteouts speak of lower layers alone.
    fn whiteout(
        &mut self,
        directory: u32,
        hidden: &[u8],
        attributes: Attributes,
        at: At,
    ) -> BuildResult<(), O> {
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(Error::new(Code::BuildWhiteout, at).into());
        }
        let child = match self.tree.child(directory, hidden) {
            Some(child) => {
                if let Some(directory) = self.tree.directory_mut(child.inode) {
                    directory.opaque = true;
                }
                Child {
                    whited_out: true,
                    ..child
                }
            }
            None => {
                let attributes = Attributes {
                    mode: 0,
                    xattrs: super::xattrs::NO_SET,
                    ..attributes
                };
                let inode =
                    self.tree
                        .add(FileType::CharDevice, attributes, 0, Body::Device(0), at)?;
                Child {
                    inode,
                    whited_out: true,
                }
            }
        };
        Ok(self.tree.name(directory, hidden, child, at)?)
    }

    /// Puts an entry into the tree.
    fn put(
        &mut self,
        directory: u32,
        name: &[u8],
        attributes: Attributes,
        entry: &Entry<'_>,
    ) -> BuildResult<(), O> {
        let at = entry.at;
        let there = self.tree.child(directory, name);
        let whited_out = there.is_some_and(|there| there.whited_out);
        let add = |tree: &mut Tree, file_type, body| tree.add(file_type, attributes, 0, body, at);
        let inode = match entry.kind {
            EntryKind::Directory => {
                if let Some(there) = there
                    && self.tree.directory(there.inode).is_some()
                {
                    self.set(there.inode, attributes);
                    return Ok(());
                }
                self.tree
                    .add_directory(directory, attributes, whited_out, at)?
            }
            EntryKind::File { size, extents } => {
                self.begin_file(size, extents, attributes, entry)?
            }
            EntryKind::Symlink(target) => {
                let number = self.tree.add_target(target, at)?;
                add(&mut self.tree, FileType::Symlink, Body::Symlink(number))?
            }
            EntryKind::HardLink(target) => self.tree.link(target, at)?,
            EntryKind::CharDevice(major, minor) => {
                let device = device(major, minor, at)?;
                add(&mut self.tree, FileType::CharDevice, Body::Device(device))?
            }
            EntryKind::BlockDevice(major, minor) => {
                let device = device(major, minor, at)?;
                add(&mut self.tree, FileType::BlockDevice, Body::Device(device))?
            }
            EntryKind::Fifo => add(&mut self.tree, FileType::Fifo, Body::Nothing)?,
            EntryKind::Socket => add(&mut self.tree, FileType::Socket, Body::Nothing)?,
        };
        self.last = inode;
        // A link to itself changes nothing.
        if there.is_some_and(|there| there.inode == inode) {
            return Ok(());
        }
        Ok(self
            .tree
            .name(directory, name, Child { inode, whited_out }, at)?)
    }

    /// The size of the file that the last entry led to, where that is a hard link to one that has
    /// come.
    pub(super) fn linked_size(&self) -> Option<u64> {
        let inode = self.tree.inode(self.last)?;
        matches!(inode.body, Body::File { .. } | Body::Sparse { .. }).then_some(inode.size)
    }

    fn begin_file(
        &mut self,
        size: u64,
        extents: Option<&[(u64, u64)]>,
        attributes: Attributes,
        entry: &Entry<'_>,
    ) -> BuildResult<u32, O> {
        let at = entry.at;
        if i64::try_from(size).is_err() {
            return Err(Error::new(Code::InodeSize, at)
                .found(Value::Number(size))
                .into());
        }
        let start = self.data.position;
        let block_bits = u32::from(self.options.block_bits);
        let told = Told {
            at: 0,
            end: extents.map_or(size, |extents| {
                extents
                    .iter()
                    .rfind(|(_, length)| *length > 0)
                    .map_or(0, |(offset, length)| offset.saturating_add(*length))
            }),
            dense: extents.is_none(),
        };
        if told.end > size {
            return Err(Error::new(Code::BuildContent, at)
                .found(Value::Number(told.end))
                .expected(Value::AtMost(size))
                .into());
        }
        if let Some(extents) = extents
            && let Some(sparse) = Sparse::plan(size, extents, block_bits)?
        {
            self.grow(sparse.stored(block_bits).saturating_add(sparse.map_size()))?;
            // What is told, and the runs of chunks that come of it.
            let pieces = (extents.len() as u64).saturating_mul(48);
            self.tree.charge(KEPT.saturating_add(pieces), at)?;
            let number = u32::try_from(self.tree.sparse.len())
                .map_err(|_| Error::new(Code::InodeLimit, at))?;
            reserve(&mut self.tree.sparse, at)?;
            self.tree.sparse.push(sparse);
            self.open = Open::Sparse {
                number,
                run: 0,
                end: 0,
                told,
            };
            let body = Body::Sparse { number, start };
            return Ok(self
                .tree
                .add(FileType::Regular, attributes, size, body, at)?);
        }
        self.grow(size)?;
        let block = 1_u64 << block_bits;
        let tail = size.checked_rem(block).unwrap_or(0);
        let behind = INODE.saturating_add(Xattrs::bound(entry.xattrs));
        let inline = self.options.inline_data && tail > 0 && behind.saturating_add(tail) <= block;
        let whole = if inline {
            size.saturating_sub(tail)
        } else {
            size
        };
        self.open = Open::File { whole, size, told };
        let body = Body::File {
            start,
            tail: inline.then_some(self.spooled),
        };
        Ok(self
            .tree
            .add(FileType::Regular, attributes, size, body, at)?)
    }
}

/// A device number as inodes have it (`new_encode_dev` of Linux).
fn device(major: u32, minor: u32, at: At) -> Result<u32, Error> {
    if major > 0xfff || minor > 0xf_ffff {
        return Err(Error::new(Code::BuildDevice, at)
            .found(Value::Number(
                if major > 0xfff { major } else { minor }.into(),
            ))
            .expected(Value::AtMost(if major > 0xfff { 0xfff } else { 0xf_ffff })));
    }
    Ok((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}
