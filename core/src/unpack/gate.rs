//! The superblock gate: whether the bytes that stream past can be an EROFS image, and where
//! that image ends.

use core::fmt;

use super::{Devices, Expectations, Sniffed};
use crate::bytes::Gather;
use crate::erofs::{
    Checksum, Compat, DEVICE_SLOT_SIZE, DeviceSlot, EXTENSION_SLOT_SIZE, Incompat,
    SUPERBLOCK_MAGIC, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock,
};
use crate::{At, Code, Error, Value};

/// The bytes up to the end of a superblock without extension slots.
const HEAD: usize = 1152;
/// The end of the first extension slot.
const EXTENSION_END: u64 = HEAD as u64 + EXTENSION_SLOT_SIZE as u64;
/// Most zeros that may follow a tar which is part of the image: writers of tar archives fill
/// up the last record, of 10 KiB by default and of 1 MiB at most in practice.
pub(crate) const TAR_PADDING: u64 = 1 << 20;

/// Reads superblock and device table from a stream, in constant memory.
#[derive(Clone)]
pub(super) struct Gate {
    /// The most that an image may declare, in bytes, and what more is called.
    limit: u64,
    limit_code: Code,
    offset: u64,
    head: Gather<HEAD>,
    extension: Gather<EXTENSION_SLOT_SIZE>,
    slot: Gather<DEVICE_SLOT_SIZE>,
    superblock: Option<Superblock>,
    /// Running over the block of the superblock, until its end.
    crc: Option<Checksum>,
    /// The next byte of the device table and its end, while it has not passed.
    table: Option<(u64, u64)>,
    /// The largest end of a device that is addressed as one with the image, in blocks.
    devices_end: u64,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("offset", &self.offset)
            .field("superblock", &self.superblock)
            .finish_non_exhaustive()
    }
}

/// An error, and after how many bytes of the image it was certain.
pub(super) type GateResult<T> = Result<T, (u64, Error)>;

impl Gate {
    pub(super) const fn new(limit: u64, limit_code: Code) -> Self {
        Self {
            limit,
            limit_code,
            offset: 0,
            head: Gather::new(),
            extension: Gather::new(),
            slot: Gather::new(),
            superblock: None,
            crc: None,
            table: None,
            devices_end: 0,
        }
    }

    /// The superblock, once it has passed.
    pub(super) const fn superblock(&self) -> Option<&Superblock> {
        self.superblock.as_ref()
    }

    /// Whether the gate has seen all that it looks at.
    pub(super) const fn is_open(&self) -> bool {
        match &self.superblock {
            Some(superblock) if !self.extension_is_missing(superblock) => {
                self.crc.is_none() && self.table.is_none()
            }
            _ => false,
        }
    }

    /// Takes the next bytes of the image.
    pub(super) fn update(&mut self, mut bytes: &[u8]) -> GateResult<()> {
        while !bytes.is_empty() && !self.is_open() {
            let taken = self.step(bytes)?;
            self.offset = self.offset.saturating_add(taken as u64);
            bytes = bytes.get(taken..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// Takes bytes up to the next boundary that something starts or ends at; at least one.
    fn step(&mut self, bytes: &[u8]) -> GateResult<usize> {
        let Some(superblock) = self.superblock else {
            let taken = self.head.fill(HEAD, bytes);
            if self.head.filled().len() == HEAD {
                self.start()?;
            }
            return Ok(taken);
        };
        let boundaries = [
            Some(superblock.checksum_end()).filter(|_| self.crc.is_some()),
            Some(EXTENSION_END).filter(|_| self.extension_is_missing(&superblock)),
            self.table.map(|(next, _)| next),
            self.table
                .map(|(next, _)| next.saturating_add(DEVICE_SLOT_SIZE as u64)),
        ];
        let next = boundaries
            .into_iter()
            .flatten()
            .filter(|boundary| *boundary > self.offset)
            .min()
            .unwrap_or(u64::MAX);
        let room = usize::try_from(next.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let piece = bytes.get(..room).unwrap_or(bytes);
        let end = self.offset.saturating_add(piece.len() as u64);
        self.take_checksum(&superblock, piece, end)?;
        self.take_extension(superblock, piece, end)?;
        self.take_slots(&superblock, piece, end)?;
        Ok(piece.len())
    }

    /// Reads the superblock's own 128 bytes and sets up what follows them.
    fn start(&mut self) -> GateResult<()> {
        let head = self.head.filled();
        let superblock = read_head(head).map_err(|error| (HEAD as u64, error))?;
        self.superblock = Some(superblock);
        if superblock.compat.has(Compat::SB_CHKSUM) {
            self.crc = Some(Checksum::new(head_record(head)));
        }
        if !self.extension_is_missing(&superblock) {
            self.check(&superblock, HEAD as u64)?;
        }
        Ok(())
    }

    /// The checks that need the whole superblock, and the device table that they admit.
    fn check(&mut self, superblock: &Superblock, decoded: u64) -> GateResult<()> {
        superblock
            .check()
            .and_then(|()| superblock.check_size(self.limit, self.limit_code))
            .map_err(|error| (decoded, error))?;
        self.table = superblock.device_table().map(|(offset, slots)| {
            let size = u64::from(slots).saturating_mul(DEVICE_SLOT_SIZE as u64);
            (offset, offset.saturating_add(size))
        });
        Ok(())
    }

    /// Whether there is an extension slot that has not passed.
    const fn extension_is_missing(&self, superblock: &Superblock) -> bool {
        superblock.extension_slots > 0 && superblock.metabox_nid.is_none()
    }

    fn take_checksum(&mut self, superblock: &Superblock, piece: &[u8], end: u64) -> GateResult<()> {
        let Some(crc) = &mut self.crc else {
            return Ok(());
        };
        crc.update(piece);
        if end < superblock.checksum_end() {
            return Ok(());
        }
        let computed = self.crc.take().map_or(0, Checksum::finish);
        if computed == superblock.checksum {
            return Ok(());
        }
        let error = Error::new(
            Code::SuperblockChecksum,
            At::Image(SUPERBLOCK_OFFSET.saturating_add(4)),
        );
        Err((
            end,
            error
                .found(Value::Hex(superblock.checksum.into()))
                .expected(Value::Hex(computed.into())),
        ))
    }

    fn take_extension(
        &mut self,
        mut superblock: Superblock,
        piece: &[u8],
        end: u64,
    ) -> GateResult<()> {
        if !self.extension_is_missing(&superblock) {
            return Ok(());
        }
        self.extension.fill(EXTENSION_SLOT_SIZE, piece);
        if let Ok(slot) = self.extension.filled().try_into() {
            superblock.read_extension(slot);
            self.superblock = Some(superblock);
            self.check(&superblock, end)?;
        }
        Ok(())
    }

    fn take_slots(&mut self, superblock: &Superblock, piece: &[u8], end: u64) -> GateResult<()> {
        let Some((next, table_end)) = self.table.filter(|(next, _)| end > *next) else {
            return Ok(());
        };
        self.slot.fill(DEVICE_SLOT_SIZE, piece);
        let Ok(record) = self.slot.filled().try_into() else {
            return Ok(());
        };
        let high = superblock.incompat.has(Incompat::BIT48);
        if let Some(slot) = DeviceSlot::parse(record, high)
            && slot.start != 0
        {
            match slot.end() {
                // Bounded, so that the end in bytes is a number too.
                Some(end) if slot.start >= superblock.blocks && end < 1 << 47 => {
                    self.devices_end = self.devices_end.max(end);
                }
                _ => {
                    return Err((
                        end,
                        Error::new(Code::DeviceSlot, At::Image(next))
                            .found(Value::Number(slot.start))
                            .expected(Value::AtLeast(superblock.blocks)),
                    ));
                }
            }
        }
        self.slot.clear();
        self.table = Some((end, table_end)).filter(|_| end < table_end);
        Ok(())
    }

    /// The largest size that the image may have, in bytes, so far as it is known.
    pub(super) fn most(&self, expectations: &Expectations) -> Option<u64> {
        let superblock = self.superblock.as_ref().filter(|_| self.is_open())?;
        let devices = self.devices_end.saturating_mul(superblock.block_size());
        let image = superblock.size()?;
        let padding = if devices > image { TAR_PADDING } else { 0 };
        let mut most = image.max(devices).saturating_add(padding);
        if let Some(tree) = &expectations.verity
            && let Some((_, largest)) = tree.sizes()
        {
            most = most.max(tree.hash_offset.saturating_add(largest));
        }
        Some(most)
    }

    /// The bytes after which only the padding of a tar may follow, if there is a tar.
    pub(super) fn padding_start(&self) -> Option<u64> {
        let superblock = self.superblock.as_ref().filter(|_| self.is_open())?;
        let devices = self.devices_end.saturating_mul(superblock.block_size());
        (devices > superblock.size()?).then_some(devices)
    }

    /// The smallest size that the image may have, in bytes.
    pub(super) fn least(&self, expectations: &Expectations) -> Option<u64> {
        let superblock = self.superblock.as_ref()?;
        let mut least = superblock.size()?;
        if expectations.devices == Devices::Attached(0) {
            least = least.max(self.devices_end.saturating_mul(superblock.block_size()));
        }
        if let Some(tree) = &expectations.verity
            && let Some((smallest, _)) = tree.sizes()
        {
            least = least.max(tree.hash_offset.saturating_add(smallest));
        }
        Some(least)
    }

    /// Says that the image has ended.
    pub(super) fn finish(&self) -> Result<(), Error> {
        if self.is_open() {
            return Ok(());
        }
        let head = self.head.filled();
        let truncated = |expected: u64| {
            Error::new(Code::SuperblockTruncated, At::Image(self.offset))
                .found(Value::Number(self.offset))
                .expected(Value::AtLeast(expected))
        };
        match &self.superblock {
            Some(superblock) if self.extension_is_missing(superblock) => {
                Err(truncated(superblock.end()))
            }
            // The image is shorter than what its superblock covers or points at, and that is
            // shorter than what it declares: the size says so.
            Some(_) => Ok(()),
            None if head.is_empty() => Err(Error::new(Code::ContentEmpty, At::Image(0))),
            None => Err(other_content(head).unwrap_or_else(|| truncated(HEAD as u64))),
        }
    }
}

/// The superblock in the first bytes of an image.
fn read_head(head: &[u8]) -> Result<Superblock, Error> {
    let record = head_record(head);
    let magic = record.get(..4).unwrap_or(&[]);
    if magic != SUPERBLOCK_MAGIC.to_le_bytes()
        && let Some(error) = other_content(head)
    {
        return Err(error);
    }
    match record.try_into() {
        Ok(record) => Superblock::parse(record),
        Err(_) => Err(Error::new(
            Code::SuperblockTruncated,
            At::Image(HEAD as u64),
        )),
    }
}

/// The superblock's own 128 bytes.
fn head_record(head: &[u8]) -> &[u8] {
    head.get(HEAD.saturating_sub(SUPERBLOCK_SIZE)..)
        .unwrap_or(&[])
}

/// The error that names what `head` is instead of an EROFS image, if that can be seen.
fn other_content(head: &[u8]) -> Option<Error> {
    match super::sniff(head) {
        Sniffed::Tar => Some(Error::new(Code::ContentTar, At::Image(0))),
        Sniffed::Zeros => Some(Error::new(Code::ContentZeros, At::Image(0))),
        Sniffed::Foreign(format) => {
            Some(Error::new(Code::ContentForeign, At::Image(0)).found(Value::Text(format)))
        }
        Sniffed::Compressed(compression) => Some(
            Error::new(Code::ContentCompressed, At::Image(0))
                .found(Value::Text(compression.name())),
        ),
        Sniffed::Erofs | Sniffed::Unknown => None,
    }
}
