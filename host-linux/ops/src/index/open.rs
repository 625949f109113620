//! The index of a blob, wherever it lies.

use std::path::Path;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{ByteRange, Digest};
use erofs_unpack_core::seekable::{
    ChunkIndex, Earlier, Section, SeekTable, SeekTableFooter, Span, Subject, TAIL, tail,
};
use erofs_unpack_core::{Error, Limits};

use crate::error::HostError;
use crate::file_at::FileAt;

/// Where an index is said to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// The part of the blob that it is; by the end of the blob where it is not given.
    pub(crate) range: Option<ByteRange>,
    /// The digest that it must have.
    pub(crate) digest: Option<Digest>,
    /// The index, where it is no part of the blob.
    pub(crate) payload: Option<Vec<u8>>,
}

/// The index of a blob.
#[derive(Debug)]
pub(crate) enum Found {
    /// None.
    None,
    /// The draft's; `span` is its part of the blob, if it is one.
    Index {
        index: ChunkIndex<Vec<u8>>,
        span: Option<Span>,
    },
    /// zstd's.
    Table { table: SeekTable, span: Span },
    /// A form that came before the draft's.
    Earlier { form: Earlier, span: Span },
}

/// Finds and reads the index of a blob of `size` bytes that is wrapped so.
///
/// # Errors
///
/// [`HostError::Refused`] for an index that breaks its format or does not fit the blob, and for one
/// that uses what is not known; [`HostError::Environment`] when the blob cannot be read.
pub(crate) fn open(
    file: &FileAt,
    place: &Path,
    size: u64,
    compression: Compression,
    at: &Place,
    limits: &Limits,
) -> Result<Found, HostError> {
    let blob = Blob {
        file,
        place,
        size,
        compression,
        limits,
    };
    if let Some(payload) = &at.payload {
        let index = blob.parse(payload, size, at.digest.as_ref())?;
        return Ok(Found::Index { index, span: None });
    }
    if let Some(range) = at.range {
        return blob.embedded(range, at.digest.as_ref());
    }
    if compression != Compression::Zstd {
        return Ok(Found::None);
    }
    let length = size.min(TAIL as u64);
    let end = blob.read(size.saturating_sub(length), length)?;
    if let Some(range) = tail(&end, size) {
        return blob.embedded(range, at.digest.as_ref());
    }
    blob.seek_table(&end)
}

struct Blob<'a> {
    file: &'a FileAt,
    place: &'a Path,
    size: u64,
    compression: Compression,
    limits: &'a Limits,
}

impl Blob<'_> {
    fn refused(&self, error: Error) -> HostError {
        HostError::refused(self.place, error)
    }

    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, HostError> {
        let read = self.file.read_vec(offset, length);
        read.map_err(|error| HostError::environment(self.place, "read", error))
    }

    /// The index in this part of the blob.
    fn embedded(&self, range: ByteRange, digest: Option<&Digest>) -> Result<Found, HostError> {
        let section = Section::of(range, self.compression, self.size, self.limits);
        let section = section.map_err(|error| self.refused(error))?;
        let bytes = self.read(section.span.start, section.span.length())?;
        let payload = section.unframed(&bytes);
        let payload = payload.map_err(|error| self.refused(error))?;
        let span = section.span;
        if let Some(form) = Earlier::of(payload) {
            return Ok(Found::Earlier { form, span });
        }
        let index = self.parse(payload, span.start, digest)?;
        Ok(Found::Index {
            index,
            span: Some(span),
        })
    }

    /// Header and entries, for chunks that end here.
    fn parse(
        &self,
        payload: &[u8],
        end: u64,
        digest: Option<&Digest>,
    ) -> Result<ChunkIndex<Vec<u8>>, HostError> {
        let subject = Subject {
            compression: self.compression,
            end,
        };
        let verified = digest.map_or(Ok(()), |digest| ChunkIndex::verify(payload, digest));
        verified
            .and_then(|()| ChunkIndex::parse(payload.to_vec(), &subject))
            .map_err(|error| self.refused(error))
    }

    /// The seek table that ends the blob, whose last bytes are these.
    fn seek_table(&self, end: &[u8]) -> Result<Found, HostError> {
        let Some(footer) = end.last_chunk() else {
            return Ok(Found::None);
        };
        let footer = SeekTableFooter::parse(footer).map_err(|error| self.refused(error))?;
        let Some(footer) = footer else {
            return Ok(Found::None);
        };
        let length = footer.frame_size().min(self.size);
        if length > self.limits.chunk_index {
            // Refused before its bytes are read.
            let parsed = SeekTable::parse(&[], &footer, self.size, self.limits);
            return parsed
                .map(|_| Found::None)
                .map_err(|error| self.refused(error));
        }
        let start = self.size.saturating_sub(length);
        let frame = self.read(start, length)?;
        let table = SeekTable::parse(&frame, &footer, self.size, self.limits);
        Ok(Found::Table {
            table: table.map_err(|error| self.refused(error))?,
            span: Span {
                start,
                end: self.size,
            },
        })
    }
}
