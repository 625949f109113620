//! Indexes, as they are written beside the chunks of a layer.

use alloc::vec::Vec;

use super::chunk::Checksum;
use super::index::{HashAlgorithm, Header};
use super::seek_table;
use crate::codec::Compression;
use crate::{At, Code, Error, Value};

/// The magic of the skippable frame that holds a chunk index: the first of the sixteen.
const SKIPPABLE: u32 = 0x184D_2A50;

/// The header of the skippable frame that this payload is put into; `None` when it is too long for
/// one.
#[must_use]
pub fn skippable(payload: &[u8]) -> Option<[u8; 8]> {
    let [a, b, c, d] = SKIPPABLE.to_le_bytes();
    let [e, f, g, h] = u32::try_from(payload.len()).ok()?.to_le_bytes();
    Some([a, b, c, d, e, f, g, h])
}

/// Makes the draft's chunk index, chunk by chunk in their order.
#[derive(Clone, Debug)]
pub struct ChunkIndexWriter {
    header: Header,
    entries: Vec<u8>,
    blob: u64,
}

impl ChunkIndexWriter {
    /// An index of no chunks so far, of a layer that is wrapped so, whose chunks have such
    /// checksums.
    #[must_use]
    pub const fn new(compression: Compression, hash: HashAlgorithm) -> Self {
        Self {
            header: Header {
                compression,
                image_size: 0,
                count: 0,
                hash,
            },
            entries: Vec::new(),
            blob: 0,
        }
    }

    /// The next chunk: its length in the blob and in the image, neither of them zero, and its
    /// checksum over its bytes in the blob, a digest where the index has them.
    ///
    /// # Errors
    ///
    /// [`Code::ChunkIndexBounds`] when a length is zero, the checksum is of another kind, or there
    /// are 2^32 chunks; [`Code::ChunkIndexMemory`].
    pub fn push(&mut self, blob: u64, image: u64, checksum: Checksum) -> Result<(), Error> {
        let at = At::Index(Header::SIZE.saturating_add(self.entries.len()) as u64);
        let bounds = Error::new(Code::ChunkIndexBounds, at);
        let digest = match (self.header.hash, &checksum) {
            (HashAlgorithm::None, _) => &[],
            (HashAlgorithm::Sha2(algorithm), Checksum::Digest(digest))
                if digest.algorithm() == algorithm =>
            {
                digest.as_bytes()
            }
            _ => return Err(bounds),
        };
        if blob == 0 || image == 0 {
            return Err(bounds.found(Value::Number(0)).expected(Value::AtLeast(1)));
        }
        self.header.count = self.header.count.checked_add(1).ok_or(bounds)?;
        let length = digest.len().saturating_add(16);
        let reserved = self.entries.try_reserve(length);
        reserved.map_err(|_| Error::new(Code::ChunkIndexMemory, at))?;
        self.entries.extend(self.blob.to_le_bytes());
        self.entries.extend(self.header.image_size.to_le_bytes());
        self.entries.extend(digest);
        self.blob = self.blob.checked_add(blob).ok_or(bounds)?;
        self.header.image_size = self.header.image_size.checked_add(image).ok_or(bounds)?;
        Ok(())
    }

    /// How many bytes of the blob the chunks have so far.
    #[must_use]
    pub const fn blob_size(&self) -> u64 {
        self.blob
    }

    /// Header and entries.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let mut payload = self.header.to_bytes().to_vec();
        payload.extend(self.entries);
        payload
    }
}

/// Makes the zstd project's seek table, frame by frame in their order.
#[derive(Clone, Debug)]
pub struct SeekTableWriter {
    entries: Vec<u8>,
    count: u32,
    checksums: bool,
}

impl SeekTableWriter {
    /// A table of no frames so far, with checksums of their content or without.
    #[must_use]
    pub const fn new(checksums: bool) -> Self {
        Self {
            entries: Vec::new(),
            count: 0,
            checksums,
        }
    }

    /// The next frame: its length in the blob and decoded, and the low half of the XXH64 of its
    /// content.
    ///
    /// # Errors
    ///
    /// [`Code::SeekTableSize`] when a length has more than 32 bits, or there are 2^32 frames;
    /// [`Code::ChunkIndexMemory`].
    pub fn push(&mut self, blob: u64, image: u64, checksum: u32) -> Result<(), Error> {
        let size = |length: u64| {
            u32::try_from(length).map_err(|_| {
                Error::new(Code::SeekTableSize, At::Whole)
                    .found(Value::Number(length))
                    .expected(Value::AtMost(u32::MAX.into()))
            })
        };
        let (blob, image) = (size(blob)?, size(image)?);
        let count = self.count.checked_add(1);
        self.count = count.ok_or_else(|| Error::new(Code::SeekTableSize, At::Whole))?;
        let reserved = self.entries.try_reserve(12);
        reserved.map_err(|_| Error::new(Code::ChunkIndexMemory, At::Whole))?;
        self.entries.extend(blob.to_le_bytes());
        self.entries.extend(image.to_le_bytes());
        if self.checksums {
            self.entries.extend(checksum.to_le_bytes());
        }
        Ok(())
    }

    /// The frame that ends the blob.
    ///
    /// # Errors
    ///
    /// [`Code::SeekTableSize`] when it is larger than a frame can be.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        let content = self.entries.len().saturating_add(9);
        let Ok(size) = u32::try_from(content) else {
            return Err(Error::new(Code::SeekTableSize, At::Whole));
        };
        let mut frame = seek_table::FRAME_MAGIC.to_le_bytes().to_vec();
        frame.extend(size.to_le_bytes());
        frame.extend(self.entries);
        frame.extend(self.count.to_le_bytes());
        frame.push(if self.checksums {
            seek_table::CHECKSUMS
        } else {
            0
        });
        frame.extend(seek_table::MAGIC.to_le_bytes());
        Ok(frame)
    }
}
