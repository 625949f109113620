//! A layer that is read at random, opened: its index found, verified, and weighed.

use alloc::vec::Vec;

use super::chunk::{Chunk, Chunks};
use super::image::{Reads, Seekable, admit, resize};
use super::index::{ChunkIndex, Subject};
use super::section::{Section, TAIL, tail};
use super::seek_table::{SeekTable, SeekTableFooter};
use super::trust::{Pin, Trust};
use crate::codec::Compression;
use crate::erofs::{ReadAt, ReadError};
use crate::oci::{ByteRange, Digest};
use crate::{At, Code, Error, Limits, Value};

/// How much of the end of a blob is looked at first, in bytes: the index of some 1,300 chunks.
const FIRST_TAIL: usize = 64 << 10;

/// What is known of a layer whose blob is to be read at random.
#[derive(Clone, Debug)]
pub struct Stated {
    /// How the blob is wrapped.
    pub compression: Compression,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Where its index is.
    pub index: IndexPlace,
    /// The digest of header and entries of its chunk index, where the manifest states it: in
    /// `org.erofs.chunk-index.digest`, or in the descriptor of an index that is a layer.
    pub digest: Option<Digest>,
    /// Whether the whole blob has been held against its digest.
    pub blob_verified: bool,
    /// Whether the image is read at random even if nothing vouches for the index, or its chunks
    /// cannot be verified one by one ([`Trust::allow_unpinned`]).
    pub allow_unpinned: bool,
}

/// Where the index of a layer is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum IndexPlace {
    /// Nobody says it: what a zstd blob ends with, a chunk index or a seek table.
    #[default]
    End,
    /// In this part of the blob, as `org.erofs.chunk-index.range` has it.
    Range(ByteRange),
    /// In no part of it: header and entries are these.
    Payload(Vec<u8>),
}

/// The index of a layer, of either format.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Index {
    /// The draft's.
    Chunks(ChunkIndex<Vec<u8>>),
    /// That of the zstd project.
    Table(SeekTable),
}

impl Index {
    fn chunks(&self) -> &dyn Chunks {
        match self {
            Self::Chunks(index) => index,
            Self::Table(table) => table,
        }
    }
}

impl Chunks for Index {
    fn count(&self) -> u32 {
        self.chunks().count()
    }

    fn chunk(&self, number: u32) -> Option<Chunk> {
        self.chunks().chunk(number)
    }

    fn image_size(&self) -> u64 {
        self.chunks().image_size()
    }

    fn has_digests(&self) -> bool {
        self.chunks().has_digests()
    }
}

/// An index that was found.
struct Found {
    index: Index,
    pin: Pin,
    /// Where the chunks end in the blob.
    end: u64,
}

impl<B: ReadAt> Seekable<B, Index> {
    /// Opens the image in a blob of which this is known: its index is read, verified, and weighed by
    /// [`Trust::random`]. `None` when the blob does not end with an index and none is stated. What
    /// vouches for the index comes with it.
    ///
    /// [`Seekable::reads`] counts the index where it lies in the blob, but not what was looked at to
    /// find it.
    ///
    /// # Errors
    ///
    /// What `blob` gives; what an index is refused with, of which [`is_passed_over`] tells the ones
    /// that leave the layer to be read from its start; [`Code::ChunkIndexUnpinned`] and
    /// [`Code::ChunkIndexUnverified`], which do so too; and what is over a limit:
    /// [`Code::ChunkIndexLimit`], [`Code::ChunkLimit`], [`Code::ImageLimit`].
    ///
    /// [`is_passed_over`]: super::is_passed_over
    pub fn open(
        blob: B,
        stated: Stated,
        limits: &Limits,
    ) -> Result<Option<(Self, Pin)>, ReadError<B::Error>> {
        let size = stated.size;
        let compression = stated.compression;
        let allow_unpinned = stated.allow_unpinned;
        let search = Search {
            blob: &blob,
            size,
            compression,
            digest: stated.digest,
            blob_verified: stated.blob_verified,
            limits,
        };
        let found = match stated.index {
            IndexPlace::Payload(payload) => Some(search.standalone(payload)?),
            IndexPlace::Range(range) => Some(search.embedded(range)?),
            IndexPlace::End => search.at_end()?,
        };
        let Some(Found { index, pin, end }) = found else {
            return Ok(None);
        };
        let trust = Trust {
            pin,
            digests: index.has_digests(),
            verity: false,
            allow_unpinned,
        };
        trust.random()?;
        limits.admit_image(index.image_size())?;
        for number in 0..index.count() {
            if let Some(chunk) = index.chunk(number) {
                admit(&chunk, limits)?;
            }
        }
        let reads = Reads {
            chunks: 0,
            bytes: size.saturating_sub(end),
        };
        let image = Self::new(blob, index, compression, limits).with_reads(reads);
        Ok(Some((image, pin)))
    }
}

/// A blob whose index is looked for.
struct Search<'a, B> {
    blob: &'a B,
    size: u64,
    compression: Compression,
    digest: Option<Digest>,
    blob_verified: bool,
    limits: &'a Limits,
}

impl<B: ReadAt> Search<'_, B> {
    /// So many bytes of the blob, which a limit allows.
    fn read(&self, start: u64, length: u64) -> Result<Vec<u8>, ReadError<B::Error>> {
        let mut bytes = Vec::new();
        resize(&mut bytes, length).map_err(|_| Error::new(Code::ChunkIndexMemory, At::Whole))?;
        let read = self.blob.read_at(start, &mut bytes);
        read.map_err(ReadError::Source)?;
        Ok(bytes)
    }

    /// What vouches for an index that was found in the blob, besides its digest.
    const fn pin(&self) -> Pin {
        if self.blob_verified {
            Pin::Blob
        } else {
            Pin::None
        }
    }

    /// Header and entries, of chunks that end here. With `pin` something vouches for them already.
    fn parsed(&self, payload: Vec<u8>, end: u64, pin: Pin) -> Result<Found, Error> {
        let pin = match &self.digest {
            Some(digest) => {
                ChunkIndex::verify(&payload, digest)?;
                Pin::Manifest
            }
            None => pin,
        };
        let subject = Subject {
            compression: self.compression,
            end,
        };
        let index = Index::Chunks(ChunkIndex::parse(payload, &subject)?);
        Ok(Found { index, pin, end })
    }

    /// An index that is no part of the blob: that the blob is verified says nothing of it.
    fn standalone(&self, payload: Vec<u8>) -> Result<Found, Error> {
        let size = payload.len() as u64;
        if size > self.limits.chunk_index {
            return Err(Error::new(Code::ChunkIndexLimit, At::Whole)
                .found(Value::Number(size))
                .expected(Value::AtMost(self.limits.chunk_index)));
        }
        self.parsed(payload, self.size, Pin::None)
    }

    /// The index in this part of the blob.
    fn embedded(&self, range: ByteRange) -> Result<Found, ReadError<B::Error>> {
        let section = Section::of(range, self.compression, self.size, self.limits)?;
        let mut bytes = self.read(section.span.start, section.span.length())?;
        let payload = section.unframed(&bytes)?;
        // Of a plain blob they are the same bytes.
        let before = bytes.len().saturating_sub(payload.len());
        bytes.drain(..before);
        Ok(self.parsed(bytes, section.span.start, self.pin())?)
    }

    /// What a zstd blob ends with. A digest is that of a chunk index, never of a seek table.
    fn at_end(&self) -> Result<Option<Found>, ReadError<B::Error>> {
        if self.compression != Compression::Zstd {
            return Ok(None);
        }
        if self.digest.is_none()
            && let Some(found) = self.seek_table()?
        {
            return Ok(Some(found));
        }
        match self.last_frame()? {
            Some(range) => self.embedded(range).map(Some),
            None => Ok(None),
        }
    }

    /// Where the chunk index is that the blob ends with. Most are small, so little is read at first.
    fn last_frame(&self) -> Result<Option<ByteRange>, ReadError<B::Error>> {
        let mut length = FIRST_TAIL;
        loop {
            let all = self.size.min(TAIL as u64);
            let part = all.min(length as u64);
            let end = self.read(self.size.saturating_sub(part), part)?;
            if let Some(range) = tail(&end, self.size) {
                return Ok(Some(range));
            }
            if part == all {
                return Ok(None);
            }
            length = length.saturating_mul(8);
        }
    }

    /// The seek table that the blob ends with.
    fn seek_table(&self) -> Result<Option<Found>, ReadError<B::Error>> {
        let size = SeekTableFooter::SIZE as u64;
        let Some(start) = self.size.checked_sub(size) else {
            return Ok(None);
        };
        let footer = self.read(start, size)?;
        let Some(footer) = footer.first_chunk() else {
            return Ok(None);
        };
        let Some(footer) = SeekTableFooter::parse(footer)? else {
            return Ok(None);
        };
        let size = footer.frame_size();
        // A table over the limit is refused before its bytes are read.
        let size = if size > self.limits.chunk_index {
            0
        } else {
            size.min(self.size)
        };
        let start = self.size.saturating_sub(size);
        let frame = self.read(start, size)?;
        let table = SeekTable::parse(&frame, &footer, self.size, self.limits)?;
        Ok(Some(Found {
            index: Index::Table(table),
            pin: self.pin(),
            end: start,
        }))
    }
}
