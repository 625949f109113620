//! WASI (`wasm32-wasip1`).

mod confine;
mod file;

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::Stdin;

pub use confine::Confinement;
pub use file::{File, FileExt, MEMORY, Metadata, temp_dir};
pub(crate) use std::os::wasi::ffi::{OsStrExt, OsStringExt};

/// Whether there can be more threads than one.
pub const THREADS: bool = false;

/// Whether the process can give up what it does not need.
pub const CONFINES: bool = false;

/// Whether the program knows for which platform images are run here.
pub(crate) const KNOWS_PLATFORM: bool = false;

/// Whether files have modes, of which the umask takes a part.
pub(crate) const MODES: bool = false;

/// The number of hex digits in a temporary name. There are no locks, so that a Linux program must
/// not take such a file for one that was left: it looks for another number of them.
pub(crate) const PARTIAL_DIGITS: usize = 12;

// --- Files --------------------------------------------------------------------------------------

/// Whether what this is of can be read at any place.
pub(crate) fn is_random(found: &Metadata) -> bool {
    found.is_file()
}

/// What the system tells of an open file; of what is in memory nothing.
pub(crate) fn stat(file: &File) -> Result<Stat, Errno> {
    file.stat()
}

/// There is nobody to tell.
pub(crate) const fn advise_sequential(_file: &File) {}

/// Opens a path beneath a directory, which every runtime sees to: WASI's `path_open` lets no name
/// and no link lead out of the directory that it is given. One that leads out is
/// [`Errno::XDEV`].
pub(crate) fn open_beneath(
    dir: BorrowedFd<'_>,
    name: &Path,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    // Runtimes answer the one or the other where something leads out.
    let beneath = |error| match error {
        Errno::PERM | Errno::NOTCAPABLE => Errno::XDEV,
        other => other,
    };
    // Asked before it is opened: runtimes wait at a pipe, whatever the flags say.
    let stat = rustix::fs::statat(dir, name, AtFlags::empty());
    if FileType::from_raw_mode(stat.map_err(beneath)?.st_mode) != FileType::RegularFile {
        return Err(Errno::NOTDIR);
    }
    rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(beneath)
}

/// Reserves nothing: files cannot give back what they have reserved.
#[allow(clippy::unnecessary_wraps, reason = "Linux has errors")]
pub(crate) const fn reserve(_file: &File, _length: u64) -> io::Result<bool> {
    Ok(false)
}

/// Gives back nothing, since nothing was reserved.
#[allow(clippy::unnecessary_wraps, reason = "Linux has errors")]
pub(crate) const fn punch(_file: &File, _start: u64, _length: u64) -> io::Result<()> {
    Ok(())
}

/// Files have no modes.
#[allow(clippy::unnecessary_wraps, reason = "Linux has errors")]
pub(crate) const fn set_mode(_file: &File, _mode: Mode) -> Result<(), Errno> {
    Ok(())
}

/// Makes the names in a directory durable. Some runtimes have nothing to sync there and say so.
pub(crate) fn sync_directory(dir: BorrowedFd<'_>) -> Result<(), Errno> {
    match rustix::fs::fsync(dir) {
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::BADF) => Ok(()),
        other => other,
    }
}

/// Blocks cannot be shared: false.
///
/// # Errors
///
/// None; Linux has some.
pub const fn clone_whole(_source: &File, _length: u64, _destination: &File) -> io::Result<bool> {
    Ok(false)
}

// --- Files that have no name yet ----------------------------------------------------------------

/// There are none.
#[allow(clippy::unnecessary_wraps, reason = "Linux has errors")]
pub(crate) const fn create_unnamed(
    _dir: BorrowedFd<'_>,
    _mode: Mode,
) -> Result<Option<File>, Errno> {
    Ok(None)
}

/// There are none.
#[allow(clippy::unnecessary_wraps, reason = "Linux has errors")]
pub(crate) const fn create_nameless(
    _dir: BorrowedFd<'_>,
    _mode: Mode,
) -> Result<Option<File>, Errno> {
    Ok(None)
}

/// A file in memory, where `dir` is [`MEMORY`].
pub(crate) fn in_memory(dir: &Path) -> Option<File> {
    (dir.as_os_str() == MEMORY).then(File::in_memory)
}

/// No file is without a name that could get one.
pub(crate) const fn link_unnamed(
    _file: &File,
    _dir: BorrowedFd<'_>,
    _name: &OsStr,
) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

/// Nobody sees to a free name while renaming.
pub(crate) const fn rename_free(
    _from: BorrowedFd<'_>,
    _old: &OsStr,
    _to: BorrowedFd<'_>,
    _new: &OsStr,
) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

// --- Locks --------------------------------------------------------------------------------------

/// There are no locks.
pub(crate) const fn try_lock(_file: BorrowedFd<'_>) -> bool {
    true
}

/// There are no locks.
pub(crate) const fn lock_file(_file: &File) {}

/// There are no locks.
pub(crate) const fn lock(_file: BorrowedFd<'_>) {}

/// Removes nothing: without locks nothing says whether a file is in use.
#[allow(clippy::unnecessary_wraps, reason = "Linux has errors")]
pub(crate) fn remove_unlocked(
    _dir: BorrowedFd<'_>,
    _meant: impl Fn(&[u8]) -> bool,
    _dry_run: bool,
) -> Result<usize, Errno> {
    Ok(0)
}

// --- Standard streams ---------------------------------------------------------------------------

/// The standard input.
///
/// # Errors
///
/// None; Linux has some.
pub fn stdin() -> io::Result<Stdin> {
    Ok(Stdin::Stream(Box::new(io::stdin())))
}

/// What output is written to.
pub type Stdout = io::Stdout;

/// The standard output.
///
/// # Errors
///
/// None; Linux has some.
pub fn stdout() -> io::Result<Stdout> {
    Ok(io::stdout())
}

/// Gives all of a file to the standard output.
pub(crate) fn copy_to_stdout(file: &File) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let mut buffer = vec![0; 256 << 10];
    let mut offset = 0;
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            return stdout.flush();
        }
        stdout.write_all(buffer.get(..read).unwrap_or_default())?;
        offset = offset.saturating_add(read as u64);
    }
}
