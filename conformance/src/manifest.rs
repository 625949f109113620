//! `manifest.json`: what each case is and what must be said of it, as types.
//!
//! The form is described for readers without this crate by `vectors/schema.json` and
//! `vectors/README.md`; a test holds the schema against what these types write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::blob::Blob;

/// The version of the form. It is raised when a field is removed or changes its meaning; fields
/// and operations may be added within a version.
pub const VERSION: u32 = 1;

/// The whole of `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// Where the schema lies, for editors.
    #[serde(rename = "$schema")]
    pub schema: String,
    /// [`VERSION`].
    pub version: u32,
    /// The licences of everything here, as an SPDX expression; origins say which is whose.
    pub licence: String,
    /// The documents that demands are taken from, by the name that cases use.
    pub sources: BTreeMap<String, Source>,
    /// Where inputs come from, by the name that cases use.
    pub origins: BTreeMap<String, String>,
    /// What the groups are about. A group is the part of an id before its first slash.
    pub groups: BTreeMap<String, String>,
    /// What the flags of cases mean.
    pub flags: BTreeMap<String, String>,
    /// What was made by other programs and is an input of the generator.
    pub bases: Vec<Base>,
    /// The cases, sorted by id.
    pub cases: Vec<Case>,
}

/// A document that demands are taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its title, with the version or commit that was read.
    pub title: String,
    /// Where it is.
    pub url: String,
}

/// A file that another program made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Base {
    /// The file, relative to the folder of the manifest.
    pub file: String,
    /// What it holds.
    pub description: String,
    /// The program and its version.
    pub made_by: String,
    /// The command, with the names of input and output as it saw them.
    pub command: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// Its id, `group/name` or `group/name/form`. It stays for ever.
    pub id: String,
    /// One sentence: what the input is like.
    pub description: String,
    /// Names from [`Manifest::flags`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// A name from [`Manifest::origins`].
    pub origin: String,
    /// What demands the expected answer.
    pub demands: Vec<Demand>,
    /// The valid case that this one differs from in one thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs_from: Option<String>,
    /// What is to be done with which input.
    #[serde(flatten)]
    pub operation: Operation,
    /// What must be said.
    pub expected: Expected,
}

impl Case {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.id.split('/').next().unwrap_or(&self.id)
    }

    /// Whether it has this flag.
    #[must_use]
    pub fn has_flag(&self, name: &str) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }

    /// The error that must be given, unless the case is valid.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match &self.expected {
            Expected::Invalid { error, .. } => Some(error),
            Expected::Valid { .. } => None,
        }
    }
}

/// Where a demand comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// A name from [`Manifest::sources`].
    pub source: String,
    /// The section, or file and function.
    pub section: String,
}

/// What is to be done, with its input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", content = "input", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Operation {
    /// Read a media type.
    MediaType(MediaTypeInput),
    /// Read a digest.
    Digest(Text),
    /// Read the annotations of a layer.
    Annotations(Annotations),
    /// Read a platform.
    Platform(Text),
    /// Read the marker file of a layout, `oci-layout`.
    LayoutMarker(DocumentInput),
    /// Read an image manifest or an image index.
    Document(DocumentInput),
    /// Read an image config.
    Config(DocumentInput),
    /// Choose the entry of an index for a platform.
    Select(SelectInput),
    /// Read a manifest with its config, and say what each layer is for.
    Plan(PlanInput),
    /// Unpack one layer.
    Unpack(UnpackInput),
    /// Unpack all layers of the one image of an OCI layout.
    Layout(LayoutInput),
    /// Check an image.
    Check(CheckInput),
    /// Read all that is in an image.
    Read(ReadInput),
    /// Read the index of a layer's chunks, and the image at random by it.
    Seek(SeekInput),
    /// Read a tar archive.
    Tar(TarInput),
    /// Make an EROFS image of a tar archive, a layer of OCI.
    Build(TarInput),
}

/// A text by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The text.
    pub text: String,
}

/// A media type as that of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaTypeInput {
    /// The media type.
    pub text: String,
    /// Whether the layer has the role `device`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub device: bool,
}

/// The annotations of a layer's descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annotations {
    /// The annotations. They are read in the order of their keys.
    pub annotations: BTreeMap<String, String>,
}

/// A JSON document by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentInput {
    /// The document.
    pub document: Blob,
    /// The media type that a descriptor states for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Limits other than the defaults.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// An index, and the platform that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectInput {
    /// The index.
    pub index: Blob,
    /// The platform, `os/arch[/variant]`.
    pub platform: String,
}

/// A manifest and its config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanInput {
    /// The manifest.
    pub manifest: Blob,
    /// The config; without one nothing is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Blob>,
    /// How strictly it is read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    /// Limits other than the defaults.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// How strictly a manifest is read where readers disagree.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Policy {
    /// What the draft lets a consumer take.
    Any,
    /// What containerd reads in the same way.
    #[default]
    Containerd,
    /// What the draft demands of a producer.
    Strict,
}

/// One layer, with what its descriptor and the config say of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnpackInput {
    /// The blob, as it lies in the registry.
    pub blob: Blob,
    /// Its stated media type.
    pub media_type: String,
    /// Its stated digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Its stated size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The stated digest of the decoded bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<String>,
    /// The annotations of its descriptor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// How many device layers are attached to it; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u16>,
    /// Limits other than the defaults.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// An OCI layout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayoutInput {
    /// The folder, relative to the folder of the manifest.
    pub folder: String,
    /// Every file in it, by its path in the folder.
    pub files: BTreeMap<String, Blob>,
    /// The platform to choose; without one the choice must not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The digest that the manifest, or an index that leads to it, must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How strictly it is read.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    /// Limits other than the defaults.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// An image that is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckInput {
    /// The image, decoded.
    pub image: Blob,
    /// How far the check goes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub level: Level,
    /// Which breaches are errors.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    /// Rules that are switched off, by their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// How many devices belong to the image without being there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub devices: u16,
    /// The release of Linux that must read it as it is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Limits other than the defaults.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// An image that is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadInput {
    /// The image, decoded.
    pub image: Blob,
    /// Limits other than the defaults.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// A layer that is read at random.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeekInput {
    /// The blob, as it lies in the registry.
    pub blob: Blob,
    /// Its stated media type.
    pub media_type: String,
    /// The annotations of its descriptor.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The blob of the chunk index that is a layer of its own, right behind this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Blob>,
    /// Limits other than the defaults.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// A tar archive that is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TarInput {
    /// The archive, decoded.
    pub archive: Blob,
    /// Limits other than the defaults.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
}

/// How far a check goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Level {
    /// Superblock, device table and compression configurations.
    Superblock,
    /// All metadata.
    #[default]
    Metadata,
    /// All metadata, and that what is compressed decodes.
    Full,
}

/// Limits other than the defaults, which `vectors/README.md` lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Limits {
    /// Largest blob in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob_size: Option<u64>,
    /// Largest image in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<u64>,
    /// Largest window of a zstd frame in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zstd_window: Option<u64>,
    /// Most zstd frames or gzip members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    /// Most bytes in skippable zstd frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skippable_size: Option<u64>,
    /// Largest ratio of image to blob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expansion_ratio: Option<u64>,
    /// Largest JSON document in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_size: Option<u64>,
    /// Deepest nesting in a JSON document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_depth: Option<u32>,
    /// Most members of an object or an array in a JSON document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_members: Option<u32>,
    /// Deepest nesting of indexes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_depth: Option<u32>,
    /// Most layers in a manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<u32>,
    /// Most inodes of an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    /// Most entries of a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory_entries: Option<u64>,
    /// Most directories above a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory_depth: Option<u32>,
    /// Longest target of a symbolic link in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symlink_length: Option<u32>,
    /// Most memory that a check keeps, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_memory: Option<u64>,
    /// Most metadata that a check looks at, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_work: Option<u64>,
    /// Largest chunk index or seek table in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_index: Option<u64>,
    /// Largest chunk in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u64>,
    /// Memory for the metadata of an image that is made, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_memory: Option<u64>,
    /// Largest extended headers of one member of a tar archive, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar_header: Option<u64>,
    /// Most pieces of a sparse file in a tar archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar_extents: Option<u64>,
}

impl Limits {
    /// Whether all are the defaults.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What must be said of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Expected {
    /// It passes.
    Valid {
        /// What must be said of it, at least.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        outputs: Map<String, Json>,
    },
    /// It is refused.
    Invalid {
        /// With this error.
        error: Refusal,
        /// What must be said besides, at least.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        outputs: Map<String, Json>,
    },
}

/// An error by its stable names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The error's id.
    pub id: String,
    /// What sort of refusal it is.
    pub kind: String,
    /// Where; absent when nowhere in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
}

/// Where an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Place {
    /// A byte of the blob.
    Blob(u64),
    /// A byte of the image.
    Image(u64),
    /// A character of a text.
    Text(u64),
    /// A byte of a JSON document.
    Json(u64),
    /// An inode.
    Nid(u64),
    /// A byte of the content of a file or a directory: its inode, and the offset there.
    File(u64, u64),
    /// A layer, counted from 1.
    Layer(u64),
    /// A byte of a chunk index, its header first.
    Index(u64),
    /// A byte of a tar archive.
    Archive(u64),
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde wants"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
