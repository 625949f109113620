//! The operation `build`: an EROFS image out of a tar archive or a folder.
//!
//! The core makes the image; here are the files that it reads and writes. Before it is published the
//! image passes the check with the strictest policy, and every file in it is read back and compared
//! with what came.

mod archive;
mod filter;
mod folder;
mod list;
mod output;
mod report;

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use erofs_unpack_core::Limits;
use erofs_unpack_core::build::{self as core_build, Built, Proof};
use erofs_unpack_core::check::{Level, Options as CheckOptions};
use erofs_unpack_core::erofs::Release;
use erofs_unpack_core::oci::Policy;

pub(crate) use archive::build_archive;
pub use filter::{Filter, Xattrs};
pub use list::read_list;
pub use report::{ImageReport, Report};

use crate::done::Done;
use crate::error::HostError;
use crate::file_at::FileAt;
use crate::image_check::check_image;
use crate::image_file::ImageFile;
use crate::observer::{Observer, Part, Work};
use crate::pipeline::Progress;
use crate::report::shown;
use crate::sandbox::Sandbox;
use crate::system::processors;
use crate::wrap::{Destination, Output};

/// Rules that speak of what the source holds, not of how the image was made: what was there already is
/// said, and does not keep an image from being made.
const OF_THE_SOURCE: [&str; 2] = ["directory-writable", "superblock-page"];

/// Which UUID an image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uuid {
    /// One that follows from the content: the diffID of an archive, so that all compressed forms of it give
    /// the same image; all that is in the image of a folder.
    #[default]
    Content,
    /// That of containerd's converter and differ: version 5, URL namespace, `erofs:blobs/` and the digest
    /// of the blob as it came, compressed or not.
    Containerd,
    /// This one.
    Fixed([u8; 16]),
}

/// How an image is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its form.
    pub form: core_build::Options,
    /// Its UUID.
    pub uuid: Uuid,
    /// What is left out or changed on the way.
    pub filter: Filter,
    /// Whether the image is read back and compared with its source.
    pub read_back: bool,
    /// Threads that read back; the number of processors where it is not given.
    pub threads: Option<usize>,
    /// The release of Linux that is to read it.
    pub kernel: Option<Release>,
    /// Replace a file that exists.
    pub force: bool,
    /// What the source may ask for.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            form: core_build::Options::DEFAULT,
            uuid: Uuid::Content,
            filter: Filter::default(),
            read_back: true,
            threads: None,
            kernel: None,
            force: false,
            limits: Limits::DEFAULT,
        }
    }
}

/// Makes an EROFS image of `source`: a folder, a tar archive, plain or compressed with gzip or zstd, or `-`
/// for an archive on the standard input.
///
/// Nothing appears under its final name, or on the standard output, before the image has passed.
///
/// The report is there also when something is refused: [`Done::ok`] tells.
pub fn build(
    source: &Path,
    destination: &Destination,
    options: &Options,
    observer: &dyn Observer,
) -> Done<Report> {
    Done::run(Report::new(source), |done| {
        let output = Output::create(destination, options.force)?;
        let progress = Arc::new(Progress::default());
        observer.begin(Work::Layers(vec![Part {
            name: shown(source),
            size: None,
            progress: Arc::clone(&progress),
        }]));
        let made = if source.is_dir() {
            let replaced = match destination {
                Destination::File(path) => Some(path.as_path()),
                Destination::Stdout => None,
            };
            folder::build_folder(source, (output.file(), replaced), options, &progress)
        } else {
            archive::build_source(source, output.file(), options, &progress)
        };
        observer.end();
        let Made { built, tar } = made.map_err(|error| error.placed(&output))?;
        let place = output.place();
        let image = FileAt::sharing(output.file(), &place)?;
        let checks = prove(&image, &place, &built, options)?;
        let name = output.name();
        output.publish()?;
        done.report.file = name;
        done.report.image = Some(ImageReport::new(&built, tar, checks));
        Ok(())
    })
}

/// What came of making an image.
pub(crate) struct Made {
    pub(crate) built: Built,
    /// Digest of the archive, decoded, and of the blob as it came.
    pub(crate) tar: Option<Archive>,
}

/// What an archive was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Archive {
    pub(crate) diff_id: erofs_unpack_core::oci::Digest,
    pub(crate) digest: erofs_unpack_core::oci::Digest,
    pub(crate) size: u64,
}

/// Why no image was made.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of them for each image at most"
)]
pub(crate) enum Fault {
    /// Said of the source.
    Source(HostError),
    /// The image, or what waits beside it, could not be written.
    Write(std::io::Error),
}

impl Fault {
    fn placed(self, output: &Output) -> HostError {
        match self {
            Self::Source(error) => error,
            Self::Write(error) => output.failed(error),
        }
    }
}

/// What was looked at before an image is given away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proved {
    /// Findings that speak of the source, which do not count against the image.
    pub(crate) warnings: u64,
    /// Files that were read back.
    pub(crate) files: Option<u64>,
}

/// The check with the strictest policy, and every file as it came.
pub(crate) fn prove(
    file: &FileAt,
    place: &Path,
    built: &Built,
    options: &Options,
) -> Result<Proved, HostError> {
    let size = built.summary.size;
    let content = (file.clone(), size);
    let opened = ImageFile::of_layer(place, content, Vec::new(), &options.limits);
    let mut check = CheckOptions::default();
    check.level = Level::Metadata;
    check.policy = Policy::Strict;
    check.kernel = options.kernel;
    for rule in OF_THE_SOURCE {
        check.allow(rule);
    }
    if !options.form.whiteouts {
        check.allow("directory-whiteout");
        check.allow("directory-aufs");
    }
    let checked = check_image(&opened, &check, 1, &Sandbox::NONE)?;
    let warnings = checked.summary.warnings;
    checked.verdict()?;
    let files = if options.read_back {
        let threads = options.threads.unwrap_or_else(processors);
        read_back(&opened, &built.proof, threads)?;
        Some(built.proof.files())
    } else {
        None
    };
    Ok(Proved { warnings, files })
}

/// Every file as it came. Of several faults the one that the first thread finds is told.
fn read_back(opened: &ImageFile, proof: &Proof, threads: usize) -> Result<(), HostError> {
    let share = |number| {
        let image = opened.image()?;
        let verified = proof.verify_share(&image, (number, threads));
        verified.map_err(|error| opened.failed(error))
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|number| scope.spawn(move || share(number)))
            .collect();
        let mut verified = share(0);
        for other in others {
            let other = other.join().unwrap_or_else(|panic| resume_unwind(panic));
            verified = verified.and(other);
        }
        verified
    })
}
