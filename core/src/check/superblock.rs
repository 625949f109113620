//! Rules of the superblock that need more than its record: checksum, reserved bytes, sizes.

use super::Checker;
use crate::erofs::{
    Checksum, Compat, DEVICE_SLOT_SIZE, ReadAt, ReadResult, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE,
    Space,
};
use crate::{At, Code, Error, Value};

/// Reserved bytes of the superblock, from their offset in the record.
const RESERVED: [(usize, usize); 2] = [(106, 108), (120, 128)];
/// Reserved bytes of a device slot.
const SLOT_RESERVED: usize = 76;

impl<R: ReadAt> Checker<'_, R> {
    pub(super) fn superblock(&mut self) -> ReadResult<(), R> {
        let superblock = *self.image.superblock();
        if superblock.compat.has(Compat::SB_CHKSUM) {
            let checksum = self.checksum();
            self.take(checksum)?;
        } else {
            self.report(Error::new(Code::SuperblockUnsigned, field(8)));
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
        let end = superblock.end();
        let [image, _] = &mut self.metadata;
        image.add(SUPERBLOCK_OFFSET, end, &mut self.budget)?;
        if let Some((offset, slots)) = superblock.device_table() {
            let size = u64::from(slots).saturating_mul(DEVICE_SLOT_SIZE as u64);
            image.add(offset, offset.saturating_add(size), &mut self.budget)?;
        }
        Ok(())
    }

    /// The checksum of the superblock's block.
    fn checksum(&self) -> ReadResult<(), R> {
        let superblock = self.image.superblock();
        let end = superblock.checksum_end();
        let length = end.saturating_sub(SUPERBLOCK_OFFSET);
        let mut bytes = crate::erofs::buffer(usize::try_from(length).unwrap_or(usize::MAX))?;
        if end > self.image.size() {
            return Err(Error::new(Code::ImageSize, At::Image(self.image.size()))
                .found(Value::Number(self.image.size()))
                .expected(Value::AtLeast(end))
                .into());
        }
        self.image
            .metadata(Space::Image, SUPERBLOCK_OFFSET, &mut bytes)?;
        let computed = Checksum::new(&bytes).finish();
        if computed != superblock.checksum {
            return Err(Error::new(Code::SuperblockChecksum, field(4))
                .found(Value::Hex(superblock.checksum.into()))
                .expected(Value::Hex(computed.into()))
                .into());
        }
        Ok(())
    }

    /// The slots of the device table.
    fn device_slots(&mut self) -> ReadResult<(), R> {
        let superblock = *self.image.superblock();
        let Some((offset, _)) = superblock.device_table() else {
            return Ok(());
        };
        let mut taken = superblock.blocks;
        for (number, slot) in self.image.devices().enumerate() {
            let start =
                offset.saturating_add((number as u64).saturating_mul(DEVICE_SLOT_SIZE as u64));
            let mut record = [0; DEVICE_SLOT_SIZE];
            self.image.metadata(Space::Image, start, &mut record)?;
            let reserved = record.get(SLOT_RESERVED..).unwrap_or(&[]);
            let clean = reserved.iter().all(|byte| *byte == 0);
            let fault = Error::new(Code::DeviceSlot, At::Image(start));
            let wrong = if slot.blocks == 0 {
                Some(fault.found(Value::Number(0)).expected(Value::AtLeast(1)))
            } else if slot.start == 0 {
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
        if size < least {
            self.report(
                Error::new(Code::ImageSize, At::Image(size))
                    .found(Value::Number(size))
                    .expected(Value::AtLeast(least)),
            );
        }
    }
}

/// A field of the superblock, by its offset in the record.
const fn field(offset: u64) -> At {
    At::Image(SUPERBLOCK_OFFSET.saturating_add(offset))
}
