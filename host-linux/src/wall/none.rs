//! No wall: a WASI program reaches nothing but what its runtime opens for it.

use std::path::Path;

/// What a wall would leave. There is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Openings;

impl Openings {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// A file or folder is read.
    pub const fn read(&mut self, _path: &Path) {}

    /// Unnamed files are made in a folder.
    pub const fn spool(&mut self, _dir: &Path) {}

    /// A source is read.
    pub const fn source(&mut self, _path: &Path) {}

    /// A file, or a folder of files, is published there.
    pub const fn output(&mut self, _path: &Path) {}

    /// A report is written.
    pub const fn report(&mut self, _path: &Path) {}
}
