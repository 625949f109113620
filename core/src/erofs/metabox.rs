//! The metabox: metadata that lies in the content of one inode, compressed or not.

use super::cache::Cache;
use super::{Image, Inode, ReadAt, ReadResult, Space};
use crate::{At, Code, Error, Value};

impl<R: ReadAt> Image<R> {
    /// Reads metadata from the metabox, through a cache of its own.
    pub(super) fn metabox(&self, offset: u64, buf: &mut [u8]) -> ReadResult<(), R> {
        let inode = self.metabox_inode()?;
        let end = offset.saturating_add(buf.len() as u64);
        if end > inode.size {
            return Err(
                Error::new(Code::MetadataBounds, At::File(inode.nid, offset))
                    .found(Value::Number(end))
                    .expected(Value::AtMost(inode.size))
                    .into(),
            );
        }
        // To read its content, no metadata may be needed that lies in it: that of a packed
        // inode which a fragment is in, for example.
        let Some(_lock) = self.metabox_lock.take_if_free() else {
            return Err(Error::new(Code::MetaboxLoop, At::Nid(inode.nid)).into());
        };
        let mut cache = self.metabox_cache.borrow_mut();
        let cache = match &mut *cache {
            Some(cache) => cache,
            none => none.insert(Cache::new(self.limits.metadata_cache)?),
        };
        cache.read(offset, buf, inode.size, |offset, line| {
            self.read(&inode, offset, line).map(drop)
        })
    }

    /// The inode whose content the metabox is.
    pub(crate) fn metabox_inode(&self) -> ReadResult<Inode, R> {
        let known = self.compressed.borrow().metabox;
        if let Some(inode) = known {
            return Ok(inode);
        }
        let missing = || Error::new(Code::SuperblockMetabox, At::Whole);
        let nid = self.superblock.metabox_nid.ok_or_else(missing)?;
        if self.space(nid) == Space::Metabox {
            return Err(missing().into());
        }
        let inode = self.inode(nid)?;
        self.compressed.borrow_mut().metabox = Some(inode);
        Ok(inode)
    }

    /// Where the metadata of a space ends, in bytes.
    pub(super) fn space_end(&self, space: Space) -> ReadResult<u64, R> {
        Ok(match space {
            Space::Image => self.size,
            Space::Metabox => self.metabox_inode()?.size,
        })
    }
}
