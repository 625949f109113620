//! Image manifests and image indexes (OCI image specification 1.1, `manifest.md` and
//! `image-index.md`), and that a document is one of them and not both.
//!
//! A document that one reader takes for a manifest and another for an index says two things
//! under one digest, so every field of both is looked at in each.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::de::MapAccess;

use super::descriptor::{Descriptor, DescriptorFields, descriptors};
use super::entries::{DescriptorKeys, EntryList, IndexEntries, Unusable};
use super::find::{best, fit};
use super::json::{
    Entries, Fields, Members, Number, Numeral, Object, OrNull, Skip, Text, missing, owned,
};
use super::{MediaKind, MediaType, Platform};
use crate::{At, Code, Error, Limits, Value};

/// The annotation that names an image in the index of a layout (`annotations.md`).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that containerd names an image by when it exports one.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The annotation of entries that describe another entry, such as an attestation: no image.
pub(super) const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// An image manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// The image's config.
    pub config: Descriptor,
    /// The layers, the lowest first. There is at least one.
    pub layers: Vec<Descriptor>,
    /// The type of the artifact that the manifest is used for, as written; empty when not
    /// stated. An image can have one too.
    pub artifact_type: String,
    /// Annotations of the manifest itself.
    pub annotations: BTreeMap<String, String>,
}

/// An image index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Index {
    /// The entries, in their order, all but [`Self::unusable`].
    pub manifests: Vec<Descriptor>,
    /// The entries that cannot be used, in their order.
    pub unusable: Vec<Unusable>,
    /// Annotations of the index itself.
    pub annotations: BTreeMap<String, String>,
}

/// A manifest or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A manifest.
    Manifest(Box<Manifest>),
    /// An index.
    Index(Index),
}

impl Document {
    /// Reads a document of either sort.
    ///
    /// `expected` is the media type that its descriptor states.
    ///
    /// # Errors
    ///
    /// A JSON error; [`Code::SchemaVersion`], [`Code::DocumentAmbiguous`],
    /// [`Code::DocumentUnknown`]; [`Code::DocumentMediaType`] when the content is not what the
    /// descriptor or its own `mediaType` says; [`Code::ManifestEmpty`] and
    /// [`Code::ManifestLayers`].
    pub fn parse(
        document: &[u8],
        expected: Option<&MediaType>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let parsed = super::json::read(document, limits, Object::<DocumentFields>::new())?;
        let found = match parsed {
            Self::Manifest(_) => MediaKind::Manifest,
            Self::Index(_) => MediaKind::Index,
        };
        match expected {
            Some(expected) if expected.kind() != found => Err(wrong_kind(found)),
            _ => Ok(parsed),
        }
    }
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// As [`Document::parse`]; [`Code::DocumentMediaType`] for an index.
    pub fn parse(document: &[u8], limits: &Limits) -> Result<Self, Error> {
        match Document::parse(document, None, limits)? {
            Document::Manifest(manifest) => Ok(*manifest),
            Document::Index(_) => Err(wrong_kind(MediaKind::Index)),
        }
    }

    /// Whether it is an image, and not an artifact: a signature, a list of parts, a chart.
    ///
    /// One with an EROFS layer is an image, whatever its config is. Any other is one by its
    /// config (`manifest.md`), unless its layers are all texts, JSON or XML, as those of older
    /// signatures, attestations and lists of parts are: no file system is one.
    #[must_use]
    pub fn is_image(&self) -> bool {
        let is_text = |layer: &Descriptor| {
            let name = layer.media_type.as_str();
            let ends = ["+json", "/json", "+xml", "/xml"];
            name.starts_with("text/") || ends.iter().any(|end| name.ends_with(end))
        };
        self.has_erofs_layer()
            || self.config.media_type.kind() == MediaKind::Config
                && !self.layers.iter().all(is_text)
    }

    /// Whether a layer is an EROFS image by its media type, which is what tells such manifests
    /// from those of tar layers (draft, 1.3).
    #[must_use]
    pub fn has_erofs_layer(&self) -> bool {
        self.layers.iter().any(|layer| {
            matches!(
                layer.media_type.kind(),
                MediaKind::Erofs { .. } | MediaKind::ErofsUnknownSuffix { .. }
            )
        })
    }
}

impl Index {
    /// Reads an index, such as a layout's `index.json`.
    ///
    /// # Errors
    ///
    /// As [`Document::parse`]; [`Code::DocumentMediaType`] for a manifest.
    pub fn parse(document: &[u8], limits: &Limits) -> Result<Self, Error> {
        match Document::parse(document, None, limits)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => Err(wrong_kind(MediaKind::Manifest)),
        }
    }

    /// The error of an entry that cannot be used and that may be the image that is meant: of this
    /// name, where there is one, and for this platform, where there is one.
    ///
    /// To be told where no other entry is the one that is meant.
    #[must_use]
    pub fn unusable_for(&self, name: Option<&str>, wanted: Option<&Platform>) -> Option<Error> {
        let fits = |entry: &&Unusable| {
            let platform = match (wanted, &entry.platform) {
                (Some(wanted), Some(platform)) => wanted.rank(platform).is_some(),
                _ => true,
            };
            entry.may_be_image() && entry.is_named(name) && platform
        };
        self.unusable.iter().find(fits).map(|entry| entry.error)
    }

    /// The entries that cannot be used and that may be manifests or indexes, artifacts among
    /// them: what [`Self::documents`] lacks.
    pub fn unusable_documents(&self) -> impl Iterator<Item = &Unusable> {
        self.unusable.iter().filter(|entry| entry.is_document)
    }

    /// The entries that are manifests or indexes, and not a description of another entry, as
    /// attestations are.
    pub fn documents(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|entry| entry.is_document())
    }

    /// The entries that can be images: [`Self::documents`] without artifacts.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.documents().filter(|entry| !entry.is_artifact())
    }

    /// The entry that fits a platform best, by what the entries state.
    ///
    /// Variants count as in containerd (see [`Platform::rank`]). Among entries that fit
    /// equally well those with `erofs` in `os.features` win, then those with most of the other
    /// features that are asked for. Entries that need any other feature of the operating system
    /// are passed over. An entry without a platform fits where no
    /// other does; [`find`](super::find) asks its config.
    ///
    /// # Errors
    ///
    /// [`Code::PlatformNone`] when none fits, [`Code::ImageAmbiguous`] when several manifests
    /// fit equally well; the error of an entry that cannot be used, where no other fits and that
    /// one may, or where it states a platform that fits as well as that of the best.
    pub fn select(&self, wanted: &Platform) -> Result<&Descriptor, Error> {
        let images = || self.images();
        let offered = images().map(|entry| {
            let platform = entry.platform.as_ref();
            (
                entry.digest,
                platform,
                platform.is_some_and(Platform::has_erofs),
            )
        });
        let place = best(wanted, offered).map_err(|error| match error.code() {
            Code::PlatformNone => self.unusable_for(None, Some(wanted)).unwrap_or(error),
            _ => error,
        })?;
        let chosen = images()
            .nth(place)
            .ok_or(Error::new(Code::PlatformNone, At::Whole))?;
        let fit = |platform: Option<&Platform>| {
            let erofs = platform.is_some_and(Platform::has_erofs);
            fit(wanted, platform, erofs)
        };
        let best = fit(chosen.platform.as_ref());
        let rival = self.unusable.iter().find(|entry| {
            let its = entry.platform.as_ref().and_then(|its| fit(Some(its)));
            entry.may_be_image() && its.is_some() && its <= best
        });
        match rival {
            Some(entry) => Err(entry.error),
            None => Ok(chosen),
        }
    }
}

impl Descriptor {
    /// Whether it is that of a manifest or an index, and not of a description of another entry.
    pub(super) fn is_document(&self) -> bool {
        is_of_document(&self.media_type) && self.annotation(REFERENCE_TYPE).is_none()
    }

    /// Whether it says that it is that of an artifact: with an `artifactType`, which for an
    /// image is the media type of its config (`descriptor.md`).
    #[must_use]
    pub fn is_artifact(&self) -> bool {
        self.artifact_type.as_deref().is_some_and(is_of_artifact)
    }

    /// The name that tells the image from others: containerd's, which is the full one, else
    /// that of the specification, which may be a tag alone.
    #[must_use]
    pub fn full_name(&self) -> Option<&str> {
        [CONTAINERD_NAME, REF_NAME]
            .into_iter()
            .filter_map(|key| self.annotation(key))
            .find(|name| !name.is_empty())
    }

    /// The names of the image that this entry of a layout's index has.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [REF_NAME, CONTAINERD_NAME]
            .into_iter()
            .filter_map(|key| self.annotation(key))
    }

    /// Checks a document that was read for this descriptor: its size and its digest.
    ///
    /// # Errors
    ///
    /// [`Code::BlobSize`] and [`Code::BlobDigest`].
    pub fn verify(&self, document: &[u8]) -> Result<(), Error> {
        if document.len() as u64 != self.size {
            return Err(Error::new(Code::BlobSize, At::Whole)
                .found(Value::Number(document.len() as u64))
                .expected(Value::Number(self.size)));
        }
        let found = self.digest.algorithm().digest(document);
        if found != self.digest {
            return Err(Error::new(Code::BlobDigest, At::Whole)
                .found(Value::Digest(found))
                .expected(Value::Digest(self.digest)));
        }
        Ok(())
    }
}

/// Checks the marker file of a layout, `oci-layout` (`image-layout.md`).
///
/// # Errors
///
/// A JSON error; [`Code::LayoutVersion`] for a version other than 1.
pub fn parse_layout(document: &[u8], limits: &Limits) -> Result<(), Error> {
    super::json::read(document, limits, Object::<LayoutFields>::new())
}

/// Whether a media type is that of a manifest or an index.
pub(super) fn is_of_document(media_type: &MediaType) -> bool {
    matches!(media_type.kind(), MediaKind::Manifest | MediaKind::Index)
}

/// Whether an `artifactType` is that of an artifact.
pub(super) fn is_of_artifact(name: &str) -> bool {
    !name.is_empty() && MediaType::parse(name).map(|name| name.kind()) != Ok(MediaKind::Config)
}

/// The error of a document that turned out to be of this sort.
fn wrong_kind(found: MediaKind) -> Error {
    let (found, expected) = if found == MediaKind::Manifest {
        ("an image manifest", "an image index")
    } else {
        ("an image index", "an image manifest")
    };
    Error::new(Code::DocumentMediaType, At::Whole)
        .found(Value::Text(found))
        .expected(Value::Text(expected))
}

/// What is gathered of a manifest or an index.
#[derive(Default)]
struct DocumentFields {
    schema_version: Option<Number>,
    media_type: Option<MediaType>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<EntryList>,
    artifact_type: String,
    annotations: BTreeMap<String, String>,
    /// The layers of Docker's first schema.
    old_layers: bool,
}

impl Fields for DocumentFields {
    type Value = Document;
    const NAMES: &'static [&'static str] = &[
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "subject",
        "annotations",
        "fsLayers",
    ];

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        match name {
            "schemaVersion" => self.schema_version = Some(members.value(Numeral(Ok))?),
            "mediaType" => self.media_type = Some(members.value(Text(MediaType::parse))?),
            "config" => {
                self.config = Some(members.value(Object::<DescriptorFields>::new())?);
            }
            "layers" => {
                let most = members.limits().layers;
                self.layers = Some(descriptors(members, most, Code::ManifestLayers)?);
            }
            "manifests" => {
                let most = members.limits().json_members;
                let list = members.value(OrNull(IndexEntries { most }))?;
                self.manifests = Some(list.unwrap_or_default());
            }
            "artifactType" => self.artifact_type = members.value(Text(owned))?,
            "subject" => {
                // Nobody follows it here, so it need not be one that could be followed.
                members.value(OrNull(Object::<DescriptorKeys>::new()))?;
            }
            "annotations" => {
                let annotations = &mut self.annotations;
                members.value(OrNull(Entries(|key: &str, value: &str| {
                    annotations.insert(owned(key)?, owned(value)?);
                    Ok(())
                })))?;
            }
            "fsLayers" => {
                self.old_layers = true;
                members.value(Skip)?;
            }
            _ => members.value(Skip)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Document, Error> {
        match self.schema_version {
            Some(Number::Unsigned(2)) => {}
            Some(found) => {
                let found = match found {
                    Number::Unsigned(version) => Value::Number(version),
                    _ => Value::Text("another number"),
                };
                return Err(Error::new(Code::SchemaVersion, At::Whole)
                    .found(found)
                    .expected(Value::Number(2)));
            }
            None => return Err(missing("schemaVersion")),
        }
        let is_manifest = self.config.is_some() || self.layers.is_some() || self.old_layers;
        if is_manifest && self.manifests.is_some() {
            return Err(Error::new(Code::DocumentAmbiguous, At::Whole));
        }
        let found = if let Some(manifests) = self.manifests {
            let index = Index {
                manifests: manifests.usable,
                unusable: manifests.unusable,
                annotations: self.annotations,
            };
            (MediaKind::Index, Document::Index(index))
        } else if is_manifest {
            let manifest = Manifest {
                config: self.config.ok_or(missing("config"))?,
                layers: self.layers.ok_or(missing("layers"))?,
                artifact_type: self.artifact_type,
                annotations: self.annotations,
            };
            if manifest.layers.is_empty() {
                return Err(Error::new(Code::ManifestEmpty, At::Whole));
            }
            (MediaKind::Manifest, Document::Manifest(Box::new(manifest)))
        } else {
            return Err(Error::new(Code::DocumentUnknown, At::Whole));
        };
        match self.media_type {
            Some(stated) if stated.kind() != found.0 => Err(wrong_kind(found.0)),
            _ => Ok(found.1),
        }
    }
}

/// What is gathered of `oci-layout`.
#[derive(Default)]
struct LayoutFields {
    version: Option<()>,
}

impl Fields for LayoutFields {
    type Value = ();
    const NAMES: &'static [&'static str] = &["imageLayoutVersion"];

    fn field<'de, A: MapAccess<'de>>(
        &mut self,
        _name: &str,
        members: &mut Members<'_, 'de, A>,
    ) -> Result<(), A::Error> {
        self.version = Some(members.value(Text(|version: &str| {
            if version == "1" || version.starts_with("1.") {
                Ok(())
            } else {
                Err(Error::new(Code::LayoutVersion, At::Whole).expected(Value::Text("1.0.0")))
            }
        }))?);
        Ok(())
    }

    fn finish(self) -> Result<(), Error> {
        self.version.ok_or(missing("imageLayoutVersion"))
    }
}
