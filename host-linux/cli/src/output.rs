//! What is printed for people. A closed terminal or pipe is an answer of the system like any
//! other: it never makes the program panic, as `println!` would.

use core::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use erofs_unpack_ops::HostError;
use erofs_unpack_ops::report::to_json;

/// Prints one line on stderr, behind the program's name. Where nobody listens, nothing is printed: the
/// exit code tells all the same.
pub fn print_error(line: impl fmt::Display) {
    // Formatted first: one call to the system, so that lines of several programs do not mix.
    let line = format!("erofs-unpack: {line}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Prints an error; where it is not clear which image is meant, with what there is, a line each.
pub fn print_failure(error: &HostError) {
    print_error(error.told());
}

/// Prints text on stdout: what was asked for.
///
/// # Errors
///
/// [`HostError::Environment`] when it cannot be written, for instance to a closed pipe.
pub fn print(text: &str) -> Result<(), HostError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| HostError::environment("stdout", "write", error))
}

/// Prints a report as JSON on stdout (`-`), or writes it to a file.
///
/// # Errors
///
/// [`HostError::Environment`] when it cannot be written.
pub fn write_json(report: &impl serde::Serialize, path: &Path) -> Result<(), HostError> {
    let text = to_json(report);
    if is_stdout(path) {
        return print(&text);
    }
    std::fs::write(path, text)
        .map_err(|error| HostError::environment(path, "write the report", error))
}

/// The exit code of a command that came to this. An error is printed.
#[must_use]
pub fn exit_code(ended: Result<u8, HostError>) -> u8 {
    ended.unwrap_or_else(|error| {
        print_failure(&error);
        error.exit_code()
    })
}

/// The exit code of a command that ended with this one before its report was written. That it
/// could not be written is printed, and counts where nothing else went wrong.
#[must_use]
pub fn exit_code_with_report(code: u8, written: Result<(), HostError>) -> u8 {
    match exit_code(written.map(|()| 0)) {
        unwritten if code == 0 => unwritten,
        _ => code,
    }
}

/// Whether a path on the command line means stdout.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}
