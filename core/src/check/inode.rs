//! Rules of a single inode, without what it contains.

use super::Checker;
use crate::erofs::{Data, FileType, Inode, ReadAt, ReadResult, Space};
use crate::{At, Code, Error, Value};

/// Largest size that the kernel takes: a signed number of 64 bits.
const SIZE_MAX: u64 = i64::MAX as u64;
const NANOSECONDS: u32 = 1_000_000_000;

impl<R: ReadAt> Checker<'_, R> {
    /// Looks at an inode that has not been seen before, its xattrs, and where its content lies.
    pub(super) fn inode(&mut self, inode: &Inode) -> ReadResult<(), R> {
        self.work(inode.record_size())?;
        let at = At::Nid(inode.nid);
        if inode.mtime_ns >= NANOSECONDS {
            self.report(
                Error::new(Code::InodeNanoseconds, at)
                    .found(Value::Number(inode.mtime_ns.into()))
                    .expected(Value::AtMost(u64::from(NANOSECONDS).saturating_sub(1))),
            );
        }
        if inode.nlink == 0 {
            self.report(Error::new(Code::InodeNoLinks, at).found(Value::Number(0)));
        }
        if let Data::CompressedBlocks(blocks) = inode.data
            && blocks > u32::MAX.into()
        {
            self.report(
                Error::new(Code::InodeBlocks, at)
                    .found(Value::Number(blocks))
                    .expected(Value::AtMost(u32::MAX.into())),
            );
        }
        if inode.reserved {
            self.report(Error::new(Code::InodeReserved, at));
        }
        if inode.size > SIZE_MAX {
            self.report(
                Error::new(Code::InodeSize, at)
                    .found(Value::Number(inode.size))
                    .expected(Value::AtMost(SIZE_MAX)),
            );
            return Ok(());
        }
        self.take_metadata(inode, inode.offset, inode.end())?;
        self.fingerprint = None;
        if inode.xattr_count > 0 {
            self.xattrs(inode)?;
        }
        match inode.file_type {
            FileType::Regular => {
                if self.content(inode)?
                    && let Some(Some(digest)) = self.fingerprint
                {
                    self.compare(inode, &digest)?;
                }
                Ok(())
            }
            FileType::Directory => self.content(inode).map(|_| ()),
            FileType::Symlink => self.symlink(inode),
            _ => {
                if inode.size != 0 {
                    self.report(
                        Error::new(Code::InodeSpecial, at).found(Value::Number(inode.size)),
                    );
                }
                Ok(())
            }
        }
    }

    /// Takes note that metadata of an inode lies here.
    pub(super) fn take_metadata(
        &mut self,
        inode: &Inode,
        start: u64,
        end: u64,
    ) -> Result<(), Error> {
        let [image, metabox] = &mut self.metadata;
        let runs = match self.image.space(inode.nid) {
            Space::Image => image,
            Space::Metabox => metabox,
        };
        runs.add(start, end, &mut self.budget)
    }

    /// A symbolic link: where its target lies, and what it says.
    fn symlink(&mut self, inode: &Inode) -> ReadResult<(), R> {
        let most = u64::from(self.image.limits().symlink_length);
        if inode.size == 0 || inode.size > most {
            self.report(
                Error::new(Code::SymlinkSize, At::Nid(inode.nid))
                    .found(Value::Number(inode.size))
                    .expected(Value::AtMost(most)),
            );
            return Ok(());
        }
        if !self.content(inode)? {
            return Ok(());
        }
        self.work(inode.size)?;
        let length = usize::try_from(inode.size).unwrap_or(usize::MAX);
        let mut target = core::mem::take(&mut self.target);
        target.clear();
        target.resize(length, 0);
        let read = self.image.read(inode, 0, &mut target);
        if self.take(read)?.is_some()
            && let Some(place) = target.iter().position(|byte| *byte == 0)
        {
            self.report(Error::new(
                Code::SymlinkTarget,
                At::File(inode.nid, place as u64),
            ));
        }
        self.target = target;
        Ok(())
    }
}
