//! Compressed data.

use super::{Extent, Image, Inode, ReadAt, ReadResult};
use crate::{At, Code, Error};

/// A physical cluster: a run of compressed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pcluster {
    /// Where it starts, in bytes of the flat address space.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

impl<R: ReadAt> Image<R> {
    /// The extent of a compressed file.
    pub(super) fn compressed_extent(&self, inode: &Inode, _offset: u64) -> ReadResult<Extent, R> {
        Err(Error::new(Code::CompressionUnavailable, At::Nid(inode.nid)).into())
    }

    /// Fills `buf` from a compressed file; what is asked for lies inside its size.
    pub(super) fn read_compressed(
        &self,
        inode: &Inode,
        _offset: u64,
        _buf: &mut [u8],
    ) -> ReadResult<(), R> {
        Err(Error::new(Code::CompressionUnavailable, At::Nid(inode.nid)).into())
    }
}
