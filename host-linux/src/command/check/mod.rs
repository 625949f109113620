//! `erofs-unpack check`: whether the kernel may be handed an image.

mod layers;
mod text;

use erofs_unpack_core::check::Options;
use serde::Serialize;

use super::{confined, not_for_blobs, outcome_name, source_options, write_json};
use crate::cli::Check;
use crate::error::HostError;
use crate::examine::{Examined, examine};
use crate::image_file::{ImageFile, ImageFileOptions};
use crate::isolation::Isolation;
use crate::processors::processors;
use crate::report::{ErrorReport, FoundReport, ImageReport, VERSION, shown};
use crate::say;
use crate::source::{BlobReader, Source};
use crate::wall::Openings;
use layers::LayerFound;

pub(crate) use text::findings;

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Check) -> u8 {
    let mut found = Found::default();
    let error = check(args, &mut found).err();
    let report = Report::of(args, &found, error.as_ref());
    let told = match &args.json {
        Some(path) => write_json(&report, path),
        None => say::print(&text::describe(args, &found, error.is_none())),
    };
    for error in error.iter().chain(told.as_ref().err()) {
        say::complain(error);
    }
    // What is refused is the result, and said as such; what failed is not.
    for layer in &found.layers {
        if let ("failed", Some(error)) = (layer.status(), &layer.error) {
            say::complain(format_args!("layer {}: {error}", layer.layer.number));
        }
    }
    match told {
        Err(told) if report.exit_code == 0 => told.exit_code(),
        _ => report.exit_code,
    }
}

/// What came of it.
#[derive(Default)]
struct Found {
    /// The image, where the source is a layout.
    image: Option<ImageReport>,
    /// The layers of that image.
    layers: Vec<LayerFound>,
    /// What the check said of a lone image.
    lone: Option<Examined>,
}

impl Found {
    /// Whether all that was looked at passed.
    fn passed(&self) -> bool {
        self.exit_code() == 0
    }

    /// The exit code of all that was looked at: a refusal outranks what the system failed at.
    fn exit_code(&self) -> u8 {
        let lone = self.lone.as_ref();
        let lone = lone.map(|lone| u8::from(!lone.summary.passed()));
        let codes = self.layers.iter().map(LayerFound::exit_code).chain(lone);
        codes.filter(|code| *code != 0).min().unwrap_or(0)
    }
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    command: &'static str,
    outcome: &'static str,
    exit_code: u8,
    source: String,
    level: &'static str,
    policy: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<String>,
    /// What was seen and found in a lone image.
    #[serde(flatten)]
    found: Option<FoundReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ImageReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<layers::Report>,
    /// Why the check did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

impl Report {
    fn of(args: &Check, found: &Found, error: Option<&HostError>) -> Self {
        let exit_code = error.map_or(found.exit_code(), HostError::exit_code);
        Self {
            version: VERSION,
            command: "check",
            outcome: outcome_name(exit_code),
            exit_code,
            source: shown(&args.source),
            level: args.check.level.name(),
            policy: args.select.policy.name(),
            allowed: args.check.allow.clone(),
            found: found.lone.as_ref().map(FoundReport::of),
            image: found.image.clone(),
            layers: found.layers.iter().map(layers::Report::of).collect(),
            error: error.map(ErrorReport::of),
        }
    }
}

fn check(args: &Check, found: &mut Found) -> Result<(), HostError> {
    // What is wrong with the command line is said before anything is read.
    #[cfg(target_os = "wasi")]
    super::refuse_jobs(args.jobs)?;
    let mut options = args.check.options(args.select.policy.into())?;
    options.devices = args.known_devices;
    let mut openings = Openings::new();
    openings.source(&args.source);
    // What is compressed is unpacked there.
    openings.spool(&crate::os::temp_dir());
    args.devices.iter().for_each(|path| openings.read(path));
    if let Some(path) = &args.json {
        openings.report(path);
    }
    let isolation = confined(&args.confine, &openings, args.talk.verbose, || {
        args.sandbox.isolation()
    })?;
    match Source::open(&args.source, &source_options(&args.select, false))? {
        Source::Blob(blob) => {
            found.lone = Some(lone(args, blob, &options, isolation)?);
            Ok(())
        }
        Source::Image(source) => layers::check(args, &source, &options, &isolation, found),
    }
}

/// A lone image, or the blob of a layer.
fn lone(
    args: &Check,
    blob: BlobReader,
    options: &Options,
    isolation: Isolation,
) -> Result<Examined, HostError> {
    not_for_blobs(&args.source, &args.select)?;
    let file = ImageFileOptions {
        digest: args.select.digest,
        diff_id: args.diff_id,
        devices: args.devices.clone(),
        limits: args.limits.limits(),
        isolation,
    };
    let image = ImageFile::of_blob(&args.source, blob, &file)?;
    examine(&image, options, jobs(args), &file.isolation)
}

/// How many threads decode at the full level.
fn jobs(args: &Check) -> usize {
    args.jobs.map_or_else(processors, usize::from)
}
