//! The stages of unpacking in one state machine.

use super::{BlobCheck, Expectations, Failure, ImageCheck, Verdict};
use crate::codec::{Decoder, Status, Step};
use crate::erofs::Superblock;
use crate::oci::Digest;
use crate::verity::{Announced, Verified};
use crate::{Error, Kind, Limits};

/// Unpacks one layer: pushed blob bytes in, verified image bytes out.
///
/// The bytes that come out are not verified until [`Self::finish`] has said so: until then a
/// host must keep them where nobody takes them for an image.
///
/// ```
/// use erofs_unpack_core::codec::{Compression, Raw, Status};
/// use erofs_unpack_core::unpack::{Expectations, Unpacker};
/// use erofs_unpack_core::{Code, Limits};
///
/// let expectations = Expectations::new(Compression::None);
/// let mut unpacker = Unpacker::new(Raw, &expectations, &Limits::DEFAULT)?;
/// let mut output = [0; 4096];
/// let step = unpacker.push(b"not an image", &mut output)?;
/// assert_eq!((step.consumed, step.produced), (12, 12));
/// assert_eq!(unpacker.finish().unwrap_err().code(), Code::SuperblockTruncated);
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Unpacker<D> {
    blob: BlobCheck,
    decoder: D,
    image: ImageCheck,
    /// Decoding has ended, for a reason in `verdict` or because the blob's stated end is
    /// reached.
    ended: bool,
    verdict: Verdict,
}

/// What was unpacked and verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Size of the blob in bytes.
    pub blob_size: u64,
    /// Digest of the blob.
    pub blob_digest: Digest,
    /// Size of the image in bytes, with all that follows it.
    pub image_size: u64,
    /// Digest of the decoded bytes.
    pub diff_id: Digest,
    /// The superblock, for content that is an image.
    pub superblock: Option<Superblock>,
    /// What was verified of the dm-verity tree that was announced with its root. With
    /// [`Verified::Again`] nothing was: the layer must be gone through again, with that as
    /// [`VerityTree::guess`](super::VerityTree::guess).
    pub verity: Option<Verified>,
    /// The dm-verity tree that follows the image though nothing announces it, where that is allowed.
    /// It is not verified: see [`ImageReport::unannounced`](super::ImageReport::unannounced).
    pub unannounced: Option<Announced>,
}

impl Outcome {
    /// The outcome of stages that ran apart, when nothing was wrong in any of them.
    ///
    /// # Errors
    ///
    /// The error that counts, of those in the reports and in `verdict`.
    pub fn new(
        blob: &super::BlobReport,
        image: &super::ImageReport,
        verdict: Verdict,
    ) -> Result<Self, Error> {
        verdict.with(&blob.verdict, &image.verdict).result()?;
        Ok(Self {
            blob_size: blob.size,
            blob_digest: blob.digest.unwrap_or(image.diff_id),
            image_size: image.size,
            diff_id: image.diff_id,
            superblock: image.superblock,
            verity: image.verity,
            unannounced: image.unannounced,
        })
    }
}

impl<D: Decoder> Unpacker<D> {
    /// Chains the stages around `decoder`, which must be one for the stated compression.
    ///
    /// # Errors
    ///
    /// [`Code::BlobLimit`](crate::Code::BlobLimit) when the stated size of the blob exceeds the limit.
    pub fn new(decoder: D, expectations: &Expectations, limits: &Limits) -> Result<Self, Error> {
        Ok(Self {
            blob: BlobCheck::new(expectations, limits)?,
            decoder,
            image: ImageCheck::new(expectations, limits),
            ended: false,
            verdict: Verdict::new(),
        })
    }

    /// Takes blob bytes and gives image bytes, as [`Decoder::decode`] does.
    ///
    /// Once nothing more is decoded (because of an error that waits for the verdict on the
    /// whole blob, for instance a wrong checksum in the last frame), the input is still
    /// taken and hashed.
    ///
    /// # Errors
    ///
    /// An error that ends the unpacking at once; every further call gives it again.
    pub fn push(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        if let Some(failure) = self.verdict.failure().filter(Failure::stops) {
            return Err(failure.error);
        }
        if self.ended {
            return Ok(self.pass_by(input));
        }
        // The decoder must not see what exceeds the blob's stated size.
        let belongs = self.blob.accepts(input.len());
        let encoded = input.get(..belongs).unwrap_or(input);
        let step = match self.decoder.decode(encoded, output) {
            Ok(step) => step,
            Err(error) => {
                self.fail(Failure::codec(error, self.image.size()))?;
                return Ok(self.pass_by(input));
            }
        };
        let (consumed, rest) = input
            .split_at_checked(step.consumed)
            .unwrap_or((input, &[]));
        self.blob.update(consumed);
        let produced = output.get(..step.produced).unwrap_or(&[]);
        if let Err(failure) = self.image.update(produced) {
            self.fail(failure)?;
        }
        let at_stated_end = belongs < input.len() && step.consumed == belongs;
        if at_stated_end && step.status != Status::NeedOutput {
            self.end()?;
            self.pass_by(rest);
            return Ok(Step {
                consumed: input.len(),
                ..step
            });
        }
        Ok(step)
    }

    /// Takes input that is hashed and not decoded.
    fn pass_by(&mut self, input: &[u8]) -> Step {
        self.blob.update(input);
        Step {
            consumed: input.len(),
            produced: 0,
            status: Status::Done,
        }
    }

    /// Says that the blob has ended, and gives the verdict.
    ///
    /// # Errors
    ///
    /// The error that counts, by the ranks of [`Verdict`]; [`Code::Finished`](crate::Code::Finished) when there is
    /// output that has not been fetched.
    pub fn finish(mut self) -> Result<Outcome, Error> {
        if !self.ended {
            match self.end() {
                Err(error) if error.kind() == Kind::Usage => return Err(error),
                // Any other error is in the verdict.
                _ => {}
            }
        }
        Outcome::new(&self.blob.finish(), &self.image.finish(), self.verdict)
    }

    /// Lets the decoder say whether the stream is complete.
    fn end(&mut self) -> Result<(), Error> {
        self.ended = true;
        match self.decoder.finish() {
            Err(error) if error.kind() == Kind::Usage => Err(error),
            Err(error) => self.fail(Failure::codec(error, self.image.size())),
            Ok(()) => Ok(()),
        }
    }

    /// Takes note of a failure; an error when it ends the unpacking at once.
    fn fail(&mut self, failure: Failure) -> Result<(), Error> {
        self.verdict.add(failure);
        self.ended = true;
        if failure.stops() {
            return Err(failure.error);
        }
        Ok(())
    }
}
