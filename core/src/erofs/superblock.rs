//! The superblock: 128 bytes at offset 1024, and extension slots of 16 bytes behind them.
//!
//! Follows `struct erofs_super_block` and the checks of `erofs_read_superblock` in
//! `fs/erofs/super.c` of Linux 7.2, and adds what the kernel leaves to later: that the areas
//! and inodes which the superblock points at lie inside the image.

use nom::bytes::complete::take;
use nom::number::complete::{le_u8, le_u16, le_u32, le_u64};

use super::{Compat, DEVICE_SLOT_SIZE, Incompat, Parsed};
use crate::bytes;
use crate::{At, Code, Error, Value};

/// Where the superblock starts, in bytes (`EROFS_SUPER_OFFSET`).
pub const SUPERBLOCK_OFFSET: u64 = 1024;
/// Size of the superblock without extension slots, in bytes.
pub const SUPERBLOCK_SIZE: usize = 128;
/// Size of one extension slot, in bytes (`EROFS_SB_EXTSLOT_SIZE`).
pub const EXTENSION_SLOT_SIZE: usize = 16;
/// The magic number (`EROFS_SUPER_MAGIC_V1`).
pub const SUPERBLOCK_MAGIC: u32 = 0xE0F5_E1E2;
/// Set in a nid that counts within the metabox inode (`EROFS_DIRENT_NID_METABOX_BIT`).
pub const METABOX_BIT: u64 = 1 << 63;

/// What partitions and images in other files start at a multiple of, in bytes.
const SECTOR: usize = 512;
/// Size of a slot of the inode table, in bytes: that of a compact inode.
const INODE_SLOT: u64 = 32;
/// The kernel reads superblock and extension slots from the first page; 4096 is the smallest
/// page size that there is, so this is what every kernel takes.
const FIRST_PAGE: u64 = 4096;
/// Most extension slots that fit into the first page.
const EXTENSION_SLOTS_MAX: u64 =
    (FIRST_PAGE - SUPERBLOCK_OFFSET - SUPERBLOCK_SIZE as u64) / EXTENSION_SLOT_SIZE as u64;
/// Bits of the compression algorithms that there are (`Z_EROFS_ALL_COMPR_ALGS`): LZ4, LZMA,
/// DEFLATE, zstd.
const ALGORITHMS: u16 = 0b1111;
/// Nanoseconds in a second.
const NANOSECONDS: u32 = 1_000_000_000;

/// Whether the files of an image may be compressed with LZ4 without zeros in front of the data, as
/// `mkfs.erofs -Elegacy-compress` wrote it up to version 1.7.
///
/// Linux reads it from 5.3 on up to 6.x, and erofs-utils up to 1.8. Their successors no longer do: a
/// pcluster may hold more than its extent, so that it can be decoded in part only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegacyLz4 {
    /// No: there are zeros in front of LZ4 data, or no LZ4 data.
    No,
    /// The superblock names LZ4, and no zeros in front of it.
    Named,
    /// The superblock says nothing of compression, as in the images that `mkfs.erofs` 1.0 and 1.1 made
    /// with LZ4, and in others of their time and without features that are not compressed.
    Possible,
}

/// A superblock, field by field (`struct erofs_super_block`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// CRC-32C of the superblock's block, when [`Compat::SB_CHKSUM`] is set.
    pub checksum: u32,
    /// Features that a reader may ignore.
    pub compat: Compat,
    /// Block size, as a power of two (`blkszbits`): 9 to 16.
    pub block_bits: u8,
    /// Number of extension slots (`sb_extslots`).
    pub extension_slots: u8,
    /// Nid of the root directory, from `rootnid_8b` or `rootnid_2b`.
    pub root_nid: u64,
    /// Number of inodes (`inos`).
    pub inodes: u64,
    /// Base of the times of compact inodes, in seconds since 1970 (`epoch`).
    pub epoch: i64,
    /// Nanoseconds of the times of compact inodes (`fixed_nsec`).
    pub fixed_nanoseconds: u32,
    /// Blocks of the primary device, that is of this image without its devices.
    pub blocks: u64,
    /// Block where the metadata area starts (`meta_blkaddr`).
    pub meta_block: u32,
    /// Block where the shared xattrs start (`xattr_blkaddr`).
    pub xattr_block: u32,
    /// UUID of the volume.
    pub uuid: [u8; 16],
    /// Name of the volume; zeros fill it up.
    pub volume_name: [u8; 16],
    /// Features that a reader must know.
    pub incompat: Incompat,
    /// With [`Incompat::COMPR_CFGS`] the bitmap of compression algorithms, else the largest
    /// distance of an LZ4 match (`u1`).
    pub algorithms_or_distance: u16,
    /// Slots of the device table (`extra_devices`).
    pub extra_devices: u16,
    /// Start of the device table in units of its slots (`devt_slotoff`).
    pub device_table_slot: u16,
    /// Must be zero (`dirblkbits`).
    pub directory_block_bits: u8,
    /// Number of long xattr prefixes (`xattr_prefix_count`).
    pub xattr_prefix_count: u8,
    /// Start of the long xattr prefixes in units of four bytes (`xattr_prefix_start`).
    pub xattr_prefix_start: u32,
    /// Nid of the packed inode, or zero (`packed_nid`).
    pub packed_nid: u64,
    /// Reserved for the xattr filter (`xattr_filter_reserved`).
    pub xattr_filter_reserved: u8,
    /// The prefix that names content for sharing (`ishare_xattr_prefix_id`).
    pub ishare_prefix: u8,
    /// Seconds from the epoch to the making of the image (`build_time`).
    pub build_time: u32,
    /// Nid of the metabox inode, from the first extension slot; `None` without that slot.
    pub metabox_nid: Option<u64>,
}

impl Superblock {
    /// Reads the 128 bytes at offset 1024 and checks that they can be a superblock.
    ///
    /// The metabox nid stays unknown; see [`Self::read_extension`].
    ///
    /// # Errors
    ///
    /// Magic, block size, `dirblkbits`, unknown incompatible features: whatever makes the
    /// rest unreadable. [`Self::check`] looks at the rest.
    pub fn parse(record: &[u8; SUPERBLOCK_SIZE]) -> Result<Self, Error> {
        let (magic, superblock) = match (le_u32::<_, ()>(&record[..]), parse(record)) {
            (Ok((_, magic)), Ok((_, superblock))) => (magic, superblock),
            _ => {
                return Err(Error::new(
                    Code::SuperblockTruncated,
                    At::Image(SUPERBLOCK_OFFSET),
                ));
            }
        };
        if magic != SUPERBLOCK_MAGIC {
            return Err(fault(Code::SuperblockMagic, 0)
                .found(Value::Hex(magic.into()))
                .expected(Value::Hex(SUPERBLOCK_MAGIC.into())));
        }
        if !(9..=16).contains(&superblock.block_bits) {
            return Err(fault(Code::SuperblockBlockSize, 12)
                .found(Value::Number(superblock.block_bits.into()))
                .expected(Value::Text("a power of two from 9 to 16")));
        }
        if superblock.directory_block_bits != 0 {
            return Err(fault(Code::SuperblockDirBlock, 90)
                .found(Value::Number(superblock.directory_block_bits.into()))
                .expected(Value::Number(0)));
        }
        if superblock.incompat.unknown() != 0 {
            return Err(fault(Code::SuperblockFeatures, 80)
                .found(Value::Hex(superblock.incompat.unknown().into())));
        }
        Ok(superblock)
    }

    /// Takes the first extension slot, the 16 bytes behind the superblock.
    pub fn read_extension(&mut self, slot: &[u8; EXTENSION_SLOT_SIZE]) {
        if self.extension_slots > 0 {
            self.metabox_nid = le_u64::<_, ()>(&slot[..]).ok().map(|(_, nid)| nid);
        }
    }

    /// Block size in bytes.
    #[must_use]
    pub const fn block_size(&self) -> u64 {
        1 << (self.block_bits & 63)
    }

    /// So many blocks in bytes, or `None` where that exceeds 64 bits.
    ///
    /// By shifts: a multiplication that may overflow is a call of its own in WebAssembly.
    pub(crate) const fn bytes(&self, blocks: u64) -> Option<u64> {
        let bits = self.block_bits as u32 & 63;
        let bytes = blocks << bits;
        if bytes >> bits == blocks {
            Some(bytes)
        } else {
            None
        }
    }

    /// Where in its block a byte lies.
    #[cfg(feature = "alloc")]
    pub(crate) const fn within_block(&self, offset: u64) -> u64 {
        offset & self.block_size().saturating_sub(1)
    }

    /// Bytes of the primary device, or `None` where they exceed 64 bits.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.bytes(self.blocks)
    }

    /// The byte after the last extension slot.
    #[must_use]
    pub fn end(&self) -> u64 {
        SUPERBLOCK_OFFSET
            .saturating_add(SUPERBLOCK_SIZE as u64)
            .saturating_add(
                u64::from(self.extension_slots).saturating_mul(EXTENSION_SLOT_SIZE as u64),
            )
    }

    /// The bytes that the checksum covers: from the superblock to the end of its block.
    ///
    /// As `erofs_superblock_csum_verify`: where the superblock starts at or behind the end of
    /// the first block, it covers one block's length from the superblock on.
    #[must_use]
    pub const fn checksum_end(&self) -> u64 {
        let size = self.block_size();
        if size > SUPERBLOCK_OFFSET {
            size
        } else {
            SUPERBLOCK_OFFSET.saturating_add(size)
        }
    }

    /// Offset and slots of the device table, or `None` without one.
    ///
    /// The feature bit is shared with another feature, so that the bit without slots is right.
    #[must_use]
    pub fn device_table(&self) -> Option<(u64, u16)> {
        (self.incompat.has(Incompat::DEVICE_TABLE) && self.extra_devices > 0).then(|| {
            let offset = u64::from(self.device_table_slot).saturating_mul(DEVICE_SLOT_SIZE as u64);
            (offset, self.extra_devices)
        })
    }

    /// Whether the device table is said to lie on the superblock itself.
    #[must_use]
    #[cfg(feature = "alloc")]
    pub(super) fn table_is_misplaced(&self) -> bool {
        let is_there = |(offset, _)| offset == SUPERBLOCK_OFFSET;
        self.extension_slots == 0 && self.device_table().is_some_and(is_there)
    }

    /// Whether the inode `nid` lies in the metabox.
    #[must_use]
    pub const fn in_metabox(&self, nid: u64) -> bool {
        self.incompat.has(Incompat::METABOX) && nid & METABOX_BIT != 0
    }

    /// The names of the compression algorithms that files may use: as configured, or LZ4 in
    /// an image from before there were configurations, where there is any sign of it; see also
    /// [`Self::legacy_lz4`].
    pub fn algorithms(&self) -> impl Iterator<Item = &'static str> {
        let bits = if self.incompat.has(Incompat::COMPR_CFGS) {
            self.algorithms_or_distance
        } else {
            u16::from(self.names_lz4())
        };
        [(1, "lz4"), (2, "lzma"), (4, "deflate"), (8, "zstd")]
            .into_iter()
            .filter_map(move |(bit, name)| (bits & bit != 0).then_some(name))
    }

    /// Whether LZ4 is named: among the algorithms, or before there was a list by the largest distance
    /// of its matches or by its padding.
    const fn names_lz4(&self) -> bool {
        if self.incompat.has(Incompat::COMPR_CFGS) {
            self.algorithms_or_distance & 1 != 0
        } else {
            self.algorithms_or_distance != 0 || self.incompat.has(Incompat::ZERO_PADDING)
        }
    }

    /// Whether files may be compressed with LZ4 in its first form, without zeros in front of the data.
    ///
    /// That a file is compressed so is then said by its inode alone: by a compressed layout.
    #[must_use]
    pub const fn legacy_lz4(&self) -> LegacyLz4 {
        if self.incompat.has(Incompat::ZERO_PADDING) {
            return LegacyLz4::No;
        }
        if self.names_lz4() {
            return LegacyLz4::Named;
        }
        // Blocks of 4 KiB and no feature but the checksum is all that the first mkfs.erofs could write.
        let is_old = self.block_bits == 12
            && self.incompat.0 == 0
            && self.compat.0 & !Compat::SB_CHKSUM.0 == 0;
        if is_old {
            LegacyLz4::Possible
        } else {
            LegacyLz4::No
        }
    }

    /// What in the image makes the reader that containerd 2.4 has of its own refuse it, so that it
    /// finds no users for a container: compressed files, 48-bit addresses, a metabox.
    ///
    /// Follows `Open` in `erofs.go` of go-erofs, as containerd brings it along. The kernel reads
    /// all of them.
    #[must_use]
    pub fn unread_by_containerd(&self) -> Option<&'static str> {
        let compressed = Incompat(Incompat::ZERO_PADDING.0 | Incompat::COMPR_CFGS.0);
        if self.incompat.has(compressed) || self.algorithms_or_distance != 0 {
            Some("compressed files")
        } else if self.incompat.has(Incompat::BIT48) {
            Some("48-bit addresses")
        } else if self.incompat.has(Incompat::METABOX) {
            Some("a metabox")
        } else {
            None
        }
    }

    /// The nid of the packed inode, where there is one.
    #[must_use]
    pub fn packed_inode(&self) -> Option<u64> {
        let packed = self.incompat.has(Incompat::FRAGMENTS) && self.packed_nid != 0;
        packed.then_some(self.packed_nid)
    }

    /// The nid of the metabox inode, where there is one.
    #[must_use]
    pub fn metabox_inode(&self) -> Option<u64> {
        self.metabox_nid
            .filter(|_| self.incompat.has(Incompat::METABOX))
    }

    /// Byte offset of the inode `nid` in the image, or `None` when it lies in the metabox or
    /// beyond 64 bits (`erofs_iloc`).
    #[must_use]
    pub fn inode_offset(&self, nid: u64) -> Option<u64> {
        if self.in_metabox(nid) {
            return None;
        }
        self.bytes(self.meta_block.into())?
            .checked_add(nid.checked_mul(INODE_SLOT)?)
    }

    /// Holds the size that is declared against a limit in bytes, whose error has this code.
    ///
    /// # Errors
    ///
    /// It declares more.
    pub fn check_size(&self, limit: u64, code: Code) -> Result<(), Error> {
        let declared = self.size().unwrap_or(u64::MAX);
        if declared <= limit {
            return Ok(());
        }
        Err(fault(code, 36)
            .found(Value::Number(declared))
            .expected(Value::AtMost(limit)))
    }

    /// The first place behind the start of `head` at which an image starts, in bytes: a multiple
    /// of 512 with a superblock behind it that may be one. It serves for messages alone.
    #[must_use]
    pub fn find(head: &[u8]) -> Option<u64> {
        let starts = head.len().div_ceil(SECTOR);
        (1..starts)
            .filter_map(|number| number.checked_mul(SECTOR))
            .find(|start| {
                let record = usize::try_from(SUPERBLOCK_OFFSET)
                    .ok()
                    .and_then(|offset| start.checked_add(offset))
                    .and_then(|offset| head.get(offset..)?.first_chunk());
                // With extension slots this record is not all of it.
                record.is_some_and(|record| {
                    Self::parse(record).is_ok_and(|superblock| {
                        superblock.extension_slots > 0 || superblock.check().is_ok()
                    })
                })
            })
            .and_then(|start| u64::try_from(start).ok())
    }

    /// Checks every field against every other: that what the superblock points at lies
    /// inside the image that it declares.
    ///
    /// Needs the extension slot when there is one. The checksum and the device table are not
    /// looked at here: they need more of the image than this record.
    ///
    /// # Errors
    ///
    /// The first field that is wrong, in the order of the record.
    pub fn check(&self) -> Result<(), Error> {
        self.check_within(self.size())
    }

    /// The same, for an image that is a file of `size` bytes.
    ///
    /// Where there is a device table, what the superblock points at must lie inside the file, not in
    /// the declared blocks: neither kernel nor erofs-utils look at those, and the bootstraps of nydus
    /// (RAFS v6) declare the blocks of their devices there, or a constant.
    #[cfg(feature = "alloc")]
    pub(crate) fn check_file(&self, size: u64) -> Result<(), Error> {
        if self.device_table().is_some() {
            self.check_within(Some(size))
        } else {
            self.check()
        }
    }

    /// Checks that what the superblock points at lies inside so many bytes.
    fn check_within(&self, size: Option<u64>) -> Result<(), Error> {
        if self.end() > FIRST_PAGE {
            return Err(fault(Code::SuperblockExtSlots, 13)
                .found(Value::Number(self.extension_slots.into()))
                .expected(Value::AtMost(EXTENSION_SLOTS_MAX)));
        }
        let size = match size {
            Some(size) if size >= self.end() => size,
            _ => {
                return Err(fault(Code::SuperblockBlocks, 36)
                    .found(Value::Number(self.blocks))
                    .expected(Value::AtLeast(self.end().div_ceil(self.block_size()))));
            }
        };
        let in_image = |code, field, nid| match self.inode_offset(nid) {
            Some(offset)
                if offset
                    .checked_add(INODE_SLOT)
                    .is_some_and(|end| end <= size) =>
            {
                Ok(())
            }
            None if self.in_metabox(nid) => Ok(()),
            _ => Err(fault(code, field).found(Value::Number(nid))),
        };
        let wide = self.incompat.has(Incompat::BIT48);
        in_image(
            Code::SuperblockRoot,
            if wide { 112 } else { 14 },
            self.root_nid,
        )?;
        // A nid takes at least one slot, and all slots lie inside the image, unless the
        // metabox holds them in compressed form.
        if !self.incompat.has(Incompat::METABOX) && self.inodes > size / INODE_SLOT {
            return Err(fault(Code::SuperblockInodes, 16)
                .found(Value::Number(self.inodes))
                .expected(Value::AtMost(size / INODE_SLOT)));
        }
        if self.fixed_nanoseconds >= NANOSECONDS {
            return Err(fault(Code::SuperblockNanoseconds, 32)
                .found(Value::Number(self.fixed_nanoseconds.into())));
        }
        let blocks = size.div_ceil(self.block_size());
        if u64::from(self.meta_block) >= blocks {
            return Err(fault(Code::SuperblockMeta, 40)
                .found(Value::Number(self.meta_block.into()))
                .expected(Value::AtMost(blocks.saturating_sub(1))));
        }
        let xattrs_in_metabox = self.compat.has(Compat::SHARED_EA_IN_METABOX);
        if u64::from(self.xattr_block) >= blocks && !xattrs_in_metabox {
            return Err(fault(Code::SuperblockXattr, 44)
                .found(Value::Number(self.xattr_block.into()))
                .expected(Value::AtMost(blocks.saturating_sub(1))));
        }
        let configured = self.incompat.has(Incompat::COMPR_CFGS);
        if configured && self.algorithms_or_distance & !ALGORITHMS != 0 {
            return Err(fault(Code::SuperblockAlgorithms, 84)
                .found(Value::Hex(self.algorithms_or_distance.into()))
                .expected(Value::Text("bits 0 to 3")));
        }
        if let Some((offset, slots)) = self.device_table() {
            let table = u64::from(slots).saturating_mul(DEVICE_SLOT_SIZE as u64);
            if offset < self.end() || offset.saturating_add(table) > size {
                return Err(fault(Code::DeviceTable, 88)
                    .found(Value::Number(offset))
                    .expected(Value::AtLeast(self.end())));
            }
        }
        if self.compat.has(Compat::ISHARE_XATTRS) && self.ishare_prefix >= self.xattr_prefix_count {
            return Err(fault(Code::SuperblockPrefixes, 105)
                .found(Value::Number(self.ishare_prefix.into()))
                .expected(Value::AtMost(
                    self.xattr_prefix_count.saturating_sub(1).into(),
                )));
        }
        self.check_prefixes(size)?;
        if self.incompat.has(Incompat::FRAGMENTS) && self.packed_nid != 0 {
            in_image(Code::SuperblockPacked, 96, self.packed_nid)?;
        }
        if self.incompat.has(Incompat::METABOX) {
            match self.metabox_nid {
                // The metabox cannot lie in itself.
                Some(nid) if nid & METABOX_BIT == 0 => {
                    in_image(Code::SuperblockMetabox, 128, nid)?;
                }
                found => {
                    return Err(fault(Code::SuperblockMetabox, 128)
                        .found(found.map_or(Value::None, Value::Hex)));
                }
            }
        }
        Ok(())
    }

    /// Checks the start of the table of xattr prefixes, where it lies in the image itself
    /// (`erofs_xattr_prefixes_init`): with the bit for that, or with neither a packed inode
    /// nor a metabox to hold it.
    fn check_prefixes(&self, size: u64) -> Result<(), Error> {
        let elsewhere = self.incompat.has(Incompat::METABOX)
            || (self.incompat.has(Incompat::FRAGMENTS) && self.packed_nid != 0);
        let plain = self.compat.has(Compat::PLAIN_XATTR_PFX) || !elsewhere;
        let start = u64::from(self.xattr_prefix_start).saturating_mul(4);
        if self.xattr_prefix_count > 0 && plain && start >= size {
            return Err(fault(Code::SuperblockPrefixes, 92)
                .found(Value::Number(start))
                .expected(Value::AtMost(size.saturating_sub(1))));
        }
        Ok(())
    }
}

/// An error at a field of the superblock, by the field's offset in the record.
fn fault(code: Code, field: u64) -> Error {
    Error::new(code, At::Image(SUPERBLOCK_OFFSET.saturating_add(field)))
}

/// The record's fields, in their order on disk.
fn parse(record: &[u8]) -> Parsed<'_, Superblock> {
    let (rest, _magic) = le_u32(record)?;
    let (rest, checksum) = le_u32(rest)?;
    let (rest, compat) = le_u32(rest)?;
    let (rest, block_bits) = le_u8(rest)?;
    let (rest, extension_slots) = le_u8(rest)?;
    let (rest, root_or_blocks) = le_u16(rest)?;
    let (rest, inodes) = le_u64(rest)?;
    let (rest, epoch) = le_u64(rest)?;
    let (rest, fixed_nanoseconds) = le_u32(rest)?;
    let (rest, blocks_lo) = le_u32(rest)?;
    let (rest, meta_block) = le_u32(rest)?;
    let (rest, xattr_block) = le_u32(rest)?;
    let (rest, uuid_bytes) = take(16_usize)(rest)?;
    let (rest, name_bytes) = take(16_usize)(rest)?;
    let (rest, incompat) = le_u32(rest)?;
    let (rest, algorithms_or_distance) = le_u16(rest)?;
    let (rest, extra_devices) = le_u16(rest)?;
    let (rest, device_table_slot) = le_u16(rest)?;
    let (rest, directory_block_bits) = le_u8(rest)?;
    let (rest, xattr_prefix_count) = le_u8(rest)?;
    let (rest, xattr_prefix_start) = le_u32(rest)?;
    let (rest, packed_nid) = le_u64(rest)?;
    let (rest, xattr_filter_reserved) = le_u8(rest)?;
    let (rest, ishare_prefix) = le_u8(rest)?;
    let (rest, _reserved) = take(2_usize)(rest)?;
    let (rest, build_time) = le_u32(rest)?;
    let (rest, root_nid_8b) = le_u64(rest)?;

    // As the kernel reads them: without the wide root nid, the 16 bits hold the root nid even
    // in an image with 48-bit addresses.
    let incompat = Incompat(incompat);
    let wide = incompat.has(Incompat::BIT48) && root_nid_8b != 0;
    let (root_nid, blocks_hi) = if wide {
        (root_nid_8b, u64::from(root_or_blocks))
    } else {
        (u64::from(root_or_blocks), 0)
    };
    let mut uuid = [0; 16];
    bytes::copy(uuid_bytes, &mut uuid);
    let mut volume_name = [0; 16];
    bytes::copy(name_bytes, &mut volume_name);
    let superblock = Superblock {
        checksum,
        compat: Compat(compat),
        block_bits,
        extension_slots,
        root_nid,
        inodes,
        epoch: epoch.cast_signed(),
        fixed_nanoseconds,
        blocks: u64::from(blocks_lo) | (blocks_hi << 32),
        meta_block,
        xattr_block,
        uuid,
        volume_name,
        incompat,
        algorithms_or_distance,
        extra_devices,
        device_table_slot,
        directory_block_bits,
        xattr_prefix_count,
        xattr_prefix_start,
        packed_nid,
        xattr_filter_reserved,
        ishare_prefix,
        build_time,
        metabox_nid: None,
    };
    Ok((rest, superblock))
}
