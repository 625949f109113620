//! What the operations on a cache report.

use std::path::Path;

use serde::Serialize;

use super::{Entry, Listing};
use crate::done::Conclude;
use crate::error::HostError;
use crate::report::{ErrorReport, VERSION, outcome_name, shown};

/// What came of an operation on a cache: what `--json` prints, the operation's own part among it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report<T> {
    /// [`VERSION`].
    pub version: u32,
    /// The command: `cache put` and the like.
    pub command: &'static str,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so.
    pub exit_code: u8,
    /// The cache as it was given, escaped.
    pub dir: String,
    /// What this operation says.
    #[serde(flatten)]
    pub own: T,
    /// What is not as it should be.
    pub warnings: Vec<String>,
    /// What ended it early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// The exit code of what was found, when nothing ended the operation early.
    #[serde(skip)]
    pub(super) found_code: u8,
}

impl<T: Default> Report<T> {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(command: &'static str, dir: &Path) -> Self {
        Self {
            version: VERSION,
            command,
            outcome: outcome_name(0),
            exit_code: 0,
            dir: shown(dir),
            own: T::default(),
            warnings: Vec::new(),
            error: None,
            found_code: 0,
        }
    }

    /// Notes the names that are no entries'.
    pub(super) fn foreign(&mut self, listing: &Listing) {
        self.warnings = listing
            .foreign()
            .map(|path| format!("{}: is no part of a cache, and left alone", shown(path)))
            .collect();
    }
}

impl<T> Conclude for Report<T> {
    fn conclude(&mut self, error: Option<&HostError>) {
        self.exit_code = error.map_or(self.found_code, HostError::exit_code);
        self.outcome = outcome_name(self.exit_code);
        self.error = error.map(ErrorReport::of);
    }
}

/// An entry.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryReport {
    /// The diffID that its name states.
    pub diff_id: String,
    /// Size of the file in bytes, tree included.
    pub size: u64,
    /// When it was put there, in seconds since 1970.
    pub modified: i64,
    /// Whether a sidecar lies beside it.
    pub dm_verity: bool,
}

impl EntryReport {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            diff_id: entry.diff_id.to_string(),
            size: entry.size,
            modified: entry.modified,
            dm_verity: entry.dm_verity,
        }
    }
}
