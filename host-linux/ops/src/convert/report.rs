//! What `convert` reports.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::layer::Converted;
use crate::done::Conclude;
use crate::error::HostError;
use crate::image::Image;
use crate::report::{ErrorReport, VERSION, outcome_name, shown};
use crate::wrap::BlobReport;

/// What came of converting: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// `convert`.
    pub command: &'static str,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so.
    pub exit_code: u8,
    /// The source as it was given, escaped.
    pub source: String,
    /// The layout, when it has the images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The images.
    pub images: Vec<ImageReport>,
    /// Images that the layout had already, made of the same with the same options. Empty unless
    /// [`super::Options::resume`] asks for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// What did not stop it and is to be known all the same: which layers that were converted before could not be
    /// taken, or kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The error that the exit code stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// An image that had been converted before.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PassedOver {
    /// Its name in the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Digest of the manifest that it was made of.
    pub source_digest: String,
    /// Digest of what the layout's index names.
    pub digest: String,
}

/// An image that was converted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// Its name in the layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Digest of the manifest that it was made of.
    pub source_digest: String,
    /// Digest of what the layout's index names: its manifest, or an index with that.
    pub digest: String,
    /// Its layers.
    pub layers: Vec<LayerReport>,
}

/// A layer that was converted.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// Its place in the manifest, from 1.
    pub number: u32,
    /// Media type of the layer that it was made of.
    pub source_media_type: String,
    /// Digest of the blob that it was made of.
    pub source_digest: String,
    /// Size of that in bytes.
    pub source_size: u64,
    /// DiffID of the layer that it was made of.
    pub source_diff_id: String,
    /// How many inodes the image has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    /// How many files were read back and found to be as they came; absent for layers that were EROFS
    /// already, which are verified by their digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_read_back: Option<u64>,
    /// Whether it had been converted before, and its blob was only taken and verified.
    pub reused: bool,
    /// The new blob.
    #[serde(flatten)]
    pub blob: BlobReport,
}

impl PassedOver {
    pub(super) fn new(image: &Image, entry: &Value) -> Self {
        Self {
            name: image.names.first().cloned(),
            platform: image.platform().map(|platform| platform.to_string()),
            source_digest: image.descriptor.digest.to_string(),
            digest: digest_of(entry),
        }
    }
}

impl ImageReport {
    pub(super) fn new(image: &Image, entry: &Value, layers: &[Converted]) -> Self {
        Self {
            name: image.names.first().cloned(),
            platform: image.platform().map(|platform| platform.to_string()),
            source_digest: image.descriptor.digest.to_string(),
            digest: digest_of(entry),
            layers: (1..)
                .zip(layers)
                .map(|(number, layer)| LayerReport {
                    number,
                    source_media_type: layer.source.media_type.to_string(),
                    source_digest: layer.source.digest.to_string(),
                    source_size: layer.source.size,
                    source_diff_id: layer.source_diff_id.to_string(),
                    inodes: layer.inodes,
                    files_read_back: layer.proved.and_then(|proved| proved.files),
                    reused: layer.reused,
                    blob: layer.report.clone(),
                })
                .collect(),
        }
    }
}

/// What an entry of an index names.
fn digest_of(entry: &Value) -> String {
    entry["digest"].as_str().unwrap_or_default().to_owned()
}

impl Report {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(source: &Path) -> Self {
        Self {
            version: VERSION,
            command: "convert",
            outcome: outcome_name(0),
            exit_code: 0,
            source: shown(source),
            destination: None,
            images: Vec::new(),
            passed_over: Vec::new(),
            notes: Vec::new(),
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
            self.images.clear();
        }
    }
}
