//! Where a chunk index lies in the blob that it is embedded in.
//!
//! Follows the EROFS image layer specification (draft), `spec.md` 2.3 and 3.4.3: the annotation
//! `org.erofs.chunk-index.range` leads to it, and it is the last part of the blob. In a plain blob
//! it lies as it is, in a zstd blob it is the content of a skippable frame (RFC 8878, 3.1.2).

use super::chunk::Span;
use super::earlier::Earlier;
use super::index::Header;
use crate::bytes;
use crate::codec::Compression;
use crate::oci::ByteRange;
use crate::{At, Code, Error, Limits, Value};

/// Bytes before the content of a skippable frame.
const FRAME: u64 = 8;
/// The first of the sixteen magics of skippable frames.
const SKIPPABLE: u32 = 0x184D_2A50;
/// How much of the end of a blob is looked at for an index that no annotation leads to, in bytes:
/// enough for the digests of some 85,000 chunks.
pub const TAIL: usize = 4 << 20;

/// The part of a blob that a chunk index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// All of it, in the blob.
    pub span: Span,
    /// Header and entries.
    pub payload: Span,
}

impl Section {
    /// The section that the annotation states, in a blob of this size.
    ///
    /// # Errors
    ///
    /// [`Code::ChunkIndexRange`] when it does not end with the blob, has no room for a header, or
    /// the blob is wrapped so that no index can be in it; [`Code::ChunkIndexLimit`] when it is
    /// larger than [`Limits::chunk_index`].
    pub fn of(
        range: ByteRange,
        compression: Compression,
        blob_size: u64,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let refuse = |found, expected| {
            Err(Error::new(Code::ChunkIndexRange, At::Blob(range.offset))
                .found(found)
                .expected(expected))
        };
        let before = match compression {
            Compression::None => 0,
            Compression::Zstd => FRAME,
            Compression::Gzip => {
                return refuse(Value::Text("gzip"), Value::Text("none or zstd"));
            }
        };
        if let Some(end) = range.end
            && end != blob_size
        {
            return refuse(Value::Number(end), Value::Number(blob_size));
        }
        let start = range.offset.saturating_add(before);
        let payload = Span {
            start,
            end: blob_size,
        };
        let least = before.saturating_add(Header::SIZE as u64);
        let length = blob_size.saturating_sub(range.offset);
        if length < least {
            return refuse(Value::Number(length), Value::AtLeast(least));
        }
        if payload.length() > limits.chunk_index {
            return Err(Error::new(Code::ChunkIndexLimit, At::Blob(start))
                .found(Value::Number(payload.length()))
                .expected(Value::AtMost(limits.chunk_index)));
        }
        Ok(Self {
            span: Span {
                start: range.offset,
                end: blob_size,
            },
            payload,
        })
    }

    /// Header and entries out of all bytes of the section, whose frame has passed.
    ///
    /// # Errors
    ///
    /// [`Code::ChunkIndexFrame`] when a zstd blob has no skippable frame there, or one of another
    /// size.
    pub fn unframed<'a>(&self, section: &'a [u8]) -> Result<&'a [u8], Error> {
        if self.span == self.payload {
            return Ok(section);
        }
        let refuse = |found, expected| {
            Error::new(Code::ChunkIndexFrame, At::Blob(self.span.start))
                .found(found)
                .expected(expected)
        };
        let magic = Value::Text("a skippable frame");
        let mut rest = section;
        let fields = (bytes::le_u32(&mut rest), bytes::le_u32(&mut rest));
        match fields {
            (Some(found), _) if found & !15 != SKIPPABLE => {
                Err(refuse(Value::Hex(found.into()), magic))
            }
            (Some(_), Some(size)) if u64::from(size) == self.payload.length() => Ok(rest),
            (Some(_), Some(size)) => Err(refuse(
                Value::Number(size.into()),
                Value::Number(self.payload.length()),
            )),
            _ => Err(refuse(Value::None, magic)),
        }
    }
}

/// The range of a chunk index that no annotation leads to, by the last bytes of a zstd blob: a
/// skippable frame that ends with the blob and begins like an index, of the draft or of one of its
/// [earlier](Earlier) forms. `tail` are the last bytes, [`TAIL`] or more where there are so many,
/// of a blob of `size` bytes.
///
/// A plain blob says nowhere where its index is.
#[must_use]
pub fn tail(tail: &[u8], size: u64) -> Option<ByteRange> {
    let frame = usize::try_from(FRAME).ok()?;
    // From the end on: content that looks like an index would have to lie before it.
    let last = tail.len().checked_sub(frame)?;
    (0..=last).rev().find_map(|start| {
        let mut frame = tail.get(start..)?;
        let length = frame.len() as u64;
        let magic = bytes::le_u32(&mut frame)?;
        let content = u64::from(bytes::le_u32(&mut frame)?);
        let fits = magic & !15 == SKIPPABLE && content.checked_add(FRAME)? == length;
        (fits && Earlier::starts(frame)).then_some(ByteRange {
            offset: size.checked_sub(length)?,
            end: Some(size),
        })
    })
}
