//! What can go wrong, told in one line as the Linux program tells it.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

use erofs_unpack_core::erofs::ReadError;
use erofs_unpack_core::{Error, Kind};

use crate::escape::Escaped;
use crate::examine::Examined;
use crate::limit_flag::limit_flag;

/// An error of this host.
#[derive(Debug)]
pub(crate) enum HostError {
    /// The content was refused by the core.
    Refused { place: PathBuf, error: Error },
    /// The check refused an image.
    Check {
        place: PathBuf,
        error: Error,
        examined: Box<Examined>,
    },
    /// An output cannot have the name that was asked for: id, and what is wrong.
    Target {
        place: PathBuf,
        fault: (&'static str, &'static str),
    },
    /// The system did not do what was asked of it.
    Environment {
        place: PathBuf,
        doing: &'static str,
        error: io::Error,
    },
    /// The program was called in a way that it cannot be.
    Usage(String),
}

impl HostError {
    pub(crate) fn refused(place: impl Into<PathBuf>, error: Error) -> Self {
        Self::Refused {
            place: place.into(),
            error,
        }
    }

    pub(crate) fn environment(
        place: impl Into<PathBuf>,
        doing: &'static str,
        error: io::Error,
    ) -> Self {
        Self::Environment {
            place: place.into(),
            doing,
            error,
        }
    }

    /// What went wrong while reading an image.
    pub(crate) fn read(place: &Path, error: ReadError<io::Error>) -> Self {
        match error {
            ReadError::Source(error) => Self::environment(place, "read", error),
            ReadError::Refused(error) => Self::refused(place, error),
        }
    }

    pub(crate) const fn id(&self) -> &'static str {
        match self {
            Self::Refused { error, .. } | Self::Check { error, .. } => error.id(),
            Self::Target { fault, .. } => fault.0,
            Self::Environment { .. } => "environment",
            Self::Usage(_) => "usage",
        }
    }

    /// What the core refused.
    pub(crate) const fn refusal(&self) -> Option<&Error> {
        match self {
            Self::Refused { error, .. } | Self::Check { error, .. } => Some(error),
            _ => None,
        }
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { error, .. } => match error.kind() {
                Kind::Memory => 3,
                Kind::Usage => 2,
                _ => 1,
            },
            Self::Check { .. } => 1,
            Self::Target { .. } | Self::Environment { .. } => 3,
            Self::Usage(_) => 2,
        }
    }

    pub(crate) fn place(&self) -> Option<&Path> {
        match self {
            Self::Refused { place, .. }
            | Self::Check { place, .. }
            | Self::Target { place, .. }
            | Self::Environment { place, .. } => Some(place),
            Self::Usage(_) => None,
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            write!(f, "{}: ", shown(place))?;
        }
        match self {
            Self::Refused { error, .. } => {
                write!(f, "{error}")?;
                match limit_flag(error.code()) {
                    Some(flag) => write!(f, " (raise it with {flag})"),
                    None => Ok(()),
                }
            }
            Self::Check {
                error, examined, ..
            } => {
                write!(f, "{error} (rule {}", error.id())?;
                match examined.summary.errors {
                    0 | 1 => {}
                    2 => write!(f, ", and 1 more error")?,
                    errors => write!(f, ", and {} more errors", errors.saturating_sub(1))?,
                }
                f.write_str(")")
            }
            Self::Target { fault, .. } => f.write_str(fault.1),
            Self::Environment { doing, error, .. } => {
                write!(f, "cannot {doing}: {}", Escaped::text(&answer(error)))
            }
            Self::Usage(text) => write!(f, "{}", Escaped::text(text)),
        }
    }
}

/// A path as it may be shown.
pub(crate) fn shown(path: &Path) -> String {
    Escaped::name(path.as_os_str().as_encoded_bytes()).to_string()
}

/// What the system answered, without the number that Rust puts behind it.
fn answer(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error
        .raw_os_error()
        .map(|number| format!(" (os error {number})"));
    match number.and_then(|number| text.strip_suffix(&number)) {
        Some(words) => words.to_owned(),
        None => text,
    }
}
