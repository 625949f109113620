//! One blob by itself.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{Digest, MediaKind, MediaType};
use erofs_unpack_core::unpack::{Expectations, SNIFF_SIZE, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error, Limits};

use super::Task;
use super::dest::{Dest, How, bring};
use super::report::{Report, status_of};
use crate::done::Done;
use crate::error::HostError;
use crate::observer::{Part, Work};
use crate::pipeline::Progress;
use crate::report::{ErrorReport, LayerReport, TreeReport, shown};
use crate::source::BlobReader;
use crate::system::processors;

impl Task<'_> {
    /// Unpacks one blob.
    pub(super) fn lone(
        &self,
        mut blob: BlobReader,
        done: &mut Done<Report>,
    ) -> Result<(), HostError> {
        let options = self.options;
        let source = shown(self.path);
        options.select.not_for_blobs(&source)?;
        if options.layer.is_some() {
            return Err(HostError::Usage(format!(
                "--layer: {source} is one blob, not an image layout"
            )));
        }
        let expected = expectations(
            self.path,
            options.media_type.as_deref(),
            options.select.image.digest,
            options.diff_id,
            &options.limits,
            &mut blob,
        )?;
        let mut report = LayerReport {
            compression: Some(expected.compression.name()),
            media_type: options.media_type.clone(),
            size: expected.blob_size,
            not_verified: not_verified(&expected),
            ..LayerReport::default()
        };
        let outcome = self.bring_and_finish(blob, &expected, &mut report, &mut done.report);
        match &outcome {
            Ok(()) => {
                if !report.not_verified.is_empty() {
                    let missing: Vec<String> = report
                        .not_verified
                        .iter()
                        .map(|name| match *name {
                            "digest" => "digest (--digest)".to_owned(),
                            other => format!("{other} (--diff-id)"),
                        })
                        .collect();
                    done.report.warn(format!(
                        "{source}: not verified, because not stated: {}",
                        missing.join(", ")
                    ));
                }
            }
            Err(error) => {
                report.status = status_of(error);
                report.file = None;
                report.error = Some(ErrorReport::of(error));
                if let HostError::Check { checked, .. } = error {
                    report.check = options.check_report(checked);
                    self.observer.checked(checked);
                }
            }
        }
        done.report.layers.push(report);
        outcome
    }

    fn bring_and_finish(
        &self,
        blob: BlobReader,
        expected: &Expectations,
        report: &mut LayerReport,
        done: &mut Report,
    ) -> Result<(), HostError> {
        let how = How::of(self.options, false, processors())?;
        let dest = Dest::of(self.destination, false)?;
        let name = match (&dest, self.options.diff_id) {
            (Dest::Folder(_), Some(diff_id)) => format!("01-{:.12}.erofs", diff_id.hex()),
            (Dest::Folder(_), None) => {
                return Err(HostError::Usage(
                    "-o FOLDER/: the file is named by its diffID: give --diff-id, or a file's name"
                        .into(),
                ));
            }
            _ => String::new(),
        };
        let progress = Arc::new(Progress::default());
        self.observer.begin(Work::Layers(vec![Part {
            name: shown(blob.place()),
            size: expected.blob_size,
            progress: Arc::clone(&progress),
        }]));
        let name = OsString::from(name);
        let passed = bring(&dest, &name, &how, expected, &progress, || Ok(blob.into()));
        self.observer.end();
        let passed = passed?;
        if let Some(checked) = &passed.checked {
            report.check = self.options.check_report(checked);
            done.found(checked);
            self.observer.checked(checked);
        }
        let outcome = &passed.outcome;
        report.add(outcome);
        report.add_chunks(&passed.place, passed.chunks, passed.passed_over);
        report.status = passed.status;
        report.file.clone_from(&passed.file);
        report.dm_verity.clone_from(&passed.tree);
        if passed.status != "kept" {
            report.digest = Some(outcome.blob_digest.to_string());
            report.size = Some(outcome.blob_size);
        }
        if let Some(tree) = passed
            .tree
            .as_ref()
            .filter(|tree| tree.status == "appended")
        {
            done.warn(format!(
                "{}: a dm-verity tree is appended: the file is longer than the image that the \
                 diffID names, which ends at byte {}",
                shown(self.path),
                tree.hash_offset
            ));
        }
        if let Some(unannounced) = passed.tree.as_ref().and_then(TreeReport::unannounced) {
            done.warn(format!("{}: {unannounced}", shown(self.path)));
        }
        passed.finish()
    }
}

/// What nothing verifies. A plain blob is the image, so one digest serves for both.
fn not_verified(expected: &Expectations) -> Vec<&'static str> {
    let blob = expected.blob_digest.is_some();
    let image = expected.diff_id.is_some();
    let same = expected.compression == Compression::None;
    let mut missing = Vec::new();
    if !(blob || (same && image)) {
        missing.push("digest");
    }
    if !(image || (same && blob)) {
        missing.push("diffID");
    }
    missing
}

/// What a lone blob must be: what the options state of it, and its size where that is known
/// beforehand.
pub(crate) fn expectations(
    source: &Path,
    media_type: Option<&str>,
    digest: Option<Digest>,
    diff_id: Option<Digest>,
    limits: &Limits,
    blob: &mut BlobReader,
) -> Result<Expectations, HostError> {
    let size = blob.length();
    if limits.expansion_ratio.is_some() && size.is_none() {
        return Err(HostError::Usage(
            "--max-expansion: the size of a stream is not known before its end: expected a file"
                .into(),
        ));
    }
    let mut expected = Expectations::new(compression(source, media_type, blob)?);
    expected.blob_digest = digest;
    expected.blob_size = size;
    expected.diff_id = diff_id;
    Ok(expected)
}

/// How a lone blob is wrapped: by `--media-type`, else by its content.
fn compression(
    source: &Path,
    media_type: Option<&str>,
    blob: &mut BlobReader,
) -> Result<Compression, HostError> {
    if let Some(text) = media_type {
        let (_, compression) = stated_type(text)?;
        return Ok(compression);
    }
    let head = blob
        .peek(SNIFF_SIZE)
        .map_err(|error| HostError::environment(source, "read", error))?;
    match sniff(&head) {
        Sniffed::Compressed(compression) => Ok(compression),
        // What is no image is refused by the core, with its reason.
        _ => Ok(Compression::None),
    }
}

/// The type of an image that `--media-type` states, and how that is wrapped.
pub(super) fn stated_type(text: &str) -> Result<(MediaType, Compression), HostError> {
    // The text itself says what an unknown type or suffix is.
    let refused = |error| HostError::refused(format!("--media-type {text}"), error);
    let media_type = MediaType::parse(text)
        .map_err(|error| HostError::Usage(format!("--media-type {text}: {error}")))?;
    let kind = media_type.layer().map_err(refused)?;
    if media_type.kind() == MediaKind::ChunkIndex {
        return Err(refused(Error::new(Code::MediaTypeUnknown, At::Whole)));
    }
    Ok((media_type, kind.compression))
}
