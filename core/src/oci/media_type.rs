//! Media types: their grammar, and what each says of a blob.
//!
//! The grammar is that of RFC 6838 section 4.2 (`restricted-name`, at most 127 characters on
//! each side of the slash), compared without regard to case. Parameters after `;` follow RFC
//! 9110 section 5.6.6; no layer type defines any, so they are checked and then set aside.
//!
//! Sources of the types: the EROFS image layer draft (`spec.md` sections 2.1 and 2.2) for
//! `application/vnd.erofs` and the chunk index; containerd's `core/images/mediatypes.go` for
//! `application/vnd.erofs.layer.v1`, Docker's types and the config types; the OCI image
//! specification 1.1, `media-types.md`, for the rest.

use core::fmt;
use core::hash::{Hash, Hasher};

use nom::branch::alt;
use nom::bytes::complete::{is_a, take_while, take_while1};
use nom::character::complete::{char, satisfy};
use nom::combinator::{cut, eof, opt, recognize};
use nom::multi::many0_count;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use crate::codec::Compression;
use crate::{At, Code, Error, Value, bytes};

/// Most characters on either side of the slash (RFC 6838 section 4.2).
const NAME: usize = 127;
/// Most characters of a type: two names and the slash.
const LONGEST: usize = 2 * NAME + 1;

/// One of the three families of media types that stand for an EROFS image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// `application/vnd.erofs`, of the EROFS image layer draft.
    Draft,
    /// `application/vnd.erofs.layer.v1`, of containerd.
    ///
    /// No other version: containerd's differ has matched the prefix
    /// `application/vnd.erofs.layer`, but its `images.IsLayerType` lists `.v1` alone, and the
    /// draft (2.1) wants a subtype that is not known to be refused.
    Containerd,
    /// `application/vnd.erofs.layer.overlayfs.v1.erofs`.
    Overlayfs,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 3] = [Self::Draft, Self::Containerd, Self::Overlayfs];

    /// The media type without a suffix.
    #[must_use]
    pub const fn base(self) -> &'static str {
        match self {
            Self::Draft => "application/vnd.erofs",
            Self::Containerd => "application/vnd.erofs.layer.v1",
            Self::Overlayfs => "application/vnd.erofs.layer.overlayfs.v1.erofs",
        }
    }
}

/// How a tar layer is compressed, as far as its media type says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TarCompression {
    /// Not at all. Blobs of Docker's plain type may be compressed all the same: containerd
    /// looks at their content.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
    /// In a way that this crate does not know, encryption included.
    Other,
}

/// What a media type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MediaKind {
    /// An EROFS image.
    Erofs {
        /// Whose name for it.
        family: Family,
        /// What its suffix says.
        compression: Compression,
    },
    /// An EROFS image with a suffix other than `+zstd` and `+gzip`.
    ErofsUnknownSuffix {
        /// Whose name for it.
        family: Family,
    },
    /// A chunk index as a layer of its own: `application/vnd.erofs.chunk-index.v1`.
    ChunkIndex,
    /// A tar layer of OCI or Docker.
    Tar {
        /// What its suffix says.
        compression: TarCompression,
    },
    /// An image manifest of OCI or Docker (schema 2).
    Manifest,
    /// An image index of OCI or a manifest list of Docker.
    Index,
    /// An image configuration of OCI or Docker.
    Config,
    /// Anything else.
    Other,
}

/// What the decoded bytes of a layer are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Content {
    /// An EROFS image.
    Erofs,
    /// A chunk index.
    ChunkIndex,
    /// Any bytes: a layer with the role `device`.
    Bytes,
}

/// How to decode a layer and what must come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerType {
    /// What must come out.
    pub content: Content,
    /// How to decode it.
    pub compression: Compression,
}

/// How to decode what a stream processor is given, and what may come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamType {
    /// How to decode it; `None` when only the content says that.
    pub compression: Option<Compression>,
    /// Whether it may be a tar archive as well as an EROFS image.
    pub tar: bool,
    /// Whether no bytes at all are an empty tar archive: where the type is that of a tar layer.
    pub empty: bool,
}

impl StreamType {
    /// Of a stream without a stated type.
    pub const UNKNOWN: Self = Self {
        compression: None,
        tar: true,
        empty: false,
    };
}

/// A media type, `type/subtype`, as it was written but without its parameters.
///
/// Two types that differ only in case are equal.
///
/// ```
/// use erofs_unpack_core::codec::Compression;
/// use erofs_unpack_core::oci::{Family, MediaKind, MediaType};
///
/// let media_type = MediaType::parse("application/vnd.erofs+zstd")?;
/// let (family, compression) = (Family::Draft, Compression::Zstd);
/// assert_eq!(media_type.kind(), MediaKind::Erofs { family, compression });
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct MediaType {
    /// The first `length` bytes count, and are ASCII.
    text: [u8; LONGEST],
    length: u8,
}

impl MediaType {
    /// Reads `type/subtype`, with or without parameters.
    ///
    /// # Errors
    ///
    /// [`Code::MediaTypeSyntax`] with the position and the byte that does not belong there,
    /// [`Code::MediaTypeLength`] with the position of the first character too many.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (kind, subtype) = match grammar(text) {
            Ok((_, names)) => names,
            Err(nom::Err::Error(error) | nom::Err::Failure(error)) => {
                return Err(syntax(text, error.input));
            }
            Err(nom::Err::Incomplete(_)) => return Err(syntax(text, "")),
        };
        let mut start = 0_usize;
        for name in [kind, subtype] {
            if name.len() > NAME {
                let at = At::Text(start.saturating_add(NAME) as u64);
                return Err(Error::new(Code::MediaTypeLength, at)
                    .found(Value::Number(name.len() as u64))
                    .expected(Value::AtMost(NAME as u64)));
            }
            start = start.saturating_add(name.len()).saturating_add(1);
        }
        let length = start.saturating_sub(1);
        let mut stored = [0; LONGEST];
        bytes::copy(text.as_bytes().get(..length).unwrap_or(&[]), &mut stored);
        let Ok(length) = u8::try_from(length) else {
            return Err(Error::new(Code::MediaTypeLength, At::Whole));
        };
        Ok(Self {
            text: stored,
            length,
        })
    }

    /// The type as it was written, without parameters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text
            .get(..usize::from(self.length))
            .and_then(|text| core::str::from_utf8(text).ok())
            .unwrap_or("")
    }

    /// What it stands for.
    #[must_use]
    pub fn kind(&self) -> MediaKind {
        let text = self.as_str();
        let (base, suffix) = match text.split_once('+') {
            Some((base, suffix)) => (base, Some(suffix)),
            None => (text, None),
        };
        for family in Family::ALL {
            if base.eq_ignore_ascii_case(family.base()) {
                return match compression(suffix) {
                    Some(compression) => MediaKind::Erofs {
                        family,
                        compression,
                    },
                    None => MediaKind::ErofsUnknownSuffix { family },
                };
            }
        }
        if let Some(unsuffixed) = tar(base) {
            return MediaKind::Tar {
                compression: match (unsuffixed, suffix) {
                    (stated, None) => stated,
                    (TarCompression::None, Some(_)) => match compression(suffix) {
                        Some(Compression::Gzip) => TarCompression::Gzip,
                        Some(Compression::Zstd) => TarCompression::Zstd,
                        _ => TarCompression::Other,
                    },
                    (_, Some(_)) => TarCompression::Other,
                },
            };
        }
        DOCUMENTS
            .iter()
            .find(|(name, _)| text.eq_ignore_ascii_case(name))
            .map_or(MediaKind::Other, |(_, kind)| *kind)
    }

    /// How to decode a layer of this type, without a role or with an overlay role.
    ///
    /// # Errors
    ///
    /// [`Code::MediaTypeSuffix`] with the suffix's position for an EROFS type with an unknown
    /// suffix, [`Code::MediaTypeTar`] for a tar layer, [`Code::MediaTypeUnknown`] for anything
    /// else that is neither an EROFS image nor a chunk index.
    pub fn layer(&self) -> Result<LayerType, Error> {
        let (content, compression) = match self.kind() {
            MediaKind::Erofs { compression, .. } => (Content::Erofs, compression),
            MediaKind::ChunkIndex => (Content::ChunkIndex, Compression::None),
            MediaKind::ErofsUnknownSuffix { .. } => return Err(self.unknown_suffix()),
            MediaKind::Tar { .. } => return Err(Error::new(Code::MediaTypeTar, At::Whole)),
            _ => return Err(self.unknown()),
        };
        Ok(LayerType {
            content,
            compression,
        })
    }

    /// Whether it is a type that somebody else has for EROFS images, which [`Self::layer`] refuses:
    /// its name ends in `.erofs`, before any suffix.
    ///
    /// Such are `application/vnd.stacker.image.layer.erofs` (stacker and atomfs,
    /// `pkg/erofs/mediatype.go`), `application/vnd.oci.image.layer.erofs` (forks of nerdctl and
    /// BuildKit) and `application/vnd.rdk.package.content.layer.v1.erofs` (RDK). What their
    /// suffixes mean is up to them: stacker's say how files within the image are compressed, and
    /// that a dm-verity tree follows it. So the bytes are an image as it is, or not, and only who
    /// knows the writer can say so.
    #[must_use]
    pub fn is_foreign_erofs(&self) -> bool {
        let text = self.as_str();
        let base = text.split_once('+').map_or(text, |(base, _)| base);
        let end = base.len().checked_sub(FOREIGN.len());
        let end = end.and_then(|start| base.get(start..));
        self.kind() == MediaKind::Other && end.is_some_and(|end| end.eq_ignore_ascii_case(FOREIGN))
    }

    /// The refusal of a type that is none of a layer, with what it is known as.
    fn unknown(&self) -> Error {
        let error = Error::new(Code::MediaTypeUnknown, At::Whole);
        let text = self.as_str();
        let starts = |with: &str| {
            let start = text.get(..with.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        if starts(NYDUS) {
            return error.found(Value::Text(
                "data of nydus (RAFS), which is no image without its bootstrap",
            ));
        }
        if !self.is_foreign_erofs() {
            return error;
        }
        let found = if starts(STACKER) {
            "stacker's type of an EROFS image"
        } else {
            "a type of an EROFS image that is in no specification"
        };
        error
            .found(Value::Text(found))
            .expected(Value::Text(Family::Draft.base()))
    }

    /// How to decode a layer of this type that has the role `device`.
    ///
    /// Any type can be a device (draft, 2.4). Its suffix says how it is compressed: `+gzip`,
    /// `+zstd`, or Docker's `.tar.gzip` and `.tar.zstd`. Any other type is taken as it lies.
    ///
    /// # Errors
    ///
    /// [`Code::MediaTypeSuffix`] with the suffix's position for an EROFS or tar type with an
    /// unknown suffix: for those the suffix does say that the bytes must be decoded first.
    pub fn device(&self) -> Result<LayerType, Error> {
        let compression = match self.kind() {
            MediaKind::Erofs { compression, .. } => compression,
            MediaKind::Tar { compression } => match compression {
                TarCompression::None => Compression::None,
                TarCompression::Gzip => Compression::Gzip,
                TarCompression::Zstd => Compression::Zstd,
                TarCompression::Other => return Err(self.unknown_suffix()),
            },
            MediaKind::ErofsUnknownSuffix { .. } => return Err(self.unknown_suffix()),
            _ => match self.as_str().rsplit_once('+') {
                Some((_, suffix)) => compression(Some(suffix)).unwrap_or(Compression::None),
                None => Compression::None,
            },
        };
        Ok(LayerType {
            content: Content::Bytes,
            compression,
        })
    }

    /// What a stream processor that is told this type is to make of its input.
    ///
    /// containerd's differ names an EROFS layer by the tar type with its suffix
    /// (`plugins/diff/erofs/differ.go`), so under a tar type both may come. Plain tar types
    /// say nothing of the compression: containerd looks at the content.
    ///
    /// # Errors
    ///
    /// [`Code::MediaTypeSuffix`] with the suffix's position for an EROFS or tar type with an
    /// unknown suffix, [`Code::MediaTypeUnknown`] for all that is neither.
    pub fn stream(&self) -> Result<StreamType, Error> {
        match self.kind() {
            MediaKind::Erofs { compression, .. } => Ok(StreamType {
                compression: Some(compression),
                tar: false,
                empty: false,
            }),
            MediaKind::Tar { compression } => Ok(StreamType {
                compression: match compression {
                    TarCompression::None => None,
                    TarCompression::Gzip => Some(Compression::Gzip),
                    TarCompression::Zstd => Some(Compression::Zstd),
                    TarCompression::Other => return Err(self.unknown_suffix()),
                },
                tar: true,
                empty: true,
            }),
            MediaKind::ErofsUnknownSuffix { .. } => Err(self.unknown_suffix()),
            _ => Err(Error::new(Code::MediaTypeUnknown, At::Whole)),
        }
    }

    /// The refusal of the first suffix, at its position.
    fn unknown_suffix(&self) -> Error {
        let at = self.as_str().find('+').unwrap_or(0).saturating_add(1);
        Error::new(Code::MediaTypeSuffix, At::Text(at as u64))
            .expected(Value::Text("+zstd or +gzip"))
    }
}

/// How others' types of EROFS images end, before any suffix. containerd's differ looked for just
/// that before it had a type of its own.
const FOREIGN: &str = ".erofs";
/// How stacker's types start.
const STACKER: &str = "application/vnd.stacker.";
/// How nydus' types start (nydus-snapshotter, `pkg/converter/constant.go`).
const NYDUS: &str = "application/vnd.oci.image.layer.nydus.";

/// What a suffix (all that follows the first `+`) says of the compression, when it is known.
fn compression(suffix: Option<&str>) -> Option<Compression> {
    match suffix {
        None => Some(Compression::None),
        Some(name) if name.eq_ignore_ascii_case("gzip") => Some(Compression::Gzip),
        Some(name) if name.eq_ignore_ascii_case("zstd") => Some(Compression::Zstd),
        Some(_) => None,
    }
}

/// What the type before any `+` says of a tar layer's compression, when it is one.
fn tar(base: &str) -> Option<TarCompression> {
    const BASES: [(&str, TarCompression); 8] = [
        (
            "application/vnd.oci.image.layer.v1.tar",
            TarCompression::None,
        ),
        (
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            TarCompression::None,
        ),
        (
            "application/vnd.docker.image.rootfs.diff.tar",
            TarCompression::None,
        ),
        (
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            TarCompression::Gzip,
        ),
        (
            "application/vnd.docker.image.rootfs.diff.tar.zstd",
            TarCompression::Zstd,
        ),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
            TarCompression::None,
        ),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            TarCompression::Gzip,
        ),
        (
            "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd",
            TarCompression::Zstd,
        ),
    ];
    BASES
        .iter()
        .find(|(name, _)| base.eq_ignore_ascii_case(name))
        .map(|(_, compression)| *compression)
}

/// The types that are matched whole.
const DOCUMENTS: [(&str, MediaKind); 7] = [
    (
        "application/vnd.erofs.chunk-index.v1",
        MediaKind::ChunkIndex,
    ),
    (
        "application/vnd.oci.image.manifest.v1+json",
        MediaKind::Manifest,
    ),
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        MediaKind::Manifest,
    ),
    ("application/vnd.oci.image.index.v1+json", MediaKind::Index),
    (
        "application/vnd.docker.distribution.manifest.list.v2+json",
        MediaKind::Index,
    ),
    (
        "application/vnd.oci.image.config.v1+json",
        MediaKind::Config,
    ),
    (
        "application/vnd.docker.container.image.v1+json",
        MediaKind::Config,
    ),
];

/// `type "/" subtype parameters`, to the end of the text.
fn grammar(text: &str) -> IResult<&str, (&str, &str)> {
    let names = (terminated(restricted_name, char('/')), restricted_name);
    terminated(names, (many0_count(parameter), eof)).parse(text)
}

/// `restricted-name` of RFC 6838, of any length.
fn restricted_name(text: &str) -> IResult<&str, &str> {
    recognize((
        satisfy(|first| first.is_ascii_alphanumeric()),
        take_while(|next: char| next.is_ascii_alphanumeric() || "!#$&-^_.+".contains(next)),
    ))
    .parse(text)
}

/// One turn of `parameters` of RFC 9110: `OWS ";" OWS [ name "=" value ]`.
fn parameter(text: &str) -> IResult<&str, ()> {
    let value = alt((token, quoted));
    let pair = (token, cut(preceded(char('='), value)));
    (space, char(';'), space, opt(pair)).map(|_| ()).parse(text)
}

/// Optional white space.
fn space(text: &str) -> IResult<&str, Option<&str>> {
    opt(is_a(" \t")).parse(text)
}

/// `token` of RFC 9110 section 5.6.2.
fn token(text: &str) -> IResult<&str, &str> {
    take_while1(|next: char| next.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(next))
        .parse(text)
}

/// `quoted-string` of RFC 9110 section 5.6.4, in ASCII.
fn quoted(text: &str) -> IResult<&str, &str> {
    let plain = |next: char| matches!(next, ' ' | '\t' | '!'..='~');
    let part = alt((
        take_while1(move |next| plain(next) && next != '"' && next != '\\'),
        recognize((char('\\'), cut(satisfy(plain)))),
    ));
    recognize((char('"'), cut((many0_count(part), char('"'))))).parse(text)
}

/// The refusal of `text` at the start of `rest`, its unread end.
fn syntax(text: &str, rest: &str) -> Error {
    let at = At::Text(text.len().saturating_sub(rest.len()) as u64);
    let found = match rest.as_bytes().first() {
        Some(byte) => Value::Byte(*byte),
        None => Value::Text("the end"),
    };
    Error::new(Code::MediaTypeSyntax, at).found(found)
}

impl PartialEq for MediaType {
    fn eq(&self, other: &Self) -> bool {
        self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

impl Eq for MediaType {}

impl Hash for MediaType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.as_str().bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
        state.write_u8(0xff);
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaType({self})")
    }
}

impl core::str::FromStr for MediaType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::{String, ToString};

    #[test]
    fn types_of_others_are_known_by_name() {
        let of = |text: &str| {
            let media_type = MediaType::parse(text).unwrap();
            let error = media_type.layer().unwrap_err();
            assert_eq!(error.code(), Code::MediaTypeUnknown);
            (media_type.is_foreign_erofs(), error.found_value())
        };
        let is = |text: &str, what: &str| match of(text) {
            (foreign, Value::Text(found)) => foreign && found.contains(what),
            _ => false,
        };
        for suffix in ["", "+zstd", "+lz4hc", "+zstd+verity"] {
            let text = format!("application/vnd.stacker.image.layer.erofs{suffix}");
            assert!(is(&text, "stacker's"), "{text}");
        }
        for text in [
            "application/vnd.oci.image.layer.erofs",
            "Application/vnd.rdk.package.content.layer.v1.EROFS+dmverity",
        ] {
            assert!(is(text, "in no specification"), "{text}");
        }
        let (foreign, found) = of("application/vnd.oci.image.layer.nydus.blob.v1");
        assert!(!foreign && matches!(found, Value::Text(text) if text.contains("nydus")));
        for text in [
            "application/vnd.oci.image.layer.v1.erofs.sig",
            "application/vnd.stacker.image.layer.squashfs+zstd",
            "application/erofs",
        ] {
            assert_eq!(of(text), (false, Value::None), "{text}");
        }
    }

    fn kind(text: &str) -> MediaKind {
        MediaType::parse(text).unwrap().kind()
    }

    /// The refusal of `text` by the grammar.
    fn refusal(text: &str) -> (Code, At, Value) {
        let error = MediaType::parse(text).unwrap_err();
        (error.code(), error.at(), error.found_value())
    }

    #[test]
    fn every_erofs_type_is_told_apart() {
        for family in Family::ALL {
            for (suffix, compression) in [
                ("", Compression::None),
                ("+zstd", Compression::Zstd),
                ("+gzip", Compression::Gzip),
            ] {
                let text = format!("{}{suffix}", family.base());
                let expected = MediaKind::Erofs {
                    family,
                    compression,
                };
                assert_eq!(kind(&text), expected, "{text}");
                assert_eq!(kind(&text.to_uppercase()), expected, "{text}");
                assert_eq!(kind(&format!("{text}; a=b")), expected, "{text}");
                let layer = MediaType::parse(&text).unwrap().layer().unwrap();
                assert_eq!(layer.content, Content::Erofs);
                assert_eq!(layer.compression, compression);
            }
        }
    }

    #[test]
    fn an_unknown_suffix_is_refused_at_its_position() {
        for text in [
            "application/vnd.erofs+lz4",
            "application/vnd.erofs+",
            "application/vnd.erofs+zstd+encrypted",
        ] {
            let media_type = MediaType::parse(text).unwrap();
            for error in [
                media_type.layer().unwrap_err(),
                media_type.device().unwrap_err(),
            ] {
                assert_eq!(error.code(), Code::MediaTypeSuffix, "{text}");
                assert_eq!(error.at(), At::Text(22), "{text}");
            }
        }
    }

    #[test]
    fn what_a_stream_processor_makes_of_a_type() {
        let stream = |text: &str| MediaType::parse(text).unwrap().stream();
        let is = |compression, tar| {
            Ok(StreamType {
                compression,
                tar,
                empty: tar,
            })
        };
        let (gzip, zstd) = (Some(Compression::Gzip), Some(Compression::Zstd));
        for (text, expected) in [
            ("application/vnd.oci.image.layer.v1.tar", is(None, true)),
            (
                "application/vnd.oci.image.layer.v1.tar+zstd",
                is(zstd, true),
            ),
            (
                "application/vnd.docker.image.rootfs.diff.tar",
                is(None, true),
            ),
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                is(gzip, true),
            ),
            ("application/vnd.erofs+zstd", is(zstd, false)),
            (
                "application/vnd.erofs.layer.v1",
                is(Some(Compression::None), false),
            ),
        ] {
            assert_eq!(stream(text), expected, "{text}");
        }
        for (text, code) in [
            (
                "application/vnd.oci.image.layer.v1.tar+zstd+encrypted",
                Code::MediaTypeSuffix,
            ),
            ("application/vnd.erofs+lz4", Code::MediaTypeSuffix),
            (
                "application/vnd.erofs.chunk-index.v1",
                Code::MediaTypeUnknown,
            ),
            ("text/plain", Code::MediaTypeUnknown),
        ] {
            assert_eq!(stream(text).unwrap_err().code(), code, "{text}");
        }
    }

    #[test]
    fn other_types_are_told_apart() {
        use MediaKind::{ChunkIndex, Config, Index, Manifest, Other};
        for (text, expected) in [
            ("application/vnd.erofs.chunk-index.v1", ChunkIndex),
            ("application/vnd.erofs.chunk-index.v2", Other),
            ("application/vnd.erofs.chunk-index.v1+zstd", Other),
            ("application/vnd.erofs.layer.v2", Other),
            ("application/vnd.erofs.layer", Other),
            ("application/vnd.erofs.layer.merged.v1+zstd", Other),
            ("application/vnd.erofsx", Other),
            ("application/vnd.oci.image.manifest.v1+json", Manifest),
            (
                "application/vnd.docker.distribution.manifest.v2+json",
                Manifest,
            ),
            ("application/vnd.oci.image.index.v1+json", Index),
            (
                "application/vnd.docker.distribution.manifest.list.v2+json",
                Index,
            ),
            ("application/vnd.oci.image.config.v1+json", Config),
            ("application/vnd.docker.container.image.v1+json", Config),
            ("application/octet-stream", Other),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn every_tar_type_is_told_apart_and_refused_as_a_layer() {
        use TarCompression::{Gzip, None, Other, Zstd};
        let oci = "application/vnd.oci.image.layer";
        let docker = "application/vnd.docker.image.rootfs";
        for (text, compression) in [
            (format!("{oci}.v1.tar"), None),
            (format!("{oci}.v1.tar+gzip"), Gzip),
            (format!("{oci}.v1.tar+zstd"), Zstd),
            (format!("{oci}.v1.tar+bzip2"), Other),
            (format!("{oci}.v1.tar+gzip+encrypted"), Other),
            (format!("{oci}.nondistributable.v1.tar"), None),
            (format!("{oci}.nondistributable.v1.tar+gzip"), Gzip),
            (format!("{oci}.nondistributable.v1.tar+zstd"), Zstd),
            (format!("{docker}.diff.tar"), None),
            (format!("{docker}.diff.tar.gzip"), Gzip),
            (format!("{docker}.diff.tar.zstd"), Zstd),
            (format!("{docker}.diff.tar+zstd"), Zstd),
            (format!("{docker}.diff.tar.gzip+encrypted"), Other),
            (format!("{docker}.foreign.diff.tar"), None),
            (format!("{docker}.foreign.diff.tar.gzip"), Gzip),
            (format!("{docker}.foreign.diff.tar.zstd"), Zstd),
        ] {
            assert_eq!(kind(&text), MediaKind::Tar { compression }, "{text}");
            let error = MediaType::parse(&text).unwrap().layer().unwrap_err();
            assert_eq!(error.code(), Code::MediaTypeTar, "{text}");
        }
        let error = MediaType::parse("application/octet-stream")
            .unwrap()
            .layer();
        assert_eq!(error.unwrap_err().code(), Code::MediaTypeUnknown);
        let layer = MediaType::parse("application/vnd.erofs.chunk-index.v1").unwrap();
        assert_eq!(layer.layer().unwrap().content, Content::ChunkIndex);
    }

    #[test]
    fn a_device_is_decoded_as_its_suffix_says() {
        for (text, compression) in [
            ("application/octet-stream", Compression::None),
            ("application/x-model+gzip", Compression::Gzip),
            ("application/x-model+json+zstd", Compression::Zstd),
            ("application/x-model+json", Compression::None),
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                Compression::Gzip,
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+zstd",
                Compression::Zstd,
            ),
            ("application/vnd.oci.image.layer.v1.tar", Compression::None),
            ("application/vnd.erofs+zstd", Compression::Zstd),
        ] {
            let device = MediaType::parse(text).unwrap().device().unwrap();
            assert_eq!(device.content, Content::Bytes, "{text}");
            assert_eq!(device.compression, compression, "{text}");
        }
        let tar = MediaType::parse("application/vnd.oci.image.layer.v1.tar+bzip2").unwrap();
        assert_eq!(tar.device().unwrap_err().at(), At::Text(39));
    }

    #[test]
    fn refuses_with_the_position_and_the_byte() {
        let end = Value::Text("the end");
        for (text, at, found) in [
            ("", 0, end),
            ("application", 11, end),
            ("application/", 12, end),
            ("/vnd.erofs", 0, Value::Byte(b'/')),
            (".a/b", 0, Value::Byte(b'.')),
            ("application//b", 12, Value::Byte(b'/')),
            ("application/vnd.erofs/x", 21, Value::Byte(b'/')),
            ("application/vnd erofs", 15, Value::Byte(b' ')),
            ("application/vnd.erofs ", 21, Value::Byte(b' ')),
            (" application/vnd.erofs", 0, Value::Byte(b' ')),
            ("application/\u{e9}", 12, Value::Byte(0xc3)),
            ("a/b;c", 5, end),
            ("a/b;c=", 6, end),
            ("a/b; c=\"x", 9, end),
            ("a/b; c=\"\n\"", 8, Value::Byte(b'\n')),
            ("a/b; c=d e", 8, Value::Byte(b' ')),
        ] {
            assert_eq!(
                refusal(text),
                (Code::MediaTypeSyntax, At::Text(at), found),
                "{text:?}"
            );
        }
    }

    #[test]
    fn parameters_are_set_aside() {
        for text in [
            "a/b;",
            "a/b ; ",
            "a/b;c=d",
            "a/b; c=\"d\\\" ;e\"; f=g",
            "a/b;;c=d",
        ] {
            assert_eq!(MediaType::parse(text).unwrap().as_str(), "a/b", "{text}");
        }
    }

    #[test]
    fn names_are_bounded() {
        let longest = "a".repeat(127);
        let text = format!("{longest}/{longest}");
        assert_eq!(MediaType::parse(&text).unwrap().as_str(), text);
        assert_eq!(
            refusal(&format!("a{longest}/b")),
            (Code::MediaTypeLength, At::Text(127), Value::Number(128))
        );
        assert_eq!(
            refusal(&format!("a/b{longest}")),
            (Code::MediaTypeLength, At::Text(129), Value::Number(128))
        );
    }

    #[test]
    fn case_does_not_tell_types_apart() {
        let lower = MediaType::parse("application/vnd.erofs").unwrap();
        let upper = MediaType::parse("Application/VND.Erofs").unwrap();
        assert_eq!(lower, upper);
        assert_eq!(upper.to_string(), "Application/VND.Erofs");
        assert_ne!(
            lower,
            MediaType::parse("application/vnd.erofs+zstd").unwrap()
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_again(
            text in "[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,126}"
        ) {
            let media_type = MediaType::parse(&text).unwrap();
            prop_assert_eq!(media_type.as_str(), &text);
            prop_assert_eq!(MediaType::parse(&media_type.to_string()).unwrap(), media_type);
        }

        #[test]
        fn any_text_is_taken_or_refused(text in any::<String>()) {
            match MediaType::parse(&text) {
                Ok(media_type) => {
                    prop_assert!(text.starts_with(media_type.as_str()));
                    let _ = (media_type.kind(), media_type.layer(), media_type.device());
                }
                Err(error) => prop_assert!(matches!(error.at(), At::Text(at) if at <= text.len() as u64)),
            }
        }
    }
}
