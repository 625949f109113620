//! What Linux and WASI do not have in common: here WASI (`wasm32-wasip1`) gets the form that Linux
//! has.
//!
//! WASI has no threads, no files without a name, no locks, no modes, and no second descriptor for
//! an open file. A program sees the folders that its runtime opens for it, and may see none; then
//! what waits for its verdict waits in memory.

#[cfg(target_os = "wasi")]
mod wasi;

#[cfg(target_os = "linux")]
pub(crate) use std::os::unix::ffi::{OsStrExt, OsStringExt};
#[cfg(target_os = "linux")]
pub(crate) use std::os::unix::fs::FileExt;
#[cfg(target_os = "linux")]
pub use std::{env::temp_dir, fs::File};

#[cfg(target_os = "wasi")]
pub(crate) use std::os::wasi::ffi::{OsStrExt, OsStringExt};
#[cfg(target_os = "wasi")]
pub use wasi::{File, FileExt, MEMORY, Metadata, temp_dir};

/// Whether what this is of can be read at any place: a regular file, or a block device.
#[cfg(target_os = "linux")]
pub(crate) fn is_random(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    found.is_file() || found.file_type().is_block_device()
}

/// Whether what this is of can be read at any place.
#[cfg(target_os = "wasi")]
pub(crate) fn is_random(found: &Metadata) -> bool {
    found.is_file()
}

/// What the system tells of an open file.
#[cfg(target_os = "linux")]
pub(crate) fn stat(file: &File) -> Result<rustix::fs::Stat, rustix::io::Errno> {
    rustix::fs::fstat(file)
}

/// What the system tells of an open file; of what is in memory nothing.
#[cfg(target_os = "wasi")]
pub(crate) fn stat(file: &File) -> Result<rustix::fs::Stat, rustix::io::Errno> {
    file.stat()
}
