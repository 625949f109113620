//! The seek table of the zstd project's seekable format.
//!
//! Follows `contrib/seekable_format/zstd_seekable_compression_format.md` of facebook/zstd, version
//! 0.1.0: the last frame of a blob is skippable and says how large each frame before it is, in the
//! blob and decoded.

use alloc::vec::Vec;

use super::chunk::{Checksum, Chunk, Chunks, Span};
use crate::bytes;
use crate::{At, Code, Error, Limits, Value};

/// The magic of the skippable frame.
pub(super) const FRAME_MAGIC: u32 = 0x184D_2A5E;
/// Bytes of its header.
const FRAME: u64 = 8;
/// `Seekable_Magic_Number`, the last bytes of the blob.
pub(super) const MAGIC: u32 = 0x8F92_EAB1;
/// `Checksum_Flag` of the descriptor.
pub(super) const CHECKSUMS: u8 = 0x80;
/// `Reserved_Bits` of the descriptor, which a decoder must find unset.
const RESERVED: u8 = 0x7C;

/// The last bytes of a blob that has a seek table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeekTableFooter {
    /// How many frames there are.
    count: u32,
    checksums: bool,
}

impl SeekTableFooter {
    /// Bytes of the footer.
    pub const SIZE: usize = 9;

    /// Reads the last bytes of a blob; `None` when it has no seek table.
    ///
    /// # Errors
    ///
    /// [`Code::SeekTableReserved`] when it uses what is not known ([`super::is_passed_over`]).
    pub fn parse(footer: &[u8; Self::SIZE]) -> Result<Option<Self>, Error> {
        let rest = &mut footer.as_slice();
        let count = bytes::le_u32(rest);
        let Some((count, [descriptor, magic @ ..])) = count.zip(rest.first_chunk::<5>()) else {
            return Ok(None);
        };
        if u32::from_le_bytes(*magic) != MAGIC {
            return Ok(None);
        }
        if descriptor & RESERVED != 0 {
            return Err(Error::new(Code::SeekTableReserved, At::Whole)
                .found(Value::Hex(u64::from(descriptor & RESERVED)))
                .expected(Value::Hex(0)));
        }
        Ok(Some(Self {
            count,
            checksums: descriptor & CHECKSUMS != 0,
        }))
    }

    /// Bytes of the whole frame, the footer included.
    #[must_use]
    pub fn frame_size(&self) -> u64 {
        let entries = u64::from(self.count).saturating_mul(self.entry());
        // At most 2^32 entries of 12 bytes, and 17 more.
        entries
            .saturating_add(FRAME)
            .saturating_add(Self::SIZE as u64)
    }

    /// Bytes of an entry.
    const fn entry(&self) -> u64 {
        if self.checksums { 12 } else { 8 }
    }
}

/// A seek table, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeekTable {
    entries: Vec<Entry>,
    checksums: bool,
}

/// Where a frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    blob: u64,
    image: u64,
    checksum: u32,
}

impl SeekTable {
    /// Reads the frame that a seek table is, [`SeekTableFooter::frame_size`] bytes, of a blob of
    /// `blob_size` bytes that ends with it.
    ///
    /// # Errors
    ///
    /// [`Code::SeekTableFrame`] when the frame is no such frame, or of another size;
    /// [`Code::SeekTableSize`] when the frames that it tells of do not reach to the table itself;
    /// [`Code::ChunkIndexLimit`] when it is larger than [`Limits::chunk_index`], and
    /// [`Code::ChunkIndexMemory`] without memory for 24 bytes a frame.
    pub fn parse(
        frame: &[u8],
        footer: &SeekTableFooter,
        blob_size: u64,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let size = footer.frame_size();
        let start = blob_size.saturating_sub(size);
        let refuse = |code| Error::new(code, At::Blob(start));
        if size > limits.chunk_index {
            return Err(refuse(Code::ChunkIndexLimit)
                .found(Value::Number(size))
                .expected(Value::AtMost(limits.chunk_index)));
        }
        let mut rest = frame;
        let header = bytes::le_u32(&mut rest).zip(bytes::le_u32(&mut rest));
        let content = size.saturating_sub(FRAME);
        match header {
            Some((FRAME_MAGIC, length))
                if u64::from(length) == content && frame.len() as u64 == size => {}
            Some((FRAME_MAGIC, length)) => {
                return Err(refuse(Code::SeekTableFrame)
                    .found(Value::Number(length.into()))
                    .expected(Value::Number(content)));
            }
            other => {
                let found = other.map_or(Value::None, |(magic, _)| Value::Hex(magic.into()));
                return Err(refuse(Code::SeekTableFrame)
                    .found(found)
                    .expected(Value::Hex(FRAME_MAGIC.into())));
            }
        }
        let mut entries = Vec::new();
        let count = usize::try_from(footer.count).unwrap_or(usize::MAX);
        entries
            .try_reserve_exact(count)
            .map_err(|_| refuse(Code::ChunkIndexMemory))?;
        let (mut blob, mut image) = (0_u64, 0_u64);
        for _ in 0..footer.count {
            let sizes = bytes::le_u32(&mut rest).zip(bytes::le_u32(&mut rest));
            let checksum = if footer.checksums {
                bytes::le_u32(&mut rest)
            } else {
                Some(0)
            };
            let (Some((compressed, decoded)), Some(checksum)) = (sizes, checksum) else {
                return Err(refuse(Code::SeekTableFrame));
            };
            blob = blob.saturating_add(compressed.into());
            image = image.saturating_add(decoded.into());
            entries.push(Entry {
                blob,
                image,
                checksum,
            });
        }
        if blob != start {
            return Err(refuse(Code::SeekTableSize)
                .found(Value::Number(blob))
                .expected(Value::Number(start)));
        }
        Ok(Self {
            entries,
            checksums: footer.checksums,
        })
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(number).ok()?)
    }
}

impl Chunks for SeekTable {
    fn count(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    fn chunk(&self, number: u32) -> Option<Chunk> {
        let end = self.entry(number)?;
        let before = number.checked_sub(1).and_then(|before| self.entry(before));
        let (blob, image) = before.map_or((0, 0), |before| (before.blob, before.image));
        Some(Chunk {
            number,
            blob: Span {
                start: blob,
                end: end.blob,
            },
            image: Span {
                start: image,
                end: end.image,
            },
            checksum: if self.checksums {
                Checksum::Xxh64(end.checksum)
            } else {
                Checksum::None
            },
        })
    }

    fn image_size(&self) -> u64 {
        self.entries.last().map_or(0, |last| last.image)
    }

    fn has_digests(&self) -> bool {
        false
    }
}
