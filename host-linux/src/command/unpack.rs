//! `erofs-unpack unpack`: the layers of an image, or one layer.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{DiffIdSource, Digest, Layer, LayerRole, MediaKind, MediaType};
use erofs_unpack_core::unpack::{Expectations, Outcome, SNIFF_SIZE, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use super::{json, selection, source_options, write_json};
use crate::cli::Unpack;
use crate::error::HostError;
use crate::escape::Escaped;
use crate::image::Image;
use crate::layer::{self, FromStart};
use crate::mount::{Mount, file_name};
use crate::pipeline::Progress;
use crate::progress::Bars;
use crate::publish::{Folder, Group, Target, Unpublished, sweep};
use crate::report::{ErrorReport, ImageReport, LayerReport, Report, VERSION, shown};
use crate::source::{BlobReader, ImageSource, Source};

/// Runs the command and gives its exit code. Everything is said: errors on stderr, the report
/// where it was asked for.
#[must_use]
pub fn run(args: &Unpack) -> u8 {
    let mut done = Done::default();
    let result = match usage(args) {
        Ok(()) => unpack(args, &mut done),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        done.fail(error);
    }
    done.tell(args)
}

/// What came of it all.
#[derive(Default)]
struct Done {
    image: Option<ImageReport>,
    layers: Vec<LayerReport>,
    mount: Option<Mount>,
    warnings: Vec<String>,
    errors: Vec<HostError>,
}

impl Done {
    fn fail(&mut self, error: HostError) {
        self.errors.push(error);
    }

    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// The error that counts: a refusal outranks a failure of the environment, what was
    /// stopped for an error elsewhere comes last.
    fn error(&self) -> Option<&HostError> {
        self.errors.iter().min_by_key(|error| match error {
            HostError::Usage(_) => 0,
            HostError::Cancelled => 3,
            error => match error.exit_code() {
                1 => 1,
                _ => 2,
            },
        })
    }

    /// Says everything and gives the exit code.
    fn tell(&self, args: &Unpack) -> u8 {
        let error = self.error();
        let mut code = error.map_or(0, HostError::exit_code);
        if !args.talk.quiet {
            for warning in &self.warnings {
                eprintln!("erofs-unpack: warning: {warning}");
            }
        }
        for error in &self.errors {
            if args.keep_going || Some(error.to_string()) == self.error().map(ToString::to_string) {
                eprintln!("erofs-unpack: {error}");
                if !args.keep_going {
                    break;
                }
            }
        }
        if args.keep_going && !self.errors.is_empty() && !self.layers.is_empty() {
            let bad = self.layers.iter().filter(|layer| layer.error.is_some());
            eprintln!(
                "erofs-unpack: {} of {} layers did not pass; nothing was written",
                bad.count(),
                self.layers.len()
            );
        }
        if let Some(path) = &args.json {
            let report = Report {
                version: VERSION,
                command: "unpack",
                outcome: outcome_name(code),
                exit_code: code,
                source: shown(&args.source),
                image: self.image.clone(),
                layers: self.layers.clone(),
                mount: self.mount.clone(),
                warnings: self.warnings.clone(),
                error: error.map(ErrorReport::of),
            };
            if let Err(error) = write_json(&report, path) {
                eprintln!("erofs-unpack: {error}");
                code = if code == 0 { error.exit_code() } else { code };
            }
        }
        code
    }
}

/// The name of an exit code in the report.
const fn outcome_name(code: u8) -> &'static str {
    match code {
        0 => "done",
        1 => "refused",
        _ => "failed",
    }
}

/// What clap cannot say of the arguments.
fn usage(args: &Unpack) -> Result<(), HostError> {
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && args.json.as_deref() == Some(Path::new("-")) {
        return Err(HostError::Usage(
            "-o - and --json both write to stdout: give --json=FILE".into(),
        ));
    }
    Ok(())
}

fn unpack(args: &Unpack, done: &mut Done) -> Result<(), HostError> {
    let lone = args.media_type.is_some();
    let source = Source::open(&args.source, &source_options(&args.select, lone))?;
    match source {
        Source::Blob(blob) => unpack_lone(args, blob, done),
        Source::Image(source) => unpack_image(args, &source, done),
    }
}

/// Where an output goes.
enum Dest {
    /// Nowhere: `--verify-only`.
    Nowhere,
    /// To stdout, once it is verified.
    Stdout,
    /// Into a folder.
    Folder(Arc<Folder>),
    /// To a file.
    File(PathBuf),
}

impl Dest {
    /// What `-o` means for one layer, or for an image.
    fn of(args: &Unpack, image: bool) -> Result<Self, HostError> {
        let Some(path) = &args.output else {
            return Ok(Self::Nowhere);
        };
        if path == Path::new("-") {
            if image {
                return Err(HostError::Usage(
                    "-o -: an image has several layers: choose one with --layer".into(),
                ));
            }
            return Ok(Self::Stdout);
        }
        if image || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            let folder = Folder::open_or_plan(path)?;
            sweep(&folder)?;
            return Ok(Self::Folder(folder));
        }
        Ok(Self::File(path.clone()))
    }

    /// The file that a layer is unpacked into, not yet with its name.
    fn create(
        &self,
        name: impl AsRef<OsStr>,
        force: bool,
    ) -> Result<Option<Unpublished>, HostError> {
        let target = match self {
            Self::Nowhere => return Ok(None),
            // It needs a place that is not memory, and no name.
            Self::Stdout => Target::new(&std::env::temp_dir().join("erofs-unpack"), true)?,
            Self::Folder(folder) => Target::inside(folder, name.as_ref(), force)?,
            Self::File(path) => Target::new(path, force)?,
        };
        Unpublished::create(target).map(Some)
    }
}

// --- One layer --------------------------------------------------------------------------------

fn unpack_lone(args: &Unpack, mut blob: BlobReader, done: &mut Done) -> Result<(), HostError> {
    for (flag, given) in [
        ("--ref", args.select.reference.is_some()),
        ("--platform", args.select.platform.is_some()),
        ("--layer", args.layer.is_some()),
    ] {
        if given {
            return Err(HostError::Usage(format!(
                "{flag}: {} is one blob, not an image layout",
                shown(&args.source)
            )));
        }
    }
    let limits = args.limits.limits();
    let compression = lone_compression(args, &mut blob)?;
    let mut expected = Expectations::new(compression);
    expected.blob_digest = args.select.digest;
    expected.blob_size = blob.length();
    expected.diff_id = args.diff_id;
    let mut not_verified = Vec::new();
    if args.select.digest.is_none() {
        not_verified.push("digest");
    }
    if args.diff_id.is_none() && (compression != Compression::None || args.select.digest.is_none())
    {
        not_verified.push("diffID");
    }
    let mut report = LayerReport {
        compression: Some(compression.name()),
        media_type: args.media_type.clone(),
        size: expected.blob_size,
        not_verified: not_verified.clone(),
        ..LayerReport::default()
    };
    let result = (|| {
        let dest = Dest::of(args, false)?;
        let planned = match (&dest, args.diff_id) {
            (Dest::Folder(_), Some(diff_id)) => format!("01-{:.12}.erofs", diff_id.hex()),
            (Dest::Folder(_), None) => {
                return Err(HostError::Usage(
                    "-o FOLDER/: the file is named by its diffID: give --diff-id, or a file's name"
                        .into(),
                ));
            }
            _ => String::new(),
        };
        let mut output = dest.create(&planned, args.force)?;
        let progress = Arc::new(Progress::default());
        let place = blob.place().to_owned();
        let bars = Bars::new(
            vec![(shown(&place), expected.blob_size, Arc::clone(&progress))],
            args.talk.quiet,
        );
        let outcome = layer::unpack(&mut blob, output.as_mut(), &expected, &limits, &progress)?;
        drop(bars);
        report.add(&outcome);
        report.digest = Some(outcome.blob_digest.to_string());
        report.size = Some(outcome.blob_size);
        report.file = output
            .as_ref()
            .filter(|_| !matches!(dest, Dest::Stdout))
            .map(|output| shown(&output.target().path()));
        finish_one(&dest, output)?;
        Ok(outcome)
    })();
    match result {
        Ok(outcome) => {
            report.status = if args.verify_only {
                "verified"
            } else {
                "unpacked"
            };
            say_layer(args, &report, &outcome);
            if !not_verified.is_empty() {
                done.warn(format!(
                    "{}: not verified, because not stated: {} (--digest, --diff-id)",
                    shown(&args.source),
                    not_verified.join(", ")
                ));
            }
            done.layers.push(report);
            Ok(())
        }
        Err(error) => {
            report.status = if error.exit_code() == 1 {
                "refused"
            } else {
                "failed"
            };
            report.error = Some(ErrorReport::of(&error));
            done.layers.push(report);
            Err(error)
        }
    }
}

/// Publishes one layer's file, or copies it to stdout.
fn finish_one(dest: &Dest, output: Option<Unpublished>) -> Result<(), HostError> {
    let Some(output) = output else {
        return Ok(());
    };
    if !matches!(dest, Dest::Stdout) {
        return output.publish();
    }
    let mut verified = FromStart::new(output.file());
    let mut stdout = io::stdout().lock();
    let copied = io::copy(&mut verified, &mut stdout);
    copied
        .and_then(|_| io::Write::flush(&mut stdout))
        .map_err(|error| HostError::environment("-", "write to stdout", error))
}

/// How a lone blob is wrapped: by `--media-type`, else by its content.
fn lone_compression(args: &Unpack, blob: &mut BlobReader) -> Result<Compression, HostError> {
    let refused = |error| HostError::refused(args.source.clone(), error);
    if let Some(text) = &args.media_type {
        let media_type = MediaType::parse(text)
            .map_err(|error| HostError::Usage(format!("--media-type {text}: {error}")))?;
        let kind = media_type.layer().map_err(refused)?;
        if media_type.kind() == MediaKind::ChunkIndex {
            return Err(refused(Error::new(Code::MediaTypeUnknown, At::Whole)));
        }
        return Ok(kind.compression);
    }
    let head = blob
        .peek(SNIFF_SIZE)
        .map_err(|error| HostError::environment(args.source.clone(), "read", error))?;
    match sniff(&head) {
        Sniffed::Compressed(compression) => Ok(compression),
        // What is no image is refused by the core, with its reason.
        Sniffed::Erofs | Sniffed::Tar | Sniffed::Unknown => Ok(Compression::None),
    }
}

/// One line about a layer that came through.
fn say_layer(args: &Unpack, report: &LayerReport, outcome: &Outcome) {
    if args.talk.quiet || args.json.is_some() || args.output.as_deref() == Some(Path::new("-")) {
        return;
    }
    let number = report
        .number
        .map_or(String::new(), |number| format!("layer {number}: "));
    let file = report
        .file
        .as_deref()
        .map_or(String::new(), |file| format!(" {file}"));
    println!("{number}{}{file} {}", report.status, outcome.diff_id);
    if args.talk.verbose {
        println!(
            "  blob {} {} bytes, image {} bytes",
            outcome.blob_digest, outcome.blob_size, outcome.image_size
        );
    }
}

// --- An image ---------------------------------------------------------------------------------

/// One layer on its way.
struct Task<'a> {
    layer: &'a Layer,
    progress: Arc<Progress>,
}

/// A layer that came through.
struct Passed {
    outcome: Outcome,
    /// Its file, unless it was kept or is only verified.
    output: Option<Unpublished>,
    status: &'static str,
    file: String,
}

fn unpack_image(args: &Unpack, source: &ImageSource, done: &mut Done) -> Result<(), HostError> {
    let limits = args.limits.limits();
    if args.diff_id.is_some() && args.layer.is_none() {
        return Err(HostError::Usage(
            "--diff-id: an image has several layers: choose one with --layer".into(),
        ));
    }
    let image = Image::find(source, &selection(&args.select)?, &limits)?;
    for warning in &image.plan.warnings {
        done.warn(warning.to_string());
    }
    done.image = Some(ImageReport {
        names: image
            .names
            .iter()
            .map(|name| Escaped::text(name).to_string())
            .collect(),
        manifest: image.descriptor.digest.to_string(),
        platform: image.config.as_ref().map(|config| {
            let variant = if config.variant.is_empty() { "" } else { "/" };
            let text = format!(
                "{}/{}{variant}{}",
                config.os, config.architecture, config.variant
            );
            Escaped::text(&text).to_string()
        }),
    });
    let layers = chosen_layers(args, &image)?;
    let dest = Dest::of(args, args.layer.is_none())?;
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
    let results = run_tasks(args, source, &dest, &limits, &tasks);
    drop(bars);

    let mut group = Group::new();
    let mut files = Vec::new();
    let mut passed_all = true;
    for (layer, result) in layers.iter().zip(results) {
        let mut report = LayerReport::of(layer);
        if layer.diff_id_source == DiffIdSource::Nowhere {
            report.not_verified.push("diffID");
        }
        match result {
            Ok(passed) => {
                report.add(&passed.outcome);
                report.status = passed.status;
                report.file = (!passed.file.is_empty()).then(|| passed.file.clone());
                files.push((layer, passed));
            }
            Err(error) => {
                passed_all = false;
                report.status = match &error {
                    HostError::Cancelled => "stopped",
                    error if error.exit_code() == 1 => "refused",
                    _ => "failed",
                };
                report.error = Some(ErrorReport::of(&error));
                done.fail(error);
            }
        }
        done.layers.push(report);
    }
    if !passed_all {
        return Ok(());
    }
    let mut kept_all = true;
    let mut lines = Vec::new();
    let mut mounted = Vec::new();
    let mut one = None;
    for ((layer, passed), report) in files.into_iter().zip(&done.layers) {
        lines.push((report.clone(), passed.outcome));
        mounted.push((layer, passed.file));
        if let Some(output) = passed.output {
            kept_all = false;
            match &dest {
                Dest::Folder(_) if args.layer.is_none() => group.push(output),
                _ => one = Some(output),
            }
        }
    }
    if let (Dest::Folder(folder), None) = (&dest, args.layer) {
        done.mount = Some(Mount::new(&mounted));
        let last = image_json(args, done, folder, kept_all)?;
        group.publish(last)?;
    } else {
        finish_one(&dest, one)?;
    }
    for (report, outcome) in &lines {
        say_layer(args, report, outcome);
    }
    Ok(())
}

/// The layers that are meant: those that are images or devices, or the one of `--layer`.
fn chosen_layers(args: &Unpack, image: &Image) -> Result<Vec<Layer>, HostError> {
    let Some(number) = args.layer else {
        let written = |layer: &&Layer| layer.role != LayerRole::ChunkIndex;
        return Ok(image.plan.layers.iter().filter(written).copied().collect());
    };
    let found = image
        .plan
        .layers
        .iter()
        .find(|layer| layer.number == number);
    let Some(layer) = found else {
        return Err(HostError::Usage(format!(
            "--layer {number}: the image has {} layers",
            image.plan.layers.len()
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

/// Unpacks the layers, several at a time, and gives their results in order.
fn run_tasks(
    args: &Unpack,
    source: &ImageSource,
    dest: &Dest,
    limits: &Limits,
    tasks: &[Task<'_>],
) -> Vec<Result<Passed, HostError>> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let jobs = args
        .jobs
        .map_or(processors.div_ceil(2), usize::from)
        .min(tasks.len());
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
            let result = run_task(args, source, dest, limits, &tasks[place]);
            if result.is_err() && !args.keep_going {
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                tasks.iter().for_each(|task| task.progress.cancel());
            }
            results.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs {
            scope.spawn(work);
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
    args: &Unpack,
    source: &ImageSource,
    dest: &Dest,
    limits: &Limits,
    task: &Task<'_>,
) -> Result<Passed, HostError> {
    let layer = task.layer;
    let expected = layer.expectations();
    // The name must be known before the layer is unpacked.
    let named: Option<Digest> = layer.diff_id;
    let name = file_name(layer, &named.unwrap_or(layer.digest));
    if let Dest::Folder(folder) = dest
        && !args.force
        && let Some(file) = folder.existing(OsStr::new(&name))?
    {
        let place = folder.path().join(&name);
        if let Some(outcome) = layer::is_unpacked(&file, place, &expected, limits, &task.progress)?
        {
            return Ok(Passed {
                outcome,
                output: None,
                status: "kept",
                file: name,
            });
        }
    }
    let mut output = dest.create(&name, args.force)?;
    let mut blob = source.open_blob(&layer.digest)?;
    let outcome = layer::unpack(
        &mut blob,
        output.as_mut(),
        &expected,
        limits,
        &task.progress,
    )?;
    if let Some(output) = &output {
        // From here on it may wait for the others; the disk need not.
        output.seal()?;
    }
    let file = match dest {
        Dest::Folder(_) => name,
        Dest::File(path) => shown(path),
        Dest::Stdout | Dest::Nowhere => String::new(),
    };
    Ok(Passed {
        outcome,
        status: if output.is_some() {
            "unpacked"
        } else {
            "verified"
        },
        output,
        file,
    })
}

/// `image.json`, to be published last. `None` when it is there already, as it would be.
fn image_json(
    args: &Unpack,
    done: &Done,
    folder: &Arc<Folder>,
    kept_all: bool,
) -> Result<Option<Unpublished>, HostError> {
    let name = OsStr::new("image.json");
    let mut layers = done.layers.clone();
    for layer in &mut layers {
        // The same whether the files were there or not.
        layer.status = "unpacked";
    }
    let report = Report {
        version: VERSION,
        command: "unpack",
        outcome: "done",
        exit_code: 0,
        source: shown(&args.source),
        image: done.image.clone(),
        layers,
        mount: done.mount.clone(),
        warnings: done.warnings.clone(),
        error: None,
    };
    let mut text = json(&report);
    text.push('\n');
    let there = folder.existing(name)?;
    if kept_all && there.is_some() && !args.force {
        let mut found = String::new();
        let mut file = there;
        let read = file
            .as_mut()
            .map(|file| io::Read::read_to_string(file, &mut found));
        if matches!(read, Some(Ok(_))) && found == text {
            return Ok(None);
        }
    }
    // It describes the layers that are there now, so it replaces what described others.
    let file = Unpublished::create(Target::inside(folder, name, true)?)?;
    let mut writer = file.file();
    io::Write::write_all(&mut writer, text.as_bytes())
        .map_err(|error| HostError::environment(folder.path().join(name), "write", error))?;
    Ok(Some(file))
}
