//! The layers of an image in a layout.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use erofs_unpack_core::oci::{Layer, LayerRole, Plan, Policy, Warning};
use erofs_unpack_core::{At, Code, Error, Value};

use serde::Deserialize;

use super::dest::{Dest, How, Output, Passed, bring, check_tags};
use super::lone::stated_type;
use super::report::{Report, status_of};
use super::{Task, Verity};
use crate::done::{Done, Failure};
use crate::error::{HostError, TargetFault};
use crate::image::Image;
use crate::image_file::FileAt;
use crate::mount::{Mount, file_name};
use crate::observer::{Part, Work};
use crate::opening::Opening;
use crate::pipeline::Progress;
use crate::publish::{Folder, Group, Target, Unpublished};
use crate::report::{ErrorReport, ImageReport, LayerReport, TreeReport, to_json};
use crate::source::ImageSource;
use crate::system::{FileExt as _, processors};

/// The document beside the layers.
const IMAGE_JSON: &str = "image.json";

/// The largest `image.json` that is read, in bytes: the most layers make 8 MiB or so.
const IMAGE_JSON_MAX: u64 = 32 << 20;

/// One layer on its way.
struct Errand<'a> {
    layer: &'a Layer,
    /// The layer behind it in the manifest, which may be its index.
    next: Option<&'a Layer>,
    progress: Arc<Progress>,
}

impl Task<'_> {
    /// Unpacks the layers of an image.
    pub(super) fn image(
        &self,
        source: &ImageSource,
        done: &mut Done<Report>,
    ) -> Result<(), HostError> {
        let options = self.options;
        if options.diff_id.is_some() && options.layer.is_none() {
            return Err(HostError::Usage(
                "--diff-id: an image has several layers: choose one with --layer".into(),
            ));
        }
        let mut image = Image::find(source, &options.select.image, &options.limits)?;
        if let (Some(number), Some(text)) = (options.layer, &options.media_type) {
            let (media_type, _) = stated_type(text)?;
            image.take_layer_for(number, media_type);
        }
        let plan = image.plan(source, options.select.policy, &options.limits)?;
        for warning in &plan.warnings {
            done.report.warn(warning.to_string());
        }
        let about = ImageReport::of(&image);
        done.report.image = Some(about.clone());
        let layers = self.chosen_layers(&plan)?;
        let jobs = self.jobs().min(layers.len().max(1));
        // At the full level a check has the processors that the layers leave.
        let how = How::of(
            options,
            options.layer.is_none(),
            processors().div_ceil(jobs),
        )?;
        let dest = Dest::of(self.destination, options.layer.is_none())?;
        // The folder of a whole image, which gets an image.json too.
        let folder = match &dest {
            Dest::Folder(folder) if options.layer.is_none() => Some(folder),
            _ => None,
        };
        if let Some(folder) = folder
            && !options.force
        {
            // It is found before the work is done.
            refuse_other_image(folder, &about)?;
        }
        let errands: Vec<Errand<'_>> = layers
            .iter()
            .map(|layer| Errand {
                layer,
                next: behind(layer, &plan.layers),
                progress: Arc::default(),
            })
            .collect();
        let part = |errand: &Errand<'_>| Part {
            name: format!("layer {}", errand.layer.number),
            size: Some(errand.layer.size),
            progress: Arc::clone(&errand.progress),
        };
        let parts = errands.iter().map(part).collect();
        self.observer.begin(Work::Layers(parts));
        let mut results = self.run_errands((&image, source), &dest, &how, &errands);
        check_with_devices(&how, &layers, options.select.policy, &mut results);
        self.observer.end();
        let Some(passed) = self.gather(&layers, results, done) else {
            return Ok(());
        };
        self.publish(&layers, passed, folder, &mut done.report)
            .inspect_err(|_| done.report.nothing_written())
    }

    /// Notes what came of each layer. The layers that passed, if all of them did.
    fn gather(
        &self,
        layers: &[Layer],
        results: Vec<Result<Passed, HostError>>,
        done: &mut Done<Report>,
    ) -> Option<Vec<Passed>> {
        let mut passed = Vec::new();
        for (layer, result) in layers.iter().zip(results) {
            let mut report = LayerReport::of(layer);
            let number = layer.number;
            if self.options.verity == Verity::None && layer.expectations().verity.is_some() {
                report.not_verified.push("dm-verity");
                let said =
                    format!("layer {number}: its dm-verity tree is not verified (--verity none)");
                done.report.warn(said);
            }
            match result {
                Ok(layer) => {
                    report.add(&layer.outcome);
                    for warning in &layer.warnings {
                        done.report.warn(warning.to_string());
                    }
                    report.add_chunks(&layer.place, layer.chunks, layer.passed_over);
                    let warning = layer.outcome.superblock.and_then(|superblock| {
                        Warning::of_image(number, &superblock, self.options.select.policy)
                    });
                    if let Some(warning) = warning {
                        done.report.warn(warning.to_string());
                    }
                    if let Some(checked) = &layer.checked {
                        report.check = self.options.check_report(checked);
                        done.report.found(checked);
                        self.observer.checked(checked);
                    }
                    report.status = layer.status;
                    report.file.clone_from(&layer.file);
                    report.dm_verity.clone_from(&layer.tree);
                    self.tell_tree(number, &mut report, &mut done.report);
                    passed.push(layer);
                }
                Err(error) => {
                    report.status = status_of(&error);
                    report.error = Some(ErrorReport::of(&error));
                    if let HostError::Check { checked, .. } = &error {
                        report.check = self.options.check_report(checked);
                        self.observer.checked(checked);
                    }
                    done.failures.push(Failure {
                        layer: Some(layer.number),
                        error,
                    });
                }
            }
            done.report.layers.push(report);
        }
        if passed.len() == layers.len() {
            return Some(passed);
        }
        done.report.nothing_written();
        None
    }

    /// Notes what is not as it might be thought of a layer's dm-verity tree.
    fn tell_tree(&self, number: u32, layer: &mut LayerReport, report: &mut Report) {
        if let Some(unannounced) = layer.dm_verity.as_ref().and_then(TreeReport::unannounced) {
            report.warn(format!("layer {number}: {unannounced}"));
        }
        let is_image = layer.role != Some(LayerRole::Device.name());
        match (&layer.dm_verity, self.options.verity) {
            (Some(tree), _) if tree.status == "appended" => report.warn(format!(
                "layer {number}: a dm-verity tree is appended: its file is longer than the image \
                 that the diffID names, which ends at byte {}",
                tree.hash_offset
            )),
            (None, Verity::Sidecar) if is_image => report.warn(format!(
                "layer {number}: no dm-verity tree is announced for it, so it has no sidecar \
                 (--verity append makes one)"
            )),
            (Some(tree), Verity::Sidecar | Verity::Append) if !tree.superblock => {
                report.warn(format!(
                    "layer {number}: its dm-verity tree has no superblock, so it has no sidecar"
                ));
            }
            _ => {}
        }
    }

    /// Gives the layers their names, all of them or none.
    fn publish(
        &self,
        layers: &[Layer],
        passed: Vec<Passed>,
        folder: Option<&Arc<Folder>>,
        report: &mut Report,
    ) -> Result<(), HostError> {
        let Some(folder) = folder else {
            return passed.into_iter().try_for_each(Passed::finish);
        };
        let mut group = Group::new();
        let mut mounted = Vec::new();
        for (layer, passed) in layers.iter().zip(passed) {
            mounted.push((layer, passed.file.unwrap_or_default()));
            if let Output::File(output) = passed.output {
                group.push(output);
            }
            if let Some(sidecar) = passed.sidecar {
                group.push(sidecar);
            }
        }
        report.mount = Some(Mount::new(&mounted));
        let keep = group.is_empty() && !self.options.force;
        let last = image_json(report, folder, keep)?;
        group.publish(last)
    }

    /// The layers that are meant: those that are images or devices, or the one of
    /// [`Options::layer`](super::Options::layer).
    fn chosen_layers(&self, plan: &Plan) -> Result<Vec<Layer>, HostError> {
        let Some(number) = self.options.layer else {
            let written = |layer: &&Layer| layer.role != LayerRole::ChunkIndex;
            return Ok(plan.layers.iter().filter(written).copied().collect());
        };
        let found = plan.layers.iter().find(|layer| layer.number == number);
        let Some(layer) = found else {
            let count = plan.layers.len();
            let layers = if count == 1 { "layer" } else { "layers" };
            return Err(HostError::Usage(format!(
                "--layer {number}: the image has {count} {layers}"
            )));
        };
        let mut layer = *layer;
        if let Some(wanted) = self.options.diff_id {
            if let Some(stated) = layer
                .diff_id
                .filter(|stated| stated.algorithm() == wanted.algorithm() && *stated != wanted)
            {
                let error = Error::new(Code::DiffId, At::Layer(number))
                    .found(Value::Digest(stated))
                    .expected(Value::Digest(wanted));
                return Err(HostError::refused(self.path, error));
            }
            layer.diff_id = Some(wanted);
        }
        Ok(vec![layer])
    }

    /// How many layers are unpacked at the same time.
    fn jobs(&self) -> usize {
        self.options
            .jobs
            .unwrap_or_else(|| processors().div_ceil(2))
    }

    /// Unpacks the layers, several at a time, and gives their results in order.
    fn run_errands(
        &self,
        from: (&Image, &ImageSource),
        dest: &Dest,
        how: &How,
        errands: &[Errand<'_>],
    ) -> Vec<Result<Passed, HostError>> {
        let jobs = self.jobs().min(errands.len());
        let queue: Mutex<VecDeque<usize>> = Mutex::new((0..errands.len()).collect());
        let results: Mutex<Vec<Option<Result<Passed, HostError>>>> =
            Mutex::new(errands.iter().map(|_| None).collect());
        let work = || {
            loop {
                let next = queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some(place) = next else {
                    return;
                };
                let errand = &errands[place];
                let result = errand.run(from, dest, how);
                errand.progress.end();
                if result.is_err() && !self.options.keep_going {
                    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    errands.iter().for_each(|errand| errand.progress.cancel());
                }
                results.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(result);
            }
        };
        thread::scope(|scope| {
            for _ in 1..jobs {
                // With fewer threads than asked for it only takes longer.
                if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results
            .into_iter()
            .map(|result| result.unwrap_or(Err(HostError::Cancelled)))
            .collect()
    }
}

impl Errand<'_> {
    /// Unpacks one layer of an image, unless it is there already.
    fn run(
        &self,
        (image, source): (&Image, &ImageSource),
        dest: &Dest,
        how: &How,
    ) -> Result<Passed, HostError> {
        let layer = self.layer;
        let name = file_name(layer);
        bring(
            dest,
            OsStr::new(&name),
            how,
            &layer.expectations(),
            &self.progress,
            || {
                Opening::of_layer(layer, self.next, &how.limits, |layer| {
                    image.open_layer(source, layer)
                })
            },
        )
    }
}

/// The layer that follows in the manifest.
pub(crate) fn behind<'a>(layer: &Layer, layers: &'a [Layer]) -> Option<&'a Layer> {
    let next = layer.number.checked_add(1)?;
    layers.iter().find(|other| other.number == next)
}

/// Checks the images that have devices, now that those are there.
///
/// Where a device did not come through there is nothing to check: nothing is written then.
fn check_with_devices(
    how: &How,
    layers: &[Layer],
    policy: Policy,
    results: &mut [Result<Passed, HostError>],
) {
    for (place, layer) in layers.iter().enumerate() {
        let expected = layer.expectations();
        let devices = devices_of(layer, layers, results);
        let (Ok(passed), true) = (&results[place], how.waits(&expected)) else {
            continue;
        };
        let checked = match devices {
            Some(devices) => how.check_image(passed, &expected, devices),
            // Without a check nobody has kept them.
            None if how.check.is_none() => Ok(None),
            None => continue,
        };
        match (checked, &mut results[place]) {
            (Ok(checked), Ok(passed)) => {
                passed.checked = checked;
                if let Err(error) = check_tags(passed, how, layer, layers, policy) {
                    results[place] = Err(error);
                }
            }
            (Err(error), result) => *result = Err(error),
            (Ok(_), Err(_)) => {}
        }
    }
}

/// The contents of the devices that belong to a layer, in their order; `None` when one of them
/// is not there.
pub(crate) fn devices_of(
    layer: &Layer,
    layers: &[Layer],
    results: &[Result<Passed, HostError>],
) -> Option<Vec<(FileAt, u64)>> {
    layers
        .iter()
        .zip(results)
        .filter(|(other, _)| {
            other.role == LayerRole::Device && other.consumer == Some(layer.number)
        })
        .map(|(_, result)| result.as_ref().ok()?.content.clone())
        .collect()
}

/// The part of an `image.json` that says what it is about.
#[derive(Deserialize)]
struct Described {
    #[serde(rename = "version")]
    _version: u32,
    image: DescribedImage,
}

/// The image in a [`Described`].
#[derive(Deserialize)]
struct DescribedImage {
    manifest: String,
}

/// Refuses a folder whose `image.json` is not about this image: it would be lost.
fn refuse_other_image(folder: &Folder, image: &ImageReport) -> Result<(), HostError> {
    let Some(text) = existing_json(folder)? else {
        return Ok(());
    };
    let found: Option<Described> = serde_json::from_slice(&text).ok();
    if found.is_some_and(|found| found.image.manifest == image.manifest) {
        return Ok(());
    }
    let path = folder.path_of(OsStr::new(IMAGE_JSON));
    Err(HostError::target(path, TargetFault::OtherImage))
}

/// The `image.json` that is there already.
fn existing_json(folder: &Folder) -> Result<Option<Vec<u8>>, HostError> {
    let name = OsStr::new(IMAGE_JSON);
    let Some(file) = folder.existing(name)? else {
        return Ok(None);
    };
    let mut text = Vec::new();
    file.take(IMAGE_JSON_MAX)
        .read_to_end(&mut text)
        .map_err(|error| HostError::environment(folder.path_of(name), "read", error))?;
    Ok(Some(text))
}

/// `image.json`, to be published last. `None` when it is to be kept and is there already, as it
/// would be.
fn image_json(
    report: &Report,
    folder: &Arc<Folder>,
    keep: bool,
) -> Result<Option<Unpublished>, HostError> {
    let name = OsStr::new(IMAGE_JSON);
    let text = to_json(&report.image_json());
    if keep && existing_json(folder)?.is_some_and(|found| found == text.as_bytes()) {
        return Ok(None);
    }
    // What it replaces is about the same image, or --force was given.
    let file = Unpublished::create(Target::inside(folder, name, true)?)?;
    file.file()
        .write_all_at(text.as_bytes(), 0)
        .map_err(|error| HostError::environment(folder.path_of(name), "write", error))?;
    Ok(Some(file))
}
