//! The decoded bytes: their diffID and their dm-verity tree, on top of the limits and the superblock
//! gate of `bounds`.

use super::bounds::Bounds;
use super::{Expectations, Failure, Stage, Verdict, VerityCheck, VerityReport};
use crate::erofs::Superblock;
use crate::oci::{Digest, Hasher};
use crate::verity::{Announced, Verified};
use crate::{At, Code, Error, Limits, Value};

/// Checks the decoded bytes while they stream past.
#[derive(Clone, Debug)]
pub struct ImageCheck {
    expectations: Expectations,
    bounds: Bounds,
    /// `None` when another stage takes the digest, or nobody does.
    hasher: Option<Hasher>,
    verity: Option<VerityCheck>,
}

/// What [`ImageCheck`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageReport {
    /// Size in bytes, with all that follows the image itself.
    pub size: u64,
    /// Digest of the decoded bytes.
    pub diff_id: Digest,
    /// The superblock, for content that is an image.
    pub superblock: Option<Superblock>,
    /// What was verified of the dm-verity tree that was announced with its root.
    pub verity: Option<Verified>,
    /// The dm-verity tree that follows the image though nothing announces it. It is not verified:
    /// [`VerityCheck::of`] does that, on another way through the image.
    pub unannounced: Option<Announced>,
    /// What was wrong.
    pub verdict: Verdict,
}

impl ImageReport {
    /// The report with what [`ImageCheck::take_verity`] came to.
    #[must_use]
    pub fn with_verity(mut self, report: &VerityReport) -> Self {
        self.verity = report.verified.ok();
        if let Some(failure) = report.failure() {
            self.verdict.add(failure);
        }
        self
    }
}

impl ImageCheck {
    /// A check against what is expected of the image.
    #[must_use]
    pub fn new(expectations: &Expectations, limits: &Limits) -> Self {
        Self {
            expectations: *expectations,
            bounds: Bounds::new(expectations, limits),
            hasher: Some(Hasher::new(expectations.diff_algorithm())),
            verity: VerityCheck::new(expectations),
        }
    }

    /// The check of the dm-verity tree, if one is announced, for a host that has a thread for it. It
    /// is to take the bytes that this check takes; [`ImageReport::with_verity`] wants to know what
    /// came of it.
    #[must_use]
    pub const fn take_verity(&mut self) -> Option<VerityCheck> {
        self.verity.take()
    }

    /// Takes the next decoded bytes.
    ///
    /// # Errors
    ///
    /// The first [`Failure`] of limit or gate; it is given again by every further call.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bounds.update(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.verify(bytes);
        Ok(())
    }

    /// The tree's part of [`Self::update`].
    fn verify(&mut self, bytes: &[u8]) {
        if let Some(verity) = &mut self.verity {
            verity.update(bytes);
        }
    }

    /// As [`Self::update`], with bytes of another content for another hasher, which takes them
    /// whatever is found: [`Hasher::update_both`] is faster than one after the other.
    ///
    /// # Errors
    ///
    /// As [`Self::update`].
    pub fn update_beside(
        &mut self,
        bytes: &[u8],
        other: &mut Hasher,
        of_other: &[u8],
    ) -> Result<(), Failure> {
        let result = self.bounds.update(bytes);
        match &mut self.hasher {
            Some(hasher) if result.is_ok() => hasher.update_both(bytes, other, of_other),
            _ => other.update(of_other),
        }
        if result.is_ok() {
            self.verify(bytes);
        }
        result
    }

    /// How many bytes have been decoded so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.bounds.size()
    }

    /// The superblock, once it has passed and can be one.
    #[must_use]
    pub fn superblock(&self) -> Option<&Superblock> {
        self.bounds.superblock()
    }

    /// The hasher, for a host whose layer is verified otherwise: [`Self::finish_with`] wants to know
    /// the diffID.
    #[must_use]
    pub const fn take_hasher(&mut self) -> Option<Hasher> {
        self.hasher.take()
    }

    /// Says that the image has ended.
    #[must_use]
    pub fn finish(mut self) -> ImageReport {
        // Without it, it is the digest of nothing, which is no layer's.
        let algorithm = self.expectations.diff_algorithm();
        let hasher = self.hasher.take();
        let digest = hasher.unwrap_or_else(|| Hasher::new(algorithm)).finish();
        self.finish_with(digest)
    }

    /// As [`Self::finish`], with this diffID.
    #[must_use]
    pub fn finish_with(self, digest: Digest) -> ImageReport {
        let mut verdict = self.bounds.finish();
        let size = self.bounds.size();
        let mut wrong = |stage, error| {
            verdict.add(Failure {
                stage,
                decoded: size,
                error,
            });
        };
        let superblock = self.superblock().copied();
        if let Some(expected) = self.expectations.diff_id
            && digest != expected
        {
            let error = Error::new(Code::DiffId, At::Whole)
                .found(Value::Digest(digest))
                .expected(Value::Digest(expected));
            wrong(Stage::DiffId, error);
        }
        if self.expectations.shares_digest()
            && let Some(expected) = self.expectations.blob_digest
            && digest != expected
        {
            wrong(Stage::BlobDigest, super::blob::mismatch(digest, expected));
        }
        let report = ImageReport {
            size,
            diff_id: digest,
            superblock,
            verity: None,
            unannounced: self.bounds.unannounced(),
            verdict,
        };
        match self.verity {
            Some(verity) => report.with_verity(&verity.finish()),
            None => report,
        }
    }
}
