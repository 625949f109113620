//! A file that has no final name yet.

use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::partial;
use super::sparse::SparseWriter;
use super::target::Target;
use crate::error::{HostError, TargetFault};
use crate::system::{self, File};

/// An output file on its way to its [`Target`]. Dropping it removes it.
#[derive(Debug)]
pub struct Unpublished {
    file: File,
    target: Target,
    /// Its temporary name in the folder's place, on a file system without unnamed files.
    partial: Option<OsString>,
    /// The mode that the system gave it: 0644 less umask.
    mode: Mode,
}

impl Unpublished {
    /// An empty file, without a name where the file system can do that.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when none can be made there.
    pub fn create(target: Target) -> Result<Self, HostError> {
        let mode = Mode::from_raw_mode(0o644);
        match system::create_unnamed(target.folder().place(), mode) {
            Ok(Some(file)) => Self {
                file,
                target,
                partial: None,
                mode,
            }
            .with_mode(),
            Ok(None) => Self::create_named(target),
            Err(error) => Err(HostError::environment(
                target.path(),
                "make a file for it",
                error,
            )),
        }
    }

    /// An empty file with a temporary name, as [`Self::create`] makes it on file systems
    /// without unnamed files.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when none can be made there.
    #[doc(hidden)]
    pub fn create_named(target: Target) -> Result<Self, HostError> {
        let failed = |error: Errno| {
            HostError::environment(target.path(), "make a temporary file for it", error)
        };
        let place = target.folder().place();
        let create = |mode| partial::create(place, target.name(), Mode::from_raw_mode(mode));
        // Until it is verified, the content is nobody else's to read: whoever opened a file before
        // its mode was narrowed would go on reading it.
        let hidden = 0o600;
        let mode = if system::MODES {
            // What the umask leaves of the final mode is seen on a file that stays empty.
            let (probe, fd) = create(0o644).map_err(failed)?;
            let stat = rustix::fs::fstat(&fd);
            rustix::fs::unlinkat(place, &probe, AtFlags::empty()).map_err(failed)?;
            Mode::from_raw_mode(stat.map_err(failed)?.st_mode)
        } else {
            Mode::from_raw_mode(hidden)
        };
        let (name, fd) = create(hidden).map_err(failed)?;
        Ok(Self {
            file: File::from(fd),
            target,
            partial: Some(name),
            mode,
        })
    }

    /// Notes the mode that the umask left, which cannot be asked for without changing it.
    fn with_mode(mut self) -> Result<Self, HostError> {
        let stat = system::stat(&self.file)
            .map_err(|error| self.failed("look at the file for it", error))?;
        self.mode = Mode::from_raw_mode(stat.st_mode);
        Ok(self)
    }

    /// An error of the system about this file.
    fn failed(&self, doing: &'static str, error: impl Into<std::io::Error>) -> HostError {
        HostError::environment(self.target.path(), doing, error)
    }

    /// Gives it another target in the same folder: one whose name follows from the content.
    ///
    /// # Errors
    ///
    /// As [`Target::inside`].
    pub fn renamed(mut self, name: &OsStr, force: bool) -> Result<Self, HostError> {
        self.target = Target::inside(self.target.folder(), name, force)?;
        Ok(self)
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
        if self.partial.is_some() {
            system::set_mode(&self.file, self.mode)
                .map_err(|error| self.failed("set the mode of the file for it", error))?;
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
            (None, false) => system::link_unnamed(&self.file, dir, name),
            (None, true) => self.replace(dir, name),
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
    fn replace(&self, dir: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
        match system::link_unnamed(&self.file, dir, name) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
        system::lock_file(&self.file);
        let (partial, ()) = partial::with_free_name(name, |partial| {
            system::link_unnamed(&self.file, dir, partial)
        })?;
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
        if system::stat(&self.file).is_ok_and(|stat| system::is_named(dir, name, &stat)) {
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

/// Renames to a name that must be free.
fn rename_new(
    place: BorrowedFd<'_>,
    partial: &OsStr,
    dir: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<(), Errno> {
    match system::rename_free(place, partial, dir, name) {
        Err(Errno::NOSYS) => {}
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
