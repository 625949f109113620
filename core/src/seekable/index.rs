//! The draft's chunk index: a header of 32 bytes and one entry for each chunk.
//!
//! Follows the EROFS image layer specification (draft), `spec.md` 3.4.1 (header), 3.4.2 (entries),
//! 3.4.4 (reading) and 3.4.6 (edge cases). It needs no allocator: entries are read where they lie.

use super::chunk::{Checksum, Chunk, Chunks, Span};
use crate::bytes;
use crate::codec::Compression;
use crate::oci::{Algorithm, Digest};
use crate::{At, Code, Error, Value};

/// The magic, as its bytes lie (3.4.1).
const MAGIC: [u8; 4] = [0xCD, 0xE4, 0xEC, 0x67];
/// The one version that is described.
const VERSION: u8 = 1;
/// Where the fields that errors name lie in the header.
const AT_VERSION: u64 = 4;
const AT_COMPRESSION: u64 = 5;
const AT_FLAGS: u64 = 6;
const AT_SIZE: u64 = 8;
const AT_COUNT: u64 = 16;
const AT_HASH_ALGORITHM: u64 = 20;
const AT_HASH_SIZE: u64 = 21;
const AT_RESERVED: u64 = 22;
/// Bytes of an entry without its checksum.
const ENTRY: usize = 16;

/// How the chunks of an index are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// Not at all.
    None,
    /// By SHA-256 or SHA-512 of their bytes in the blob.
    Sha2(Algorithm),
}

impl HashAlgorithm {
    /// Bytes of each checksum: `HashSize`.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::None => 0,
            Self::Sha2(algorithm) => algorithm.size(),
        }
    }

    /// Bytes of an entry.
    const fn entry(self) -> usize {
        ENTRY.saturating_add(self.size())
    }
}

/// What an index is an index of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// How the layer's blob is wrapped.
    pub compression: Compression,
    /// Where the chunks end in the blob: where the index begins that is embedded in it, and the end
    /// of the blob where the index is a layer of its own.
    pub end: u64,
}

/// The header of a chunk index (3.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How the chunks are compressed: [`Compression::None`] or [`Compression::Zstd`].
    pub compression: Compression,
    /// Size of the image in bytes, a dm-verity tree behind it included.
    pub image_size: u64,
    /// How many chunks there are.
    pub count: u32,
    /// How they are verified.
    pub hash: HashAlgorithm,
}

impl Header {
    /// Bytes of the header.
    pub const SIZE: usize = 32;

    /// Reads a header.
    ///
    /// What a later version may have changed is asked first: of such a header nothing else is
    /// known.
    ///
    /// # Errors
    ///
    /// [`Code::ChunkIndexVersion`], [`Code::ChunkIndexFlags`], [`Code::ChunkIndexCompression`] and
    /// [`Code::ChunkIndexHash`] for what is not known ([`super::is_passed_over`]);
    /// [`Code::ChunkIndexMagic`], [`Code::ChunkIndexHashSize`] and [`Code::ChunkIndexReserved`] for
    /// what is wrong.
    pub fn parse(header: &[u8; Self::SIZE]) -> Result<Self, Error> {
        let refuse = |code, at| Error::new(code, At::Index(at));
        let fields = fields(header).ok_or_else(|| refuse(Code::ChunkIndexLength, 0))?;
        if fields.magic != MAGIC {
            let found = Value::Hex(u32::from_le_bytes(fields.magic).into());
            return Err(refuse(Code::ChunkIndexMagic, 0).found(found));
        }
        if fields.version != VERSION {
            return Err(refuse(Code::ChunkIndexVersion, AT_VERSION)
                .found(Value::Number(fields.version.into()))
                .expected(Value::Number(VERSION.into())));
        }
        if fields.flags != 0 {
            return Err(refuse(Code::ChunkIndexFlags, AT_FLAGS)
                .found(Value::Hex(fields.flags.into()))
                .expected(Value::Hex(0)));
        }
        let compression = match fields.compression {
            0 => Compression::None,
            1 => Compression::Zstd,
            other => {
                return Err(refuse(Code::ChunkIndexCompression, AT_COMPRESSION)
                    .found(Value::Number(other.into()))
                    .expected(Value::Text("0 or 1")));
            }
        };
        if let Some(place) = fields.reserved.iter().position(|byte| *byte != 0) {
            let at = AT_RESERVED.saturating_add(place as u64);
            return Err(refuse(Code::ChunkIndexReserved, at).expected(Value::Hex(0)));
        }
        let hash = match (fields.hash_algorithm, fields.hash_size) {
            (0, 0) => HashAlgorithm::None,
            (1, 32) => HashAlgorithm::Sha2(Algorithm::Sha256),
            (1, 64) => HashAlgorithm::Sha2(Algorithm::Sha512),
            (algorithm @ (0 | 1), size) => {
                let expected = if algorithm == 0 { "0" } else { "32 or 64" };
                return Err(refuse(Code::ChunkIndexHashSize, AT_HASH_SIZE)
                    .found(Value::Number(size.into()))
                    .expected(Value::Text(expected)));
            }
            (algorithm, _) => {
                return Err(refuse(Code::ChunkIndexHash, AT_HASH_ALGORITHM)
                    .found(Value::Number(algorithm.into()))
                    .expected(Value::Text("0 or 1")));
            }
        };
        Ok(Self {
            compression,
            image_size: fields.image_size,
            count: fields.count,
            hash,
        })
    }

    /// The header as its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut header = [0; Self::SIZE];
        let compression = match self.compression {
            Compression::None => 0,
            // There is no number for gzip; what is written so is refused when it is read.
            Compression::Gzip => u8::MAX,
            Compression::Zstd => 1,
        };
        let (algorithm, hash_size) = match self.hash {
            HashAlgorithm::None => (0, 0),
            HashAlgorithm::Sha2(Algorithm::Sha256) => (1, 32),
            HashAlgorithm::Sha2(Algorithm::Sha512) => (1, 64),
        };
        let mut rest = header.as_mut_slice();
        for field in [
            MAGIC.as_slice(),
            &[VERSION, compression, 0, 0],
            &self.image_size.to_le_bytes(),
            &self.count.to_le_bytes(),
            &[algorithm, hash_size],
        ] {
            let (place, after) = rest
                .split_at_mut_checked(field.len())
                .unwrap_or((&mut [], &mut []));
            bytes::copy(field, place);
            rest = after;
        }
        header
    }

    /// Bytes that header and entries take together (3.4.4, step 3).
    #[must_use]
    pub fn payload_size(&self) -> u64 {
        let entries = u64::from(self.count).saturating_mul(self.hash.entry() as u64);
        entries.saturating_add(Self::SIZE as u64)
    }
}

/// The fields as they are.
struct Fields {
    magic: [u8; 4],
    version: u8,
    compression: u8,
    flags: u16,
    image_size: u64,
    count: u32,
    hash_algorithm: u8,
    hash_size: u8,
    reserved: [u8; 10],
}

fn fields(header: &[u8; Header::SIZE]) -> Option<Fields> {
    let (magic, mut rest) = header.split_first_chunk()?;
    let rest = &mut rest;
    let ([version, compression], after) = rest.split_first_chunk()?;
    *rest = after;
    let flags = bytes::le_u16(rest)?;
    let image_size = bytes::le_u64(rest)?;
    let count = bytes::le_u32(rest)?;
    let ([hash_algorithm, hash_size], after) = rest.split_first_chunk()?;
    Some(Fields {
        magic: *magic,
        version: *version,
        compression: *compression,
        flags,
        image_size,
        count,
        hash_algorithm: *hash_algorithm,
        hash_size: *hash_size,
        reserved: *after.first_chunk()?,
    })
}

/// A chunk index whose entries have passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkIndex<B> {
    payload: B,
    header: Header,
    end: u64,
}

impl<B: AsRef<[u8]>> ChunkIndex<B> {
    /// Reads an index, header and entries, and holds every entry against the next and against what
    /// it is an index of.
    ///
    /// The chunks begin where the blob and the image do, leave nothing out, and none is empty: by
    /// the lengths that 3.4.2 gives them, that is so when both offsets begin at zero and ascend. A
    /// plain blob is its own image, so there both offsets of an entry are one.
    ///
    /// # Errors
    ///
    /// As [`Header::parse`]; [`Code::ChunkIndexLength`] when there are more or fewer bytes than
    /// entries need, [`Code::ChunkIndexWrap`] when the blob is wrapped otherwise,
    /// [`Code::ChunkIndexOrder`] and [`Code::ChunkIndexBounds`] for offsets that cannot be, each at
    /// its byte of the index.
    pub fn parse(payload: B, subject: &Subject) -> Result<Self, Error> {
        let content = payload.as_ref();
        let length = |found: usize, expected| {
            Error::new(Code::ChunkIndexLength, At::Index(found as u64))
                .found(Value::Number(found as u64))
                .expected(expected)
        };
        let Some(header) = content.first_chunk() else {
            let least = Value::AtLeast(Header::SIZE as u64);
            return Err(length(content.len(), least));
        };
        let header = Header::parse(header)?;
        if content.len() as u64 != header.payload_size() {
            let expected = Value::Number(header.payload_size());
            return Err(length(content.len(), expected));
        }
        if header.compression != subject.compression {
            return Err(Error::new(Code::ChunkIndexWrap, At::Index(AT_COMPRESSION))
                .found(Value::Text(header.compression.name()))
                .expected(Value::Text(subject.compression.name())));
        }
        let index = Self {
            payload,
            header,
            end: subject.end,
        };
        index.check()?;
        Ok(index)
    }

    /// The rules between entries, and for the sizes of header and blob.
    fn check(&self) -> Result<(), Error> {
        let size = self.header.image_size;
        if (self.header.count == 0) != (size == 0) {
            let at = At::Index(AT_COUNT);
            return Err(Error::new(Code::ChunkIndexBounds, at)
                .found(Value::Number(self.header.count.into()))
                .expected(if size == 0 {
                    Value::Number(0)
                } else {
                    Value::AtLeast(1)
                }));
        }
        let is_plain = self.header.compression == Compression::None;
        if is_plain && size != self.end {
            return Err(Error::new(Code::ChunkIndexBounds, At::Index(AT_SIZE))
                .found(Value::Number(size))
                .expected(Value::Number(self.end)));
        }
        let mut before: Option<(u64, u64)> = None;
        for number in 0..self.header.count {
            let Some((blob, image)) = self.offsets(number) else {
                return Err(Error::new(Code::ChunkIndexLength, At::Index(0)));
            };
            let at = self.place(number);
            let image_at = at.saturating_add(8);
            let refuse = |code, at, found, expected| {
                Err(Error::new(code, At::Index(at))
                    .found(Value::Number(found))
                    .expected(expected))
            };
            match before {
                None if blob != 0 => {
                    return refuse(Code::ChunkIndexOrder, at, blob, Value::Number(0));
                }
                None if image != 0 => {
                    return refuse(Code::ChunkIndexOrder, image_at, image, Value::Number(0));
                }
                Some((last, _)) if blob <= last => {
                    let more = Value::AtLeast(last.saturating_add(1));
                    return refuse(Code::ChunkIndexOrder, at, blob, more);
                }
                Some((_, last)) if image <= last => {
                    let more = Value::AtLeast(last.saturating_add(1));
                    return refuse(Code::ChunkIndexOrder, image_at, image, more);
                }
                _ => {}
            }
            if blob >= self.end {
                let less = Value::AtMost(self.end.saturating_sub(1));
                return refuse(Code::ChunkIndexBounds, at, blob, less);
            }
            if image >= size {
                let less = Value::AtMost(size.saturating_sub(1));
                return refuse(Code::ChunkIndexBounds, image_at, image, less);
            }
            if is_plain && blob != image {
                return refuse(Code::ChunkIndexBounds, at, blob, Value::Number(image));
            }
            before = Some((blob, image));
        }
        Ok(())
    }

    /// Where the entry of a chunk lies in the index.
    fn place(&self, number: u32) -> u64 {
        let entries = u64::from(number).saturating_mul(self.header.hash.entry() as u64);
        entries.saturating_add(Header::SIZE as u64)
    }

    /// The entry of a chunk.
    fn entry(&self, number: u32) -> Option<&[u8]> {
        let start = usize::try_from(self.place(number)).ok()?;
        let rest = self.payload.as_ref().get(start..)?;
        rest.get(..self.header.hash.entry())
    }

    /// Where a chunk begins in the blob and in the image.
    fn offsets(&self, number: u32) -> Option<(u64, u64)> {
        let entry = &mut self.entry(number)?;
        Some((bytes::le_u64(entry)?, bytes::le_u64(entry)?))
    }
}

impl<B> ChunkIndex<B> {
    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Header and entries, as they were read.
    #[must_use]
    pub const fn payload(&self) -> &B {
        &self.payload
    }
}

impl ChunkIndex<&[u8]> {
    /// Holds header and entries against the digest that `org.erofs.chunk-index.digest` states.
    ///
    /// # Errors
    ///
    /// [`Code::ChunkIndexDigest`].
    pub fn verify(payload: &[u8], digest: &Digest) -> Result<(), Error> {
        let found = digest.algorithm().digest(payload);
        if found == *digest {
            return Ok(());
        }
        Err(Error::new(Code::ChunkIndexDigest, At::Whole)
            .found(Value::Digest(found))
            .expected(Value::Digest(*digest)))
    }
}

impl<B: AsRef<[u8]>> Chunks for ChunkIndex<B> {
    fn count(&self) -> u32 {
        self.header.count
    }

    fn chunk(&self, number: u32) -> Option<Chunk> {
        if number >= self.header.count {
            return None;
        }
        let (blob, image) = self.offsets(number)?;
        let next = number
            .checked_add(1)
            .filter(|next| *next < self.header.count);
        let (blob_end, image_end) = match next {
            Some(next) => self.offsets(next)?,
            None => (self.end, self.header.image_size),
        };
        let checksum = match self.header.hash {
            HashAlgorithm::None => Checksum::None,
            HashAlgorithm::Sha2(algorithm) => {
                let bytes = self.entry(number)?.get(ENTRY..)?;
                Checksum::Digest(Digest::from_bytes(algorithm, bytes)?)
            }
        };
        Some(Chunk {
            number,
            blob: Span {
                start: blob,
                end: blob_end,
            },
            image: Span {
                start: image,
                end: image_end,
            },
            checksum,
        })
    }

    fn image_size(&self) -> u64 {
        self.header.image_size
    }

    fn has_digests(&self) -> bool {
        matches!(self.header.hash, HashAlgorithm::Sha2(_))
    }
}
