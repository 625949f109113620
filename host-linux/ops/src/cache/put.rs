//! The operation `cache put`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::Limits;
use erofs_unpack_core::oci::{Digest, Layer, LayerRole};
use erofs_unpack_core::unpack::Expectations;
use serde::Serialize;

use super::Cache;
use super::content::Verify;
use super::layer::put_layer;
use super::report::Report;
use crate::checked::Checked;
use crate::done::Done;
use crate::error::HostError;
use crate::image::Image;
use crate::observer::{Item, Observer, Part, Work};
use crate::opening::Opening;
use crate::options::{Checks, Select};
use crate::parallel::ChunksReport;
use crate::pipeline::Progress;
use crate::report::{ErrorReport, shown};
use crate::sandbox::Sandbox;
use crate::source::{BlobReader, ImageSource, Source};
use crate::system::processors;
use crate::unpack::behind;
use crate::unpack::lone::expectations;

/// What is put into a cache, and how.
#[derive(Clone, Debug)]
pub struct PutOptions {
    /// Which image of a layout is meant, and how strictly it is read.
    pub select: Select,
    /// Media type of a lone blob; by its content where it is not given.
    pub media_type: Option<String>,
    /// The diffID of a lone blob, which an entry is named by.
    pub diff_id: Option<Digest>,
    /// Replace an entry that does not verify.
    pub force: bool,
    /// Give images a dm-verity tree and a sidecar.
    pub dm_verity: bool,
    /// How the insides of images are checked; `None` for not at all.
    pub check: Option<Checks>,
    /// What a layer may ask for.
    pub limits: Limits,
    /// Where layers are decoded and images are checked.
    pub sandbox: Sandbox,
}

/// What came of the layers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PutLayers {
    /// The layers, up to the first that did not pass.
    pub layers: Vec<PutLayer>,
}

/// A layer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PutLayer {
    /// Its place in the manifest, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The source, escaped.
    pub source: String,
    /// Its diffID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<String>,
    /// `put`, `kept`, `refused`, `failed`, or `left-out` for what is no image by itself.
    pub status: &'static str,
    /// Where its image lies, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// How the chunks of its blob served to decode it, where they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<ChunksReport>,
    /// The root of its dm-verity tree, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_hash: Option<String>,
    /// Why it was not put there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// Verifies layers and puts their images into a cache, which is made if it is missing.
///
/// The sources are OCI image layouts, or one blob. Each image appears under its name when it has
/// passed; one that is there already is verified again and kept. The first that does not pass
/// ends it. The observer is told of each that passes.
pub fn put(
    dir: &Path,
    sources: &[PathBuf],
    options: &PutOptions,
    observer: &dyn Observer,
) -> Done<Report<PutLayers>> {
    Done::run(Report::new("cache put", dir), |done| {
        run(dir, sources, options, observer, &mut done.report)
    })
}

fn run(
    dir: &Path,
    sources: &[PathBuf],
    options: &PutOptions,
    observer: &dyn Observer,
    report: &mut Report<PutLayers>,
) -> Result<(), HostError> {
    let for_one = [
        ("--media-type", options.media_type.is_some()),
        ("--diff-id", options.diff_id.is_some()),
        ("--digest", options.select.image.digest.is_some()),
    ];
    if let (2.., Some((flag, _))) = (sources.len(), for_one.iter().find(|(_, given)| *given)) {
        return Err(HostError::Usage(format!("{flag}: expected one SOURCE")));
    }
    let check = match &options.check {
        None => None,
        Some(checks) => Some(checks.options(options.select.policy)?),
    };
    let mut how = Verify::new(check, options.limits, &options.sandbox);
    how.jobs = processors();
    how.tree = options.dm_verity;
    let lone = options.media_type.is_some();
    let opened = &options.select.source;
    let mut opened = opened.decoding(&options.sandbox, &options.limits);
    opened.blob |= lone;
    for path in sources {
        let source = Source::open(path, &opened)?;
        // Not before there is something to put there.
        let cache = Cache::open_or_make(dir)?;
        let task = Task {
            options,
            observer,
            cache: &cache,
            how: &how,
            path,
        };
        match source {
            Source::Blob(blob) => task.blob(blob, report)?,
            Source::Image(_) if lone || options.diff_id.is_some() => {
                let flag = if lone { "--media-type" } else { "--diff-id" };
                return Err(HostError::Usage(format!(
                    "{flag}: {} is an image layout, not one blob",
                    shown(path)
                )));
            }
            Source::Image(source) => task.image(&source, report)?,
        }
    }
    Ok(())
}

/// One source on its way into the cache.
struct Task<'a> {
    options: &'a PutOptions,
    observer: &'a dyn Observer,
    cache: &'a Cache,
    how: &'a Verify<'a>,
    path: &'a Path,
}

impl Task<'_> {
    /// All layers of an image, up to the first that does not pass.
    fn image(&self, source: &ImageSource, report: &mut Report<PutLayers>) -> Result<(), HostError> {
        let (select, limits) = (&self.options.select, &self.how.limits);
        let image = Image::find(source, &select.image, limits)?;
        let plan = image.plan(source, select.policy, limits)?;
        let warnings = plan.warnings.iter().map(ToString::to_string);
        report.warnings.extend(warnings);
        for layer in &plan.layers {
            let mut put = self.new_layer(Some(layer.number));
            if let Some(why) = left_out(layer) {
                report.warnings.push(format!(
                    "{}: layer {}: left out: {why}",
                    shown(self.path),
                    layer.number
                ));
                put.status = "left-out";
                report.own.layers.push(put);
                continue;
            }
            let next = behind(layer, &plan.layers);
            let blob = |layer: &Layer| image.open_layer(source, layer);
            let open = || Opening::of_layer(layer, next, limits, blob);
            // Without a compression the digest is the diffID, of whichever algorithm it is.
            let diff_id = layer.diff_id.unwrap_or(layer.digest);
            self.layer(diff_id, &layer.expectations(), put, open, report)?;
        }
        Ok(())
    }

    /// One blob by itself.
    fn blob(&self, mut blob: BlobReader, report: &mut Report<PutLayers>) -> Result<(), HostError> {
        let options = self.options;
        let source = shown(self.path);
        options.select.not_for_blobs(&source)?;
        let Some(diff_id) = options.diff_id else {
            return Err(HostError::Usage(format!(
                "{source}: is one blob, and an entry is named by its diffID: give --diff-id"
            )));
        };
        let expected = expectations(
            self.path,
            options.media_type.as_deref(),
            options.select.image.digest,
            Some(diff_id),
            &options.limits,
            &mut blob,
        )?;
        self.layer(
            diff_id,
            &expected,
            self.new_layer(None),
            || Ok(blob.into()),
            report,
        )
    }

    fn new_layer(&self, number: Option<u32>) -> PutLayer {
        PutLayer {
            number,
            source: shown(self.path),
            diff_id: None,
            status: "",
            file: None,
            chunks: None,
            root_hash: None,
            error: None,
        }
    }

    fn layer(
        &self,
        diff_id: Digest,
        expected: &Expectations,
        mut layer: PutLayer,
        open: impl FnOnce() -> Result<Opening, HostError>,
        report: &mut Report<PutLayers>,
    ) -> Result<(), HostError> {
        layer.diff_id = Some(diff_id.to_string());
        let progress = Arc::new(Progress::default());
        self.observer.begin(Work::Layers(vec![Part {
            name: match layer.number {
                Some(number) => format!("layer {number}"),
                None => shown(self.path),
            },
            size: expected.blob_size,
            progress: Arc::clone(&progress),
        }]));
        let force = self.options.force;
        let result = put_layer(
            self.cache, &diff_id, expected, self.how, force, &progress, open,
        );
        self.observer.end();
        let error = match result {
            Ok(put) => {
                layer.status = if put.kept { "kept" } else { "put" };
                layer.file = Some(shown(&put.path));
                layer.chunks = put.chunks;
                layer.root_hash = put.sidecar.map(|sidecar| sidecar.root_hash);
                if let Some(checked) = &put.checked {
                    found(checked, &mut report.warnings);
                    self.observer.checked(checked);
                }
                None
            }
            Err(error) => {
                layer.status = match error.exit_code() {
                    1 => "refused",
                    _ => "failed",
                };
                layer.error = Some(ErrorReport::of(&error));
                Some(error)
            }
        };
        let status = layer.status;
        report.own.layers.push(layer);
        match error {
            Some(error) => Err(error),
            None => self.observer.item(&Item {
                diff_id: &diff_id,
                status,
                is_named: true,
                error: None,
            }),
        }
    }
}

/// Notes what a check has found that is no error.
fn found(checked: &Checked, warnings: &mut Vec<String>) {
    for breach in &checked.breaches {
        let place = breach.first.place_in(&checked.place);
        let warning = HostError::refused(place, breach.first.error);
        warnings.push(warning.to_string());
    }
}

/// Why a layer is no entry of its own, if it is none: containerd mounts each entry by itself.
fn left_out(layer: &Layer) -> Option<&'static str> {
    match layer.role {
        LayerRole::Lower | LayerRole::Data if layer.devices == 0 => None,
        LayerRole::Lower | LayerRole::Data => {
            Some("it needs device layers, which the cache cannot hold")
        }
        LayerRole::Device => Some("a device is no image"),
        _ => Some("a chunk index is no image"),
    }
}
