//! What an index may be used for, by what vouches for it.
//!
//! An index decides which bytes of a blob a reader takes for which bytes of the image. So it is
//! trusted when its own digest comes from where the layer's comes from, or when the whole blob has
//! been verified; and reading at random needs besides that each chunk can be verified by itself.

use crate::{At, Code, Error};

/// What vouches for an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pin {
    /// Nothing: it was found in a blob that nobody vouches for.
    None,
    /// The whole blob that it lies in has its digest.
    Blob,
    /// The index has the digest that the manifest states: of an embedded index in
    /// `org.erofs.chunk-index.digest`, of one that is a layer in its descriptor.
    Manifest,
}

impl Pin {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Blob => "blob",
            Self::Manifest => "manifest",
        }
    }
}

/// All that speaks for an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trust {
    /// What vouches for the index.
    pub pin: Pin,
    /// Whether each chunk has a SHA-2 digest in it.
    pub digests: bool,
    /// Whether the manifest states the root of a dm-verity tree, against which every block is held
    /// that is read.
    pub verity: bool,
    /// Whether the caller takes an index without any of this.
    pub allow_unpinned: bool,
}

impl Trust {
    /// Whether the image may be read at random.
    ///
    /// # Errors
    ///
    /// [`Code::ChunkIndexUnpinned`] when nothing vouches for the index, and
    /// [`Code::ChunkIndexUnverified`] when chunks cannot be verified one by one; neither where the
    /// caller allows it. The layer itself is not refused: it can be read whole.
    pub const fn random(self) -> Result<(), Error> {
        if self.allow_unpinned {
            return Ok(());
        }
        match self.pin {
            Pin::None => Err(Error::new(Code::ChunkIndexUnpinned, At::Whole)),
            _ if !self.digests && !self.verity => {
                Err(Error::new(Code::ChunkIndexUnverified, At::Whole))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_reads_need_a_pin_and_something_for_each_chunk() {
        let trust = |pin, digests, verity| Trust {
            pin,
            digests,
            verity,
            allow_unpinned: false,
        };
        let code = |trust: Trust| trust.random().err().map(|error| error.code());
        let unpinned = Some(Code::ChunkIndexUnpinned);
        let unverified = Some(Code::ChunkIndexUnverified);
        for (pin, digests, verity, expected) in [
            (Pin::None, false, false, unpinned),
            (Pin::None, true, true, unpinned),
            (Pin::Blob, false, false, unverified),
            (Pin::Blob, true, false, None),
            (Pin::Manifest, false, false, unverified),
            (Pin::Manifest, true, false, None),
            (Pin::Manifest, false, true, None),
        ] {
            let trust = trust(pin, digests, verity);
            assert_eq!(code(trust), expected, "{trust:?}");
            let allowed = Trust {
                allow_unpinned: true,
                ..trust
            };
            assert_eq!(code(allowed), None);
        }
    }
}
