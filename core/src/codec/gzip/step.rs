//! What one call of an inflater did, and why it came back.

/// Why an inflater came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InflateStatus {
    /// The input is used up, and all that it gives has been delivered.
    Input,
    /// There is more to deliver than there was room for.
    Output,
    /// The deflate stream is complete. The input was used up to its last byte and no further.
    End,
    /// The deflate stream is corrupt; all that comes before the fault has been delivered.
    Corrupt,
    /// The stream is longer than the library counts on this platform.
    #[cfg(feature = "zlib-rs")]
    Counter,
}

/// What one call of an inflater did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InflateStep {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    pub(super) status: InflateStatus,
}
