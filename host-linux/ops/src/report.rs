//! What the reports of operations are made of: images, layers, superblocks, findings, errors. The
//! reports themselves stand beside their operations.
//!
//! The schema is versioned by its field `version`; see the README.

use std::path::Path;

use erofs_unpack_core::erofs::{
    Compat, Incompat, LegacyLz4, Need, Needs, SUPERBLOCK_OFFSET, Superblock,
};
use erofs_unpack_core::oci::{Choice, Digest, Layer};
use erofs_unpack_core::unpack::Outcome;
use erofs_unpack_core::verity::{Layout, Params, Verified};
use erofs_unpack_core::{At, Error, Kind, Value};
use serde::Serialize;

use crate::checked::{Breach, Checked, Place};
use crate::error::HostError;
use crate::escape::Escaped;
use crate::image::Image;
use crate::parallel::ChunksReport;

/// Version of the schema. A field may be added within a version; none changes or goes.
pub const VERSION: u32 = 1;

/// An image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    /// Its names in the layout.
    pub names: Vec<String>,
    /// Digest of its manifest.
    pub manifest: String,
    /// Its platform, from the config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// A layer.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerReport {
    /// Its place in the manifest, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// `unpacked`, `kept`, `verified`, `refused`, `failed` or `stopped`.
    pub status: &'static str,
    /// The file's name in the folder, or its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its media type, where it is stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// `overlay-lower`, `overlay-data`, `device` or `chunk-index`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// How the blob is wrapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<&'static str>,
    /// Digest of the blob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Size of the blob in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Digest of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<String>,
    /// Size of the image in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<u64>,
    /// The layer that this one serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<u32>,
    /// The superblock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superblock: Option<SuperblockReport>,
    /// The index of its chunks, where it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<StatedIndex>,
    /// How the inside of the image was checked; absent when it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckReport>,
    /// The dm-verity tree of its file, which was verified or made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dm_verity: Option<TreeReport>,
    /// What was not verified, because nothing says what it should be, or because chunks were
    /// verified instead ([`Self::verified`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_verified: Vec<&'static str>,
    /// What was verified in the place of the digests of blob and image: `chunks`, the digest of each
    /// chunk in an index whose own digest the manifest states. Absent where those digests were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<&'static str>,
    /// How the layer's chunks served to decode it; absent when it was read from its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<ChunksReport>,
    /// Why the index of its chunks did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_passed_over: Option<ErrorReport>,
    /// Why it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
    /// What unpacking found, for a layer that came through.
    #[serde(skip)]
    pub outcome: Option<Outcome>,
}

/// The index of a layer's chunks, as far as it can be read.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatedIndex {
    /// How many chunks it tells of; absent where it uses what is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u32>,
    /// What vouches for it: `manifest`, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin: Option<&'static str>,
    /// Whether each chunk has a SHA-2 digest in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digests: Option<bool>,
    /// Why it is passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<ErrorReport>,
}

/// A dm-verity tree.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeReport {
    /// `verified`: it was announced, and is that of the image. `appended`: it was made, and the file
    /// is longer than the image that the diffID names. `unannounced`: it is that of the image, and
    /// nothing states its root.
    pub status: &'static str,
    /// Its root digest.
    pub root_digest: String,
    /// The byte of the file at which superblock or tree begin.
    pub hash_offset: u64,
    /// The byte behind the tree.
    pub hash_end: u64,
    /// Size of its blocks, in bytes.
    pub block_size: u32,
    /// Whether it has a superblock.
    pub superblock: bool,
    /// How many levels it has; none over a single block.
    pub levels: usize,
    /// The salt in hex; `-` for none.
    pub salt: String,
}

impl TreeReport {
    /// The tree that was verified.
    pub(crate) fn of(outcome: &Outcome) -> Option<Self> {
        let Some(Verified::Tree {
            root,
            params,
            layout,
            has_superblock,
        }) = outcome.verity
        else {
            return None;
        };
        let status = match outcome.unannounced {
            Some(_) => "unannounced",
            None => "verified",
        };
        let tree = Self::new(status, root, &params, &layout);
        Some(Self {
            hash_offset: params.data_size().unwrap_or(0),
            superblock: has_superblock,
            ..tree
        })
    }

    /// The tree that was appended.
    #[cfg(target_os = "linux")]
    pub(crate) fn appended(found: &crate::verity::Found, root: Digest) -> Self {
        Self {
            hash_offset: found.offset(),
            superblock: true,
            ..Self::new("appended", root, &found.params, found.layout())
        }
    }

    /// What is to be said of one that nothing announces.
    pub(crate) fn unannounced(&self) -> Option<String> {
        (self.status == "unannounced").then(|| {
            format!(
                "a dm-verity tree follows the image that nothing announces: it is that of the image, \
                 but its root is only what was found: {}",
                self.root_digest
            )
        })
    }

    fn new(status: &'static str, root: Digest, params: &Params, layout: &Layout) -> Self {
        Self {
            status,
            root_digest: root.to_string(),
            hash_offset: 0,
            hash_end: layout.end(),
            block_size: params.hash_block_size,
            superblock: false,
            levels: layout.levels().len(),
            salt: params.salt.to_string(),
        }
    }

    /// The root digest in hex.
    pub(crate) fn root_hash(&self) -> &str {
        self.root_digest
            .split_once(':')
            .map_or("", |(_, digits)| digits)
    }
}

impl ImageReport {
    /// What the documents say of an image.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        Self {
            names: image
                .names
                .iter()
                .map(|name| Escaped::text(name).to_string())
                .collect(),
            manifest: image.descriptor.digest.to_string(),
            platform: image
                .platform()
                .map(|platform| Escaped::text(&platform.to_string()).to_string()),
        }
    }
}

/// How the inside of an image was checked, and what came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// `superblock`, `metadata` or `full`.
    pub level: &'static str,
    /// `any`, `containerd` or `strict`.
    pub policy: &'static str,
    /// The rules that were switched off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<String>,
    /// What was seen and found.
    #[serde(flatten)]
    pub found: FoundReport,
}

/// What a check saw and found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FoundReport {
    /// Inodes that were reached.
    pub inodes: u64,
    /// Directories among them.
    pub directories: u64,
    /// Findings that refuse the image.
    pub errors: u64,
    /// Findings that do not.
    pub warnings: u64,
    /// Bytes that were decoded.
    pub decoded: u64,
    /// Most bytes that were kept for the whole of the check.
    pub memory: u64,
    /// Which releases of Linux read the image; absent where its superblock cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelReport>,
    /// The findings, those of a rule together, errors first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<BreachReport>,
}

/// All findings of one rule.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BreachReport {
    /// The rule.
    pub rule: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What the rule demands; absent where what cannot be read has no rule of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demand: Option<&'static str>,
    /// Why: `kernel`, `ambiguity`, `work`, `policy` or `unused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub places: Vec<PlaceReport>,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceReport {
    /// The path in the image, from its root, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What was wrong.
    #[serde(flatten)]
    pub error: ErrorReport,
}

impl FoundReport {
    /// What was seen and found in an image.
    #[must_use]
    pub fn of(checked: &Checked) -> Self {
        let summary = &checked.summary;
        Self {
            inodes: summary.inodes,
            directories: summary.directories,
            errors: summary.errors,
            warnings: summary.warnings,
            decoded: summary.decoded,
            memory: summary.memory,
            kernel: checked.needs().map(KernelReport::of),
            findings: checked
                .breaches
                .iter()
                .map(|breach| BreachReport::of(breach, &checked.place))
                .collect(),
        }
    }
}

/// Which releases of Linux read an image as it is meant. They are those of the mainline kernel.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KernelReport {
    /// In words, with what decides on it.
    pub releases: String,
    /// The first of them.
    pub first: String,
    /// The last of them, where newer ones do not read it. It is older than the first where no
    /// release reads the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// What is in the image that not every release has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeedReport>,
}

/// Something that not every release of Linux has.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NeedReport {
    /// What it is.
    pub name: &'static str,
    /// The first release that has it.
    pub first: String,
    /// The last one, where newer ones do not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// What others do: `refused`, `different` where they read something else, `unused` where they
    /// read the same without it.
    pub otherwise: &'static str,
}

impl KernelReport {
    /// The releases that have all of this.
    #[must_use]
    pub fn of(needs: Needs) -> Self {
        let (first, last) = needs.releases();
        let need = |need: &Need| NeedReport {
            name: need.name,
            first: need.first.to_string(),
            last: need.last.map(|last| last.to_string()),
            otherwise: need.otherwise.name(),
        };
        Self {
            releases: needs.to_string(),
            first: first.to_string(),
            last: last.map(|last| last.to_string()),
            needs: needs.iter().map(need).collect(),
        }
    }
}

impl BreachReport {
    fn of(breach: &Breach, image: &Path) -> Self {
        let place = |place: &Place| {
            let error = HostError::refused(place.place_in(image), place.error);
            PlaceReport {
                path: place
                    .path
                    .as_ref()
                    .map(|path| format!("/{}", Escaped::name(path))),
                error: ErrorReport::of(&error),
            }
        };
        let rule = breach.rule();
        Self {
            rule: breach.first.error.id(),
            severity: breach.severity.name(),
            demand: rule.map(|rule| rule.demand),
            reason: rule.map(|rule| rule.reason.name()),
            count: breach.count,
            places: breach.places().map(place).collect(),
        }
    }
}

impl LayerReport {
    /// What the manifest says of a layer.
    #[must_use]
    pub fn of(layer: &Layer) -> Self {
        Self {
            number: Some(layer.number),
            media_type: Some(layer.media_type.as_str().to_owned()),
            role: Some(layer.role.name()),
            compression: Some(layer.compression.name()),
            digest: Some(layer.digest.to_string()),
            size: Some(layer.size),
            diff_id: layer.diff_id.map(|digest| digest.to_string()),
            consumer: layer.consumer,
            ..Self::default()
        }
    }

    /// Adds what unpacking found.
    pub fn add(&mut self, outcome: &Outcome) {
        self.diff_id = Some(outcome.diff_id.to_string());
        self.image_size = Some(outcome.image_size);
        self.superblock = outcome.superblock.as_ref().map(SuperblockReport::of);
        self.outcome = Some(*outcome);
    }

    /// Adds how the layer at this place was unpacked by its chunks, or why it was not.
    pub(crate) fn add_chunks(
        &mut self,
        place: &Path,
        chunks: Option<ChunksReport>,
        passed_over: Option<Error>,
    ) {
        self.chunks = chunks;
        self.index_passed_over =
            passed_over.map(|error| ErrorReport::of(&HostError::refused(place, error)));
        if chunks.is_some_and(|chunks| chunks.by_chunks) {
            self.verified = Some("chunks");
            self.not_verified = vec!["digest", "diffID"];
        }
    }
}

/// A superblock.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SuperblockReport {
    /// Size of the superblock with its extension slots, in bytes.
    pub size: u64,
    /// Its checksum as it states it, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Block size in bytes.
    pub block_size: u64,
    /// Blocks of the primary device.
    pub blocks: u64,
    /// Number of inodes.
    pub inodes: u64,
    /// Nid of the root directory.
    pub root_nid: u64,
    /// Features that a reader may ignore.
    pub compatible_features: Vec<&'static str>,
    /// Features that a reader must know.
    pub incompatible_features: Vec<&'static str>,
    /// Bits of compatible features that are not known.
    pub unknown_features: u32,
    /// UUID of the volume.
    pub uuid: String,
    /// Name of the volume, escaped.
    pub volume_name: String,
    /// When the image was made, in seconds since 1970.
    pub build_time: i64,
    /// Block where the metadata starts.
    pub meta_block: u32,
    /// Block where the shared xattrs start.
    pub xattr_block: u32,
    /// Number of long xattr prefixes.
    pub xattr_prefixes: u8,
    /// The layouts that files may have with these features: `plain`, `inline`, `chunk-based`,
    /// `compressed`.
    pub data_layouts: Vec<&'static str>,
    /// Compression algorithms that files may use.
    pub algorithms: Vec<&'static str>,
    /// Whether files may be compressed with LZ4 without zero padding, which Linux reads up to 6.x:
    /// `named`, or `possible` where the superblock does not say; else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legacy_lz4: Option<&'static str>,
    /// Devices beside the image.
    pub extra_devices: u16,
    /// Nid of the packed inode, or 0.
    pub packed_nid: u64,
    /// Nid of the metabox inode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metabox_nid: Option<u64>,
    /// Which releases of Linux read the image, as far as the superblock says.
    pub kernel: KernelReport,
}

impl SuperblockReport {
    /// A superblock as people read it.
    #[must_use]
    pub fn of(superblock: &Superblock) -> Self {
        let name = &superblock.volume_name;
        let end = name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len());
        let algorithms: Vec<_> = superblock.algorithms().collect();
        let mut data_layouts = vec!["plain", "inline"];
        if superblock.incompat.has(Incompat::CHUNKED_FILE) {
            data_layouts.push("chunk-based");
        }
        if !algorithms.is_empty() || superblock.legacy_lz4() == LegacyLz4::Possible {
            data_layouts.push("compressed");
        }
        Self {
            size: superblock.end().saturating_sub(SUPERBLOCK_OFFSET),
            checksum: superblock
                .compat
                .has(Compat::SB_CHKSUM)
                .then(|| format!("{:#010x}", superblock.checksum)),
            block_size: superblock.block_size(),
            blocks: superblock.blocks,
            inodes: superblock.inodes,
            root_nid: superblock.root_nid,
            compatible_features: superblock.compat.names().collect(),
            incompatible_features: superblock.incompat.names().collect(),
            unknown_features: superblock.compat.unknown(),
            uuid: uuid(&superblock.uuid),
            volume_name: Escaped::name(&name[..end]).to_string(),
            build_time: superblock
                .epoch
                .saturating_add(superblock.build_time.into()),
            meta_block: superblock.meta_block,
            xattr_block: superblock.xattr_block,
            xattr_prefixes: superblock.xattr_prefix_count,
            data_layouts,
            algorithms,
            legacy_lz4: match superblock.legacy_lz4() {
                LegacyLz4::No => None,
                LegacyLz4::Named => Some("named"),
                LegacyLz4::Possible => Some("possible"),
            },
            extra_devices: superblock.device_table().map_or(0, |(_, slots)| slots),
            packed_nid: superblock.packed_nid,
            metabox_nid: superblock.metabox_nid,
            kernel: KernelReport::of(superblock.needs()),
        }
    }
}

/// A UUID in its usual form.
pub(crate) fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::new();
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// An error.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorReport {
    /// Its stable id.
    pub id: &'static str,
    /// What sort of refusal it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// The line that was printed.
    pub message: String,
    /// The file that it is about, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Where in it: `blob`, `image`, `text`, `json`, `nid` or `layer`, with a number, or `file`
    /// with a nid and a byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<AtReport>,
    /// The field of a JSON document, such as `manifests[2].annotations`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The images that there are to choose from, where it is not clear which is meant: the first
    /// of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<ChoiceReport>,
}

/// An image that could be meant.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChoiceReport {
    /// Its names, the full one first, escaped.
    pub names: Vec<String>,
    /// Its platforms with their features, as far as they are known, escaped.
    pub platforms: Vec<String>,
    /// Digest of its manifest or index.
    pub digest: String,
    /// Whether that is in the layout.
    pub present: bool,
}

impl ChoiceReport {
    fn of(choice: &Choice) -> Self {
        let escaped = |text: &str| Escaped::text(text).to_string();
        let platforms = choice.platforms.iter();
        Self {
            names: choice.names.iter().map(|name| escaped(name)).collect(),
            platforms: platforms
                .map(|platform| escaped(&platform.full().to_string()))
                .collect(),
            digest: choice.digest.to_string(),
            present: choice.there,
        }
    }
}

/// A place: what is counted, and the number; in a file its nid and the byte.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum AtReport {
    /// A byte, a character, an inode, a layer.
    Number(&'static str, u64),
    /// A byte of a file.
    File(&'static str, u64, u64),
}

impl AtReport {
    fn of(at: At) -> Option<Self> {
        Some(match at {
            At::Blob(offset) => Self::Number("blob", offset),
            At::Image(offset) => Self::Number("image", offset),
            At::Text(offset) => Self::Number("text", offset),
            At::Json(offset) => Self::Number("json", offset),
            At::Nid(nid) => Self::Number("nid", nid),
            At::Layer(number) => Self::Number("layer", number.into()),
            At::File(nid, offset) => Self::File("file", nid, offset),
            _ => return None,
        })
    }
}

impl ErrorReport {
    /// An error of this host.
    #[must_use]
    pub fn of(error: &HostError) -> Self {
        let said = |value: Value| (value != Value::None).then(|| value.to_string());
        let refusal = match error {
            HostError::Refused { error, .. }
            | HostError::Elsewhere { error, .. }
            | HostError::Check { error, .. } => Some(error),
            _ => None,
        };
        Self {
            id: error.id(),
            kind: error.kind().map(Kind::id),
            message: error.to_string(),
            place: error.place().map(shown),
            at: refusal.and_then(|error| AtReport::of(error.at())),
            field: refusal
                .map(Error::field)
                .filter(|field| !field.is_root())
                .map(|field| field.to_string()),
            found: refusal.and_then(|error| said(error.found_value())),
            expected: refusal.and_then(|error| said(error.expected_value())),
            choices: match error {
                HostError::Choice { choices, .. } => choices.iter().map(ChoiceReport::of).collect(),
                _ => Vec::new(),
            },
        }
    }
}

/// A path as it may be shown.
#[must_use]
pub fn shown(path: &Path) -> String {
    Escaped::name(path.as_os_str().as_encoded_bytes()).to_string()
}

/// The name of an exit code in reports.
#[must_use]
pub const fn outcome_name(code: u8) -> &'static str {
    match code {
        0 => "done",
        1 => "refused",
        _ => "failed",
    }
}

/// A report as JSON that people can read, with a line end behind it.
#[must_use]
pub fn to_json(report: &impl Serialize) -> String {
    // Plain data with string keys always has a form in JSON.
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}
