//! The blob as it lies in the registry: its size and its digest, and nothing of its form.

use super::{Expectations, Failure, Stage, Verdict};
use crate::oci::{Algorithm, Digest, Hasher};
use crate::{At, Code, Error, Limits, Value};

/// Checks the blob's size and digest while it streams past.
#[derive(Clone, Debug)]
pub struct BlobCheck {
    /// `None` when another stage hashes the same bytes, or nobody wants the digest.
    hasher: Option<Hasher>,
    size: u64,
    /// The most that is taken: the stated size, or the limit.
    most: u64,
    /// Whether more came than is taken.
    too_long: bool,
    expected_size: Option<u64>,
    expected_digest: Option<Digest>,
}

/// What [`BlobCheck`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobReport {
    /// Size in bytes.
    pub size: u64,
    /// The digest, unless the image's digest serves for it or it was not wanted.
    pub digest: Option<Digest>,
    /// What was wrong.
    pub verdict: Verdict,
}

impl BlobCheck {
    /// A check against what is expected of the blob.
    ///
    /// # Errors
    ///
    /// [`Code::BlobLimit`] when the stated size exceeds the limit: nothing needs to be read.
    pub fn new(expectations: &Expectations, limits: &Limits) -> Result<Self, Error> {
        if let Some(size) = expectations.blob_size
            && size > limits.blob_size
        {
            return Err(Error::new(Code::BlobLimit, At::Whole)
                .found(Value::Number(size))
                .expected(Value::AtMost(limits.blob_size)));
        }
        let algorithm = expectations
            .blob_digest
            .map_or(Algorithm::Sha256, |digest| digest.algorithm());
        Ok(Self {
            hasher: (!expectations.shares_digest()).then(|| Hasher::new(algorithm)),
            size: 0,
            most: expectations.blob_size.unwrap_or(limits.blob_size),
            too_long: false,
            expected_size: expectations.blob_size,
            expected_digest: expectations.blob_digest,
        })
    }

    /// A check of the size alone, for a host whose caller takes the digest by itself.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn without_digest(expectations: &Expectations, limits: &Limits) -> Result<Self, Error> {
        let mut check = Self::new(expectations, limits)?;
        check.hasher = None;
        Ok(check)
    }

    /// How many of the next `length` bytes belong to the blob.
    ///
    /// What exceeds the stated size (or the limit) does not belong to it: it is to be left
    /// out of the decoding, which ends there.
    #[must_use]
    pub fn accepts(&self, length: usize) -> usize {
        let room = self.most.saturating_sub(self.size);
        usize::try_from(room).map_or(length, |room| room.min(length))
    }

    /// Takes the next bytes of the blob. Those that do not belong to it are left out, and
    /// [`Self::finish`] says that they were there: nothing more needs to be read then.
    pub fn update(&mut self, bytes: &[u8]) {
        let belongs = bytes.get(..self.accepts(bytes.len())).unwrap_or(bytes);
        self.too_long |= belongs.len() < bytes.len();
        self.size = self.size.saturating_add(belongs.len() as u64);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(belongs);
        }
    }

    /// The hasher, if there is one, for a host that hashes elsewhere than where it reads. It is to
    /// take the bytes that the check takes; [`Self::finish_with`] wants to know what came of it.
    #[must_use]
    pub const fn take_hasher(&mut self) -> Option<Hasher> {
        self.hasher.take()
    }

    /// Whether more came than the blob may have.
    #[must_use]
    pub const fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// How many bytes belonged to the blob so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Says that the blob has ended.
    #[must_use]
    pub fn finish(mut self) -> BlobReport {
        let digest = self.hasher.take().map(Hasher::finish);
        self.finish_with(digest)
    }

    /// As [`Self::finish`], with what came of the hasher that was taken.
    #[must_use]
    pub fn finish_with(self, digest: Option<Digest>) -> BlobReport {
        let mut verdict = Verdict::new();
        let mut wrong = |stage, error| {
            verdict.add(Failure {
                stage,
                decoded: 0,
                error,
            });
        };
        match self.expected_size {
            Some(size) if self.too_long => wrong(
                Stage::BlobSize,
                Error::new(Code::BlobSize, At::Blob(size))
                    .found(Value::AtLeast(size.saturating_add(1)))
                    .expected(Value::Number(size)),
            ),
            Some(size) if self.size != size => wrong(
                Stage::BlobSize,
                Error::new(Code::BlobSize, At::Blob(self.size))
                    .found(Value::Number(self.size))
                    .expected(Value::Number(size)),
            ),
            None if self.too_long => wrong(
                Stage::BlobSize,
                Error::new(Code::BlobLimit, At::Blob(self.most))
                    .found(Value::AtLeast(self.most.saturating_add(1)))
                    .expected(Value::AtMost(self.most)),
            ),
            _ => {}
        }
        if let (Some(found), Some(expected)) = (digest, self.expected_digest)
            && found != expected
        {
            wrong(Stage::BlobDigest, mismatch(found, expected));
        }
        BlobReport {
            size: self.size,
            digest,
            verdict,
        }
    }
}

/// The error of a blob with another digest than the stated one.
pub(super) fn mismatch(found: Digest, expected: Digest) -> Error {
    Error::new(Code::BlobDigest, At::Whole)
        .found(Value::Digest(found))
        .expected(Value::Digest(expected))
}
