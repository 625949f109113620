//! Where layers go, and how one gets there; not what is said of it.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::check;
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{Layer, Policy, Warning, device_tags};
use erofs_unpack_core::unpack::{Content, Devices, Expectations, Outcome};
use erofs_unpack_core::{Error, Limits};

use super::{Destination, Options, Verity, tree};
use crate::checked::Checked;
use crate::error::HostError;
use crate::image_check::check_image;
use crate::image_file::{FileAt, ImageFile};
use crate::layer::{self, Space};
use crate::opening::Opening;
use crate::parallel::{self, ChunksReport, Unpacked};
use crate::sandbox::Sandbox;

use crate::pipeline::{Progress, Terms};
use crate::publish::{Folder, Target, Unpublished, scratch, sweep, sweep_name};
use crate::report::{TreeReport, shown};
use crate::system::{self, File};

/// Where an output goes.
pub(crate) enum Dest {
    /// Nowhere: `--verify-only`.
    Nowhere,
    /// To stdout, once it is verified.
    Stdout,
    /// Into a folder, under names of our own.
    Folder(Arc<Folder>),
    /// To a file: its folder and its name.
    File(Arc<Folder>, OsString),
}

impl Dest {
    /// What `-o` means for an image, or for one layer.
    pub(super) fn of(destination: &Destination, image: bool) -> Result<Self, HostError> {
        let path = match destination {
            Destination::Nowhere => return Ok(Self::Nowhere),
            Destination::Stdout => {
                refuse_stdout(image)?;
                return Ok(Self::Stdout);
            }
            Destination::Path(path) => path,
        };
        if image || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            let folder = Folder::open_or_plan(path)?;
            sweep(&folder)?;
            return Ok(Self::Folder(folder));
        }
        let (folder, name) = Target::parts(path)?;
        sweep_name(&folder, &name)?;
        Ok(Self::File(folder, name))
    }

    /// The folder and the name in it of a layer that would be called `name` in a folder of
    /// layers.
    fn place<'a>(&'a self, name: &'a OsStr) -> Option<(&'a Arc<Folder>, &'a OsStr)> {
        match self {
            Self::Nowhere | Self::Stdout => None,
            Self::Folder(folder) => Some((folder, name)),
            Self::File(folder, name) => Some((folder, name)),
        }
    }
}

/// Refuses a standard output that cannot take what there is.
fn refuse_stdout(image: bool) -> Result<(), HostError> {
    if image {
        return Err(HostError::Usage(
            "-o -: stdout takes one layer, not an image: choose it with --layer".into(),
        ));
    }
    if io::stdout().is_terminal() {
        return Err(HostError::Usage(
            "-o -: stdout is a terminal: expected a pipe or a file".into(),
        ));
    }
    Ok(())
}

/// A layer that came through.
pub(crate) struct Passed {
    pub(crate) outcome: Outcome,
    /// How its chunks served.
    pub(crate) chunks: Option<ChunksReport>,
    /// Why its index was not used.
    pub(crate) passed_over: Option<Error>,
    /// What the check said; `None` when there was none.
    pub(crate) checked: Option<Checked>,
    /// What to call the layer's content in messages.
    pub(crate) place: PathBuf,
    /// The content, where a check still needs it.
    pub(crate) content: Option<(FileAt, u64)>,
    pub(super) output: Output,
    /// `unpacked`, `kept` or `verified`.
    pub(super) status: &'static str,
    /// Its file: the name in a folder of layers, else the path.
    pub(super) file: Option<String>,
    /// The dm-verity tree of its file.
    pub(crate) tree: Option<TreeReport>,
    /// The document that says where that is, to be published beside it.
    pub(super) sidecar: Option<Unpublished>,
    /// What is not as it should be, and does no harm.
    pub(crate) warnings: Vec<Warning>,
}

impl Passed {
    /// Publishes the layer, or copies it to stdout.
    pub(super) fn finish(self) -> Result<(), HostError> {
        self.output.finish()?;
        self.sidecar.map_or(Ok(()), Unpublished::publish)
    }
}

/// What is left to be done with a verified layer.
pub(super) enum Output {
    /// Nothing: it is there already, or only verified.
    Done,
    /// To be published.
    File(Unpublished),
    /// To be copied to stdout.
    Stdout(File),
}

impl Output {
    /// Publishes the file, or copies it to stdout.
    pub(super) fn finish(self) -> Result<(), HostError> {
        match self {
            Self::Done => Ok(()),
            Self::File(file) => file.publish(),
            Self::Stdout(file) => system::copy_to_stdout(&file)
                .map_err(|error| HostError::environment("stdout", "write", error)),
        }
    }
}

/// How layers are brought, all of them.
pub(crate) struct How {
    pub(crate) force: bool,
    pub(crate) limits: Limits,
    /// Where layers are decoded and images checked.
    pub(crate) sandbox: Sandbox,
    /// What images are checked for; `None` with `--no-check`.
    pub(crate) check: Option<check::Options>,
    /// Threads of the check of one layer.
    pub(crate) jobs: usize,
    /// What is done about dm-verity trees.
    pub(crate) verity: Verity,
    /// Whether a tree may follow an image though nothing announces it.
    pub(crate) unannounced: bool,
    /// Threads that decode one layer.
    pub(crate) threads: usize,
    /// Whether layers are verified by their chunks alone.
    pub(crate) by_chunks: bool,
    /// Whether all layers of an image are brought, so that one with devices is checked when
    /// those are there.
    pub(crate) whole: bool,
}

impl How {
    /// What the options say.
    pub(super) fn of(options: &Options, whole: bool, jobs: usize) -> Result<Self, HostError> {
        let check = match &options.check {
            None => None,
            Some(checks) => Some(checks.options(options.select.policy)?),
        };
        Ok(Self {
            force: options.force,
            limits: options.limits,
            sandbox: options.sandbox.clone(),
            check,
            jobs,
            verity: options.verity,
            unannounced: options.unannounced_verity,
            threads: options.threads.unwrap_or(jobs),
            by_chunks: options.skip_serial_digests,
            whole,
        })
    }

    /// The expectations, less what is not to be looked at.
    fn expected(&self, expected: &Expectations) -> Expectations {
        let mut expected = *expected;
        if self.verity == Verity::None
            && let Some(tree) = &mut expected.verity
        {
            tree.root = None;
        }
        expected.unannounced_verity = self.unannounced;
        expected
    }

    /// The terms of every layer.
    fn terms(&self) -> Terms<'_> {
        Terms {
            limits: &self.limits,
            sandbox: &self.sandbox,
            threads: self.threads,
            by_chunks: self.by_chunks,
        }
    }

    /// Whether the content of this layer is read again, at once or later: by a check, or for the
    /// tags of its device slots, which are held against its devices without a check too.
    fn is_read_again(&self, expected: &Expectations) -> bool {
        let by_check = self.check.is_some() && (self.whole || expected.content == Content::Erofs);
        by_check || self.waits(expected)
    }

    /// Whether the check has to wait for the layer's devices.
    pub(crate) fn waits(&self, expected: &Expectations) -> bool {
        self.whole && matches!(expected.devices, Devices::Attached(1..))
    }

    /// Checks an image that has passed all else, unless that is switched off or has to wait.
    fn check_at_once(&self, passed: &mut Passed, expected: &Expectations) -> Result<(), HostError> {
        if expected.content == Content::Erofs && !self.waits(expected) {
            passed.checked = self.check_image(passed, expected, Vec::new())?;
        }
        if !self.whole || (expected.content == Content::Erofs && !self.waits(expected)) {
            // Open files are few where there are many layers.
            passed.content = None;
        }
        Ok(())
    }

    /// Checks an image that has passed all else, with these devices; others may belong to it
    /// without being at hand.
    pub(crate) fn check_image(
        &self,
        passed: &Passed,
        expected: &Expectations,
        devices: Vec<(FileAt, u64)>,
    ) -> Result<Option<Checked>, HostError> {
        let (Some(options), Some(content)) = (self.check, passed.content.clone()) else {
            return Ok(None);
        };
        let mut options = options;
        // The gate has looked, and knew what else belongs to the layer.
        options.trailing = false;
        if let Devices::Attached(devices) = expected.devices {
            options.devices = devices;
        }
        let image = ImageFile::of_layer(&passed.place, content, devices, &self.limits);
        check_image(&image, &options, self.jobs, &self.sandbox)?
            .verdict()
            .map(Some)
    }
}

/// Holds the tags of an image's device slots against the layers that are attached for them.
pub(crate) fn check_tags(
    passed: &mut Passed,
    how: &How,
    layer: &Layer,
    layers: &[Layer],
    policy: Policy,
) -> Result<(), HostError> {
    let Some(content) = passed.content.clone() else {
        return Ok(());
    };
    let file = ImageFile::of_layer(&passed.place, content, Vec::new(), &how.limits);
    let image = file.image()?;
    let tags = image.devices().map(|slot| &slot.tag);
    passed.warnings = device_tags(layer, layers, tags, policy)
        .map_err(|error| HostError::refused(&passed.place, error))?;
    Ok(())
}

/// Brings one layer to where it goes, all but its name, unless it is there already, and checks
/// it; an image with devices is checked when they are there too.
///
/// `name` is what it is called in a folder of layers. `open` gives its blob.
pub(crate) fn bring(
    dest: &Dest,
    name: &OsStr,
    how: &How,
    expected: &Expectations,
    progress: &Progress,
    open: impl FnOnce() -> Result<Opening, HostError>,
) -> Result<Passed, HostError> {
    let expected = &how.expected(expected);
    let mut passed = fetch(dest, name, how, expected, progress, open)?;
    passed.tree = TreeReport::of(&passed.outcome);
    how.check_at_once(&mut passed, expected)?;
    if let Some((folder, name)) = dest.place(name)
        && expected.content == Content::Erofs
    {
        tree::add(&mut passed, how, folder, name)?;
    }
    if let Output::File(output) = &passed.output {
        // From here on it may wait for the others; the disk need not.
        output.seal()?;
    }
    Ok(passed)
}

/// The layer, verified, before its check.
fn fetch(
    dest: &Dest,
    name: &OsStr,
    how: &How,
    expected: &Expectations,
    progress: &Progress,
    open: impl FnOnce() -> Result<Opening, HostError>,
) -> Result<Passed, HostError> {
    let terms = &how.terms();
    let passed = |unpacked: Unpacked, place: &Path| Passed {
        outcome: unpacked.outcome,
        chunks: unpacked.chunks,
        passed_over: unpacked.passed_over,
        checked: None,
        place: place.to_owned(),
        content: None,
        output: Output::Done,
        status: "unpacked",
        file: None,
        tree: None,
        sidecar: None,
        warnings: Vec::new(),
    };
    // A second descriptor is asked for only where there is something to check.
    let content = |file: &File, place: &Path, outcome: &Outcome| {
        how.is_read_again(expected)
            .then(|| Ok((FileAt::sharing(file, place)?, outcome.image_size)))
            .transpose()
    };
    let Some((folder, name)) = dest.place(name) else {
        return fetch_unnamed(dest, how, expected, progress, open()?);
    };
    if !how.force
        && let Some((file, outcome)) = there_already(folder, name, expected, terms, progress)?
    {
        let place = folder.path_of(name);
        return Ok(Passed {
            content: content(&file, &place, &outcome)?,
            status: "kept",
            file: Some(file_shown(dest, folder, name)),
            ..passed(outcome.into(), &place)
        });
    }
    let target = Target::inside(folder, name, how.force)?;
    let mut opening = open()?;
    let file = file_shown(dest, target.folder(), target.name());
    let output = Unpublished::create(target)?;
    let space = Space::new(output.file(), output.target().path());
    let unpacked = parallel::unpack(&mut opening, Some(space), expected, terms, progress)?;
    let place = opening.blob().place();
    Ok(Passed {
        content: content(output.file(), place, &unpacked.outcome)?,
        output: Output::File(output),
        file: Some(file),
        ..passed(unpacked, place)
    })
}

/// A layer that gets no name: for stdout, or for nothing but its verification.
fn fetch_unnamed(
    dest: &Dest,
    how: &How,
    expected: &Expectations,
    progress: &Progress,
    mut opening: Opening,
) -> Result<Passed, HostError> {
    let terms = &how.terms();
    let to_stdout = matches!(dest, Dest::Stdout);
    // What goes nowhere may be looked at where it lies, if it lies there as it is.
    let in_place = match FileAt::of_blob(opening.blob())? {
        Some((file, _)) if expected.compression == Compression::None => Some(file),
        _ => None,
    };
    let is_read_again = how.is_read_again(expected);
    // A tree whose salt comes as a surprise takes a second way through the image.
    let is_kept = is_read_again
        || expected.unannounced_verity
        || expected.verity.is_some_and(|tree| tree.root.is_some());
    if !to_stdout && (in_place.is_some() || !is_kept) {
        let unpacked = parallel::unpack(&mut opening, None, expected, terms, progress)?;
        return Ok(Passed {
            outcome: unpacked.outcome,
            chunks: unpacked.chunks,
            passed_over: unpacked.passed_over,
            checked: None,
            place: opening.blob().place().to_owned(),
            content: in_place
                .filter(|_| is_read_again)
                .map(|file| (file, unpacked.outcome.image_size)),
            output: Output::Done,
            status: "verified",
            file: None,
            tree: None,
            sidecar: None,
            warnings: Vec::new(),
        });
    }
    // It needs a place that is not memory, and no name.
    let dir = system::temp_dir();
    let file = scratch(&dir)?;
    let space = Space::new(&file, dir);
    let unpacked = parallel::unpack(&mut opening, Some(space), expected, terms, progress)?;
    let place = opening.blob().place();
    let content = is_read_again
        .then(|| FileAt::sharing(&file, place))
        .transpose()?
        .map(|file| (file, unpacked.outcome.image_size));
    let (output, status) = if to_stdout {
        (Output::Stdout(file), "unpacked")
    } else {
        (Output::Done, "verified")
    };
    Ok(Passed {
        outcome: unpacked.outcome,
        chunks: unpacked.chunks,
        passed_over: unpacked.passed_over,
        checked: None,
        place: place.to_owned(),
        content,
        output,
        status,
        file: None,
        tree: None,
        sidecar: None,
        warnings: Vec::new(),
    })
}

/// What a layer's file is called in reports.
fn file_shown(dest: &Dest, folder: &Folder, name: &OsStr) -> String {
    match dest {
        Dest::Folder(_) => shown(Path::new(name)),
        _ => shown(&folder.path_of(name)),
    }
}

/// What verifying gave, when this very layer lies under the name.
fn there_already(
    folder: &Folder,
    name: &OsStr,
    expected: &Expectations,
    terms: &Terms<'_>,
    progress: &Progress,
) -> Result<Option<(File, Outcome)>, HostError> {
    let Some(file) = folder.existing(name)? else {
        return Ok(None);
    };
    let outcome = layer::is_unpacked(&file, &folder.path_of(name), expected, terms, progress)?;
    Ok(outcome.map(|outcome| (file, outcome)))
}
