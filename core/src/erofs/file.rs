//! Content: of files, directories and symbolic links, and of the devices that it lies in. Where it
//! lies is said by `extent`.

use alloc::vec::Vec;

use super::buffer::buffer;
use super::image::Device;
use super::{
    Data, DeviceSlot, Extent, FileType, Image, Inode, Place, ReadAt, ReadError, ReadResult, Space,
};
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
            let extent = self.extent_for(inode, offset, rest.len() as u64)?;
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
    /// [`Code::DeviceMissing`] when the device was not attached and is not in the image either;
    /// [`Code::ChunkDevice`] when there is no such device; what the source says.
    pub fn read_raw(&self, device: u16, offset: u64, buf: &mut [u8]) -> ReadResult<(), R> {
        let (source, offset) = self.locate(device, offset, buf.len())?;
        source
            .unwrap_or(&self.source)
            .read_at(offset, buf)
            .map_err(ReadError::Source)
    }

    /// As [`Self::read_raw`], through the cache of metadata where the image itself is meant.
    fn read_raw_cached(&self, device: u16, offset: u64, buf: &mut [u8]) -> ReadResult<(), R> {
        match self.locate(device, offset, buf.len())? {
            (Some(source), offset) => source.read_at(offset, buf).map_err(ReadError::Source),
            (None, offset) => self.metadata(Space::Image, offset, buf),
        }
    }

    /// Whether a run of bytes of a device lies inside it. Of a device that was not attached
    /// and has no place in the image, its slot says how large it is.
    pub(crate) fn contains(&self, device: u16, offset: u64, length: u64) -> Result<bool, Error> {
        let Some(before) = length.checked_sub(1) else {
            return Ok(true);
        };
        let Some(last) = offset.checked_add(before) else {
            return Ok(false);
        };
        let fits = |offset| match self.locate(device, offset, 1) {
            Ok((source, within)) => Ok(Some((source.map(core::ptr::from_ref), within))),
            Err(error) if matches!(error.code(), Code::FileBounds | Code::DeviceMissing) => {
                Ok(None)
            }
            Err(error) => Err(error),
        };
        // Both ends in one source, as far apart there as here: then all between is in it too.
        if let (Some((first, from)), Some((second, to))) = (fits(offset)?, fits(last)?) {
            let same = match (first, second) {
                (None, None) => true,
                (Some(first), Some(second)) => core::ptr::eq(first, second),
                _ => false,
            };
            return Ok(same && to.checked_sub(from) == Some(before));
        }
        Ok(self.is_declared(device, offset, last))
    }

    /// Whether the bytes of a device are at hand, counted from 0: attached, or in the image itself
    /// at the place where they are addressed.
    pub(crate) fn has_device(&self, index: usize) -> bool {
        self.devices.get(index).is_some_and(|device| {
            let slot = &device.slot;
            let end = slot.end().and_then(|end| self.superblock.bytes(end));
            device.source.is_some() || end.is_some_and(|end| end <= self.size)
        })
    }

    /// Whether the slot of a device that is not at hand has room for these bytes.
    fn is_declared(&self, device: u16, offset: u64, last: u64) -> bool {
        let block = self.superblock.block_size();
        let covers = |slot: &DeviceSlot, start: u64| {
            let end = start.saturating_add(slot.blocks).saturating_mul(block);
            offset >= start.saturating_mul(block) && last < end
        };
        if device == 0 {
            self.devices.iter().any(|device| {
                device.source.is_none()
                    && device.slot.start != 0
                    && covers(&device.slot, device.slot.start)
            })
        } else {
            self.devices
                .get(usize::from(device).saturating_sub(1))
                .is_some_and(|device| device.source.is_none() && covers(&device.slot, 0))
        }
    }

    /// The attached device that a run of bytes lies in, or `None` for the image itself, and
    /// where there.
    fn locate(&self, device: u16, offset: u64, length: usize) -> Result<(Option<&R>, u64), Error> {
        let block = offset >> (self.superblock.block_bits & 63);
        let (number, slot) = if device == 0 {
            let covers = |device: &&Device<R>| {
                let slot = &device.slot;
                slot.end()
                    .is_some_and(|end| slot.start <= block && block < end)
            };
            let mut slots = self.devices.iter().enumerate();
            slots
                .find(|(_, device)| covers(device))
                .map_or((0, None), |(index, slot)| {
                    let number = u16::try_from(index.saturating_add(1)).unwrap_or(u16::MAX);
                    (number, Some(slot))
                })
        } else {
            let Some(slot) = self.devices.get(usize::from(device).saturating_sub(1)) else {
                return Err(Error::new(Code::ChunkDevice, At::Image(offset))
                    .found(Value::Number(device.into()))
                    .expected(Value::AtMost(self.devices.len() as u64)));
            };
            (device, Some(slot))
        };
        let start = slot.map_or(0, |device| {
            device
                .slot
                .start
                .saturating_mul(self.superblock.block_size())
        });
        let attached = slot.and_then(|device| device.source.as_ref());
        let (source, size) =
            attached.map_or((None, self.size), |(source, size)| (Some(source), *size));
        let within = match (attached, device) {
            (Some(_), 0) => offset.saturating_sub(start),
            (Some(_), _) | (None, 0) => offset,
            (None, _) => offset.saturating_add(start),
        };
        let end = within.checked_add(length as u64);
        let inside = end.is_some_and(|end| end <= size);
        if attached.is_none() && number > 0 && (!inside || start == 0) {
            return Err(Error::new(Code::DeviceMissing, At::Image(offset))
                .found(Value::Number(number.into())));
        }
        if !inside {
            return Err(Error::new(Code::FileBounds, At::Image(within))
                .found(Value::Number(end.unwrap_or(u64::MAX)))
                .expected(Value::AtMost(size)));
        }
        Ok((source, within))
    }

    /// The target of a symbolic link, as it is.
    ///
    /// # Errors
    ///
    /// [`Code::InodeType`] when it is none; [`Code::SymlinkLength`] when the target is longer
    /// than the limit; [`Code::SymlinkTarget`] when it holds a NUL, where the kernel would cut it
    /// off; as [`Self::read`].
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
        match target.iter().position(|byte| *byte == 0) {
            None => Ok(target),
            Some(at) => {
                let at = At::File(inode.nid, at as u64);
                Err(Error::new(Code::SymlinkTarget, at).into())
            }
        }
    }
}
