//! `erofs-unpack extract`: the files of an image, in a directory or as a tar stream.

use std::io::{self, BufWriter, IsTerminal as _};

use erofs_unpack_cli::bars::Bars;
use erofs_unpack_cli::output::{exit_code_with_report, is_stdout, print_error, write_json};
use erofs_unpack_ops::extract::{Destination, Options, Report, extract};
use erofs_unpack_ops::system::{self, Purpose, processors};
use erofs_unpack_ops::{Done, HostError};

use crate::args::Extract;

/// Size of the buffer that joins the headers and the small files of a tar stream, in bytes.
const BUFFER: usize = 64 << 10;

/// Most errors of single files that are printed.
const LISTED_MAX: usize = 20;

/// Runs the command and gives its exit code. Everything but the report is printed on stderr.
pub(crate) fn run(args: &Extract) -> u8 {
    let done = operate(args);
    let done = done.unwrap_or_else(|error| Done::failed(Report::new(&args.image.image), error));
    output(args, &done)
}

/// From the arguments to the operation.
fn operate(args: &Extract) -> Result<Done<Report>, HostError> {
    if args.tar && io::stdout().is_terminal() {
        return Err(HostError::Usage(
            "--tar writes to stdout, which is a terminal: redirect it, or give -C DIR".into(),
        ));
    }
    if args.tar && args.json.as_deref().is_some_and(is_stdout) {
        return Err(HostError::Usage(
            "--tar and --json both write to stdout: give --json=FILE".into(),
        ));
    }
    let mut openings = args.image.openings();
    let purpose = match &args.directory {
        Some(directory) => {
            openings.extract(directory);
            Purpose::Extract
        }
        None => Purpose::Verify,
    };
    if let Some(path) = &args.json {
        openings.report(path);
    }
    if let Some(folder) = &args.objects.basedir {
        openings.read(folder);
    }
    let verbose = args.talk.verbose;
    args.image
        .confine
        .confine(&openings, purpose, verbose, || Ok(()))?;
    let mut stdout;
    let destination = match &args.directory {
        Some(directory) => Destination::Directory(directory.clone()),
        None => {
            let own = system::stdout()
                .map_err(|error| HostError::environment("stdout", "write", error))?;
            stdout = BufWriter::with_capacity(BUFFER, own);
            Destination::Tar(&mut stdout)
        }
    };
    Ok(extract(
        &args.image.image,
        &args.paths,
        destination,
        &args.image.options(),
        &options(args),
        &Bars::new(args.talk.quiet),
    ))
}

/// The options that the arguments come to.
fn options(args: &Extract) -> Options {
    let mut options = Options::new();
    options.everything &= !args.as_user;
    options.xattrs = !args.no_xattrs;
    options.keep_going = args.keep_going;
    options.objects.clone_from(&args.objects.basedir);
    options.replace = args.force;
    options.jobs = args.jobs.map_or_else(processors, usize::from);
    options.max_size = args.max_extracted_size;
    options.max_links = args.max_links;
    options
}

/// Prints everything and gives the exit code.
fn output(args: &Extract, done: &Done<Report>) -> u8 {
    let report = &done.report;
    if args.talk.verbose && done.failures.len() == report.failures.len() {
        let Report { files, bytes, .. } = report;
        print_error(format_args!(
            "{files} files and directories, {bytes} bytes of content"
        ));
    }
    if !args.talk.quiet {
        for warning in &report.warnings {
            print_error(format_args!("warning: {warning}"));
        }
    }
    let (files, end) = done
        .failures
        .split_at_checked(report.failures.len())
        .unwrap_or_default();
    let listed = files.len().min(LISTED_MAX);
    for failure in files.iter().take(listed) {
        print_error(&failure.error);
    }
    let more = report.failed.saturating_sub(listed as u64);
    if more > 0 {
        let hint = if args.json.is_none() {
            " (--json lists them)"
        } else {
            ""
        };
        print_error(format_args!("and {more} more{hint}"));
    }
    if report.failed > 0 && !args.talk.quiet {
        let Report { files, failed, .. } = report;
        print_error(format_args!(
            "{failed} could not be extracted; {files} files and directories were"
        ));
    }
    for failure in end {
        print_error(&failure.error);
    }
    // With the archive on stdout, the report was refused there as wrong usage.
    let report_to = args
        .json
        .as_deref()
        .filter(|path| !(is_stdout(path) && args.tar));
    let written = report_to.map_or(Ok(()), |path| write_json(report, path));
    exit_code_with_report(report.exit_code, written)
}
