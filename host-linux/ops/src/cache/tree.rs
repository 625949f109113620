//! dm-verity hash trees behind images: made as containerd makes them, and verified.

use std::fs::File;
use std::path::Path;

use erofs_unpack_core::oci::Digest;

use crate::error::{CacheFault, HostError};
use crate::sidecar::Sidecar;
use crate::verity::{self, Found, verify_tree};

/// Appends the tree of an image to its file, and gives the sidecar.
///
/// # Errors
///
/// [`HostError::Environment`] when the file cannot be read or written; `place` is what the image is
/// called then.
pub(super) fn append(
    file: &File,
    size: u64,
    block_size: u64,
    diff_id: &Digest,
    threads: usize,
    place: &Path,
) -> Result<Sidecar, HostError> {
    let (found, root) = verity::append(file, place, size, block_size, diff_id, threads)?;
    Ok(Sidecar {
        root_hash: root.hex().to_string(),
        hash_offset: found.offset(),
    })
}

/// Whether the tree that the sidecar speaks of lies in the file and is that of everything before it.
///
/// # Errors
///
/// [`HostError::Cache`] when it is not, [`HostError::Environment`] when the file cannot be read.
pub(super) fn verify(
    file: &File,
    sidecar: &Sidecar,
    threads: usize,
    place: &Path,
) -> Result<(), HostError> {
    let fault = |error: HostError| match error {
        HostError::Refused { .. } => HostError::cache(place, CacheFault::Tree),
        other => other,
    };
    let found = Found::read(file, place, sidecar.hash_offset, None).map_err(fault)?;
    // The superblock says how far the tree goes: one of a part would verify that part only.
    let root = sidecar.root().filter(|root| {
        root.algorithm() == found.params.algorithm
            && found.params.data_size() == Ok(sidecar.hash_offset)
    });
    let Some(root) = root else {
        return Err(HostError::cache(place, CacheFault::Tree));
    };
    verify_tree((file, place), (file, place), &found, &root, threads).map_err(fault)
}
