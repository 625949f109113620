//! Rules of the superblock that need more than its record: checksum, reserved bytes, sizes.

use super::Checker;
use crate::erofs::{
    Compat, DEVICE_SLOT_SIZE, METABOX_BIT, ReadAt, ReadResult, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE,
    Space, Superblock,
};
use crate::unpack::TAR_PADDING;
use crate::{At, Code, Error, Value};

/// Reserved bytes of the superblock, from their offset in the record.
const RESERVED: [(usize, usize); 2] = [(106, 108), (120, 128)];
/// What a dm-verity superblock starts with (`struct verity_sb` of cryptsetup).
const VERITY_MAGIC: [u8; 8] = *b"verity\0\0";
/// Size of a page on most machines, in bytes: the kernel mounts no larger blocks than its pages.
const PAGE: u64 = 4096;
/// Reserved bytes of a device slot.
const SLOT_RESERVED: usize = 76;

impl<R: ReadAt> Checker<'_, R> {
    pub(super) fn superblock(&mut self) -> ReadResult<(), R> {
        let superblock = *self.image.superblock();
        self.need(superblock.needs(), At::Image(SUPERBLOCK_OFFSET));
        self.page(&superblock);
        if superblock.compat.has(Compat::SB_CHKSUM) {
            let checksum = self.image.verify_checksum();
            self.take(checksum)?;
        } else {
            self.report(Error::new(Code::SuperblockUnsigned, field(8)));
        }
        // erofs-utils refuses one in the metabox, whether it is used or not.
        if superblock.packed_nid & METABOX_BIT != 0 {
            self.report(
                Error::new(Code::SuperblockPacked, field(96))
                    .found(Value::Hex(superblock.packed_nid)),
            );
        }
        let unknown = superblock.compat.unknown();
        if unknown != 0 {
            self.report(
                Error::new(Code::SuperblockCompat, field(8)).found(Value::Hex(unknown.into())),
            );
        }
        let mut record = [0; SUPERBLOCK_SIZE];
        self.image
            .metadata(Space::Image, SUPERBLOCK_OFFSET, &mut record)?;
        for (start, end) in RESERVED {
            let bytes = record.get(start..end).unwrap_or(&[]);
            if bytes.iter().any(|byte| *byte != 0) {
                self.report(Error::new(Code::SuperblockReserved, field(start as u64)));
            }
        }
        self.device_slots()?;
        self.sizes();
        if self.options.trailing {
            self.trailing()?;
        }
        let end = superblock.end();
        let [image, _] = &mut self.metadata;
        image.add(SUPERBLOCK_OFFSET, end, &mut self.budget)?;
        if let Some((offset, slots)) = superblock.device_table() {
            let size = u64::from(slots).saturating_mul(DEVICE_SLOT_SIZE as u64);
            image.add(offset, offset.saturating_add(size), &mut self.budget)?;
        }
        Ok(())
    }

    /// Whether a page of most machines has room for a block.
    fn page(&mut self, superblock: &Superblock) {
        let size = superblock.block_size();
        if size > PAGE {
            self.report(
                Error::new(Code::SuperblockPage, field(12))
                    .found(Value::Number(size))
                    .expected(Value::AtMost(PAGE)),
            );
        }
    }

    /// The slots of the device table.
    fn device_slots(&mut self) -> ReadResult<(), R> {
        let superblock = *self.image.superblock();
        let Some((offset, _)) = superblock.device_table() else {
            return Ok(());
        };
        // What is declared beyond the end of the file is no place of the image.
        let blocks = self.image.size().div_ceil(superblock.block_size());
        let mut taken = superblock.blocks.min(blocks);
        let mut known = self.options.devices;
        for (number, slot) in self.image.devices().enumerate() {
            let start =
                offset.saturating_add((number as u64).saturating_mul(DEVICE_SLOT_SIZE as u64));
            let mut record = [0; DEVICE_SLOT_SIZE];
            self.image.metadata(Space::Image, start, &mut record)?;
            if !self.image.has_device(number) {
                match known.checked_sub(1) {
                    Some(left) => known = left,
                    None => self.report(
                        Error::new(Code::DeviceForeign, At::Image(start))
                            .found(Value::Number(number.saturating_add(1) as u64))
                            .expected(Value::AtMost(self.options.devices.into())),
                    ),
                }
            }
            let reserved = record.get(SLOT_RESERVED..).unwrap_or(&[]);
            let clean = reserved.iter().all(|byte| *byte == 0);
            let fault = Error::new(Code::DeviceSlot, At::Image(start));
            // One without blocks is as good as others: mkfs.erofs makes such for trees without content.
            let wrong = if slot.start == 0 {
                None
            } else {
                match slot.end() {
                    Some(end) if slot.start >= taken && end < 1 << 47 => {
                        taken = end;
                        None
                    }
                    _ => Some(
                        fault
                            .found(Value::Number(slot.start))
                            .expected(Value::AtLeast(taken)),
                    ),
                }
            };
            if let Some(error) = wrong {
                self.report(error);
            }
            if !clean {
                self.report(Error::new(
                    Code::SuperblockReserved,
                    At::Image(start.saturating_add(SLOT_RESERVED as u64)),
                ));
            }
        }
        Ok(())
    }

    /// Whether the image is as long as it declares.
    fn sizes(&mut self) {
        let size = self.image.size();
        let superblock = self.image.superblock();
        let least = superblock.size().unwrap_or(u64::MAX);
        if superblock.device_table().is_some() {
            if size < least || superblock.check().is_err() {
                self.report(
                    Error::new(Code::ImageBlocks, field(36))
                        .found(Value::Number(least))
                        .expected(Value::Number(size)),
                );
            }
        } else if size < least {
            self.report(
                Error::new(Code::ImageSize, At::Image(size))
                    .found(Value::Number(size))
                    .expected(Value::AtLeast(least)),
            );
        }
    }
}

impl<R: ReadAt> Checker<'_, R> {
    /// Whether what follows the image and its devices can be explained: the zeros that fill up
    /// a tar archive, or a dm-verity tree, which starts with its superblock at the next block
    /// (`drivers/md/dm-verity-target.c`; veritysetup and containerd put it there).
    fn trailing(&mut self) -> ReadResult<(), R> {
        let superblock = *self.image.superblock();
        let declared = superblock.size().unwrap_or(u64::MAX);
        let devices = self
            .image
            .devices()
            .filter_map(|slot| superblock.bytes(slot.end()?))
            .max()
            .unwrap_or(0);
        let size = self.image.size();
        let end = declared.max(devices.min(size));
        let left = size.saturating_sub(end);
        let mut start = [0; VERITY_MAGIC.len()];
        if left >= start.len() as u64 {
            self.image.metadata(Space::Image, end, &mut start)?;
        }
        if left == 0 || start == VERITY_MAGIC || self.is_tar_padding(declared, end)? {
            return Ok(());
        }
        self.report(
            Error::new(Code::ImageTrailing, At::Image(end))
                .found(Value::Number(size))
                .expected(Value::AtMost(end)),
        );
        Ok(())
    }

    /// Whether the bytes from `end` on are the zeros behind a tar archive.
    fn is_tar_padding(&self, declared: u64, end: u64) -> ReadResult<bool, R> {
        let size = self.image.size();
        if end <= declared || size.saturating_sub(end) > TAR_PADDING {
            return Ok(false);
        }
        let mut offset = end;
        let mut piece = [0; 512];
        while offset < size {
            let length = usize::try_from(size.saturating_sub(offset)).unwrap_or(piece.len());
            let length = length.min(piece.len());
            let bytes = piece.get_mut(..length).unwrap_or(&mut []);
            self.image.metadata(Space::Image, offset, bytes)?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            offset = offset.saturating_add(length as u64);
        }
        Ok(true)
    }
}

/// A field of the superblock, by its offset in the record.
const fn field(offset: u64) -> At {
    At::Image(SUPERBLOCK_OFFSET.saturating_add(offset))
}
