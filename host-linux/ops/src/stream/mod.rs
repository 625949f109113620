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
use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder as _};
use erofs_unpack_core::oci::{Policy, StreamType};
use erofs_unpack_core::unpack::{Expectations, SNIFF_SIZE, StreamContent, StreamForm};
use rustix::event::PollFlags;

use crate::error::HostError;
use crate::image_check::check_image;
use crate::image_file::{FileAt, ImageFile};
use crate::options::Checks;
use crate::parallel;
use crate::pipeline::{self, Ended, Progress, Stop, Terms};
use crate::publish::scratch;
use crate::sandbox::Sandbox;
use crate::source::{BlobReader, Source, SourceOptions};
use crate::system::{self, Stdin, emit, processors, wait};
use sink::Sorter;

/// What the source is called in messages.
const STDIN: &str = "stdin";

/// How much of a blob in a file is looked at to learn what is in it, in bytes: a block of a zstd frame is
/// shorter.
const START: usize = 256 << 10;

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
/// through as it is decoded. Of a zstd blob in a file that ends with an index of its chunks, or has several
/// frames, an image is decoded by several threads. Digests are the caller's to verify.
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

    let terms = Terms {
        limits: &options.limits,
        sandbox: &options.sandbox,
        threads: processors(),
        by_chunks: false,
    };
    let task = Task {
        options,
        form,
        expected: &expected,
        terms: &terms,
        dir: &spool.dir,
        stdout: &stdout,
    };
    let (content, size) = match task.by_chunks(&blob, spool.made)? {
        Chunked::Done(file, size) => {
            task.give_out(&file, size, rules)?;
            (StreamContent::Erofs, size)
        }
        Chunked::Not(made) => task.whole(&mut blob, *made, rules)?,
    };
    Ok(Report {
        compression,
        content,
        size,
    })
}

/// A layer on its way.
struct Task<'a> {
    options: &'a Options,
    form: StreamForm,
    expected: &'a Expectations,
    terms: &'a Terms<'a>,
    dir: &'a Path,
    stdout: &'a File,
}

/// What came of the chunks that a blob tells of.
enum Chunked {
    /// The image, of this size, in the file.
    Done(File, u64),
    /// Nothing: there are none, or they are not what is said of them. The file is empty.
    Not(Box<Result<File, HostError>>),
}

impl Task<'_> {
    /// The layer from its start to its end.
    fn whole(
        &self,
        blob: &mut BlobReader,
        made: Result<File, HostError>,
        rules: CheckOptions,
    ) -> Result<(StreamContent, u64), HostError> {
        let file = OnceLock::new();
        let mut sorter = Sorter::new(self.form, self.dir, made, &file, self.stdout);
        let ran = pipeline::run_stream(
            blob,
            &mut sorter,
            self.expected,
            self.form,
            self.terms,
            &Progress::default(),
        );
        let streamed = ran.map_err(|stop| failure(stop, &mut sorter))?;
        sorter
            .finish(streamed.content)
            .map_err(|error| failure(Stop::Write(error), &mut sorter))?;
        if let Some(file) = file.get() {
            self.give_out(file, streamed.size, rules)?;
        }
        Ok((streamed.content, streamed.size))
    }

    /// An image in a file whose blob tells of chunks, by several threads. What is wrong with those, a
    /// second way says, from the start of the blob.
    fn by_chunks(
        &self,
        blob: &BlobReader,
        made: Result<File, HostError>,
    ) -> Result<Chunked, HostError> {
        if !self.is_image(blob) {
            return Ok(Chunked::Not(Box::new(made)));
        }
        let mut file = OnceLock::new();
        let mut sorter = Sorter::new(self.form, self.dir, made, &file, self.stdout);
        let terms = Terms {
            by_chunks: true,
            ..*self.terms
        };
        let progress = Progress::default();
        let ended = parallel::by_hint(blob, &mut sorter, self.expected, &terms, &progress)
            .map_err(|stop| failure(stop, &mut sorter))?;
        let not_written =
            |error: io::Error| HostError::environment(self.dir, "write a temporary file", error);
        if let Some(Ended::Whole(outcome)) = ended {
            sorter
                .finish(StreamContent::Erofs)
                .map_err(|error| failure(Stop::Write(error), &mut sorter))?;
            let file = file.take();
            let file = file.ok_or_else(|| not_written(io::ErrorKind::NotFound.into()))?;
            return Ok(Chunked::Done(file, outcome.image_size));
        }
        let unused = sorter.unused();
        let made = match file.take() {
            Some(file) => file.set_len(0).map(|()| file).map_err(not_written),
            None => unused.unwrap_or_else(|| Err(not_written(io::ErrorKind::NotFound.into()))),
        };
        Ok(Chunked::Not(Box::new(made)))
    }

    /// Whether it is known before all is read that an image comes: of a zstd blob in a file that is
    /// stated to be one, or not at all.
    fn is_image(&self, blob: &BlobReader) -> bool {
        let stated = self.options.stated.compression;
        if self.form.compression != Compression::Zstd
            || stated.is_some_and(|stated| stated != Compression::Zstd)
        {
            return false;
        }
        let decoder = AnyDecoder::new(Compression::Zstd, &self.options.limits);
        let (Ok(Some(start)), Ok(mut decoder)) = (blob.start(START), decoder) else {
            return false;
        };
        let mut head = [0; SNIFF_SIZE];
        let (mut rest, mut filled) = (start.as_slice(), 0);
        while filled < SNIFF_SIZE {
            match decoder.decode(rest, &mut head[filled..]) {
                Ok(step) if step.consumed > 0 || step.produced > 0 => {
                    rest = &rest[step.consumed..];
                    filled += step.produced;
                }
                // The usual way says what is wrong.
                _ => return false,
            }
        }
        self.form.content(&head) == StreamContent::Erofs
    }

    /// Checks the image that waits in a file, and copies it to stdout.
    fn give_out(&self, file: &File, size: u64, rules: CheckOptions) -> Result<(), HostError> {
        check(file, size, rules, self.options)?;
        emit(file, size, self.stdout)
            .map(drop)
            .map_err(|error| HostError::environment("stdout", "write", error))
    }
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
