//! `unpack`: one layer, to a file or stdout.

use std::io;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{MediaKind, MediaType};
use erofs_unpack_core::unpack::{Expectations, Outcome, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error};
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::blob::Blob;
use crate::check::scratch;
use crate::cli::Unpack;
use crate::content::{self, Content};
use crate::error::{HostError, shown};
use crate::examine::{Examined, examine};
use crate::output::Target;
use crate::report::{ErrorReport, FoundReport, SuperblockReport, VERSION, outcome_name};
use crate::say::{self, is_stdout};

/// A layer, for the report.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    superblock: Option<SuperblockReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_verified: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

/// What came of it.
#[derive(Default)]
struct Done {
    layer: Option<Layer>,
    warnings: Vec<String>,
}

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Unpack) -> u8 {
    let mut done = Done::default();
    let error = unpack(args, &mut done).err();
    let mut code = error.as_ref().map_or(0, HostError::exit_code);
    if !args.talk.quiet {
        for warning in &done.warnings {
            say::complain(format_args!("warning: {warning}"));
        }
    }
    if let Some(error) = &error {
        say::complain(error);
        if let (true, HostError::Check { examined, .. }) = (args.talk.verbose, error) {
            examined
                .describe(&args.talk)
                .lines()
                .for_each(say::complain);
        }
    }
    let both = args.output.as_deref().is_some_and(is_stdout);
    if let Some(path) = args
        .json
        .as_deref()
        .filter(|path| !(both && is_stdout(path)))
    {
        let mut report = json!({
            "version": VERSION,
            "command": "unpack",
            "outcome": outcome_name(code),
            "exitCode": code,
            "source": shown(&args.source),
            "layers": done.layer.iter().collect::<Vec<_>>(),
            "warnings": done.warnings,
        });
        if let (Some(error), Json::Object(report)) = (&error, &mut report) {
            report.insert("error".into(), json!(ErrorReport::of(error)));
        }
        if let Err(error) = say::write_json(&report, path) {
            say::complain(&error);
            code = if code == 0 { error.exit_code() } else { code };
        }
    }
    code
}

fn unpack(args: &Unpack, done: &mut Done) -> Result<(), HostError> {
    let to_stdout = args.output.as_deref().is_some_and(is_stdout);
    if to_stdout && args.json.as_deref().is_some_and(is_stdout) {
        return Err(HostError::Usage(
            "-o - and --json both write to stdout: give --json=FILE".into(),
        ));
    }
    let mut blob = Blob::open(&args.source)?;
    if args.limits.max_expansion.is_some() && blob.length.is_none() {
        return Err(HostError::Usage(
            "--max-expansion: the size of a stream is not known before its end: expected a file"
                .into(),
        ));
    }
    let mut expected = Expectations::new(compression(args, &blob)?);
    expected.blob_digest = args.digest;
    expected.blob_size = blob.length;
    expected.diff_id = args.diff_id;
    let mut layer = Layer {
        compression: Some(expected.compression.name()),
        media_type: args.media_type.clone(),
        size: expected.blob_size,
        not_verified: not_verified(&expected),
        ..Layer::default()
    };
    let result = bring(args, &mut blob, &expected, &mut layer, done);
    match &result {
        Ok(()) if layer.not_verified.is_empty() => {}
        Ok(()) => {
            let flags = |name: &&str| match *name {
                "digest" => "digest (--digest)".to_owned(),
                other => format!("{other} (--diff-id)"),
            };
            let missing: Vec<String> = layer.not_verified.iter().map(flags).collect();
            done.warnings.push(format!(
                "{}: not verified, because not stated: {}",
                shown(&args.source),
                missing.join(", ")
            ));
        }
        Err(error) => {
            layer.status = if error.exit_code() == 1 {
                "refused"
            } else {
                "failed"
            };
            layer.error = Some(ErrorReport::of(error));
            if let HostError::Check { examined, .. } = error {
                layer.check = Some(check_report(args, examined));
            }
        }
    }
    done.layer = Some(layer);
    result
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

/// How the blob is wrapped: by `--media-type`, else by its content.
fn compression(args: &Unpack, blob: &Blob) -> Result<Compression, HostError> {
    let Some(text) = &args.media_type else {
        return Ok(match sniff(blob.head()) {
            Sniffed::Compressed(compression) => compression,
            // What is no image is refused by the core, with its reason.
            Sniffed::Erofs | Sniffed::Tar | Sniffed::Unknown => Compression::None,
        });
    };
    let refused = |error| HostError::refused(format!("--media-type {text}"), error);
    let media_type = MediaType::parse(text)
        .map_err(|error| HostError::Usage(format!("--media-type {text}: {error}")))?;
    let kind = media_type.layer().map_err(refused)?;
    if media_type.kind() == MediaKind::ChunkIndex {
        return Err(refused(Error::new(Code::MediaTypeUnknown, At::Whole)));
    }
    Ok(kind.compression)
}

fn bring(
    args: &Unpack,
    blob: &mut Blob,
    expected: &Expectations,
    layer: &mut Layer,
    done: &mut Done,
) -> Result<(), HostError> {
    let limits = args.limits.limits();
    let options = match args.no_check {
        true => None,
        false => Some(args.check.options(args.policy)?),
    };
    let to_stdout = args.output.as_deref().is_some_and(is_stdout);
    let target = match args.output.as_deref().filter(|path| !is_stdout(path)) {
        Some(path) => Some(Target::new(path, args.force)?),
        None => None,
    };
    let (temporary, content, place) = match (&target, args.output.as_ref()) {
        (Some(target), Some(path)) => {
            let (temporary, content) = target.temporary()?;
            (Some(temporary), content, path.clone())
        }
        _ if to_stdout || options.is_some() => scratch()?,
        _ => (None, Content::Nowhere, "nowhere".into()),
    };
    let outcome = content::unpack(blob, &content, &place, expected, &limits)?;
    if let Some(mut options) = options {
        // The gate has looked.
        options.trailing = false;
        let place = args.output.as_ref().filter(|_| target.is_some());
        let place = place.unwrap_or(&args.source);
        let examined = examine(place, &content, outcome.image_size, &limits, &options)?;
        let examined = examined.verdict()?;
        layer.check = Some(check_report(args, &examined));
        for breach in &examined.breaches {
            let error =
                HostError::refused(breach.first.place_in(&examined.place), breach.first.error);
            let more = match breach.count {
                0 | 1 => String::new(),
                count => format!(" ({count} times)"),
            };
            done.warnings.push(format!("{error}{more}"));
        }
    }
    layer.status = if args.verify_only {
        "verified"
    } else {
        "unpacked"
    };
    layer.diff_id = Some(outcome.diff_id.to_string());
    layer.image_size = Some(outcome.image_size);
    layer.superblock = outcome.superblock.as_ref().map(SuperblockReport::of);
    layer.digest = Some(outcome.blob_digest.to_string());
    layer.size = Some(outcome.blob_size);
    match (target, temporary) {
        (Some(target), Some(temporary)) => {
            target.publish(temporary, content)?;
            layer.file = args.output.as_deref().map(shown);
        }
        _ if to_stdout => content
            .copy_to(&mut io::stdout().lock())
            .map_err(|error| HostError::environment("stdout", "write", error))?,
        _ => {}
    }
    say_layer(args, layer, &outcome)
}

fn check_report(args: &Unpack, examined: &Examined) -> Json {
    let mut report = json!({ "level": args.check.level.name(), "policy": args.policy.name() });
    if let (Json::Object(report), Json::Object(found)) =
        (&mut report, json!(FoundReport::of(examined)))
    {
        if !args.check.allow.is_empty() {
            report.insert("allowed".into(), json!(args.check.allow));
        }
        report.extend(found);
    }
    report
}

/// One line on stdout about a layer that came through, unless stdout is for something else.
fn say_layer(args: &Unpack, layer: &Layer, outcome: &Outcome) -> Result<(), HostError> {
    let mut used = [&args.json, &args.output].into_iter().flatten();
    if args.talk.quiet || used.any(|path| is_stdout(path)) {
        return Ok(());
    }
    let file = layer
        .file
        .as_deref()
        .map_or(String::new(), |file| format!(" {file}"));
    let mut text = format!("{}{file} {}\n", layer.status, outcome.diff_id);
    if args.talk.verbose {
        let media_type = layer.media_type.as_deref().unwrap_or("not stated");
        text.push_str(&format!(
            "  media type {media_type}, compression {}\n  blob {}, {} bytes\n  image {} bytes\n",
            layer.compression.unwrap_or("none"),
            outcome.blob_digest,
            outcome.blob_size,
            outcome.image_size
        ));
    }
    say::print(&text)
}
