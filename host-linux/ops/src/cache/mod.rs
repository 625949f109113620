//! containerd's cache of layer content: EROFS images that its erofs snapshotter takes instead of
//! downloading and converting a layer.
//!
//! The form is containerd's (2.4.0-beta, `layer_content_caches` in
//! `plugins/snapshots/erofs/erofs.go`): the image of the layer with the diffID `ALGO:HEX` lies at
//! `DIR/ALGO/XX/HEX.erofs`, `XX` being the first two digits (`CacheBlobPath` in
//! `internal/erofsutils`). containerd looks at nothing but whether that name exists, never
//! writes, and puts a symbolic link to it into each snapshot, so an entry must stay as long as
//! one of them. Beside it may lie `HEX.erofs.dmverity` (see [`Sidecar`]); the hash tree that this
//! document speaks of is appended to the image (`FormatLayer` in
//! `internal/dmverity/dmverity_linux.go`).
//!
//! Writers keep to this:
//!
//! - An image is verified before it has a name. One that is not in use gets its sidecar first,
//!   as with `ctr images build-erofs-cache` (`cmd/ctr/commands/images/build_erofs_cache.go`), since
//!   readers go by the image; when an image is replaced, the sidecar comes last, so that no
//!   reader meets one without its tree.
//! - The names of a folder `XX` change under a lock on that folder (`flock`).
//! - No symbolic link beneath DIR is followed. Names of another form are nobody's business here.

mod collect;
mod content;
mod entry;
mod gc;
mod layer;
mod list;
mod put;
mod report;
mod tree;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::oci::{Algorithm, Digest};

use crate::error::HostError;
use crate::publish::Folder;

pub use crate::error::CacheFault;
pub use crate::sidecar::Sidecar;
pub use collect::{Keep, Removed, collect, snapshot_links};
pub use content::{Content, Verify, verify_entry};
pub use entry::{Entry, Listing, Other};
pub use gc::{Collected, GcOptions, SNAPSHOTTER, gc};

pub use list::{Listed, list};
pub use put::{PutLayer, PutLayers, PutOptions, put};
pub use report::{EntryReport, Report};
pub use verify::{Verified, VerifiedEntry, VerifyOptions, verify};

/// The folder of a cache, held open.
#[derive(Debug)]
pub struct Cache {
    folder: Arc<Folder>,
}

impl Cache {
    /// Opens a cache that exists.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when it is missing, is no directory or may not be opened.
    pub fn open(path: &Path) -> Result<Self, HostError> {
        let folder = Folder::open(path).map_err(|error| match error {
            HostError::Environment { place, error, .. } => {
                HostError::environment(place, "open the cache", error)
            }
            other => other,
        })?;
        Ok(Self { folder })
    }

    /// Opens a cache, which is made if it is missing, though not its parents.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when it can be neither opened nor made.
    pub fn open_or_make(path: &Path) -> Result<Self, HostError> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(HostError::environment(path, "make the directory", error))
            }
            _ => Self::open(path),
        }
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder in which an entry lies.
    fn shard(&self, diff_id: &Digest) -> Result<Arc<Folder>, HostError> {
        let shard: PathBuf = [diff_id.algorithm().name(), &format!("{:.2}", diff_id.hex())]
            .iter()
            .collect();
        self.folder.below(&shard)
    }

    /// Where the image of a layer lies or would lie.
    #[must_use]
    pub fn path_of(&self, diff_id: &Digest) -> PathBuf {
        let mut path = self.path().join(diff_id.algorithm().name());
        path.push(format!("{:.2}", diff_id.hex()));
        path.push(image_name(diff_id));
        path
    }
}

/// The algorithms that a diffID may have, in the order in which entries are listed.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

/// The end of an image's name.
const IMAGE: &str = ".erofs";

/// The end of a sidecar's name.
const SIDECAR: &str = ".erofs.dmverity";

/// The name of an entry's image in its folder.
fn image_name(diff_id: &Digest) -> String {
    format!("{}{IMAGE}", diff_id.hex())
}

/// The name of an entry's sidecar in its folder.
fn sidecar_name(diff_id: &Digest) -> String {
    format!("{}{SIDECAR}", diff_id.hex())
}
