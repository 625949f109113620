//! Layers that can be read at random: where the chunks of an image lie in a blob.
//!
//! Two formats say that, and both are [`Chunks`]:
//!
//! | format | type | described by |
//! |---|---|---|
//! | the chunk index | [`ChunkIndex`] | EROFS image layer specification (draft), `spec.md` 3.4 |
//! | the seek table | [`SeekTable`] | `contrib/seekable_format` of facebook/zstd, version 0.1.0 |
//!
//! [`locate()`] says whether a layer has one, [`Section`] finds it by its annotation,
//! [`ChunkDecoder`] makes the bytes of one chunk out of those in the blob and verifies them,
//! [`Seekable`] is an image that is read so, and [`Seekable::open`] does all of it at once. [`Trust`]
//! says what an index may be used for: it decides what a reader gets to see, so it is worth what
//! vouches for it. [`Frames`] are those of a blob without either: they serve to decode it on several
//! threads, and for nothing else.
//!
//! **What is corrupt and what is passed over.** An index that breaks its format makes the layer
//! corrupt (draft, 3.4.3, 3.4.6). One that uses what this version of the format does not have is not
//! read, and the layer is read from its start to its end as if there were none (3.4.6, 8.2 items 5
//! and 6): [`is_passed_over`] tells the two apart.

#[cfg(feature = "alloc")]
mod align;
mod chunk;
#[cfg(feature = "alloc")]
mod decode;
mod earlier;
#[cfg(feature = "alloc")]
mod frames;
#[cfg(feature = "alloc")]
mod image;
mod index;
#[cfg(feature = "alloc")]
mod locate;
#[cfg(feature = "alloc")]
mod open;
mod section;
#[cfg(feature = "alloc")]
mod seek_table;
mod trust;
#[cfg(feature = "alloc")]
mod write;

#[cfg(feature = "alloc")]
pub use align::align;
pub use chunk::{Checksum, Chunk, Chunks, Span};
#[cfg(feature = "alloc")]
pub use decode::{ChunkDecoder, Skipped};
pub use earlier::Earlier;
#[cfg(feature = "alloc")]
pub use frames::Frames;
#[cfg(feature = "alloc")]
pub use image::{Cache, Reads, Seekable, admit};
pub use index::{ChunkIndex, HashAlgorithm, Header, Subject};
#[cfg(feature = "alloc")]
pub use locate::{Located, locate};
#[cfg(feature = "alloc")]
pub use open::{Index, IndexPlace, Stated};
pub use section::{Section, TAIL, tail};
#[cfg(feature = "alloc")]
pub use seek_table::{SeekTable, SeekTableFooter};
pub use trust::{Pin, Trust};
#[cfg(feature = "alloc")]
pub use write::{ChunkIndexWriter, SeekTableWriter, skippable};

use crate::{Error, Kind};

/// Whether an index that is refused so is only passed over: it uses what is not known here, so the
/// layer is read as if it had none. Any other refusal makes the layer corrupt.
#[must_use]
pub fn is_passed_over(error: &Error) -> bool {
    error.kind() == Kind::Unsupported
}
