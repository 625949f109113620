//! The layer whose index is meant: a lone blob, or one of an image.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{ByteRange, Digest, LayerRole};
use erofs_unpack_core::seekable::{Earlier, Located, Span, locate};
use erofs_unpack_core::unpack::{SNIFF_SIZE, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use crate::error::HostError;
use crate::file_at::FileAt;
use crate::image::Image;
use crate::indexed::{self, Indexed};
use crate::layer_file::{self, chosen};
use crate::options::Select;
use crate::report::shown;
use crate::source::{BlobReader, ImageSource, Source};
use crate::unpack::behind;

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
    pub(super) digest: Option<Digest>,
    pub(super) diff_id: Option<Digest>,
}

/// Where the index is said to be.
#[derive(Debug)]
pub(super) enum Place {
    /// In this part of the blob, which the manifest states or the user.
    Range {
        range: ByteRange,
        digest: Option<Digest>,
        by: &'static str,
    },
    /// Elsewhere: in the layer behind, or in a file. It was read.
    Apart {
        index: indexed::Opened,
        by: &'static str,
    },
    /// Nothing is said: by the end of the blob, with this digest.
    End(Option<Digest>),
}

/// What there is of an index.
#[derive(Debug)]
pub(super) enum Found {
    /// One of either format.
    Index(indexed::Opened),
    /// A form that came before the draft's, which is named and not read.
    Earlier { form: Earlier, span: Span },
}

impl Opened {
    /// What led to the index: `range`, `manifest`, `layer`, `file`, or `end` where nothing did.
    pub(super) const fn by(&self) -> &'static str {
        match self.at {
            Place::Range { by, .. } | Place::Apart { by, .. } => by,
            Place::End(_) => "end",
        }
    }

    fn indexed<'a>(&'a self, limits: &'a Limits) -> Indexed<'a> {
        Indexed {
            blob: &self.file,
            size: self.size,
            place: &self.place,
            compression: self.compression,
            limits,
        }
    }

    /// The index of the blob; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`HostError::Refused`] for an index that breaks its format or does not fit the blob, and for
    /// one that uses what is not known; [`HostError::Environment`] when the blob cannot be read.
    pub(super) fn find(&mut self, limits: &Limits) -> Result<Option<Found>, HostError> {
        let at = core::mem::replace(&mut self.at, Place::End(None));
        let indexed = self.indexed(limits);
        let (range, digest) = match at {
            Place::Apart { index, .. } => return Ok(Some(Found::Index(index))),
            Place::Range { range, digest, .. } => (Some(range), digest),
            Place::End(digest) => (indexed.tail()?, digest),
        };
        let Some(range) = range else {
            if self.compression != Compression::Zstd {
                return Ok(None);
            }
            return Ok(indexed.seek_table()?.map(Found::Index));
        };
        let refusal = match strictly(indexed.embedded(range, digest), &self.place) {
            Ok(found) => return Ok(found.map(Found::Index)),
            Err(error) => error,
        };
        earlier(&indexed, range).map(Some).ok_or(refusal)
    }
}

/// The form that came before the draft's which this part of the blob has, if it has one.
fn earlier(indexed: &Indexed<'_>, range: ByteRange) -> Option<Found> {
    let (section, bytes) = indexed.section(range).ok()?;
    let form = Earlier::of(section.unframed(&bytes).ok()?)?;
    let span = section.span;
    Some(Found::Earlier { form, span })
}

/// An index, of which it is an error too that it uses what is not known here.
fn strictly(
    found: Result<indexed::Found, HostError>,
    place: &Path,
) -> Result<Option<indexed::Opened>, HostError> {
    match found? {
        indexed::Found::Nothing => Ok(None),
        indexed::Found::PassedOver(error) => Err(HostError::refused(place, error)),
        indexed::Found::Index(opened) => Ok(Some(opened)),
    }
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
    let (file, size) = at_random(&blob)?;
    let mut opened = Opened {
        place: path.into(),
        file,
        size,
        compression,
        at: Place::End(meant.index_digest),
        digest: meant.select.image.digest,
        diff_id: meant.diff_id,
    };
    if let Some(file) = &meant.index_file {
        let payload = index_file(file, limits)?;
        let found = opened
            .indexed(limits)
            .payload(payload, meant.index_digest, size, path);
        if let Some(index) = strictly(found, path)? {
            let by = "file";
            opened.at = Place::Apart { index, by };
        }
    } else if let Some(range) = meant.range {
        opened.at = Place::Range {
            range,
            digest: meant.index_digest,
            by: "range",
        };
    }
    Ok(opened)
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
    let place = shown(source.path());
    let layer = chosen(&place, &plan.layers, meant.layer, &INDEXED)?;
    let blob = image.open_layer(source, layer)?;
    let place = blob.place().to_owned();
    let (file, size) = at_random(&blob)?;
    if size != layer.size {
        let error = Error::new(Code::BlobSize, At::Whole)
            .found(Value::Number(size))
            .expected(Value::Number(layer.size));
        return Err(HostError::refused(place, error));
    }
    let mut opened = Opened {
        place,
        file,
        size,
        compression: layer.compression,
        at: Place::End(meant.index_digest),
        digest: Some(layer.digest),
        diff_id: meant.diff_id.or(layer.diff_id),
    };
    let next = behind(layer, &plan.layers);
    match (locate(layer, next), next) {
        (Located::Embedded { range, digest }, _) => {
            opened.at = Place::Range {
                range,
                digest: meant.index_digest.or(digest),
                by: "manifest",
            };
        }
        (Located::Standalone, Some(next)) => {
            let blob = image.open_layer(source, next)?;
            let place = blob.place().to_owned();
            let found = opened
                .indexed(limits)
                .standalone(next, blob, meant.index_digest);
            if let Some(index) = strictly(found, &place)? {
                let by = "layer";
                opened.at = Place::Apart { index, by };
            }
        }
        _ => {}
    }
    Ok(opened)
}

/// The layers that can have an index.
const INDEXED: layer_file::Meant = layer_file::Meant {
    fits: |layer| layer.role != LayerRole::ChunkIndex,
    one: "a layer that can have an index",
    several: "can have an index",
};

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
