//! The layers of an image in a layout.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use erofs_unpack_core::oci::{Layer, LayerRole, Plan};
use erofs_unpack_core::unpack::Outcome;
use erofs_unpack_core::{At, Code, Error, Value};

use serde::Deserialize;

use super::dest::{Dest, How, Output, Passed, bring};
use super::tell::{Done, say_layer, status_of};
use crate::cli::Unpack;
use crate::command::{json, selection};
use crate::error::{HostError, TargetFault};
use crate::image::Image;
use crate::image_file::FileAt;
use crate::isolation::Isolation;
use crate::mount::{Mount, file_name};
use crate::os::FileExt as _;
use crate::pipeline::Progress;
use crate::processors::processors;
use crate::progress::Bars;
use crate::publish::{Folder, Group, Target, Unpublished};
use crate::report::{CheckReport, ErrorReport, ImageReport, LayerReport};
use crate::source::ImageSource;

/// The document beside the layers.
const IMAGE_JSON: &str = "image.json";

/// The largest `image.json` that is read, in bytes: the most layers make 8 MiB or so.
const IMAGE_JSON_MAX: u64 = 32 << 20;

/// One layer on its way.
struct Task<'a> {
    layer: &'a Layer,
    progress: Arc<Progress>,
}

pub(super) fn unpack(
    args: &Unpack,
    source: &ImageSource,
    isolation: Isolation,
    done: &mut Done,
) -> Result<(), HostError> {
    if args.diff_id.is_some() && args.layer.is_none() {
        return Err(HostError::Usage(
            "--diff-id: an image has several layers: choose one with --layer".into(),
        ));
    }
    let limits = args.limits.limits();
    let image = Image::find(source, &selection(&args.select)?, &limits)?;
    let plan = image.plan(source, args.select.policy.into(), &limits)?;
    for warning in &plan.warnings {
        done.warn(warning.to_string());
    }
    let about = ImageReport::of(&image);
    done.image = Some(about.clone());
    let layers = chosen_layers(args, &plan)?;
    let jobs = jobs(args).min(layers.len().max(1));
    // At the full level a check has the processors that the layers leave.
    let how = How::of(
        args,
        args.layer.is_none(),
        processors().div_ceil(jobs),
        isolation,
    )?;
    let dest = Dest::of(args, args.layer.is_none())?;
    // The folder of a whole image, which gets an image.json too.
    let folder = match &dest {
        Dest::Folder(folder) if args.layer.is_none() => Some(folder),
        _ => None,
    };
    if let Some(folder) = folder
        && !args.force
    {
        // It is found before the work is done.
        refuse_other_image(folder, &about)?;
    }
    let tasks: Vec<Task<'_>> = layers
        .iter()
        .map(|layer| Task {
            layer,
            progress: Arc::default(),
        })
        .collect();
    let bars = tasks
        .iter()
        .map(|task| {
            let name = format!("layer {}", task.layer.number);
            (name, Some(task.layer.size), Arc::clone(&task.progress))
        })
        .collect();
    let bars = Bars::new(bars, args.talk.quiet);
    let mut results = run_tasks(args, source, &dest, &how, &tasks);
    examine_with_devices(&how, &layers, &mut results);
    drop(bars);
    let Some(passed) = gather(args, &layers, results, done) else {
        return Ok(());
    };
    let outcomes = match publish(args, &layers, passed, folder, done) {
        Ok(outcomes) => outcomes,
        Err(error) => {
            nothing_written(&mut done.layers);
            return Err(error);
        }
    };
    for (report, outcome) in done.layers.iter().zip(&outcomes) {
        say_layer(args, report, outcome)?;
    }
    Ok(())
}

/// Notes what came of each layer. The layers that passed, if all of them did.
fn gather(
    args: &Unpack,
    layers: &[Layer],
    results: Vec<Result<Passed, HostError>>,
    done: &mut Done,
) -> Option<Vec<Passed>> {
    let mut passed = Vec::new();
    for (layer, result) in layers.iter().zip(results) {
        let mut report = LayerReport::of(layer);
        match result {
            Ok(layer) => {
                report.add(&layer.outcome);
                if let Some(examined) = &layer.examined {
                    report.check = Some(CheckReport::of(args, examined));
                    done.found(examined);
                }
                report.status = layer.status;
                report.file.clone_from(&layer.file);
                passed.push(layer);
            }
            Err(error) => {
                report.status = status_of(&error);
                report.error = Some(ErrorReport::of(&error));
                if let HostError::Check { examined, .. } = &error {
                    report.check = Some(CheckReport::of(args, examined));
                }
                done.fail(Some(layer.number), error);
            }
        }
        done.layers.push(report);
    }
    if passed.len() == layers.len() {
        return Some(passed);
    }
    nothing_written(&mut done.layers);
    None
}

/// Corrects the reports of layers that passed but are not published after all.
fn nothing_written(layers: &mut [LayerReport]) {
    for layer in layers {
        if layer.status == "unpacked" {
            layer.status = "verified";
            layer.file = None;
        }
    }
}

/// Gives the layers their names, all of them or none.
fn publish(
    args: &Unpack,
    layers: &[Layer],
    passed: Vec<Passed>,
    folder: Option<&Arc<Folder>>,
    done: &mut Done,
) -> Result<Vec<Outcome>, HostError> {
    let outcomes = passed.iter().map(|passed| passed.outcome).collect();
    let Some(folder) = folder else {
        for passed in passed {
            passed.output.finish()?;
        }
        return Ok(outcomes);
    };
    let mut group = Group::new();
    let mut mounted = Vec::new();
    for (layer, passed) in layers.iter().zip(passed) {
        mounted.push((layer, passed.file.unwrap_or_default()));
        if let Output::File(output) = passed.output {
            group.push(output);
        }
    }
    done.mount = Some(Mount::new(&mounted));
    let last = image_json(args, done, folder, group.is_empty())?;
    group.publish(last)?;
    Ok(outcomes)
}

/// The layers that are meant: those that are images or devices, or the one of `--layer`.
fn chosen_layers(args: &Unpack, plan: &Plan) -> Result<Vec<Layer>, HostError> {
    let Some(number) = args.layer else {
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
    if let Some(wanted) = args.diff_id {
        if let Some(stated) = layer
            .diff_id
            .filter(|stated| stated.algorithm() == wanted.algorithm() && *stated != wanted)
        {
            let error = Error::new(Code::DiffId, At::Layer(number))
                .found(Value::Digest(stated))
                .expected(Value::Digest(wanted));
            return Err(HostError::refused(args.source.clone(), error));
        }
        layer.diff_id = Some(wanted);
    }
    Ok(vec![layer])
}

/// How many layers are unpacked at the same time.
fn jobs(args: &Unpack) -> usize {
    args.jobs
        .map_or_else(|| processors().div_ceil(2), usize::from)
}

/// Checks the images that have devices, now that those are there.
///
/// Where a device did not come through there is nothing to check: nothing is written then.
fn examine_with_devices(how: &How, layers: &[Layer], results: &mut [Result<Passed, HostError>]) {
    for (place, layer) in layers.iter().enumerate() {
        let expected = layer.expectations();
        let devices = devices_of(layer, layers, results);
        let (Ok(passed), true) = (&results[place], how.waits(&expected)) else {
            continue;
        };
        let examined = match devices {
            Some(devices) => how.examine(passed, &expected, devices),
            None => continue,
        };
        match (examined, &mut results[place]) {
            (Ok(examined), Ok(passed)) => passed.examined = examined,
            (Err(error), result) => *result = Err(error),
            (Ok(_), Err(_)) => {}
        }
    }
}

/// The contents of the devices that belong to a layer, in their order; `None` when one of them
/// is not there.
pub(in crate::command) fn devices_of(
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

/// Unpacks the layers, several at a time, and gives their results in order.
fn run_tasks(
    args: &Unpack,
    source: &ImageSource,
    dest: &Dest,
    how: &How,
    tasks: &[Task<'_>],
) -> Vec<Result<Passed, HostError>> {
    let jobs = jobs(args).min(tasks.len());
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..tasks.len()).collect());
    let results: Mutex<Vec<Option<Result<Passed, HostError>>>> =
        Mutex::new(tasks.iter().map(|_| None).collect());
    let work = || {
        loop {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(place) = next else {
                return;
            };
            let task = &tasks[place];
            let result = run_task(source, dest, how, task);
            task.progress.end();
            if result.is_err() && !args.keep_going {
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                tasks.iter().for_each(|task| task.progress.cancel());
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

/// Unpacks one layer of an image, unless it is there already.
fn run_task(
    source: &ImageSource,
    dest: &Dest,
    how: &How,
    task: &Task<'_>,
) -> Result<Passed, HostError> {
    let layer = task.layer;
    let name = file_name(layer);
    bring(
        dest,
        OsStr::new(&name),
        how,
        &layer.expectations(),
        &task.progress,
        || source.open_blob(&layer.digest),
    )
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

/// `image.json`, to be published last. `None` when it is there already, as it would be.
fn image_json(
    args: &Unpack,
    done: &Done,
    folder: &Arc<Folder>,
    kept_all: bool,
) -> Result<Option<Unpublished>, HostError> {
    let name = OsStr::new(IMAGE_JSON);
    let mut text = json(&done.image_json(args));
    text.push('\n');
    if kept_all
        && !args.force
        && existing_json(folder)?.is_some_and(|found| found == text.as_bytes())
    {
        return Ok(None);
    }
    // What it replaces is about the same image, or --force was given.
    let file = Unpublished::create(Target::inside(folder, name, true)?)?;
    file.file()
        .write_all_at(text.as_bytes(), 0)
        .map_err(|error| HostError::environment(folder.path_of(name), "write", error))?;
    Ok(Some(file))
}
