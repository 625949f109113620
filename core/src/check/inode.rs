//! Rules of a single inode, without what it contains.

use super::Checker;
use crate::erofs::{Data, FileType, Incompat, Inode, Layout, Needs, ReadAt, ReadResult, Space};
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
        self.need(self.needs_of(inode), at);
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

    /// What an inode needs of the kernel.
    #[inline]
    fn needs_of(&self, inode: &Inode) -> Needs {
        let superblock = self.image.superblock();
        let mut needs = Needs::default();
        if inode.layout.is_compressed() && inode.size > 0 {
            needs = superblock.needs_of_compressed();
        }
        if inode.file_type == FileType::Symlink && self.crosses_block(inode) {
            needs = needs.and(Needs::SYMLINK_ACROSS);
        }
        // With the bit, older kernels refuse the image as a whole.
        if !superblock.incompat.has(Incompat::BIT48) {
            if is_wide(inode) {
                needs = needs.and(Needs::BIT48);
            }
            if !inode.is_extended && inode.mtime != superblock.epoch {
                needs = needs.and(Needs::COMPACT_TIMES);
            }
        }
        needs
    }

    /// Whether the target of a symbolic link lies inline and goes on behind the block in which the
    /// record of the inode ends, in the way that `erofs_fill_symlink` refused before Linux 6.12.
    fn crosses_block(&self, inode: &Inode) -> bool {
        let superblock = self.image.superblock();
        if inode.layout != Layout::FlatInline || inode.size >= superblock.block_size() {
            return false;
        }
        let last = inode
            .offset
            .saturating_add(inode.record_size())
            .saturating_sub(1);
        let end = superblock
            .within_block(last)
            .saturating_add(1)
            .saturating_add(inode.xattr_size())
            .saturating_add(inode.size);
        end > superblock.block_size()
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

/// Whether an inode uses what only kernels with 48-bit addresses read: bit 4 of its format, a hole
/// that is the whole of a file, or upper bits of an address.
const fn is_wide(inode: &Inode) -> bool {
    let in_data = match inode.data {
        Data::Start(Some(start)) => start > u32::MAX as u64 && inode.size > 0,
        Data::Start(None) => inode.size > 0,
        Data::Chunks(format) => format.is_48bit(),
        Data::CompressedBlocks(_) | Data::Device(..) | Data::Nothing => false,
    };
    in_data || inode.format & 0x10 != 0
}
