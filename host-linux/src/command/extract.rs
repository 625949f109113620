//! `erofs-unpack extract`: the files of an image, in a directory or as a tar stream.

use std::io::{self, BufWriter, IsTerminal as _};

use erofs_unpack_cli::bars::Bars;
use erofs_unpack_cli::output::{exit_code, print_error};
use erofs_unpack_ops::HostError;
use erofs_unpack_ops::extract::{Destination, Options, Report, extract};
use erofs_unpack_ops::system::{self, Purpose, processors};

use crate::args::Extract;

/// Size of the buffer that joins the headers and the small files of a tar stream, in bytes.
const BUFFER: usize = 64 << 10;

/// Runs the command and gives its exit code. Everything is printed on stderr.
pub(crate) fn run(args: &Extract) -> u8 {
    exit_code(operate(args).map(|report| {
        output(args, &report);
        0
    }))
}

/// From the arguments to the operation.
fn operate(args: &Extract) -> Result<Report, HostError> {
    if args.tar && io::stdout().is_terminal() {
        return Err(HostError::Usage(
            "--tar writes to stdout, which is a terminal: redirect it, or give -C DIR".into(),
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
    extract(
        &args.image.image,
        &args.paths,
        destination,
        &args.image.options(),
        &options(args),
        &Bars::new(args.talk.quiet),
    )
}

/// The options that the arguments come to.
fn options(args: &Extract) -> Options {
    let mut options = Options::new();
    options.everything &= !args.as_user;
    options.replace = args.force;
    options.jobs = args.jobs.map_or_else(processors, usize::from);
    options.max_size = args.max_extracted_size;
    options.max_links = args.max_links;
    options
}

/// Prints everything.
fn output(args: &Extract, report: &Report) {
    if args.talk.verbose {
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
}
