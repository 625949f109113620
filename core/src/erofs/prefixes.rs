//! The table of long xattr prefixes.
//!
//! Follows `erofs_xattr_prefixes_init` in `fs/erofs/xattr.c` of Linux and in `lib/xattr.c` of
//! erofs-utils.

use alloc::vec::Vec;

use super::buffer::buffer;
use super::xattr::LongPrefix;
use super::{Compat, Image, Incompat, Inode, ReadAt, ReadResult, Space};
use crate::{At, Code, Error, Value};

/// Longest part of a prefix behind the short one, in bytes (`EROFS_NAME_LEN`).
const INFIX_MAX: usize = 255;

/// Where the table lies.
enum Table {
    Space(Space),
    Packed(Inode),
}

impl<R: ReadAt> Image<R> {
    /// The long prefixes, read when they are first asked for.
    pub(crate) fn prefixes(&self) -> ReadResult<&[LongPrefix], R> {
        if let Some(prefixes) = self.prefixes.get() {
            return Ok(prefixes);
        }
        let prefixes = self.read_prefixes()?;
        Ok(self.prefixes.get_or_init(|| prefixes))
    }

    fn read_prefixes(&self) -> ReadResult<Vec<LongPrefix>, R> {
        let count = self.superblock.xattr_prefix_count;
        let mut prefixes = Vec::new();
        if count == 0 {
            return Ok(prefixes);
        }
        prefixes
            .try_reserve_exact(count.into())
            .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
        let table = self.prefix_table()?;
        let mut position = u64::from(self.superblock.xattr_prefix_start).saturating_mul(4);
        for _ in 0..count {
            let at = match &table {
                Table::Space(Space::Image) => At::Image(position),
                Table::Space(Space::Metabox) => At::Whole,
                Table::Packed(inode) => At::File(inode.nid, position),
            };
            let fault = |length: usize| {
                Error::new(Code::XattrPrefix, at).found(Value::Number(length as u64))
            };
            let mut length = [0; 2];
            self.read_table(&table, position, &mut length, fault(0))?;
            let length = usize::from(u16::from_le_bytes(length));
            if length == 0 || length > INFIX_MAX.saturating_add(1) {
                return Err(fault(length).expected(Value::Text("1 to 256 bytes")).into());
            }
            let mut base = [0];
            let record = position.saturating_add(2);
            self.read_table(&table, record, &mut base, fault(length))?;
            let mut infix = buffer(length.saturating_sub(1))?;
            self.read_table(&table, record.saturating_add(1), &mut infix, fault(length))?;
            let [base] = base;
            prefixes.push(LongPrefix { base, infix });
            position = record
                .saturating_add(length as u64)
                .checked_next_multiple_of(4)
                .unwrap_or(u64::MAX);
        }
        Ok(prefixes)
    }

    /// Where the table lies: in the image when a bit says so, else in the metabox, else in the
    /// packed inode, where there are any.
    fn prefix_table(&self) -> ReadResult<Table, R> {
        let superblock = &self.superblock;
        Ok(if superblock.compat.has(Compat::PLAIN_XATTR_PFX) {
            Table::Space(Space::Image)
        } else if superblock.incompat.has(Incompat::METABOX) {
            Table::Space(Space::Metabox)
        } else if superblock.incompat.has(Incompat::FRAGMENTS) && superblock.packed_nid != 0 {
            Table::Packed(self.inode(superblock.packed_nid)?)
        } else {
            Table::Space(Space::Image)
        })
    }

    /// Fills `buf` from the table, or ends in `fault` when it ends before.
    fn read_table(
        &self,
        table: &Table,
        position: u64,
        buf: &mut [u8],
        fault: Error,
    ) -> ReadResult<(), R> {
        match table {
            Table::Space(space) => self.metadata(*space, position, buf),
            Table::Packed(inode) => {
                if self.read(inode, position, buf)? == buf.len() {
                    Ok(())
                } else {
                    Err(fault.into())
                }
            }
        }
    }
}
