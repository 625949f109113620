//! The device table: further block devices that an image addresses.

use nom::bytes::complete::take;
use nom::number::complete::{le_u16, le_u32};

use super::Parsed;
use crate::bytes;

/// Size of one slot of the device table, in bytes (`EROFS_DEVT_SLOT_SIZE`).
pub const DEVICE_SLOT_SIZE: usize = 128;

/// One slot of the device table (`struct erofs_deviceslot`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceSlot {
    /// Names the device, often by a digest in hex; zeros fill it up.
    pub tag: [u8; 64],
    /// Size of the device in blocks. The upper 16 bits count only with the 48-bit feature.
    pub blocks: u64,
    /// The block where the device starts when primary device and devices are addressed as
    /// one (`uniaddr`); zero where they are not. Upper bits as in `blocks`.
    pub start: u64,
}

impl DeviceSlot {
    /// Reads a slot. `high` says whether the image has the 48-bit feature.
    #[must_use]
    pub fn parse(slot: &[u8; DEVICE_SLOT_SIZE], high: bool) -> Option<Self> {
        let (_, parsed) = parse(slot, high).ok()?;
        Some(parsed)
    }

    /// The block after the device's last one in the unified address space, or `None` when
    /// the device is not addressed that way or the sum overflows.
    #[must_use]
    pub const fn end(&self) -> Option<u64> {
        if self.start == 0 {
            None
        } else {
            self.start.checked_add(self.blocks)
        }
    }
}

/// The slot's fields, in their order on disk.
fn parse(slot: &[u8], high: bool) -> Parsed<'_, DeviceSlot> {
    let (rest, tag_bytes) = take(64_usize)(slot)?;
    let (rest, blocks_lo) = le_u32(rest)?;
    let (rest, start_lo) = le_u32(rest)?;
    let (rest, blocks_hi) = le_u16(rest)?;
    let (rest, start_hi) = le_u16(rest)?;
    let wide = |low: u32, upper: u16| {
        let upper = if high { u64::from(upper) } else { 0 };
        u64::from(low) | (upper << 32)
    };
    let mut tag = [0; 64];
    bytes::copy(tag_bytes, &mut tag);
    let parsed = DeviceSlot {
        tag,
        blocks: wide(blocks_lo, blocks_hi),
        start: wide(start_lo, start_hi),
    };
    Ok((rest, parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bits_count_only_with_48_bits() {
        let mut slot = [0; DEVICE_SLOT_SIZE];
        slot[..3].copy_from_slice(b"tag");
        slot[64] = 49;
        slot[68] = 4;
        slot[72] = 1;
        slot[74] = 2;
        let low = DeviceSlot::parse(&slot, false).unwrap();
        assert_eq!((low.blocks, low.start, low.end()), (49, 4, Some(53)));
        assert_eq!(&low.tag[..4], b"tag\0");
        let high = DeviceSlot::parse(&slot, true).unwrap();
        assert_eq!((high.blocks, high.start), (49 | 1 << 32, 4 | 2 << 32));
    }

    #[test]
    fn a_device_of_its_own_has_no_end() {
        let slot = DeviceSlot {
            tag: [0; 64],
            blocks: 7,
            start: 0,
        };
        assert_eq!(slot.end(), None);
    }
}
