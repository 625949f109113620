//! The operation `extract`: the files of an image, created in a directory or written as a tar
//! stream.
//!
//! Nothing here trusts the image, or what is in the target already: names go to the system
//! one at a time, relative to an open directory, and no symbolic link is followed.
//! What the image says of a file counts only for that file.
//!
//! One thread walks over the image and makes the directories; others create the files in
//! them. A directory gets its attributes when the last of its files is there.
//!
//! After an error the target holds a part of the image: whole files with all of their
//! attributes, and directories that may lack theirs. A signal may leave a file half written.

mod attributes;
mod context;
mod create;
mod directory;
mod links;
mod make;
mod names;
mod node;
mod paths;
mod plan;
mod pool;
mod skipped;
mod tar;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use crate::error::ExtractFault;

use crate::error::HostError;
use crate::image_file::{ImageFile, ImageFileOptions};
use crate::observer::{Counter, Observer, Work};
use crate::report::shown;

/// How files are extracted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Restore everything, and fail where that is not permitted. Else owners are left as they
    /// come, and devices and attributes that are not permitted are left out. By default what
    /// `tar` does: whether the user is root.
    pub everything: bool,
    /// Replace what has a name already, unless it is a directory.
    pub replace: bool,
    /// Threads that create files, 1 to 32. Default 1.
    pub jobs: usize,
    /// Most bytes of content, in all files; what an image has as holes takes none of it, other
    /// than in a stream. Default 1 TiB: 16 times the largest image.
    pub max_size: u64,
    /// Most files at a time that further names are expected of, each of which takes some 200
    /// bytes and its name. Default 2^20.
    pub max_links: u64,
}

/// Where files go.
pub enum Destination<'a> {
    /// Into this directory, which is made if it does not exist; its parents are not.
    Directory(PathBuf),
    /// Into a stream, as a tar archive.
    Tar(&'a mut dyn Write),
}

impl core::fmt::Debug for Destination<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Directory(path) => f.debug_tuple("Directory").field(path).finish(),
            Self::Tar(_) => f.debug_tuple("Tar").finish_non_exhaustive(),
        }
    }
}

/// What was extracted.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Files and directories.
    pub files: u64,
    /// Bytes of their content, without holes.
    pub bytes: u64,
    /// What was left out, or is not as the image says.
    pub warnings: Vec<String>,
}

/// Creates the files of an EROFS image in a directory, or writes them as a tar stream.
///
/// `source` is an image, the blob of a layer, which is unpacked and verified first, or `-` for
/// the standard input. `paths` are what is extracted, with everything below; nothing means all of
/// it. The parents of a path are made as `mkdir -p` does, unless they are asked for too. No
/// symbolic link in the directory is followed. The directory gets the attributes of the root when
/// all is extracted. After an error it holds a part of the files, each of them whole.
///
/// In a tar stream, what a ustar header has no room for goes into pax headers; extended attributes
/// do in the form `SCHILY.xattr.NAME`. A file with several names comes once, then as hard links to
/// its first name. Sockets, which tar does not know, are left out. Without the two blocks of zeros
/// at its end, after an error, the stream is not complete.
///
/// # Errors
///
/// What the core refuses of the image; [`HostError::Extract`] for limits and for names that no
/// directory can have; [`HostError::Target`] when a name is taken; [`HostError::Environment`]
/// when the system fails or, with [`Options::everything`], does not permit something.
pub fn extract(
    source: &Path,
    paths: &[OsString],
    destination: Destination<'_>,
    image: &ImageFileOptions,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Report, HostError> {
    let file = ImageFile::open(source, image)?;
    file.verify_checksum()?;
    // What the image says of itself serves for the progress only.
    let total = if paths.is_empty() {
        Some(file.image()?.superblock().inodes).filter(|total| *total > 0)
    } else {
        None
    };
    let counter = Arc::new(Counter::default());
    observer.begin(Work::Files {
        name: shown(file.place()),
        total,
        done: Arc::clone(&counter),
    });
    let result = match destination {
        Destination::Directory(directory) => {
            create::create_files(&file, paths, &directory, options, &counter)
        }
        Destination::Tar(out) => tar::write_tar(&file, paths, out, options, &counter),
    };
    observer.end();
    Ok(Report {
        warnings: result?,
        files: counter.entries(),
        bytes: counter.bytes(),
    })
}
