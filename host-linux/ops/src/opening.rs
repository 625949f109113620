//! A layer's blob, with the index of its chunks that its manifest leads to: looked for once, whatever
//! is done with the layer then.

use core::fmt;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::Layer;
use erofs_unpack_core::seekable::{Chunks as _, Pin, Trust, admit};
use erofs_unpack_core::verity::Announced as Tree;
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use crate::chunked::Chunked;
use crate::error::HostError;
use crate::file_at::FileAt;
use crate::indexed::{Found, Indexed, Opened};
use crate::pieces::{Blocks, Pieces};
use crate::report::{ErrorReport, StatedIndex};
use crate::source::BlobReader;

/// Bytes of an image and their number.
pub(crate) type Content = (FileAt, u64);

/// A layer's blob, with what its manifest leads to.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) blob: BlobReader,
    pub(crate) announced: Announced,
}

/// The index that the manifest leads to.
#[derive(Debug, Default)]
pub(crate) enum Announced {
    /// None.
    #[default]
    Nothing,
    /// One that is not known here.
    PassedOver(Error),
    /// This one.
    Index(Opened),
    /// One that is wrong. A layer that is wrong too is refused for its own reason.
    Wrong(HostError),
}

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
    /// Piece by piece, each verified.
    AtRandom(Content),
    /// From its start to its end.
    Whole(Whole),
}

impl From<BlobReader> for Opening {
    /// Of a blob of which no manifest says anything.
    fn from(blob: BlobReader) -> Self {
        Self {
            blob,
            announced: Announced::Nothing,
        }
    }
}

impl Opening {
    /// Of a layer; `next` is the layer behind it, and `open` gives the blob of either.
    ///
    /// # Errors
    ///
    /// Those of `open` for the layer itself. Without the blob of an index the layer has none.
    pub(crate) fn of_layer(
        layer: &Layer,
        next: Option<&Layer>,
        limits: &Limits,
        open: impl Fn(&Layer) -> Result<BlobReader, HostError>,
    ) -> Result<Self, HostError> {
        let blob = open(layer)?;
        let mut opening = Self::from(blob);
        let Some((file, size)) = FileAt::of_blob(&opening.blob)? else {
            return Ok(opening);
        };
        if size != layer.size {
            // What that means is said by who reads it.
            return Ok(opening);
        }
        let indexed = Indexed {
            blob: &file,
            size,
            place: opening.blob.place(),
            compression: layer.compression,
            limits,
        };
        opening.announced = match indexed.of_layer(layer, next, open) {
            Ok(Found::Nothing) => Announced::Nothing,
            Ok(Found::PassedOver(error)) => Announced::PassedOver(error),
            Ok(Found::Index(opened)) => Announced::Index(opened),
            Err(error @ HostError::Refused { .. }) => Announced::Wrong(error),
            Err(_) => Announced::Nothing,
        };
        Ok(opening)
    }

    /// The blob.
    pub(crate) const fn blob(&self) -> &BlobReader {
        &self.blob
    }

    /// Whether and how the image of this layer, whose blob it is, can be read at random: by an index
    /// that is trusted, or in a plain blob by the dm-verity tree that its manifest announces with a
    /// root. Where there is such a tree, every block is held against it.
    ///
    /// # Errors
    ///
    /// [`HostError::Refused`] when the index makes the layer corrupt, or the blob has not its size;
    /// [`HostError::Environment`] when the system fails.
    pub(crate) fn way(
        &mut self,
        layer: &Layer,
        limits: &Limits,
        allow_unpinned: bool,
    ) -> Result<Way, HostError> {
        let Some((file, size)) = FileAt::of_blob(&self.blob)? else {
            return Ok(Way::Whole(Whole::Stream));
        };
        if size != layer.size {
            let error = Error::new(Code::BlobSize, At::Whole)
                .found(Value::Number(size))
                .expected(Value::Number(layer.size));
            return Err(HostError::refused(self.blob.place(), error));
        }
        let verity = layer.expectations().verity;
        let verity = verity.and_then(|tree| tree.announced());
        let why = match core::mem::take(&mut self.announced) {
            Announced::Wrong(error) => return Err(error),
            Announced::Nothing => Whole::NoIndex,
            Announced::PassedOver(error) => {
                self.announced = Announced::PassedOver(error);
                Whole::Index(error)
            }
            Announced::Index(opened) => {
                let trust = trust(&opened, verity.is_some(), allow_unpinned);
                match fits(&opened, trust, limits) {
                    Ok(()) => {
                        let blob = (file, size);
                        let image = image(blob, opened, layer.compression, limits, trust);
                        return self.verified(image, verity.as_ref());
                    }
                    Err(error) => {
                        self.announced = Announced::Index(opened);
                        Whole::Index(error)
                    }
                }
            }
        };
        match verity {
            // A plain blob is the image.
            Some(tree) if layer.compression == Compression::None => {
                self.verified((file, size), Some(&tree))
            }
            _ => Ok(Way::Whole(why)),
        }
    }

    /// The image, of which each block is held against the tree that is announced.
    fn verified(&self, image: Content, tree: Option<&Tree>) -> Result<Way, HostError> {
        let Some(tree) = tree else {
            return Ok(Way::AtRandom(image));
        };
        let (file, _) = &image;
        match Blocks::new(image.clone(), tree) {
            Ok(blocks) => {
                let size = blocks.size();
                let chunked = Chunked::new(Pieces::Blocks(Box::new(blocks)));
                Ok(Way::AtRandom((file.chunked(chunked), size)))
            }
            // Read from its start, the layer is refused for this or for what comes before it.
            Err(error) => match crate::chunked::refusal(&error) {
                Some(error) => Ok(Way::Whole(Whole::Index(error))),
                None => Err(HostError::environment(self.blob.place(), "read", error)),
            },
        }
    }

    /// As [`Self::way`], for a blob by itself: nobody vouches for the index that it may end with.
    pub(crate) fn way_of_blob(
        &self,
        compression: Compression,
        limits: &Limits,
    ) -> Result<Way, HostError> {
        let Some((file, size)) = FileAt::of_blob(&self.blob)? else {
            return Ok(Way::Whole(Whole::Stream));
        };
        let indexed = Indexed {
            blob: &file,
            size,
            place: self.blob.place(),
            compression,
            limits,
        };
        let Some(opened) = indexed.of_blob() else {
            return Ok(Way::Whole(Whole::NoIndex));
        };
        debug_assert_eq!(opened.pin, Pin::None);
        let trust = trust(&opened, false, true);
        match fits(&opened, trust, limits) {
            Ok(()) => {
                let image = image((file, size), opened, compression, limits, trust);
                Ok(Way::AtRandom(image))
            }
            Err(error) => Ok(Way::Whole(Whole::Index(error))),
        }
    }

    /// What there is of an index of the layer's chunks, of which no more was read than that.
    ///
    /// # Errors
    ///
    /// [`HostError::Refused`] when it is wrong.
    pub(crate) fn stated(&mut self) -> Result<Option<StatedIndex>, HostError> {
        match core::mem::take(&mut self.announced) {
            Announced::Nothing => Ok(None),
            Announced::Wrong(error) => Err(error),
            Announced::PassedOver(error) => {
                let error = HostError::refused(self.blob.place(), error);
                Ok(Some(StatedIndex {
                    chunks: None,
                    pin: None,
                    digests: None,
                    passed_over: Some(ErrorReport::of(&error)),
                }))
            }
            Announced::Index(opened) => Ok(Some(StatedIndex {
                chunks: Some(opened.chunks.count()),
                pin: Some(opened.pin.name()),
                digests: Some(opened.chunks.has_digests()),
                passed_over: None,
            })),
        }
    }
}

fn trust(opened: &Opened, verity: bool, allow_unpinned: bool) -> Trust {
    Trust {
        pin: opened.pin,
        digests: opened.chunks.has_digests(),
        verity,
        allow_unpinned,
    }
}

/// Whether the chunks may be read one by one.
fn fits(opened: &Opened, trust: Trust, limits: &Limits) -> Result<(), Error> {
    trust.random()?;
    limits.admit_image(opened.chunks.image_size())?;
    let mut chunks = (0..opened.chunks.count()).filter_map(|number| opened.chunks.chunk(number));
    chunks.try_for_each(|chunk| admit(&chunk, limits))
}

/// The image in the chunks of a blob.
fn image(
    (file, size): Content,
    opened: Opened,
    compression: Compression,
    limits: &Limits,
    trust: Trust,
) -> Content {
    let read = size.saturating_sub(opened.end);
    let verified = trust.pin != Pin::None && trust.digests;
    let blob = (file.clone(), size);
    let pieces = Pieces::chunks(blob, opened.chunks, compression, limits, (read, verified));
    let image_size = pieces.image_size();
    (file.chunked(Chunked::new(pieces)), image_size)
}
