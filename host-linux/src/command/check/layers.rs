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
    pub(super) fn passed(&self) -> bool {
        let examined = self.examined.as_ref();
        self.error.is_none() && examined.is_none_or(|examined| examined.summary.passed())
    }
}

/// A layer, for `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    number: u32,
    role: &'static str,
    digest: String,
    /// `passed`, `refused`, or `verified` for bytes that no check looks into.
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
            status: match &found.examined {
                _ if !found.passed() => "refused",
                Some(_) => "passed",
                None => "verified",
            },
            found: found.examined.as_ref().map(FoundReport::of),
            error: found.error.as_ref().map(ErrorReport::of),
        }
    }
}

/// Verifies and checks every layer, also after one that is refused.
///
/// # Errors
///
/// What refuses the documents; what the system fails at.
pub(super) fn check(
    args: &Check,
    source: &ImageSource,
    options: &Options,
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
        let (examined, error) = match &result {
            Ok(passed) => (passed.examined.clone(), None),
            Err(HostError::Check { examined, .. }) => (Some(Examined::clone(examined)), None),
            Err(error) if error.exit_code() != 1 => {
                return result.map(|_| ());
            }
            Err(_) => (None, None),
        };
        let mut layer = LayerFound {
            layer: *layer,
            examined,
            error,
        };
        match result {
            Err(error @ HostError::Check { .. }) => results.push(Err(error)),
            Err(error) => {
                layer.error = Some(error);
                results.push(Err(HostError::Cancelled));
            }
            Ok(passed) => results.push(Ok(passed)),
        }
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
