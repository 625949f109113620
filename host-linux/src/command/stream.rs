//! `erofs-unpack stream`: a stream processor of containerd.

use std::path::PathBuf;

use erofs_unpack_cli::output::{exit_code, print_error};
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{MediaType, StreamType};
use erofs_unpack_core::unpack::StreamContent;
use erofs_unpack_ops::HostError;
use erofs_unpack_ops::stream::{Options, Report, Spool, stream};
use erofs_unpack_ops::system::{Openings, Purpose};

use crate::args::Stream;

/// Runs the command and gives its exit code. Everything is printed on stderr, an error in one
/// line.
pub(crate) fn run(args: &Stream) -> u8 {
    exit_code(operate(args).map(|report| {
        if args.verbose {
            output(&report);
        }
        0
    }))
}

/// From the arguments to the operation.
fn operate(args: &Stream) -> Result<Report, HostError> {
    let checks = args.check.checks();
    let policy = args.policy.into();
    // What is wrong with the command line is said before anything is made.
    checks.options(policy)?;
    let spool = Spool::new(&args.spool_dir.clone().unwrap_or_else(default_spool_dir));
    let openings = Openings::new();
    let sandbox = args
        .confine
        .confine(&openings, Purpose::Verify, args.verbose, || {
            args.sandbox.load(&args.limits)
        })?;
    let options = Options {
        stated: stated_type(args)?,
        policy,
        checks,
        limits: args.limits.limits(),
        sandbox,
    };
    stream(spool, &options)
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

/// Where an image waits when nobody says where. `/tmp` is memory on many machines.
fn default_spool_dir() -> PathBuf {
    std::env::var_os("TMPDIR")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

/// Prints what came through.
fn output(report: &Report) {
    let what = match report.content {
        StreamContent::Erofs => "EROFS image, checked",
        StreamContent::Tar => "tar archive, passed through",
    };
    let wrapped = match report.compression {
        Compression::None => "",
        Compression::Gzip => " from gzip",
        _ => " from zstd",
    };
    print_error(format_args!(
        "stdin: {what}: {} bytes{wrapped}",
        report.size
    ));
}
