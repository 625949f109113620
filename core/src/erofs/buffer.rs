//! Memory for bytes of an image, with an error where there is none.

use alloc::vec::Vec;

use crate::{At, Code, Error};

/// A buffer of zeros, whose size has passed a limit.
pub(crate) fn buffer(length: usize) -> Result<Vec<u8>, Error> {
    let mut buffer = Vec::new();
    buffer
        .try_reserve_exact(length)
        .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
    buffer.resize(length, 0);
    Ok(buffer)
}
