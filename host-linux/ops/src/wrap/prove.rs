//! Reads a blob back that was just written, as who gets it will, and holds what comes out against
//! what went in.

use std::path::Path;

use erofs_unpack_core::oci::{Algorithm, ByteRange, Digest};
use erofs_unpack_core::seekable::Chunks;
use erofs_unpack_core::unpack::{Expectations, VerityTree};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use super::write::Written;
use super::{Index, Wrap};
use crate::error::HostError;
use crate::file_at::FileAt;
use crate::index::{Found, Place, open};
use crate::layer;
use crate::pipeline::{Progress, Terms};
use crate::read_chunks::read_chunks;
use crate::source::BlobReader;
use crate::system::processors;

/// What a blob was made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made<'a> {
    pub(super) wrap: &'a Wrap,
    pub(super) written: &'a Written,
    /// Digest of the image.
    pub(super) image: Digest,
    /// The dm-verity tree behind it.
    pub(super) tree: Option<VerityTree>,
    pub(super) threads: usize,
}

/// Reads the blob back.
///
/// # Errors
///
/// What refuses the blob, which then was not written as it should have been.
pub(super) fn prove(
    file: &FileAt,
    place: &Path,
    made: &Made<'_>,
    limits: &Limits,
) -> Result<(), HostError> {
    match made.wrap.index {
        Index::None => whole(file, place, made, limits),
        Index::Erofs => {
            let Written { size, end, .. } = *made.written;
            let range = ByteRange {
                offset: end,
                end: Some(size),
            };
            let at = Place {
                range: Some(range),
                digest: made.written.index,
                payload: None,
            };
            chunks(file, place, made, &at, limits)
        }
        Index::ZstdSeekable => chunks(file, place, made, &Place::default(), limits),
    }
}

/// From its start to its end, as `unpack` does.
fn whole(file: &FileAt, place: &Path, made: &Made<'_>, limits: &Limits) -> Result<(), HostError> {
    let mut expected = Expectations::new(made.wrap.compression);
    expected.blob_digest = Some(made.written.digest);
    expected.blob_size = Some(made.written.size);
    expected.diff_id = Some(made.image);
    expected.verity = made.tree;
    let reader = file.reader(made.written.size);
    let mut blob = BlobReader::stream(place.into(), Vec::new(), Box::new(reader));
    let terms = Terms {
        threads: processors(),
        ..Terms::from(limits)
    };
    layer::unpack(&mut blob, None, &expected, &terms, &Progress::default()).map(drop)
}

/// Chunk by chunk, by its index.
fn chunks(
    file: &FileAt,
    place: &Path,
    made: &Made<'_>,
    at: &Place,
    limits: &Limits,
) -> Result<(), HostError> {
    let written = made.written;
    let compression = made.wrap.compression;
    let found = open(file, place, written.size, compression, at, limits)?;
    let chunks: &dyn Chunks = match &found {
        Found::Index { index, .. } => index,
        Found::Table { table, .. } => table,
        Found::Earlier { .. } | Found::None => {
            return Err(mismatch(place, Code::ChunkIndexDigest, Value::None, made));
        }
    };
    let seen = read_chunks(
        file,
        place,
        &chunks,
        compression,
        limits,
        made.threads,
        (Algorithm::Sha256, Algorithm::Sha256),
    )?;
    let mut blob = seen.blob;
    let section = file.read_vec(written.end, written.size.saturating_sub(written.end));
    let section = section.map_err(|error| HostError::environment(place, "read", error))?;
    blob.update(&section);
    let (blob, image) = (blob.finish(), seen.image.finish());
    if image != made.image {
        let found = Value::Digest(image);
        return Err(mismatch(place, Code::DiffId, found, made));
    }
    if blob != written.digest {
        let error = Error::new(Code::BlobDigest, At::Whole)
            .found(Value::Digest(blob))
            .expected(Value::Digest(written.digest));
        return Err(HostError::refused(place, error));
    }
    Ok(())
}

/// What was written is not what was meant.
fn mismatch(place: &Path, code: Code, found: Value, made: &Made<'_>) -> HostError {
    let error = Error::new(code, At::Whole)
        .found(found)
        .expected(Value::Digest(made.image));
    HostError::refused(place, error)
}
