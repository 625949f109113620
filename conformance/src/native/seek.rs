//! A layer through the core's reading at random.

use std::io;
use std::path::Path;

use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder as _, Status};
use erofs_unpack_core::erofs::{OutOfBounds, ReadAt as _, ReadError};
use erofs_unpack_core::oci::{Algorithm, ErofsAnnotations, Hasher, MediaKind, MediaType};
use erofs_unpack_core::seekable::{
    ChunkIndex, Chunks, Section, SeekTable, SeekTableFooter, Seekable, Subject, is_passed_over,
};
use erofs_unpack_core::{Error, Limits};
use serde_json::json;

use super::convert::{Outputs, annotations, limits, outputs};
use crate::manifest::SeekInput;

/// How much is read at once: less than most chunks, and across their ends.
const PIECE: usize = 700;

/// A layer's bytes and what is said of it.
struct Layer<'a> {
    blob: &'a [u8],
    index: Option<&'a [u8]>,
    compression: Compression,
    erofs: ErofsAnnotations,
    limits: Limits,
}

/// What is known of a layer's chunks.
enum Found<'a> {
    Nothing,
    Index(ChunkIndex<&'a [u8]>),
    Table(SeekTable),
}

/// Reads the index of a layer, and the whole image by it.
pub(super) fn seek(input: &SeekInput, folder: &Path) -> io::Result<Result<Outputs, Error>> {
    let blob = input.blob.read(folder)?;
    let index = input.index.as_ref();
    let index = index.map(|index| index.read(folder)).transpose()?;
    match run(input, &blob, index.as_deref()) {
        Ok(outputs) => Ok(Ok(outputs)),
        Err(ReadError::Refused(error)) => Ok(Err(error)),
        Err(ReadError::Source(error)) => Err(io::Error::other(error)),
    }
}

fn run(
    input: &SeekInput,
    blob: &[u8],
    index: Option<&[u8]>,
) -> Result<Outputs, ReadError<OutOfBounds>> {
    let layer = Layer {
        blob,
        index,
        compression: MediaType::parse(&input.media_type)?.layer()?.compression,
        erofs: annotations(&input.annotations)?,
        limits: limits(&input.limits),
    };
    match layer.find() {
        Err(error) if is_passed_over(&error) => layer.whole(Some(error.id())),
        Err(error) => Err(error.into()),
        Ok(Found::Nothing) => layer.whole(None),
        Ok(Found::Index(index)) => layer.by(index, "chunk-index"),
        Ok(Found::Table(table)) => layer.by(table, "seek-table"),
    }
}

impl<'a> Layer<'a> {
    /// The index that belongs to the layer.
    fn find(&self) -> Result<Found<'a>, Error> {
        let blob = self.blob;
        let size = blob.len() as u64;
        if let Some(media_type) = &self.erofs.chunk_index_media_type
            && media_type.kind() != MediaKind::ChunkIndex
        {
            return Ok(Found::Nothing);
        }
        let (payload, end) = match (self.erofs.chunk_index_range, self.index) {
            (Some(range), _) => {
                let section = Section::of(range, self.compression, size, &self.limits)?;
                let start = usize::try_from(section.span.start).unwrap_or(usize::MAX);
                let bytes = blob.get(start..).unwrap_or_default();
                (section.unframed(bytes)?, section.span.start)
            }
            (None, Some(index)) => (index, size),
            (None, None) => return self.table(),
        };
        if let Some(digest) = &self.erofs.chunk_index_digest {
            ChunkIndex::verify(payload, digest)?;
        }
        let subject = Subject {
            compression: self.compression,
            end,
        };
        ChunkIndex::parse(payload, &subject).map(Found::Index)
    }

    /// The seek table at the end of the blob.
    fn table(&self) -> Result<Found<'a>, Error> {
        let footer = match self.blob.last_chunk() {
            Some(last) if self.compression == Compression::Zstd => SeekTableFooter::parse(last)?,
            _ => None,
        };
        let Some(footer) = footer else {
            return Ok(Found::Nothing);
        };
        let size = usize::try_from(footer.frame_size()).unwrap_or(usize::MAX);
        let start = self.blob.len().saturating_sub(size);
        let blob_size = self.blob.len() as u64;
        SeekTable::parse(&self.blob[start..], &footer, blob_size, &self.limits).map(Found::Table)
    }

    /// The image, out of its chunks.
    fn by<C: Chunks>(&self, chunks: C, index: &str) -> Result<Outputs, ReadError<OutOfBounds>> {
        let image = Seekable::new(self.blob, chunks, self.compression, &self.limits);
        let (count, size) = (image.chunks().count(), image.chunks().image_size());
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut offset = 0;
        while offset < size {
            let length = (size - offset).min(PIECE as u64);
            let mut piece = vec![0; usize::try_from(length).unwrap_or(PIECE)];
            image.read_at(offset, &mut piece)?;
            hasher.update(&piece);
            offset += length;
        }
        Ok(outputs(json!({
            "index": index,
            "chunks": count,
            "imageSize": size,
            "diffId": hasher.finish().to_string(),
        })))
    }

    /// The image from its start to its end, as it is read without an index.
    fn whole(&self, passed_over: Option<&str>) -> Result<Outputs, ReadError<OutOfBounds>> {
        let mut decoder = AnyDecoder::new(self.compression, &self.limits)?;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let (mut input, mut size) = (self.blob, 0);
        let mut piece = [0; PIECE];
        loop {
            let step = decoder.decode(input, &mut piece)?;
            hasher.update(&piece[..step.produced]);
            size += step.produced as u64;
            input = &input[step.consumed..];
            if input.is_empty() && step.status != Status::NeedOutput {
                break;
            }
        }
        decoder.finish()?;
        Ok(outputs(json!({
            "index": "none",
            "passedOver": passed_over,
            "imageSize": size,
            "diffId": hasher.finish().to_string(),
        })))
    }
}
