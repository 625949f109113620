//! A file that has no final name yet.

use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::partial;
use super::sparse::SparseWriter;
use super::target::Target;
use crate::error::{HostError, TargetFault};
use crate::os::{self, File};

/// An output file on its way to its [`Target`]. Dropping it removes it.
#[derive(Debug)]
pub struct Unpublished {
    file: File,
    target: Target,
    /// Its temporary name in the folder's place, on a file system without unnamed files.
    partial: Option<OsString>,
    /// The mode that the system gave it: 0644 less umask.
    #[cfg(target_os = "linux")]
    mode: Mode,
}

impl Unpublished {
    /// An empty file, without a name where the file system can do that.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when none can be made there.
    #[cfg(target_os = "linux")]
    pub fn create(target: Target) -> Result<Self, HostError> {
        use rustix::fs::OFlags;
        use std::os::fd::AsRawFd as _;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o644);
        match rustix::fs::openat(target.folder().place(), c".", flags, mode) {
            // Without /proc a file that was made so might never get a name.
            Ok(fd) if rustix::fs::stat(proc_path(fd.as_raw_fd())).is_ok() => Self {
                file: File::from(fd),
                target,
                partial: None,
                mode,
            }
            .with_mode(),
            // Kernels and file systems that do not know the flag see a directory opened for
            // writing, or refuse in these ways.
            Ok(_) | Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                Self::create_named(target)
            }
            Err(error) => Err(HostError::environment(
                target.path(),
                "make a file for it",
                error,
            )),
        }
    }

    /// An empty file with a temporary name.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when none can be made there.
    #[cfg(target_os = "wasi")]
    pub fn create(target: Target) -> Result<Self, HostError> {
        let mode = Mode::from_raw_mode(0o600);
        let made = partial::create(target.folder().place(), target.name(), mode);
        let (name, fd) = made.map_err(|error| {
            HostError::environment(target.path(), "make a temporary file for it", error)
        })?;
        Ok(Self {
            file: File::from(fd),
            target,
            partial: Some(name),
        })
    }

    /// An empty file with a temporary name, as [`Self::create`] makes it on file systems
    /// without unnamed files.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when none can be made there.
    #[cfg(target_os = "linux")]
    #[doc(hidden)]
    pub fn create_named(target: Target) -> Result<Self, HostError> {
        let failed = |error: Errno| {
            HostError::environment(target.path(), "make a temporary file for it", error)
        };
        let place = target.folder().place();
        let create = |mode| partial::create(place, target.name(), Mode::from_raw_mode(mode));
        // What the umask leaves of the final mode is seen on a file that stays empty. Until it
        // is verified, the content is nobody else's to read: whoever opened a file before its
        // mode was narrowed would go on reading it.
        let (probe, fd) = create(0o644).map_err(failed)?;
        let stat = rustix::fs::fstat(&fd);
        rustix::fs::unlinkat(place, &probe, AtFlags::empty()).map_err(failed)?;
        let mode = Mode::from_raw_mode(stat.map_err(failed)?.st_mode);
        let (name, fd) = create(0o600).map_err(failed)?;
        Ok(Self {
            file: File::from(fd),
            target,
            partial: Some(name),
            mode,
        })
    }

    /// Notes the mode that the umask left, which cannot be asked for without changing it.
    #[cfg(target_os = "linux")]
    fn with_mode(mut self) -> Result<Self, HostError> {
        let stat = rustix::fs::fstat(&self.file)
            .map_err(|error| self.failed("look at the file for it", error))?;
        self.mode = Mode::from_raw_mode(stat.st_mode);
        Ok(self)
    }

    /// An error of the system about this file.
    fn failed(&self, doing: &'static str, error: impl Into<std::io::Error>) -> HostError {
        HostError::environment(self.target.path(), doing, error)
    }

    /// Where it is to go.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The file, to be written and read back at any position.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// A writer that starts at the file's beginning and leaves zeros out. The file must be
    /// empty.
    #[must_use]
    pub const fn writer(&self) -> SparseWriter<'_> {
        SparseWriter::new(&self.file)
    }

    /// Puts the content on the disk and gives the file its final mode. Called by
    /// [`Self::publish`]; calling it earlier, from several threads, saves time for a group.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when the disk fails.
    pub fn seal(&self) -> Result<(), HostError> {
        #[cfg(target_os = "linux")]
        if self.partial.is_some() {
            match rustix::fs::fchmod(&self.file, self.mode) {
                Ok(()) | Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL) => {}
                Err(error) => return Err(self.failed("set the mode of the file for it", error)),
            }
        }
        self.file
            .sync_all()
            .map_err(|error| self.failed("sync the file for it", error))
    }

    /// Gives the file its final name, durably. It must be complete and verified.
    ///
    /// # Errors
    ///
    /// [`HostError::Target`] when the name was taken meanwhile, [`HostError::Environment`]
    /// when the system fails. The file is gone then.
    pub fn publish(self) -> Result<(), HostError> {
        self.seal()?;
        self.publish_sealed()
    }

    /// The rest of [`Self::publish`].
    pub(super) fn publish_sealed(mut self) -> Result<(), HostError> {
        self.link().inspect_err(|_| self.target.folder().unmake())?;
        self.target.folder().sync()
    }

    /// Gives the file its final name. It must be sealed.
    pub(super) fn link(&mut self) -> Result<(), HostError> {
        let dir = self.target.folder().make()?;
        let name = self.target.name();
        let linked = match (&self.partial, self.target.force()) {
            #[cfg(target_os = "linux")]
            (None, false) => link_unnamed(&self.file, dir, name),
            #[cfg(target_os = "linux")]
            (None, true) => self.replace(dir, name),
            // It has its name already.
            #[cfg(target_os = "wasi")]
            (None, _) => Ok(()),
            (Some(partial), false) => rename_new(self.target.folder().place(), partial, dir, name),
            (Some(partial), true) => {
                rustix::fs::renameat(self.target.folder().place(), partial, dir, name)
            }
        };
        match linked {
            Ok(()) => {
                self.partial = None;
                Ok(())
            }
            Err(Errno::EXIST | Errno::ISDIR) => {
                self.target.check()?;
                Err(self.target.fault(TargetFault::Exists))
            }
            Err(error) => Err(self.failed("give the file its name", error)),
        }
    }

    /// Puts an unnamed file in the place of another, through a temporary name.
    #[cfg(target_os = "linux")]
    fn replace(&self, dir: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
        match link_unnamed(&self.file, dir, name) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
        partial::lock(std::os::fd::AsFd::as_fd(&self.file));
        let (partial, ()) =
            partial::with_free_name(name, |partial| link_unnamed(&self.file, dir, partial))?;
        rustix::fs::renameat(dir, &partial, dir, name).inspect_err(|_| {
            // What cannot be removed now is swept by the next run.
            let _ = rustix::fs::unlinkat(dir, &partial, AtFlags::empty());
        })
    }

    /// Takes the final name back, if it is still this file's.
    pub(super) fn unlink(&self) {
        let Some(dir) = self.target.folder().made() else {
            return;
        };
        let name = self.target.name();
        if os::stat(&self.file).is_ok_and(|stat| partial::is_named(dir, name, &stat)) {
            let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
        }
    }
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let place = self.target.folder().place();
            let _ = rustix::fs::unlinkat(place, partial, AtFlags::empty());
        }
    }
}

/// Where the system shows an open file as a link.
#[cfg(target_os = "linux")]
fn proc_path(fd: std::os::fd::RawFd) -> String {
    format!("/proc/self/fd/{fd}")
}

/// Gives an unnamed file a name that must be free.
#[cfg(target_os = "linux")]
fn link_unnamed(file: &File, dir: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    use rustix::fs::CWD;
    use std::os::fd::AsRawFd as _;
    let path = proc_path(file.as_raw_fd());
    match rustix::fs::linkat(CWD, path, dir, name, AtFlags::SYMLINK_FOLLOW) {
        // Without /proc the descriptor itself is named, which old kernels allow to root only.
        Err(Errno::NOENT) => rustix::fs::linkat(file, c"", dir, name, AtFlags::EMPTY_PATH),
        other => other,
    }
}

/// Renames to a name that must be free.
fn rename_new(
    place: BorrowedFd<'_>,
    partial: &OsStr,
    dir: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<(), Errno> {
    #[cfg(target_os = "linux")]
    match rustix::fs::renameat_with(
        place,
        partial,
        dir,
        name,
        rustix::fs::RenameFlags::NOREPLACE,
    ) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        other => return other,
    }
    // The file system cannot refuse while renaming; a link refuses by itself.
    match rustix::fs::linkat(place, partial, dir, name, AtFlags::empty()) {
        Ok(()) => return rustix::fs::unlinkat(place, partial, AtFlags::empty()),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {}
        Err(error) => return Err(error),
    }
    // Nor has it links. A look before is all that is left; a file that appears between the
    // look and the renaming is replaced.
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => rustix::fs::renameat(place, partial, dir, name),
        Err(error) => Err(error),
        Ok(_) => Err(Errno::EXIST),
    }
}
