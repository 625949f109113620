//! The operations `index show`, `index verify` and `index add`: what says where the chunks of a
//! layer lie.

mod add;
mod layer;
mod open;
mod report;

use std::path::Path;

use erofs_unpack_core::oci::{Algorithm, Digest, Hasher};
use erofs_unpack_core::seekable::Chunks;
use erofs_unpack_core::{At, Code, Error, Limits, Value};

pub use add::{AddOptions, add};
pub use layer::Meant;
pub(crate) use open::{Found, Place, open};
pub use report::{ChunkReport, IndexReport, RangeReport, Report, VerifiedReport, WrittenReport};

use crate::done::Done;
use crate::error::{HostError, SourceFault};
use crate::read_chunks::{Seen, read_chunks};
use crate::report::shown;
use crate::system::processors;
use layer::{Opened, open_layer};

/// Says what the index of a layer says. Of the layer itself nothing is read.
///
/// The report is there also when something is refused: [`Done::ok`] tells.
pub fn show(source: &Path, meant: &Meant, limits: &Limits) -> Done<Report> {
    Done::run(Report::new("index show", source), |done| {
        let layer = open_layer(source, meant, limits)?;
        find(&layer, &mut done.report, limits).map(drop)
    })
}

/// Verifies a layer chunk by chunk: each has its checksum, is one frame where it is compressed, and
/// decodes to its part of the image; and the digests of blob and image, where they are stated.
///
/// The report is there also when something is refused: [`Done::ok`] tells.
pub fn verify(
    source: &Path,
    meant: &Meant,
    limits: &Limits,
    threads: Option<usize>,
) -> Done<Report> {
    Done::run(Report::new("index verify", source), |done| {
        let layer = open_layer(source, meant, limits)?;
        let found = find(&layer, &mut done.report, limits)?;
        let threads = threads.unwrap_or_else(processors);
        let verified = match &found {
            Found::Index { index, span } => {
                let end = span.as_ref().map_or(layer.size, |span| span.start);
                chunks(&layer, index, end, limits, threads)?
            }
            Found::Table { table, span } => chunks(&layer, table, span.start, limits, threads)?,
            // It is named and not read, so nothing of it can be held against the blob.
            Found::Earlier { .. } | Found::None => return Err(missing(&layer)),
        };
        done.report.verified = Some(verified);
        Ok(())
    })
}

/// The layer has no index that could be read.
fn missing(layer: &Opened) -> HostError {
    HostError::source_fault(&layer.place, SourceFault::IndexMissing)
}

/// The index of a layer, which the report then shows.
fn find(layer: &Opened, report: &mut Report, limits: &Limits) -> Result<Found, HostError> {
    let Opened {
        file,
        place,
        size,
        compression,
        at,
        by,
        ..
    } = layer;
    report.blob = Some(shown(place));
    let found = open(file, place, *size, *compression, at, limits)?;
    report.index = IndexReport::of(&found, by, *compression);
    match found {
        Found::None => Err(missing(layer)),
        found => Ok(found),
    }
}

/// Verifies all chunks, which end here in the blob.
fn chunks(
    layer: &Opened,
    chunks: &impl Chunks,
    end: u64,
    limits: &Limits,
    threads: usize,
) -> Result<VerifiedReport, HostError> {
    let algorithm =
        |stated: Option<Digest>| stated.map_or(Algorithm::Sha256, |stated| stated.algorithm());
    let seen = read_chunks(
        &layer.file,
        &layer.place,
        chunks,
        layer.compression,
        limits,
        threads,
        (algorithm(layer.digest), algorithm(layer.diff_id)),
    )?;
    let Seen {
        mut blob,
        mut image,
    } = seen;
    let section = layer.file.read_vec(end, layer.size.saturating_sub(end));
    let section = section.map_err(|error| HostError::environment(&layer.place, "read", error))?;
    blob.update(&section);
    if layer.compression == erofs_unpack_core::codec::Compression::None {
        // A plain layer is published as it is, its index included (draft, 5.2).
        image.update(&section);
    }
    let held = |found: Hasher, stated: Option<Digest>, code| {
        let found = found.finish();
        match stated.filter(|stated| *stated != found) {
            None => Ok(found),
            Some(stated) => {
                let error = Error::new(code, At::Whole)
                    .found(Value::Digest(found))
                    .expected(Value::Digest(stated));
                Err(HostError::refused(&layer.place, error))
            }
        }
    };
    let digest = held(blob, layer.digest, Code::BlobDigest)?;
    let diff_id = held(image, layer.diff_id, Code::DiffId)?;
    let missing = [
        ("digest", layer.digest.is_none()),
        ("diffID", layer.diff_id.is_none()),
    ];
    let missing = missing.into_iter().filter(|(_, missing)| *missing);
    Ok(VerifiedReport {
        digest: digest.to_string(),
        diff_id: diff_id.to_string(),
        not_verified: missing.map(|(name, _)| name).collect(),
    })
}
