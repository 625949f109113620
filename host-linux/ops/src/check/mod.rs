//! The operation `check`: whether the kernel may be handed an image, or each layer of a layout.

mod layers;
mod report;

use std::path::{Path, PathBuf};

use erofs_unpack_core::Limits;
use erofs_unpack_core::check::Options as CheckOptions;
use erofs_unpack_core::erofs::Release;
use erofs_unpack_core::oci::Digest;

use crate::done::Done;
use crate::error::HostError;
use crate::image_check::check_image;
use crate::image_file::{ImageFile, ImageFileOptions};
use crate::observer::Observer;
use crate::options::{Checks, Select};
use crate::report::shown;
use crate::sandbox::Sandbox;
use crate::source::{BlobReader, Source};
use crate::system::processors;

pub use crate::checked::{Breach, Checked, Place};
pub use report::{LayerReport, Report};

/// What is checked, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which image is meant, and how strictly it is read.
    pub select: Select,
    /// How far the check goes, and which rules are switched off.
    pub checks: Checks,
    /// Digest that a lone image must have.
    pub diff_id: Option<Digest>,
    /// Files or block devices that hold the devices of a lone image, in the order of its device
    /// table.
    pub devices: Vec<PathBuf>,
    /// The byte of a file where a lone image starts, as in [`ImageFileOptions`].
    pub offset: Option<u64>,
    /// How many devices belong to a lone image though they are not at hand.
    pub known_devices: u16,
    /// The release of Linux that must read all of it as it is meant.
    pub kernel: Option<Release>,
    /// Whether a dm-verity tree may follow the image of a layer though nothing announces it.
    pub unannounced_verity: bool,
    /// Threads that decode at the full level; one for each processor where it is not given.
    pub jobs: Option<usize>,
    /// What an image may ask for.
    pub limits: Limits,
    /// Where layers are decoded and images are checked.
    pub sandbox: Sandbox,
}

/// Checks the EROFS image in `source`, the one that it is as the blob of a layer, or those of all
/// layers of an OCI image layout.
///
/// What is compressed is unpacked first, into a file that never has a name, and verified. An image
/// that breaks a rule is no error of this operation: [`Report::passed`] tells. The report is there
/// also when the check did not come to its end: [`Done::ok`] tells that.
pub fn check(source: &Path, options: &Options, observer: &dyn Observer) -> Done<Report> {
    let task = Task {
        path: source,
        options,
        observer,
    };
    Done::run(Report::new(source, options), |done| {
        task.run(&mut done.report)
    })
}

/// What is asked for.
struct Task<'a> {
    path: &'a Path,
    options: &'a Options,
    observer: &'a dyn Observer,
}

impl Task<'_> {
    fn run(&self, report: &mut Report) -> Result<(), HostError> {
        let options = self.options;
        let mut rules = options.checks.options(options.select.policy)?;
        rules.devices = options.known_devices;
        rules.kernel = options.kernel;
        let source = &options.select.source;
        let mut source = source.decoding(&options.sandbox, &options.limits);
        source.blob |= options.offset.is_some();
        match Source::open(self.path, &source)? {
            Source::Blob(blob) => {
                let checked = self.lone(blob, &rules)?;
                self.observer.checked(&checked);
                report.lone(checked, options.select.policy);
                Ok(())
            }
            Source::Image(source) => self.layers(&source, &rules, report),
        }
    }

    /// A lone image, or the blob of a layer.
    fn lone(&self, blob: BlobReader, rules: &CheckOptions) -> Result<Checked, HostError> {
        let options = self.options;
        options.select.not_for_blobs(&shown(self.path))?;
        let file = ImageFileOptions {
            digest: options.select.image.digest,
            diff_id: options.diff_id,
            misplaced_devices: false,
            devices: options.devices.clone(),
            offset: options.offset,
            limits: options.limits,
            sandbox: options.sandbox.clone(),
            ..ImageFileOptions::default()
        };
        let image = ImageFile::of_blob(self.path, blob, &file)?;
        check_image(&image, rules, self.jobs(), &options.sandbox)
    }

    /// How many threads decode at the full level.
    fn jobs(&self) -> usize {
        self.options.jobs.unwrap_or_else(processors)
    }
}
