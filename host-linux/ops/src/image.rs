//! From a layout to the layers of one image in it.

use core::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use erofs_unpack_core::oci::{
    Algorithm, Config, Descriptor, Digest, Document, Family, Index, Layer, Manifest, MediaKind,
    MediaType, Plan, Platform, Policy, Role, Unusable, Warning, parse_layout, plan,
};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use crate::error::HostError;
use crate::escape::Escaped;
use crate::source::{BlobReader, ImageSource};
use crate::system;

/// Which image of a layout is meant.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Its name in the layout's index.
    pub reference: Option<String>,
    /// The platform to choose where there are several; the host's by default.
    pub platform: Option<Platform>,
    /// The digest of the manifest, of an index that leads to it, or of `index.json` itself:
    /// from there on, every document and layer is verified by a digest.
    pub digest: Option<Digest>,
}

/// One image of a layout, with its documents.
#[derive(Clone, Debug)]
pub struct Image {
    /// The names that the layout's index gives it.
    pub names: Vec<String>,
    /// The descriptor of its manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The config, where the manifest has one that is a config.
    pub config: Option<Config>,
    /// Why entries of the indexes on the way to it cannot be used; it was found without them.
    pub passed_over: Vec<Error>,
}

/// The most entries of an index whose faults are told one by one.
pub(crate) const TOLD_ENTRIES: usize = 8;

impl Image {
    /// Finds the image that is meant and reads its documents, each verified by the digest that
    /// led to it.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`] when several images are there and none is named, or none has the
    /// name; [`HostError::Platform`] when none is for the platform; [`HostError::Refused`] when
    /// a document is; errors of reading.
    pub fn find(
        source: &ImageSource,
        selection: &Selection,
        limits: &Limits,
    ) -> Result<Self, HostError> {
        let host = Platform::parse(&format!("linux/{}", std::env::consts::ARCH));
        let platform = match &selection.platform {
            Some(platform) => platform.clone(),
            None => host.map_err(|error| HostError::refused(source.path(), error))?,
        };
        let (index, index_digest) = read_index(source, limits)?;
        let anchor = selection
            .digest
            .filter(|anchor| *anchor != index_digest(*anchor));
        let mut search = Search {
            source,
            platform: &platform,
            anchor,
            limits,
            passed_over: RefCell::default(),
        };
        let entry = choose(source, &index, selection, &mut search)?;
        let names: Vec<String> = entry.names().map(str::to_owned).collect();
        let (descriptor, manifest, anchored) = search.manifest(entry.clone(), 1)?;
        if let Some(anchor) = search.anchor
            && !anchored
        {
            let error = Error::new(Code::BlobDigest, At::Whole)
                .found(Value::Digest(descriptor.digest))
                .expected(Value::Digest(anchor));
            return Err(HostError::refused(source.path(), error));
        }
        let place = |digest: &Digest| source.blob_place(digest);
        let config = match manifest.config.media_type.kind() {
            MediaKind::Config => {
                let document = read(source, &manifest.config, limits)?;
                let config = Config::parse(&document, limits);
                let place = place(&manifest.config.digest);
                Some(config.map_err(|error| HostError::refused(place, error))?)
            }
            _ => None,
        };
        if let (Some(wanted), Some(config)) = (&selection.platform, &config) {
            let offered = config_platform(config);
            if !config.os.is_empty() && wanted.rank(&offered).is_none() {
                let place = place(&manifest.config.digest);
                return Err(HostError::platform(place, wanted, &[offered]));
            }
        }
        Ok(Self {
            names,
            descriptor,
            manifest,
            config,
            passed_over: search.passed_over.into_inner(),
        })
    }

    /// What its layers are for, and what is expected of each.
    ///
    /// # Errors
    ///
    /// [`HostError::Refused`] when the documents do not go together.
    pub fn plan(
        &self,
        source: &ImageSource,
        policy: Policy,
        limits: &Limits,
    ) -> Result<Plan, HostError> {
        let mut plan = plan(&self.manifest, self.config.as_ref(), policy, limits)
            .map_err(|error| self.refused(source.blob_place(&self.descriptor.digest), error))?;
        plan.warnings.extend(passed_over(&self.passed_over));
        Ok(plan)
    }

    /// A refusal of its documents; where it is about the type of a layer, with that type.
    fn refused(&self, place: PathBuf, error: Error) -> HostError {
        let (At::Layer(number), "media type") = (error.at(), error.code().structure()) else {
            return HostError::refused(place, error);
        };
        let Some(layer) = self.descriptor_of(number) else {
            return HostError::refused(place, error);
        };
        let mut note = layer.media_type.to_string();
        if layer.media_type.is_foreign_erofs() {
            note.push_str(&format!(
                " (unpack --layer {number} --media-type {} takes it for an image as it is)",
                Family::Draft.base()
            ));
        }
        HostError::refused_with(place, error, note)
    }

    /// The descriptor of a layer, counted from 1.
    fn descriptor_of(&self, number: u32) -> Option<&Descriptor> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        self.manifest.layers.get(place)
    }

    /// Takes a layer, counted from 1, for one of this type, whatever its descriptor says.
    ///
    /// The others whose types are those of no layer are counted as such too: else nothing could be
    /// said of the image, though nobody reads them.
    pub(crate) fn take_layer_for(&mut self, number: u32, media_type: MediaType) {
        for (place, layer) in (1..).zip(&mut self.manifest.layers) {
            let is_device = layer.erofs.role == Some(Role::Device);
            if place == number || (!is_device && layer.media_type.layer().is_err()) {
                layer.media_type = media_type;
            }
        }
    }

    /// Opens the blob of one of its layers: what the layer's descriptor holds, else the one in the
    /// layout. That it has the digest is for the caller to verify.
    ///
    /// # Errors
    ///
    /// As [`ImageSource::open_blob`], with the addresses that the descriptor has for a blob that is
    /// not there.
    pub fn open_layer(&self, source: &ImageSource, layer: &Layer) -> Result<BlobReader, HostError> {
        let descriptor = self.descriptor_of(layer.number);
        if let Some(data) = descriptor.and_then(|descriptor| descriptor.data.as_ref()) {
            let place = source.blob_place(&layer.digest);
            return Ok(BlobReader::stream(
                place,
                data.clone(),
                Box::new(io::empty()),
            ));
        }
        let urls = descriptor.map_or(&[][..], |descriptor| &descriptor.urls);
        let blob = source.open_blob(&layer.digest);
        blob.map_err(|error| elsewhere(error, urls))
    }

    /// The platform that the config states.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        self.config.as_ref().map(config_platform)
    }
}

/// Adds to what the system says of a blob that is not there the first of its addresses, shortened.
fn elsewhere(error: HostError, urls: &[String]) -> HostError {
    const MOST: usize = 3;
    const LONGEST: usize = 200;
    match error {
        HostError::Environment {
            place,
            doing,
            error,
        } if error.kind() == io::ErrorKind::NotFound && !urls.is_empty() => {
            let short = |url: &String| url.chars().take(LONGEST).collect::<String>();
            let told: Vec<_> = urls.iter().take(MOST).map(short).collect();
            let mut text = "it is not there, and its descriptor names ".to_owned();
            text.push_str(&told.join(", "));
            if urls.len() > MOST {
                text.push_str(&format!(" and {} more", urls.len() - MOST));
            }
            HostError::Environment {
                place,
                doing,
                error: io::Error::new(io::ErrorKind::NotFound, text),
            }
        }
        error => error,
    }
}

/// What to say of entries that were passed over: of the first ones each by itself.
pub(crate) fn passed_over(errors: &[Error]) -> impl Iterator<Item = Warning> {
    let more = errors.len().saturating_sub(TOLD_ENTRIES);
    let more = u32::try_from(more).ok().filter(|more| *more > 0);
    let told = errors.iter().take(TOLD_ENTRIES).copied();
    told.map(Warning::Entry)
        .chain(more.map(Warning::MoreEntries))
}

/// The platform that a config states.
fn config_platform(config: &Config) -> Platform {
    let mut platform = Platform::default();
    platform.os.clone_from(&config.os);
    platform.architecture.clone_from(&config.architecture);
    platform.variant.clone_from(&config.variant);
    platform.os_features.clone_from(&config.os_features);
    platform.normalized()
}

/// The layout's index, and what says whether a digest is the index's own.
pub(crate) fn read_index(
    source: &ImageSource,
    limits: &Limits,
) -> Result<(Index, impl Fn(Digest) -> Digest + use<>), HostError> {
    let refused = |error| HostError::refused(source.path().to_owned(), error);
    parse_layout(&source.layout_json(limits)?, limits).map_err(refused)?;
    let document = source.index_json(limits)?;
    let place = source.path().join("index.json");
    let index =
        Index::parse(&document, limits).map_err(|error| HostError::refused(place, error))?;
    let own = [Algorithm::Sha256, Algorithm::Sha512].map(|algorithm| algorithm.digest(&document));
    let digest_of = move |wanted: Digest| {
        own.into_iter()
            .find(|digest| digest.algorithm() == wanted.algorithm())
            .unwrap_or(wanted)
    };
    Ok((index, digest_of))
}

/// The entry of the layout's index that is meant.
fn choose<'i>(
    source: &ImageSource,
    index: &'i Index,
    selection: &Selection,
    search: &mut Search<'_>,
) -> Result<&'i Descriptor, HostError> {
    let named = |entry: &&Descriptor| match &selection.reference {
        Some(reference) => entry.names().any(|name| name == reference),
        None => true,
    };
    let mut entries: Vec<&Descriptor> = index.images().filter(named).collect();
    if let Some(anchor) = search.anchor
        && let Some(entry) = entries.iter().find(|entry| entry.digest == anchor)
    {
        return Ok(entry);
    }
    search.pass_over(index);
    let reference = selection.reference.as_deref();
    let place = || source.path().join("index.json");
    if entries.is_empty() {
        // The one that is meant may be there and not be usable.
        return Err(match index.unusable_for(reference, None) {
            Some(error) => HostError::refused(place(), error),
            None => not_found(source, index, selection),
        });
    }
    // Several entries of one name, or without any, differ by their platforms.
    let names: Vec<Vec<&str>> = entries
        .iter()
        .map(|entry| entry.names().collect())
        .collect();
    let one_image = names.iter().all(|other| other.first() == names[0].first());
    if !one_image {
        let list: Vec<String> = names.iter().flatten().map(|name| shown(name)).collect();
        return Err(HostError::Usage(format!(
            "{}: holds several images: choose one with --ref: {}",
            Escaped::name(source.path().as_os_str().as_encoded_bytes()),
            list.join(", ")
        )));
    }
    // The only one is meant whatever the host is, unless the platform was asked for, or one that
    // cannot be used is for the host.
    let named_so = |entry: &Unusable| {
        reference.is_none_or(|name| entry.names.iter().any(|other| other == name))
    };
    let rival = |entry: &Unusable| {
        let platform = entry.platform.as_ref();
        let fits = platform.is_some_and(|platform| search.platform.rank(platform).is_some());
        fits && named_so(entry)
    };
    if entries.len() == 1 && selection.platform.is_none() && !index.unusable.iter().any(rival) {
        return Ok(entries.remove(0));
    }
    let one = Index::clone(index);
    let chosen = {
        let mut narrowed = one;
        narrowed.manifests.retain(|entry| entries.contains(&entry));
        narrowed.unusable.retain(named_so);
        let chosen = narrowed.select(search.platform);
        chosen.map(|entry| entry.digest)
    }
    .map_err(|error| match error.code() {
        Code::PlatformNone => refused_platform(source.path(), error, search.platform, &entries),
        _ => HostError::refused(place(), error),
    })?;
    entries
        .into_iter()
        .find(|entry| entry.digest == chosen)
        .ok_or_else(|| not_found(source, index, selection))
}

/// There is no image of the name, or none at all.
fn not_found(source: &ImageSource, index: &Index, selection: &Selection) -> HostError {
    let path = Escaped::name(source.path().as_os_str().as_encoded_bytes());
    let names: Vec<String> = index
        .images()
        .flat_map(Descriptor::names)
        .map(shown)
        .collect();
    match &selection.reference {
        Some(reference) => HostError::Usage(format!(
            "{path}: holds no image named {}: there are: {}",
            shown(reference),
            names.join(", ")
        )),
        None => HostError::refused_with(
            source.path(),
            Error::new(Code::PlatformNone, At::Whole),
            "the layout holds no image".to_owned(),
        ),
    }
}

/// An index was refused: with [`Code::PlatformNone`] its platforms are told.
fn refused_platform(
    place: &Path,
    error: Error,
    wanted: &Platform,
    entries: &[&Descriptor],
) -> HostError {
    let offered: Vec<Platform> = entries
        .iter()
        .filter_map(|entry| entry.platform.clone())
        .collect();
    match error.code() {
        // Nobody has said it, and nobody knows on what this runs.
        Code::PlatformNone
            if !system::KNOWS_PLATFORM && wanted.architecture == std::env::consts::ARCH =>
        {
            let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
            HostError::Usage(format!(
                "{}: is for several platforms: choose one with --platform: {}",
                Escaped::name(place.as_os_str().as_encoded_bytes()),
                offered.join(", ")
            ))
        }
        Code::PlatformNone => HostError::platform(place, wanted, &offered),
        _ => HostError::refused(place, error),
    }
}

/// A name as it may be shown.
fn shown(name: &str) -> String {
    Escaped::text(name).to_string()
}

/// A walk from an index entry down to a manifest.
struct Search<'a> {
    source: &'a ImageSource,
    platform: &'a Platform,
    /// The digest that must be met on the way.
    anchor: Option<Digest>,
    limits: &'a Limits,
    /// Why entries of the indexes on the way cannot be used.
    passed_over: RefCell<Vec<Error>>,
}

impl Search<'_> {
    /// Notes the entries of an index that cannot be used.
    fn pass_over(&self, index: &Index) {
        let errors = index.unusable.iter().map(|entry| entry.error);
        self.passed_over.borrow_mut().extend(errors);
    }

    /// The manifest that an entry leads to, and whether the anchor was met.
    fn manifest(
        &self,
        entry: Descriptor,
        depth: u32,
    ) -> Result<(Descriptor, Manifest, bool), HostError> {
        let place = self.source.blob_place(&entry.digest);
        let refused = |error| HostError::refused(place.clone(), error);
        let anchored = self.anchor == Some(entry.digest);
        let document = read(self.source, &entry, self.limits)?;
        match Document::parse(&document, Some(&entry.media_type), self.limits).map_err(refused)? {
            Document::Manifest(manifest) => Ok((entry, *manifest, anchored)),
            Document::Index(index) => {
                if depth >= self.limits.index_depth {
                    let error = Error::new(Code::IndexDepth, At::Whole)
                        .expected(Value::AtMost(self.limits.index_depth.into()));
                    return Err(refused(error));
                }
                self.pass_over(&index);
                let pinned = index
                    .images()
                    .find(|entry| self.anchor == Some(entry.digest));
                let next = match pinned {
                    Some(pinned) => pinned,
                    None => index.select(self.platform).map_err(|error| {
                        let entries: Vec<_> = index.images().collect();
                        refused_platform(&place, error, self.platform, &entries)
                    })?,
                };
                let (descriptor, manifest, below) =
                    self.manifest(next.clone(), depth.saturating_add(1))?;
                Ok((descriptor, manifest, anchored || below))
            }
        }
    }
}

/// A document, from its descriptor or from its blob, verified.
pub(crate) fn read(
    source: &ImageSource,
    descriptor: &Descriptor,
    limits: &Limits,
) -> Result<Vec<u8>, HostError> {
    if let Some(data) = &descriptor.data {
        // Verified when the descriptor was read.
        return Ok(data.clone());
    }
    let document = source.read_document(&descriptor.digest, limits);
    let document = document.map_err(|error| elsewhere(error, &descriptor.urls))?;
    let place: PathBuf = source.blob_place(&descriptor.digest);
    descriptor
        .verify(&document)
        .map_err(|error| HostError::refused(place, error))?;
    Ok(document)
}
