//! `erofs-unpack cache put`.

use std::path::Path;
use std::sync::Arc;

use erofs_unpack_core::oci::{Digest, Layer, LayerRole};
use erofs_unpack_core::unpack::Expectations;
use serde::Serialize;

use super::End;
use crate::cache::{self, Cache, Verify, VeritySetup};
use crate::cli::CachePut;
use crate::command::unpack::expectations;
use crate::command::{not_for_blobs, selection, source_options};
use crate::error::HostError;
use crate::examine::Examined;
use crate::image::Image;
use crate::pipeline::Progress;
use crate::processors::processors;
use crate::progress::Bars;
use crate::report::{ErrorReport, shown};
use crate::say;
use crate::source::{BlobReader, ImageSource, Source};

/// A layer, for `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerReport {
    /// Its place in the manifest, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_id: Option<String>,
    /// `put`, `kept`, `refused`, `failed`, or `left-out` for what is no image by itself.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

#[derive(Default, Serialize)]
struct Done {
    layers: Vec<LayerReport>,
    #[serde(skip)]
    warnings: Vec<String>,
}

pub(super) fn run(args: &CachePut) -> u8 {
    let mut done = Done::default();
    let error = put(args, &mut done).err();
    let end = End {
        command: "cache put",
        dir: &args.dir,
        quiet: args.talk.quiet,
        code: 0,
        warnings: &done.warnings,
        error: error.as_ref(),
    };
    end.tell(args.json.then_some(&done))
}

fn put(args: &CachePut, done: &mut Done) -> Result<(), HostError> {
    let for_one = [
        ("--media-type", args.media_type.is_some()),
        ("--diff-id", args.diff_id.is_some()),
        ("--digest", args.select.digest.is_some()),
    ];
    if let (2.., Some((flag, _))) = (args.sources.len(), for_one.iter().find(|(_, given)| *given)) {
        return Err(HostError::Usage(format!("{flag}: expected one SOURCE")));
    }
    let check = if args.no_check {
        None
    } else {
        Some(args.check.options(args.select.policy.into())?)
    };
    let isolation = args.sandbox.isolation()?;
    let mut how = Verify::new(check, args.limits.limits(), &isolation);
    how.jobs = processors();
    if args.dm_verity {
        how.tree = Some(VeritySetup::find()?);
    }
    let lone = args.media_type.is_some();
    for path in &args.sources {
        let source = Source::open(path, &source_options(&args.select, lone))?;
        // Not before there is something to put there.
        let cache = Cache::open_or_make(&args.dir)?;
        let work = Work {
            args,
            cache: &cache,
            how: &how,
            path,
        };
        match source {
            Source::Blob(blob) => work.blob(blob, done)?,
            Source::Image(_) if lone || args.diff_id.is_some() => {
                let flag = if lone { "--media-type" } else { "--diff-id" };
                return Err(HostError::Usage(format!(
                    "{flag}: {} is an image layout, not one blob",
                    shown(path)
                )));
            }
            Source::Image(source) => work.image(&source, done)?,
        }
    }
    Ok(())
}

/// One source on its way into the cache.
struct Work<'a> {
    args: &'a CachePut,
    cache: &'a Cache,
    how: &'a Verify<'a>,
    path: &'a Path,
}

impl Work<'_> {
    /// All layers of an image, up to the first that does not pass.
    fn image(&self, source: &ImageSource, done: &mut Done) -> Result<(), HostError> {
        let limits = &self.how.limits;
        let image = Image::find(source, &selection(&self.args.select)?, limits)?;
        let plan = image.plan(source, self.args.select.policy.into(), limits)?;
        let warnings = plan.warnings.iter().map(ToString::to_string);
        done.warnings.extend(warnings);
        for layer in &plan.layers {
            let mut report = self.report(Some(layer.number));
            if let Some(why) = left_out(layer) {
                done.warnings.push(format!(
                    "{}: layer {}: left out: {why}",
                    shown(self.path),
                    layer.number
                ));
                report.status = "left-out";
                done.layers.push(report);
                continue;
            }
            let open = || source.open_blob(&layer.digest);
            // Without a compression the digest is the diffID, of whichever algorithm it is.
            let diff_id = layer.diff_id.unwrap_or(layer.digest);
            self.layer(diff_id, &layer.expectations(), report, open, done)?;
        }
        Ok(())
    }

    /// One blob by itself.
    fn blob(&self, mut blob: BlobReader, done: &mut Done) -> Result<(), HostError> {
        let args = self.args;
        not_for_blobs(self.path, &args.select)?;
        let Some(diff_id) = args.diff_id else {
            return Err(HostError::Usage(format!(
                "{}: is one blob, and an entry is named by its diffID: give --diff-id",
                shown(self.path)
            )));
        };
        let expected = expectations(
            self.path,
            args.media_type.as_deref(),
            args.select.digest,
            Some(diff_id),
            &args.limits,
            &mut blob,
        )?;
        self.layer(diff_id, &expected, self.report(None), || Ok(blob), done)
    }

    fn report(&self, number: Option<u32>) -> LayerReport {
        LayerReport {
            number,
            source: shown(self.path),
            diff_id: None,
            status: "",
            file: None,
            root_hash: None,
            error: None,
        }
    }

    fn layer(
        &self,
        diff_id: Digest,
        expected: &Expectations,
        mut report: LayerReport,
        open: impl FnOnce() -> Result<BlobReader, HostError>,
        done: &mut Done,
    ) -> Result<(), HostError> {
        report.diff_id = Some(diff_id.to_string());
        let progress = Arc::new(Progress::default());
        let label = match report.number {
            Some(number) => format!("layer {number}"),
            None => shown(self.path),
        };
        let bar = (label, expected.blob_size, Arc::clone(&progress));
        let bars = Bars::new(vec![bar], self.args.talk.quiet || self.args.json);
        let force = self.args.force;
        let result = cache::put(
            self.cache, &diff_id, expected, self.how, force, &progress, open,
        );
        drop(bars);
        match result {
            Ok(put) => {
                report.status = if put.kept { "kept" } else { "put" };
                report.file = Some(shown(&put.path));
                report.root_hash = put.sidecar.map(|sidecar| sidecar.root_hash);
                done.found(put.examined.as_ref());
                let line = format!("{} {diff_id}\n", report.status);
                done.layers.push(report);
                if self.args.json || self.args.talk.quiet {
                    return Ok(());
                }
                say::print(&line)
            }
            Err(error) => {
                report.status = match error.exit_code() {
                    1 => "refused",
                    _ => "failed",
                };
                report.error = Some(ErrorReport::of(&error));
                done.layers.push(report);
                Err(error)
            }
        }
    }
}

impl Done {
    /// Notes what a check has found that is no error.
    fn found(&mut self, examined: Option<&Examined>) {
        let Some(examined) = examined else {
            return;
        };
        for breach in &examined.breaches {
            let place = breach.first.place_in(&examined.place);
            let warning = HostError::refused(place, breach.first.error);
            self.warnings.push(warning.to_string());
        }
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
