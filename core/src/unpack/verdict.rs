//! Which failure is reported when there are several.

use crate::{Code, Error, Kind};

/// A stage of unpacking, in the order in which stages are reported at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// The codec, somewhere in the stream.
    Codec,
    /// A limit on the decoded bytes.
    Limit,
    /// The superblock gate, or the end that the superblock declares.
    Gate,
    /// The size of the blob.
    BlobSize,
    /// The digest of the blob.
    BlobDigest,
    /// What the codec checks once content is complete: checksums, sizes, a missing rest.
    CodecTrailer,
    /// The diffID.
    DiffId,
    /// The size of the image.
    ImageSize,
    /// The dm-verity tree that is announced.
    Verity,
    /// The deep check.
    Check,
}

impl Stage {
    /// Whether a failure of this stage ends the unpacking where it stands. The others are
    /// weighed at the end, when the whole blob has been seen.
    const fn is_immediate(self) -> bool {
        matches!(self, Self::Codec | Self::Limit | Self::Gate)
    }
}

/// An error, with the stage that found it and how far the image had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The stage that found it.
    pub stage: Stage,
    /// How many bytes had been decoded before it.
    pub decoded: u64,
    /// What it found.
    pub error: Error,
}

impl Failure {
    /// The failure of a codec after `decoded` bytes of output.
    ///
    /// Checksums, sizes and a missing rest wait for the verdict on the blob as a whole: a
    /// blob that was cut or changed on its way is reported as that.
    #[must_use]
    pub const fn codec(error: Error, decoded: u64) -> Self {
        let stage = match (error.code(), error.kind()) {
            // There is no stream to come to the end of.
            (Code::ContentPlain, _) => Stage::Codec,
            (_, Kind::Mismatch | Kind::Truncated) => Stage::CodecTrailer,
            _ => Stage::Codec,
        };
        Self {
            stage,
            decoded,
            error,
        }
    }

    /// Whether unpacking stops here at once. Otherwise the rest of the blob is still read and
    /// hashed, and nothing more is decoded.
    #[must_use]
    pub const fn stops(&self) -> bool {
        self.stage.is_immediate()
    }

    /// What failures are ordered by: those that stop come first, by how far they let the
    /// image come; the others by their stage.
    fn rank(&self) -> (bool, u64, Stage) {
        if self.stops() {
            (false, self.decoded, self.stage)
        } else {
            (true, 0, self.stage)
        }
    }
}

/// The failure that counts, out of all that were found, whatever the order they came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict(Option<Failure>);

impl Verdict {
    /// No failure so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds a failure.
    pub fn add(&mut self, failure: Failure) {
        if self.0.is_none_or(|counted| failure.rank() < counted.rank()) {
            self.0 = Some(failure);
        }
    }

    /// Adds what a stage returned.
    pub fn add_result(&mut self, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.add(failure);
        }
    }

    /// The failure that counts.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        self.0
    }

    /// What counts of the stages on both sides of a decoder, `self` being the decoder's.
    pub(super) fn with(mut self, blob: &Self, image: &Self) -> Self {
        // Of an image that was not decoded to its end, only what stopped it counts.
        let whole = self.failure().is_none();
        let of_image = image.failure().filter(|failure| whole || failure.stops());
        for failure in [blob.failure(), of_image].into_iter().flatten() {
            self.add(failure);
        }
        self
    }

    /// The error that counts, if there is one.
    ///
    /// # Errors
    ///
    /// That error.
    pub fn result(&self) -> Result<(), Error> {
        self.0.map_or(Ok(()), |failure| Err(failure.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{At, Code};

    fn failure(stage: Stage, decoded: u64) -> Failure {
        Failure {
            stage,
            decoded,
            error: Error::new(Code::BlobSize, At::Image(decoded)),
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_count() {
        // From the one that counts most to the one that counts least.
        let ranked = [
            failure(Stage::Gate, 1152),
            failure(Stage::Codec, 4096),
            failure(Stage::Limit, 4096),
            failure(Stage::Gate, 4096),
            failure(Stage::BlobSize, 9),
            failure(Stage::BlobDigest, 1),
            failure(Stage::CodecTrailer, 0),
            failure(Stage::DiffId, 0),
            failure(Stage::ImageSize, 0),
            failure(Stage::Verity, 0),
            failure(Stage::Check, 0),
        ];
        for (place, first) in ranked.iter().enumerate() {
            for second in &ranked[place..] {
                for pair in [[first, second], [second, first]] {
                    let mut verdict = Verdict::new();
                    for failure in pair {
                        verdict.add(*failure);
                    }
                    assert_eq!(verdict.failure(), Some(*first));
                }
            }
        }
    }

    #[test]
    fn a_cut_blob_is_not_blamed_on_the_codec() {
        let cut = Failure::codec(Error::new(Code::ZstdTruncated, At::Blob(9)), 5);
        assert!(!cut.stops());
        let corrupt = Failure::codec(Error::new(Code::ZstdBlock, At::Blob(9)), 5);
        assert!(corrupt.stops());
    }
}
