//! One layer: from its blob to a new one.

use std::path::Path;
use std::sync::Arc;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{Descriptor, Digest, MediaKind, TarCompression};
use erofs_unpack_core::unpack::{Content, Expectations, SNIFF_SIZE, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error};

use super::Options;
use super::layout::NewLayout;
use super::reuse::{Found, Reuse};
use crate::build::{Fault, Proved, build_archive, prove};
use crate::error::HostError;
use crate::file_at::FileAt;
use crate::image::Image;
use crate::layer::{self, Space};
use crate::observer::{Part, Work};
use crate::pipeline::{Progress, Terms};
use crate::publish::{Unpublished, scratch};
use crate::source::{BlobReader, ImageSource};
use crate::system::{self, processors};
use crate::wrap::{BlobReport, Image as Wrapped, Wrapping};

/// A layer that has been converted. Its blob has no name yet.
#[derive(Debug)]
pub(crate) struct Converted {
    pub(crate) blob: Unpublished,
    /// Digest of the blob.
    pub(crate) digest: Digest,
    pub(crate) report: BlobReport,
    /// The layer that it was.
    pub(crate) source: Descriptor,
    /// The diffID of that.
    pub(crate) source_diff_id: Digest,
    /// What was proved of the image; `None` where it was one already, and was only verified.
    pub(crate) proved: Option<Proved>,
    pub(crate) inodes: Option<u64>,
    /// Whether it was converted before, and only taken.
    pub(crate) reused: bool,
    /// Why it was not, where it might have been.
    pub(crate) note: Option<String>,
}

/// The layers of an image on their way.
pub(super) struct Converting<'a> {
    source: &'a ImageSource,
    image: &'a Image,
    layout: &'a NewLayout,
    options: &'a Options,
    reuse: Option<&'a Reuse>,
    progress: Vec<Arc<Progress>>,
}

impl<'a> Converting<'a> {
    pub(super) fn new(
        source: &'a ImageSource,
        image: &'a Image,
        layout: &'a NewLayout,
        options: &'a Options,
        reuse: Option<&'a Reuse>,
    ) -> Result<Self, HostError> {
        let place = source.blob_place(&image.descriptor.digest);
        let layers = &image.manifest.layers;
        for (number, descriptor) in (1..).zip(layers) {
            if compression(descriptor).is_none() {
                let error = Error::new(Code::MediaTypeUnknown, At::Layer(number));
                let note = descriptor.media_type.to_string();
                return Err(HostError::refused_with(place, error, note));
            }
        }
        if let Some(config) = &image.config
            && let Some(diff_ids) = &config.diff_ids
            && diff_ids.len() != layers.len()
        {
            let error = Error::new(Code::DiffIdCount, At::Whole);
            return Err(HostError::refused(place, error));
        }
        let progress = layers.iter().map(|_| Arc::default()).collect();
        Ok(Self {
            source,
            image,
            layout,
            options,
            reuse,
            progress,
        })
    }

    pub(super) fn work(&self) -> Work {
        let parts = self.image.manifest.layers.iter().zip(&self.progress);
        Work::Layers(
            (1..)
                .zip(parts)
                .map(|(number, (descriptor, progress)): (u32, _)| Part {
                    name: format!("layer {number}"),
                    size: Some(descriptor.size),
                    progress: Arc::clone(progress),
                })
                .collect(),
        )
    }

    /// Stops all layers.
    pub(super) fn cancel(&self) {
        for progress in &self.progress {
            progress.cancel();
        }
    }

    /// Converts a layer, by its place.
    pub(super) fn convert(&self, number: usize) -> Result<Converted, HostError> {
        let (Some(descriptor), Some(progress)) = (
            self.image.manifest.layers.get(number),
            self.progress.get(number),
        ) else {
            return Err(HostError::Cancelled);
        };
        if progress.is_cancelled() {
            return Err(HostError::Cancelled);
        }
        let diff_id = self.diff_id(descriptor, number);
        let mut note = None;
        if let Some(reuse) = self.reuse {
            match reuse.take(descriptor, diff_id.as_ref(), self.layout, self.options)? {
                Found::Layer(layer) => return Ok(*layer),
                Found::Unusable(why) => note = Some(format!("{why}: converted anew")),
                Found::Nothing => {}
            }
        }
        let place = self.source.blob_place(&descriptor.digest);
        let mut blob = self.open(descriptor)?;
        let mut expected = Expectations::new(Compression::None);
        expected.blob_digest = Some(descriptor.digest);
        expected.blob_size = Some(descriptor.size);
        expected.diff_id = diff_id;
        progress.begin(Some(descriptor.size));
        let made = match descriptor.media_type.kind() {
            MediaKind::Erofs { compression, .. } => {
                expected.compression = compression;
                expected.verity = descriptor.erofs.verity_tree();
                self.unpack(&mut blob, &expected, progress)?
            }
            _ => {
                let head = blob.peek(SNIFF_SIZE);
                let head = head.map_err(|error| HostError::environment(&place, "read", error))?;
                // Docker's plain type may be compressed all the same: containerd looks at the content.
                expected.compression = match (compression(descriptor), sniff(&head)) {
                    (Some(Compression::None), Sniffed::Compressed(found)) => found,
                    (stated, _) => stated.unwrap_or(Compression::None),
                };
                expected.content = Content::Bytes;
                self.build(&mut blob, &place, &expected, progress)?
            }
        };
        let mut converted = self.wrap(descriptor, &place, made)?;
        converted.note = note;
        Ok(converted)
    }

    fn open(&self, descriptor: &Descriptor) -> Result<BlobReader, HostError> {
        if let Some(data) = &descriptor.data {
            let place = self.source.blob_place(&descriptor.digest);
            let empty = Box::new(std::io::empty());
            return Ok(BlobReader::stream(place, data.clone(), empty));
        }
        self.source.open_blob(&descriptor.digest)
    }

    /// What the source states as diffID.
    fn diff_id(&self, descriptor: &Descriptor, number: usize) -> Option<Digest> {
        let config = self.image.config.as_ref();
        let stated = config.and_then(|config| config.diff_ids.as_ref()?.get(number).copied());
        descriptor.erofs.uncompressed_digest.or(stated)
    }

    /// An image out of a tar layer.
    fn build(
        &self,
        blob: &mut BlobReader,
        place: &Path,
        expected: &Expectations,
        progress: &Progress,
    ) -> Result<Made, HostError> {
        let dir = system::temp_dir();
        let file = scratch(&dir)?;
        let options = &self.options.build;
        let made = build_archive(blob, place, expected, &file, options, progress);
        let made = made.map_err(|fault| match fault {
            Fault::Source(error) => error,
            Fault::Write(error) => HostError::environment(&dir, "write", error),
        })?;
        let image = FileAt::new(file);
        let proved = prove(&image, place, &made.built, options)?;
        let summary = made.built.summary;
        Ok(Made {
            image,
            size: summary.size,
            block_size: summary.block_size,
            diff_id: made.tar.map(|tar| tar.diff_id),
            proved: Some(proved),
            inodes: Some(summary.inodes),
            content: None,
        })
    }

    /// The image in an EROFS layer.
    fn unpack(
        &self,
        blob: &mut BlobReader,
        expected: &Expectations,
        progress: &Progress,
    ) -> Result<Made, HostError> {
        let dir = system::temp_dir();
        let file = scratch(&dir)?;
        let space = Space::new(&file, dir);
        let terms = Terms::from(&self.options.build.limits);
        let outcome = layer::unpack(blob, Some(space), expected, &terms, progress)?;
        let block_size = outcome
            .superblock
            .as_ref()
            .map_or(4096, erofs_unpack_core::erofs::Superblock::block_size);
        Ok(Made {
            image: FileAt::new(file),
            size: outcome.image_size,
            block_size,
            diff_id: Some(outcome.diff_id),
            proved: None,
            inodes: None,
            content: expected.verity,
        })
    }

    /// The new blob of an image.
    fn wrap(
        &self,
        descriptor: &Descriptor,
        place: &Path,
        made: Made,
    ) -> Result<Converted, HostError> {
        let threads = self.options.threads.unwrap_or_else(processors);
        let source_diff_id = made.diff_id.unwrap_or(descriptor.digest);
        let image = if self.options.verity && made.content.is_none() {
            let sizes = (made.image, made.size, made.block_size);
            Wrapped::with_tree(sizes, place, &source_diff_id, threads)?
        } else {
            Wrapped {
                file: made.image,
                size: made.size,
                tree: made.content,
            }
        };
        let blob = self.layout.blob()?;
        let target = blob.target().path();
        let wrapping = Wrapping {
            wrap: &self.options.wrap,
            limits: &self.options.build.limits,
            threads,
            source: place,
            output: blob.file(),
            place: &target,
        };
        let report = wrapping.write_proved(&image, &Progress::default(), || ())?;
        let digest = report.digest.parse();
        let digest = digest.map_err(|error| HostError::refused(&target, error))?;
        Ok(Converted {
            blob,
            digest,
            report,
            source: descriptor.clone(),
            source_diff_id,
            proved: made.proved,
            inodes: made.inodes,
            reused: false,
            note: None,
        })
    }
}

/// An image without a name.
struct Made {
    image: FileAt,
    size: u64,
    block_size: u64,
    /// The diffID of the layer that it was.
    diff_id: Option<Digest>,
    proved: Option<Proved>,
    inodes: Option<u64>,
    /// A dm-verity tree that it has already.
    content: Option<erofs_unpack_core::unpack::VerityTree>,
}

/// How a layer is compressed; `None` for what cannot be converted.
fn compression(descriptor: &Descriptor) -> Option<Compression> {
    match descriptor.media_type.kind() {
        MediaKind::Tar { compression } => match compression {
            TarCompression::None => Some(Compression::None),
            TarCompression::Gzip => Some(Compression::Gzip),
            TarCompression::Zstd => Some(Compression::Zstd),
            _ => None,
        },
        // An image with devices is several layers, which go together.
        MediaKind::Erofs { compression, .. } if descriptor.erofs.role.is_none() => {
            Some(compression)
        }
        _ => None,
    }
}
