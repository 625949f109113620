//! What can be wrong with the name that an output is to have.

/// Why a file cannot be published under the name that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TargetFault {
    /// The name is taken and `--force` was not given.
    Exists,
    /// The name is a directory's.
    Directory,
    /// The name is a symbolic link's and `--force` was not given.
    Symlink,
    /// The name is that of a device, a pipe or a socket.
    Special,
    /// The document is about another image and `--force` was not given.
    OtherImage,
}

impl TargetFault {
    /// Every fault.
    pub const ALL: &'static [Self] = &[
        Self::Exists,
        Self::Directory,
        Self::Symlink,
        Self::Special,
        Self::OtherImage,
    ];

    /// The stable id, as `--json` uses it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Exists => "target-exists",
            Self::Directory => "target-directory",
            Self::Symlink => "target-symlink",
            Self::Special => "target-special",
            Self::OtherImage => "target-other-image",
        }
    }

    /// What is wrong, as a clause without a full stop.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Exists => "exists already: expected a free name, or --force to replace it",
            Self::Directory => "is a directory: expected the name of a file",
            Self::Symlink => {
                "is a symbolic link, which is never followed: expected a free name, or --force \
                 to replace the link itself"
            }
            Self::Special => {
                "is a device, a pipe or a socket, which is never replaced: expected a free name"
            }
            Self::OtherImage => {
                "is about another image: expected another folder, or --force to replace it"
            }
        }
    }
}
