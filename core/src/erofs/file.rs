//! Content: of files, directories and symbolic links, and of the devices that it lies in.

use alloc::vec::Vec;

use super::{Data, Extent, FileType, Image, Inode, Place, ReadAt, ReadError, ReadResult, Space};
use crate::{At, Code, Error, Value};

impl<R: ReadAt> Image<R> {
    /// Fills `buf` with the content of a file, a directory or a symbolic link from `offset` on,
    /// and says how many bytes that are: fewer than `buf` holds only where the content ends.
    ///
    /// # Errors
    ///
    /// As [`Self::extent`]; [`Code::FileBounds`] when the bytes lie beyond the end of the image
    /// or device; [`Code::DeviceMissing`]; what the decoders refuse; what the source says.
    pub fn read(&self, inode: &Inode, offset: u64, buf: &mut [u8]) -> ReadResult<usize, R> {
        let left = inode.size.saturating_sub(offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let Some(mut rest) = buf.get_mut(..wanted).filter(|rest| !rest.is_empty()) else {
            return Ok(0);
        };
        if matches!(inode.data, Data::CompressedBlocks(_)) {
            self.read_compressed(inode, offset, rest)?;
            return Ok(wanted);
        }
        let mut offset = offset;
        while !rest.is_empty() {
            let extent = self.extent(inode, offset)?;
            let within = offset.saturating_sub(extent.offset);
            let there = extent.length.saturating_sub(within);
            let take = usize::try_from(there).unwrap_or(usize::MAX).min(rest.len());
            let Some((part, after)) = rest.split_at_mut_checked(take).filter(|_| take > 0) else {
                return Err(Error::new(Code::FileBounds, At::File(inode.nid, offset)).into());
            };
            self.read_extent(inode, &extent, within, part)?;
            offset = offset.saturating_add(take as u64);
            rest = after;
        }
        Ok(wanted)
    }

    /// Fills `part` with bytes of an extent that is not compressed, from `within` on.
    fn read_extent(
        &self,
        inode: &Inode,
        extent: &Extent,
        within: u64,
        part: &mut [u8],
    ) -> ReadResult<(), R> {
        let at = At::File(inode.nid, extent.offset.saturating_add(within));
        let moved = |error| match error {
            ReadError::Refused(error) => ReadError::Refused(error.moved(at)),
            source => source,
        };
        match extent.place {
            Place::Hole => {
                part.fill(0);
                Ok(())
            }
            Place::Metadata { space, offset } => self
                .metadata(space, offset.saturating_add(within), part)
                .map_err(moved),
            Place::Raw { device, offset } => {
                let offset = offset.saturating_add(within);
                // Directories are read again and again, and lie near to the inodes.
                let read = if inode.file_type == FileType::Directory {
                    self.read_raw_cached(device, offset, part)
                } else {
                    self.read_raw(device, offset, part)
                };
                read.map_err(moved)
            }
            Place::Encoded(_) | Place::Fragment { .. } => {
                self.read_compressed(inode, extent.offset.saturating_add(within), part)
            }
        }
    }

    /// Fills `buf` with bytes of a device, as they are.
    ///
    /// Device 0 is the address space of the image and of those devices that are addressed with
    /// it as one (`erofs_map_dev` in `fs/erofs/data.c`). A device that has not been attached is
    /// looked for in the image itself, at the place where it is addressed, which is where
    /// `mkfs.erofs --tar=i` expects the archive to be appended (`flatdev` there).
    ///
    /// # Errors
    ///
    /// [`Code::FileBounds`] when the bytes lie beyond the end of the image or device;
    /// [`Code::DeviceMissing`] when the device was not attached and has no place in the image;
    /// [`Code::ChunkDevice`] when there is no such device; what the source says.
    pub fn read_raw(&self, device: u16, offset: u64, buf: &mut [u8]) -> ReadResult<(), R> {
        let (source, offset) = self.locate(device, offset, buf.len())?;
        source.read_at(offset, buf).map_err(ReadError::Source)
    }

    /// As [`Self::read_raw`], through the cache of metadata where the image itself is meant.
    fn read_raw_cached(&self, device: u16, offset: u64, buf: &mut [u8]) -> ReadResult<(), R> {
        if self.devices.is_empty() {
            self.metadata(Space::Image, offset, buf)
                .map_err(|error| match error {
                    ReadError::Refused(error) if error.code() == Code::MetadataBounds => {
                        self.file_bounds(offset, buf.len(), self.size).into()
                    }
                    error => error,
                })
        } else {
            self.read_raw(device, offset, buf)
        }
    }

    /// The source that a run of bytes lies in, and where there.
    fn locate(&self, device: u16, offset: u64, length: usize) -> Result<(&R, u64), Error> {
        let (source, size, within) = if device == 0 {
            self.locate_flat(offset)
        } else {
            let index = usize::from(device).saturating_sub(1);
            let Some(device) = self.devices.get(index) else {
                return Err(Error::new(Code::ChunkDevice, At::Image(offset))
                    .found(Value::Number(device.into()))
                    .expected(Value::AtMost(self.devices.len() as u64)));
            };
            match (&device.source, device.slot.start) {
                (Some((source, size)), _) => (source, *size, offset),
                (None, 0) => {
                    return Err(Error::new(Code::DeviceMissing, At::Image(offset))
                        .found(Value::Number(index.saturating_add(1) as u64)));
                }
                (None, start) => {
                    let start = start.saturating_mul(self.superblock.block_size());
                    (&self.source, self.size, offset.saturating_add(start))
                }
            }
        };
        let end = within.checked_add(length as u64);
        if end.is_none_or(|end| end > size) {
            return Err(self.file_bounds(within, length, size));
        }
        Ok((source, within))
    }

    /// The source that an address of the flat space lies in, its size, and where there.
    fn locate_flat(&self, offset: u64) -> (&R, u64, u64) {
        let block = offset >> (self.superblock.block_bits & 63);
        let attached = self.devices.iter().find_map(|device| {
            let end = device.slot.end()?;
            let (source, size) = device.source.as_ref()?;
            (device.slot.start <= block && block < end).then(|| {
                let start = device
                    .slot
                    .start
                    .saturating_mul(self.superblock.block_size());
                (source, *size, offset.saturating_sub(start))
            })
        });
        attached.unwrap_or((&self.source, self.size, offset))
    }

    /// Bytes that lie beyond the end.
    #[allow(
        clippy::unused_self,
        reason = "a method, so that callers need not name the type's parameter"
    )]
    fn file_bounds(&self, offset: u64, length: usize, size: u64) -> Error {
        Error::new(Code::FileBounds, At::Image(offset))
            .found(Value::Number(offset.saturating_add(length as u64)))
            .expected(Value::AtMost(size))
    }

    /// The target of a symbolic link, as it is.
    ///
    /// # Errors
    ///
    /// [`Code::InodeType`] when it is none; [`Code::SymlinkLength`] when the target is longer
    /// than the limit; as [`Self::read`].
    pub fn read_link(&self, inode: &Inode) -> ReadResult<Vec<u8>, R> {
        if inode.file_type != FileType::Symlink {
            return Err(Error::new(Code::InodeType, At::Nid(inode.nid)).into());
        }
        if inode.size > u64::from(self.limits.symlink_length) {
            return Err(Error::new(Code::SymlinkLength, At::Nid(inode.nid))
                .found(Value::Number(inode.size))
                .expected(Value::AtMost(self.limits.symlink_length.into()))
                .into());
        }
        let length = usize::try_from(inode.size).unwrap_or(usize::MAX);
        let mut target = buffer(length)?;
        self.read(inode, 0, &mut target)?;
        Ok(target)
    }
}

/// A buffer of zeros, whose size has passed a limit.
pub(super) fn buffer(length: usize) -> Result<Vec<u8>, Error> {
    let mut buffer = Vec::new();
    buffer
        .try_reserve_exact(length)
        .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
    buffer.resize(length, 0);
    Ok(buffer)
}
