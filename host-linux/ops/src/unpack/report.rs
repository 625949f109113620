//! What `unpack` reports.

use std::path::Path;

use serde::Serialize;

use crate::checked::Checked;
use crate::done::Conclude;
use crate::error::HostError;
use crate::mount::Mount;
use crate::report::{ErrorReport, ImageReport, LayerReport, VERSION, outcome_name, shown};

/// What came of unpacking: what `--json` prints, and what `image.json` keeps.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// `unpack`.
    pub command: &'static str,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so.
    pub exit_code: u8,
    /// The source as it was given, escaped.
    pub source: String,
    /// The image, for a layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReport>,
    /// The layers, in the order of the manifest.
    pub layers: Vec<LayerReport>,
    /// How they are mounted together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<Mount>,
    /// What is not as it should be.
    pub warnings: Vec<String>,
    /// The error that the exit code stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

impl Report {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(source: &Path) -> Self {
        Self {
            version: VERSION,
            command: "unpack",
            outcome: outcome_name(0),
            exit_code: 0,
            source: shown(source),
            image: None,
            layers: Vec::new(),
            mount: None,
            warnings: Vec::new(),
            error: None,
        }
    }

    /// Notes something that is not as it should be.
    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Notes what a check has found that is no error.
    pub(super) fn found(&mut self, checked: &Checked) {
        for breach in &checked.breaches {
            let place = breach.first.place_in(&checked.place);
            let error = HostError::refused(place, breach.first.error);
            let more = match breach.count {
                0 | 1 => String::new(),
                count => format!(" ({count} times)"),
            };
            self.warn(format!("{error}{more}"));
        }
    }

    /// Corrects what is said of layers that passed but are not published after all.
    pub(super) fn nothing_written(&mut self) {
        for layer in &mut self.layers {
            if layer.status == "unpacked" {
                layer.status = "verified";
                layer.file = None;
            }
        }
    }

    /// The report as `image.json` keeps it: of what lies in the folder, whether it was there
    /// before or not.
    pub(super) fn image_json(&self) -> Self {
        let mut report = self.clone();
        for layer in &mut report.layers {
            layer.status = "unpacked";
            // How it came there is no matter of what lies there.
            layer.chunks = None;
            layer.index_passed_over = None;
            if let Some(check) = &mut layer.check {
                check.found.findings.clear();
            }
        }
        report
    }
}

impl Conclude for Report {
    fn conclude(&mut self, error: Option<&HostError>) {
        self.exit_code = error.map_or(0, HostError::exit_code);
        self.outcome = outcome_name(self.exit_code);
        self.error = error.map(ErrorReport::of);
    }
}

/// The name of the status of a layer with this error.
pub(super) fn status_of(error: &HostError) -> &'static str {
    match error {
        HostError::Cancelled => "stopped",
        error if error.exit_code() == 1 => "refused",
        _ => "failed",
    }
}
