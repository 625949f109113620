//! Rules of content: where it lies, and at the full level that it decodes.

use super::{Checker, Level};
use crate::erofs::{
    Data, Encoding, Extent, FileType, Incompat, Inode, Layout, Needs, Place, ReadAt, ReadResult,
    Space,
};
use crate::{At, Code, Error, Value};

/// Size of the pieces in which shares are dealt out, in bytes, as a power of two.
pub(super) const PIECE_BITS: u32 = 20;

impl<R: ReadAt> Checker<'_, R> {
    /// Looks at where the content of a file, a directory or a symbolic link lies.
    /// `false` when not all of it could be found.
    pub(super) fn content(&mut self, inode: &Inode) -> ReadResult<bool, R> {
        match inode.data {
            Data::Start(None) => return Ok(true),
            Data::Start(Some(_)) => {}
            Data::Chunks(_) | Data::CompressedBlocks(_) => {
                let tables = self.image.tables(inode);
                let Some(tables) = self.take(tables)? else {
                    return Ok(false);
                };
                if let Some((start, end)) = tables {
                    self.work(end.saturating_sub(start))?;
                    self.take_metadata(inode, start, end)?;
                }
            }
            Data::Device(..) | Data::Nothing => return Ok(true),
        }
        if inode.layout.is_compressed() && inode.size > 0 {
            let ahead = self.image.check_lookahead(inode);
            if self.take(ahead)?.is_none() {
                return Ok(false);
            }
        }
        let decodes = self.options.level == Level::Full && inode.layout.is_compressed();
        // An extent is decoded when the next is known: a fault of the map that makes it the wrong
        // length is told as that.
        let mut waiting = None;
        let mut after_content = false;
        let mut offset = 0;
        while offset < inode.size {
            let extent = self.image.extent(inode, offset);
            let Some(extent) = self.take(extent)? else {
                return Ok(false);
            };
            // What one search finds and another does not would be read in two ways.
            if extent.offset != offset {
                self.report(
                    Error::new(Code::MapExtents, At::File(inode.nid, offset))
                        .found(Value::Number(extent.offset))
                        .expected(Value::Number(offset)),
                );
                return Ok(false);
            }
            let placed = self.place(inode, &extent);
            if self.take(placed)?.is_none() {
                return Ok(false);
            }
            if inode.layout.is_compressed() {
                if extent.place == Place::Hole {
                    self.sparse(inode, &extent, after_content)?;
                }
                after_content = extent.place != Place::Hole;
            }
            if let Some((extent, encoding)) = waiting.take() {
                self.decode_share(inode, &extent, encoding)?;
            }
            if decodes && let Place::Encoded(pcluster) = extent.place {
                waiting = Some((extent, pcluster.encoding));
            }
            let next = extent.offset.saturating_add(extent.length);
            if next <= offset {
                self.report(Error::new(Code::FileBounds, At::File(inode.nid, offset)));
                return Ok(false);
            }
            offset = next;
        }
        if let Some((extent, encoding)) = waiting {
            self.decode_share(inode, &extent, encoding)?;
        }
        Ok(true)
    }

    /// Where metadata ends: the image, or the metabox, whose last block may go on behind it.
    fn space_size(&self, space: Space) -> ReadResult<u64, R> {
        match space {
            Space::Image => Ok(self.image.size()),
            Space::Metabox => Ok(self.image.metabox_inode()?.size),
        }
    }

    /// Whether an extent lies inside what it lies in, and takes note of it.
    fn place(&mut self, inode: &Inode, extent: &Extent) -> ReadResult<(), R> {
        let (device, offset, length, may_share) = match extent.place {
            Place::Hole => return Ok(()),
            Place::Metadata { space, offset } => {
                // Content behind an inode is metadata as the inode is.
                let end = offset.saturating_add(extent.length);
                if end > self.space_size(space)? {
                    return Err(outside(inode, extent).into());
                }
                self.take_metadata(inode, offset, end)?;
                return Ok(());
            }
            Place::Raw { device, offset } => {
                let chunks = inode.layout == Layout::ChunkBased;
                (device, offset, extent.length, chunks)
            }
            Place::Encoded(pcluster) => {
                let block = self.image.superblock().block_size();
                if pcluster.encoding == Encoding::Interlaced && pcluster.length > block {
                    let at = At::File(inode.nid, extent.offset);
                    self.report(
                        Error::new(Code::PclusterSurplus, at)
                            .found(Value::Number(pcluster.length))
                            .expected(Value::AtMost(block)),
                    );
                }
                if let Some(space) = pcluster.metadata {
                    let end = pcluster.offset.saturating_add(pcluster.length);
                    if end > self.space_size(space)? {
                        return Err(outside(inode, extent).into());
                    }
                    self.take_metadata(inode, pcluster.offset, end)?;
                    return Ok(());
                }
                let deduplicated = self.image.superblock().incompat.has(Incompat::FRAGMENTS);
                (0, pcluster.offset, pcluster.length, deduplicated)
            }
            Place::Fragment { offset } => {
                return self.fragment(inode, extent, offset);
            }
        };
        if !self.image.contains(device, offset, length)? {
            return Err(outside(inode, extent).into());
        }
        if let Place::Encoded(pcluster) = &extent.place {
            let block = self.image.superblock().block_size();
            self.pclusters
                .add(pcluster, extent.offset, block, &mut self.budget)?;
        }
        if device != 0 {
            return Ok(());
        }
        let mut end = offset.saturating_add(length);
        if matches!(extent.place, Place::Raw { .. }) {
            // It has its last block for itself. Pclusters with addresses in bytes need not.
            let block = self.image.superblock().block_size();
            end = end.checked_next_multiple_of(block).unwrap_or(end);
        }
        if inode.file_type == FileType::Directory {
            let [image, _] = &mut self.metadata;
            image.add(offset, end, &mut self.budget)?;
        } else if may_share {
            self.shared.add(offset, end, &mut self.budget)?;
        } else {
            self.content.add(offset, end, &mut self.budget)?;
        }
        Ok(())
    }

    /// Whether all kernels see a hole in a compressed file as one. Those that do not are asked by
    /// what they decode there.
    fn sparse(&mut self, inode: &Inode, extent: &Extent, after_content: bool) -> ReadResult<(), R> {
        let sparse = self.image.is_sparse(inode, extent.offset);
        if self.silent || self.take(sparse)? != Some(true) {
            return Ok(());
        }
        self.summary.decoded = self.summary.decoded.saturating_add(extent.length);
        self.within_work(self.summary.decoded)?;
        let checked = self.image.check_sparse(inode, extent.offset, after_content);
        if self.take(checked)?.is_none() {
            self.need(Needs::HOLES, At::File(inode.nid, extent.offset));
        }
        Ok(())
    }

    /// Whether a fragment lies inside the packed inode, as reading it would say.
    fn fragment(&mut self, inode: &Inode, extent: &Extent, offset: u64) -> ReadResult<(), R> {
        let fault = |code| Error::new(code, At::Nid(inode.nid));
        let Some(packed) = self.image.superblock().packed_inode() else {
            return Err(fault(Code::FragmentInode).into());
        };
        if packed == inode.nid {
            return Err(fault(Code::FragmentLoop).into());
        }
        let size = self.image.inode(packed)?.size;
        let end = offset.saturating_add(extent.length);
        if end > size {
            return Err(fault(Code::FragmentBounds)
                .found(Value::Number(end))
                .expected(Value::AtMost(size))
                .into());
        }
        Ok(())
    }

    /// Decodes an extent, unless that is for another share.
    ///
    /// Of a fragment nothing is decoded here: the packed inode is a file like others, and all of
    /// it is decoded as such. Nor is there anything to decode in a pcluster that is plain.
    fn decode_share(
        &mut self,
        inode: &Inode,
        extent: &Extent,
        encoding: Encoding,
    ) -> ReadResult<(), R> {
        let (number, count) = self.options.share;
        // By the place of the extent in all that is decoded, so that a share gets a part of
        // every large file, and neighbours for the most part.
        let piece = self.encoded >> PIECE_BITS;
        self.encoded = self.encoded.saturating_add(extent.length);
        let mine = piece.checked_rem(count.max(1).into()) == Some(number.into());
        if !mine || encoding.is_plain() {
            return Ok(());
        }
        let silent = core::mem::replace(&mut self.silent, false);
        let decoded = self.decode(inode, extent);
        self.silent = silent;
        decoded
    }

    /// Decodes an extent.
    fn decode(&mut self, inode: &Inode, extent: &Extent) -> ReadResult<(), R> {
        self.summary.decoded = self.summary.decoded.saturating_add(extent.length);
        self.within_work(self.summary.decoded)?;
        // The reader refuses what decodes to more than 12 MiB.
        let length = usize::try_from(extent.length).unwrap_or(usize::MAX);
        let mut decoded = core::mem::take(&mut self.decoded);
        if decoded.len() < length {
            decoded = crate::erofs::buffer(length)?;
        }
        let part = decoded.get_mut(..length).unwrap_or(&mut []);
        let read = self.image.read(inode, extent.offset, part);
        self.decoded = decoded;
        self.take(read)?;
        Ok(())
    }
}

/// An extent that lies beyond the end of what it lies in.
const fn outside(inode: &Inode, extent: &Extent) -> Error {
    Error::new(Code::FileBounds, At::File(inode.nid, extent.offset))
}
