//! `erofs-unpack wrap`: the blob of a layer, of an image.

use std::collections::BTreeMap;
use std::path::Path;

use erofs_unpack_cli::bars::Bars;
use erofs_unpack_cli::output::{
    exit_code_with_report, is_stdout, print, print_failure, write_json,
};
use erofs_unpack_core::codec::Compression;
use erofs_unpack_ops::system::{self, Openings, Purpose, processors};
use erofs_unpack_ops::wrap::{Destination, Index, Options, Report, Wrap as Wrapping, wrap};
use erofs_unpack_ops::{Done, HostError};

use crate::args::{IndexName, VerityName, Wrap, WrapName};

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Wrap) -> u8 {
    let done = operate(args);
    let done = done.unwrap_or_else(|error| Done::failed(Report::new(&args.image), error));
    output(args, done)
}

/// From the arguments to the operation.
fn operate(args: &Wrap) -> Result<Done<Report>, HostError> {
    let destination = destination(&args.output, args.json.as_deref())?;
    // Asked for before the process is confined.
    let threads = args.threads.map_or_else(processors, usize::from);
    let mut openings = Openings::new();
    openings.source(&args.image);
    open_output(&mut openings, &destination);
    if let Some(path) = &args.json {
        openings.report(path);
    }
    let verbose = args.talk.verbose;
    args.confine
        .confine(&openings, Purpose::Verify, verbose, || Ok(()))?;
    let options = Options {
        wrap: wrapping(args.wrap, args.index, args.level, args.chunk_size),
        threads: Some(threads),
        verity: args.verity == VerityName::Append,
        force: args.force,
        limits: args.limits.limits(),
    };
    let bars = Bars::new(args.talk.quiet);
    Ok(wrap(&args.image, &destination, &options, &bars))
}

/// How layers are wrapped, as the arguments say it wherever they are made.
pub(super) fn wrapping(
    wrap: WrapName,
    index: Option<IndexName>,
    level: Option<i32>,
    chunk_size: u64,
) -> Wrapping {
    let compression = wrap.compression();
    let index = match (index, compression) {
        (Some(index), _) => index.into(),
        (None, Compression::Gzip) => Index::None,
        (None, _) => Index::Erofs,
    };
    let level = level.or_else(|| {
        // None has none to be wrong.
        (compression == Compression::None).then_some(1)
    });
    Wrapping {
        compression,
        index,
        chunk_size: usize::try_from(chunk_size).unwrap_or(usize::MAX),
        level: level.unwrap_or_else(|| Wrapping::default_level(compression)),
    }
}

/// What `-o` means, beside a report to `json`.
pub(super) fn destination(path: &Path, json: Option<&Path>) -> Result<Destination, HostError> {
    if !is_stdout(path) {
        return Ok(Destination::File(path.to_owned()));
    }
    if json.is_some_and(is_stdout) {
        return Err(HostError::Usage(
            "-o - and --json both write to stdout: give --json=FILE".into(),
        ));
    }
    Ok(Destination::Stdout)
}

/// What a process needs that writes there.
pub(super) fn open_output(openings: &mut Openings, destination: &Destination) {
    match destination {
        Destination::File(path) => openings.output(path),
        Destination::Stdout => openings.spool(&system::temp_dir()),
    }
}

/// The annotations of a descriptor, a line each.
pub(super) fn annotations(annotations: &BTreeMap<&'static str, String>) -> String {
    let line = |(key, value)| format!("  {key}={value}\n");
    annotations.iter().map(line).collect()
}

/// Prints everything and gives the exit code.
fn output(args: &Wrap, mut done: Done<Report>) -> u8 {
    let taken = [Some(&args.output), args.json.as_ref()];
    let taken = taken.into_iter().flatten().any(|path| is_stdout(path));
    if !taken
        && !args.talk.quiet
        && let Some(text) = text(&done.report)
        && let Err(error) = print(&text)
    {
        done.fail(error);
    }
    if let Some(failure) = done.failure() {
        print_failure(&failure.error);
    }
    let report = &done.report;
    let json = args.json.as_deref();
    let json = json.filter(|path| !(is_stdout(path) && is_stdout(&args.output)));
    let written = json.map_or(Ok(()), |path| write_json(report, path));
    exit_code_with_report(report.exit_code, written)
}

/// What is said of a blob: all that its descriptor is to say.
fn text(report: &Report) -> Option<String> {
    let blob = report.blob.as_ref()?;
    let file = report.file.as_deref().unwrap_or("-");
    let chunks = if blob.chunks == 1 { "chunk" } else { "chunks" };
    Some(format!(
        "wrapped {file} {}\n  {}, {} bytes in {} {chunks}, of an image of {} bytes\n  diffID {}\n{}",
        blob.digest,
        blob.media_type,
        blob.size,
        blob.chunks,
        blob.image_size,
        blob.diff_id,
        annotations(&blob.annotations)
    ))
}
