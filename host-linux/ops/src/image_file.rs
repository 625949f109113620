//! One EROFS image to read in: a file, or what the blob of a layer holds.

use std::io;
use std::path::{Path, PathBuf};

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::{Image, ReadError, Superblock};
use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::unpack::{
    BlobCheck, Devices, Expectations, Outcome, SNIFF_SIZE, Sniffed, sniff,
};
use erofs_unpack_core::{Code, Limits};

use crate::chunked::{RandomReads, refusal};
use crate::error::HostError;
use crate::image::Selection;
use crate::layer::Space;
use crate::layer_file;
use crate::opening::{Opening, Way, Whole};
use crate::parallel;
use crate::pipeline::{Progress, Terms};
use crate::place::inside;
use crate::publish::scratch;
use crate::report::shown;
use crate::sandbox::Sandbox;
use crate::source::{BlobReader, Source, SourceOptions};
use crate::system::{self, File};

pub use crate::file_at::FileAt;

impl FileAt {
    /// The bytes of a blob that lies in a file, and their number; `None` for a stream.
    pub(crate) fn of_blob(blob: &BlobReader) -> Result<Option<(Self, u64)>, HostError> {
        let (Some((file, start)), Some(length)) = (blob.file(), blob.length()) else {
            return Ok(None);
        };
        let mut source = Self::sharing(file, blob.place())?;
        source.start = start;
        Ok(Some((source, length)))
    }
}

/// How an image is opened.
#[derive(Clone, Debug, Default)]
pub struct ImageFileOptions {
    /// Digest that the blob must have.
    pub digest: Option<Digest>,
    /// Digest that the image must have.
    pub diff_id: Option<Digest>,
    /// Files or block devices that hold the image's devices, in the order of its device table.
    pub devices: Vec<PathBuf>,
    /// Whether an image is read whose device table is said to lie on its superblock, if it lies
    /// right behind that and devices are given: see [`Image::open_despite_table`]. It must lie in a
    /// file as it is, without a stated digest.
    pub misplaced_devices: bool,
    /// The byte of the file where the image starts, for an image inside of a larger file. What
    /// comes before it is no part of it: sizes, places and digests count from there.
    pub offset: Option<u64>,
    /// Which image of a layout, by name and platform; its digest is [`Self::digest`].
    pub image: Selection,
    /// Which layer of that image, counted from 1; not needed where only one is an EROFS image.
    pub layer: Option<u32>,
    /// Whether a compressed layer is read at random by an index that nobody vouches for, or whose
    /// chunks cannot be verified one by one. Else it is unpacked whole.
    pub allow_unpinned_index: bool,
    /// What it may ask for.
    pub limits: Limits,
    /// Where a layer is decoded.
    pub sandbox: Sandbox,
}

/// One EROFS image to read in, and the devices that belong to it.
#[derive(Debug)]
pub struct ImageFile {
    place: PathBuf,
    /// Why a layer was read whole, where it was.
    whole: Option<Whole>,
    source: FileAt,
    size: u64,
    devices: Vec<(FileAt, u64)>,
    limits: Limits,
    outcome: Option<Outcome>,
    /// Whether its device table lies elsewhere than it says.
    is_misplaced: bool,
}

impl ImageFile {
    /// Opens an EROFS image, or the blob of a layer, plain or compressed; `-` is the standard
    /// input.
    ///
    /// A blob that is compressed, comes from a pipe, or has to have a digest is first unpacked
    /// into an unnamed file in the system's directory for temporary files, and verified like
    /// any layer. Then the blob may change without harm. An image in a file without a stated
    /// digest is read where it is.
    ///
    /// Of an OCI image layout it is one layer. Where that has a chunk index which the manifest
    /// vouches for, only the chunks are read that are asked for, each verified; else it is
    /// unpacked and verified first too.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`] for a layout when it is not said which layer, and for more devices
    /// than the image has; [`HostError::Refused`] when it is no EROFS image or is not what
    /// was stated; [`HostError::Environment`] when the system fails.
    pub fn open(path: &Path, options: &ImageFileOptions) -> Result<Self, HostError> {
        let source = SourceOptions {
            blob: options.offset.is_some(),
            ..SourceOptions::default()
        };
        let source = source.decoding(&options.sandbox, &options.limits);
        match Source::open(path, &source)? {
            Source::Blob(blob) => Self::of_blob(path, blob, options),
            Source::Image(source) => {
                let open = layer_file::open(path, &source, options)?;
                Ok(Self {
                    whole: open.whole,
                    outcome: open.outcome,
                    ..Self::of_layer(&open.place, open.content, open.devices, &options.limits)
                })
            }
        }
    }

    /// What was read so far of a layer that is read at random; `None` for other images.
    #[must_use]
    pub fn reads(&self) -> Option<RandomReads> {
        self.source.reads()
    }

    /// Why a layer was read whole, though it could be compressed so that it need not be; `None` for
    /// other images.
    #[must_use]
    pub fn read_whole(&self) -> Option<String> {
        self.whole.as_ref().map(ToString::to_string)
    }

    /// As [`Self::open`], for a blob that is open already.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn of_blob(
        path: &Path,
        mut blob: BlobReader,
        options: &ImageFileOptions,
    ) -> Result<Self, HostError> {
        let devices = options
            .devices
            .iter()
            .map(|path| device(path, &options.limits));
        let devices = devices.collect::<Result<Vec<_>, _>>()?;
        if let Some(offset) = options.offset {
            blob.start_at(offset)?;
        }
        let head = peek(path, &mut blob, SNIFF_SIZE)?;
        let sniffed = sniff(&head);
        if let (Some(offset), Sniffed::Compressed(compression)) = (options.offset, sniffed) {
            return Err(compressed_there(path, offset, compression));
        }
        let stated = options.digest.is_some() || options.diff_id.is_some();
        let in_place = FileAt::of_blob(&blob)?.filter(|_| sniffed == Sniffed::Erofs && !stated);
        let mut opening = Opening::from(blob);
        let at_random = match sniffed {
            Sniffed::Compressed(compression) if options.allow_unpinned_index && !stated => {
                match opening.way_of_blob(compression, &options.limits)? {
                    Way::AtRandom(content) => Some(content),
                    Way::Whole(_) => None,
                }
            }
            _ => None,
        };
        let (source, size, outcome) = match in_place.or(at_random) {
            Some((source, size)) => {
                admit(opening.blob(), &options.limits)?;
                (source, size, None)
            }
            None => match unpack(&mut opening, sniffed, options) {
                Ok((source, outcome)) => (source, outcome.image_size, Some(outcome)),
                Err(error) => return Err(elsewhere(path, opening.blob(), options, error)),
            },
        };
        let mut file = Self {
            place: path.into(),
            whole: None,
            source,
            size,
            devices,
            limits: options.limits,
            outcome,
            is_misplaced: false,
        };
        if options.misplaced_devices && !file.devices.is_empty() {
            let opened = Image::open(file.source.clone(), file.size, &file.limits);
            file.is_misplaced = matches!(
                opened,
                Err(ReadError::Refused(error)) if error.code() == Code::DeviceTable
            );
        }
        Ok(file)
    }

    /// What the user should know of it, though it can be read.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.is_misplaced.then(|| {
            format!(
                "{}: the device table is said to lie on the superblock, and lies behind it, as \
                 go-erofs writes it: check refuses the image",
                shown(&self.place)
            )
        })
    }

    /// The image of a layer that was unpacked and verified already: what it is called, its bytes
    /// and their number, and the same of its devices.
    #[must_use]
    pub fn of_layer(
        place: &Path,
        content: (FileAt, u64),
        devices: Vec<(FileAt, u64)>,
        limits: &Limits,
    ) -> Self {
        let (source, size) = content;
        Self {
            place: place.into(),
            whole: None,
            source,
            size,
            devices,
            limits: *limits,
            outcome: None,
            is_misplaced: false,
        }
    }

    /// The limits that it is read within.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the bytes of the image end where it does, as far as they say: a block device
    /// goes on.
    #[must_use]
    pub fn has_end(&self) -> bool {
        has_end(&self.source.file)
    }

    /// The image with its devices. Each thread takes one of its own.
    ///
    /// # Errors
    ///
    /// As [`Image::open`]; [`HostError::Usage`] when there are more devices than the image has.
    pub fn image(&self) -> Result<Image<FileAt>, HostError> {
        self.image_within(&self.limits)
    }

    /// As [`Self::image`], within limits of the caller.
    pub(crate) fn image_within(&self, limits: &Limits) -> Result<Image<FileAt>, HostError> {
        let open = if self.is_misplaced {
            Image::open_despite_table
        } else {
            Image::open
        };
        let mut image =
            open(self.source.clone(), self.size, limits).map_err(|error| self.failed(error))?;
        if self.has_end() {
            limits
                .admit_image(self.size)
                .map_err(|error| self.failed(error.into()))?;
        }
        for (device, size) in &self.devices {
            if !image.attach(device.clone(), *size) {
                return Err(HostError::Usage(format!(
                    "--device: {} were given, and {} has {}",
                    self.devices.len(),
                    self.place.display(),
                    image.devices().count()
                )));
            }
        }
        Ok(image)
    }

    /// Its bytes and those of its devices, for a guest.
    #[cfg(feature = "sandbox")]
    pub(crate) fn parts(&self) -> crate::sandbox::Parts {
        crate::sandbox::Parts::new((self.source.clone(), self.size), self.devices.clone())
    }

    /// Verifies the checksum of the superblock, as the kernel does at mount. Of an image that
    /// was unpacked it has been verified then.
    ///
    /// # Errors
    ///
    /// As [`Self::image`] and [`Image::verify_checksum`].
    pub fn verify_checksum(&self) -> Result<(), HostError> {
        if self.outcome.is_some() {
            return Ok(());
        }
        let verified = self.image()?.verify_checksum();
        verified.map_err(|error| self.failed(error))
    }

    /// What to call it in messages: the path as it was given.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Size of the image in bytes, with all that follows it.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What was verified of it; `None` for an image that is read where it is.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// What went wrong while reading this image.
    #[must_use]
    pub fn failed(&self, error: ReadError<io::Error>) -> HostError {
        match error {
            ReadError::Source(error) => self.unread(&self.place, error),
            ReadError::Refused(error) => HostError::refused(&self.place, error),
        }
    }

    /// What the system says of reading, or the core of a chunk that was to be read.
    fn unread(&self, place: &Path, error: io::Error) -> HostError {
        match refusal(&error) {
            Some(error) => HostError::refused(place, error),
            None => HostError::environment(place, "read", error),
        }
    }

    /// As [`Self::failed`], while reading the file at this path of the image.
    #[must_use]
    pub fn failed_at(&self, path: &[u8], error: ReadError<io::Error>) -> HostError {
        match error {
            ReadError::Source(error) => self.unread(&self.inside(path), error),
            ReadError::Refused(error) => HostError::refused(self.inside(path), error),
        }
    }

    /// What to call a file of the image in messages: the image, and after a colon the path from
    /// its root.
    #[must_use]
    pub fn inside(&self, path: &[u8]) -> PathBuf {
        inside(&self.place, path)
    }
}

/// The first bytes of a blob.
fn peek(path: &Path, blob: &mut BlobReader, length: usize) -> Result<Vec<u8>, HostError> {
    blob.peek(length)
        .map_err(|error| HostError::environment(path, "read", error))
}

/// Whether this is a file, which ends where its content does.
fn has_end(file: &File) -> bool {
    let metadata = file.metadata();
    metadata.is_ok_and(|metadata| metadata.is_file())
}

/// Holds the size of a blob that is not unpacked against the limit of blobs. A block device may be
/// larger than what is on it, so it is only what an image declares that counts there.
pub(crate) fn admit(blob: &BlobReader, limits: &Limits) -> Result<(), HostError> {
    if !ends(blob) {
        return Ok(());
    }
    admit_blob(blob.place(), blob.length(), limits)
}

/// Whether a blob lies in a file, which ends where its content does.
pub(crate) fn ends(blob: &BlobReader) -> bool {
    blob.file().is_some_and(|(file, _)| has_end(file))
}

/// Holds the size of a blob against the limit.
fn admit_blob(place: &Path, size: Option<u64>, limits: &Limits) -> Result<(), HostError> {
    let mut expected = Expectations::new(Compression::None);
    expected.blob_size = size;
    BlobCheck::without_digest(&expected, limits)
        .map(drop)
        .map_err(|error| HostError::refused(place, error))
}

/// Opens the file or block device that holds a device of an image.
fn device(path: &Path, limits: &Limits) -> Result<(FileAt, u64), HostError> {
    let (source, size) = FileAt::open(path)?;
    if has_end(&source.file) {
        admit_blob(path, Some(size), limits)?;
    }
    Ok((source, size))
}

/// `--offset` leads to a compressed stream, which is not read from inside of a file.
pub(crate) fn compressed_there(path: &Path, offset: u64, compression: Compression) -> HostError {
    HostError::Usage(format!(
        "--offset {offset}: {} has a {} stream there: expected a plain EROFS image",
        shown(path),
        compression.name()
    ))
}

/// How far into a file an image is looked for that does not start where the file does, in bytes:
/// as far as partitions and headers of disk images reach, and a little further.
const SEARCH: usize = (4 << 20) + SNIFF_SIZE;

/// Says where an image starts in a file that is refused with this error, if it is refused for what
/// is at its start.
fn elsewhere(
    path: &Path,
    blob: &BlobReader,
    options: &ImageFileOptions,
    error: HostError,
) -> HostError {
    let HostError::Refused { error, .. } = error else {
        return error;
    };
    let other = matches!(
        error.code(),
        Code::ContentZeros | Code::ContentForeign | Code::ContentTar | Code::SuperblockMagic
    );
    match other.then(|| find(blob)).flatten() {
        Some(offset) => HostError::Elsewhere {
            place: path.into(),
            error,
            offset: offset.saturating_add(options.offset.unwrap_or(0)),
        },
        None => HostError::refused(path, error),
    }
}

/// Where an image starts that does not start where its file does. It serves messages alone, so what
/// the system fails at is not told.
pub(crate) fn find(blob: &BlobReader) -> Option<u64> {
    Superblock::find(&blob.start(SEARCH).ok()??)
}

/// Unpacks and verifies a blob, into a file that never gets a name.
fn unpack(
    opening: &mut Opening,
    sniffed: Sniffed,
    options: &ImageFileOptions,
) -> Result<(FileAt, Outcome), HostError> {
    let mut expected = Expectations::new(match sniffed {
        Sniffed::Compressed(compression) => compression,
        // What is no image is refused by the core, with its reason.
        _ => Compression::None,
    });
    expected.blob_size = opening.blob().length();
    expected.blob_digest = options.digest;
    expected.diff_id = options.diff_id;
    if let Ok(devices @ 1..) = u16::try_from(options.devices.len()) {
        expected.devices = Devices::Attached(devices);
    }
    unpack_to_spool(opening, &expected, options)
}

/// Unpacks and verifies a blob of which this is expected, into a file that never gets a name.
pub(crate) fn unpack_to_spool(
    opening: &mut Opening,
    expected: &Expectations,
    options: &ImageFileOptions,
) -> Result<(FileAt, Outcome), HostError> {
    // It needs a place that is not memory, and no name.
    let dir = system::temp_dir();
    let file = scratch(&dir)?;
    let progress = Progress::default();
    let unpacked = parallel::unpack(
        opening,
        Some(Space::new(&file, dir)),
        expected,
        &Terms {
            limits: &options.limits,
            sandbox: &options.sandbox,
            threads: system::processors(),
            by_chunks: false,
        },
        &progress,
    )?;
    Ok((FileAt::new(file), unpacked.outcome))
}
