//! What is said to people, in the words of the Linux program.

use core::fmt;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::error::HostError;

/// One line on stderr, behind the program's name.
pub(crate) fn complain(line: impl fmt::Display) {
    let line = format!("erofs-unpack: {line}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Text on stdout: what was asked for.
pub(crate) fn print(text: &str) -> Result<(), HostError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| HostError::environment("stdout", "write", error))
}

/// Writes JSON to stdout (`-`) or to a file.
pub(crate) fn write_json(value: &impl Serialize, path: &Path) -> Result<(), HostError> {
    // Plain data with string keys always has a form in JSON.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    if is_stdout(path) {
        return print(&text);
    }
    std::fs::write(path, text)
        .map_err(|error| HostError::environment(path, "write the report", error))
}

/// Whether a path on the command line means stdin or stdout.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}
