//! From a layout to the layers of one image in it.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use erofs_unpack_core::oci::{
    Algorithm, Config, Descriptor, Digest, Documents, Family, Fetched, Found, Index, Layer,
    Manifest, MediaKind, MediaType, NotFound, Plan, Platform, Policy, Role, Several, Wanted,
    Warning, find, parse_layout, plan,
};
use erofs_unpack_core::{At, Error, Limits};

use crate::error::{ChoiceFault, HostError, addresses, platforms};
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
    /// [`HostError::Choice`] when several images could be meant, or none has the name;
    /// [`HostError::NoImage`] when there is none; [`HostError::Platform`] when none is for the
    /// platform; [`HostError::Absent`] when its manifest or config is not in the layout;
    /// [`HostError::Refused`] when a document is; errors of reading.
    pub fn find(
        source: &ImageSource,
        selection: &Selection,
        limits: &Limits,
    ) -> Result<Self, HostError> {
        let host = Platform::parse(&format!("linux/{}", std::env::consts::ARCH));
        let host = host.map_err(|error| HostError::refused(source.path(), error))?;
        let (index, index_digest) = read_index(source, limits)?;
        let wanted = Wanted {
            reference: selection.reference.as_deref(),
            platform: selection.platform.as_ref(),
            host: system::KNOWS_PLATFORM.then_some(&host),
            digest: selection
                .digest
                .filter(|anchor| *anchor != index_digest(*anchor)),
        };
        let found = find(&index, &wanted, limits, &mut Reading { source, limits })
            .map_err(|fault| not_found(source, selection, &host, limits, fault))?;
        let Found {
            names,
            descriptor,
            manifest,
            passed_over,
            ..
        } = found;
        let place = |digest: &Digest| source.blob_place(digest);
        let config = match manifest.config.media_type.kind() {
            MediaKind::Config => {
                let absent = |error| match error {
                    error if is_missing(&error) => HostError::Absent {
                        place: place(&manifest.config.digest),
                        urls: manifest.config.urls.clone(),
                        platform: descriptor.platform.as_ref().map(ToString::to_string),
                        there: Vec::new(),
                    },
                    error => error,
                };
                let document = read(source, &manifest.config, limits).map_err(absent)?;
                let config = Config::parse(&document, limits);
                let place = place(&manifest.config.digest);
                Some(config.map_err(|error| HostError::refused(place, error))?)
            }
            _ => None,
        };
        if let (Some(wanted), Some(config)) = (&selection.platform, &config) {
            let offered = config.platform();
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
            passed_over,
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
        self.config.as_ref().map(Config::platform)
    }
}

/// Adds to what the system says of a blob that is not there the first of its addresses, shortened.
fn elsewhere(error: HostError, urls: &[String]) -> HostError {
    match error {
        HostError::Environment {
            place,
            doing,
            error,
        } if error.kind() == ErrorKind::NotFound && !urls.is_empty() => HostError::Environment {
            place,
            doing,
            error: io::Error::new(ErrorKind::NotFound, addresses(urls)),
        },
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

/// The documents of a layout, for the core to choose by.
struct Reading<'a> {
    source: &'a ImageSource,
    limits: &'a Limits,
}

impl Documents for Reading<'_> {
    fn read(&mut self, descriptor: &Descriptor) -> Fetched {
        match self.source.read_document(&descriptor.digest, self.limits) {
            Ok(document) => Fetched::Document(document),
            Err(error) if is_missing(&error) => Fetched::Absent,
            // Where it is needed, it is read once more, and the error told.
            Err(_) => Fetched::Failed,
        }
    }

    fn has(&mut self, descriptor: &Descriptor) -> bool {
        match self.source.open_blob(&descriptor.digest) {
            Ok(_) => true,
            Err(error) => !is_missing(&error),
        }
    }
}

/// Whether a blob is not there.
fn is_missing(error: &HostError) -> bool {
    matches!(error, HostError::Environment { error, .. } if error.kind() == ErrorKind::NotFound)
}

/// Why none of a layout's images is the one that is meant, as it is told.
fn not_found(
    source: &ImageSource,
    selection: &Selection,
    host: &Platform,
    limits: &Limits,
    fault: NotFound,
) -> HostError {
    let layout = source.path().to_owned();
    let place = |descriptor: &Descriptor| source.blob_place(&descriptor.digest);
    let error = fault.error();
    match fault {
        NotFound::Nothing { artifacts } => HostError::NoImage {
            place: layout,
            artifacts,
        },
        NotFound::Name { choices, count } => HostError::Choice {
            place: layout,
            fault: ChoiceFault::NoSuchName(selection.reference.clone().unwrap_or_default()),
            choices,
            count,
        },
        NotFound::Several {
            why,
            choices,
            count,
        } => HostError::Choice {
            place: layout,
            fault: several(why, selection, host),
            choices,
            count,
        },
        NotFound::Platform {
            within,
            wanted,
            offered,
            needs,
        } => HostError::Platform {
            place: within.map_or(layout, |digest| source.blob_place(&digest)),
            wanted: wanted.full().to_string(),
            offered: platforms(&offered),
            needs,
        },
        NotFound::Absent {
            descriptor,
            platform,
            there,
        } => HostError::Absent {
            place: place(&descriptor),
            urls: descriptor.urls,
            platform: platform.map(|platform| platform.to_string()),
            there: platforms(&there),
        },
        NotFound::Unread(descriptor) => match read(source, &descriptor, limits) {
            Err(error) => error,
            // It has come since.
            Ok(_) => HostError::environment(place(&descriptor), "read", ErrorKind::Other),
        },
        NotFound::Unusable(entry) => {
            let index = || layout.join("index.json");
            let place = entry.within;
            let place = place.map_or_else(index, |digest| source.blob_place(&digest));
            match entry.other {
                Some(other) => {
                    let note = format!(
                        "this entry may be the one that is meant; the one that can be used is \
                         taken with --digest {other}"
                    );
                    HostError::refused_with(place, entry.error, note)
                }
                None => HostError::refused(place, entry.error),
            }
        }
        NotFound::Refused(descriptor, error) => HostError::refused(place(&descriptor), error),
        _ => HostError::refused(layout, error),
    }
}

/// Why it is not clear which image is meant, with what was asked for.
fn several(why: Several, selection: &Selection, host: &Platform) -> ChoiceFault {
    let asked = selection.reference.clone();
    match (why, asked) {
        (Several::Names, None) => ChoiceFault::Names,
        (Several::Names, Some(name)) => ChoiceFault::FullNames(name),
        (Several::SameName, Some(name)) => ChoiceFault::NameTwice(name),
        (Several::SamePlatform, _) => {
            let platform = selection.platform.as_ref().unwrap_or(host);
            ChoiceFault::SamePlatform(platform.full().to_string())
        }
        (Several::Platforms, _) => ChoiceFault::Platforms,
        _ => ChoiceFault::SameName,
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
