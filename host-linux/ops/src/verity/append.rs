//! A tree behind an image in its own file, as containerd makes it.

use std::fs::File;
use std::path::Path;

use erofs_unpack_core::oci::{Algorithm, Digest};
use erofs_unpack_core::verity::{Params, Salt};

use super::format::{Writing, uuid_of, write_tree};
use super::header::Found;
use crate::error::HostError;

/// The salt of containerd's trees (`DefaultDmverityOptions` in `internal/dmverity/dmverity.go`).
const SALT: [u8; 32] = [0; 32];

/// Appends the tree of an image to its file, and gives the tree and its root.
///
/// As containerd does (`FormatLayer`, and `getDmverityOptions` in
/// `plugins/diff/erofs/dmverity_linux.go`): SHA-256, a salt of zeros, hash type 1, a superblock in
/// front; blocks of 4096 bytes, or of 512 where the image has smaller ones, since EROFS takes no
/// device whose blocks are larger than its own. The image is filled up to a whole block with zeros.
/// Other than there, the UUID of the superblock follows from the diffID, so that all writers make
/// the same file.
///
/// # Errors
///
/// [`HostError::Environment`] when the file cannot be read or written.
pub(crate) fn append(
    file: &File,
    path: &Path,
    size: u64,
    block_size: u64,
    diff_id: &Digest,
    threads: usize,
) -> Result<(Found, Digest), HostError> {
    append_salted(file, path, (size, block_size), diff_id, threads, &SALT)
}

/// As [`append`], with this salt. Without one a tree is verified in one pass, wherever its superblock
/// comes only behind the data.
pub(crate) fn append_salted(
    file: &File,
    path: &Path,
    (size, block_size): (u64, u64),
    diff_id: &Digest,
    threads: usize,
    salt: &[u8],
) -> Result<(Found, Digest), HostError> {
    let block: u32 = if block_size < 4096 { 512 } else { 4096 };
    let blocks = size.div_ceil(block.into());
    let mut params = Params::new(Algorithm::Sha256, block, blocks);
    params.salt = Salt::new(salt).map_err(|error| HostError::refused(path, error))?;
    let hash_offset = params
        .data_size()
        .map_err(|error| HostError::refused(path, error))?;
    write_tree(
        (file, path),
        (file, path),
        &params,
        hash_offset,
        &Writing {
            superblock: true,
            uuid: Some(uuid_of(diff_id)),
            threads,
        },
    )
}
