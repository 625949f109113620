//! One final name for one output file.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FileType;

use super::folder::{Folder, here_if_empty, kind_fault, stat_kind};
use crate::error::{HostError, TargetFault};

/// A name in a [`Folder`] that a file may be published under.
#[derive(Clone, Debug)]
pub struct Target {
    folder: Arc<Folder>,
    name: OsString,
    force: bool,
}

impl Target {
    /// The file at this path, whose directory must exist.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`] for a path that does not end in a file's name, else as
    /// [`Self::inside`].
    pub fn new(path: &Path, force: bool) -> Result<Self, HostError> {
        let (folder, name) = Self::parts(path)?;
        Self::inside(&folder, &name, force)
    }

    /// The directory of the file at this path, and its name there.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`] for a path that does not end in a file's name,
    /// [`HostError::Environment`] when the directory cannot be opened.
    pub fn parts(path: &Path) -> Result<(Arc<Folder>, OsString), HostError> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let plain = !bytes.ends_with(b"/") && !bytes.ends_with(b"/.");
        let (true, Some(name)) = (plain, path.file_name()) else {
            return Err(HostError::Usage(format!(
                "{}: expected the name of a file",
                crate::Escaped::name(bytes)
            )));
        };
        let parent = path.parent().map_or(Path::new("."), here_if_empty);
        Ok((Folder::open(parent)?, name.to_owned()))
    }

    /// A name inside a folder. With `force` a file or a symbolic link that has the name is
    /// replaced; a link is never followed.
    ///
    /// # Errors
    ///
    /// [`HostError::Target`] when the name is taken (unless by what `force` replaces),
    /// [`HostError::Usage`] when it is no plain name.
    pub fn inside(folder: &Arc<Folder>, name: &OsStr, force: bool) -> Result<Self, HostError> {
        let bytes = name.as_encoded_bytes();
        if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
            return Err(HostError::Usage(format!(
                "{}: expected the name of a file",
                crate::Escaped::name(bytes)
            )));
        }
        let target = Self {
            folder: Arc::clone(folder),
            name: name.to_owned(),
            force,
        };
        target.check()?;
        Ok(target)
    }

    /// Whether the name may be given to a new file as things are now.
    pub(super) fn check(&self) -> Result<(), HostError> {
        let Some(dir) = self.folder.made() else {
            return Ok(());
        };
        let kind = stat_kind(dir, &self.name)
            .map_err(|error| HostError::environment(self.path(), "look for", error))?;
        match kind {
            None => Ok(()),
            Some(FileType::RegularFile | FileType::Symlink) if self.force => Ok(()),
            Some(kind) => Err(self.fault(kind_fault(kind))),
        }
    }

    /// The error that says why the name cannot be had.
    pub(super) fn fault(&self, fault: TargetFault) -> HostError {
        HostError::target(self.path(), fault)
    }

    /// The path, for messages and reports.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path_of(&self.name)
    }

    /// The folder.
    #[must_use]
    pub const fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// The name in the folder.
    #[must_use]
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    /// Whether what has the name is replaced.
    #[must_use]
    pub const fn force(&self) -> bool {
        self.force
    }
}
