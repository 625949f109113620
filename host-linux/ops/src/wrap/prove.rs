//! Reads a blob back that was just written, as who gets it will, and holds what comes out against
//! what went in.

use std::path::Path;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{ByteRange, Digest};
use erofs_unpack_core::unpack::{Content, Expectations, VerityTree};
use erofs_unpack_core::{At, Code, Error, Limits};

use super::write::Written;
use super::{Index, Wrap};
use crate::error::HostError;
use crate::file_at::FileAt;
use crate::indexed::{Found, Indexed, Opened};
use crate::layer;
use crate::parallel::verify_chunks;
use crate::pipeline::{Progress, Terms};
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
    let Written { size, end, .. } = *made.written;
    let indexed = Indexed {
        blob: file,
        size,
        place,
        compression: made.wrap.compression,
        limits,
    };
    let found = match made.wrap.index {
        Index::None => {
            let mut expected = Expectations::new(made.wrap.compression);
            expected.diff_id = Some(made.image);
            expected.verity = made.tree;
            return whole(file, place, made, expected, limits);
        }
        Index::Erofs => {
            let range = ByteRange {
                offset: end,
                end: Some(size),
            };
            match indexed.embedded(range, made.written.index)? {
                Found::Index(opened) => Some(opened),
                Found::Nothing | Found::PassedOver(_) => None,
            }
        }
        Index::ZstdSeekable => indexed.seek_table()?,
    };
    match found {
        Some(opened) => chunks(file, place, made, &opened, limits),
        None => {
            let error = Error::new(Code::ChunkIndexDigest, At::Whole);
            Err(HostError::refused(place, error))
        }
    }
}

/// From its start to its end, as `unpack` does.
fn whole(
    file: &FileAt,
    place: &Path,
    made: &Made<'_>,
    mut expected: Expectations,
    limits: &Limits,
) -> Result<(), HostError> {
    expected.blob_digest = Some(made.written.digest);
    expected.blob_size = Some(made.written.size);
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
    opened: &Opened,
    limits: &Limits,
) -> Result<(), HostError> {
    let written = made.written;
    let mut expected = Expectations::new(made.wrap.compression);
    expected.content = Content::Bytes;
    expected.diff_id = Some(made.image);
    let terms = Terms {
        threads: made.threads,
        ..Terms::from(limits)
    };
    if made.wrap.compression == Compression::None {
        // The image, which is all but the index, and then both together: they are one blob.
        verify_chunks((file, written.end), place, opened, &expected, &terms)?;
        expected.diff_id = None;
        return whole(file, place, made, expected, limits);
    }
    expected.blob_digest = Some(written.digest);
    verify_chunks((file, written.size), place, opened, &expected, &terms).map(drop)
}
