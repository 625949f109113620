//! The metabox: metadata that lies in the content of one inode, compressed or not.

use super::{Image, ReadAt, ReadResult};
use crate::{At, Code, Error};

impl<R: ReadAt> Image<R> {
    /// Reads metadata from the metabox.
    pub(super) fn metabox(&self, offset: u64, _buf: &mut [u8]) -> ReadResult<(), R> {
        Err(Error::new(Code::MetadataBounds, At::Image(offset)).into())
    }
}
