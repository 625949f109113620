//! The image that the host holds.

use erofs_unpack_core::erofs::{ReadAt, ReadError};

use crate::instance::Refusal;
use crate::status;

/// The image, as the import reads it.
pub(crate) struct Import;

/// The host has said that it failed.
pub(crate) struct HostFailed;

impl ReadAt for Import {
    type Error = HostFailed;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), HostFailed> {
        if crate::abi::read_at(offset, buf) {
            Ok(())
        } else {
            Err(HostFailed)
        }
    }
}

impl From<ReadError<HostFailed>> for Refusal {
    fn from(error: ReadError<HostFailed>) -> Self {
        match error {
            ReadError::Source(HostFailed) => Self::Status(status::SOURCE),
            ReadError::Refused(error) => Self::Error(error),
        }
    }
}
