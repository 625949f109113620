//! What can be wrong with an entry of a cache besides its image.

/// Why an entry of a cache cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheFault {
    /// Its name is not a regular file's.
    Type,
    /// Its sidecar is not the document that containerd reads.
    Sidecar,
    /// The hash tree that the sidecar speaks of is not that of the image.
    Tree,
    /// It is there and is not the layer that is to be put there.
    Differs,
}

impl CacheFault {
    /// Every fault.
    pub const ALL: &'static [Self] = &[Self::Type, Self::Sidecar, Self::Tree, Self::Differs];

    /// The stable id, as `--json` uses it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Type => "cache-type",
            Self::Sidecar => "cache-sidecar",
            Self::Tree => "cache-tree",
            Self::Differs => "cache-differs",
        }
    }

    /// What is wrong, as a clause without a full stop.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Type => "is no regular file: expected an image; symbolic links are not followed",
            Self::Sidecar => {
                "is not what containerd reads: expected {\"roothash\": HEX, \"hashoffset\": N}, N \
                 being the size of the image in whole blocks"
            }
            Self::Tree => "its dm-verity tree is not that of the image",
            Self::Differs => {
                "is there already and does not verify (cache verify says why): expected this \
                 layer, or --force to replace it"
            }
        }
    }
}
