//! The content of an entry: whether it is what its name states.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use erofs_unpack_core::check::Options;
use erofs_unpack_core::oci::{Digest, Hasher};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use super::entry::{open_image, read_sidecar};
use super::{Cache, Sidecar, tree};
use crate::checked::Checked;
use crate::error::CacheFault;
use crate::error::HostError;
use crate::image_check::check_image;
use crate::image_file::{FileAt, ImageFile};
use crate::sandbox::Sandbox;

/// How much is read at once, in bytes.
const BUFFER: usize = 1 << 20;

/// The largest block of the hash trees that containerd makes, in bytes.
const BLOCK: u64 = 4096;

/// What is verified of an entry besides its digest.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Verify<'a> {
    /// What the image is checked for; `None` for not at all.
    pub check: Option<Options>,
    /// Threads of one check.
    pub jobs: usize,
    /// Whether dm-verity trees are verified, and made where images are put.
    pub tree: bool,
    /// Whether an image whose digest is another passes if all else does: one that was made from
    /// a tar layer lies under the diffID of the tar archive.
    pub converted: bool,
    /// What an image may ask for.
    pub limits: Limits,
    /// Where layers are decoded and images are checked.
    pub sandbox: &'a Sandbox,
}

impl<'a> Verify<'a> {
    /// Verifies the digest, and what the check is asked for, on one thread.
    #[must_use]
    pub const fn new(check: Option<Options>, limits: Limits, sandbox: &'a Sandbox) -> Self {
        Self {
            check,
            jobs: 1,
            tree: false,
            converted: false,
            limits,
            sandbox,
        }
    }
}

/// An entry that was verified.
#[derive(Debug)]
#[non_exhaustive]
pub struct Content {
    /// What the check said; `None` where there was none.
    pub checked: Option<Checked>,
    /// Its sidecar, if it has one.
    pub sidecar: Option<Sidecar>,
    /// Whether its digest is the one that its name states. Without [`Verify::converted`] it
    /// always is.
    pub is_named: bool,
}

/// Verifies an entry; `None` when there is none.
///
/// With a sidecar the digest is that of what lies before the tree, up to zeros that fill its
/// last block.
///
/// # Errors
///
/// [`HostError::Refused`] when the digest is another, [`HostError::Check`] when the check
/// refuses the image, [`HostError::Cache`] for what is wrong besides.
pub fn verify_entry(
    cache: &Cache,
    diff_id: &Digest,
    how: &Verify<'_>,
) -> Result<Option<Content>, HostError> {
    let folder = cache.shard(diff_id)?;
    if folder.made().is_none() {
        return Ok(None);
    }
    // Image and sidecar are of one state.
    let lock = folder.lock()?;
    let Some(file) = open_image(&folder, diff_id)? else {
        return Ok(None);
    };
    let sidecar = read_sidecar(&folder, diff_id)?;
    drop(lock);
    let place = cache.path_of(diff_id);
    let failed = |error| HostError::environment(&place, "read", error);
    let length = file.metadata().map_err(failed)?.len();
    let end = match &sidecar {
        Some(sidecar) if sidecar.hash_offset < length => sidecar.hash_offset,
        Some(_) => return Err(HostError::cache(&place, CacheFault::Tree)),
        None => length,
    };
    let padded = sidecar.is_some();
    let found = digest_of(&file, end, padded, diff_id).map_err(failed)?;
    let is_named = found.digest == *diff_id;
    if !is_named && !how.converted {
        let error = Error::new(Code::DiffId, At::Whole)
            .found(Value::Digest(found.digest))
            .expected(Value::Digest(*diff_id));
        return Err(HostError::refused(place, error));
    }
    let checked = match how.check {
        Some(options) => Some(check(&file, found.length, options, is_named, &place, how)?),
        None => None,
    };
    if let Some(sidecar) = sidecar.as_ref().filter(|_| how.tree) {
        tree::verify(&file, sidecar, how.jobs, &place)?;
    }
    Ok(Some(Content {
        checked,
        sidecar,
        is_named,
    }))
}

/// Checks an image of this length.
fn check(
    file: &File,
    length: u64,
    mut options: Options,
    is_named: bool,
    place: &Path,
    how: &Verify<'_>,
) -> Result<Checked, HostError> {
    // What a layer's digest covers behind its image is the layer's: a chunk index, a hash tree.
    options.trailing &= !is_named;
    let content = (FileAt::sharing(file, place)?, length);
    let image = ImageFile::of_layer(place, content, Vec::new(), &how.limits);
    check_image(&image, &options, how.jobs, how.sandbox)?.verdict()
}

/// The digest of the first bytes of a file, and their number.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    digest: Digest,
    length: u64,
}

/// The digest of everything before `end`. With `padded` the zeros before `end`, less than a
/// block of them, may be no part of it: the fewest zeros that give the wanted digest count.
fn digest_of(file: &File, end: u64, padded: bool, wanted: &Digest) -> io::Result<Found> {
    let mut hasher = Hasher::new(wanted.algorithm());
    let last = if padded { BLOCK.min(end) } else { 0 };
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    while length < end - last {
        let rest = usize::try_from(end - last - length).map_or(BUFFER, |rest| rest.min(BUFFER));
        let (space, _) = buffer.split_at_mut_checked(rest).unwrap_or_default();
        file.read_exact_at(space, length)?;
        hasher.update(space);
        length += space.len() as u64;
    }
    let (block, _) = buffer
        .split_at_mut_checked(usize::try_from(last).unwrap_or(0))
        .unwrap_or_default();
    file.read_exact_at(block, length)?;
    let content = block.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    for (at, byte) in block.iter().enumerate() {
        hasher.update(core::slice::from_ref(byte));
        length += 1;
        if at >= content {
            let digest = hasher.clone().finish();
            if digest == *wanted {
                return Ok(Found { digest, length });
            }
        }
    }
    let digest = hasher.finish();
    Ok(Found { digest, length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::scratch;
    use erofs_unpack_core::oci::Algorithm;

    #[test]
    fn the_digest_of_what_lies_before_a_tree() {
        let dir = std::env::temp_dir();
        for length in [1, 4095, 4096, 4097, 600_000, 3 << 20] {
            for end in [b"x".as_slice(), b"x\0\0\0", b"\0"] {
                let mut content = vec![7; length];
                content.extend(end);
                let wanted = Algorithm::Sha256.digest(&content);
                let size = content.len() as u64;
                let file = scratch(&dir).unwrap();
                file.write_all_at(&content, 0).unwrap();
                let found = |end, padded| digest_of(&file, end, padded, &wanted).unwrap();
                let named = Found {
                    digest: wanted,
                    length: size,
                };
                assert_eq!(found(size, false), named);
                assert_eq!(found(size, true), named);
                let blocks = size.next_multiple_of(4096);
                file.set_len(blocks).unwrap();
                assert_eq!(found(blocks, true), named);
                if blocks > size {
                    assert_ne!(found(blocks, false).digest, wanted);
                }
                // A whole block of zeros is no filling.
                file.set_len(blocks + 4096).unwrap();
                assert_ne!(found(blocks + 4096, true).digest, wanted, "{length}");
            }
        }
    }

    #[test]
    fn a_file_that_ends_early_is_an_error() {
        let file = scratch(&std::env::temp_dir()).unwrap();
        file.set_len(100).unwrap();
        let wanted = Algorithm::Sha256.digest(b"");
        for padded in [false, true] {
            let error = digest_of(&file, 101, padded, &wanted).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
