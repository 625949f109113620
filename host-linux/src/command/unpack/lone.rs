//! One blob by itself.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{Digest, MediaKind, MediaType};
use erofs_unpack_core::unpack::{Expectations, SNIFF_SIZE, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error};

use super::dest::{Dest, How, Passed, bring};
use super::tell::{Done, say_layer, status_of};
use crate::cli::{LimitArgs, Unpack};
use crate::command::not_for_blobs;
use crate::error::HostError;
use crate::isolation::Isolation;
use crate::pipeline::Progress;
use crate::processors::processors;
use crate::progress::Bars;
use crate::report::{CheckReport, ErrorReport, LayerReport, shown};
use crate::source::BlobReader;

pub(super) fn unpack(
    args: &Unpack,
    mut blob: BlobReader,
    isolation: Isolation,
    done: &mut Done,
) -> Result<(), HostError> {
    not_for_blobs(&args.source, &args.select)?;
    if args.layer.is_some() {
        return Err(HostError::Usage(format!(
            "--layer: {} is one blob, not an image layout",
            shown(&args.source)
        )));
    }
    let expected = expectations(
        &args.source,
        args.media_type.as_deref(),
        args.select.digest,
        args.diff_id,
        &args.limits,
        &mut blob,
    )?;
    let mut report = LayerReport {
        compression: Some(expected.compression.name()),
        media_type: args.media_type.clone(),
        size: expected.blob_size,
        not_verified: not_verified(&expected),
        ..LayerReport::default()
    };
    let outcome = bring_and_finish(args, blob, isolation, &expected, &mut report, done);
    match &outcome {
        Ok(_) => {
            if !report.not_verified.is_empty() {
                let missing: Vec<String> = report
                    .not_verified
                    .iter()
                    .map(|name| match *name {
                        "digest" => "digest (--digest)".to_owned(),
                        other => format!("{other} (--diff-id)"),
                    })
                    .collect();
                done.warn(format!(
                    "{}: not verified, because not stated: {}",
                    shown(&args.source),
                    missing.join(", ")
                ));
            }
        }
        Err(error) => {
            report.status = status_of(error);
            report.file = None;
            report.error = Some(ErrorReport::of(error));
            if let HostError::Check { examined, .. } = error {
                report.check = Some(CheckReport::of(args, examined));
            }
        }
    }
    done.layers.push(report);
    outcome
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

fn bring_and_finish(
    args: &Unpack,
    blob: BlobReader,
    isolation: Isolation,
    expected: &Expectations,
    report: &mut LayerReport,
    done: &mut Done,
) -> Result<(), HostError> {
    let how = How::of(args, false, processors(), isolation)?;
    let dest = Dest::of(args, false)?;
    let name = match (&dest, args.diff_id) {
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
    let label = (
        shown(blob.place()),
        expected.blob_size,
        Arc::clone(&progress),
    );
    let bars = Bars::new(vec![label], args.talk.quiet);
    let passed = bring(
        &dest,
        &OsString::from(name),
        &how,
        expected,
        &progress,
        || Ok(blob),
    );
    drop(bars);
    let Passed {
        outcome,
        examined,
        output,
        status,
        file,
        ..
    } = passed?;
    if let Some(examined) = &examined {
        report.check = Some(CheckReport::of(args, examined));
        done.found(examined);
    }
    report.add(&outcome);
    report.status = status;
    report.file = file;
    if status != "kept" {
        report.digest = Some(outcome.blob_digest.to_string());
        report.size = Some(outcome.blob_size);
    }
    output.finish()?;
    say_layer(args, report, &outcome)
}

/// What a lone blob must be: what the command line states of it, and its size where that is known
/// beforehand.
pub(in crate::command) fn expectations(
    source: &Path,
    media_type: Option<&str>,
    digest: Option<Digest>,
    diff_id: Option<Digest>,
    limits: &LimitArgs,
    blob: &mut BlobReader,
) -> Result<Expectations, HostError> {
    let size = blob.length();
    if limits.max_expansion.is_some() && size.is_none() {
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
        // The text itself says what an unknown type or suffix is.
        let refused = |error| HostError::refused(format!("--media-type {text}"), error);
        let media_type = MediaType::parse(text)
            .map_err(|error| HostError::Usage(format!("--media-type {text}: {error}")))?;
        let kind = media_type.layer().map_err(refused)?;
        if media_type.kind() == MediaKind::ChunkIndex {
            return Err(refused(Error::new(Code::MediaTypeUnknown, At::Whole)));
        }
        return Ok(kind.compression);
    }
    let head = blob
        .peek(SNIFF_SIZE)
        .map_err(|error| HostError::environment(source, "read", error))?;
    match sniff(&head) {
        Sniffed::Compressed(compression) => Ok(compression),
        // What is no image is refused by the core, with its reason.
        Sniffed::Erofs | Sniffed::Tar | Sniffed::Unknown => Ok(Compression::None),
    }
}
