//! `erofs-unpack extract`: the files of an image, in a directory or as a tar stream.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use crate::cli::Extract;
use crate::error::HostError;
use crate::extract::{Options, Progress, extract, write_tar};
use crate::processors::processors;
use crate::progress::Bars;
use crate::report::shown;
use crate::say::complain;
use crate::wall::Work;

/// Size of the buffer that joins the headers and the small files of a tar stream, in bytes.
const BUFFER: usize = 64 << 10;

/// Runs the command and gives its exit code. Everything is said on stderr.
#[must_use]
pub fn run(args: &Extract) -> u8 {
    match carry_out(args) {
        Ok(warnings) => {
            if !args.talk.quiet {
                for warning in warnings {
                    complain(format_args!("warning: {warning}"));
                }
            }
            0
        }
        Err(error) => {
            complain(&error);
            error.exit_code()
        }
    }
}

/// The warnings.
fn carry_out(args: &Extract) -> Result<Vec<String>, HostError> {
    if args.tar && io::stdout().is_terminal() {
        return Err(HostError::Usage(
            "--tar writes to stdout, which is a terminal: redirect it, or give -C DIR".into(),
        ));
    }
    let mut openings = args.image.openings();
    let work = match &args.directory {
        Some(directory) => {
            openings.extract(directory);
            Work::Extract
        }
        None => Work::Verify,
    };
    let mut wall = args.image.confine.wall(&openings)?;
    wall.calls(work)?;
    if args.talk.verbose {
        complain(&wall);
    }
    let image = args.image.open()?;
    image.verify_checksum()?;
    let mut options = Options::new();
    options.everything &= !args.as_user;
    options.replace = args.force;
    options.jobs = args.jobs.map_or_else(processors, usize::from);
    options.max_size = args.max_extracted_size;
    options.max_links = args.max_links;
    let progress = Arc::new(Progress::default());
    // What the image says of itself serves for the bar only.
    let total = if args.paths.is_empty() {
        Some(image.image()?.superblock().inodes)
    } else {
        None
    };
    let seen = Arc::clone(&progress);
    let bar = Bars::of_files(
        &shown(image.place()),
        total.filter(|total| *total > 0),
        move || seen.entries(),
        args.talk.quiet,
    );
    let warnings = match &args.directory {
        Some(directory) => extract(&image, &args.paths, directory, &options, &progress),
        None => write_tar(&image, &args.paths, &mut stdout()?, &options, &progress),
    }?;
    drop(bar);
    if args.talk.verbose {
        let (files, bytes) = (progress.entries(), progress.bytes());
        complain(format_args!(
            "{files} files and directories, {bytes} bytes of content"
        ));
    }
    Ok(warnings)
}

/// Stdout without the buffer that it has for lines.
fn stdout() -> Result<impl Write, HostError> {
    let fd = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| HostError::environment("stdout", "write", error))?;
    Ok(BufWriter::with_capacity(BUFFER, File::from(fd)))
}
