//! What goes out of a cache.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use erofs_unpack_core::oci::Digest;

use super::entry::{Entry, Other};
use super::layer::remove;
use super::{Cache, image_name, sidecar_name};
use crate::error::HostError;
use crate::publish::sweep_those;

/// Which entries stay.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Keep {
    /// Those of these diffIDs.
    pub diff_ids: BTreeSet<Digest>,
    /// Those to whose files these paths lead: what the snapshots of containerd link to.
    pub files: BTreeSet<PathBuf>,
    /// Those that were put there after this second since 1970.
    pub since: Option<i64>,
}

impl Keep {
    /// Whether an entry stays.
    fn keeps(&self, cache: &Cache, entry: &Entry) -> bool {
        self.diff_ids.contains(&entry.diff_id)
            || self.since.is_some_and(|since| entry.modified > since)
            || fs::canonicalize(cache.path_of(&entry.diff_id))
                .is_ok_and(|path| self.files.contains(&path))
    }
}

/// What went, or would go.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Removed {
    /// Entries.
    pub entries: Vec<Entry>,
    /// Sidecars without an image.
    pub sidecars: Vec<PathBuf>,
    /// Temporary files.
    pub temporary: usize,
    /// How many entries stay.
    pub kept: usize,
}

/// Removes the temporary files and sidecars that killed writers left, and with `keep` the entries
/// that nothing in it keeps. With `dry_run` it only says what would go.
///
/// # Errors
///
/// [`HostError::Environment`] when something cannot be listed or removed.
pub fn collect(cache: &Cache, keep: Option<&Keep>, dry_run: bool) -> Result<Removed, HostError> {
    let listing = cache.list()?;
    let mut removed = Removed::default();
    for entry in listing.entries {
        if keep.is_none_or(|keep| keep.keeps(cache, &entry)) {
            removed.kept += 1;
            continue;
        }
        if !dry_run {
            let folder = cache.shard(&entry.diff_id)?;
            let _lock = folder.lock()?;
            // Readers go by the image, so it goes first.
            remove(&folder, &image_name(&entry.diff_id))?;
            remove(&folder, &sidecar_name(&entry.diff_id))?;
        }
        removed.entries.push(entry);
    }
    for other in listing.others {
        match other {
            Other::Sidecar(path, diff_id) => {
                if dry_run || remove_orphan(cache, &diff_id)? {
                    removed.sidecars.push(path);
                }
            }
            Other::Temporary(path) => removed.temporary += temporary(cache, &path, dry_run)?,
            Other::Foreign(_) => {}
        }
    }
    Ok(removed)
}

/// Removes a sidecar whose image is still not there when no writer can be at work.
fn remove_orphan(cache: &Cache, diff_id: &Digest) -> Result<bool, HostError> {
    let folder = cache.shard(diff_id)?;
    let _lock = folder.lock()?;
    match folder.existing(OsStr::new(&image_name(diff_id))) {
        Ok(None) => remove(&folder, &sidecar_name(diff_id)),
        // Whatever has the name: it is there.
        Ok(Some(_)) | Err(_) => Ok(false),
    }
}

/// Removes a temporary file if nobody writes it, and says how many that were: one or none.
fn temporary(cache: &Cache, path: &Path, dry_run: bool) -> Result<usize, HostError> {
    let below = path.strip_prefix(cache.path()).unwrap_or(path);
    let (Some(parent), Some(name)) = (below.parent(), below.file_name()) else {
        return Ok(0);
    };
    let meant = |found: &[u8]| found == name.as_bytes();
    if parent.as_os_str().is_empty() {
        return sweep_those(&cache.folder, meant, dry_run);
    }
    let folder = cache.folder.below(parent)?;
    if folder.made().is_none() {
        return Ok(0);
    }
    sweep_those(&folder, meant, dry_run)
}

/// What the snapshots of containerd's erofs snapshotter, whose root this is, link to: the
/// targets of `snapshots/*/layer.erofs` (`prepareDirectory` and `layerBlobPath` in
/// `plugins/snapshots/erofs/erofs.go`), as they are without links.
///
/// # Errors
///
/// [`HostError::Environment`] when the folder cannot be listed or a link not be read: what
/// containerd needs is not known then.
pub fn snapshot_links(root: &Path) -> Result<BTreeSet<PathBuf>, HostError> {
    let folder = root.join("snapshots");
    let failed = |error| HostError::environment(&folder, "list the snapshots", error);
    let mut links = BTreeSet::new();
    for snapshot in fs::read_dir(&folder).map_err(failed)? {
        let layer = snapshot.map_err(failed)?.path().join("layer.erofs");
        match fs::symlink_metadata(&layer) {
            Ok(metadata) if metadata.is_symlink() => match fs::canonicalize(&layer) {
                Ok(path) => drop(links.insert(path)),
                // It leads nowhere: nothing is lost.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(HostError::environment(layer, "follow the link", error));
                }
            },
            Ok(_) => {}
            // No layer yet, a snapshot that goes, or no snapshot at all.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(HostError::environment(layer, "look at", error)),
        }
    }
    Ok(links)
}
