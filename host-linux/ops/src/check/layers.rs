//! The check of the layers of an image in a layout, one after the other.

use std::ffi::OsStr;

use erofs_unpack_core::check::{Level, Options};
use erofs_unpack_core::oci::{Layer, LayerRole, Policy};

use super::report::{LayerReport, Report};
use super::{Checked, Task};
use crate::chunked::RandomReads;
use crate::error::HostError;
use crate::image::Image;
use crate::image_check::check_image;
use crate::image_file::ImageFile;
use crate::opening::{Opening, Way};
use crate::pipeline::Progress;
use crate::report::{ImageReport, TreeReport};
use crate::source::ImageSource;
use crate::unpack::{Dest, How, Passed, Verity, behind, bring, check_tags, devices_of};

impl Task<'_> {
    /// Verifies and checks every layer, also after one that is refused or cannot be read.
    pub(super) fn layers(
        &self,
        source: &ImageSource,
        rules: &Options,
        report: &mut Report,
    ) -> Result<(), HostError> {
        let options = self.options;
        let unfit = [
            ("--device", !options.devices.is_empty()),
            ("--diff-id", options.diff_id.is_some()),
            ("--known-devices", options.known_devices != 0),
        ];
        if options.offset.is_some() {
            return Err(HostError::Usage(
                "--offset: an image layout is not one file".into(),
            ));
        }
        if let Some((flag, _)) = unfit.iter().find(|(_, given)| *given) {
            return Err(HostError::Usage(format!(
                "{flag}: the manifest of an image layout states that of each layer"
            )));
        }
        let image = Image::find(source, &options.select.image, &options.limits)?;
        let plan = image.plan(source, options.select.policy, &options.limits)?;
        report.image = Some(ImageReport::of(&image));
        let warnings = plan.warnings.iter().map(ToString::to_string);
        report.warnings.extend(warnings);
        let how = How {
            force: false,
            limits: options.limits,
            sandbox: options.sandbox.clone(),
            check: Some(*rules),
            jobs: self.jobs(),
            verity: Verity::Verify,
            unannounced: options.unannounced_verity,
            threads: self.jobs(),
            by_chunks: false,
            whole: true,
        };
        // Chunk indexes are no images, and nothing of an image needs them.
        let is_read = |layer: &&Layer| layer.role != LayerRole::ChunkIndex;
        let layers: Vec<Layer> = plan.layers.iter().filter(is_read).copied().collect();
        let mut results = Vec::new();
        for layer in &layers {
            let policy = options.select.policy;
            let next = behind(layer, &plan.layers);
            let open = |layer: &Layer| image.open_layer(source, layer);
            let mut opening = Opening::of_layer(layer, next, &how.limits, open);
            let some = match &mut opening {
                Ok(opening) => at_random(layer, opening, rules, &how),
                Err(_) => Ok(None),
            };
            let some = match some {
                Ok(Some((checked, reads))) => {
                    self.observer.checked(&checked);
                    report.warn_of(layer.number, &checked, policy);
                    let mut layer = LayerReport::new(layer, Some(checked), None);
                    layer.reads = Some(reads);
                    report.layers.push(layer);
                    // Nothing that comes behind it reads in it: it is no device.
                    results.push(Err(HostError::Cancelled));
                    continue;
                }
                other => other.map(drop),
            };
            let result = some
                .and(opening)
                .and_then(|opening| one(&how, &layers, layer, opening, policy, &results));
            let warnings = result.iter().flat_map(|passed| &passed.warnings);
            report.warnings.extend(warnings.map(ToString::to_string));
            let (checked, error) = match &result {
                Ok(passed) => (passed.checked.clone(), None),
                Err(HostError::Check { checked, .. }) => (Some(Checked::clone(checked)), None),
                Err(error) => (None, Some(error)),
            };
            let tree = result.as_ref().ok().and_then(|passed| passed.tree.as_ref());
            if let Some(unannounced) = tree.and_then(TreeReport::unannounced) {
                let number = layer.number;
                report
                    .warnings
                    .push(format!("layer {number}: {unannounced}"));
            }
            if let Some(checked) = &checked {
                self.observer.checked(checked);
                report.warn_of(layer.number, checked, options.select.policy);
            }
            report.layers.push(LayerReport::new(layer, checked, error));
            // What the layers behind it ask is only whether it is there.
            results.push(result.map_err(|_| HostError::Cancelled));
        }
        Ok(())
    }
}

/// Checks the image of a layer by the chunks that hold its metadata, where its index allows that and
/// the check does not look at everything. What is not read is not verified; all that is, is.
fn at_random(
    layer: &Layer,
    opening: &mut Opening,
    rules: &Options,
    how: &How,
) -> Result<Option<(Checked, RandomReads)>, HostError> {
    let is_image = matches!(layer.role, LayerRole::Lower | LayerRole::Data);
    if !is_image || layer.devices > 0 || rules.level == Level::Full {
        return Ok(None);
    }
    let Way::AtRandom(content) = opening.way(layer, &how.limits, false)? else {
        return Ok(None);
    };
    let mut rules = *rules;
    // Only the gate over the whole image knows how long a tree may be that follows it.
    rules.trailing &= layer.erofs.dmverity_hash_offset.is_none() && !how.unannounced;
    let image = ImageFile::of_layer(opening.blob().place(), content, Vec::new(), &how.limits);
    image.verify_checksum()?;
    let checked = check_image(&image, &rules, 1, &how.sandbox)?;
    Ok(image.reads().map(|reads| (checked, reads)))
}

/// Verifies and checks one layer; its devices come before it.
fn one(
    how: &How,
    layers: &[Layer],
    layer: &Layer,
    opening: Opening,
    policy: Policy,
    before: &[Result<Passed, HostError>],
) -> Result<Passed, HostError> {
    let expected = layer.expectations();
    let progress = Progress::default();
    let open = || Ok(opening);
    let name = OsStr::new("");
    let mut passed = bring(&Dest::Nowhere, name, how, &expected, &progress, open)?;
    if how.waits(&expected) {
        // Without one of them it is checked as far as it goes: what is wrong is said already.
        let devices = devices_of(layer, layers, before).unwrap_or_default();
        passed.checked = how.check_image(&passed, &expected, devices)?;
        check_tags(&mut passed, how, layer, layers, policy)?;
        passed.content = None;
    }
    Ok(passed)
}
