//! The operation `convert`: images of a layout, with tar layers or EROFS ones, become images with EROFS layers
//! in another layout.
//!
//! Each layer is verified by its digests while it is read, becomes an EROFS image that passes the
//! strictest check and is read back file by file, and then a blob that is read back itself. No file of the new
//! layout has a name before all layers of all images have passed; its `index.json` comes last.

mod documents;
mod entries;
mod layer;
mod layout;
mod list;
mod report;
mod reuse;
mod select;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use erofs_unpack_core::oci::Family;

pub use list::{ListReport, Listed, ListedReport, Shard, Told, convert_list, read_list};
pub use report::{ImageReport, LayerReport, PassedOver, Report};

use crate::build;
use crate::done::Done;
use crate::error::HostError;
use crate::image::Image;
use crate::observer::Observer;
use crate::options::Select;
use crate::report::shown;
use crate::source::{ImageSource, Source};
use crate::system::processors;
use crate::wrap::Wrap;
use entries::Origin;
use layer::{Converted, Converting};
use layout::NewLayout;
use reuse::{Kept, Reuse};

/// How images are converted.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which image is meant.
    pub select: Select,
    /// All images of all platforms.
    pub all: bool,
    /// How EROFS images are made of tar layers.
    pub build: build::Options,
    /// How they become blobs.
    pub wrap: Wrap,
    /// Whether a dm-verity tree is appended to each.
    pub verity: bool,
    /// Whose media types layers have.
    pub family: Family,
    /// Whether the image as it was stays beside the new one, in one index.
    pub keep_original: bool,
    /// Whether images are passed over that the layout has already, made of the same with the same options.
    pub resume: bool,
    /// A folder of layers that were converted before, which are taken from there; what is converted is put there.
    /// It is made if it is missing, though not its parents.
    pub reuse: Option<PathBuf>,
    /// Layers at a time; by default as many as there are processors.
    pub jobs: Option<usize>,
    /// Threads that encode a layer; by default as many as there are processors.
    pub threads: Option<usize>,
}

/// Converts images of the layout or archive in `source` into the layout in the folder `destination`, which is
/// made, or gets them besides those that it has.
///
/// The report is there also when something is refused: [`Done::ok`] tells.
pub fn convert(
    source: &Path,
    destination: &Path,
    options: &Options,
    observer: &dyn Observer,
) -> Done<Report> {
    Done::run(Report::new(source), |done| {
        let choose = |_: &[Image]| Ok(());
        convert_chosen(
            source,
            destination,
            options,
            observer,
            &mut done.report,
            choose,
        )
    })
}

/// Converts the images that are meant, which `choose` may refuse before anything is done.
fn convert_chosen(
    source: &Path,
    destination: &Path,
    options: &Options,
    observer: &dyn Observer,
    report: &mut Report,
    choose: impl FnOnce(&[Image]) -> Result<(), HostError>,
) -> Result<(), HostError> {
    options.wrap.admit(&options.build.limits)?;
    let limits = &options.build.limits;
    let opened = Source::open(source, &options.select.source)?;
    let Source::Image(opened) = opened else {
        return Err(HostError::Usage(format!(
            "{}: expected an OCI image layout or archive; build makes an image of a tar archive",
            shown(source)
        )));
    };
    let chosen = select::images(&opened, &options.select.image, options.all, limits)?;
    choose(&chosen)?;
    let mut layout = NewLayout::open(destination)?;
    if options.resume {
        layout.share();
    }
    let reuse = options.reuse.as_deref().map(Reuse::open).transpose()?;
    let reuse = reuse.as_ref();
    let mut kept = Vec::new();
    let mut entries = Vec::new();
    for image in &chosen {
        if options.resume {
            let name = image.names.first().map(String::as_str);
            if let Some(entry) = layout.made(&Origin::new(image, options), name) {
                report.passed_over.push(PassedOver::new(image, entry));
                // It stays beside others of its name.
                entries.push(entry.clone());
                continue;
            }
        }
        let layers = convert_layers((&opened, image), &layout, options, reuse, observer)?;
        let original = options.keep_original.then_some(&opened);
        let entry = documents::write(&mut layout, &opened, image, &layers, original, options)?;
        report.images.push(ImageReport::new(image, &entry, &layers));
        for layer in layers {
            report.notes.extend(layer.note.clone());
            if reuse.is_some() {
                kept.extend(Kept::of(&layer, options)?);
            }
            layout.name(layer.blob, &layer.digest)?;
        }
        entries.push(entry);
    }
    if !report.images.is_empty() {
        layout.publish(entries)?;
    }
    report.destination = Some(shown(destination));
    // The images are there: what cannot be kept for another time is no failure of this one.
    for layer in &kept {
        if let Some(Err(error)) = reuse.map(|reuse| reuse.keep(layer)) {
            report.notes.push(format!("not kept: {error}"));
        }
    }
    Ok(())
}

/// Converts the layers of an image, several at a time, and gives them in their order.
fn convert_layers(
    (source, image): (&ImageSource, &Image),
    layout: &NewLayout,
    options: &Options,
    reuse: Option<&Reuse>,
    observer: &dyn Observer,
) -> Result<Vec<Converted>, HostError> {
    let count = image.manifest.layers.len();
    let converting = Converting::new(source, image, layout, options, reuse)?;
    observer.begin(converting.work());
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Result<Converted, HostError>>>> =
        Mutex::new((0..count).map(|_| None).collect());
    let jobs = options
        .jobs
        .unwrap_or_else(processors)
        .clamp(1, count.max(1));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            let converted = converting.convert(number);
            if converted.is_err() {
                converting.cancel();
            }
            if let Ok(mut done) = done.lock()
                && let Some(place) = done.get_mut(number)
            {
                *place = Some(converted);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs {
            scope.spawn(work);
        }
        work();
    });
    observer.end();
    let done = done.into_inner().unwrap_or_default();
    let mut layers = Vec::with_capacity(count);
    let mut stopped = None;
    for converted in done.into_iter().flatten() {
        match converted {
            Ok(layer) => layers.push(layer),
            // What was stopped for an error elsewhere is not the reason.
            Err(HostError::Cancelled) => stopped = Some(stopped.unwrap_or(HostError::Cancelled)),
            Err(error) => return Err(error),
        }
    }
    match stopped {
        Some(error) => Err(error),
        None => Ok(layers),
    }
}
