//! What is required of a mutant that we pass, and is not met.

use serde::{Deserialize, Serialize};

/// A requirement that is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breach {
    /// An answer did not come: somebody hung or died.
    NoAnswer,
    /// We pass what the kernel refuses, at the mount or when it is read.
    KernelRefuses,
    /// We pass what `fsck.erofs` rejects.
    FsckRejects,
    /// We pass what our own reader cannot read.
    WeCannotRead,
    /// We pass what we and the kernel read to different trees.
    TreesDiffer,
}
