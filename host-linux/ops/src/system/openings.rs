//! What stays open in [confinement](super::Confinement): files and folders that the work is about.

use std::path::{Path, PathBuf};

use super::temp_dir;

/// What may be done with a file, or with a folder and all that is below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Files are read, folders listed.
    Read,
    /// Only folders are listed.
    List,
    /// Files are made that have no name, or lose it at once.
    Spool,
    /// Files are made and given names in this folder.
    Publish,
    /// The same, and the folder itself is made in this one.
    Make,
    /// Files of all types are made, in folders of their own, and everything that is there may go.
    Extract,
    /// A file is written anew.
    Rewrite,
    /// A file is made and written.
    Create,
}

/// The files and folders that are left. What is not there when the process is confined stays out
/// of reach when it appears.
#[derive(Clone, Debug, Default)]
pub struct Openings(Vec<(PathBuf, Use)>);

impl Openings {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The files and folders, and what may be done with each.
    pub fn iter(&self) -> impl Iterator<Item = &(PathBuf, Use)> {
        self.0.iter()
    }

    fn add(&mut self, path: &Path, meant: Use) {
        // The parent of a bare name is the current directory.
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        self.0.push((path.to_owned(), meant));
    }

    /// A file, or a folder with all that is below it, is read. `-` is the standard input, which is
    /// open already.
    pub fn read(&mut self, path: &Path) {
        if path != Path::new("-") {
            self.add(path, Use::Read);
        }
    }

    /// Unnamed files are made in a folder.
    pub fn spool(&mut self, dir: &Path) {
        self.add(dir, Use::Spool);
    }

    /// A source is read, and put into the system's folder for temporary files if it has to be: what
    /// comes from a pipe, and an archive that is compressed or stores a member without its holes.
    pub fn source(&mut self, path: &Path) {
        self.read(path);
        if !path.is_dir() {
            self.spool(&temp_dir());
        }
    }

    /// A file, or a folder of files, is published there: what `unpack -o` takes.
    pub fn output(&mut self, path: &Path) {
        let parent = path.parent().unwrap_or(path);
        if path.is_dir() {
            self.add(path, Use::Publish);
            if !path.as_os_str().as_encoded_bytes().ends_with(b"/") && path.file_name().is_some() {
                // One layer would go there as a file: what is in its way is looked for.
                self.add(parent, Use::List);
            }
        } else {
            self.add(parent, Use::Make);
        }
    }

    /// A cache is filled, made if need be, or cleaned: folders are made in it, files published, and
    /// names removed.
    pub fn cache(&mut self, dir: &Path) {
        if dir.is_dir() {
            self.add(dir, Use::Make);
        } else {
            self.add(dir.parent().unwrap_or(dir), Use::Make);
        }
    }

    /// The files of an image are created in a folder, which is made if need be.
    pub fn extract(&mut self, dir: &Path) {
        if dir.is_dir() {
            self.add(dir, Use::Extract);
        } else {
            self.add(dir.parent().unwrap_or(dir), Use::Extract);
        }
        // It says which permissions new files get.
        self.read(Path::new("/proc/self/status"));
    }

    /// A report is written: into a file that is there, or that is made. `-` is the standard
    /// output.
    pub fn report(&mut self, path: &Path) {
        if path == Path::new("-") {
        } else if path.exists() {
            self.add(path, Use::Rewrite);
        } else {
            self.add(path.parent().unwrap_or(Path::new("/")), Use::Create);
        }
    }
}
