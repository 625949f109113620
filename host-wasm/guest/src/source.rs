//! The image that the host holds.

use erofs_unpack_core::erofs::{ReadAt, ReadError};

use crate::instance::Refusal;
use crate::status;

/// The image, as the import reads it, or one of its devices, which lie behind it.
pub(crate) struct Import {
    /// Where its bytes begin, among those that the host gives.
    pub(crate) start: u64,
}

impl Import {
    /// The image.
    pub(crate) const IMAGE: Self = Self { start: 0 };
}

/// The host has said that it failed.
pub(crate) struct HostFailed;

impl ReadAt for Import {
    type Error = HostFailed;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), HostFailed> {
        let read = |at| crate::abi::read_at(at, buf);
        match self.start.checked_add(offset).map(read) {
            Some(true) => Ok(()),
            _ => Err(HostFailed),
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
