//! What `build` reports.

use std::path::Path;

use erofs_unpack_core::build::Built;
use serde::Serialize;

use super::{Archive, Proved};
use crate::done::Conclude;
use crate::error::HostError;
use crate::report::{ErrorReport, VERSION, outcome_name, shown, uuid};

/// What came of building: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// `build`.
    pub command: &'static str,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so.
    pub exit_code: u8,
    /// The source as it was given, escaped.
    pub source: String,
    /// The image's file; absent for the standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The image, when it is complete and verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReport>,
    /// The error that the exit code stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// An image that was made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// Its size in bytes.
    pub size: u64,
    /// Size of its blocks in bytes.
    pub block_size: u64,
    /// How many inodes it has.
    pub inodes: u64,
    /// How many bytes of it are the content of files, in whole blocks.
    pub content: u64,
    /// Its UUID.
    pub uuid: String,
    /// Whether it has sparse files, which take Linux 5.15.
    pub sparse: bool,
    /// How many extended attributes were left out, since EROFS has no place for their names.
    pub dropped_xattrs: u64,
    /// How many files were read back and found to be as they came; absent when that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_read_back: Option<u64>,
    /// Warnings of the check, which it passed.
    pub warnings: u64,
    /// SHA-256 of the archive, decoded: its diffID; absent for a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar_diff_id: Option<String>,
    /// Digest of the archive as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar_digest: Option<String>,
    /// Size of the archive, decoded, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar_size: Option<u64>,
}

impl ImageReport {
    pub(super) fn new(built: &Built, tar: Option<Archive>, proved: Proved) -> Self {
        let summary = &built.summary;
        Self {
            size: summary.size,
            block_size: summary.block_size,
            inodes: summary.inodes,
            content: summary.content,
            uuid: uuid(&summary.uuid),
            sparse: summary.sparse,
            dropped_xattrs: summary.dropped_xattrs,
            files_read_back: proved.files,
            warnings: proved.warnings,
            tar_diff_id: tar.map(|tar| tar.diff_id.to_string()),
            tar_digest: tar.map(|tar| tar.digest.to_string()),
            tar_size: tar.map(|tar| tar.size),
        }
    }
}

impl Report {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(source: &Path) -> Self {
        Self {
            version: VERSION,
            command: "build",
            outcome: outcome_name(0),
            exit_code: 0,
            source: shown(source),
            file: None,
            image: None,
            error: None,
        }
    }
}

impl Conclude for Report {
    fn conclude(&mut self, error: Option<&HostError>) {
        self.exit_code = error.map_or(0, HostError::exit_code);
        self.outcome = outcome_name(self.exit_code);
        self.error = error.map(ErrorReport::of);
        if error.is_some() {
            // Nothing was published.
            self.file = None;
            self.image = None;
        }
    }
}
