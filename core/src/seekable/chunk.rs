//! What an index says of one chunk, and how the chunk of a byte is found.

use crate::oci::Digest;

/// Bytes from `start` up to and not including `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u64,
    /// The byte after the last, which is not before the first.
    pub end: u64,
}

impl Span {
    /// How many bytes it has.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length() == 0
    }
}

/// What a chunk is verified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Checksum {
    /// Nothing.
    None,
    /// A SHA-2 digest of its bytes in the blob.
    Digest(Digest),
    /// The low half of the XXH64 of its decoded bytes. It finds accidents, not forgeries.
    Xxh64(u32),
}

/// One chunk: bytes of the blob that decode to bytes of the image, without any others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Its place in the index, from 0.
    pub number: u32,
    /// Where it lies in the blob.
    pub blob: Span,
    /// Where it lies in the image.
    pub image: Span,
    /// What it is verified by.
    pub checksum: Checksum,
}

/// The chunks of a layer, in their order: they follow each other in the blob and in the image, and
/// all of the image lies in them.
pub trait Chunks {
    /// How many there are.
    fn count(&self) -> u32;

    /// The one at this place, from 0.
    fn chunk(&self, number: u32) -> Option<Chunk>;

    /// The size of the image in bytes, with all that follows it in the layer.
    fn image_size(&self) -> u64;

    /// Whether each chunk is verified by a SHA-2 digest.
    fn has_digests(&self) -> bool;

    /// The chunk that this byte of the image lies in; `None` behind the end.
    fn find(&self, offset: u64) -> Option<Chunk> {
        // Below `low` all chunks end at or before the offset, from `high` on all end behind it.
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low.midpoint(high);
            if self.chunk(middle)?.image.end <= offset {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        self.chunk(low).filter(|chunk| chunk.image.start <= offset)
    }
}

impl<C: Chunks + ?Sized> Chunks for &C {
    fn count(&self) -> u32 {
        (**self).count()
    }

    fn chunk(&self, number: u32) -> Option<Chunk> {
        (**self).chunk(number)
    }

    fn image_size(&self) -> u64 {
        (**self).image_size()
    }

    fn has_digests(&self) -> bool {
        (**self).has_digests()
    }
}
