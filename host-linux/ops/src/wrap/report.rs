//! What `wrap` reports.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::done::Conclude;
use crate::error::HostError;
use crate::report::{ErrorReport, VERSION, outcome_name, shown};

/// What came of wrapping: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// `wrap`.
    pub command: &'static str,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so.
    pub exit_code: u8,
    /// The image as it was given, escaped.
    pub source: String,
    /// The blob's file; absent for the standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The blob, when it is complete and verified.
    #[serde(flatten)]
    pub blob: Option<BlobReport>,
    /// The error that the exit code stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// A blob, and what its descriptor is to say.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobReport {
    /// The media type of the layer.
    pub media_type: &'static str,
    /// How it is wrapped: `none`, `gzip` or `zstd`.
    pub compression: &'static str,
    /// Which index it has: `none`, `erofs` or `zstd-seekable`.
    pub index: &'static str,
    /// Digest of the blob.
    pub digest: String,
    /// Size of the blob in bytes.
    pub size: u64,
    /// The layer's diffID.
    pub diff_id: String,
    /// Size of the image in bytes.
    pub image_size: u64,
    /// How many chunks it has.
    pub chunks: u64,
    /// The annotations of the layer's descriptor.
    pub annotations: BTreeMap<&'static str, String>,
}

impl Report {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(source: &Path) -> Self {
        Self {
            version: VERSION,
            command: "wrap",
            outcome: outcome_name(0),
            exit_code: 0,
            source: shown(source),
            file: None,
            blob: None,
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
        }
    }
}
