//! A layer on its way into a cache.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::check::Options;
use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::unpack::{Expectations, Outcome};

use super::content::{Verify, verify_entry};
use super::entry::{open_image, read_sidecar};
use super::{Cache, Sidecar, image_name, sidecar_name, tree};
use crate::checked::Checked;
use crate::error::CacheFault;
use crate::error::HostError;
use crate::image_check::check_image;
use crate::image_file::{FileAt, ImageFile};
use crate::layer::Space;
use crate::opening::Opening;
use crate::parallel::{self, ChunksReport};
use crate::pipeline::{Progress, Terms};
use crate::publish::{Folder, Target, Unpublished};
use crate::source::BlobReader;

/// What came of a layer.
#[derive(Debug)]
pub(super) struct Put {
    /// Where its image lies.
    pub(super) path: PathBuf,
    /// Whether it lay there before, and was verified again.
    pub(super) kept: bool,
    /// Its sidecar, if it has one.
    pub(super) sidecar: Option<Sidecar>,
    /// What the check said; `None` where there was none.
    pub(super) checked: Option<Checked>,
    /// How its chunks served; `None` when it was read from its start, or not at all.
    pub(super) chunks: Option<ChunksReport>,
}

/// How often another writer may come in between before it is said.
const ATTEMPTS: u32 = 8;

/// Puts the layer with this diffID into the cache, unless it is there and verifies again; its
/// blob, with the index of its chunks where it has one, is what `open` gives. Its image is given its
/// name when all has passed.
///
/// With [`Verify::tree`] the image gets a dm-verity tree and a sidecar; one that is there without
/// them is replaced by one that has them. With `force` one that does not verify is replaced too.
///
/// # Errors
///
/// As [`layer::unpack`]; [`CacheFault::Differs`] when an entry is there that is not this layer.
pub(super) fn put_layer(
    cache: &Cache,
    diff_id: &Digest,
    expected: &Expectations,
    how: &Verify<'_>,
    force: bool,
    progress: &Progress,
    open: impl FnOnce() -> Result<Opening, HostError>,
) -> Result<Put, HostError> {
    if let Some(kept) = there_already(cache, diff_id, how, force)? {
        return Ok(kept);
    }
    let folder = cache.shard(diff_id)?;
    let name = image_name(diff_id);
    let new = |name: &str| {
        // That a name is taken is found out when it is given: until then it may come and go.
        Unpublished::create(Target::inside(&folder, OsStr::new(name), true)?)
    };
    let image = new(&name)?;
    let path = cache.path_of(diff_id);
    let mut opening = open()?;
    let space = Space::new(image.file(), path.clone());
    let mut expected = *expected;
    expected.diff_id = Some(*diff_id);
    let unpacked = parallel::unpack(
        &mut opening,
        Some(space),
        &expected,
        &Terms {
            limits: &how.limits,
            sandbox: how.sandbox,
            threads: how.jobs,
            by_chunks: false,
        },
        progress,
    )?;
    let outcome = unpacked.outcome;
    let checked = match how.check {
        Some(options) => Some(check(opening.blob(), &image, &outcome, options, how)?),
        None => None,
    };
    let sidecar = if how.tree {
        Some(append(&image, &outcome, diff_id, how.jobs, &path)?)
    } else {
        None
    };
    let document = match &sidecar {
        Some(sidecar) => {
            let document = new(&sidecar_name(diff_id))?;
            let mut file = document.file();
            file.write_all(sidecar.text().as_bytes())
                .map_err(|error| HostError::environment(&path, "write its sidecar", error))?;
            document.seal()?;
            Some(document)
        }
        None => None,
    };
    image.seal()?;
    for _ in 0..ATTEMPTS {
        let lock = folder.lock()?;
        let there = open_image(&folder, diff_id);
        let replace = match &there {
            Ok(None) => false,
            // What is there was looked at, and is to be replaced, or another writer came first.
            _ => force || (how.tree && matches!(read_sidecar(&folder, diff_id), Ok(None))),
        };
        if replace || matches!(there, Ok(None)) {
            publish(&folder, diff_id, image, document, replace)?;
            drop(lock);
            return Ok(Put {
                path,
                kept: false,
                sidecar,
                checked,
                chunks: unpacked.chunks,
            });
        }
        drop(lock);
        if let Some(kept) = there_already(cache, diff_id, how, force)? {
            return Ok(kept);
        }
    }
    Err(HostError::cache(path, CacheFault::Differs))
}

/// Gives the files their names. Whoever does this has the folder's lock.
fn publish(
    folder: &Arc<Folder>,
    diff_id: &Digest,
    image: Unpublished,
    sidecar: Option<Unpublished>,
    replace: bool,
) -> Result<(), HostError> {
    // A sidecar that is there belongs to the image that is replaced, or was left by a writer
    // that was killed.
    remove(folder, &sidecar_name(diff_id))?;
    if replace {
        image.publish()?;
        return sidecar.map_or(Ok(()), Unpublished::publish);
    }
    sidecar.map_or(Ok(()), Unpublished::publish)?;
    image.publish()
}

/// Removes a name, if it is there.
pub(super) fn remove(folder: &Folder, name: &str) -> Result<bool, HostError> {
    use rustix::fs::AtFlags;
    use rustix::io::Errno;
    let Some(dir) = folder.made() else {
        return Ok(false);
    };
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(HostError::environment(
            folder.path_of(OsStr::new(name)),
            "remove",
            error,
        )),
    }
}

/// The entry that is there already, verified; `None` when there is none, or it is to be replaced.
fn there_already(
    cache: &Cache,
    diff_id: &Digest,
    how: &Verify<'_>,
    force: bool,
) -> Result<Option<Put>, HostError> {
    let mut again = *how;
    again.converted = false;
    match verify_entry(cache, diff_id, &again) {
        Ok(Some(verified)) if verified.sidecar.is_some() || !how.tree => Ok(Some(Put {
            path: cache.path_of(diff_id),
            kept: true,
            sidecar: verified.sidecar,
            checked: verified.checked,
            chunks: None,
        })),
        Ok(_) => Ok(None),
        Err(error) if error.exit_code() == 1 && force => Ok(None),
        Err(HostError::Refused { .. } | HostError::Cache { .. }) => Err(HostError::cache(
            cache.path_of(diff_id),
            CacheFault::Differs,
        )),
        Err(error) => Err(error),
    }
}

/// Checks an image that was unpacked.
fn check(
    blob: &BlobReader,
    image: &Unpublished,
    outcome: &Outcome,
    mut options: Options,
    how: &Verify<'_>,
) -> Result<Checked, HostError> {
    // The gate has looked, and knew what else belongs to the layer.
    options.trailing = false;
    let content = (
        FileAt::sharing(image.file(), blob.place())?,
        outcome.image_size,
    );
    let image = ImageFile::of_layer(blob.place(), content, Vec::new(), &how.limits);
    check_image(&image, &options, how.jobs, how.sandbox)?.verdict()
}

/// Appends the hash tree.
fn append(
    image: &Unpublished,
    outcome: &Outcome,
    diff_id: &Digest,
    threads: usize,
    path: &Path,
) -> Result<Sidecar, HostError> {
    let block_size = outcome
        .superblock
        .as_ref()
        .map_or(4096, erofs_unpack_core::erofs::Superblock::block_size);
    let (file, size) = (image.file(), outcome.image_size);
    tree::append(file, size, block_size, diff_id, threads, path)
}
