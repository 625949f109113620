//! `erofs-unpack stream`: a stream processor of containerd.
//!
//! containerd runs it with the blob of a layer on stdin and takes what comes on stdout for the
//! layer, whatever the exit code says (`core/diff/stream_unix.go`, `plugins/diff/erofs`). So an
//! image that is not verified yet never gets there. A payload on descriptor 3 is not for us and
//! is not read.

mod sink;

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use erofs_unpack_core::Limits;
use erofs_unpack_core::check::Options;
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{MediaType, StreamType};
use erofs_unpack_core::unpack::{
    Expectations, SNIFF_SIZE, Sniffed, StreamContent, Streamed, sniff,
};
use rustix::event::PollFlags;

use super::confined;
use crate::cli::Stream;
use crate::error::HostError;
use crate::examine::examine;
use crate::image_file::{FileAt, ImageFile};
use crate::isolation::Isolation;
use crate::pipeline::{self, Progress, Stop, Terms};
use crate::processors::processors;
use crate::publish::{emit, scratch, wait};
use crate::say;
use crate::source::{BlobReader, Source, SourceOptions};
use crate::wall::Openings;
use sink::Spool;

/// What the source is called in messages.
const STDIN: &str = "stdin";

/// How much a pipe to stdout is made to hold, in bytes: what any process may ask for
/// (`/proc/sys/fs/pipe-max-size`).
const PIPE: usize = 1 << 20;

/// Runs the command and gives its exit code. Everything is said: errors on stderr, in one line.
#[must_use]
pub fn run(args: &Stream) -> u8 {
    match stream(args) {
        Ok(()) => 0,
        Err(error) => {
            say::complain(&error);
            error.exit_code()
        }
    }
}

fn stream(args: &Stream) -> Result<(), HostError> {
    let options = args.check.options(args.policy.into())?;
    let limits = args.limits.limits();
    let spool_dir = args.spool_dir.clone().unwrap_or_else(default_spool_dir);
    // Made before it is known whether there is use for it: so no file at all has to be opened
    // once a layer is read. What is wrong with the folder is said where there is use.
    let made = scratch(&spool_dir);
    let isolation = confined(&args.confine, &Openings::new(), args.verbose, || {
        args.sandbox.isolation()
    })?;
    let stated = stated_type(args)?;
    let stdout = own(&io::stdout())
        .map_err(|error| HostError::environment("stdout", "open for writing", error))?;
    if stdout.is_terminal() {
        return Err(HostError::Usage(
            "stream: stdout is a terminal: expected a pipe or a file".into(),
        ));
    }
    // Where it cannot be larger, or is no pipe, it serves as it is.
    let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
    let mut blob = open_stdin()?;
    let compression = match stated.compression {
        Some(compression) => compression,
        None => by_content(&mut blob)?,
    };
    let mut expected = Expectations::new(compression);
    expected.blob_size = blob.length();
    if args.limits.max_expansion.is_some() && expected.blob_size.is_none() {
        return Err(HostError::Usage(
            "--max-expansion: the size of a stream is not known before its end: expected a file"
                .into(),
        ));
    }

    let file = OnceLock::new();
    let mut spool = Spool::new(stated.tar, &spool_dir, made, &file, &stdout);
    let progress = Progress::default();
    let ran = pipeline::run_stream(
        &mut blob,
        &mut spool,
        &expected,
        stated.tar,
        &Terms {
            limits: &limits,
            isolation: &isolation,
        },
        &progress,
    );
    let streamed = ran.map_err(|stop| failure(stop, &mut spool))?;
    spool
        .finish(streamed.content)
        .map_err(|error| failure(Stop::Write(error), &mut spool))?;
    if let Some(file) = file.get() {
        check(file, streamed.size, &options, &limits, &isolation)?;
        emit(file, streamed.size, &stdout)
            .map_err(|error| HostError::environment("stdout", "write", error))?;
    }
    if args.verbose {
        tell(compression, &streamed);
    }
    Ok(())
}

/// Checks the image that waits in a file.
fn check(
    file: &File,
    size: u64,
    options: &Options,
    limits: &Limits,
    isolation: &Isolation,
) -> Result<(), HostError> {
    let mut options = *options;
    // The gate has looked.
    options.trailing = false;
    let place = Path::new(STDIN);
    let content = (FileAt::sharing(file, place)?, size);
    let image = ImageFile::of_layer(place, content, Vec::new(), limits);
    examine(&image, &options, processors(), isolation)?.verdict()?;
    Ok(())
}

/// What the caller says of the layer: `--media-type`, else containerd's variable.
fn stated_type(args: &Stream) -> Result<StreamType, HostError> {
    const VARIABLE: &str = "STREAM_PROCESSOR_MEDIATYPE";
    let (from, text) = match &args.media_type {
        Some(text) => ("--media-type ", text.clone()),
        None => match std::env::var_os(VARIABLE) {
            Some(text) if !text.is_empty() => (
                "STREAM_PROCESSOR_MEDIATYPE=",
                text.to_string_lossy().into_owned(),
            ),
            _ => return Ok(StreamType::UNKNOWN),
        },
    };
    MediaType::parse(&text)
        .map_err(|error| HostError::Usage(format!("{from}{text}: {error}")))?
        .stream()
        .map_err(|error| HostError::refused(format!("{from}{text}"), error))
}

/// How the blob is wrapped, by its first bytes.
fn by_content(blob: &mut BlobReader) -> Result<Compression, HostError> {
    let head = blob
        .peek(SNIFF_SIZE)
        .map_err(|error| HostError::environment(STDIN, "read", error))?;
    Ok(match sniff(&head) {
        Sniffed::Compressed(compression) => compression,
        // What is neither tar nor an image is refused by the core, with its reason.
        Sniffed::Erofs | Sniffed::Tar | Sniffed::Unknown => Compression::None,
    })
}

/// Where an image waits when nobody says where. `/tmp` is memory on many machines.
fn default_spool_dir() -> PathBuf {
    std::env::var_os("TMPDIR")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

/// A second descriptor of stdin or stdout, past the buffers that Rust keeps for text.
fn own(stream: &impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

/// The standard input as a blob: a pipe, or a file from where it stands.
fn open_stdin() -> Result<BlobReader, HostError> {
    let failed = |error| HostError::environment(STDIN, "open for reading", error);
    let stdin = own(&io::stdin()).map_err(failed)?;
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
fn failure(stop: Stop, spool: &mut Spool<'_>) -> HostError {
    match stop {
        Stop::Refused(error) => HostError::refused(STDIN, error),
        Stop::Read(error) => HostError::environment(STDIN, "read", error),
        Stop::Write(error) => spool.failure(error),
        Stop::Start(error) => HostError::environment(STDIN, "start a thread for it", error),
        Stop::Cancelled => HostError::Cancelled,
    }
}

/// Says what came through.
fn tell(compression: Compression, streamed: &Streamed) {
    let what = match streamed.content {
        StreamContent::Erofs => "EROFS image, checked",
        StreamContent::Tar => "tar archive, passed through",
    };
    let wrapped = match compression {
        Compression::None => "",
        Compression::Gzip => " from gzip",
        _ => " from zstd",
    };
    say::complain(format_args!(
        "{STDIN}: {what}: {} bytes{wrapped}",
        streamed.size
    ));
}
