//! Temporary names, and the removal of those that a killed run left.

use core::hash::{BuildHasher as _, Hasher as _};
use std::ffi::{OsStr, OsString};
use std::hash::RandomState;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::folder::Folder;
use crate::error::HostError;
use crate::system::{self, OsStrExt as _, OsStringExt as _, PARTIAL_DIGITS};

/// The end of every temporary name.
const SUFFIX: &[u8] = b".partial";
/// The number of hex digits before it. Under WASI there are no locks, so that a Linux program
/// must not take such a file for one that was left.
const DIGITS: usize = PARTIAL_DIGITS;
/// The longest name that Linux file systems take, in bytes.
const NAME_MAX: usize = 255;

/// How often a name that is taken is replaced by another before giving up.
const ATTEMPTS: u32 = 64;

/// A temporary name for `name`: `.NAME.0123456789abcdef.partial`, another one at each call.
fn partial_name(name: &OsStr) -> OsString {
    let digits = format!("{:016x}", RandomState::new().build_hasher().finish());
    let digits = digits.get(..DIGITS).unwrap_or(&digits);
    let room = NAME_MAX - 2 - DIGITS - SUFFIX.len();
    let kept = name.as_bytes();
    let mut partial = vec![b'.'];
    partial.extend(kept.iter().take(room));
    partial.push(b'.');
    partial.extend(digits.as_bytes());
    partial.extend(SUFFIX);
    OsString::from_vec(partial)
}

/// Whether a name has the form of a temporary one: `.NAME.0123456789abcdef.partial`.
#[must_use]
pub fn is_partial(name: &[u8]) -> bool {
    let Some(rest) = name
        .strip_prefix(b".")
        .and_then(|rest| rest.strip_suffix(SUFFIX))
    else {
        return false;
    };
    let Some((kept, digits)) = rest
        .len()
        .checked_sub(DIGITS)
        .and_then(|middle| rest.split_at_checked(middle))
    else {
        return false;
    };
    kept.len() > 1
        && kept.ends_with(b".")
        && digits
            .iter()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Calls `make` with temporary names until one is free.
pub(super) fn with_free_name<T>(
    name: &OsStr,
    mut make: impl FnMut(&OsStr) -> Result<T, Errno>,
) -> Result<(OsString, T), Errno> {
    let mut attempts = 0;
    loop {
        let partial = partial_name(name);
        match make(&partial) {
            Err(Errno::EXIST) if attempts < ATTEMPTS => attempts += 1,
            Err(error) => return Err(error),
            Ok(made) => return Ok((partial, made)),
        }
    }
}

/// Makes a file with a temporary name, locked so that no [`sweep`] takes it.
pub(super) fn create(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    mode: Mode,
) -> Result<(OsString, OwnedFd), Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    with_free_name(name, |partial| {
        let fd = rustix::fs::openat(dir, partial, flags, mode)?;
        // A sweep may have seen the file before it was locked: then it is gone or about to
        // go, and another name is tried.
        let ours = system::try_lock(fd.as_fd())
            && system::is_named(dir, partial, &rustix::fs::fstat(&fd)?);
        if ours { Ok(fd) } else { Err(Errno::EXIST) }
    })
}

/// Removes the temporary files that killed runs left in a folder and returns how many it
/// removed.
///
/// A file counts as left when its name is `.NAME.` with sixteen hex digits and `.partial`, it
/// is a regular file, and its lock is free: a running program holds the lock. What cannot be
/// opened or removed is passed over; it is in nobody's way. Under WASI nothing counts as left:
/// without locks nothing says whether it was.
///
/// # Errors
///
/// [`HostError::Environment`] when the folder cannot be listed.
pub fn sweep(folder: &Folder) -> Result<usize, HostError> {
    sweep_those(folder, is_partial, false)
}

/// As [`sweep`], for the temporary files of one final name: in a folder that holds other
/// things too.
///
/// # Errors
///
/// As [`sweep`].
pub fn sweep_name(folder: &Folder, name: &OsStr) -> Result<usize, HostError> {
    let own = partial_name(name);
    let kept = own.as_bytes().len() - SUFFIX.len() - DIGITS;
    let start = own.as_bytes().get(..kept).unwrap_or_default();
    let meant =
        |found: &[u8]| is_partial(found) && found.len() == own.len() && found.starts_with(start);
    sweep_those(folder, meant, false)
}

/// Removes the temporary files whose names are meant; with `dry_run` only counts them.
///
/// # Errors
///
/// As [`sweep`].
pub fn sweep_those(
    folder: &Folder,
    meant: impl Fn(&[u8]) -> bool,
    dry_run: bool,
) -> Result<usize, HostError> {
    let dir = folder.made().unwrap_or_else(|| folder.place());
    system::remove_unlocked(dir, meant, dry_run)
        .map_err(|error| HostError::environment(folder.path(), "list the directory", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised_strictly() {
        for name in ["a", "image.json", "\n", &"x".repeat(255)] {
            let partial = partial_name(OsStr::new(name));
            assert!(partial.len() <= NAME_MAX);
            assert!(is_partial(partial.as_bytes()), "{partial:?}");
        }
        for name in [
            "",
            ".partial",
            "..0123456789abcdef.partial",
            ".0123456789abcdef.partial",
            ".a.0123456789abcde.partial",
            ".a.0123456789abcdeF.partial",
            ".a.0123456789abcdeg.partial",
            ".a0123456789abcdef.partial",
            "a.0123456789abcdef.partial",
            ".a.0123456789abcdef.partial2",
            ".a.0123456789abcdef.part",
        ] {
            assert!(!is_partial(name.as_bytes()), "{name}");
        }
    }
}
