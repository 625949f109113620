//! The annotations `org.erofs.*` of a layer's descriptor, with typed values.
//!
//! Follows the EROFS image layer draft, `spec.md` sections 2.3 and 2.4. Only annotations of
//! the layer's descriptor count; the same keys on a manifest are for tools that look no
//! further, and are not read here.

use nom::Parser;
use nom::bytes::complete::tag;
use nom::character::complete::digit1;
use nom::combinator::{cut, eof, opt};
use nom::error::Error as NomError;
use nom::sequence::{preceded, terminated};

use super::{Digest, MediaType};
use crate::unpack::VerityTree;
use crate::{At, Code, Error, Value};

/// The keys of the annotations that are read.
pub mod keys {
    /// What the layer is for: [`Role`](super::Role).
    pub const ROLE: &str = "org.erofs.role";
    /// The digest of the decoded layer, its diffID.
    pub const UNCOMPRESSED_DIGEST: &str = "org.erofs.uncompressed-digest";
    /// Where the chunk index lies in the blob: [`ByteRange`](super::ByteRange).
    pub const CHUNK_INDEX_RANGE: &str = "org.erofs.chunk-index.range";
    /// The digest of the chunk index: its header and entries.
    pub const CHUNK_INDEX_DIGEST: &str = "org.erofs.chunk-index.digest";
    /// The format of the chunk index, as a media type.
    pub const CHUNK_INDEX_MEDIA_TYPE: &str = "org.erofs.chunk-index.mediaType";
    /// The digest of the layer that a chunk index layer belongs to.
    pub const CHUNK_INDEX_TARGET: &str = "org.erofs.chunk-index.target";
    /// Where the dm-verity tree begins in the decoded layer.
    pub const DMVERITY_HASH_OFFSET: &str = "org.erofs.dmverity.hash_offset";
    /// The root digest of the dm-verity tree.
    pub const DMVERITY_ROOT_DIGEST: &str = "org.erofs.dmverity.root_digest";
    /// The block size of the dm-verity tree and of its data.
    pub const DMVERITY_BLOCK_SIZE: &str = "org.erofs.dmverity.block_size";
}

/// The dm-verity block size when no annotation states one.
pub const DMVERITY_BLOCK_SIZE_DEFAULT: u64 = 4096;

/// What a layer is for, as `org.erofs.role` states it (draft, 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `device`: bytes that the next EROFS layer addresses through its device table.
    Device,
    /// `overlay-lower`: an EROFS image that becomes a lower layer of an overlay.
    OverlayLower,
    /// `overlay-data`: an EROFS image with file data for the next EROFS layer's metadata.
    OverlayData,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Device, Self::OverlayLower, Self::OverlayData];

    /// The annotation's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::OverlayLower => "overlay-lower",
            Self::OverlayData => "overlay-data",
        }
    }

    /// Reads the annotation's value.
    ///
    /// # Errors
    ///
    /// [`Code::AnnotationRole`] for any other word: what such a layer is for cannot be known.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or(
                Error::new(Code::AnnotationRole, At::Text(0))
                    .expected(Value::Text("device, overlay-lower or overlay-data")),
            )
    }
}

/// A half-open range of bytes, `offset[:end]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// The first byte.
    pub offset: u64,
    /// The byte after the last; when absent, the end of what the range lies in.
    pub end: Option<u64>,
}

impl ByteRange {
    /// Reads `offset` or `offset:end`, both decimal.
    ///
    /// # Errors
    ///
    /// [`Code::AnnotationRange`] with the position, also for an end that is not after the
    /// offset; [`Code::AnnotationUint`] for a number beyond 64 bits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let end = opt(preceded(tag(":"), cut(digit1)));
        let (_, (offset, end)) = terminated((digit1, end), eof)
            .parse(text)
            .map_err(|error| refusal(Code::AnnotationRange, text, &error))?;
        let start = offset.len().saturating_add(1);
        let offset = number(offset, 0)?;
        let end = end.map(|end| number(end, start)).transpose()?;
        match end {
            Some(end) if end <= offset => {
                Err(Error::new(Code::AnnotationRange, At::Text(start as u64))
                    .found(Value::Number(end))
                    .expected(Value::AtLeast(offset.saturating_add(1))))
            }
            _ => Ok(Self { offset, end }),
        }
    }
}

/// Reads `uint`: decimal digits and nothing else.
fn uint(text: &str) -> Result<u64, Error> {
    let (_, digits) = terminated(digit1, eof)
        .parse(text)
        .map_err(|error| refusal(Code::AnnotationUint, text, &error))?;
    number(digits, 0)
}

/// The number that these digits stand for; they begin at `start` of the whole value.
fn number(digits: &str, start: usize) -> Result<u64, Error> {
    digits.parse().map_err(|_| {
        Error::new(Code::AnnotationUint, At::Text(start as u64)).expected(Value::AtMost(u64::MAX))
    })
}

/// The refusal of `text` where the grammar stopped.
fn refusal(code: Code, text: &str, error: &nom::Err<NomError<&str>>) -> Error {
    let rest = match error {
        nom::Err::Error(error) | nom::Err::Failure(error) => error.input,
        nom::Err::Incomplete(_) => "",
    };
    let at = At::Text(text.len().saturating_sub(rest.len()) as u64);
    Error::new(code, at).found(match rest.as_bytes().first() {
        Some(byte) => Value::Byte(*byte),
        None => Value::Text("the end"),
    })
}

/// The annotations `org.erofs.*` of one descriptor.
///
/// ```
/// use erofs_unpack_core::oci::{ErofsAnnotations, Role};
///
/// let mut annotations = ErofsAnnotations::default();
/// annotations.set("org.erofs.role", "overlay-lower")?;
/// annotations.set("org.example.note", "anything")?;
/// assert_eq!(annotations.role, Some(Role::OverlayLower));
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErofsAnnotations {
    /// What the layer is for.
    pub role: Option<Role>,
    /// The diffID.
    pub uncompressed_digest: Option<Digest>,
    /// Where the chunk index lies in the blob.
    pub chunk_index_range: Option<ByteRange>,
    /// The digest of the chunk index's header and entries.
    pub chunk_index_digest: Option<Digest>,
    /// The chunk index's format; absent means `application/vnd.erofs.chunk-index.v1`.
    pub chunk_index_media_type: Option<MediaType>,
    /// The digest of the layer that this chunk index layer belongs to.
    pub chunk_index_target: Option<Digest>,
    /// Where the dm-verity tree begins in the decoded layer, in bytes.
    pub dmverity_hash_offset: Option<u64>,
    /// The root digest of the dm-verity tree.
    pub dmverity_root_digest: Option<Digest>,
    /// The dm-verity block size in bytes; absent means [`DMVERITY_BLOCK_SIZE_DEFAULT`].
    pub dmverity_block_size: Option<u64>,
}

impl ErofsAnnotations {
    /// Takes in one annotation. A key that is not in [`keys`] changes nothing, also one that
    /// begins with `org.erofs.` (draft, 10.1).
    ///
    /// # Errors
    ///
    /// The value's own refusal, with the position in the value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        match key {
            keys::ROLE => self.role = Some(Role::parse(value)?),
            keys::UNCOMPRESSED_DIGEST => self.uncompressed_digest = Some(Digest::parse(value)?),
            keys::CHUNK_INDEX_RANGE => self.chunk_index_range = Some(ByteRange::parse(value)?),
            keys::CHUNK_INDEX_DIGEST => self.chunk_index_digest = Some(Digest::parse(value)?),
            keys::CHUNK_INDEX_MEDIA_TYPE => {
                self.chunk_index_media_type = Some(MediaType::parse(value)?);
            }
            keys::CHUNK_INDEX_TARGET => self.chunk_index_target = Some(Digest::parse(value)?),
            keys::DMVERITY_HASH_OFFSET => self.dmverity_hash_offset = Some(uint(value)?),
            keys::DMVERITY_ROOT_DIGEST => self.dmverity_root_digest = Some(Digest::parse(value)?),
            keys::DMVERITY_BLOCK_SIZE => self.dmverity_block_size = Some(uint(value)?),
            _ => {}
        }
        Ok(())
    }

    /// Checks that the dm-verity annotations are complete and fit each other: offset and root
    /// digest come together (draft, 8.1 item 6), the offset is a multiple of the block size
    /// (3.5) and not zero, and the block size is a power of two from 512 to 65536, which is
    /// what Linux takes (`drivers/md/dm-verity-target.c`: from a sector to a page).
    ///
    /// # Errors
    ///
    /// [`Code::AnnotationVerity`] with what was found and expected.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |found, expected| {
            Err(Error::new(Code::AnnotationVerity, At::Whole)
                .found(found)
                .expected(expected))
        };
        match (self.dmverity_hash_offset, self.dmverity_root_digest) {
            (Some(_), None) => return refuse(Value::None, Value::Text(keys::DMVERITY_ROOT_DIGEST)),
            (None, Some(_)) => return refuse(Value::None, Value::Text(keys::DMVERITY_HASH_OFFSET)),
            (None, None) if self.dmverity_block_size.is_some() => {
                return refuse(
                    Value::Text(keys::DMVERITY_BLOCK_SIZE),
                    Value::Text(keys::DMVERITY_HASH_OFFSET),
                );
            }
            _ => {}
        }
        let block_size = self.dmverity_block_size();
        if !block_size.is_power_of_two() || !(512..=65536).contains(&block_size) {
            return refuse(
                Value::Number(block_size),
                Value::Text("a power of two from 512 to 65536"),
            );
        }
        match self.dmverity_hash_offset {
            Some(0) => refuse(Value::Number(0), Value::AtLeast(block_size)),
            Some(offset) if !offset.is_multiple_of(block_size) => refuse(
                Value::Number(offset),
                Value::Text("a multiple of the block size"),
            ),
            _ => Ok(()),
        }
    }

    /// The dm-verity tree that they announce; `None` also for what [`Self::check`] refuses.
    #[must_use]
    pub fn verity_tree(&self) -> Option<VerityTree> {
        let (offset, root) = self.dmverity_hash_offset.zip(self.dmverity_root_digest)?;
        Some(VerityTree::new(offset, self.dmverity_block_size(), root))
    }

    /// The dm-verity block size in bytes, stated or by default.
    #[must_use]
    pub fn dmverity_block_size(&self) -> u64 {
        self.dmverity_block_size
            .unwrap_or(DMVERITY_BLOCK_SIZE_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;
    use proptest::prelude::*;
    use std::format;
    use std::string::{String, ToString};

    const KEYS: [&str; 9] = [
        keys::ROLE,
        keys::UNCOMPRESSED_DIGEST,
        keys::CHUNK_INDEX_RANGE,
        keys::CHUNK_INDEX_DIGEST,
        keys::CHUNK_INDEX_MEDIA_TYPE,
        keys::CHUNK_INDEX_TARGET,
        keys::DMVERITY_HASH_OFFSET,
        keys::DMVERITY_ROOT_DIGEST,
        keys::DMVERITY_BLOCK_SIZE,
    ];

    fn refused(key: &str, value: &str) -> (Code, At) {
        let error = ErofsAnnotations::default().set(key, value).unwrap_err();
        (error.code(), error.at())
    }

    #[test]
    fn every_key_is_typed() {
        let digest = Algorithm::Sha256.digest(b"a");
        let mut annotations = ErofsAnnotations::default();
        let text = digest.to_string();
        for (key, value) in KEYS.into_iter().zip([
            "overlay-data",
            &text,
            "52420608:52428800",
            &text,
            "application/vnd.erofs.chunk-index.v1",
            &text,
            "8192",
            &text,
            "512",
        ]) {
            annotations.set(key, value).unwrap();
        }
        assert_eq!(
            annotations,
            ErofsAnnotations {
                role: Some(Role::OverlayData),
                uncompressed_digest: Some(digest),
                chunk_index_range: Some(ByteRange {
                    offset: 52_420_608,
                    end: Some(52_428_800)
                }),
                chunk_index_digest: Some(digest),
                chunk_index_media_type: MediaType::parse("application/vnd.erofs.chunk-index.v1")
                    .ok(),
                chunk_index_target: Some(digest),
                dmverity_hash_offset: Some(8192),
                dmverity_root_digest: Some(digest),
                dmverity_block_size: Some(512),
            }
        );
        annotations.check().unwrap();
    }

    #[test]
    fn unknown_keys_are_informational() {
        let mut annotations = ErofsAnnotations::default();
        annotations.set("org.erofs.later", "\u{0}").unwrap();
        annotations.set("org.erofs.Role", "device").unwrap();
        assert_eq!(annotations, ErofsAnnotations::default());
        annotations.check().unwrap();
    }

    #[test]
    fn values_are_refused_with_the_position() {
        let huge = "18446744073709551616";
        for (key, value, code, at) in [
            (keys::ROLE, "lower", Code::AnnotationRole, 0),
            (keys::ROLE, "Device", Code::AnnotationRole, 0),
            (keys::ROLE, "", Code::AnnotationRole, 0),
            (keys::UNCOMPRESSED_DIGEST, "md5:0", Code::DigestAlgorithm, 0),
            (keys::CHUNK_INDEX_DIGEST, "sha256", Code::DigestSyntax, 6),
            (keys::CHUNK_INDEX_TARGET, "sha256:", Code::DigestLength, 7),
            (keys::DMVERITY_ROOT_DIGEST, "sha256:x", Code::DigestCase, 7),
            (keys::CHUNK_INDEX_MEDIA_TYPE, "a", Code::MediaTypeSyntax, 1),
            (keys::CHUNK_INDEX_RANGE, "", Code::AnnotationRange, 0),
            (keys::CHUNK_INDEX_RANGE, ":5", Code::AnnotationRange, 0),
            (keys::CHUNK_INDEX_RANGE, "5:", Code::AnnotationRange, 2),
            (keys::CHUNK_INDEX_RANGE, "5:5", Code::AnnotationRange, 2),
            (keys::CHUNK_INDEX_RANGE, "5:6 ", Code::AnnotationRange, 3),
            (keys::CHUNK_INDEX_RANGE, "-5", Code::AnnotationRange, 0),
            (keys::CHUNK_INDEX_RANGE, huge, Code::AnnotationUint, 0),
            (keys::DMVERITY_HASH_OFFSET, "", Code::AnnotationUint, 0),
            (keys::DMVERITY_HASH_OFFSET, "+1", Code::AnnotationUint, 0),
            (keys::DMVERITY_HASH_OFFSET, "0x10", Code::AnnotationUint, 1),
            (keys::DMVERITY_HASH_OFFSET, huge, Code::AnnotationUint, 0),
            (keys::DMVERITY_BLOCK_SIZE, "4096.0", Code::AnnotationUint, 4),
        ] {
            assert_eq!(refused(key, value), (code, At::Text(at)), "{key}={value}");
        }
        assert_eq!(uint("18446744073709551615").unwrap(), u64::MAX);
        assert_eq!(uint("0004096").unwrap(), 4096);
    }

    #[test]
    fn dm_verity_annotations_fit_each_other() {
        let root = Some(Algorithm::Sha256.digest(b"root"));
        let verity = |hash_offset, root_digest, block_size| {
            let annotations = ErofsAnnotations {
                dmverity_hash_offset: hash_offset,
                dmverity_root_digest: root_digest,
                dmverity_block_size: block_size,
                ..ErofsAnnotations::default()
            };
            annotations.check().map_err(|error| error.code())
        };
        for (hash_offset, root_digest, block_size) in [
            (None, None, None),
            (Some(4096), root, None),
            (Some(512), root, Some(512)),
            (Some(131_072), root, Some(65536)),
        ] {
            assert_eq!(verity(hash_offset, root_digest, block_size), Ok(()));
        }
        for (hash_offset, root_digest, block_size) in [
            (Some(4096), None, None),
            (None, root, None),
            (None, None, Some(4096)),
            (Some(0), root, None),
            (Some(512), root, None),
            (Some(4097), root, None),
            (Some(12288), root, Some(3072)),
            (Some(4096), root, Some(0)),
            (Some(4096), root, Some(256)),
            (Some(1 << 20), root, Some(131_072)),
        ] {
            assert_eq!(
                verity(hash_offset, root_digest, block_size),
                Err(Code::AnnotationVerity),
                "{hash_offset:?} {block_size:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn ranges_keep_their_numbers(offset in 0..u64::MAX - 1, length in 1..1_000_u64) {
            let end = offset.saturating_add(length);
            prop_assert_eq!(
                ByteRange::parse(&format!("{offset}:{end}")).unwrap(),
                ByteRange { offset, end: Some(end) }
            );
            prop_assert_eq!(
                ByteRange::parse(&offset.to_string()).unwrap(),
                ByteRange { offset, end: None }
            );
        }

        #[test]
        fn any_value_is_taken_or_refused(key in 0..KEYS.len(), value in any::<String>()) {
            let mut annotations = ErofsAnnotations::default();
            if annotations.set(KEYS[key], &value).is_err() {
                prop_assert_eq!(annotations, ErofsAnnotations::default());
            }
            let _ = annotations.check();
        }
    }
}
