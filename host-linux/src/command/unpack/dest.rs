//! Where layers go, and how one gets there.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;

use erofs_unpack_core::Limits;
use erofs_unpack_core::check::Options;
use erofs_unpack_core::unpack::{Content, Expectations, Outcome};

use crate::cli::Unpack;
use crate::error::HostError;
use crate::examine::{Examined, examine};
use crate::layer::{self, FromStart, Space};
use crate::pipeline::Progress;
use crate::publish::{Folder, Target, Unpublished, scratch, sweep, sweep_name};
use crate::report::shown;
use crate::source::BlobReader;

/// The buffer between a verified file and stdout, in bytes.
const BUFFER: usize = 256 << 10;

/// Where an output goes.
pub(super) enum Dest {
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
    pub(super) fn of(args: &Unpack, image: bool) -> Result<Self, HostError> {
        let Some(path) = &args.output else {
            return Ok(Self::Nowhere);
        };
        if path == Path::new("-") {
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
            return Ok(Self::Stdout);
        }
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

/// A layer that came through.
pub(super) struct Passed {
    pub(super) outcome: Outcome,
    /// What the check said; `None` when there was none.
    pub(super) examined: Option<Examined>,
    pub(super) output: Output,
    /// `unpacked`, `kept` or `verified`.
    pub(super) status: &'static str,
    /// Its file: the name in a folder of layers, else the path.
    pub(super) file: Option<String>,
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
            Self::Stdout(file) => copy_to_stdout(&file)
                .map_err(|error| HostError::environment("stdout", "write", error)),
        }
    }
}

/// How layers are brought, all of them.
pub(super) struct How {
    force: bool,
    limits: Limits,
    /// What images are checked for; `None` with `--no-check`.
    check: Option<Options>,
}

impl How {
    /// What the command line says.
    pub(super) fn of(args: &Unpack) -> Result<Self, HostError> {
        let check = if args.no_check {
            None
        } else {
            Some(args.check.options(args.select.policy.into())?)
        };
        Ok(Self {
            force: args.force,
            limits: args.limits.limits(),
            check,
        })
    }

    /// Checks the image in a file that has passed all else.
    fn examine(
        &self,
        file: &File,
        place: &Path,
        expected: &Expectations,
        outcome: &Outcome,
    ) -> Result<Option<Examined>, HostError> {
        self.check
            .as_ref()
            .filter(|_| expected.content == Content::Erofs)
            .map(|check| {
                let size = outcome.image_size;
                examine(file, size, place, expected, check, &self.limits)
            })
            .transpose()
    }
}

/// Brings one layer to where it goes, all but its name, unless it is there already.
///
/// `name` is what it is called in a folder of layers. `open` gives its blob.
pub(super) fn bring(
    dest: &Dest,
    name: &OsStr,
    how: &How,
    expected: &Expectations,
    progress: &Progress,
    open: impl FnOnce() -> Result<BlobReader, HostError>,
) -> Result<Passed, HostError> {
    let limits = &how.limits;
    let target = match dest.place(name) {
        Some((folder, name)) => {
            if !how.force
                && let Some((file, outcome)) =
                    there_already(folder, name, expected, limits, progress)?
            {
                let place = folder.path_of(name);
                return Ok(Passed {
                    examined: how.examine(&file, &place, expected, &outcome)?,
                    outcome,
                    output: Output::Done,
                    status: "kept",
                    file: Some(file_shown(dest, folder, name)),
                });
            }
            Some(Target::inside(folder, name, how.force)?)
        }
        None => None,
    };
    let mut blob = open()?;
    let Some(target) = target else {
        let to_stdout = matches!(dest, Dest::Stdout);
        let is_read_again = how.check.is_some() && expected.content == Content::Erofs;
        if !to_stdout && !is_read_again {
            let outcome = layer::unpack(&mut blob, None, expected, limits, progress)?;
            return Ok(Passed {
                outcome,
                examined: None,
                output: Output::Done,
                status: "verified",
                file: None,
            });
        }
        // It needs a place that is not memory, and no name.
        let dir = std::env::temp_dir();
        let file = scratch(&dir)?;
        let space = Space::new(&file, dir);
        let outcome = layer::unpack(&mut blob, Some(space), expected, limits, progress)?;
        let examined = how.examine(&file, blob.place(), expected, &outcome)?;
        let (output, status) = if to_stdout {
            (Output::Stdout(file), "unpacked")
        } else {
            (Output::Done, "verified")
        };
        return Ok(Passed {
            outcome,
            examined,
            output,
            status,
            file: None,
        });
    };
    let file = file_shown(dest, target.folder(), target.name());
    let output = Unpublished::create(target)?;
    let space = Space::new(output.file(), output.target().path());
    let outcome = layer::unpack(&mut blob, Some(space), expected, limits, progress)?;
    let examined = how.examine(output.file(), blob.place(), expected, &outcome)?;
    // From here on it may wait for the others; the disk need not.
    output.seal()?;
    Ok(Passed {
        outcome,
        examined,
        output: Output::File(output),
        status: "unpacked",
        file: Some(file),
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
    limits: &Limits,
    progress: &Progress,
) -> Result<Option<(File, Outcome)>, HostError> {
    let Some(file) = folder.existing(name)? else {
        return Ok(None);
    };
    let outcome = layer::is_unpacked(&file, folder.path_of(name), expected, limits, progress)?;
    Ok(outcome.map(|outcome| (file, outcome)))
}

/// Copies a verified file to stdout, past the buffer that Rust keeps for lines of text.
fn copy_to_stdout(file: &File) -> io::Result<()> {
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut verified = io::BufReader::with_capacity(BUFFER, FromStart::new(file));
    loop {
        let bytes = io::BufRead::fill_buf(&mut verified)?;
        let length = bytes.len();
        if length == 0 {
            return Ok(());
        }
        stdout.write_all(bytes)?;
        io::BufRead::consume(&mut verified, length);
    }
}
