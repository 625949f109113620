//! `erofs-unpack unpack`: the layers of an image, or one layer.

mod dest;
mod image;
mod lone;
mod tell;

use super::{confined, source_options};
use crate::cli::Unpack;
use crate::error::HostError;
use crate::report::shown;
use crate::source::Source;
use crate::wall::Openings;
use tell::{Done, is_stdout};

pub(super) use dest::{Dest, How, Passed, bring};
pub(super) use image::devices_of;
#[cfg(target_os = "linux")]
pub(super) use lone::expectations;

/// Runs the command and gives its exit code. Everything is said: errors on stderr, the report
/// where it was asked for.
#[must_use]
pub fn run(args: &Unpack) -> u8 {
    let mut done = Done::default();
    if let Err(error) = usage(args).and_then(|()| unpack(args, &mut done)) {
        done.fail(None, error);
    }
    done.tell(args)
}

/// What clap cannot say of the arguments.
fn usage(args: &Unpack) -> Result<(), HostError> {
    #[cfg(target_os = "wasi")]
    super::refuse_jobs(args.jobs)?;
    let to_stdout = |path: &Option<std::path::PathBuf>| path.as_deref().is_some_and(is_stdout);
    if to_stdout(&args.output) && to_stdout(&args.json) {
        return Err(HostError::Usage(
            "-o - and --json both write to stdout: give --json=FILE".into(),
        ));
    }
    Ok(())
}

fn unpack(args: &Unpack, done: &mut Done) -> Result<(), HostError> {
    let mut openings = Openings::new();
    openings.source(&args.source);
    match args.output.as_deref().filter(|path| !is_stdout(path)) {
        Some(path) => openings.output(path),
        None => openings.spool(&crate::os::temp_dir()),
    }
    if let Some(path) = &args.json {
        openings.report(path);
    }
    let isolation = confined(&args.confine, &openings, args.talk.verbose, || {
        args.sandbox.isolation()
    })?;
    let lone = args.media_type.is_some();
    let source = Source::open(&args.source, &source_options(&args.select, lone))?;
    match source {
        Source::Blob(blob) => lone::unpack(args, blob, isolation, done),
        Source::Image(_) if lone => Err(HostError::Usage(format!(
            "--media-type: {} is an image layout, not one blob",
            shown(&args.source)
        ))),
        Source::Image(source) => image::unpack(args, &source, isolation, done),
    }
}
