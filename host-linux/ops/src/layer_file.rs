//! One layer of an image in a layout, to read in: at random where its index allows that, else
//! unpacked and verified first.

use core::fmt;
use std::path::Path;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{Layer, LayerRole, Policy};
use erofs_unpack_core::seekable::{Chunks as _, Pin, Trust, admit};
use erofs_unpack_core::unpack::Expectations;
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use crate::chunked::Chunked;
use crate::error::HostError;
use crate::file_at::FileAt;
use crate::image::{Image, Selection};
use crate::image_file::{ImageFileOptions, unpack_to_spool};
use crate::indexed::{Found, Indexed, Opened};
use crate::report::{ErrorReport, StatedIndex};
use crate::source::{BlobReader, ImageSource};

/// Bytes of an image and their number.
pub(crate) type Content = (FileAt, u64);

/// Why a layer is read from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whole {
    /// It has no index.
    NoIndex,
    /// Its blob is no file.
    Stream,
    /// Its index cannot be used for this, as the core says.
    Index(Error),
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIndex => f.write_str("it has no chunk index"),
            Self::Stream => f.write_str("its blob is no file that can be read at random"),
            Self::Index(error) => error.fmt(f),
        }
    }
}

/// How a layer is read.
#[derive(Debug)]
pub(crate) enum Way {
    /// Chunk by chunk, as its index says.
    AtRandom(Content),
    /// From its start to its end.
    Whole(Whole),
}

/// One layer of an image.
#[derive(Clone, Copy)]
pub(crate) struct LayerOf<'a> {
    pub(crate) image: &'a Image,
    pub(crate) source: &'a ImageSource,
    pub(crate) layer: &'a Layer,
    /// The one behind it.
    pub(crate) next: Option<&'a Layer>,
}

impl LayerOf<'_> {
    /// The index of the layer, whose blob of `size` bytes lies in this file.
    fn found(
        &self,
        file: &FileAt,
        size: u64,
        place: &Path,
        limits: &Limits,
    ) -> Result<Found, HostError> {
        let indexed = Indexed {
            blob: file,
            size,
            place,
            compression: self.layer.compression,
            limits,
        };
        let open = |next: &Layer| self.image.open_layer(self.source, next);
        indexed.of_layer(self.layer, self.next, open)
    }

    /// Whether and how the layer's image can be read at random.
    ///
    /// # Errors
    ///
    /// [`HostError::Refused`] when the index makes the layer corrupt, or the blob has not its size;
    /// [`HostError::Environment`] when the system fails.
    pub(crate) fn way(
        &self,
        blob: &BlobReader,
        limits: &Limits,
        allow_unpinned: bool,
    ) -> Result<Way, HostError> {
        let layer = self.layer;
        let Some((file, size)) = FileAt::of_blob(blob)? else {
            return Ok(Way::Whole(Whole::Stream));
        };
        if size != layer.size {
            let error = Error::new(Code::BlobSize, At::Whole)
                .found(Value::Number(size))
                .expected(Value::Number(layer.size));
            return Err(HostError::refused(blob.place(), error));
        }
        let opened = match self.found(&file, size, blob.place(), limits)? {
            Found::Index(opened) => opened,
            Found::PassedOver(error) => return Ok(Way::Whole(Whole::Index(error))),
            Found::Nothing => return Ok(Way::Whole(Whole::NoIndex)),
        };
        at_random(
            (file, size),
            opened,
            layer.compression,
            limits,
            allow_unpinned,
        )
    }
}

impl LayerOf<'_> {
    /// What there is of an index of the layer's chunks, of which no more is read than that.
    ///
    /// # Errors
    ///
    /// As [`Self::way`], but for the size of the blob.
    pub(crate) fn index(
        &self,
        blob: &BlobReader,
        limits: &Limits,
    ) -> Result<Option<StatedIndex>, HostError> {
        let Some((file, size)) = FileAt::of_blob(blob)? else {
            return Ok(None);
        };
        let found = match self.found(&file, size, blob.place(), limits) {
            // The blob of an index may be missing as any other.
            Err(HostError::Environment { .. }) => return Ok(None),
            found => found?,
        };
        Ok(match found {
            Found::Nothing => None,
            Found::PassedOver(error) => Some(StatedIndex {
                chunks: None,
                pin: None,
                digests: None,
                passed_over: Some(ErrorReport::of(&HostError::refused(blob.place(), error))),
            }),
            Found::Index(opened) => Some(StatedIndex {
                chunks: Some(opened.chunks.count()),
                pin: Some(opened.pin.name()),
                digests: Some(opened.chunks.has_digests()),
                passed_over: None,
            }),
        })
    }
}

/// The image in the chunks of a blob, where they can be read one by one.
fn at_random(
    (file, size): Content,
    opened: Opened,
    compression: Compression,
    limits: &Limits,
    allow_unpinned: bool,
) -> Result<Way, HostError> {
    let trust = Trust {
        pin: opened.pin,
        digests: opened.chunks.has_digests(),
        verity: false,
        allow_unpinned,
    };
    let chunks = 0..opened.chunks.count();
    let fit = trust.random().and_then(|()| {
        limits.admit_image(opened.chunks.image_size())?;
        let mut chunks = chunks.filter_map(|number| opened.chunks.chunk(number));
        chunks.try_for_each(|chunk| admit(&chunk, limits))
    });
    if let Err(error) = fit {
        return Ok(Way::Whole(Whole::Index(error)));
    }
    let read = size.saturating_sub(opened.end);
    let blob = (file.clone(), size);
    let chunked = Chunked::new(blob, opened.chunks, compression, limits, read);
    let image_size = chunked.image_size();
    Ok(Way::AtRandom((file.chunked(chunked), image_size)))
}

/// As [`LayerOf::way`], for a blob by itself: nobody vouches for the index that it may end with.
pub(crate) fn way_of_blob(
    blob: &BlobReader,
    compression: Compression,
    limits: &Limits,
) -> Result<Way, HostError> {
    let Some((file, size)) = FileAt::of_blob(blob)? else {
        return Ok(Way::Whole(Whole::Stream));
    };
    let indexed = Indexed {
        blob: &file,
        size,
        place: blob.place(),
        compression,
        limits,
    };
    match indexed.of_blob() {
        Some(opened) => {
            debug_assert_eq!(opened.pin, Pin::None);
            at_random((file, size), opened, compression, limits, true)
        }
        None => Ok(Way::Whole(Whole::NoIndex)),
    }
}

/// A layer that is open: what to call it, its content and that of its devices.
pub(crate) struct Open {
    pub(crate) place: std::path::PathBuf,
    pub(crate) content: Content,
    pub(crate) devices: Vec<Content>,
    /// Why all of it was read, where it was.
    pub(crate) whole: Option<Whole>,
    pub(crate) outcome: Option<erofs_unpack_core::unpack::Outcome>,
}

/// Opens the layer of a layout that is meant.
///
/// # Errors
///
/// [`HostError::Usage`] when it is not said which, or there is none such; what refuses it, and what
/// the system fails at.
pub(crate) fn open(
    path: &Path,
    source: &ImageSource,
    options: &ImageFileOptions,
) -> Result<Open, HostError> {
    let unfit = [
        ("--device", !options.devices.is_empty()),
        ("--diff-id", options.diff_id.is_some()),
        ("--offset", options.offset.is_some()),
    ];
    if let Some((flag, _)) = unfit.iter().find(|(_, given)| *given) {
        return Err(HostError::Usage(format!(
            "{flag}: the manifest of an image layout states that of each layer"
        )));
    }
    let limits = &options.limits;
    let selection = Selection {
        digest: options.digest,
        ..options.image.clone()
    };
    let image = Image::find(source, &selection, limits)?;
    let plan = image.plan(source, Policy::default(), limits)?;
    let place = chosen(path, &plan.layers, options.layer)?;
    let layer = &plan.layers[place];
    let of = |place: usize| LayerOf {
        image: &image,
        source,
        layer: &plan.layers[place],
        next: plan.layers.get(place + 1),
    };
    let is_device =
        |other: &Layer| other.role == LayerRole::Device && other.consumer == Some(layer.number);
    let mut devices = Vec::new();
    for (place, _) in plan
        .layers
        .iter()
        .enumerate()
        .filter(|(_, other)| is_device(other))
    {
        devices.push(bring(of(place), options)?.content);
    }
    let mut open = bring(of(place), options)?;
    open.devices = devices;
    Ok(open)
}

/// A layer's content, at random or unpacked.
fn bring(of: LayerOf<'_>, options: &ImageFileOptions) -> Result<Open, HostError> {
    let mut blob = of.image.open_layer(of.source, of.layer)?;
    let place = blob.place().to_owned();
    let open = |content, whole, outcome| Open {
        place,
        content,
        devices: Vec::new(),
        whole,
        outcome,
    };
    match of.way(&blob, &options.limits, options.allow_unpinned_index)? {
        Way::AtRandom(content) => Ok(open(content, None, None)),
        Way::Whole(why) => {
            let expected: Expectations = of.layer.expectations();
            let (file, outcome) = unpack_to_spool(&mut blob, &expected, options)?;
            let content = (file, outcome.image_size);
            Ok(open(content, Some(why), Some(outcome)))
        }
    }
}

/// Which of the layers is meant, counted from 0: the one of this number, or the only image.
fn chosen(path: &Path, layers: &[Layer], number: Option<u32>) -> Result<usize, HostError> {
    let is_image = |layer: &Layer| matches!(layer.role, LayerRole::Lower | LayerRole::Data);
    let shown = crate::report::shown(path);
    if let Some(number) = number {
        let found = layers.iter().position(|layer| layer.number == number);
        return match found {
            None => Err(HostError::Usage(format!(
                "--layer {number}: the image has {} layers",
                layers.len()
            ))),
            Some(place) if !is_image(&layers[place]) => Err(HostError::Usage(format!(
                "--layer {number}: it is a {}: expected an EROFS image",
                layers[place].role.name()
            ))),
            Some(place) => Ok(place),
        };
    }
    let mut images = layers
        .iter()
        .enumerate()
        .filter(|(_, layer)| is_image(layer));
    match (images.next(), images.count()) {
        (Some((place, _)), 0) => Ok(place),
        (_, more) => Err(HostError::Usage(format!(
            "{shown}: the image has {} layers that are EROFS images: choose one with --layer",
            more + 1
        ))),
    }
}
