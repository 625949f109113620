//! Linux.

mod confine;
mod copy;
mod emit;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{
    Advice, AtFlags, CWD, Dir, FallocateFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags,
    ResolveFlags, Stat,
};
use rustix::io::Errno;

use super::{Stdin, is_named};

pub use confine::{Confinement, State};
pub use copy::{Copied, Way, clone_or_copy, clone_whole};
pub use emit::{emit, is_closed, wait, write_all};
pub(crate) use std::os::unix::ffi::{OsStrExt, OsStringExt};
pub(crate) use std::os::unix::fs::FileExt;
pub use std::{env::temp_dir, fs::File};

/// Whether there can be more threads than one.
pub const THREADS: bool = true;

/// Whether the process can give up what it does not need.
pub const CONFINES: bool = true;

/// Whether the program knows for which platform images are run here.
pub(crate) const KNOWS_PLATFORM: bool = true;

/// Whether files have modes, of which the umask takes a part.
pub(crate) const MODES: bool = true;

/// The number of hex digits in a temporary name.
pub(crate) const PARTIAL_DIGITS: usize = 16;

// --- Files --------------------------------------------------------------------------------------

/// Whether what this is of can be read at any place: a regular file, or a block device.
pub(crate) fn is_random(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    found.is_file() || found.file_type().is_block_device()
}

/// What the system tells of an open file.
pub(crate) fn stat(file: &File) -> Result<Stat, Errno> {
    rustix::fs::fstat(file)
}

/// Tells the kernel that a file is read from its start to its end. Only a hint.
pub(crate) fn advise_sequential(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
}

/// Opens a path beneath a directory. A symbolic link that leads out is [`Errno::XDEV`]; where the
/// system cannot tell, none is followed ([`Errno::LOOP`], [`Errno::NOTDIR`]).
pub(crate) fn open_beneath(
    dir: BorrowedFd<'_>,
    name: &Path,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(dir, name, flags, Mode::empty(), resolve) {
            // A part of the path was renamed while it was resolved.
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Old kernels lack the call; filters that do not know it forbid it.
            Err(Errno::NOSYS | Errno::PERM) => return open_without_links(dir, name, flags),
            opened => return opened,
        }
    }
}

/// Opens a path part by part, following no symbolic link.
fn open_without_links(dir: BorrowedFd<'_>, name: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut found: Option<OwnedFd> = None;
    let mut parts = name.iter().peekable();
    while let Some(part) = parts.next() {
        let at = found.as_ref().map_or(dir, OwnedFd::as_fd);
        let flags = flags | OFlags::NOFOLLOW;
        if parts.peek().is_none() {
            return rustix::fs::openat(at, part, flags, Mode::empty());
        }
        // A link opened as a directory and not followed is "not a directory".
        let next = rustix::fs::openat(at, part, flags | OFlags::DIRECTORY, Mode::empty());
        found = Some(next.map_err(|error| match error {
            Errno::NOTDIR => Errno::LOOP,
            other => other,
        })?);
    }
    Err(Errno::NOENT)
}

/// Gives a file all space of this length, beyond its end, and says whether it did. On a file
/// system in memory nothing is reserved: there the space of holes would be taken from the
/// machine meanwhile.
pub(crate) fn reserve(file: &File, length: u64) -> io::Result<bool> {
    const TMPFS: u32 = 0x0102_1994;
    let kind = rustix::fs::fstatfs(file)?.f_type;
    if length == 0 || u32::try_from(kind) == Ok(TMPFS) {
        return Ok(false);
    }
    loop {
        return match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, length) {
            Ok(()) => Ok(true),
            Err(Errno::INTR) => continue,
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        };
    }
}

/// Gives space back that was reserved.
pub(crate) fn punch(file: &File, start: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, flags, start, length)?)
}

/// Gives a file this mode, where its file system has modes.
pub(crate) fn set_mode(file: &File, mode: Mode) -> Result<(), Errno> {
    match rustix::fs::fchmod(file, mode) {
        Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the names in a directory durable. Some file systems have nothing to sync there and say
/// so.
pub(crate) fn sync_directory(dir: BorrowedFd<'_>) -> Result<(), Errno> {
    match rustix::fs::fsync(dir) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
        other => other,
    }
}

// --- Files that have no name yet ----------------------------------------------------------------

/// A file without a name that can be given one, with this mode less the umask. `None` where the
/// file system has no such files.
pub(crate) fn create_unnamed(dir: BorrowedFd<'_>, mode: Mode) -> Result<Option<File>, Errno> {
    let file = open_unnamed(dir, mode, OFlags::empty())?;
    // Without /proc a file that was made so might never get a name.
    Ok(file.filter(|file| rustix::fs::stat(proc_path(file.as_raw_fd())).is_ok()))
}

/// A file without a name that never gets one. `None` where the file system has no such files.
pub(crate) fn create_nameless(dir: BorrowedFd<'_>, mode: Mode) -> Result<Option<File>, Errno> {
    open_unnamed(dir, mode, OFlags::EXCL)
}

fn open_unnamed(dir: BorrowedFd<'_>, mode: Mode, more: OFlags) -> Result<Option<File>, Errno> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC | more;
    match rustix::fs::openat(dir, c".", flags, mode) {
        Ok(fd) => Ok(Some(File::from(fd))),
        // Kernels and file systems that do not know the flag see a directory opened for writing,
        // or refuse in these ways.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A file in memory, where `dir` is what [`temp_dir`] gives for that: never.
pub(crate) const fn in_memory(_dir: &Path) -> Option<File> {
    None
}

/// Where the system shows an open file as a link.
fn proc_path(fd: RawFd) -> String {
    format!("/proc/self/fd/{fd}")
}

/// Gives an unnamed file a name that must be free.
pub(crate) fn link_unnamed(file: &File, dir: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    let path = proc_path(file.as_raw_fd());
    match rustix::fs::linkat(CWD, path, dir, name, AtFlags::SYMLINK_FOLLOW) {
        // Without /proc the descriptor itself is named, which old kernels allow to root only.
        Err(Errno::NOENT) => rustix::fs::linkat(file, c"", dir, name, AtFlags::EMPTY_PATH),
        other => other,
    }
}

/// Renames to a name that must be free. [`Errno::NOSYS`] where the file system cannot see to
/// that.
pub(crate) fn rename_free(
    from: BorrowedFd<'_>,
    old: &OsStr,
    to: BorrowedFd<'_>,
    new: &OsStr,
) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Err(Errno::NOSYS),
        other => other,
    }
}

// --- Locks --------------------------------------------------------------------------------------

/// Locks a file. False when another process holds it; a file system without locks counts as
/// locked, since nobody else can lock there either.
pub(crate) fn try_lock(file: BorrowedFd<'_>) -> bool {
    !matches!(
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive),
        Err(Errno::WOULDBLOCK)
    )
}

/// Locks an open file, if no other process holds the lock.
pub(crate) fn lock_file(file: &File) {
    try_lock(file.as_fd());
}

/// Waits for the lock of a file. On a file system without locks there is none.
pub(crate) fn lock(file: BorrowedFd<'_>) {
    while rustix::fs::flock(file, FlockOperation::LockExclusive) == Err(Errno::INTR) {}
}

/// Removes the regular files of a directory whose names are meant and whose locks are free, and
/// says how many; with `dry_run` only counts them. What cannot be opened or removed is passed
/// over.
pub(crate) fn remove_unlocked(
    dir: BorrowedFd<'_>,
    meant: impl Fn(&[u8]) -> bool,
    dry_run: bool,
) -> Result<usize, Errno> {
    let mut removed = 0;
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if meant(name) && remove_if_unlocked(dir, OsStr::from_bytes(name), dry_run).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove_if_unlocked(dir: BorrowedFd<'_>, name: &OsStr, dry_run: bool) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
    // Its owner may have renamed it to its final name just before the lock came free.
    if !is_named(dir, name, &stat) {
        return Err(Errno::NOENT);
    }
    if dry_run {
        return Ok(());
    }
    rustix::fs::unlinkat(dir, name, AtFlags::empty())
}

// --- Standard streams ---------------------------------------------------------------------------

/// The standard input.
///
/// # Errors
///
/// What the system says when it has no descriptor for it.
pub fn stdin() -> io::Result<Stdin> {
    own(&io::stdin()).map(Stdin::File)
}

/// What output is written to.
pub type Stdout = File;

/// The standard output, past the buffer that Rust keeps for lines of text.
///
/// # Errors
///
/// What the system says when it has no descriptor for it.
pub fn stdout() -> io::Result<File> {
    own(&io::stdout())
}

/// A second descriptor.
fn own(stream: &impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

/// Gives all of a file to the standard output.
pub(crate) fn copy_to_stdout(file: &File) -> io::Result<()> {
    emit(file, file.metadata()?.len(), &stdout()?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn without_openat2_no_link_is_followed() {
        let root = temp_dir().join(format!("beneath-{}", std::process::id()));
        std::fs::create_dir_all(root.join("blobs/sha256")).unwrap();
        std::fs::write(root.join("blobs/sha256/a"), "x").unwrap();
        symlink("a", root.join("blobs/sha256/b")).unwrap();
        symlink("sha256", root.join("blobs/sha512")).unwrap();
        let dir = File::open(&root).unwrap();
        let open = |name: &str| open_without_links(dir.as_fd(), Path::new(name), OFlags::RDONLY);
        let outcomes = [
            open("blobs/sha256/a").is_ok(),
            open("blobs/sha256/b").err() == Some(Errno::LOOP),
            open("blobs/sha512/a").err() == Some(Errno::LOOP),
            open("blobs/sha256/c").err() == Some(Errno::NOENT),
        ];
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(outcomes, [true; 4]);
    }
}
