//! `erofs-unpack unpack`: the layers of an image, or one layer.

use erofs_unpack_ops::report::LayerReport;
use erofs_unpack_ops::system::{self, Openings, Purpose};
use erofs_unpack_ops::unpack::{Destination, Options, Report, unpack};
use erofs_unpack_ops::{Done, Failure, HostError};

use super::check::findings;
use super::refuse_jobs;
use crate::args::Unpack;
use crate::bars::Bars;
use crate::output::{self, exit_code_with_report, is_stdout, print, print_error, write_json};

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Unpack) -> u8 {
    let done = operate(args);
    let done = done.unwrap_or_else(|error| Done::failed(Report::new(&args.source), error));
    output(args, done)
}

/// From the arguments to the operation.
fn operate(args: &Unpack) -> Result<Done<Report>, HostError> {
    let output = args.output.as_deref();
    if output.is_some_and(is_stdout) && args.json.as_deref().is_some_and(is_stdout) {
        return Err(HostError::Usage(
            "-o - and --json both write to stdout: give --json=FILE".into(),
        ));
    }
    let mut options = options(args)?;
    let mut openings = Openings::new();
    openings.source(&args.source);
    let destination = match output {
        None => Destination::Nowhere,
        Some(path) if is_stdout(path) => Destination::Stdout,
        Some(path) => Destination::Path(path.to_owned()),
    };
    match &destination {
        Destination::Path(path) => openings.output(path),
        _ => openings.spool(&system::temp_dir()),
    }
    if let Some(path) = &args.json {
        openings.report(path);
    }
    let verbose = args.talk.verbose;
    options.sandbox = args
        .confine
        .confine(&openings, Purpose::Verify, verbose, || {
            args.sandbox.load(&args.limits)
        })?;
    let bars = Bars::new(args.talk.quiet);
    Ok(unpack(&args.source, &destination, &options, &bars))
}

/// The options that the arguments come to, all but the sandbox.
fn options(args: &Unpack) -> Result<Options, HostError> {
    refuse_jobs("--jobs", args.jobs)?;
    refuse_jobs("--threads", args.threads)?;
    Ok(Options {
        select: args.select.options()?,
        layer: args.layer,
        media_type: args.media_type.clone(),
        diff_id: args.diff_id,
        force: args.force,
        keep_going: args.keep_going,
        jobs: args.jobs.map(usize::from),
        threads: args.threads.map(usize::from),
        skip_serial_digests: args.skip_serial_digests,
        check: (!args.no_check).then(|| args.check.checks()),
        verity: args.verity.into(),
        unannounced_verity: args.allow_unannounced_verity,
        limits: args.limits.limits(),
        ..Options::default()
    })
}

/// Prints everything and gives the exit code.
fn output(args: &Unpack, mut done: Done<Report>) -> u8 {
    if done.failures.is_empty() {
        let printed = done
            .report
            .layers
            .iter()
            .try_for_each(|layer| print_layer(args, layer));
        if let Err(error) = printed {
            done.fail(error);
        }
    }
    let report = &done.report;
    if !args.talk.quiet {
        for warning in &report.warnings {
            print_error(format_args!("warning: {warning}"));
        }
    }
    if args.keep_going {
        for failure in &done.failures {
            print_failure(args, failure);
        }
        if !args.talk.quiet {
            print_sum(args, report);
        }
    } else if let Some(failure) = done.failure() {
        print_failure(args, failure);
    }
    // With the image on stdout, the report was refused there as wrong usage.
    let report_to = args
        .json
        .as_deref()
        .filter(|path| !(is_stdout(path) && args.output.as_deref().is_some_and(is_stdout)));
    let written = report_to.map_or(Ok(()), |path| write_json(report, path));
    exit_code_with_report(report.exit_code, written)
}

/// Prints an error, and with `--verbose` all that a check has found.
fn print_failure(args: &Unpack, failure: &Failure) {
    match failure.layer {
        Some(number) => print_error(format_args!("layer {number}: {}", failure.error)),
        None => output::print_failure(&failure.error),
    }
    if let (true, HostError::Check { checked, .. }) = (args.talk.verbose, &failure.error) {
        findings(checked, &args.talk).lines().for_each(print_error);
    }
}

/// Prints the line that closes `--keep-going`.
fn print_sum(args: &Unpack, report: &Report) {
    let all = report.layers.len();
    let bad = report
        .layers
        .iter()
        .filter(|layer| layer.error.is_some())
        .count();
    if all == 0 {
        return;
    }
    let written = if bad > 0 && !args.verify_only {
        "; nothing was written"
    } else {
        ""
    };
    let passed = all.saturating_sub(bad);
    let layers = if all == 1 { "layer" } else { "layers" };
    print_error(format_args!("{passed} of {all} {layers} passed{written}"));
}

/// Prints one line on stdout about a layer that came through, unless stdout is for something
/// else.
fn print_layer(args: &Unpack, report: &LayerReport) -> Result<(), HostError> {
    let taken = [&args.json, &args.output]
        .into_iter()
        .flatten()
        .any(|path| is_stdout(path));
    let Some(outcome) = report.outcome.filter(|_| !args.talk.quiet && !taken) else {
        return Ok(());
    };
    let number = report
        .number
        .map_or(String::new(), |number| format!("layer {number}: "));
    let file = report
        .file
        .as_deref()
        .map_or(String::new(), |file| format!(" {file}"));
    let mut text = format!("{number}{}{file} {}", report.status, outcome.diff_id);
    if report.verified.is_some() {
        text.push_str(" (not computed: verified by the digests of its chunks)");
    }
    text.push('\n');
    if args.talk.verbose {
        let media_type = report.media_type.as_deref().unwrap_or("not stated");
        text.push_str(&format!(
            "  media type {media_type}, compression {}\n",
            report.compression.unwrap_or("none")
        ));
        // What is kept was verified by itself; its blob was not read.
        if report.status != "kept" {
            text.push_str(&format!(
                "  blob {}, {} bytes\n",
                outcome.blob_digest, outcome.blob_size
            ));
        }
        text.push_str(&format!("  image {} bytes\n", outcome.image_size));
        if let Some(tree) = &report.dm_verity {
            text.push_str(&format!(
                "  dm-verity tree {}: root {}, at byte {}\n",
                tree.status, tree.root_digest, tree.hash_offset
            ));
        }
        if let Some(chunks) = &report.chunks {
            let plural = |count| if count == 1 { "" } else { "s" };
            text.push_str(&format!(
                "  {} of {} chunk{}, vouched for by the {}, decoded by {} thread{}\n",
                chunks.index,
                chunks.chunks,
                plural(chunks.chunks as usize),
                chunks.pin,
                chunks.threads,
                plural(chunks.threads)
            ));
        }
        if let Some(error) = &report.index_passed_over {
            text.push_str(&format!("  index passed over: {}\n", error.message));
        }
        if let Some(check) = &report.check {
            text.push_str(&format!(
                "  checked by policy {} at level {}: {} inodes, {} warnings\n",
                check.policy, check.level, check.found.inodes, check.found.warnings
            ));
        }
    }
    print(&text)
}
