//! The operations `index show`, `index verify` and `index add`: what says where the chunks of a
//! layer lie.

mod add;
mod layer;
mod report;

use std::path::Path;

use erofs_unpack_core::Limits;
use erofs_unpack_core::unpack::{Content, Expectations};

pub use add::{AddOptions, add};
pub use layer::Meant;
pub use report::{ChunkReport, IndexReport, RangeReport, Report, VerifiedReport, WrittenReport};

use crate::done::Done;
use crate::error::{HostError, SourceFault};
use crate::indexed;
use crate::parallel::verify_chunks;
use crate::pipeline::Terms;
use crate::report::shown;
use crate::system::processors;
use layer::{Found, Opened, open_layer};

/// Says what the index of a layer says. Of the layer itself nothing is read.
///
/// The report is there also when something is refused: [`Done::ok`] tells.
pub fn show(source: &Path, meant: &Meant, limits: &Limits) -> Done<Report> {
    Done::run(Report::new("index show", source), |done| {
        let mut layer = open_layer(source, meant, limits)?;
        find(&mut layer, &mut done.report, limits).map(drop)
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
        let mut layer = open_layer(source, meant, limits)?;
        let found = find(&mut layer, &mut done.report, limits)?;
        let threads = threads.unwrap_or_else(processors);
        let verified = match &found {
            Found::Index(index) => chunks(&layer, index, limits, threads)?,
            // It is named and not read, so nothing of it can be held against the blob.
            Found::Earlier { .. } => return Err(missing(&layer)),
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
fn find(layer: &mut Opened, report: &mut Report, limits: &Limits) -> Result<Found, HostError> {
    report.blob = Some(shown(&layer.place));
    let by = layer.by();
    let found = layer.find(limits)?.ok_or_else(|| missing(layer))?;
    report.index = Some(IndexReport::of(&found, by, layer.compression, layer.size));
    Ok(found)
}

/// Verifies all chunks. Of a layer whatever is in it: nothing is looked at but its digests.
fn chunks(
    layer: &Opened,
    index: &indexed::Opened,
    limits: &Limits,
    threads: usize,
) -> Result<VerifiedReport, HostError> {
    let mut expected = Expectations::new(layer.compression);
    expected.content = Content::Bytes;
    expected.blob_digest = layer.digest;
    expected.diff_id = layer.diff_id;
    let terms = Terms {
        threads,
        ..Terms::from(limits)
    };
    let blob = (&layer.file, layer.size);
    let outcome = verify_chunks(blob, &layer.place, index, &expected, &terms)?;
    let missing = [
        ("digest", layer.digest.is_none()),
        ("diffID", layer.diff_id.is_none()),
    ];
    let missing = missing.into_iter().filter(|(_, missing)| *missing);
    Ok(VerifiedReport {
        digest: outcome.blob_digest.to_string(),
        diff_id: outcome.diff_id.to_string(),
        not_verified: missing.map(|(name, _)| name).collect(),
    })
}
