//! What a stream processor gives out: an EROFS image or a tar archive, told apart by content.
//!
//! No digest is taken here. Whoever runs a stream processor has verified the blob's digest
//! before, and takes the diffID of what comes out.

use super::bounds::Bounds;
use super::{BlobReport, Content, Expectations, Failure, SNIFF_SIZE, Sniffed, Verdict, sniff};
use crate::bytes::Gather;
use crate::erofs::Superblock;
use crate::{Error, Limits};

/// What the decoded bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamContent {
    /// An EROFS image: superblock and size are checked as by [`ImageCheck`](super::ImageCheck).
    Erofs,
    /// A tar archive. Only the limit is checked.
    Tar,
}

impl StreamContent {
    /// What starts with `head`, the first [`SNIFF_SIZE`] bytes, or all of them if there are
    /// fewer. `tar` says whether it may be a tar archive. What is neither is taken for an image,
    /// so that it is refused with the reason why it is none.
    #[must_use]
    pub fn of(head: &[u8], tar: bool) -> Self {
        match sniff(head) {
            Sniffed::Tar if tar => Self::Tar,
            _ => Self::Erofs,
        }
    }
}

/// Checks the decoded bytes while they stream past, whichever of the two they are.
#[derive(Clone, Debug)]
pub struct StreamCheck {
    expectations: Expectations,
    limits: Limits,
    tar: bool,
    /// The first bytes, until they are enough to tell.
    head: Gather<SNIFF_SIZE>,
    /// Known once there are enough.
    decided: Option<(StreamContent, Bounds)>,
}

/// What [`StreamCheck`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamReport {
    /// What it was.
    pub content: StreamContent,
    /// Size in bytes.
    pub size: u64,
    /// The superblock of an image.
    pub superblock: Option<Superblock>,
    /// What was wrong.
    pub verdict: Verdict,
}

impl StreamCheck {
    /// A check against what is expected of an image; `tar` says whether it may be a tar archive
    /// as well. Expected digests are not looked at.
    #[must_use]
    pub const fn new(expectations: &Expectations, tar: bool, limits: &Limits) -> Self {
        Self {
            expectations: *expectations,
            limits: *limits,
            tar,
            head: Gather::new(),
            decided: None,
        }
    }

    /// Takes the next decoded bytes.
    ///
    /// # Errors
    ///
    /// The first [`Failure`] of limit or gate; it is given again by every further call.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Some((_, bounds)) = &mut self.decided {
            return bounds.update(bytes);
        }
        let taken = self.head.fill(SNIFF_SIZE, bytes);
        if self.head.filled().len() < SNIFF_SIZE {
            return Ok(());
        }
        let (_, bounds) = self.decided.insert(self.decide());
        // After a failure it says the same again.
        bounds.update(bytes.get(taken..).unwrap_or(&[]))
    }

    /// Looks at the first bytes, and lets them through the check that fits.
    fn decide(&self) -> (StreamContent, Bounds) {
        let head = self.head.filled();
        let content = StreamContent::of(head, self.tar);
        let mut expectations = self.expectations;
        expectations.content = match content {
            StreamContent::Erofs => Content::Erofs,
            StreamContent::Tar => Content::Bytes,
        };
        let mut bounds = Bounds::new(&expectations, &self.limits);
        // A failure stays in it.
        let _ = bounds.update(head);
        (content, bounds)
    }

    /// The superblock, once it has passed and can be one.
    #[must_use]
    pub fn superblock(&self) -> Option<&Superblock> {
        self.decided
            .as_ref()
            .and_then(|(_, bounds)| bounds.superblock())
    }

    /// Says that the bytes have ended.
    #[must_use]
    pub fn finish(mut self) -> StreamReport {
        let decided = self.decided.take();
        let (content, bounds) = decided.unwrap_or_else(|| self.decide());
        StreamReport {
            content,
            size: bounds.size(),
            superblock: bounds.superblock().copied(),
            verdict: bounds.finish(),
        }
    }
}

/// What came through a stream processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Streamed {
    /// What it was.
    pub content: StreamContent,
    /// Size of the blob in bytes.
    pub blob_size: u64,
    /// Size of what came out, in bytes.
    pub size: u64,
    /// The superblock of an image.
    pub superblock: Option<Superblock>,
}

impl Streamed {
    /// What stages that ran apart came to, when nothing was wrong in any of them.
    ///
    /// # Errors
    ///
    /// The error that counts, of those in the reports and in `verdict`, which is the decoder's.
    pub fn new(blob: &BlobReport, stream: &StreamReport, verdict: Verdict) -> Result<Self, Error> {
        verdict.with(&blob.verdict, &stream.verdict).result()?;
        Ok(Self {
            content: stream.content,
            blob_size: blob.size,
            size: stream.size,
            superblock: stream.superblock,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Compression;
    use crate::erofs::SUPERBLOCK_MAGIC;
    use crate::{Code, Value};
    use std::vec;
    use std::vec::Vec;

    /// What comes of these bytes in pieces of this size.
    fn report(bytes: &[u8], tar: bool, piece: usize) -> StreamReport {
        let expectations = Expectations::new(Compression::None);
        let mut check = StreamCheck::new(&expectations, tar, &Limits::DEFAULT);
        for piece in bytes.chunks(piece) {
            let _ = check.update(piece);
        }
        check.finish()
    }

    fn code(bytes: &[u8], tar: bool) -> Option<Code> {
        let whole = report(bytes, tar, bytes.len().max(1));
        for piece in [1, 7, 1151, 1152, 1153] {
            assert_eq!(report(bytes, tar, piece).verdict, whole.verdict);
        }
        whole.verdict.failure().map(|failure| failure.error.code())
    }

    /// A tar header with a right checksum, and a file of zeros behind it.
    fn tar(size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        bytes[0] = b'x';
        bytes[148..156].copy_from_slice(b"000570\0 ");
        bytes
    }

    #[test]
    fn tar_passes_where_it_may() {
        // An empty archive is two blocks of zeros: fewer bytes than are looked at.
        for bytes in [vec![0; 1024], tar(1024), tar(10240)] {
            assert_eq!(code(&bytes, true), None);
            assert_eq!(report(&bytes, true, 100).content, StreamContent::Tar);
            assert_eq!(report(&bytes, true, 100).size, bytes.len() as u64);
            assert_eq!(code(&bytes, false), Some(Code::ContentTar));
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_its_reason() {
        assert_eq!(code(b"", true), Some(Code::ContentEmpty));
        assert_eq!(code(&[1; 700], true), Some(Code::SuperblockTruncated));
        assert_eq!(code(&[1; 2000], true), Some(Code::SuperblockMagic));
        assert_eq!(code(b"\x1f\x8b", true), Some(Code::ContentCompressed));
    }

    #[test]
    fn the_magic_of_erofs_outranks_a_tar_header() {
        let mut bytes = tar(4096);
        bytes[1024..1028].copy_from_slice(&SUPERBLOCK_MAGIC.to_le_bytes());
        let report = report(&bytes, true, 512);
        assert_eq!(report.content, StreamContent::Erofs);
        assert!(code(&bytes, true).is_some());
    }

    #[test]
    fn a_tar_obeys_the_limit() {
        let mut limits = Limits::DEFAULT;
        limits.image_size = 5000;
        let expectations = Expectations::new(Compression::None);
        let mut check = StreamCheck::new(&expectations, true, &limits);
        check.update(&tar(5000)).unwrap();
        let failure = check.update(&[0]).unwrap_err();
        assert_eq!(failure.error.code(), Code::ImageLimit);
        assert_eq!(failure.error.expected_value(), Value::AtMost(5000));
    }
}
