//! Rules of directories: blocks, names, and what the entries lead to.

use super::{Checker, Pending, link_count, stops};
use crate::erofs::{
    Data, DirBlock, Dirent, FileType, Inode, ReadAt, ReadError, ReadResult, is_name,
};
use crate::{At, Code, Error, Value};

/// The names that aufs keeps for itself in the root of a branch (`AUFS_WH_BASE`,
/// `AUFS_WH_ORPHDIR`, `AUFS_WH_PLINKDIR`), and what `mkfs.erofs --aufs` makes of an entry with such a
/// name: a whiteout of the rest of it.
const AUFS: [&[u8]; 3] = [b".wh..wh.aufs", b".wh..wh.orph", b".wh..wh.plnk"];
const AUFS_HIDDEN: [&[u8]; 3] = [b".wh.aufs", b".wh.orph", b".wh.plnk"];
/// A directory that all may write to, and one in which only owners may remove.
const WRITABLE: u16 = 0o0002;
const STICKY: u16 = 0o1000;

/// What comes of the entries of one directory.
#[derive(Debug)]
struct Listing {
    dir: Inode,
    parent: u64,
    depth: u32,
    /// The last name of the block before, for the order.
    last: LastName,
    dot: bool,
    dot_dot: bool,
    subdirectories: u64,
}

/// A copy of a name, which is at most 255 bytes long.
#[derive(Debug)]
struct LastName {
    bytes: [u8; 256],
    length: usize,
    any: bool,
}

impl LastName {
    fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length).filter(|_| self.any)
    }

    fn set(&mut self, name: &[u8]) {
        self.length = crate::bytes::copy(name, &mut self.bytes);
        self.any = true;
    }
}

impl<R: ReadAt> Checker<'_, R> {
    /// Looks at all entries of a directory.
    pub(super) fn directory(&mut self, pending: Pending) -> ReadResult<(), R> {
        let read = self.image.inode(pending.nid);
        let Some(dir) = self.take(read)? else {
            self.partial = true;
            return Ok(());
        };
        let mut listing = Listing {
            dir,
            parent: pending.parent,
            depth: pending.depth,
            last: LastName {
                bytes: [0; 256],
                length: 0,
                any: false,
            },
            dot: false,
            dot_dot: false,
            subdirectories: 0,
        };
        let mut block = core::mem::take(&mut self.block);
        let whole = self.blocks(&mut listing, &mut block);
        self.block = block;
        self.entry = None;
        if whole? {
            self.listed(&listing);
        } else {
            self.partial = true;
        }
        Ok(())
    }

    /// Goes through the blocks of a directory; `false` when not all could be looked at.
    fn blocks(&mut self, listing: &mut Listing, block: &mut [u8]) -> ReadResult<bool, R> {
        let dir = listing.dir;
        let mut offset = 0;
        let mut entries = 0_u64;
        while offset < dir.size {
            self.entry = None;
            let read = self.image.read(&dir, offset, block);
            let Some(length) = self.take(read)? else {
                return Ok(false);
            };
            self.work(length as u64)?;
            let bytes = block.get(..length).unwrap_or(&[]);
            let parsed = DirBlock::parse(bytes, dir.nid, offset);
            let Some(parsed) = self.take(parsed.map_err(Into::into))? else {
                return Ok(false);
            };
            entries = entries.saturating_add(parsed.count as u64);
            if entries > self.image.limits().directory_entries {
                return Err(Error::new(Code::DirectoryEntries, At::Nid(dir.nid))
                    .expected(Value::AtMost(self.image.limits().directory_entries))
                    .into());
            }
            let mut end = 0;
            // The name before this one. It is copied only where it lies in another block.
            let mut last = None;
            for index in 0..parsed.count {
                let position = parsed.position(index);
                self.entry = Some((dir.nid, position));
                match parsed.entry(index) {
                    Ok((dirent, name)) => {
                        end = dirent.name_start().saturating_add(name.len());
                        let before = last.or_else(|| listing.last.get());
                        let follows = before.is_none_or(|before| before < name);
                        last = Some(name);
                        self.name(listing, &dirent, name, follows, position);
                        self.target(listing, &dirent, name, position)?;
                    }
                    Err(error) => {
                        self.report(error);
                        return Ok(false);
                    }
                }
            }
            if bytes
                .get(end..)
                .is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
            {
                self.entry = None;
                let at = At::File(dir.nid, offset.saturating_add(end as u64));
                self.report(Error::new(Code::DirentPadding, at));
            }
            if length == 0 {
                return Ok(false);
            }
            if let Some(last) = last {
                listing.last.set(last);
            }
            offset = offset.saturating_add(length as u64);
        }
        Ok(true)
    }

    /// Rules of a name, which follows the one before in order or does not.
    fn name(
        &mut self,
        listing: &Listing,
        dirent: &Dirent,
        name: &[u8],
        follows: bool,
        position: u64,
    ) {
        let at = At::File(listing.dir.nid, position);
        if !is_name(name) {
            self.report(Error::new(Code::DirentCharacter, at));
        }
        if !follows {
            self.report(Error::new(Code::DirentOrder, at));
        }
        if dirent.reserved != 0 {
            self.report(
                Error::new(Code::DirentReserved, at).found(Value::Hex(dirent.reserved.into())),
            );
        }
        if AUFS.contains(&name) {
            self.report(Error::new(Code::DirectoryAufs, at));
        } else if name.starts_with(b".wh.") && !AUFS_HIDDEN.contains(&name) {
            self.report(Error::new(Code::DirectoryWhiteout, at));
        }
    }

    /// Rules of what an entry leads to.
    fn target(
        &mut self,
        listing: &mut Listing,
        dirent: &Dirent,
        name: &[u8],
        position: u64,
    ) -> ReadResult<(), R> {
        let at = At::File(listing.dir.nid, position);
        let (seen, code, own) = match name {
            b"." => (&mut listing.dot, Code::DirentDot, listing.dir.nid),
            b".." => (&mut listing.dot_dot, Code::DirentDotDot, listing.parent),
            _ => return self.child(listing, dirent, name, position),
        };
        *seen = true;
        let directory = Some(FileType::Directory);
        if dirent.nid != own {
            self.report(
                Error::new(code, at)
                    .found(Value::Number(dirent.nid))
                    .expected(Value::Number(own)),
            );
        } else if dirent.file_type() != directory {
            self.report(
                Error::new(Code::DirentType, at)
                    .found(Value::Number(dirent.raw_type().into()))
                    .expected(Value::Number(FileType::Directory.dirent().into())),
            );
        }
        Ok(())
    }

    /// Rules of an entry that leads to something in the directory.
    fn child(
        &mut self,
        listing: &mut Listing,
        dirent: &Dirent,
        name: &[u8],
        position: u64,
    ) -> ReadResult<(), R> {
        let nid = dirent.nid;
        let at = At::File(listing.dir.nid, position);
        if self.internal_nids().any(|internal| internal == nid) {
            self.report(Error::new(Code::InodeInternal, at).found(Value::Number(nid)));
            return Ok(());
        }
        let read = self.image.inode(nid);
        let Some(inode) = self.take(read)? else {
            self.partial = true;
            return Ok(());
        };
        if dirent.file_type() != Some(inode.file_type) {
            self.report(
                Error::new(Code::DirentType, at)
                    .found(Value::Number(dirent.raw_type().into()))
                    .expected(Value::Number(inode.file_type.dirent().into())),
            );
        }
        if AUFS_HIDDEN.contains(&name) {
            // overlayfs shows no whiteout, whatever it is called.
            let is_hidden =
                inode.file_type == FileType::CharDevice && matches!(inode.data, Data::Device(0, 0));
            let code = match is_hidden {
                true => Code::DirectoryAufs,
                false => Code::DirectoryWhiteout,
            };
            self.report(Error::new(code, at));
        }
        let is_directory = inode.file_type == FileType::Directory;
        if is_directory {
            listing.subdirectories = listing.subdirectories.saturating_add(1);
        }
        if !self.first_sight(nid)? {
            if is_directory {
                self.report(Error::new(Code::DirectoryLinks, at).found(Value::Number(nid)));
            } else {
                self.budget.push(&mut self.links, nid)?;
            }
            return Ok(());
        }
        if is_directory {
            if inode.mode & (WRITABLE | STICKY) == WRITABLE && !self.is_for_all(listing, name)? {
                self.report(Error::new(Code::DirectoryWritable, At::Nid(nid)));
            }
            self.expect_directory(nid, listing.dir.nid, listing.depth.saturating_add(1))?;
        } else if inode.nlink != 1 {
            self.budget.push(&mut self.links, nid)?;
        }
        self.inode(&inode)
    }

    /// Whether a directory is for all to write to by convention: `/tmp`, `/var/tmp` and `/dev/shm`
    /// (`file-hierarchy(7)`). The root is not asked: overlayfs takes its mode from the upper
    /// directory, and a mount without one cannot be written to.
    fn is_for_all(&self, listing: &Listing, name: &[u8]) -> ReadResult<bool, R> {
        let above: &[u8] = match (name, listing.depth) {
            (b"tmp", 0) => return Ok(true),
            (b"tmp", 1) => b"var",
            (b"shm", 1) => b"dev",
            _ => return Ok(false),
        };
        let root = self.image.root();
        match root.and_then(|root| self.image.lookup(&root, above)) {
            Ok(found) => Ok(found.is_some_and(|found| found.nid == listing.dir.nid)),
            // What is wrong with the root is said by itself.
            Err(ReadError::Refused(error)) if !stops(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Rules of a directory as a whole.
    fn listed(&mut self, listing: &Listing) {
        let nid = listing.dir.nid;
        if listing.dot == listing.dir.dot_omitted {
            let found = if listing.dot { "there" } else { "missing" };
            self.report(Error::new(Code::DirentDot, At::Nid(nid)).found(Value::Text(found)));
        }
        if !listing.dot_dot {
            self.report(Error::new(Code::DirentDotDot, At::Nid(nid)).found(Value::Text("missing")));
        }
        let links = listing.subdirectories.saturating_add(2);
        if listing.dir.nlink != 0 && !self.partial && u64::from(listing.dir.nlink) != links {
            self.report(link_count(&listing.dir, links));
        }
    }
}
