//! An image that is read at random: its superblock, its devices and its inodes. What is read of an
//! inode lies in modules of its own: content, directories, xattrs.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{OnceCell, RefCell};
use core::fmt;

use super::cache::Cache;
use super::compress;
use super::config::CompressionConfigs;
use super::inode::{COMPACT_INODE_SIZE, EXTENDED_INODE_SIZE, Inode};
use super::xattr::LongPrefix;
use super::{
    DEVICE_SLOT_SIZE, DeviceSlot, EXTENSION_SLOT_SIZE, Incompat, ReadAt, ReadError, ReadResult,
    SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Space, Superblock,
};
use crate::{At, Code, Error, Limits, Value};

/// One device beside the image: its slot, and its bytes when they are attached.
pub(super) struct Device<R> {
    pub(super) slot: DeviceSlot,
    /// The bytes and their number.
    pub(super) source: Option<(R, u64)>,
}

/// An EROFS image, read through a [`ReadAt`].
///
/// It holds the superblock, the device table and a bounded cache of metadata; everything else
/// is read when it is asked for. Nothing of the image is trusted: what does not fit ends in a
/// [`ReadError::Refused`] that says where.
pub struct Image<R> {
    pub(super) source: R,
    pub(super) size: u64,
    pub(super) superblock: Superblock,
    pub(super) devices: Vec<Device<R>>,
    pub(super) limits: Limits,
    pub(super) configs: CompressionConfigs,
    /// The long xattr prefixes, once they were asked for.
    pub(super) prefixes: OnceCell<Vec<LongPrefix>>,
    metadata: RefCell<Cache>,
    pub(super) compressed: Box<RefCell<compress::State>>,
    pub(super) packed_lock: compress::Lock,
    pub(super) metabox_lock: compress::Lock,
    pub(super) metabox_cache: RefCell<Option<Cache>>,
}

impl<R> fmt::Debug for Image<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("size", &self.size)
            .field("superblock", &self.superblock)
            .finish_non_exhaustive()
    }
}

impl<R: ReadAt> Image<R> {
    /// Opens an image of `size` bytes: reads and checks its superblock, its compression
    /// configurations and its device table.
    ///
    /// The superblock's checksum is not verified here but by [`Self::verify_checksum`], by the
    /// check, and when an image is unpacked.
    ///
    /// # Errors
    ///
    /// What [`Superblock::parse`] and [`Superblock::check`] refuse, though what an image with a device
    /// table points at need only lie inside the file; an image that ends before its superblock
    /// does, [`Code::CompressionConfig`] when a compression configuration is cut off or out of
    /// range, [`Code::ImageLimit`] when it declares more than [`Limits::image_size`], and what the
    /// source says. How long the source is has no limit here: a block device may be larger than its
    /// image. See [`Limits::admit_image`].
    pub fn open(source: R, size: u64, limits: &Limits) -> ReadResult<Self, R> {
        let superblock = read_superblock(&source, size)?;
        superblock.check_file(size)?;
        Self::open_with(superblock, source, size, limits)
    }

    /// As [`Self::open`], but for an image whose device table is said to lie on the superblock,
    /// and lies right behind it: the `WithDataFile` of go-erofs (to 2026 at least) writes slot 8
    /// where it puts the table in slot 9.
    ///
    /// The kernel takes the superblock for the first slot, which does no harm as long as that has
    /// zeros where a slot has its addresses: of slots without addresses it needs their number
    /// alone. So the image is opened only when neither reading has an address, and both mean the
    /// same. That something is amiss is for the caller to say.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; [`Code::DeviceTable`] for any other table that does not lie where it
    /// must, or has slots of another form.
    pub fn open_despite_table(source: R, size: u64, limits: &Limits) -> ReadResult<Self, R> {
        let stated = read_superblock(&source, size)?;
        if !stated.table_is_misplaced() {
            stated.check_file(size)?;
            return Self::open_with(stated, source, size, limits);
        }
        let mut superblock = stated;
        superblock.device_table_slot = superblock.device_table_slot.saturating_add(1);
        superblock.check_file(size)?;
        let image = Self::open_with(superblock, source, size, limits)?;
        let mut record = [0; DEVICE_SLOT_SIZE];
        image.metadata(Space::Image, SUPERBLOCK_OFFSET, &mut record)?;
        // Upper bits as well, whether they count or not.
        let as_slot = DeviceSlot::parse(&record, true);
        let is_harmless = as_slot.is_some_and(|slot| slot.blocks == 0 && slot.start == 0);
        let has_no_addresses = image
            .devices()
            .all(|slot| slot.start == 0 && slot.tag.iter().all(|byte| *byte == 0));
        if !is_harmless || !has_no_addresses {
            stated.check_file(size)?;
        }
        Ok(image)
    }

    fn open_with(
        superblock: Superblock,
        source: R,
        size: u64,
        limits: &Limits,
    ) -> ReadResult<Self, R> {
        superblock.check_size(limits.image_size, Code::ImageLimit)?;
        let mut image = Self {
            source,
            size,
            superblock,
            devices: Vec::new(),
            limits: *limits,
            configs: CompressionConfigs::default(),
            prefixes: OnceCell::new(),
            metadata: RefCell::new(Cache::new(limits.metadata_cache)?),
            compressed: Box::default(),
            packed_lock: compress::Lock::default(),
            metabox_lock: compress::Lock::default(),
            metabox_cache: RefCell::new(None),
        };
        let metadata = |offset, buf: &mut [u8]| image.metadata(Space::Image, offset, buf);
        image.configs = CompressionConfigs::read(&image.superblock, metadata)?;
        image.read_devices()?;
        Ok(image)
    }

    /// The superblock.
    pub const fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The limits that it was opened with.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Size of the image's own bytes, devices left out.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The compression configurations.
    pub const fn compression_configs(&self) -> &CompressionConfigs {
        &self.configs
    }

    /// The slots of the device table.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceSlot> {
        self.devices.iter().map(|device| &device.slot)
    }

    /// Attaches the bytes of the next device that has none yet, in the order of the table;
    /// `false` when all have theirs.
    pub fn attach(&mut self, source: R, size: u64) -> bool {
        match self
            .devices
            .iter_mut()
            .find(|device| device.source.is_none())
        {
            Some(device) => {
                device.source = Some((source, size));
                true
            }
            None => false,
        }
    }

    /// The root directory's inode.
    ///
    /// # Errors
    ///
    /// As [`Self::inode`].
    pub fn root(&self) -> ReadResult<Inode, R> {
        self.inode(self.superblock.root_nid)
    }

    /// The inode of this number.
    ///
    /// # Errors
    ///
    /// [`Code::InodeOffset`] when there is no such slot in the image, and what
    /// [`Inode::parse`] refuses.
    pub fn inode(&self, nid: u64) -> ReadResult<Inode, R> {
        let space = self.space(nid);
        let offset = match space {
            Space::Image => self.superblock.inode_offset(nid),
            Space::Metabox => super::inode::nid_slot(nid).checked_mul(COMPACT_INODE_SIZE as u64),
        };
        let outside = || Error::new(Code::InodeOffset, At::Nid(nid));
        let offset = offset.ok_or_else(outside)?;
        // Both forms are read as one record of the longer, where the image and a line of the
        // cache go on that far; the parser takes what is the inode's.
        if space == Space::Image && offset < self.size {
            let mut cache = self.metadata.borrow_mut();
            let fill = |offset, line: &mut [u8]| {
                self.source.read_at(offset, line).map_err(ReadError::Source)
            };
            if let Some(record) = cache.peek(offset, EXTENDED_INODE_SIZE, self.size, fill)? {
                return Ok(Inode::parse(&self.superblock, nid, offset, record)?);
            }
        }
        let mut record = [0; EXTENDED_INODE_SIZE];
        let (head, tail) = record
            .split_at_mut_checked(COMPACT_INODE_SIZE)
            .ok_or_else(outside)?;
        self.read_inode_part(space, nid, offset, head)?;
        let format = head
            .first_chunk()
            .map_or(0, |bytes| u16::from_le_bytes(*bytes));
        if Inode::size_of(nid, format)? == EXTENDED_INODE_SIZE {
            let rest = offset.saturating_add(COMPACT_INODE_SIZE as u64);
            self.read_inode_part(space, nid, rest, tail)?;
        }
        Ok(Inode::parse(&self.superblock, nid, offset, &record)?)
    }

    /// A part of an inode, with the inode named when it lies outside.
    fn read_inode_part(
        &self,
        space: Space,
        nid: u64,
        offset: u64,
        part: &mut [u8],
    ) -> ReadResult<(), R> {
        self.metadata(space, offset, part)
            .map_err(|error| match error {
                ReadError::Refused(error) if error.code() == Code::MetadataBounds => {
                    ReadError::Refused(
                        Error::new(Code::InodeOffset, At::Nid(nid)).found(Value::Number(offset)),
                    )
                }
                error => error,
            })
    }

    /// The space that the inode of this number and its metadata lie in.
    pub const fn space(&self, nid: u64) -> Space {
        if self.superblock.in_metabox(nid) {
            Space::Metabox
        } else {
            Space::Image
        }
    }

    /// Reads metadata through the cache.
    ///
    /// # Errors
    ///
    /// [`Code::MetadataBounds`] when it does not lie inside the image (or the metabox).
    pub fn metadata(&self, space: Space, offset: u64, buf: &mut [u8]) -> ReadResult<(), R> {
        match space {
            Space::Image => {
                let end = offset.checked_add(buf.len() as u64);
                if end.is_none_or(|end| end > self.size) {
                    let error = Error::new(Code::MetadataBounds, At::Image(offset))
                        .found(Value::Number(end.unwrap_or(u64::MAX)))
                        .expected(Value::AtMost(self.size));
                    return Err(error.into());
                }
                let fill = |offset, line: &mut [u8]| {
                    self.source.read_at(offset, line).map_err(ReadError::Source)
                };
                self.metadata
                    .borrow_mut()
                    .read(offset, buf, self.size, fill)
            }
            Space::Metabox => self.metabox(offset, buf),
        }
    }

    /// Metadata of an inode, with the inode named when it lies outside.
    pub(super) fn metadata_of(
        &self,
        nid: u64,
        space: Space,
        offset: u64,
        buf: &mut [u8],
    ) -> ReadResult<(), R> {
        self.metadata(space, offset, buf)
            .map_err(|error| match error {
                ReadError::Refused(error) if error.code() == Code::MetadataBounds => {
                    ReadError::Refused(error.moved(At::Nid(nid)))
                }
                error => error,
            })
    }

    /// Reads the device table.
    fn read_devices(&mut self) -> ReadResult<(), R> {
        let Some((offset, slots)) = self.superblock.device_table() else {
            return Ok(());
        };
        let high = self.superblock.incompat.has(Incompat::BIT48);
        self.devices
            .try_reserve_exact(slots.into())
            .map_err(|_| Error::new(Code::MetadataMemory, At::Image(offset)))?;
        for slot in 0..u64::from(slots) {
            let at = offset.saturating_add(slot.saturating_mul(DEVICE_SLOT_SIZE as u64));
            let mut record = [0; DEVICE_SLOT_SIZE];
            self.metadata(Space::Image, at, &mut record)?;
            if let Some(slot) = DeviceSlot::parse(&record, high) {
                self.devices.push(Device { slot, source: None });
            }
        }
        Ok(())
    }
}

/// The superblock with its extension slot.
fn read_superblock<R: ReadAt>(source: &R, size: u64) -> ReadResult<Superblock, R> {
    let truncated = |needs: u64| {
        Error::new(Code::SuperblockTruncated, At::Image(size))
            .found(Value::Number(size))
            .expected(Value::AtLeast(needs))
    };
    let end = SUPERBLOCK_OFFSET.saturating_add(SUPERBLOCK_SIZE as u64);
    if size < end {
        return Err(truncated(end).into());
    }
    let mut record = [0; SUPERBLOCK_SIZE];
    source
        .read_at(SUPERBLOCK_OFFSET, &mut record)
        .map_err(ReadError::Source)?;
    let mut superblock = Superblock::parse(&record)?;
    if superblock.extension_slots > 0 {
        let needs = end.saturating_add(EXTENSION_SLOT_SIZE as u64);
        if size < needs {
            return Err(truncated(needs).into());
        }
        let mut slot = [0; EXTENSION_SLOT_SIZE];
        source.read_at(end, &mut slot).map_err(ReadError::Source)?;
        superblock.read_extension(&slot);
    }
    Ok(superblock)
}
