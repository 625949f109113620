//! The layer whose index is meant: a lone blob, or one of an image.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{ByteRange, Digest, Layer, LayerRole, MediaKind};
use erofs_unpack_core::unpack::{SNIFF_SIZE, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use super::open::Place;
use crate::error::HostError;
use crate::file_at::FileAt;
use crate::image::Image;
use crate::options::Select;
use crate::report::shown;
use crate::source::{BlobReader, ImageSource, Source};

/// Which layer is meant, and where its index is.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    /// Which image of a layout, and the digest that a lone blob must have.
    pub select: Select,
    /// Which layer of it, counted from 1.
    pub layer: Option<u32>,
    /// The part of a lone blob that its index is (`org.erofs.chunk-index.range`).
    pub range: Option<ByteRange>,
    /// The file that holds the index of a lone blob, where that is no part of it.
    pub index_file: Option<PathBuf>,
    /// Digest that the index must have (`org.erofs.chunk-index.digest`).
    pub index_digest: Option<Digest>,
    /// Digest that the decoded layer must have.
    pub diff_id: Option<Digest>,
}

/// A layer's blob, and what is known of it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) place: PathBuf,
    pub(super) file: FileAt,
    pub(super) size: u64,
    pub(super) compression: Compression,
    pub(super) at: Place,
    /// What led to the index: `range`, `manifest`, `layer`, `file`, or `end` where nothing did.
    pub(super) by: &'static str,
    pub(super) digest: Option<Digest>,
    pub(super) diff_id: Option<Digest>,
}

/// Opens the layer that is meant.
pub(super) fn open_layer(path: &Path, meant: &Meant, limits: &Limits) -> Result<Opened, HostError> {
    let mut source = meant.select.source.clone();
    source.blob |= path == Path::new("-");
    match Source::open(path, &source)? {
        Source::Blob(blob) => lone(path, blob, meant, limits),
        Source::Image(image) => of_image(&image, meant, limits),
    }
}

fn lone(
    path: &Path,
    mut blob: BlobReader,
    meant: &Meant,
    limits: &Limits,
) -> Result<Opened, HostError> {
    meant.select.not_for_blobs(&shown(path))?;
    if meant.layer.is_some() {
        return Err(HostError::Usage(format!(
            "--layer: {} is one blob, not an image layout",
            shown(path)
        )));
    }
    let head = blob.peek(SNIFF_SIZE);
    let head = head.map_err(|error| HostError::environment(path, "read", error))?;
    let compression = match sniff(&head) {
        Sniffed::Compressed(compression) => compression,
        _ => Compression::None,
    };
    let payload = match &meant.index_file {
        Some(file) => Some(index_file(file, limits)?),
        None => None,
    };
    let by = match (&payload, meant.range) {
        (Some(_), _) => "file",
        (None, Some(_)) => "range",
        (None, None) => "end",
    };
    let (file, size) = at_random(&blob)?;
    Ok(Opened {
        place: path.into(),
        file,
        size,
        compression,
        at: Place {
            range: meant.range,
            digest: meant.index_digest,
            payload,
        },
        by,
        digest: meant.select.image.digest,
        diff_id: meant.diff_id,
    })
}

fn of_image(source: &ImageSource, meant: &Meant, limits: &Limits) -> Result<Opened, HostError> {
    let given = [
        ("--range", meant.range.is_some()),
        ("--index-file", meant.index_file.is_some()),
    ];
    if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
        return Err(HostError::Usage(format!(
            "{flag}: {} is an image layout, whose manifest says where the index is: expected one blob",
            shown(source.path())
        )));
    }
    let image = Image::find(source, &meant.select.image, limits)?;
    let plan = image.plan(source, meant.select.policy, limits)?;
    let layer = chosen(&plan.layers, source, meant.layer)?;
    let blob = image.open_layer(source, layer)?;
    let place = blob.place().to_owned();
    let (file, size) = at_random(&blob)?;
    if size != layer.size {
        let error = Error::new(Code::BlobSize, At::Whole)
            .found(Value::Number(size))
            .expected(Value::Number(layer.size));
        return Err(HostError::refused(place, error));
    }
    let erofs = &layer.erofs;
    let mut at = Place {
        range: erofs.chunk_index_range,
        digest: meant.index_digest.or(erofs.chunk_index_digest),
        payload: None,
    };
    let known = |kind: Option<MediaKind>| kind.is_none_or(|kind| kind == MediaKind::ChunkIndex);
    let kind = erofs.chunk_index_media_type.map(|stated| stated.kind());
    if !known(kind) {
        // Nothing is known of an index of another kind (draft, 8.2 item 5).
        at.range = None;
    }
    let mut by = if at.range.is_some() {
        "manifest"
    } else {
        "end"
    };
    let standalone = plan
        .layers
        .iter()
        .find(|index| index.role == LayerRole::ChunkIndex && index.consumer == Some(layer.number));
    if let (None, Some(index)) = (at.range, standalone) {
        let blob = image.open_layer(source, index)?;
        let place = blob.place().to_owned();
        let payload = bounded(blob, limits)?;
        let found = index.digest.algorithm().digest(&payload);
        if found != index.digest {
            let error = Error::new(Code::BlobDigest, At::Whole)
                .found(Value::Digest(found))
                .expected(Value::Digest(index.digest));
            return Err(HostError::refused(place, error));
        }
        at.payload = Some(payload);
        by = "layer";
    }
    Ok(Opened {
        place,
        file,
        size,
        compression: layer.compression,
        at,
        by,
        digest: Some(layer.digest),
        diff_id: meant.diff_id.or(layer.diff_id),
    })
}

/// The layer of this number; where none is given, the only one that can have an index.
fn chosen<'a>(
    layers: &'a [Layer],
    source: &ImageSource,
    number: Option<u32>,
) -> Result<&'a Layer, HostError> {
    let usage = |what: String| {
        let place = shown(source.path());
        Err(HostError::Usage(format!("{place}: {what}")))
    };
    let mut can = layers
        .iter()
        .filter(|layer| layer.role != LayerRole::ChunkIndex);
    let Some(number) = number else {
        return match (can.next(), can.next()) {
            (Some(layer), None) => Ok(layer),
            _ => usage("has several layers: choose one with --layer".into()),
        };
    };
    match can.find(|layer| layer.number == number) {
        Some(layer) => Ok(layer),
        None => usage(format!(
            "--layer {number}: expected the number of a layer that is no chunk index, of {}",
            layers.len()
        )),
    }
}

/// A blob that is read at random. One from a pipe would have to be put on disk first: whoever has it
/// there already need not.
fn at_random(blob: &BlobReader) -> Result<(FileAt, u64), HostError> {
    FileAt::of_blob(blob)?.ok_or_else(|| {
        HostError::Usage(format!(
            "{}: is a stream or lies in its descriptor: expected a file, which can be read at random",
            shown(blob.place())
        ))
    })
}

/// An index in a file of its own.
fn index_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, HostError> {
    let source = crate::source::SourceOptions {
        blob: true,
        ..Default::default()
    };
    match Source::open(path, &source)? {
        Source::Blob(blob) => bounded(blob, limits),
        Source::Image(_) => Err(HostError::Usage(format!(
            "--index-file: {} is a directory: expected a file",
            shown(path)
        ))),
    }
}

/// All of a blob that is an index.
fn bounded(mut blob: BlobReader, limits: &Limits) -> Result<Vec<u8>, HostError> {
    let mut payload = Vec::new();
    let read = (&mut blob)
        .take(limits.chunk_index.saturating_add(1))
        .read_to_end(&mut payload);
    read.map_err(|error| HostError::environment(blob.place(), "read", error))?;
    if payload.len() as u64 > limits.chunk_index {
        let error = Error::new(Code::ChunkIndexLimit, At::Whole)
            .found(Value::AtLeast(payload.len() as u64))
            .expected(Value::AtMost(limits.chunk_index));
        return Err(HostError::refused(blob.place(), error));
    }
    Ok(payload)
}
