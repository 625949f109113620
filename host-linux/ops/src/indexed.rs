//! The index of a layer's chunks, read and held against its digest; not what is done with it.

use std::io::Read as _;
use std::path::Path;

use erofs_unpack_core::codec::{Compression, Raw, Status};
use erofs_unpack_core::erofs::ReadAt as _;
use erofs_unpack_core::oci::{ByteRange, Digest, Layer};
use erofs_unpack_core::seekable::{
    Chunk, ChunkIndex, Chunks, Frames, Located, Pin, Section, SeekTable, SeekTableFooter, Subject,
    TAIL, is_passed_over, locate, tail,
};
use erofs_unpack_core::unpack::Unpacker;
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use crate::error::HostError;
use crate::file_at::FileAt;
use crate::memory::zeroed;
use crate::source::BlobReader;

/// How much of an index that is a layer is verified at a time, in bytes.
const PIECE: usize = 64 << 10;

/// A blob whose chunks are looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Indexed<'a> {
    /// Its bytes.
    pub(crate) blob: &'a FileAt,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// What to call it in messages.
    pub(crate) place: &'a Path,
    /// How it is wrapped.
    pub(crate) compression: Compression,
    /// What an index may ask for.
    pub(crate) limits: &'a Limits,
}

/// What there is of an index.
#[derive(Debug)]
pub(crate) enum Found {
    /// None.
    Nothing,
    /// One that uses what is not known here: the layer is read as if it had none.
    PassedOver(Error),
    /// This one.
    Index(Opened),
}

/// An index whose form has passed.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The chunks that it tells of.
    pub(crate) chunks: Index,
    /// What vouches for it so far.
    pub(crate) pin: Pin,
    /// Where the chunks end in the blob. What follows is the index itself.
    pub(crate) end: u64,
}

/// An index, of either format.
#[derive(Debug)]
pub(crate) enum Index {
    /// The draft's.
    Chunks(ChunkIndex<Vec<u8>>),
    /// That of the zstd project.
    Table(SeekTable),
    /// None: the frames of the blob, which are at most so long.
    Frames(Frames),
}

impl Index {
    /// What to call it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Chunks(_) => "chunk index",
            Self::Table(_) => "seek table",
            Self::Frames(_) => "frames",
        }
    }

    fn chunks(&self) -> &dyn Chunks {
        match self {
            Self::Chunks(index) => index,
            Self::Table(table) => table,
            Self::Frames(frames) => frames,
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

impl Indexed<'_> {
    /// The index that the manifest leads to, of this layer; `next` is the layer behind it, and
    /// `open` gives that one's blob where it is the index.
    ///
    /// # Errors
    ///
    /// [`HostError::Refused`] when the index breaks its format or has not the digest that the
    /// manifest states; [`HostError::Environment`] when it cannot be read.
    pub(crate) fn of_layer(
        &self,
        layer: &Layer,
        next: Option<&Layer>,
        open: impl FnOnce(&Layer) -> Result<BlobReader, HostError>,
    ) -> Result<Found, HostError> {
        match (locate(layer, next), next) {
            (Located::Embedded { range, digest }, _) => self.embedded(range, digest),
            (Located::Standalone, Some(next)) => self.standalone(next, open(next)?, None),
            _ => Ok(Found::Nothing),
        }
    }

    /// The index that a blob has by itself, of which no manifest says anything: a seek table, a
    /// chunk index that the blob ends with, or the frames that it is made of. Nobody vouches for it,
    /// so what is wrong with it is no error either.
    pub(crate) fn of_blob(&self) -> Option<Opened> {
        if self.compression != Compression::Zstd {
            return None;
        }
        let seek_table = self.seek_table().ok().flatten();
        seek_table
            .or_else(|| self.last_frame())
            .or_else(|| self.frames())
    }

    /// The frames of a blob without an index.
    fn frames(&self) -> Option<Opened> {
        let frames = Frames::find(self.blob, self.size, self.limits).ok()??;
        Some(Opened {
            chunks: Index::Frames(frames),
            pin: Pin::None,
            end: self.size,
        })
    }

    /// The chunk index that the blob ends with.
    fn last_frame(&self) -> Option<Opened> {
        let range = self.tail().ok()??;
        match self.embedded(range, None) {
            Ok(Found::Index(opened)) => Some(opened),
            _ => None,
        }
    }

    /// The part of the blob that looks like a chunk index at its end, where nothing leads to one.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when the blob cannot be read.
    pub(crate) fn tail(&self) -> Result<Option<ByteRange>, HostError> {
        if self.compression != Compression::Zstd {
            return Ok(None);
        }
        let length = self.size.min(TAIL as u64);
        let end = self.read(self.size.saturating_sub(length), length)?;
        Ok(tail(&end, self.size))
    }

    /// The section of the blob that an index is said to be, and its bytes.
    ///
    /// # Errors
    ///
    /// As [`Self::of_layer`].
    pub(crate) fn section(&self, range: ByteRange) -> Result<(Section, Vec<u8>), HostError> {
        let section = Section::of(range, self.compression, self.size, self.limits);
        let section = section.map_err(|error| HostError::refused(self.place, error))?;
        let bytes = self.read(section.span.start, section.span.length())?;
        Ok((section, bytes))
    }

    /// The chunk index that this part of the blob is, which has this digest where one is stated.
    ///
    /// # Errors
    ///
    /// As [`Self::of_layer`].
    pub(crate) fn embedded(
        &self,
        range: ByteRange,
        digest: Option<Digest>,
    ) -> Result<Found, HostError> {
        let (section, mut bytes) = self.section(range)?;
        let payload = section.unframed(&bytes);
        let payload = payload.map_err(|error| HostError::refused(self.place, error))?;
        // Of a plain blob they are the same bytes.
        let before = bytes.len() - payload.len();
        bytes.drain(..before);
        self.payload(bytes, digest, section.span.start, self.place)
    }

    /// The chunk index that is all of another layer's blob; it has the digest `also` too, where one is
    /// stated.
    ///
    /// # Errors
    ///
    /// As [`Self::of_layer`].
    pub(crate) fn standalone(
        &self,
        layer: &Layer,
        mut blob: BlobReader,
        also: Option<Digest>,
    ) -> Result<Found, HostError> {
        let place = blob.place().to_owned();
        let refused = |error| HostError::refused(&place, error);
        if layer.size > self.limits.chunk_index {
            return Err(refused(
                Error::new(Code::ChunkIndexLimit, At::Whole)
                    .found(Value::Number(layer.size))
                    .expected(Value::AtMost(self.limits.chunk_index)),
            ));
        }
        let mut bytes = zeroed(layer.size, Code::ChunkIndexMemory).map_err(refused)?;
        bytes.clear();
        // One byte too many is seen by there being one.
        let mut source = (&mut blob).take(layer.size.saturating_add(1));
        source
            .read_to_end(&mut bytes)
            .map_err(|error| HostError::environment(&place, "read", error))?;
        verify(layer, &bytes, self.limits).map_err(refused)?;
        let found = self.payload(bytes, also, self.size, &place)?;
        Ok(match found {
            Found::Index(opened) => Found::Index(Opened {
                pin: Pin::Manifest,
                ..opened
            }),
            found => found,
        })
    }

    /// Header and entries, which have this digest where one is stated, of chunks that end here in the
    /// blob; `place` is what to call them.
    ///
    /// # Errors
    ///
    /// As [`Self::of_layer`].
    pub(crate) fn payload(
        &self,
        payload: Vec<u8>,
        digest: Option<Digest>,
        end: u64,
        place: &Path,
    ) -> Result<Found, HostError> {
        let refused = |error| HostError::refused(place, error);
        let pin = match &digest {
            None => Pin::None,
            Some(digest) => {
                ChunkIndex::verify(&payload, digest).map_err(refused)?;
                Pin::Manifest
            }
        };
        let subject = Subject {
            compression: self.compression,
            end,
        };
        match ChunkIndex::parse(payload, &subject) {
            Ok(index) => Ok(Found::Index(Opened {
                chunks: Index::Chunks(index),
                pin,
                end,
            })),
            Err(error) if is_passed_over(&error) => Ok(Found::PassedOver(error)),
            Err(error) => Err(refused(error)),
        }
    }

    /// The seek table that the blob ends with, if it ends with one.
    ///
    /// # Errors
    ///
    /// [`HostError::Refused`] when it breaks its format, [`HostError::Environment`] when the blob
    /// cannot be read.
    pub(crate) fn seek_table(&self) -> Result<Option<Opened>, HostError> {
        let refused = |error| HostError::refused(self.place, error);
        let size = SeekTableFooter::SIZE as u64;
        let Some(start) = self.size.checked_sub(size) else {
            return Ok(None);
        };
        let footer = self.read(start, size)?;
        let footer = footer.first_chunk().map(SeekTableFooter::parse);
        let Some(footer) = footer.transpose().map_err(refused)?.flatten() else {
            return Ok(None);
        };
        let length = footer.frame_size().min(self.size);
        let start = self.size.saturating_sub(length);
        // One over the limit is refused before its bytes are read.
        let frame = match length > self.limits.chunk_index {
            true => Vec::new(),
            false => self.read(start, length)?,
        };
        let table = SeekTable::parse(&frame, &footer, self.size, self.limits);
        Ok(Some(Opened {
            chunks: Index::Table(table.map_err(refused)?),
            pin: Pin::None,
            end: start,
        }))
    }

    /// So many bytes of the blob.
    fn read(&self, start: u64, length: u64) -> Result<Vec<u8>, HostError> {
        let memory = zeroed(length, Code::ChunkIndexMemory);
        let mut bytes = memory.map_err(|error| HostError::refused(self.place, error))?;
        self.blob
            .read_at(start, &mut bytes)
            .map_err(|error| HostError::environment(self.place, "read", error))?;
        Ok(bytes)
    }
}

/// Holds the blob of a layer that is an index against its size and digest.
fn verify(layer: &Layer, bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    let mut unpacker = Unpacker::new(Raw, &layer.expectations(), limits)?;
    let mut output = vec![0; PIECE];
    let mut rest = bytes;
    loop {
        let step = unpacker.push(rest, &mut output)?;
        rest = &rest[step.consumed..];
        if rest.is_empty() && step.status != Status::NeedOutput {
            return unpacker.finish().map(|_| ());
        }
    }
}
