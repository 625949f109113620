//! `erofs-unpack unwrap`: the image in the blob of a layer.

use erofs_unpack_cli::bars::Bars;
use erofs_unpack_cli::output::{
    exit_code_with_report, is_stdout, print, print_error, print_failure, write_json,
};
use erofs_unpack_ops::image::Selection;
use erofs_unpack_ops::system::{self, Openings, Purpose};
use erofs_unpack_ops::unpack::{Destination, Options, Report};
use erofs_unpack_ops::{Done, HostError, Select, unwrap};

use crate::args::Unwrap;

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Unwrap) -> u8 {
    let done = operate(args).unwrap_or_else(|error| {
        let mut done = Done::failed(Report::new(&args.blob), error);
        done.report.command = "unwrap";
        done
    });
    output(args, done)
}

/// From the arguments to the operation.
fn operate(args: &Unwrap) -> Result<Done<Report>, HostError> {
    let to_stdout = is_stdout(&args.output);
    if to_stdout && args.json.as_deref().is_some_and(is_stdout) {
        return Err(HostError::Usage(
            "-o - and --json both write to stdout: give --json=FILE".into(),
        ));
    }
    if args.output.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(HostError::Usage(
            "-o: expected the name of a file, without a slash at its end".into(),
        ));
    }
    let mut options = Options {
        select: Select {
            image: Selection {
                digest: args.digest,
                ..Selection::default()
            },
            policy: args.policy.into(),
            ..Select::default()
        },
        media_type: args.media_type.clone(),
        diff_id: args.diff_id,
        force: args.force,
        check: (!args.no_check).then(|| args.check.checks()),
        limits: args.limits.limits(),
        ..Options::default()
    };
    let mut openings = Openings::new();
    openings.source(&args.blob);
    let destination = if to_stdout {
        openings.spool(&system::temp_dir());
        Destination::Stdout
    } else {
        openings.output(&args.output);
        Destination::Path(args.output.clone())
    };
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
    Ok(unwrap(&args.blob, &destination, &options, &bars))
}

/// Prints everything and gives the exit code.
fn output(args: &Unwrap, mut done: Done<Report>) -> u8 {
    let taken = [Some(&args.output), args.json.as_ref()];
    let taken = taken.into_iter().flatten().any(|path| is_stdout(path));
    let layer = done.report.layers.first();
    let outcome = layer.and_then(|layer| Some((layer, layer.outcome?)));
    if let (true, false, Some((layer, outcome))) =
        (done.failures.is_empty(), taken || args.talk.quiet, outcome)
    {
        let file = layer.file.as_deref().unwrap_or_default();
        let line = format!("{} {file} {}\n", layer.status, outcome.diff_id);
        if let Err(error) = print(&line) {
            done.fail(error);
        }
    }
    let report = &done.report;
    if !args.talk.quiet {
        for warning in &report.warnings {
            print_error(format_args!("warning: {warning}"));
        }
    }
    if let Some(failure) = done.failure() {
        print_failure(&failure.error);
    }
    let json = args.json.as_deref();
    let json = json.filter(|path| !(is_stdout(path) && is_stdout(&args.output)));
    let written = json.map_or(Ok(()), |path| write_json(report, path));
    exit_code_with_report(report.exit_code, written)
}
