//! What all threads of one extraction share: the rules, the limits, the counters.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use erofs_unpack_core::Value;
use erofs_unpack_core::erofs::{FileType, Image, Inode, ReadAt, ReadError};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use super::Options;
use super::failed::{Failed, is_of_one_file};
use super::node::Node;
use super::skipped::{Loss, Skipped};
use crate::error::ExtractFault;
use crate::error::HostError;
use crate::image_file::ImageFile;
use crate::objects::{Elsewhere, Objects, elsewhere};
use crate::observer::Counter;

/// What is said of doing when the image cannot be read.
pub(super) const READING: &str = "read";

/// The state of one extraction.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The image, for messages.
    image: &'a ImageFile,
    /// Where files go, for messages; the root when they go into a stream.
    pub(super) target: &'a Path,
    pub(super) options: &'a Options,
    objects: Option<Objects>,
    pub(super) progress: &'a Counter,
    pub(super) skipped: Skipped,
    pub(super) failed: Failed,
    /// Owner and group that files get at their creation.
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Permissions that files do not get at their creation.
    pub(super) umask: u32,
    /// Bytes of content that the limit leaves.
    left: AtomicU64,
    stopped: AtomicBool,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        image: &'a ImageFile,
        target: &'a Path,
        options: &'a Options,
        objects: Option<Objects>,
        progress: &'a Counter,
    ) -> Self {
        Self {
            image,
            target,
            options,
            objects,
            progress,
            skipped: Skipped::default(),
            failed: Failed::default(),
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            umask: umask(),
            left: AtomicU64::new(options.max_size),
            stopped: AtomicBool::new(false),
        }
    }

    /// Takes bytes from what the limit leaves, before they are read.
    pub(super) fn take(&self, bytes: u64, dir: &Node, name: &[u8]) -> Result<(), HostError> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .map(drop)
            .map_err(|_| {
                let limit = Value::AtMost(self.options.max_size);
                self.fault(ExtractFault::Size, dir, name, limit)
            })
    }

    /// Asks all threads to stop at the next file.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether one thread failed, or the caller wants an end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// A file of the image, for messages: the image with the path in it after a colon.
    pub(super) fn inside(&self, dir: &Node, name: &[u8]) -> PathBuf {
        let path = dir.path(Path::new(""), name);
        self.image.inside(path.as_os_str().as_bytes())
    }

    /// A file that is created, for messages.
    pub(super) fn outside(&self, dir: &Node, name: &[u8]) -> PathBuf {
        dir.path(self.target, name)
    }

    /// What the reader said of a file of the image.
    pub(super) fn unread(&self, dir: &Node, name: &[u8], error: ReadError<io::Error>) -> HostError {
        match error {
            ReadError::Source(error) => {
                HostError::environment(self.inside(dir, name), READING, error)
            }
            ReadError::Refused(error) => HostError::refused(self.inside(dir, name), error),
        }
    }

    /// The content of a file that lies outside of the image; `None` for a file that holds its own.
    pub(super) fn elsewhere<R: ReadAt<Error = io::Error>>(
        &self,
        image: &Image<R>,
        inode: &Inode,
        (dir, name): (&Node, &[u8]),
    ) -> Result<Option<Elsewhere>, HostError> {
        let unread = |error| self.unread(dir, name, error);
        elsewhere(image, inode, self.objects.as_ref(), unread)
    }

    /// Whether an attribute leads to content that was put into the file instead.
    pub(super) fn is_spent(&self, inode: &Inode, name: &[u8]) -> bool {
        self.objects.is_some()
            && inode.file_type == FileType::Regular
            && matches!(
                name,
                b"trusted.overlay.metacopy" | b"trusted.overlay.redirect"
            )
    }

    /// A fault of a file of the image.
    pub(super) fn fault(
        &self,
        fault: ExtractFault,
        dir: &Node,
        name: &[u8],
        expected: Value,
    ) -> HostError {
        HostError::Extract {
            place: self.inside(dir, name),
            fault,
            expected,
        }
    }

    /// What the system said while a file was created.
    pub(super) fn failed(
        &self,
        dir: &Node,
        name: &[u8],
        doing: &'static str,
        error: impl Into<io::Error>,
    ) -> HostError {
        HostError::environment(self.outside(dir, name), doing, error)
    }

    /// Lets what is wrong with one file pass, if the others are to be extracted all the same: it
    /// is kept for the report, and there is no result then.
    pub(super) fn pass<T>(&self, outcome: Result<T, HostError>) -> Result<Option<T>, HostError> {
        match outcome {
            Ok(result) => Ok(Some(result)),
            Err(error) if self.options.keep_going && is_of_one_file(&error) => {
                self.failed.add(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Lets something pass that is not permitted, if that is how files are to be restored.
    pub(super) fn permit(
        &self,
        outcome: Result<(), Errno>,
        loss: Loss,
        (dir, name): (&Node, &[u8]),
        doing: &'static str,
    ) -> Result<(), HostError> {
        match outcome {
            Ok(()) => Ok(()),
            Err(error) if !self.options.everything && is_refusal(error) => {
                self.skipped.add(loss, || self.outside(dir, name));
                Ok(())
            }
            Err(error) => Err(self.failed(dir, name, doing, error)),
        }
    }
}

/// Whether the system says that this user, or this file system, may not or cannot do it.
/// `EINVAL` is what a user namespace says of an id that it has no place for.
pub(super) fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::INVAL
    )
}

/// The permissions that this process takes from new files. Without `/proc` all are assumed, so
/// that each file is given its permissions afterwards.
fn umask() -> u32 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let text = status
                .lines()
                .find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(text.trim(), 8).ok()
        })
        .unwrap_or(0o777)
}

/// The type of `mode_t` that the system takes.
pub(super) const fn mode(bits: u32) -> Mode {
    Mode::from_bits_retain(bits)
}

/// The default of [`Options::max_links`], see there.
pub(super) const MAX_LINKS: u64 = 1 << 20;

impl Options {
    /// The defaults for this user.
    #[must_use]
    pub fn new() -> Self {
        Self {
            everything: geteuid().is_root(),
            xattrs: true,
            objects: None,
            keep_going: false,
            replace: false,
            jobs: 1,
            max_size: 1 << 40,
            max_links: MAX_LINKS,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
