//! One layer, from its blob to its verified image.
//!
//! Two stages stand on either side of the codec and are usable one by one, on threads of the
//! host's choice: [`BlobCheck`] over the bytes as they lie in the registry, [`ImageCheck`]
//! over the decoded bytes. What goes wrong in any of them is a [`Failure`]; [`Verdict`] ranks
//! the failures, so that every host reports the same one. [`Unpacker`] chains all of it for
//! hosts that push bytes on one thread. A dm-verity tree that is announced is [`VerityCheck`]'s, which
//! [`ImageCheck`] has inside and gives out to hosts that have a thread for it. [`StreamCheck`] takes the place of [`ImageCheck`] where the
//! layer may be a tar archive as well, and somebody else takes the digests.

mod blob;
mod bounds;
mod expect;
mod foreign;
mod gate;
mod image;
mod sniff;
mod stream;
mod tail;
mod unpacker;
mod verdict;
mod verity;

pub use blob::{BlobCheck, BlobReport};
pub use expect::{Content, Devices, Expectations, VerityTree};
#[cfg(feature = "alloc")]
pub(crate) use gate::TAR_PADDING;
pub use image::{ImageCheck, ImageReport};
pub use sniff::{SNIFF_SIZE, Sniffed, sniff};
pub use stream::{StreamCheck, StreamContent, StreamForm, StreamReport, Streamed};
pub use unpacker::{Outcome, Unpacker};
pub use verdict::{Failure, Stage, Verdict};
pub use verity::{VerityCheck, VerityReport};
