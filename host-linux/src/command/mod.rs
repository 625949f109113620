//! The commands of the program.

pub mod cache;
pub mod cat;
pub mod check;
pub mod doctor;
pub mod documents;
pub mod dump;
pub mod extract;
pub mod inspect;
pub mod ls;
mod read;
pub mod rules;
pub mod stat;
pub mod stream;
pub mod tree;
pub mod unpack;

use std::path::Path;

use serde::Serialize;

use crate::cli::{ConfineArgs, Select};
use crate::error::HostError;
use crate::image::Selection;
use crate::say;
use crate::source::SourceOptions;
use crate::wall::{Openings, Work};
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
