//! The two address spaces that metadata lies in.

/// Which run of bytes an offset of metadata counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Space {
    /// The image itself.
    Image,
    /// The content of the metabox inode.
    Metabox,
}
