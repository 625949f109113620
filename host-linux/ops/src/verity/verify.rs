//! The operation `verity verify`: data and tree are held against a root.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use erofs_unpack_core::erofs::ReadError;
use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::verity::{Compare, Difference, Params, Tree, check_block};
use erofs_unpack_core::{At, Code, Error, Value};

use super::Report;
use super::blocks::hash_blocks;
use super::disk::Stored;
use super::header::{Found, Place, behind_image, open};
use crate::error::HostError;

/// What is verified.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// The root digest, in hex: of which algorithm, the tree says.
    pub root: Vec<u8>,
    /// How the tree is made, where it has no superblock. With 0 data blocks it covers all of the data.
    pub without_superblock: Option<Params>,
    /// How many threads hash.
    pub threads: usize,
}

/// Verifies data and tree.
///
/// # Errors
///
/// [`HostError::Refused`] when they are not those of the root, with the place that `veritysetup verify`
/// names in its note; [`HostError::Environment`] when they cannot be read.
pub fn verify(place: &Place, options: &VerifyOptions) -> Result<Report, HostError> {
    let (data, size) = open(&place.data, false)?;
    let (hashes, hash_size) = open(place.hashes(), false)?;
    let offset = match (place.offset, &place.hashes) {
        (Some(offset), _) => offset,
        (None, Some(_)) => 0,
        (None, None) => behind_image(&hashes, place.hashes())?,
    };
    let mut without = options.without_superblock;
    if let Some(params) = &mut without
        && params.data_blocks == 0
    {
        let end = if place.hashes.is_some() { size } else { offset };
        params.data_blocks = end / u64::from(params.data_block_size.max(1));
    }
    let found = Found::read(&hashes, place.hashes(), offset, without)?;
    let root = Digest::from_bytes(found.params.algorithm, &options.root).ok_or_else(|| {
        HostError::Usage(format!(
            "the root hash has {} bytes, and the tree is of {}",
            options.root.len(),
            found.params.algorithm
        ))
    })?;
    verify_tree(
        (&data, &place.data),
        (&hashes, place.hashes()),
        &found,
        &root,
        options.threads,
    )?;
    Ok(Report::new(
        "verity verify",
        &place.data,
        place.hashes(),
        &found,
        Some(root),
        hash_size,
    ))
}

/// Holds data and tree against a root.
pub(crate) fn verify_tree(
    (data, data_path): (&File, &Path),
    (hashes, path): (&File, &Path),
    found: &Found,
    root: &Digest,
    threads: usize,
) -> Result<(), HostError> {
    let Found { params, layout, .. } = found;
    let stored = Stored::new(hashes);
    let mut compare = Compare::new(params, layout, &stored);
    let mut tree = Tree::new(params);
    // A tree that is cut off is no failure of the system.
    let ended = |error: io::Error, path: &Path| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            HostError::refused(path, Error::new(Code::VerityTruncated, At::Whole))
        }
        _ => HostError::environment(path, "read", error),
    };
    let mut of_tree = false;
    let hashed = hash_blocks(data, params, threads, |digest| {
        tree.push(digest, &mut compare)
            .inspect_err(|_| of_tree = true)?;
        // Nothing counts more than the first block of data that differs.
        Ok(compare.difference().is_none_or(|found| found.level > 0))
    });
    hashed.map_err(|error| ended(error, if of_tree { path } else { data_path }))?;
    let mut made = None;
    if compare.difference().is_none_or(|found| found.level > 0) {
        made = tree
            .finish(&mut compare)
            .map_err(|error| ended(error, path))?;
    }
    if let Some(difference) = compare.difference() {
        return Err(refusal(
            difference,
            (data, data_path),
            path,
            found,
            root,
            &stored,
        ));
    }
    match made {
        Some(made) if made.digest == *root => Ok(()),
        Some(made) => Err(HostError::refused_with(
            path,
            Error::new(Code::VerityRoot, At::Whole)
                .found(Value::Digest(made.digest))
                .expected(Value::Digest(*root)),
            "Verification of root hash failed".into(),
        )),
        None => Err(HostError::refused(
            data_path,
            Error::new(Code::VerityTruncated, At::Whole),
        )),
    }
}

/// What is wrong: data or tree, as the path down from the root says.
fn refusal(
    difference: Difference,
    (data, data_path): (&File, &Path),
    path: &Path,
    found: &Found,
    root: &Digest,
    stored: &Stored<'_>,
) -> HostError {
    let Found { params, layout, .. } = found;
    let position = difference.position(params, layout);
    let note = if difference.is_spare {
        format!("Spare area is not zeroed at position {position}")
    } else {
        format!("Verification failed at position {position}")
    };
    let tree = Error::new(Code::VerityHash, At::Image(position));
    let Some(index) = difference.data_block(params) else {
        return HostError::refused_with(path, tree, note);
    };
    let mut block = vec![0; params.data_block_size as usize];
    let mut memory = vec![0; layout.block_size() as usize];
    let start = index.saturating_mul(params.data_block_size.into());
    if let Err(error) = data.read_exact_at(&mut block, start) {
        return HostError::environment(data_path, "read", error);
    }
    match check_block(params, layout, root, stored, index, &block, &mut memory) {
        Err(ReadError::Refused(error)) if error.code() == Code::VerityData => {
            HostError::refused_with(data_path, error, note)
        }
        Err(ReadError::Refused(error)) => HostError::refused_with(path, error, note),
        Err(ReadError::Source(error)) => HostError::environment(path, "read", error),
        // It was changed meanwhile.
        Ok(()) => HostError::refused_with(path, tree, note),
    }
}
