//! The operation `verity info`: what a superblock says, as `veritysetup dump`.

use super::Report;
use super::header::{Found, Place, behind_image, open};
use crate::error::HostError;

/// Shows the tree whose superblock lies there. Nothing is verified.
///
/// # Errors
///
/// [`HostError::Refused`] when there is no superblock that can be read, [`HostError::Usage`] when it
/// is not clear where it would be, [`HostError::Environment`] when the system does not do what is
/// asked of it.
pub fn info(place: &Place) -> Result<Report, HostError> {
    let path = place.hashes();
    let (file, size) = open(path, false)?;
    let offset = match (place.offset, &place.hashes) {
        (Some(offset), _) => offset,
        (None, Some(_)) => 0,
        (None, None) => behind_image(&file, path).or_else(|error| {
            // It may be a file that holds nothing but hashes.
            match Found::read(&file, path, 0, None) {
                Ok(_) => Ok(0),
                Err(_) => Err(error),
            }
        })?,
    };
    let found = Found::read(&file, path, offset, None)?;
    Ok(Report::new(
        "verity info",
        &place.data,
        path,
        &found,
        None,
        size,
    ))
}
