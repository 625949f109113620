//! What `check` reports.

use std::path::Path;

use serde::Serialize;

use erofs_unpack_core::oci::{Layer, Policy, Warning};

use super::{Checked, Options};
use crate::chunked::RandomReads;
use crate::done::Conclude;
use crate::error::HostError;
use crate::report::{ErrorReport, FoundReport, ImageReport, VERSION, outcome_name, shown};

/// What came of a check: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// `check`.
    pub command: &'static str,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so: a refusal outranks what the system failed at.
    pub exit_code: u8,
    /// The source as it was given, escaped.
    pub source: String,
    /// `superblock`, `metadata` or `full`.
    pub level: &'static str,
    /// `any`, `containerd` or `strict`.
    pub policy: &'static str,
    /// The rules that were switched off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// What was seen and found in a lone image.
    #[serde(flatten)]
    pub found: Option<FoundReport>,
    /// The image, where the source is a layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReport>,
    /// What is not as it should be, refuses nothing, and is no finding of the check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The layers of that image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerReport>,
    /// Why the check did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// What the check said of a lone image.
    #[serde(skip)]
    pub checked: Option<Checked>,
}

/// A layer that was looked at.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// Its place in the manifest, from 1.
    pub number: u32,
    /// `overlay-lower`, `overlay-data` or `device`.
    pub role: &'static str,
    /// Digest of its blob.
    pub digest: String,
    /// `passed`, `verified` for bytes that no check looks into, `refused`, or `failed` where the
    /// system did not do what was asked of it.
    pub status: &'static str,
    /// What was seen and found in it.
    #[serde(flatten)]
    pub found: Option<FoundReport>,
    /// What was read of its blob, where that is only what the check looks at. Without it all of the
    /// layer was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<RandomReads>,
    /// Why it was not checked to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// The exit code that it asks for by itself.
    #[serde(skip)]
    pub exit_code: u8,
    /// What the check said; `None` for a device, and for what did not come so far.
    #[serde(skip)]
    pub checked: Option<Checked>,
}

impl LayerReport {
    /// What came of a layer: what its check said, or why it did not come so far.
    pub(super) fn new(layer: &Layer, checked: Option<Checked>, error: Option<&HostError>) -> Self {
        let exit_code = match (error, &checked) {
            (Some(error), _) => error.exit_code(),
            (None, Some(checked)) => u8::from(!checked.summary.passed()),
            (None, None) => 0,
        };
        Self {
            number: layer.number,
            role: layer.role.name(),
            digest: layer.digest.to_string(),
            status: match exit_code {
                0 if checked.is_some() => "passed",
                0 => "verified",
                1 => "refused",
                _ => "failed",
            },
            found: checked.as_ref().map(FoundReport::of),
            reads: None,
            error: error.map(ErrorReport::of),
            exit_code,
            checked,
        }
    }
}

impl Report {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(source: &Path, options: &Options) -> Self {
        Self {
            version: VERSION,
            command: "check",
            outcome: outcome_name(0),
            exit_code: 0,
            source: shown(source),
            level: options.checks.level.name(),
            policy: options.select.policy.name(),
            allowed: options.checks.allow.clone(),
            found: None,
            image: None,
            warnings: Vec::new(),
            layers: Vec::new(),
            error: None,
            checked: None,
        }
    }

    /// Notes what the check said of a lone image.
    pub(super) fn lone(&mut self, checked: Checked, policy: Policy) {
        self.warn_of(0, &checked, policy);
        self.found = Some(FoundReport::of(&checked));
        self.checked = Some(checked);
    }

    /// Notes what is to be said of the image of a layer, or of a lone one (0).
    pub(super) fn warn_of(&mut self, number: u32, checked: &Checked, policy: Policy) {
        let superblock = checked.superblock.as_ref();
        let warning = superblock.and_then(|it| Warning::of_image(number, it, policy));
        self.warnings
            .extend(warning.map(|warning| warning.to_string()));
    }

    /// Whether all that was looked at passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.found_code() == 0
    }

    /// The exit code of all that was looked at: a refusal outranks what the system failed at.
    fn found_code(&self) -> u8 {
        let lone = self.checked.as_ref();
        let lone = lone.map(|lone| u8::from(!lone.summary.passed()));
        let codes = self.layers.iter().map(|layer| layer.exit_code).chain(lone);
        codes.filter(|code| *code != 0).min().unwrap_or(0)
    }
}

impl Conclude for Report {
    fn conclude(&mut self, error: Option<&HostError>) {
        self.exit_code = error.map_or(self.found_code(), HostError::exit_code);
        self.outcome = outcome_name(self.exit_code);
        self.error = error.map(ErrorReport::of);
    }
}
