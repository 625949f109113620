//! What one call of an inflate library did, and why it came back.

/// Why an inflater came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InflateStatus {
    /// The input is used up or the output is full, maybe both.
    Slices,
    /// The deflate stream is complete. The input was used up to its last byte and no further.
    End,
    /// The deflate stream is corrupt; all that comes before the fault has been delivered.
    Corrupt,
    /// The stream is longer than the library counts on this platform.
    #[cfg(feature = "fast-gzip")]
    Counter,
}

/// What one call of an inflater did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InflateStep {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    pub(super) status: InflateStatus,
}
