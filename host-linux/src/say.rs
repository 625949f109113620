//! What is said to people. A closed terminal or pipe is an answer of the system like any
//! other: it never makes the program panic, as `println!` would.

use core::fmt;
use std::io::{self, Write as _};

use crate::error::HostError;

/// One line on stderr, behind the program's name. Where nobody listens, nothing is said: the
/// exit code tells all the same.
pub(crate) fn complain(line: impl fmt::Display) {
    // Formatted first: one call to the system, so that lines of several programs do not mix.
    let line = format!("erofs-unpack: {line}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Text on stdout: what was asked for.
///
/// # Errors
///
/// [`HostError::Environment`] when it cannot be written, for instance to a closed pipe.
pub(crate) fn print(text: &str) -> Result<(), HostError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| HostError::environment("stdout", "write", error))
}
