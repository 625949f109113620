//! The commands of the program.

#[cfg(target_os = "linux")]
pub mod cache;
#[cfg(target_os = "linux")]
pub mod cat;
pub mod check;
#[cfg(target_os = "linux")]
pub mod doctor;
#[cfg(target_os = "linux")]
pub mod documents;
#[cfg(target_os = "linux")]
pub mod dump;
#[cfg(target_os = "linux")]
pub mod extract;
pub mod inspect;
#[cfg(target_os = "linux")]
pub mod ls;
#[cfg(target_os = "linux")]
mod read;
#[cfg(target_os = "linux")]
pub mod rules;
#[cfg(target_os = "linux")]
pub mod stat;
#[cfg(target_os = "linux")]
pub mod stream;
#[cfg(target_os = "linux")]
pub mod tree;
pub mod unpack;

use std::path::Path;

use serde::Serialize;

use crate::cli::{ConfineArgs, Select};
use crate::error::HostError;
use crate::image::Selection;
use crate::say;
use crate::source::SourceOptions;
use crate::wall::Openings;
#[cfg(target_os = "linux")]
use crate::wall::Work;
use erofs_unpack_core::oci::Platform;

/// Which image the command line means.
fn selection(select: &Select) -> Result<Selection, HostError> {
    let platform = match &select.platform {
        None => None,
        Some(text) => Some(
            Platform::parse(text)
                .map_err(|error| HostError::Usage(format!("--platform {text}: {error}")))?,
        ),
    };
    Ok(Selection {
        reference: select.reference.clone(),
        platform,
        digest: select.digest,
    })
}

/// Refuses more threads than there can be.
#[cfg(target_os = "wasi")]
fn refuse_jobs(jobs: Option<u16>) -> Result<(), HostError> {
    match jobs {
        None | Some(1) => Ok(()),
        Some(jobs) => Err(HostError::Usage(format!(
            "--jobs {jobs}: there are no threads in WASI"
        ))),
    }
}

/// Refuses what is only said of an image layout.
fn not_for_blobs(source: &Path, select: &Select) -> Result<(), HostError> {
    let given = [
        ("--ref", select.reference.is_some()),
        ("--platform", select.platform.is_some()),
    ];
    for (flag, given) in given {
        if given {
            let source = crate::report::shown(source);
            return Err(HostError::Usage(format!(
                "{flag}: {source} is one blob, not an image layout"
            )));
        }
    }
    Ok(())
}

/// Raises the wall around this process. `load` is done between its halves: it may make memory
/// executable and start threads, and opens no files.
#[cfg(target_os = "linux")]
fn confined<T>(
    args: &ConfineArgs,
    openings: &Openings,
    verbose: bool,
    load: impl FnOnce() -> Result<T, HostError>,
) -> Result<T, HostError> {
    let mut wall = args.wall(openings)?;
    let loaded = load()?;
    wall.calls(Work::Verify)?;
    if verbose {
        say::complain(&wall);
    }
    Ok(loaded)
}

/// There is no wall to raise.
#[cfg(target_os = "wasi")]
fn confined<T>(
    _args: &ConfineArgs,
    _openings: &Openings,
    _verbose: bool,
    load: impl FnOnce() -> Result<T, HostError>,
) -> Result<T, HostError> {
    load()
}

/// How a source is opened.
fn source_options(select: &Select, blob: bool) -> SourceOptions {
    SourceOptions {
        blob,
        archive_size: select.max_archive_size,
        archive_members: select.max_archive_members,
        ..SourceOptions::default()
    }
}

/// Writes JSON to stdout (`-`) or to a file.
fn write_json(value: &impl Serialize, path: &Path) -> Result<(), HostError> {
    let mut text = json(value);
    text.push('\n');
    if path == Path::new("-") {
        return say::print(&text);
    }
    std::fs::write(path, text)
        .map_err(|error| HostError::environment(path, "write the report", error))
}

/// JSON as people can read it.
fn json(value: &impl Serialize) -> String {
    // Plain data with string keys always has a form in JSON.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The name of an exit code in the report.
const fn outcome_name(code: u8) -> &'static str {
    match code {
        0 => "done",
        1 => "refused",
        _ => "failed",
    }
}
