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
mod failed;
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
pub use failed::FAILURES_MAX;

use context::Context;

use crate::chunked::RandomReads;
use crate::done::{Conclude, Done, Failure};
use crate::error::HostError;
use crate::image_file::{ImageFile, ImageFileOptions};
use crate::objects::Objects;
use crate::observer::{Counter, Observer, Work};
use crate::report::{ErrorReport, VERSION, outcome_name, shown};

/// How files are extracted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Restore everything, and fail where that is not permitted. Else owners are left as they
    /// come, and devices and attributes that are not permitted are left out. By default what
    /// `tar` does: whether the user is root.
    pub everything: bool,
    /// Restore extended attributes, ACLs and capabilities among them. Default: yes.
    pub xattrs: bool,
    /// Extract what can be read although something else cannot, and list that. Default: no.
    pub keep_going: bool,
    /// The folder that content is taken from which the image does not hold: the objects of its
    /// overlayfs metacopy files, as in images of composefs. Files that come from there lose the
    /// two attributes that lead there. Default: none, and such files are refused.
    pub objects: Option<PathBuf>,
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
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// `extract`.
    pub command: &'static str,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so.
    pub exit_code: u8,
    /// The source as it was given, escaped.
    pub source: String,
    /// Files and directories.
    pub files: u64,
    /// Bytes of their content, without holes.
    pub bytes: u64,
    /// Files and directories that could not be extracted, where that did not end it.
    pub failed: u64,
    /// Why: the first of them, at most [`FAILURES_MAX`], in the order of their places.
    pub failures: Vec<ErrorReport>,
    /// What was left out, or is not as the image says.
    pub warnings: Vec<String>,
    /// What was read of a layer that is read at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<RandomReads>,
    /// The error that the exit code stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

impl Report {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(source: &Path) -> Self {
        Self {
            version: VERSION,
            command: "extract",
            outcome: outcome_name(0),
            exit_code: 0,
            source: shown(source),
            files: 0,
            bytes: 0,
            failed: 0,
            failures: Vec::new(),
            warnings: Vec::new(),
            reads: None,
            error: None,
        }
    }
}

impl Conclude for Report {
    fn conclude(&mut self, error: Option<&HostError>) {
        self.exit_code = error.map_or(0, HostError::exit_code);
        self.outcome = outcome_name(self.exit_code);
        self.error = error.map(ErrorReport::of);
    }
}

/// Creates the files of an EROFS image in a directory, or writes them as a tar stream.
///
/// `source` is an image, the blob of a layer, which is unpacked and verified first, or `-` for
/// the standard input. `paths` are what is extracted, with everything below; nothing means all of
/// it. A name in a path may be written as it is, or where there is none such, with the escapes
/// that lists show. The parents of a path are made as `mkdir -p` does, unless they are asked for
/// too. No symbolic link in the directory is followed. The directory gets the attributes of the
/// root when all is extracted. After an error it holds a part of the files, each of them whole.
///
/// With [`Options::keep_going`] what is wrong with one file does not end it: that file is left
/// out, nothing of it stays under its name, and it is among the failures. A directory whose own
/// attributes cannot be read stays closed to all but its owner. Limits, memory and what the system
/// would say of every file end it all the same. For a stream each file is then read twice, for
/// its header goes before its content.
///
/// In a tar stream, what a ustar header has no room for goes into pax headers; extended attributes
/// do in the form `SCHILY.xattr.NAME`. A file with several names comes once, then as hard links to
/// its first name. Sockets, which tar does not know, are left out. Without the two blocks of zeros
/// at its end, after an error, the stream is not complete.
///
/// `user.*` attributes of links, pipes, sockets and devices are left out of both, with a warning:
/// no mount of the image gives them out, and no file system takes them.
///
/// # Errors
///
/// Among the failures: what the core refuses of the image; [`HostError::Extract`] for limits and
/// for names that no directory can have; [`HostError::Target`] when a name is taken;
/// [`HostError::Environment`] when the system fails or, with [`Options::everything`], does not
/// permit something.
pub fn extract(
    source: &Path,
    paths: &[OsString],
    destination: Destination<'_>,
    image: &ImageFileOptions,
    options: &Options,
    observer: &dyn Observer,
) -> Done<Report> {
    Done::run(Report::new(source), |done| {
        let file = ImageFile::open(source, image)?;
        file.verify_checksum()?;
        let about_image = file.warning();
        let objects = options.objects.as_deref().map(Objects::open).transpose()?;
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
        let target = match &destination {
            Destination::Directory(directory) => directory.clone(),
            Destination::Tar(_) => "/".into(),
        };
        let context = Context::new(&file, &target, options, objects, &counter);
        let result = match destination {
            Destination::Directory(_) => create::create_files(&context, &file, paths),
            Destination::Tar(out) => tar::write_tar(&context, &file, paths, out),
        };
        observer.end();
        let report = &mut done.report;
        report.files = counter.entries();
        report.bytes = counter.bytes();
        report.reads = file.reads();
        report.warnings = context.skipped.warnings();
        report.warnings.splice(..0, about_image);
        let kept = context.failed.into_kept();
        report.failed = kept.count;
        report.failures = kept.errors.iter().map(ErrorReport::of).collect();
        let failure = |error| Failure { layer: None, error };
        done.failures.extend(kept.errors.into_iter().map(failure));
        result
    })
}
