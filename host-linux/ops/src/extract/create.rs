//! The files of an image, created in a directory by several threads.

use std::ffi::OsString;
use std::thread;

use super::context::Context;
use super::directory::Directory;
use super::make::Maker;
use super::paths;
use super::plan::{Planner, perform};
use super::pool::{Taker, queue};
use crate::error::HostError;
use crate::image_file::ImageFile;

/// Most threads that create files. More do not help, and each holds directories open.
const MAX_JOBS: usize = 32;

/// Creates files of an image in a directory.
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
pub(super) fn create_files(
    context: &Context<'_>,
    file: &ImageFile,
    paths: &[OsString],
) -> Result<(), HostError> {
    let image = file.image()?;
    let selection = paths::find(context, &image, paths)?;
    let whole = selection
        .iter()
        .find(|found| found.names.is_empty())
        .map(|found| found.inode);
    let root = Directory::target(context.target, whole)?;
    let jobs = context.options.jobs.clamp(1, MAX_JOBS);
    if jobs == 1 {
        return Planner::new(context, &image, root, None).run(&selection);
    }
    let (sender, taker) = queue();
    let mut errors = Vec::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|_| {
                let taker = taker.clone();
                scope.spawn(|| work(file, context, taker))
            })
            .collect();
        drop(taker);
        let planned = Planner::new(context, &image, root, Some(sender)).run(&selection);
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
        None => Ok(()),
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
