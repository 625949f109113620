//! An OCI image layout: what its indexes list, and one image in full.

use std::collections::HashSet;

use erofs_unpack_core::oci::{
    Config, Descriptor, Digest, Document, Index, Layer, Manifest, MediaKind, Plan, Warning,
};
use erofs_unpack_core::{Error, Limits};
use serde::Serialize;

use super::Options;
use super::blob::layer_superblock;
use crate::error::HostError;
use crate::escape::Escaped;
use crate::image::{Image, passed_over, read, read_index};
use crate::layer_file::is_image;
use crate::opening::Opening;
use crate::report::{ErrorReport, ImageReport, LayerReport, SuperblockReport};
use crate::source::ImageSource;
use crate::unpack::behind;

/// The most entries that are listed.
const ENTRIES: usize = 4096;

/// A layout.
#[derive(Clone, Debug, Serialize)]
pub struct LayoutReport {
    /// What the indexes list, nested ones included, in their order.
    pub entries: Vec<EntryReport>,
    /// The image that would be unpacked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<LayoutImageReport>,
    /// What is not as it should be, or why no image is shown in full.
    pub warnings: Vec<String>,
}

/// An entry of an index.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryReport {
    /// `index`, `image` or `other`.
    pub kind: &'static str,
    /// The digest of the index that it is in, unless that is `index.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// Its names, escaped.
    pub names: Vec<String>,
    /// Its media type.
    pub media_type: String,
    /// Digest of its document.
    pub digest: String,
    /// Size of its document in bytes.
    pub size: u64,
    /// The type of the artifact that it says it is, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The platform that it states, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What that platform needs of the system, escaped.
    pub os_features: Vec<String>,
    /// The platform that its config states, with its features, where the entry states none;
    /// escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_platform: Option<String>,
    /// Whether its document is in the layout.
    pub present: bool,
}

/// One image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayoutImageReport {
    /// What its documents say of it.
    #[serde(flatten)]
    pub about: ImageReport,
    /// Its layers.
    pub layers: Vec<LayerReport>,
    /// Why `unpack` would refuse it, where its documents say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

pub(super) fn inspect(options: &Options, source: &ImageSource) -> Result<LayoutReport, HostError> {
    let limits = &options.limits;
    let (index, _) = read_index(source, limits)?;
    let mut found = LayoutReport {
        entries: Vec::new(),
        image: None,
        warnings: Vec::new(),
    };
    let mut listing = Listing {
        source,
        limits,
        seen: HashSet::new(),
        unusable: Vec::new(),
        left: limits.json_size.saturating_mul(limits.index_depth.into()),
        found: &mut found,
    };
    listing.index(&index, None, 1)?;
    let unusable = listing.unusable;
    let warnings = passed_over(&unusable).map(|warning| warning.to_string());
    found.warnings.extend(warnings);
    let wanted = &options.select.image;
    let asked = wanted.reference.is_some() || wanted.platform.is_some() || wanted.digest.is_some();
    match Image::find(source, wanted, limits) {
        Ok(image) => found.image = Some(found_image(options, source, &image, &mut found)),
        // Nobody asked for one image: the list is what the layout is.
        Err(HostError::NoImage { artifacts, .. }) if !asked => {
            let what = if artifacts.is_empty() {
                ""
            } else {
                ", only artifacts"
            };
            found
                .warnings
                .push(format!("the layout holds no image{what}"));
        }
        Err(
            error @ (HostError::Choice { .. }
            | HostError::Platform { .. }
            | HostError::Absent { .. }
            | HostError::Environment { .. }),
        ) if !asked => {
            found.warnings.push(format!("no image is chosen: {error}"));
        }
        // That entry is told of already, without the choice that it prevents.
        Err(HostError::Refused { error, .. }) if !asked && unusable.contains(&error) => {
            found.warnings.push(format!("no image is chosen: {error}"));
        }
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// A walk over indexes.
struct Listing<'a> {
    source: &'a ImageSource,
    limits: &'a Limits,
    /// The nested indexes that were listed: each is listed once.
    seen: HashSet<Digest>,
    /// Why entries of the indexes cannot be used.
    unusable: Vec<Error>,
    /// How many bytes may be read of manifests and configs to learn platforms.
    left: u64,
    found: &'a mut LayoutReport,
}

impl Listing<'_> {
    fn index(
        &mut self,
        index: &Index,
        within: Option<&Digest>,
        depth: u32,
    ) -> Result<(), HostError> {
        self.unusable
            .extend(index.unusable.iter().map(|entry| entry.error));
        let images: HashSet<Digest> = index.images().map(|entry| entry.digest).collect();
        for entry in &index.manifests {
            if self.found.entries.len() >= ENTRIES {
                self.found
                    .warnings
                    .push(format!("only the first {ENTRIES} entries are listed"));
                return Ok(());
            }
            let is_index = entry.media_type.kind() == MediaKind::Index;
            let kind = match images.contains(&entry.digest) {
                true if is_index => "index",
                true => "image",
                false => "other",
            };
            let present = entry.data.is_some() || self.source.open_blob(&entry.digest).is_ok();
            let nested = is_index && present && self.seen.insert(entry.digest);
            let mut report = found_entry(entry, kind, within, present);
            if kind == "image" && present && entry.platform.is_none() {
                report.config_platform = self.config_platform(entry);
            }
            self.found.entries.push(report);
            if nested && depth < self.limits.index_depth {
                let document = read(self.source, entry, self.limits)?;
                let place = self.source.blob_place(&entry.digest);
                let document = Document::parse(&document, Some(&entry.media_type), self.limits)
                    .map_err(|error| HostError::refused(place, error))?;
                if let Document::Index(index) = document {
                    self.index(&index, Some(&entry.digest), depth.saturating_add(1))?;
                }
            }
        }
        Ok(())
    }
}

impl Listing<'_> {
    /// The platform that the config of an image states, as far as it can be read.
    fn config_platform(&mut self, entry: &Descriptor) -> Option<String> {
        let document = self.document(entry)?;
        let manifest = Manifest::parse(&document, self.limits).ok()?;
        if manifest.config.media_type.kind() != MediaKind::Config {
            return None;
        }
        let document = self.document(&manifest.config)?;
        let config = Config::parse(&document, self.limits).ok()?;
        let platform = config.platform();
        (!platform.os.is_empty()).then(|| escaped(&platform.full().to_string()))
    }

    fn document(&mut self, descriptor: &Descriptor) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(descriptor.size)?;
        read(self.source, descriptor, self.limits).ok()
    }
}

fn found_entry(
    entry: &Descriptor,
    kind: &'static str,
    within: Option<&Digest>,
    present: bool,
) -> EntryReport {
    let platform = entry.platform.as_ref();
    EntryReport {
        kind,
        within: within.map(ToString::to_string),
        names: entry.names().map(escaped).collect(),
        media_type: entry.media_type.as_str().to_owned(),
        digest: entry.digest.to_string(),
        size: entry.size,
        artifact_type: entry.artifact_type.as_deref().map(escaped),
        platform: platform.map(|platform| escaped(&platform.to_string())),
        os_features: platform.map_or_else(Vec::new, |platform| {
            platform
                .os_features
                .iter()
                .map(|name| escaped(name))
                .collect()
        }),
        config_platform: None,
        present,
    }
}

fn found_image(
    options: &Options,
    source: &ImageSource,
    image: &Image,
    found: &mut LayoutReport,
) -> LayoutImageReport {
    let limits = &options.limits;
    let (layers, error) = match image.plan(source, options.select.policy, limits) {
        Ok(Plan {
            layers, warnings, ..
        }) => {
            // Those of all indexes are told already.
            let is_new = |warning: &&Warning| {
                !matches!(warning, Warning::Entry(_) | Warning::MoreEntries(_))
            };
            let warnings = warnings.iter().filter(is_new);
            found.warnings.extend(warnings.map(ToString::to_string));
            let layers = layers
                .iter()
                .map(|layer| {
                    let next = behind(layer, &layers);
                    found_layer((image, source), layer, next, options, &mut found.warnings)
                })
                .collect();
            (layers, None)
        }
        Err(error) => (stated_layers(source, image), Some(ErrorReport::of(&error))),
    };
    LayoutImageReport {
        about: ImageReport::of(image),
        layers,
        error,
    }
}

/// A layer of the manifest, with its superblock where its blob is there and has one.
fn found_layer(
    (image, source): (&Image, &ImageSource),
    layer: &Layer,
    next: Option<&Layer>,
    options: &Options,
    warnings: &mut Vec<String>,
) -> LayerReport {
    let mut report = LayerReport::of(layer);
    report.status = "stated";
    let open = |layer: &Layer| image.open_layer(source, layer);
    let next = next.filter(|_| is_image(layer));
    match Opening::of_layer(layer, next, &options.limits, open) {
        Err(_) => report.status = "missing",
        Ok(_) if !is_image(layer) => {}
        Ok(mut opening) => {
            match opening.stated() {
                Ok(index) => report.index = index,
                Err(error) => report.error = Some(ErrorReport::of(&error)),
            }
            match layer_superblock(opening.blob, layer.compression, &options.limits) {
                Ok(superblock) => {
                    let policy = options.select.policy;
                    let warning = Warning::of_image(layer.number, &superblock, policy);
                    warnings.extend(warning.map(|warning| warning.to_string()));
                    report.superblock = Some(SuperblockReport::of(&superblock));
                }
                Err(error) => report.error = Some(ErrorReport::of(&error)),
            }
        }
    }
    report
}

/// The layers as the documents state them, where those do not go together.
fn stated_layers(source: &ImageSource, image: &Image) -> Vec<LayerReport> {
    let diff_ids = image
        .config
        .as_ref()
        .and_then(|config| config.diff_ids.as_deref())
        .unwrap_or_default();
    let layers = (1..).zip(&image.manifest.layers).enumerate();
    layers
        .map(|(place, (number, descriptor))| LayerReport {
            number: Some(number),
            status: match source.open_blob(&descriptor.digest) {
                Ok(_) => "stated",
                Err(_) if descriptor.data.is_some() => "stated",
                Err(_) => "missing",
            },
            media_type: Some(descriptor.media_type.as_str().to_owned()),
            digest: Some(descriptor.digest.to_string()),
            size: Some(descriptor.size),
            diff_id: diff_ids.get(place).map(ToString::to_string),
            ..LayerReport::default()
        })
        .collect()
}

fn escaped(text: &str) -> String {
    Escaped::text(text).to_string()
}
