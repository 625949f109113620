//! Output files. What is not verified yet lies under a temporary name in the same folder; WASI
//! knows no files without a name.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::content::Content;
use crate::error::HostError;

const EXISTS: (&str, &str) = (
    "target-exists",
    "exists already: expected a free name, or --force to replace it",
);
const DIRECTORY: (&str, &str) = (
    "target-directory",
    "is a directory: expected the name of a file",
);
const SYMLINK: (&str, &str) = (
    "target-symlink",
    "is a symbolic link, which is never followed: expected a free name, or --force to replace \
     the link itself",
);
const SPECIAL: (&str, &str) = (
    "target-special",
    "is a device, a pipe or a socket, which is never replaced: expected a free name",
);

/// A file with a temporary name, which is removed when it comes to nothing.
#[derive(Debug)]
pub(crate) struct Temporary {
    path: PathBuf,
    kept: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a file that nobody else has, in a folder.
pub(crate) fn temporary(folder: &Path, name: &str) -> io::Result<(Temporary, Content)> {
    for number in 0..10_000 {
        let path = folder.join(format!(".{name}.{number:04}.partial"));
        let mut options = OpenOptions::new();
        let made: io::Result<File> = options.read(true).write(true).create_new(true).open(&path);
        match made {
            Ok(file) => {
                let temporary = Temporary { path, kept: false };
                return Ok((temporary, Content::File(RefCell::new(file))));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A name that an output is to have.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    path: &'a Path,
    force: bool,
}

impl<'a> Target<'a> {
    /// Says early what would go wrong at the end.
    pub(crate) fn new(path: &'a Path, force: bool) -> Result<Self, HostError> {
        let fault = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(HostError::environment(path, "look at", error)),
            Ok(found) if found.is_dir() => Some(DIRECTORY),
            Ok(_) if force => None,
            Ok(found) if found.is_symlink() => Some(SYMLINK),
            Ok(found) if found.is_file() => Some(EXISTS),
            Ok(_) => Some(SPECIAL),
        };
        match fault {
            None => Ok(Self { path, force }),
            Some(fault) => Err(HostError::Target {
                place: path.to_owned(),
                fault,
            }),
        }
    }

    /// A temporary file beside it.
    pub(crate) fn temporary(&self) -> Result<(Temporary, Content), HostError> {
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        temporary(folder, &name).map_err(|error| HostError::environment(self.path, "create", error))
    }

    /// Gives a complete, verified file its name.
    pub(crate) fn publish(self, temporary: Temporary, content: Content) -> Result<(), HostError> {
        let failed = |doing| move |error| HostError::environment(self.path, doing, error);
        if let Content::File(file) = &content {
            file.borrow().sync_all().map_err(failed("write"))?;
        }
        drop(content);
        if self.force {
            let mut temporary = temporary;
            fs::rename(&temporary.path, self.path).map_err(failed("name"))?;
            temporary.kept = true;
            return Ok(());
        }
        // A second name replaces nothing that has come meanwhile, as renaming would.
        match fs::hard_link(&temporary.path, self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(HostError::Target {
                place: self.path.to_owned(),
                fault: EXISTS,
            }),
            Err(error) => Err(failed("name")(error)),
        }
    }
}
