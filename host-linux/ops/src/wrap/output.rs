//! Where a blob is written before it is known to be right.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use crate::error::HostError;
use crate::publish::{Target, Unpublished, scratch, sweep_name};
use crate::report::shown;
use crate::system::{self, File};

/// Where a blob goes.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To the standard output, once it is complete and verified.
    Stdout,
    /// Into this file.
    File(PathBuf),
}

/// A file without its final name.
#[derive(Debug)]
pub(crate) enum Output {
    File(Unpublished),
    Stdout(File, PathBuf),
}

impl Output {
    /// An empty one. A name that cannot be had is refused at once.
    pub(crate) fn create(destination: &Destination, force: bool) -> Result<Self, HostError> {
        match destination {
            Destination::File(path) => {
                let (folder, name) = Target::parts(path)?;
                sweep_name(&folder, &name)?;
                let target = Target::inside(&folder, &name, force)?;
                Unpublished::create(target).map(Self::File)
            }
            Destination::Stdout if io::stdout().is_terminal() => Err(HostError::Usage(
                "-o -: stdout is a terminal: expected a pipe or a file".into(),
            )),
            Destination::Stdout => {
                let dir = system::temp_dir();
                Ok(Self::Stdout(scratch(&dir)?, dir))
            }
        }
    }

    /// The file, to be written and read at any position.
    pub(crate) const fn file(&self) -> &File {
        match self {
            Self::File(output) => output.file(),
            Self::Stdout(file, _) => file,
        }
    }

    /// What to call it in messages.
    pub(crate) fn place(&self) -> PathBuf {
        match self {
            Self::File(output) => output.target().path(),
            Self::Stdout(_, dir) => dir.clone(),
        }
    }

    /// What reports call it; `None` for the standard output.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::File(output) => Some(shown(&output.target().path())),
            Self::Stdout(..) => None,
        }
    }

    /// An error of the system while writing.
    pub(crate) fn failed(&self, error: io::Error) -> HostError {
        HostError::environment(self.place(), "write", error)
    }

    /// Gives the file its name, or copies it to the standard output.
    pub(crate) fn publish(self) -> Result<(), HostError> {
        match self {
            Self::File(output) => output.publish(),
            Self::Stdout(file, _) => system::copy_to_stdout(&file)
                .map_err(|error| HostError::environment(Path::new("stdout"), "write", error)),
        }
    }
}
