//! What an unpacked layer gets besides: a dm-verity tree behind its image, a sidecar beside it.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::Verity;
#[cfg(target_os = "linux")]
use super::dest::Output;
use super::dest::{How, Passed};
use crate::error::HostError;
use crate::publish::{Folder, Target, Unpublished};
#[cfg(target_os = "linux")]
use crate::report::TreeReport;
use crate::sidecar::Sidecar;
use crate::system::FileExt as _;

/// The end of a sidecar's name, behind the image's.
const SUFFIX: &str = ".dmverity";

/// Does what is asked for. The image has passed all checks, and has no name yet.
pub(super) fn add(
    passed: &mut Passed,
    how: &How,
    folder: &Arc<Folder>,
    name: &OsStr,
) -> Result<(), HostError> {
    match how.verity {
        Verity::Verify | Verity::None => return Ok(()),
        Verity::Append if passed.tree.is_none() => append(passed, how)?,
        Verity::Append | Verity::Sidecar => {}
    }
    let sidecar = passed
        .tree
        .as_ref()
        // A reader finds all else in the superblock.
        .filter(|tree| tree.superblock)
        .map(|tree| Sidecar {
            root_hash: tree.root_hash().to_owned(),
            hash_offset: tree.hash_offset,
        });
    let Some(sidecar) = sidecar else {
        return Ok(());
    };
    let mut named: OsString = name.to_owned();
    named.push(SUFFIX);
    let document = Unpublished::create(Target::inside(folder, &named, true)?)?;
    let text = sidecar.text();
    document
        .file()
        .write_all_at(text.as_bytes(), 0)
        .map_err(|error| HostError::environment(folder.path_of(&named), "write", error))?;
    document.seal()?;
    passed.sidecar = Some(document);
    Ok(())
}

/// Appends a tree to the image.
#[cfg(target_os = "linux")]
fn append(passed: &mut Passed, how: &How) -> Result<(), HostError> {
    let Output::File(output) = &passed.output else {
        return Ok(());
    };
    let outcome = &passed.outcome;
    let block_size = outcome
        .superblock
        .as_ref()
        .map_or(4096, erofs_unpack_core::erofs::Superblock::block_size);
    let (found, root) = crate::verity::append(
        output.file(),
        &output.target().path(),
        outcome.image_size,
        block_size,
        &outcome.diff_id,
        how.jobs,
    )?;
    passed.tree = Some(TreeReport::appended(&found, root));
    Ok(())
}

/// There are no block devices to put such a tree on.
#[cfg(not(target_os = "linux"))]
fn append(_passed: &mut Passed, _how: &How) -> Result<(), HostError> {
    Err(HostError::Usage("--verity append: not in WASI".into()))
}
