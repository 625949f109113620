//! What a stream processor gives out: an EROFS image or a tar archive, told apart by content.
//!
//! No digest is taken here. Whoever runs a stream processor has verified the blob's digest
//! before, and takes the diffID of what comes out.

use super::bounds::Bounds;
use super::{BlobReport, Content, Expectations, Failure, SNIFF_SIZE, Sniffed, Verdict, sniff};
use crate::bytes::Gather;
use crate::codec::Compression;
use crate::erofs::Superblock;
use crate::oci::StreamType;
use crate::{At, Code, Error, Limits, Value};

/// What the decoded bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamContent {
    /// An EROFS image: superblock and size are checked as by [`ImageCheck`](super::ImageCheck).
    Erofs,
    /// A tar archive. Only the limit is checked.
    Tar,
}

/// How a blob is decoded, and what may come out: by its stated type, and by its first bytes.
///
/// Of tar layers containerd looks at the content alone: gzip, zstd, and all else as it is, nothing
/// at all included (`pkg/archive/compression/compression.go`, `DecompressStream`). So it is here,
/// for tar archives. An EROFS layer comes under the same type with its own suffix, and is what that
/// suffix says or is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamForm {
    /// How it is decoded.
    pub compression: Compression,
    /// Whether it may be a tar archive.
    tar: bool,
    /// Whether nothing at all may.
    empty: bool,
    /// Why it may be nothing but a tar archive, if that is so.
    mislabelled: Option<Error>,
}

impl StreamForm {
    /// Of a blob that is stated to be this, and starts with `head`: its first [`SNIFF_SIZE`] bytes,
    /// or all of them if there are fewer.
    #[must_use]
    pub fn new(stated: StreamType, head: &[u8]) -> Self {
        let mut form = Self {
            compression: Compression::None,
            tar: stated.tar,
            empty: stated.empty,
            mislabelled: None,
        };
        let sniffed = sniff(head);
        match (stated.compression, sniffed) {
            (None, Sniffed::Compressed(found)) => form.compression = found,
            // What is no archive either is refused by the check, with its reason.
            (None, _) => {}
            (Some(compression), Sniffed::Compressed(found))
                if stated.tar && found != compression =>
            {
                form.compression = found;
                form.mislabelled = Some(mislabelled(compression, found));
            }
            (Some(_), Sniffed::Tar | Sniffed::Zeros) if stated.tar => {}
            (Some(_), _) if stated.empty && head.is_empty() => {}
            (Some(compression), _) => form.compression = compression,
        }
        form
    }

    /// What decoded bytes are that start with `head`: the first [`SNIFF_SIZE`] bytes, or all of
    /// them if there are fewer. What is neither is taken for an image, so that it is refused with
    /// the reason why it is none.
    #[must_use]
    pub fn content(&self, head: &[u8]) -> StreamContent {
        match sniff(head) {
            Sniffed::Tar | Sniffed::Zeros if self.tar => StreamContent::Tar,
            _ if self.empty && head.is_empty() => StreamContent::Tar,
            _ => StreamContent::Erofs,
        }
    }
}

/// What a decoder of the stated compression says of a blob that is compressed otherwise.
const fn mislabelled(stated: Compression, found: Compression) -> Error {
    let code = match stated {
        Compression::Gzip => Code::GzipMagic,
        Compression::Zstd => Code::ZstdMagic,
        Compression::None => Code::ContentCompressed,
    };
    Error::new(code, At::Blob(0))
        .found(Value::Text(found.name()))
        .expected(Value::Text(stated.name()))
}

/// Checks the decoded bytes while they stream past, whichever of the two they are.
#[derive(Clone, Debug)]
pub struct StreamCheck {
    expectations: Expectations,
    limits: Limits,
    form: StreamForm,
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
    /// A check against what is expected of an image; `form` says what else it may be. Expected
    /// digests are not looked at.
    #[must_use]
    pub const fn new(expectations: &Expectations, form: StreamForm, limits: &Limits) -> Self {
        Self {
            expectations: *expectations,
            limits: *limits,
            form,
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
        let content = self.form.content(head);
        let mut expectations = self.expectations;
        expectations.content = match content {
            StreamContent::Erofs => Content::Erofs,
            StreamContent::Tar => Content::Bytes,
        };
        let mut bounds = Bounds::new(&expectations, &self.limits);
        match self.form.mislabelled {
            Some(error) if content == StreamContent::Erofs => {
                bounds.refuse(Failure::codec(error, 0));
            }
            // A failure stays in it.
            _ => _ = bounds.update(head),
        }
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
    use crate::erofs::SUPERBLOCK_MAGIC;
    use std::vec;
    use std::vec::Vec;

    /// A type of tar or EROFS layers.
    const fn stated(compression: Option<Compression>, tar: bool) -> StreamType {
        StreamType {
            compression,
            tar,
            empty: tar,
        }
    }

    /// What comes of these bytes in pieces of this size.
    fn report(bytes: &[u8], tar: bool, piece: usize) -> StreamReport {
        let expectations = Expectations::new(Compression::None);
        let form = StreamForm::new(stated(None, tar), &[7]);
        let mut check = StreamCheck::new(&expectations, form, &Limits::DEFAULT);
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
        for (bytes, otherwise) in [
            (vec![], Code::ContentEmpty),
            (vec![0; 1024], Code::ContentZeros),
            (tar(1024), Code::ContentTar),
            (tar(10240), Code::ContentTar),
        ] {
            assert_eq!(code(&bytes, true), None);
            assert_eq!(report(&bytes, true, 100).content, StreamContent::Tar);
            assert_eq!(report(&bytes, true, 100).size, bytes.len() as u64);
            assert_eq!(code(&bytes, false), Some(otherwise));
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_its_reason() {
        assert_eq!(code(&[1; 700], true), Some(Code::SuperblockTruncated));
        assert_eq!(code(&[1; 2000], true), Some(Code::SuperblockMagic));
        assert_eq!(code(b"\x1f\x8b", true), Some(Code::ContentCompressed));
    }

    #[test]
    fn of_a_tar_type_the_content_counts() {
        const GZIP: &[u8] = b"\x1f\x8b\x08";
        const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
        let (gzip, zstd) = (Compression::Gzip, Compression::Zstd);
        let form = |compression, tar, head: &[u8]| {
            StreamForm::new(stated(Some(compression), tar), head).compression
        };
        for stated in [gzip, zstd] {
            assert_eq!(form(stated, true, GZIP), gzip);
            assert_eq!(form(stated, true, ZSTD), zstd);
            for plain in [vec![], vec![0; 1024], tar(1024)] {
                assert_eq!(form(stated, true, &plain), Compression::None);
                assert_eq!(form(stated, false, &plain), stated);
            }
            assert_eq!(form(stated, false, GZIP), stated);
            assert_eq!(form(stated, false, ZSTD), stated);
            // Neither what has no name nor an image, whatever else it looks like.
            assert_eq!(form(stated, true, &[7; 2000]), stated);
            let mut image = tar(4096);
            image[1024..1028].copy_from_slice(&SUPERBLOCK_MAGIC.to_le_bytes());
            assert_eq!(form(stated, true, &image), stated);
        }
        assert_eq!(
            StreamForm::new(StreamType::UNKNOWN, b"").content(b""),
            StreamContent::Erofs
        );
    }

    #[test]
    fn an_image_under_another_compression_is_refused() {
        let form = StreamForm::new(stated(Some(Compression::Zstd), true), b"\x1f\x8b\x08");
        let mut image = vec![0; 4096];
        image[1024..1028].copy_from_slice(&SUPERBLOCK_MAGIC.to_le_bytes());
        let after = |bytes: &[u8]| {
            let expectations = Expectations::new(form.compression);
            let mut check = StreamCheck::new(&expectations, form, &Limits::DEFAULT);
            let _ = check.update(bytes);
            check.finish().verdict.failure()
        };
        for bytes in [&image[..], &image[..1100], &[7; 2000], &[7; 3]] {
            let error = after(bytes).unwrap().error;
            assert_eq!(error.code(), Code::ZstdMagic);
            assert_eq!(error.found_value(), Value::Text("gzip"));
        }
        assert_eq!(after(&tar(1024)), None);
        assert_eq!(after(&[]), None);
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
        let form = StreamForm::new(stated(None, true), &[7]);
        let mut check = StreamCheck::new(&expectations, form, &limits);
        check.update(&tar(5000)).unwrap();
        let failure = check.update(&[0]).unwrap_err();
        assert_eq!(failure.error.code(), Code::ImageLimit);
        assert_eq!(failure.error.expected_value(), Value::AtMost(5000));
    }
}
