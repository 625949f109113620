//! What the index of a logical cluster says, in either of its forms on disk.

/// Set in a distance that is the number of blocks of a big pcluster instead
/// (`Z_EROFS_LI_D0_CBLKCNT`).
pub(super) const BLOCK_COUNT: u32 = 1 << 11;

/// The type of a logical cluster (`Z_EROFS_LCLUSTER_TYPE_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first of an extent that is not compressed.
    #[default]
    Plain,
    /// The first of an extent with the first algorithm.
    Head1,
    /// A further one.
    NonHead,
    /// The first of an extent with the second algorithm.
    Head2,
}

impl Kind {
    /// The type in the two lowest bits.
    pub(super) const fn of(bits: u16) -> Self {
        match bits & 3 {
            0 => Self::Plain,
            1 => Self::Head1,
            2 => Self::NonHead,
            _ => Self::Head2,
        }
    }
}

/// What the index of one logical cluster says, in either form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// The number of the logical cluster.
    pub(super) lcn: u64,
    pub(super) kind: Kind,
    /// Of a head: where in the logical cluster the extent starts, in bytes.
    pub(super) offset: u32,
    /// Of a head: the block where its pcluster starts.
    pub(super) block: u32,
    /// Of a head: whether the extent is a part of what its pcluster decodes to.
    pub(super) partial: bool,
    /// Of a head: whether the extent is marked as a hole.
    pub(super) hole: bool,
    /// Of all others: how many logical clusters back the head is, or one that knows.
    pub(super) back: u64,
    /// Of the first after a head, for a big pcluster: its number of blocks.
    pub(super) blocks: Option<u32>,
    /// Where the records after this one start, in bytes of the space.
    pub(super) next: u64,
}
