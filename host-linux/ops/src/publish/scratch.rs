//! Files that never get a name.

use std::path::Path;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::folder::Folder;
use super::partial;
use crate::error::HostError;
use crate::system::{self, File};

/// An empty file without a name in a directory, which only this process and its owner can
/// open. It is gone when it is closed, whatever ends the process.
///
/// Under WASI it may lie in memory instead.
///
/// # Errors
///
/// [`HostError::Environment`] when none can be made there.
pub fn scratch(dir: &Path) -> Result<File, HostError> {
    if let Some(file) = system::in_memory(dir) {
        return Ok(file);
    }
    let folder = Folder::open(dir)?;
    let mode = Mode::from_raw_mode(0o600);
    match system::create_nameless(folder.place(), mode) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => unlinked(&folder),
        Err(error) => Err(error),
    }
    .map_err(|error: Errno| HostError::environment(dir, "make a temporary file", error))
}

/// The same where the file system has no such files: its name is gone as soon as it was made.
fn unlinked(folder: &Folder) -> Result<File, Errno> {
    let mode = Mode::from_raw_mode(0o600);
    let (name, fd) = partial::create(folder.place(), "scratch".as_ref(), mode)?;
    rustix::fs::unlinkat(folder.place(), &name, AtFlags::empty())?;
    Ok(File::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    #[test]
    fn has_no_name() {
        let dir = std::env::temp_dir().join(format!("scratch-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let folder = Folder::open(&dir).unwrap();
        let files = [scratch(&dir).unwrap(), unlinked(&folder).unwrap()];
        let names = std::fs::read_dir(&dir).unwrap().count();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(names, 0);
        for file in files {
            let metadata = file.metadata().unwrap();
            assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (0, 0o600));
            file.write_all_at(b"kept", 0).unwrap();
            let mut content = [0; 4];
            file.read_exact_at(&mut content, 0).unwrap();
            assert_eq!(&content, b"kept");
        }
    }
}
