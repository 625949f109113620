//! `erofs-unpack cache`: containerd's cache of layer content.

mod gc;
mod list;
mod put;
mod verify;

use std::path::Path;

use serde::Serialize;

use super::{json, outcome_name};
use crate::cache::Listing;
use crate::cli::{Cache, CacheCommand};
use crate::error::HostError;
use crate::report::{ErrorReport, VERSION, shown};
use crate::say;

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Cache) -> u8 {
    match &args.command {
        CacheCommand::Put(args) => put::run(args),
        CacheCommand::List(args) => list::run(args),
        CacheCommand::Verify(args) => verify::run(args),
        CacheCommand::Gc(args) => gc::run(args),
    }
}

/// What `--json` prints; the command's own members beside these.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a, T> {
    version: u32,
    command: &'static str,
    outcome: &'static str,
    exit_code: u8,
    dir: String,
    #[serde(flatten)]
    own: &'a T,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

/// What is said at the end of a command.
struct End<'a> {
    command: &'static str,
    dir: &'a Path,
    /// Whether warnings are not said.
    quiet: bool,
    /// The exit code of what was found, when nothing ended the command early.
    code: u8,
    warnings: &'a [String],
    /// What ended it early.
    error: Option<&'a HostError>,
}

impl End<'_> {
    /// Says warnings and the error on stderr, prints the report if it is wanted, and gives the
    /// exit code.
    fn tell<T: Serialize>(&self, report: Option<&T>) -> u8 {
        if !self.quiet {
            for warning in self.warnings {
                say::complain(format_args!("warning: {warning}"));
            }
        }
        if let Some(error) = self.error {
            say::complain(error);
        }
        let code = self.error.map_or(self.code, HostError::exit_code);
        let Some(own) = report else {
            return code;
        };
        let report = Report {
            version: VERSION,
            command: self.command,
            outcome: outcome_name(code),
            exit_code: code,
            dir: shown(self.dir),
            own,
            warnings: self.warnings,
            error: self.error.map(ErrorReport::of),
        };
        match say::print(&format!("{}\n", json(&report))) {
            Ok(()) => code,
            Err(error) => {
                say::complain(&error);
                if code == 0 { error.exit_code() } else { code }
            }
        }
    }
}

/// What is said of names that are no entries'.
fn foreign(listing: &Listing) -> Vec<String> {
    listing
        .foreign()
        .map(|path| format!("{}: is no part of a cache, and left alone", shown(path)))
        .collect()
}
