//! The operation `unpack`: the layers of an image, or one layer, verified and published.

mod dest;
mod image;
pub(crate) mod lone;
mod report;
mod tree;

use std::path::{Path, PathBuf};

use erofs_unpack_core::Limits;
use erofs_unpack_core::oci::Digest;

use crate::checked::Checked;
use crate::done::Done;
use crate::error::HostError;
use crate::observer::Observer;
use crate::options::{Checks, Select};
use crate::report::{CheckReport, FoundReport, shown};
use crate::sandbox::Sandbox;
use crate::source::Source;

pub(crate) use dest::{Dest, How, Passed, bring, check_tags};
pub(crate) use image::{behind, devices_of};
pub use report::Report;

/// Where layers go.
#[derive(Clone, Debug)]
pub enum Destination {
    /// Nowhere: they are only verified.
    Nowhere,
    /// One layer to the standard output, once it is verified.
    Stdout,
    /// An image into this folder, which is made if it is missing; one layer into this file, or
    /// with a slash at the end into this folder under a name of its own.
    Path(PathBuf),
}

/// What is done about the dm-verity trees of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verity {
    /// A tree that the annotations announce is verified.
    #[default]
    Verify,
    /// The same, and an image without one gets one: its file is then longer than the image that the
    /// diffID names, and the report says so. A sidecar says where the tree is.
    Append,
    /// An announced tree is verified, and a sidecar says where it is, as containerd reads it.
    Sidecar,
    /// Of a tree nothing is looked at but its size, and the report says so.
    None,
}

/// What is unpacked, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which image is meant, and how strictly it is read.
    pub select: Select,
    /// Only this layer, counted from 1 in the order of the manifest.
    pub layer: Option<u32>,
    /// Media type of a lone blob; by its content where it is not given. With it the source is one
    /// blob, whatever it looks like, unless [`Self::layer`] is given: then it is that layer's,
    /// whatever its descriptor says.
    pub media_type: Option<String>,
    /// Digest that the unpacked layer must have: of a lone blob, or of [`Self::layer`].
    pub diff_id: Option<Digest>,
    /// Replace files that exist.
    pub force: bool,
    /// Go on to the other layers after a bad one; nothing is written then either.
    pub keep_going: bool,
    /// Layers that are unpacked at the same time; half of the processors where it is not given.
    pub jobs: Option<usize>,
    /// Threads that decode one layer, where it can be decoded in parts; what the layers leave of the
    /// processors where it is not given.
    pub threads: Option<usize>,
    /// Verify each layer by the digests in its chunk index alone, whose own digest the manifest
    /// states. Those of the blob and of the image are not computed.
    pub skip_serial_digests: bool,
    /// How the inside of images is checked; `None` leaves them unchecked.
    pub check: Option<Checks>,
    /// What is done about dm-verity trees.
    pub verity: Verity,
    /// Whether a dm-verity tree may follow an image though nothing announces it. It must be that of
    /// the image, but nothing says which root is right; the report says so.
    pub unannounced_verity: bool,
    /// What a layer may ask for.
    pub limits: Limits,
    /// Where layers are decoded and images are checked.
    pub sandbox: Sandbox,
}

impl Default for Options {
    /// All layers, checked as the program does it, decoded as a part of this process.
    fn default() -> Self {
        Self {
            select: Select::default(),
            layer: None,
            media_type: None,
            diff_id: None,
            force: false,
            keep_going: false,
            jobs: None,
            threads: None,
            skip_serial_digests: false,
            check: Some(Checks::default()),
            verity: Verity::Verify,
            unannounced_verity: false,
            limits: Limits::DEFAULT,
            sandbox: Sandbox::NONE,
        }
    }
}

impl Options {
    /// How an image was checked, and what came of it.
    fn check_report(&self, checked: &Checked) -> Option<CheckReport> {
        let checks = self.check.as_ref()?;
        Some(CheckReport {
            level: checks.level.name(),
            policy: self.select.policy.name(),
            allowed: checks.allow.clone(),
            found: FoundReport::of(checked),
        })
    }
}

/// Unpacks and verifies the layers of the image in `source`, or the one layer that it is.
///
/// `source` is an OCI image layout (a folder, or a tar archive of one), the blob of a layer, or
/// `-` for the standard input. Nothing appears under its final name, or on the standard output,
/// before all checks have passed. The layers of an image appear together, and last `image.json`,
/// which is this operation's report. What is there already and verifies again is kept.
///
/// The report is there also when something is refused: [`Done::ok`] tells.
pub fn unpack(
    source: &Path,
    destination: &Destination,
    options: &Options,
    observer: &dyn Observer,
) -> Done<Report> {
    let task = Task {
        path: source,
        destination,
        options,
        observer,
    };
    Done::run(Report::new(source), |done| task.run(done))
}

/// What is asked for.
struct Task<'a> {
    path: &'a Path,
    destination: &'a Destination,
    options: &'a Options,
    observer: &'a dyn Observer,
}

impl Task<'_> {
    fn run(&self, done: &mut Done<Report>) -> Result<(), HostError> {
        let options = self.options;
        let mut how = options
            .select
            .source
            .decoding(&options.sandbox, &options.limits);
        how.blob |= options.media_type.is_some() && options.layer.is_none();
        match Source::open(self.path, &how)? {
            Source::Blob(blob) => self.lone(blob, done),
            Source::Image(_) if options.media_type.is_some() && options.layer.is_none() => {
                Err(HostError::Usage(format!(
                    "--media-type: {} is an image layout, not one blob: choose one with --layer",
                    shown(self.path)
                )))
            }
            Source::Image(source) => self.image(&source, done),
        }
    }
}
