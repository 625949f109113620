//! The layers of an image in a layout, one after the other.

use std::ffi::OsStr;

use erofs_unpack_core::check::Options;
use erofs_unpack_core::oci::{Layer, LayerRole};
use serde::Serialize;

use super::{Found, jobs};
use crate::cli::Check;
use crate::command::selection;
use crate::command::unpack::{Dest, How, Passed, bring, devices_of};
use crate::error::HostError;
use crate::examine::Examined;
use crate::image::Image;
use crate::isolation::Isolation;
use crate::pipeline::Progress;
use crate::report::{ErrorReport, FoundReport, ImageReport};
use crate::source::ImageSource;

/// A layer that was looked at.
pub(super) struct LayerFound {
    pub(super) layer: Layer,
    /// What the check said; `None` for a device, and for what did not come so far.
    pub(super) examined: Option<Examined>,
    /// Why it did not come so far.
    pub(super) error: Option<HostError>,
}

impl LayerFound {
    /// The exit code that it asks for by itself.
    pub(super) fn exit_code(&self) -> u8 {
        match (&self.error, &self.examined) {
            (Some(error), _) => error.exit_code(),
            (None, Some(examined)) => u8::from(!examined.summary.passed()),
            (None, None) => 0,
        }
    }

    /// `passed`, `verified` for bytes that no check looks into, `refused`, or `failed` where
    /// the system did not do what was asked of it.
    pub(super) fn status(&self) -> &'static str {
        match self.exit_code() {
            0 if self.examined.is_some() => "passed",
            0 => "verified",
            1 => "refused",
            _ => "failed",
        }
    }
}

/// A layer, for `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    number: u32,
    role: &'static str,
    digest: String,
    /// As [`LayerFound::status`].
    status: &'static str,
    #[serde(flatten)]
    found: Option<FoundReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

impl Report {
    pub(super) fn of(found: &LayerFound) -> Self {
        Self {
            number: found.layer.number,
            role: found.layer.role.name(),
            digest: found.layer.digest.to_string(),
            status: found.status(),
            found: found.examined.as_ref().map(FoundReport::of),
            error: found.error.as_ref().map(ErrorReport::of),
        }
    }
}

/// Verifies and checks every layer, also after one that is refused or cannot be read.
///
/// # Errors
///
/// What refuses the documents, and what the system fails at in reading them.
pub(super) fn check(
    args: &Check,
    source: &ImageSource,
    options: &Options,
    isolation: &Isolation,
    found: &mut Found,
) -> Result<(), HostError> {
    let unfit = [
        ("--device", !args.devices.is_empty()),
        ("--diff-id", args.diff_id.is_some()),
        ("--known-devices", args.known_devices != 0),
    ];
    if let Some((flag, _)) = unfit.iter().find(|(_, given)| *given) {
        return Err(HostError::Usage(format!(
            "{flag}: the manifest of an image layout states that of each layer"
        )));
    }
    let limits = args.limits.limits();
    let image = Image::find(source, &selection(&args.select)?, &limits)?;
    let plan = image.plan(source, args.select.policy.into(), &limits)?;
    found.image = Some(ImageReport::of(&image));
    let how = How {
        force: false,
        limits,
        isolation: isolation.clone(),
        check: Some(*options),
        jobs: jobs(args),
        whole: true,
    };
    // Chunk indexes are no images, and nothing of an image needs them.
    let is_read = |layer: &&Layer| layer.role != LayerRole::ChunkIndex;
    let layers: Vec<Layer> = plan.layers.iter().filter(is_read).copied().collect();
    let mut results = Vec::new();
    for layer in &layers {
        let result = one(source, &how, &layers, layer, &results);
        let examined = match &result {
            Ok(passed) => passed.examined.clone(),
            Err(HostError::Check { examined, .. }) => Some(Examined::clone(examined)),
            Err(_) => None,
        };
        let mut layer = LayerFound {
            layer: *layer,
            examined,
            error: None,
        };
        // What the layers behind it ask is only whether it is there.
        results.push(match result {
            Ok(passed) => Ok(passed),
            Err(HostError::Check { .. }) => Err(HostError::Cancelled),
            Err(error) => {
                layer.error = Some(error);
                Err(HostError::Cancelled)
            }
        });
        found.layers.push(layer);
    }
    Ok(())
}

/// Verifies and checks one layer; its devices come before it.
fn one(
    source: &ImageSource,
    how: &How,
    layers: &[Layer],
    layer: &Layer,
    before: &[Result<Passed, HostError>],
) -> Result<Passed, HostError> {
    let expected = layer.expectations();
    let progress = Progress::default();
    let open = || source.open_blob(&layer.digest);
    let mut passed = bring(
        &Dest::Nowhere,
        OsStr::new(""),
        how,
        &expected,
        &progress,
        open,
    )?;
    if how.waits(&expected) {
        // Without one of them it is checked as far as it goes: what is wrong is said already.
        let devices = devices_of(layer, layers, before).unwrap_or_default();
        passed.examined = how.examine(&passed, &expected, devices)?;
        passed.content = None;
    }
    Ok(passed)
}
