//! Making EROFS images: entries in, writes out.
//!
//! A [`Builder`] is told of one entry after the other, as an archive or a walk over a folder has
//! them, and of the content of files as it comes. Content goes straight to its place in the
//! image; what is kept is metadata alone. When all has been told, the tree is laid out behind
//! the content, and the superblock is written last. How entries become a tree, those that replace others,
//! that lie below symbolic links or that are whiteouts included, is said in `core/src/build/tree.rs`.
//!
//! The same entries give the same bytes, wherever they are made. What is written is what Linux
//! 5.4 reads, or 5.15 where there are sparse files: uncompressed files in whole blocks, tails
//! behind their inodes where that is asked for, inodes in the short form where it says as much.
//!
//! The format follows `fs/erofs/erofs_fs.h` of Linux 7.2. Layout of an image:
//!
//! ```text
//! superblock | content of files | inodes, each with xattrs, map of chunks, tail | shared xattrs | directories
//! ```

mod archive;
mod content;
mod entry;
mod error;
mod layout;
mod link;
mod options;
mod output;
mod path;
mod prove;
mod records;
mod slots;
mod sparse;
mod tree;
mod write;
mod xattrs;

pub use archive::TarBuilder;
pub use content::Builder;
pub use entry::{Entry, EntryKind};
pub use error::{BuildError, BuildResult};
pub use options::Options;
pub use output::Output;
pub use prove::{Built, Proof};
pub use write::Summary;
