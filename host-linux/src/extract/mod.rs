//! The files of an image, created in a directory or written as a tar stream.
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
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

pub use crate::error::ExtractFault;
pub use tar::write_tar;

use context::Context;
use directory::Directory;
use make::Maker;
use plan::{Planner, perform};
use pool::{Taker, queue};

use crate::error::HostError;
use crate::image_file::ImageFile;

/// Most threads that create files. More do not help, and each holds directories open.
const MAX_JOBS: usize = 32;

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

/// How far an extraction has come, seen from any thread.
#[derive(Debug, Default)]
pub struct Progress {
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Files and directories so far.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Bytes of content so far, without holes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn add_entry(&self) {
        self.entries.fetch_add(1, Ordering::Relaxed);
    }

    fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Creates files of an image in a directory, and returns what is to be told as warnings.
///
/// `paths` are what is extracted, with everything below; nothing means all of it. The parents
/// of a path are made as `mkdir -p` does, unless they are asked for too. The directory is made
/// if it does not exist, and gets the attributes of the root when all is extracted.
///
/// # Errors
///
/// What the core refuses of the image; [`HostError::Extract`] for limits and for names that no
/// directory can have; [`HostError::Target`] when a name is taken; [`HostError::Environment`]
/// when the system fails or, with [`Options::everything`], does not permit something.
pub fn extract(
    file: &ImageFile,
    paths: &[OsString],
    directory: &Path,
    options: &Options,
    progress: &Progress,
) -> Result<Vec<String>, HostError> {
    let context = Context::new(file, directory, options, progress);
    let image = file.image()?;
    let selection = paths::find(&context, &image, paths)?;
    let whole = selection
        .iter()
        .find(|found| found.names.is_empty())
        .map(|found| found.inode);
    let root = Directory::target(directory, whole)?;
    let jobs = options.jobs.clamp(1, MAX_JOBS);
    if jobs == 1 {
        Planner::new(&context, &image, root, None).run(&selection)?;
        return Ok(context.skipped.warnings());
    }
    let (sender, taker) = queue();
    let mut errors = Vec::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| {
                let taker = taker.clone();
                scope.spawn(|| work(file, &context, taker))
            })
            .collect();
        drop(taker);
        let planned = Planner::new(&context, &image, root, Some(sender)).run(&selection);
        if planned.is_err() {
            context.stop();
        }
        errors.extend(planned.err());
        for worker in workers {
            match worker.join() {
                Ok(outcome) => errors.extend(outcome.err()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    // A refusal counts more than what the system said, and what was stopped least.
    let rank = |error: &HostError| match error {
        HostError::Cancelled => 2,
        error => u8::from(error.exit_code() != 1),
    };
    match errors.into_iter().min_by_key(rank) {
        Some(error) => Err(error),
        None => Ok(context.skipped.warnings()),
    }
}

/// Creates files until there are no more.
fn work(file: &ImageFile, context: &Context<'_>, taker: Taker) -> Result<(), HostError> {
    let result = (|| {
        let image = file.image()?;
        let mut maker = Maker::new(context, &image);
        while let Some(batch) = taker.take() {
            for task in batch.tasks {
                if context.is_stopped() {
                    return Err(HostError::Cancelled);
                }
                perform(&mut maker, task)?;
            }
        }
        Ok(())
    })();
    if result.is_err() {
        context.stop();
        // The walk must not wait for room in the queue.
        drop(taker);
    }
    result
}
