//! One layer by its index where it has one, else from its start.
//!
//! What comes of it is the same either way, and so is what is said of a layer that is refused: when
//! a chunk is not what the index says, the layer is read once more, from its start, and what is
//! said then counts. Only of a layer that comes through then, the index is what is wrong.

use std::io;
#[cfg(target_os = "linux")]
use std::path::Path;

use serde::Serialize;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::ReadAt as _;
use erofs_unpack_core::seekable::{ChunkDecoder, Chunks as _, Pin, admit};
use erofs_unpack_core::unpack::{Expectations, Outcome};
use erofs_unpack_core::{Code, Error, Limits};

use crate::error::HostError;
use crate::file_at::FileAt;
use crate::indexed::{Index, Indexed, Opened};
use crate::layer::{self, Space};
use crate::memory::zeroed;
use crate::opening::{Announced, Opening};
use crate::pipeline::{Ended, Layout, Progress, Terms, run_chunks};
#[cfg(target_os = "linux")]
use crate::pipeline::{Sink, Stop};
use crate::report::shown;
use crate::source::BlobReader;
use crate::verity;

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

/// Brings the image in a blob of which nobody says anything into `sink`, by the chunks that the blob
/// tells of by itself, and takes no digest; `None` when there are none that serve.
///
/// # Errors
///
/// As [`run_chunks`].
#[cfg(target_os = "linux")]
pub(crate) fn by_hint(
    blob: &BlobReader,
    sink: &mut dyn Sink,
    expectations: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Option<Ended>, Stop> {
    let Ok(Some(opened)) = hint(blob, expectations, terms) else {
        return Ok(None);
    };
    let (Ok(Some(file)), Some(size)) = (chunked(blob, &opened, expectations, terms), blob.length())
    else {
        return Ok(None);
    };
    let layout = layout(&file, size, &opened, expectations.compression, true);
    run_chunks(&layout, sink, expectations, terms, progress).map(Some)
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
/// A plain blob is read once, for a digest that serves for blob and image, whatever its chunks are. The
/// checksums in its index are not compared then: all bytes that they could speak for are held against
/// the digest that the manifest states, and to compare them would take a second hash of every byte. An
/// index that states others is found where it is used: by who reads at random, by `index verify`, and
/// where chunks alone verify the layer.
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
    let layout = layout(&file, size, opened, expectations.compression, false);
    Ok((as_stated && layout.fits(terms.limits)).then_some(file))
}

/// Where the chunks lie.
fn layout<'a>(
    file: &'a FileAt,
    size: u64,
    opened: &'a Opened,
    compression: Compression,
    by_chunks: bool,
) -> Layout<'a> {
    Layout {
        blob: file,
        size,
        compression,
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
            self.expectations.compression,
            terms.by_chunks,
        );
        progress.begin(Some(size));
        let expectations = &self.guessed(terms.limits);
        let ended = layer::to_space(output, self.blob.place(), |sink| {
            run_chunks(&layout, sink, expectations, terms, progress)
        })?;
        let ended = match ended {
            Ended::Whole(outcome) => {
                let place = self.blob.place();
                let outcome = layer::settled(*outcome, expectations, place, output)?;
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

impl Chunked<'_> {
    /// The expectations, with what the superblock of an announced dm-verity tree says, which lies in
    /// one of the chunks: else a salt that comes as a surprise takes a second way through the image.
    /// What goes wrong here is said by who reads the chunks.
    fn guessed(&self, limits: &Limits) -> Expectations {
        let mut expected = *self.expectations;
        let read = |bytes: &mut [u8], offset: u64| {
            let none = || io::Error::from(io::ErrorKind::NotFound);
            let chunk = match &self.opened.chunks {
                // Where these lie in the image is known when they are decoded.
                Index::Frames(_) => None,
                index => index.find(offset),
            };
            let chunk = chunk.filter(|chunk| admit(chunk, limits).is_ok());
            let chunk = chunk.ok_or_else(none)?;
            let memory = |length| zeroed(length, Code::ChunkMemory).map_err(|_| none());
            let mut blob = memory(chunk.blob.length())?;
            let mut image = memory(chunk.image.length())?;
            self.file.read_at(chunk.blob.start, &mut blob)?;
            ChunkDecoder::new(expected.compression, limits)
                .decode(&chunk, &blob, &mut image)
                .map_err(|_| none())?;
            let start = usize::try_from(offset - chunk.image.start).unwrap_or(usize::MAX);
            let found = image.get(start..).and_then(|rest| rest.get(..bytes.len()));
            bytes.copy_from_slice(found.ok_or_else(none)?);
            Ok(())
        };
        let guess = verity::guess(&expected, read);
        if let (Some(guess), Some(tree)) = (guess, &mut expected.verity) {
            tree.guess = guess;
        }
        expected
    }
}

/// Reads and verifies all chunks of a blob of `size` bytes, which messages call `place`, with the
/// digests of blob and image that are expected; the outcome holds those that it has.
///
/// # Errors
///
/// [`HostError::Refused`] for the first chunk, in their order, that is not what the index says, and for
/// another digest; [`HostError::Environment`] when the blob cannot be read.
#[cfg(target_os = "linux")]
pub(crate) fn verify_chunks(
    (file, size): (&FileAt, u64),
    place: &Path,
    opened: &Opened,
    expectations: &Expectations,
    terms: &Terms<'_>,
) -> Result<Outcome, HostError> {
    let refused = |error| HostError::refused(place, error);
    let mut chunks = (0..opened.chunks.count()).filter_map(|number| opened.chunks.chunk(number));
    let admitted = chunks.try_for_each(|chunk| admit(&chunk, terms.limits));
    admitted.map_err(refused)?;
    let layout = layout(file, size, opened, expectations.compression, false);
    let progress = Progress::default();
    let ended = layer::to_space(None, place, |sink| {
        run_chunks(&layout, sink, expectations, terms, &progress)
    })?;
    match ended {
        Ended::Whole(outcome) => Ok(*outcome),
        Ended::Chunk(error) => Err(refused(error)),
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
    if !layout(&file, size, &opened, expectations.compression, true).fits(terms.limits) {
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
