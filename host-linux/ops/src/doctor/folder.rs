//! What the file system of a folder can do, tried out with files that get no name.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::Probe;
use crate::error::HostError;
use crate::publish::scratch;
use crate::system::clone_whole;

/// How much is shared in the trial: a block of any file system.
const SIZE: usize = 64 << 10;

pub(super) fn probe(folder: &Path) -> Probe {
    const NAME: &str = "folder";
    let shown = crate::report::shown(folder);
    match shares_blocks(folder) {
        Ok(true) => Probe::ok(NAME, format!("{shown}: copies share blocks (reflink)")),
        Ok(false) => Probe::warn(
            NAME,
            format!("{shown}: copies take room and time: no reflink"),
            "XFS (reflink=1), btrfs and bcachefs share the blocks of plain layers and of what \
             stream gives to a file",
        ),
        Err(error) => Probe::fail(NAME, error.to_string(), "name a folder that can be written"),
    }
}

fn shares_blocks(folder: &Path) -> Result<bool, HostError> {
    let failed = |error| HostError::environment(folder, "write a temporary file", error);
    let (one, other) = (scratch(folder)?, scratch(folder)?);
    one.write_all_at(&[1; SIZE], 0).map_err(failed)?;
    clone_whole(&one, SIZE as u64, &other).map_err(failed)
}
