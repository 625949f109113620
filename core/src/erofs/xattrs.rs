//! The extended attributes of an inode: those behind it, then those that it shares.
//!
//! Follows `erofs_xattr_iter_inline`, `erofs_xattr_iter_shared` and `erofs_getxattr` in
//! `fs/erofs/xattr.c` of Linux.

use alloc::vec::Vec;
use core::fmt;

use super::buffer::buffer;
use super::xattr::{ENTRY_SIZE, HEADER_SIZE, Header, Index, XattrEntry, filter_bit, prefix, split};
use super::{Compat, Image, Inode, ReadAt, ReadResult, Space};
use crate::{At, Code, Error, Value};

/// An extended attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xattr<'a> {
    /// The full name, prefix included: at most 533 bytes, without NUL.
    pub name: &'a [u8],
    /// The value, at most 65535 bytes.
    pub value: &'a [u8],
}

/// Where an entry was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    space: Space,
    /// Where its name starts, in bytes of the space.
    name: u64,
    entry: XattrEntry,
}

/// The extended attributes of an inode, in the order in which the kernel looks at them. Made by
/// [`Image::xattrs`].
///
/// There are at most 65,789, as many as an inode has room for, and one is in memory at a time.
/// A name that comes twice counts as it came first. Entries whose names have no prefix
/// that the kernel knows are left out, as the kernel does; `mkfs.erofs` keeps things of its own
/// in such.
pub struct Xattrs<'a, R> {
    image: &'a Image<R>,
    nid: u64,
    /// The space that the inode lies in.
    space: Space,
    header: Header,
    /// Where the next entry behind the inode starts, and how many bytes of entries there are.
    position: u64,
    left: u64,
    /// Where the next id of a shared entry lies, and how many there are.
    id: u64,
    ids: u8,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl<R> fmt::Debug for Xattrs<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Xattrs")
            .field("nid", &self.nid)
            .finish_non_exhaustive()
    }
}

impl Found {
    /// Size of the entry with its name and value, in bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.entry.size()
    }

    /// Whether it is four zeros: no prefix, no name, no value. `mkfs.erofs` fills up an area with
    /// such where it has taken xattrs away (`erofs_export_xattr_ibody`).
    pub(crate) const fn is_free(&self) -> bool {
        matches!(
            self.entry,
            XattrEntry {
                name_length: 0,
                index: Index::Short(0),
                value_size: 0,
            }
        )
    }
}

impl<R: ReadAt> Xattrs<'_, R> {
    /// Bits of the filter of absent names.
    pub(crate) const fn absent(&self) -> u32 {
        self.header.absent
    }

    /// Whether reserved bytes of the header are not zero.
    pub(crate) const fn header_reserved(&self) -> bool {
        self.header.reserved
    }

    /// The name that was read last.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// The value that was read last.
    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Whether the value of an entry is there, without reading it all.
    pub(crate) fn reaches(&self, found: &Found) -> ReadResult<(), R> {
        let size = u64::from(found.entry.value_size);
        let Some(before) = size.checked_sub(1) else {
            return Ok(());
        };
        let last = found
            .name
            .saturating_add(found.entry.name_length.into())
            .saturating_add(before);
        self.image
            .metadata_of(self.nid, found.space, last, &mut [0])
    }

    /// The next one, or `None` at the end and after an error.
    ///
    /// # Errors
    ///
    /// [`Code::XattrEntry`] when an entry goes beyond the inode's area; [`Code::XattrName`] when
    /// a name holds a NUL; [`Code::XattrPrefix`] when there is no such long prefix, or their
    /// table is damaged; [`Code::MetadataBounds`]; what the source says.
    #[allow(
        clippy::should_implement_trait,
        reason = "an attribute borrows from the iterator, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> ReadResult<Option<Xattr<'_>>, R> {
        match self.next_named() {
            Ok(Some(found)) => match self.read_value(&found) {
                Ok(()) => Ok(Some(Xattr {
                    name: &self.name,
                    value: &self.value,
                })),
                Err(error) => {
                    self.finish();
                    Err(error)
                }
            },
            Ok(None) => Ok(None),
            Err(error) => {
                self.finish();
                Err(error)
            }
        }
    }

    fn finish(&mut self) {
        self.left = 0;
        self.ids = 0;
    }

    /// The next entry that has a name, which is then in `self.name`.
    fn next_named(&mut self) -> ReadResult<Option<Found>, R> {
        while let Some(found) = self.next_entry()? {
            if self.read_name(&found)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The next entry, behind the inode or shared.
    pub(crate) fn next_entry(&mut self) -> ReadResult<Option<Found>, R> {
        if self.left > 0 {
            let found = self.entry(self.space, self.position)?;
            let size = found.entry.size();
            let Some(left) = self.left.checked_sub(size) else {
                return Err(Error::new(Code::XattrEntry, At::Nid(self.nid))
                    .found(Value::Number(size))
                    .expected(Value::AtMost(self.left))
                    .into());
            };
            self.left = left;
            self.position = self.position.saturating_add(size);
            return Ok(Some(found));
        }
        let Some(ids) = self.ids.checked_sub(1) else {
            return Ok(None);
        };
        let mut id = [0; 4];
        self.image
            .metadata_of(self.nid, self.space, self.id, &mut id)?;
        self.ids = ids;
        self.id = self.id.saturating_add(id.len() as u64);
        let superblock = &self.image.superblock;
        let space = if superblock.compat.has(Compat::SHARED_EA_IN_METABOX) {
            Space::Metabox
        } else {
            Space::Image
        };
        let start = u64::from(superblock.xattr_block).saturating_mul(superblock.block_size());
        let within = u64::from(u32::from_le_bytes(id)).saturating_mul(ENTRY_SIZE as u64);
        Ok(Some(self.entry(space, start.saturating_add(within))?))
    }

    /// The entry that starts at `position`.
    fn entry(&self, space: Space, position: u64) -> ReadResult<Found, R> {
        let mut record = [0; ENTRY_SIZE];
        self.image
            .metadata_of(self.nid, space, position, &mut record)?;
        Ok(Found {
            space,
            name: position.saturating_add(ENTRY_SIZE as u64),
            entry: XattrEntry::parse(record),
        })
    }

    /// The index of the short prefix of an entry's name, and what follows that in a long one.
    fn prefix_of<'i>(
        image: &'i Image<R>,
        nid: u64,
        found: &Found,
    ) -> ReadResult<(u8, &'i [u8]), R> {
        match found.entry.index {
            Index::Short(index) => Ok((index, &[])),
            Index::Long(number) => {
                let prefixes = image.prefixes()?;
                match prefixes.get(usize::from(number)) {
                    Some(long) => Ok((long.base, long.infix.as_slice())),
                    None => Err(Error::new(Code::XattrPrefix, At::Nid(nid))
                        .found(Value::Number(number.into()))
                        .into()),
                }
            }
        }
    }

    /// Whether an entry has this name behind the short prefix of this index, whether the kernel shows
    /// that prefix or not.
    pub(crate) fn is_named(&self, found: &Found, base: u8, name: &[u8]) -> ReadResult<bool, R> {
        let (found_base, infix) = Self::prefix_of(self.image, self.nid, found)?;
        let Some(rest) = name.strip_prefix(infix).filter(|_| found_base == base) else {
            return Ok(false);
        };
        if rest.len() != usize::from(found.entry.name_length) {
            return Ok(false);
        }
        let mut own = [0; u8::MAX as usize];
        let own = own.get_mut(..rest.len()).unwrap_or(&mut []);
        self.image
            .metadata_of(self.nid, found.space, found.name, own)?;
        Ok(own == rest)
    }

    /// The value that was read last, for good.
    pub(super) fn into_value(self) -> Vec<u8> {
        self.value
    }

    /// Reads the full name of an entry to `self.name`; `false` when it has none that the kernel
    /// shows.
    pub(crate) fn read_name(&mut self, found: &Found) -> ReadResult<bool, R> {
        let (base, infix) = Self::prefix_of(self.image, self.nid, found)?;
        let Some(prefix) = prefix(base) else {
            return Ok(false);
        };
        let length = usize::from(found.entry.name_length);
        let known = prefix.len().saturating_add(infix.len());
        self.name.clear();
        self.name
            .try_reserve(known.saturating_add(length))
            .map_err(|_| Error::new(Code::MetadataMemory, At::Nid(self.nid)))?;
        self.name.extend_from_slice(prefix);
        self.name.extend_from_slice(infix);
        self.name.resize(known.saturating_add(length), 0);
        let own = self.name.get_mut(known..).unwrap_or(&mut []);
        self.image
            .metadata_of(self.nid, found.space, found.name, own)?;
        if self.name.contains(&0) {
            return Err(Error::new(Code::XattrName, At::Nid(self.nid)).into());
        }
        Ok(true)
    }

    /// Whether two entries have the same value.
    pub(crate) fn same_value(&mut self, one: &Found, other: &Found) -> ReadResult<bool, R> {
        if one.entry.value_size != other.entry.value_size {
            return Ok(false);
        }
        self.read_value(one)?;
        let first = core::mem::take(&mut self.value);
        self.read_value(other)?;
        Ok(self.value == first)
    }

    /// Reads the value of an entry to `self.value`.
    pub(crate) fn read_value(&mut self, found: &Found) -> ReadResult<(), R> {
        let size = usize::from(found.entry.value_size);
        if self.value.capacity() < size {
            self.value = buffer(size)?;
        } else {
            self.value.resize(size, 0);
        }
        let position = found.name.saturating_add(found.entry.name_length.into());
        self.image
            .metadata_of(self.nid, found.space, position, &mut self.value)
    }
}

impl<R: ReadAt> Image<R> {
    /// The extended attributes of an inode.
    ///
    /// # Errors
    ///
    /// [`Code::XattrHeader`] when the header's area has an undefined size or holds less than the
    /// header says; [`Code::MetadataBounds`]; what the source says.
    pub fn xattrs(&self, inode: &Inode) -> ReadResult<Xattrs<'_, R>, R> {
        let space = self.space(inode.nid);
        let start = inode.offset.saturating_add(inode.record_size());
        let mut xattrs = Xattrs {
            image: self,
            nid: inode.nid,
            space,
            header: Header {
                absent: 0,
                shared: 0,
                reserved: false,
            },
            position: 0,
            left: 0,
            id: 0,
            ids: 0,
            name: Vec::new(),
            value: Vec::new(),
        };
        let size = inode.xattr_size();
        if size == 0 {
            return Ok(xattrs);
        }
        let fault = Error::new(Code::XattrHeader, At::Nid(inode.nid)).found(Value::Number(size));
        let fixed = HEADER_SIZE as u64;
        // As in `erofs_init_inode_xattrs`: a header without anything means nothing yet.
        if size <= fixed {
            return Err(fault
                .expected(Value::AtLeast(fixed.saturating_add(4)))
                .into());
        }
        let mut record = [0; HEADER_SIZE];
        self.metadata_of(inode.nid, space, start, &mut record)?;
        let header = Header::parse(&record);
        let ids = u64::from(header.shared).saturating_mul(4);
        let Some(left) = size
            .checked_sub(fixed)
            .and_then(|rest| rest.checked_sub(ids))
        else {
            return Err(fault
                .expected(Value::AtLeast(fixed.saturating_add(ids)))
                .into());
        };
        xattrs.header = header;
        xattrs.id = start.saturating_add(fixed);
        xattrs.ids = header.shared;
        xattrs.position = xattrs.id.saturating_add(ids);
        xattrs.left = left;
        Ok(xattrs)
    }

    /// The value of the extended attribute of this full name (`user.mime_type`).
    ///
    /// Where the image has a filter of absent names, most names that are not there cost no
    /// look at the entries (`erofs_getxattr`).
    ///
    /// # Errors
    ///
    /// As [`Self::xattrs`] and [`Xattrs::next`].
    pub fn xattr(&self, inode: &Inode, name: &[u8]) -> ReadResult<Option<Vec<u8>>, R> {
        let Some((index, rest)) = split(name) else {
            return Ok(None);
        };
        let mut xattrs = self.xattrs(inode)?;
        // A value other than zero of the reserved byte says that the filter is not this one.
        let filtered = self.superblock.compat.has(Compat::XATTR_FILTER)
            && self.superblock.xattr_filter_reserved == 0;
        if filtered && xattrs.header.absent & filter_bit(index, rest) != 0 {
            return Ok(None);
        }
        while let Some(found) = xattrs.next_named()? {
            if xattrs.name == name {
                xattrs.read_value(&found)?;
                return Ok(Some(xattrs.value));
            }
        }
        Ok(None)
    }
}
