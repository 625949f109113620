//! Where the bytes of a file lie: its extents, whatever its layout. Those of flat files are found
//! here, those of chunks in `chunk`, those of compressed files in `compress`.
//!
//! Follows `erofs_map_blocks` in `fs/erofs/data.c` of Linux and `__erofs_map_blocks` in
//! `lib/data.c` of erofs-utils.

use super::compress::Pcluster;
use super::{Data, Image, Inode, Layout, ReadAt, ReadResult, Space};
use crate::{At, Code, Error, Value};

/// A run of a file's bytes that lies in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first byte, counted in the file.
    pub offset: u64,
    /// How many bytes; never beyond the size of the file. Zero at and beyond its end.
    pub length: u64,
    /// Where they are.
    pub place: Place,
}

/// Where the bytes of an extent are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// Nowhere: they are zeros.
    Hole,
    /// In the metadata, behind the inode.
    Metadata {
        /// Which bytes the offset counts in.
        space: Space,
        /// Where the extent starts, in bytes.
        offset: u64,
    },
    /// In a device, as they are; see [`Image::read_raw`].
    Raw {
        /// The device's number, counted from 1; 0 for the image and what is addressed with it
        /// as one.
        device: u16,
        /// Where the extent starts, in bytes of the device.
        offset: u64,
    },
    /// Compressed.
    Encoded(Pcluster),
    /// In the content of the packed inode.
    Fragment {
        /// Where the extent starts, in bytes of that content.
        offset: u64,
    },
}

impl Extent {
    /// No bytes at all: what there is at `offset` beyond the end of a file.
    pub(super) const fn end(offset: u64) -> Self {
        Self {
            offset,
            length: 0,
            place: Place::Hole,
        }
    }
}

impl<R: ReadAt> Image<R> {
    /// The metadata behind an inode that says where its content lies, if there is such: from
    /// its start to the byte after its end, in bytes of the space that the inode lies in.
    ///
    /// # Errors
    ///
    /// [`Code::MetadataBounds`] when it does not lie inside the image.
    pub(crate) fn tables(&self, inode: &Inode) -> ReadResult<Option<(u64, u64)>, R> {
        let (start, end) = match inode.data {
            _ if inode.size == 0 => return Ok(None),
            Data::Chunks(format) => self.chunk_table(inode, format)?,
            Data::CompressedBlocks(_) => self.map_table(inode)?,
            _ => return Ok(None),
        };
        if start < end {
            // The last byte is there when all of it is.
            let last = end.saturating_sub(1);
            self.metadata_of(inode.nid, self.space(inode.nid), last, &mut [0])?;
        }
        Ok(Some((start, end)))
    }

    /// The extent that holds the byte `offset` of a file, a directory or a symbolic link.
    ///
    /// At and beyond the end it is a hole of no length, so that
    /// `offset = extent.offset + extent.length` goes through a file and stops there. Chunks
    /// that follow each other on a device are given as one extent, up to some length; the
    /// next extent may go on where this one ends.
    ///
    /// # Errors
    ///
    /// [`Code::InodeType`] for what has no content; [`Code::FileBounds`] when the address does
    /// not fit 64 bits; [`Code::InlineBounds`] when content behind the inode crosses the end of
    /// its block; [`Code::ChunkDevice`] when there is no such device; what the compressed
    /// layouts refuse. Whether the bytes are there is only seen when they are read.
    pub fn extent(&self, inode: &Inode, offset: u64) -> ReadResult<Extent, R> {
        self.extent_for(inode, offset, u64::MAX)
    }

    /// The extent that holds the byte `offset`, for a reader who wants `wanted` bytes from there
    /// on: chunks behind those are not looked at.
    pub(super) fn extent_for(
        &self,
        inode: &Inode,
        offset: u64,
        wanted: u64,
    ) -> ReadResult<Extent, R> {
        if offset >= inode.size {
            return Ok(Extent::end(offset));
        }
        match inode.data {
            Data::Start(start) => Ok(self.flat_extent(inode, start, offset)?),
            Data::Chunks(format) => self.chunk_extent(inode, format, offset, wanted),
            Data::CompressedBlocks(_) => self.compressed_extent(inode, offset),
            Data::Device(..) | Data::Nothing => {
                Err(Error::new(Code::InodeType, At::Nid(inode.nid)).into())
            }
        }
    }

    /// The extent of a file in consecutive blocks, the last of which may be inline.
    fn flat_extent(&self, inode: &Inode, start: Option<u64>, offset: u64) -> Result<Extent, Error> {
        let block = self.superblock.block_size();
        let outside = || Error::new(Code::FileBounds, At::File(inode.nid, offset));
        // Where the blocks end and the inline part starts.
        let tail = if inode.layout == Layout::FlatInline {
            // The start of the block that the last byte lies in.
            let last = inode.size.saturating_sub(1);
            last.saturating_sub(self.superblock.within_block(last))
        } else {
            inode.size
        };
        if offset < tail {
            let place = match start {
                None => Place::Hole,
                Some(start) => {
                    let offset = self.superblock.bytes(start).ok_or_else(outside)?;
                    offset.checked_add(tail).ok_or_else(outside)?;
                    Place::Raw { device: 0, offset }
                }
            };
            return Ok(Extent {
                offset: 0,
                length: tail,
                place,
            });
        }
        let length = inode.size.saturating_sub(tail);
        let end = inode.end();
        let within = self.superblock.within_block(end);
        if within.saturating_add(length) > block {
            return Err(Error::new(Code::InlineBounds, At::Nid(inode.nid))
                .found(Value::Number(length))
                .expected(Value::AtMost(block.saturating_sub(within))));
        }
        Ok(Extent {
            offset: tail,
            length,
            place: Place::Metadata {
                space: self.space(inode.nid),
                offset: end,
            },
        })
    }
}
