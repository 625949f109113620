//! The operation `stream`: a stream processor of containerd.
//!
//! containerd runs it with the blob of a layer on stdin and takes what comes on stdout for the
//! layer, whatever the exit code says (`core/diff/stream_unix.go`, `plugins/diff/erofs`). So an
//! image that is not verified yet never gets there. A payload on descriptor 3 is not for us and
//! is not read.

mod sink;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use erofs_unpack_core::Limits;
use erofs_unpack_core::check::Options as CheckOptions;
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{Policy, StreamType};
use erofs_unpack_core::unpack::{Expectations, SNIFF_SIZE, StreamContent, StreamForm};
use rustix::event::PollFlags;

use crate::error::HostError;
use crate::image_check::check_image;
use crate::image_file::{FileAt, ImageFile};
use crate::options::Checks;
use crate::pipeline::{self, Progress, Stop, Terms};
use crate::publish::scratch;
use crate::sandbox::Sandbox;
use crate::source::{BlobReader, Source, SourceOptions};
use crate::system::{self, Stdin, emit, processors, wait};
use sink::Sorter;

/// What the source is called in messages.
const STDIN: &str = "stdin";

/// How much a pipe to stdout is made to hold, in bytes: what any process may ask for
/// (`/proc/sys/fs/pipe-max-size`).
const PIPE: usize = 1 << 20;

/// Where an image waits, without a name, until it is verified.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    made: Result<File, HostError>,
}

impl Spool {
    /// A file in this folder, made before it is known whether there is use for it: so no file at
    /// all has to be opened once a layer is read. What is wrong with the folder is said where
    /// there is use.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            made: scratch(dir),
        }
    }
}

/// How a layer is decoded.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the caller says of the layer.
    pub stated: StreamType,
    /// How strictly an image is checked.
    pub policy: Policy,
    /// How far it is checked, and which rules are switched off.
    pub checks: Checks,
    /// What a layer may ask for.
    pub limits: Limits,
    /// Where it is decoded and checked.
    pub sandbox: Sandbox,
}

/// What came through.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// How the blob was wrapped.
    pub compression: Compression,
    /// What was in it.
    pub content: StreamContent,
    /// Its size in bytes, decoded.
    pub size: u64,
}

/// Decodes a layer from the standard input to the standard output.
///
/// An image is unpacked in full and checked before its first byte goes out; a tar archive passes
/// through as it is decoded. Digests are the caller's to verify.
///
/// # Errors
///
/// What refuses the layer: then nothing of an image has gone out. [`HostError::Usage`] for a
/// terminal; what the system fails at.
pub fn stream(spool: Spool, options: &Options) -> Result<Report, HostError> {
    let rules = options.checks.options(options.policy)?;
    let stdout = system::stdout()
        .map_err(|error| HostError::environment("stdout", "open for writing", error))?;
    if stdout.is_terminal() {
        return Err(HostError::Usage(
            "stream: stdout is a terminal: expected a pipe or a file".into(),
        ));
    }
    // Where it cannot be larger, or is no pipe, it serves as it is.
    let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
    let mut blob = open_stdin()?;
    let head = blob
        .peek(SNIFF_SIZE)
        .map_err(|error| HostError::environment(STDIN, "read", error))?;
    let form = StreamForm::new(options.stated, &head);
    let compression = form.compression;
    let mut expected = Expectations::new(compression);
    expected.blob_size = blob.length();
    if options.limits.expansion_ratio.is_some() && expected.blob_size.is_none() {
        return Err(HostError::Usage(
            "--max-expansion: the size of a stream is not known before its end: expected a file"
                .into(),
        ));
    }

    let file = OnceLock::new();
    let mut sorter = Sorter::new(form, &spool.dir, spool.made, &file, &stdout);
    let ran = pipeline::run_stream(
        &mut blob,
        &mut sorter,
        &expected,
        form,
        &Terms {
            limits: &options.limits,
            sandbox: &options.sandbox,
            threads: processors(),
            by_chunks: false,
        },
        &Progress::default(),
    );
    let streamed = ran.map_err(|stop| failure(stop, &mut sorter))?;
    sorter
        .finish(streamed.content)
        .map_err(|error| failure(Stop::Write(error), &mut sorter))?;
    if let Some(file) = file.get() {
        check(file, streamed.size, rules, options)?;
        emit(file, streamed.size, &stdout)
            .map_err(|error| HostError::environment("stdout", "write", error))?;
    }
    Ok(Report {
        compression,
        content: streamed.content,
        size: streamed.size,
    })
}

/// Checks the image that waits in a file.
fn check(
    file: &File,
    size: u64,
    mut rules: CheckOptions,
    options: &Options,
) -> Result<(), HostError> {
    // The gate has looked.
    rules.trailing = false;
    let place = Path::new(STDIN);
    let content = (FileAt::sharing(file, place)?, size);
    let image = ImageFile::of_layer(place, content, Vec::new(), &options.limits);
    check_image(&image, &rules, processors(), &options.sandbox)?.verdict()?;
    Ok(())
}

/// The standard input as a blob: a pipe, or a file from where it stands.
fn open_stdin() -> Result<BlobReader, HostError> {
    let failed = |error| HostError::environment(STDIN, "open for reading", error);
    let Stdin::File(stdin) = system::stdin().map_err(failed)? else {
        return Err(failed(io::ErrorKind::Unsupported.into()));
    };
    if stdin.is_terminal() {
        return Err(HostError::Usage(
            "stream: stdin is a terminal: expected the blob of a layer".into(),
        ));
    }
    if stdin.metadata().map_err(failed)?.is_file() {
        let options = SourceOptions {
            blob: true,
            ..SourceOptions::default()
        };
        if let Source::Blob(blob) = Source::from_file(Path::new(STDIN), stdin, &options)? {
            return Ok(blob);
        }
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let patient = Box::new(Patient(stdin));
    Ok(BlobReader::stream(STDIN.into(), Vec::new(), patient))
}

/// A stream that is waited for where it is set not to block.
struct Patient(File);

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(&self.0, PollFlags::IN)?;
                }
                result => return result,
            }
        }
    }
}

/// Why the pipeline stopped, with the names of source and target put to it.
fn failure(stop: Stop, sorter: &mut Sorter<'_>) -> HostError {
    match stop {
        Stop::Refused(error) => HostError::refused(STDIN, error),
        Stop::Read(error) => HostError::environment(STDIN, "read", error),
        Stop::Write(error) => sorter.failure(error),
        Stop::Start(error) => HostError::environment(STDIN, "start a thread for it", error),
        Stop::Cancelled => HostError::Cancelled,
    }
}
