//! What the layers of an image are for, in which order, and what is expected of each.
//!
//! Follows the EROFS image layer specification (draft), sections 2.4 (roles), 3.8 (order) and
//! 5.2 (diffIDs).

use alloc::vec::Vec;
use core::fmt;

use super::media_type::Content as LayerContent;
use super::{Config, Descriptor, Digest, ErofsAnnotations, Manifest, MediaType, Role};
use crate::codec::Compression;
use crate::erofs::Superblock;
use crate::unpack::{Content, Devices, Expectations};
use crate::{At, Code, Error, Limits, Value};

/// How strictly a manifest is read where readers disagree or the draft leaves room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Policy {
    /// What the draft lets a consumer take.
    Any,
    /// What containerd reads in the same way: a diffID that `rootfs.diff_ids` and the
    /// annotation state differently is refused, because containerd reads the former only.
    #[default]
    Containerd,
    /// What the draft demands of a producer: besides, the config must name `erofs` in
    /// `os.features`.
    Strict,
}

impl Policy {
    /// Its name: `any`, `containerd` or `strict`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Containerd => "containerd",
            Self::Strict => "strict",
        }
    }
}

/// What a layer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LayerRole {
    /// An EROFS image that is mounted as a lower directory, or by itself.
    Lower,
    /// An EROFS image that only holds file data for the layer above it.
    Data,
    /// Bytes that an EROFS layer above addresses as a device.
    Device,
    /// A chunk index of the layer before it.
    ChunkIndex,
}

impl LayerRole {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lower => "overlay-lower",
            Self::Data => "overlay-data",
            Self::Device => "device",
            Self::ChunkIndex => "chunk-index",
        }
    }
}

/// Where a layer's diffID is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DiffIdSource {
    /// The annotation `org.erofs.uncompressed-digest`.
    Annotation,
    /// `rootfs.diff_ids` of the config.
    Config,
    /// The descriptor: the blob is not compressed, so its digest is the diffID.
    Digest,
    /// Nowhere. The blob is not compressed and has a sha512 digest.
    Nowhere,
}

/// One layer of an image, with what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layer {
    /// Its place in the manifest, from 1.
    pub number: u32,
    /// Its media type.
    pub media_type: MediaType,
    /// How its blob is wrapped.
    pub compression: Compression,
    /// What it is for.
    pub role: LayerRole,
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// Digest of the decoded bytes, where it is stated.
    pub diff_id: Option<Digest>,
    /// Where it is stated.
    pub diff_id_source: DiffIdSource,
    /// The layer that uses this one as a device or as data, or that this one is an index of.
    pub consumer: Option<u32>,
    /// How many device layers are attached to it.
    pub devices: u16,
    /// Its annotations.
    pub erofs: ErofsAnnotations,
}

impl Layer {
    /// What is expected of the layer's blob and of what comes out of it.
    #[must_use]
    pub fn expectations(&self) -> Expectations {
        let mut expected = Expectations::new(self.compression);
        expected.blob_digest = Some(self.digest);
        expected.blob_size = Some(self.size);
        expected.diff_id = self.diff_id;
        match self.role {
            LayerRole::Lower | LayerRole::Data => {
                expected.content = Content::Erofs;
                expected.devices = Devices::Attached(self.devices);
                expected.verity = self.erofs.verity_tree();
                expected.chunk_index = self.erofs.chunk_index_range.map(|range| range.offset);
            }
            LayerRole::Device | LayerRole::ChunkIndex => expected.content = Content::Bytes,
        }
        expected
    }
}

/// Something that is not as it should be and does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Warning {
    /// The config does not name `erofs` in `os.features` (draft, 5.4).
    OsFeatures,
    /// The annotation and `rootfs.diff_ids` state different diffIDs for this layer; the
    /// annotation counts (draft, 5.2), containerd reads the other.
    DiffIds(u32),
    /// The image of this layer (0 for one by itself) has something that containerd's own reader
    /// refuses.
    ContainerdReader(u32, &'static str),
    /// A slot, counted from 1, of the device table of this layer's image is tagged with another digest
    /// than that of the layer that is attached for it ([`device_tags`]).
    DeviceTag(u32, u32),
    /// An entry of an index on the way to the image cannot be used, for this reason, and is not
    /// needed ([`Unusable`](super::Unusable)). [`plan`] sees no index: who has chosen the image
    /// adds it.
    Entry(Error),
    /// There are so many more of those.
    MoreEntries(u32),
}

impl Warning {
    /// What is to be said of the image of a layer, by its place in the manifest, or of one by itself
    /// (0).
    #[must_use]
    pub fn of_image(number: u32, superblock: &Superblock, policy: Policy) -> Option<Self> {
        let what = superblock.unread_by_containerd()?;
        (policy == Policy::Containerd).then_some(Self::ContainerdReader(number, what))
    }

    /// The stable id, as `--json` uses it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::OsFeatures => "os-features",
            Self::DiffIds(_) => "diff-ids",
            Self::ContainerdReader(..) => "containerd-reader",
            Self::DeviceTag(..) => "device-tag",
            Self::Entry(_) | Self::MoreEntries(_) => "index-entry",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OsFeatures => f.write_str(
                "the config does not name erofs in os.features, so containerd gives the image to a \
                 snapshotter that cannot unpack it: add \"os.features\": [\"erofs\"] to the config \
                 and to the platform in the index",
            ),
            Self::DiffIds(number) => write!(
                f,
                "layer {number}: org.erofs.uncompressed-digest and rootfs.diff_ids differ; \
                 the annotation counts, but containerd reads the other"
            ),
            Self::ContainerdReader(number, what) => {
                match number {
                    0 => f.write_str("the image")?,
                    number => write!(f, "layer {number}")?,
                }
                write!(
                    f,
                    " has {what}, which the kernel reads, but not what looks up users in containerd \
                     2.4: it starts no container from it; make the image without, and compress the layer"
                )
            }
            Self::DeviceTag(number, slot) => write!(
                f,
                "layer {number}: slot {slot} of its device table is tagged with another digest than \
                 that of the layer that is attached for it"
            ),
            Self::Entry(error) => write!(f, "an entry of the index is passed over: {error}"),
            Self::MoreEntries(count) => {
                write!(f, "{count} more entries of the index are passed over")
            }
        }
    }
}

/// What the tags of an image's device slots say of the layers that are attached for them, in their
/// order; `layer` is the image's.
///
/// A producer should put there the digest of the device's blob in hex, as far as 64 digits go (draft,
/// 8.1 item 12). Nothing is found by it, so a tag of another form is not looked at, and one with
/// another digest is refused by [`Policy::Strict`] alone.
///
/// # Errors
///
/// [`Code::DeviceTag`] under that policy, at the layer, with the number of the slot.
pub fn device_tags<'t>(
    layer: &Layer,
    layers: &[Layer],
    tags: impl IntoIterator<Item = &'t [u8; 64]>,
    policy: Policy,
) -> Result<Vec<Warning>, Error> {
    let attached = layers
        .iter()
        .filter(|other| other.role == LayerRole::Device && other.consumer == Some(layer.number));
    let mut warnings = Vec::new();
    for ((slot, tag), device) in (1..).zip(tags).zip(attached) {
        if !tag.iter().all(u8::is_ascii_hexdigit) || is_tag(tag, &device.digest) {
            continue;
        }
        if policy == Policy::Strict {
            return Err(Error::new(Code::DeviceTag, At::Layer(layer.number))
                .found(Value::Number(u64::from(slot)))
                .expected(Value::Digest(device.digest)));
        }
        warnings.push(Warning::DeviceTag(layer.number, slot));
    }
    Ok(warnings)
}

/// Whether a tag is the hex of a digest, as far as it has room for it.
fn is_tag(tag: &[u8; 64], digest: &Digest) -> bool {
    let digits = digest
        .as_bytes()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15]);
    tag.iter()
        .zip(digits)
        .all(|(found, digit)| char::from(*found).to_digit(16) == Some(u32::from(digit)))
}

/// The layers of an image and what is to be said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The layers, in the order of the manifest.
    pub layers: Vec<Layer>,
    /// What is not as it should be.
    pub warnings: Vec<Warning>,
}

/// Works out what the layers of an image are for and what is expected of each.
///
/// # Errors
///
/// The first rule that is broken, with [`At::Layer`] where it is about one layer.
pub fn plan(
    manifest: &Manifest,
    config: Option<&Config>,
    policy: Policy,
    limits: &Limits,
) -> Result<Plan, Error> {
    let count = u32::try_from(manifest.layers.len()).unwrap_or(u32::MAX);
    if count > limits.layers {
        return Err(Error::new(Code::ManifestLayers, At::Whole)
            .found(Value::Number(count.into()))
            .expected(Value::AtMost(limits.layers.into())));
    }
    let diff_ids = config.and_then(|config| config.diff_ids.as_deref());
    if let Some(diff_ids) = diff_ids
        && diff_ids.len() != manifest.layers.len()
    {
        return Err(Error::new(Code::DiffIdCount, At::Whole)
            .found(Value::Number(diff_ids.len() as u64))
            .expected(Value::Number(count.into())));
    }
    let mut plan = Plan {
        layers: Vec::new(),
        warnings: Vec::new(),
    };
    if config.is_some_and(|config| !config.has_erofs()) {
        if policy == Policy::Strict {
            return Err(Error::new(Code::OsFeatures, At::Whole).expected(Value::Text("erofs")));
        }
        plan.warnings.push(Warning::OsFeatures);
    }
    for (number, descriptor) in (1..).zip(&manifest.layers) {
        let place = usize::try_from(number)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        let stated = diff_ids.and_then(|diff_ids| diff_ids.get(place).copied());
        let layer = layer(number, descriptor, stated, policy, &mut plan.warnings)
            .map_err(|error| error.moved(At::Layer(number)))?;
        plan.layers.push(layer);
    }
    connect(&mut plan.layers)?;
    Ok(plan)
}

/// One layer by itself.
fn layer(
    number: u32,
    descriptor: &Descriptor,
    stated: Option<Digest>,
    policy: Policy,
    warnings: &mut Vec<Warning>,
) -> Result<Layer, Error> {
    let erofs = descriptor.erofs;
    erofs.check()?;
    let kind = match erofs.role {
        Some(Role::Device) => descriptor.media_type.device()?,
        _ => descriptor.media_type.layer()?,
    };
    let role = match (kind.content, erofs.role) {
        (LayerContent::Erofs, None | Some(Role::OverlayLower)) => LayerRole::Lower,
        (LayerContent::Erofs, Some(Role::OverlayData)) => LayerRole::Data,
        (LayerContent::ChunkIndex, None) => LayerRole::ChunkIndex,
        (LayerContent::Bytes, Some(Role::Device)) => LayerRole::Device,
        _ => return Err(Error::new(Code::RoleMediaType, At::Whole)),
    };
    let plain = kind.compression == Compression::None;
    let annotated = erofs.uncompressed_digest;
    if let (Some(annotation), Some(config)) = (annotated, stated)
        && annotation != config
    {
        if policy != Policy::Any {
            return Err(Error::new(Code::DiffIdConflict, At::Whole)
                .found(Value::Digest(annotation))
                .expected(Value::Digest(config)));
        }
        warnings.push(Warning::DiffIds(number));
    }
    let (diff_id, diff_id_source) = match (annotated, stated) {
        (Some(digest), _) => (Some(digest), DiffIdSource::Annotation),
        (None, Some(digest)) => (Some(digest), DiffIdSource::Config),
        (None, None) if !plain => return Err(Error::new(Code::DiffIdMissing, At::Whole)),
        (None, None) if descriptor.digest.algorithm() == super::Algorithm::Sha256 => {
            (Some(descriptor.digest), DiffIdSource::Digest)
        }
        (None, None) => (None, DiffIdSource::Nowhere),
    };
    if let Some(diff_id) = diff_id
        && plain
        && diff_id.algorithm() == descriptor.digest.algorithm()
        && diff_id != descriptor.digest
    {
        return Err(Error::new(Code::DiffIdNotDigest, At::Whole)
            .found(Value::Digest(diff_id))
            .expected(Value::Digest(descriptor.digest)));
    }
    Ok(Layer {
        number,
        media_type: descriptor.media_type,
        compression: kind.compression,
        role,
        digest: descriptor.digest,
        size: descriptor.size,
        diff_id,
        diff_id_source,
        consumer: None,
        devices: 0,
        erofs,
    })
}

/// The rules between layers, and which one serves which (draft, 3.8).
fn connect(layers: &mut [Layer]) -> Result<(), Error> {
    if let Some(first) = layers.first()
        && first.role == LayerRole::ChunkIndex
    {
        return Err(Error::new(Code::ChunkIndexFirst, At::Layer(first.number)));
    }
    if let Some(last) = layers.last()
        && last.role != LayerRole::Lower
    {
        return Err(Error::new(Code::LayerLast, At::Layer(last.number))
            .found(Value::Text(last.role.name())));
    }
    let mut before: Option<(u32, Digest)> = None;
    for layer in layers.iter_mut() {
        if layer.role == LayerRole::ChunkIndex
            && let Some((number, digest)) = before
        {
            if let Some(target) = layer.erofs.chunk_index_target
                && target != digest
            {
                return Err(Error::new(Code::ChunkIndexTarget, At::Layer(layer.number))
                    .found(Value::Digest(target))
                    .expected(Value::Digest(digest)));
            }
            layer.consumer = Some(number);
        }
        before = Some((layer.number, layer.digest));
    }
    // From the top down, so that the next layer that can use another one is known. The last
    // layer can use both, so each finds one.
    let mut image: Option<u32> = None;
    let mut mounted: Option<u32> = None;
    let mut attached: u16 = 0;
    for layer in layers.iter_mut().rev() {
        match layer.role {
            LayerRole::Lower => (image, mounted) = (Some(layer.number), Some(layer.number)),
            LayerRole::Data => {
                layer.consumer = mounted;
                image = Some(layer.number);
            }
            LayerRole::Device => layer.consumer = image,
            LayerRole::ChunkIndex => {}
        }
    }
    for layer in layers.iter_mut() {
        match layer.role {
            LayerRole::Device => attached = attached.saturating_add(1),
            LayerRole::Lower | LayerRole::Data => {
                layer.devices = attached;
                attached = 0;
            }
            LayerRole::ChunkIndex => {}
        }
    }
    Ok(())
}
