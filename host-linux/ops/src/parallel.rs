//! One layer by its index where it has one, else from its start.
//!
//! What comes of it is the same either way, and so is what is said of a layer that is refused: when
//! a chunk is not what the index says, the layer is read once more, from its start, and what is
//! said then counts. Only of a layer that comes through then, the index is what is wrong.

use serde::Serialize;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::Layer;
use erofs_unpack_core::seekable::{Chunks as _, Pin};
use erofs_unpack_core::unpack::{Expectations, Outcome};
use erofs_unpack_core::{Error, Limits};

use crate::error::HostError;
use crate::file_at::FileAt;
use crate::indexed::{Found, Index, Indexed, Opened};
use crate::layer::{self, Space};
use crate::pipeline::{Ended, Layout, Progress, Terms, run_chunks};
use crate::report::shown;
use crate::source::BlobReader;

/// A layer's blob, with what its manifest leads to.
#[derive(Debug)]
pub(crate) struct Opening {
    blob: BlobReader,
    announced: Announced,
}

/// The index that the manifest leads to.
#[derive(Debug, Default)]
enum Announced {
    /// None.
    #[default]
    Nothing,
    /// One that is not known here.
    PassedOver(Error),
    /// This one.
    Index(Opened),
    /// One that is wrong. A layer that is wrong too is refused for its own reason.
    Wrong(HostError),
}

impl From<BlobReader> for Opening {
    /// Of a blob of which no manifest says anything.
    fn from(blob: BlobReader) -> Self {
        Self {
            blob,
            announced: Announced::Nothing,
        }
    }
}

impl Opening {
    /// Of a layer; `next` is the layer behind it, and `open` gives the blob of either.
    ///
    /// # Errors
    ///
    /// Those of `open` for the layer itself. Without the blob of an index the layer has none.
    pub(crate) fn of_layer(
        layer: &Layer,
        next: Option<&Layer>,
        limits: &Limits,
        open: impl Fn(&Layer) -> Result<BlobReader, HostError>,
    ) -> Result<Self, HostError> {
        let blob = open(layer)?;
        let mut opening = Self::from(blob);
        let Some((file, size)) = FileAt::of_blob(&opening.blob)? else {
            return Ok(opening);
        };
        if size != layer.size {
            // What that means is said by who reads it.
            return Ok(opening);
        }
        let indexed = Indexed {
            blob: &file,
            size,
            place: opening.blob.place(),
            compression: layer.compression,
            limits,
        };
        opening.announced = match indexed.of_layer(layer, next, open) {
            Ok(Found::Nothing) => Announced::Nothing,
            Ok(Found::PassedOver(error)) => Announced::PassedOver(error),
            Ok(Found::Index(opened)) => Announced::Index(opened),
            Err(error @ HostError::Refused { .. }) => Announced::Wrong(error),
            Err(_) => Announced::Nothing,
        };
        Ok(opening)
    }

    /// The blob.
    pub(crate) const fn blob(&self) -> &BlobReader {
        &self.blob
    }
}

/// How a layer's chunks served to unpack it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChunksReport {
    /// What told of them: `chunk index`, `seek table`, or `frames` where those of the blob by
    /// themselves do.
    pub index: &'static str,
    /// What vouches for that: `manifest`, or `blob` where the whole blob was verified.
    pub pin: &'static str,
    /// How many chunks there are.
    pub chunks: u32,
    /// How many threads decoded them.
    pub threads: usize,
    /// Whether their digests alone were verified, and those of blob and image not taken.
    #[serde(skip)]
    pub by_chunks: bool,
}

/// A layer that came through.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) outcome: Outcome,
    /// How its chunks served; `None` when it was read from its start.
    pub(crate) chunks: Option<ChunksReport>,
    /// Why its index did not.
    pub(crate) passed_over: Option<Error>,
}

impl From<Outcome> for Unpacked {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            chunks: None,
            passed_over: None,
        }
    }
}

/// As [`layer::unpack`], by the index where there is one.
///
/// # Errors
///
/// As [`layer::unpack`]; [`HostError::Refused`] when the index is wrong, and
/// [`HostError::Usage`] when chunks alone are to verify the layer and cannot.
pub(crate) fn unpack(
    opening: &mut Opening,
    output: Option<Space<'_>>,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Unpacked, HostError> {
    let Opening { blob, announced } = opening;
    if terms.by_chunks {
        return by_chunks(
            blob,
            announced,
            output.as_ref(),
            expectations,
            terms,
            progress,
        );
    }
    let hint = match announced {
        Announced::Nothing => hint(blob, expectations, terms)?,
        _ => None,
    };
    let opened = match announced {
        Announced::Index(opened) => Some(&*opened),
        _ => hint.as_ref(),
    };
    let mut fault = None;
    if let Some(opened) = opened
        && let Some(file) = chunked(blob, opened, expectations, terms)?
    {
        let chunks = Chunked {
            blob,
            file,
            opened,
            expectations,
        };
        match chunks.run(output.as_ref(), terms, progress)? {
            (Ended::Whole(outcome), report) => {
                return Ok(Unpacked {
                    chunks: Some(report),
                    ..Unpacked::from(*outcome)
                });
            }
            (Ended::Chunk(error), _) => fault = Some(error),
        }
        if let Some(output) = &output {
            output.clear()?;
        }
    }
    let outcome = layer::unpack(blob, output, expectations, terms, progress)?;
    let mut unpacked = Unpacked::from(outcome);
    match (core::mem::take(announced), fault) {
        (Announced::Wrong(error), _) => Err(error),
        // The layer is whole, so it is the index that is wrong.
        (Announced::Index(_), Some(error)) => Err(HostError::refused(blob.place(), error)),
        // Nobody has said that there is one.
        (Announced::Nothing, Some(error)) => {
            unpacked.passed_over = Some(error);
            Ok(unpacked)
        }
        (Announced::PassedOver(error), _) => {
            unpacked.passed_over = Some(error);
            Ok(unpacked)
        }
        _ => Ok(unpacked),
    }
}

/// The index that a blob has of which no manifest says so.
fn hint(
    blob: &BlobReader,
    expectations: &Expectations,
    terms: &Terms<'_>,
) -> Result<Option<Opened>, HostError> {
    let Some((file, size)) = FileAt::of_blob(blob)? else {
        return Ok(None);
    };
    let indexed = Indexed {
        blob: &file,
        size,
        place: blob.place(),
        compression: expectations.compression,
        limits: terms.limits,
    };
    Ok(indexed.of_blob())
}

/// The blob as a file, when its chunks can be decoded one by one on the way to its digests.
///
/// A plain blob is read once, for a digest that serves for blob and image, whatever its chunks are.
fn chunked(
    blob: &BlobReader,
    opened: &Opened,
    expectations: &Expectations,
    terms: &Terms<'_>,
) -> Result<Option<FileAt>, HostError> {
    if expectations.compression != Compression::Zstd || terms.sandbox.holds(Compression::Zstd) {
        return Ok(None);
    }
    let Some((file, size)) = FileAt::of_blob(blob)? else {
        return Ok(None);
    };
    let as_stated = expectations.blob_size.is_none_or(|stated| stated == size);
    let layout = layout(&file, size, opened, expectations, false);
    Ok((as_stated && layout.fits(terms.limits)).then_some(file))
}

/// Where the chunks lie.
fn layout<'a>(
    file: &'a FileAt,
    size: u64,
    opened: &'a Opened,
    expectations: &Expectations,
    by_chunks: bool,
) -> Layout<'a> {
    Layout {
        blob: file,
        size,
        compression: expectations.compression,
        chunks: &opened.chunks,
        bounds: matches!(opened.chunks, Index::Frames(_)),
        end: opened.end,
        rest: match &opened.chunks {
            Index::Chunks(index) if opened.end < size => index.payload(),
            _ => &[],
        },
        by_chunks,
    }
}

/// A layer whose chunks are decoded one by one.
struct Chunked<'a> {
    blob: &'a BlobReader,
    file: FileAt,
    opened: &'a Opened,
    expectations: &'a Expectations,
}

impl Chunked<'_> {
    fn run(
        &self,
        output: Option<&Space<'_>>,
        terms: &Terms<'_>,
        progress: &Progress,
    ) -> Result<(Ended, ChunksReport), HostError> {
        let size = self.blob.length().unwrap_or(0);
        let layout = layout(
            &self.file,
            size,
            self.opened,
            self.expectations,
            terms.by_chunks,
        );
        progress.begin(Some(size));
        let ended = layer::to_space(output, self.blob.place(), |sink| {
            run_chunks(&layout, sink, self.expectations, terms, progress)
        })?;
        let ended = match ended {
            Ended::Whole(outcome) => {
                let place = self.blob.place();
                let outcome = layer::settled(*outcome, self.expectations, place, output)?;
                Ended::Whole(Box::new(outcome))
            }
            other => other,
        };
        // What was not pinned is vouched for by the blob, all of which was verified.
        let pin = match self.opened.pin {
            Pin::None => Pin::Blob,
            pin => pin,
        };
        let report = ChunksReport {
            index: self.opened.chunks.name(),
            pin: pin.name(),
            chunks: self.opened.chunks.count(),
            threads: layout.workers(terms),
            by_chunks: terms.by_chunks,
        };
        Ok((ended, report))
    }
}

/// The layer, verified by its chunks alone.
fn by_chunks(
    blob: &BlobReader,
    announced: &mut Announced,
    output: Option<&Space<'_>>,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Unpacked, HostError> {
    let place = blob.place();
    let cannot = |why: &str| {
        Err(HostError::Usage(format!(
            "--skip-serial-digests: {}: {why}",
            shown(place)
        )))
    };
    let opened = match core::mem::take(announced) {
        Announced::Index(opened) => opened,
        Announced::Wrong(error) => return Err(error),
        Announced::PassedOver(error) => {
            return cannot(&format!("its chunk index cannot be used: {error}"));
        }
        Announced::Nothing => return cannot("it has no chunk index"),
    };
    if opened.pin != Pin::Manifest {
        return cannot("the manifest does not state the digest of its chunk index");
    }
    if !opened.chunks.has_digests() {
        return cannot("its chunk index has no checksums");
    }
    let stated = expectations.diff_id.is_some() && expectations.blob_digest.is_some();
    if !stated {
        return cannot("its digests are not stated");
    }
    if expectations.compression != Compression::None
        && terms.sandbox.holds(expectations.compression)
    {
        return cannot("chunks are not decoded in the sandbox");
    }
    let Some((file, size)) = FileAt::of_blob(blob)? else {
        return cannot("it does not lie in a file");
    };
    if !layout(&file, size, &opened, expectations, true).fits(terms.limits) {
        return cannot("it has chunks over the limit");
    }
    let chunks = Chunked {
        blob,
        file,
        opened: &opened,
        expectations,
    };
    match chunks.run(output, terms, progress)? {
        (Ended::Whole(outcome), report) => Ok(Unpacked {
            chunks: Some(report),
            ..Unpacked::from(*outcome)
        }),
        (Ended::Chunk(error), _) => Err(HostError::refused(place, error)),
    }
}

#[cfg(test)]
mod tests;
