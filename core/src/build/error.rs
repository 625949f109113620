//! Why an image could not be made.

use core::fmt;

use super::Output;
use crate::Error;

/// Why an image could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildError<E> {
    /// The output failed; nothing is said of what is built.
    Output(E),
    /// What is built is refused.
    Refused(Error),
}

/// The result of building.
pub type BuildResult<T, O> = Result<T, BuildError<<O as Output>::Error>>;

impl<E> From<Error> for BuildError<E> {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl<E: fmt::Display> fmt::Display for BuildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error> core::error::Error for BuildError<E> {}
