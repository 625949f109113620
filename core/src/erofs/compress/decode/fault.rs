//! Why a pcluster was not decoded.

/// Why a pcluster was not decoded. The output then holds anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fault {
    /// The data is corrupt.
    Corrupt,
    /// It decodes to this many bytes, fewer than the extent has, or to more where it should
    /// not; then this is the size of the extent plus one.
    Length(usize),
    /// There is no memory.
    Memory,
    /// This build cannot decode it.
    #[cfg_attr(
        feature = "lzma",
        expect(dead_code, reason = "all algorithms are there")
    )]
    Unavailable,
}
