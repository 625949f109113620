//! The operation `wrap`: an image as the blob of a layer, with an index of its chunks.
//!
//! The image is cut into chunks of one size, which threads encode by themselves; they are written
//! in their order. So the blob is the same however many threads there are. It is read back before it
//! is published, by what reads it everywhere else.
//!
//! | wrap | chunks are | index |
//! |---|---|---|
//! | zstd | a frame each, with size and checksum | the draft's in a skippable frame, zstd's seek table, or none |
//! | gzip | runs of blocks in one member | none |
//! | none | the image as it is | the draft's behind it, or none |

mod encode;
mod output;
mod prove;
mod report;
mod tables;
mod write;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use erofs_unpack_core::Limits;
use erofs_unpack_core::check::{Level, Options as CheckOptions};
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::Superblock;
use erofs_unpack_core::oci::{ByteRange, Digest, keys};
use erofs_unpack_core::unpack::{Expectations, Outcome, SNIFF_SIZE, Sniffed, VerityTree, sniff};

pub use output::Destination;
pub(crate) use output::Output;
pub use report::{BlobReport, Report};
pub(crate) use tables::{Ending, Table, range};

use crate::done::Done;
use crate::error::HostError;
use crate::file_at::FileAt;
use crate::image_check::check_image;
use crate::image_file::ImageFile;
use crate::layer::{self, Space};
use crate::observer::{Observer, Part, Work};
use crate::ordered::ordered;
use crate::pipeline::{self, Progress, Stop, Terms};
use crate::publish::scratch;
use crate::report::shown;
use crate::sandbox::Sandbox;
use crate::source::{BlobReader, Source, SourceOptions};
use crate::system::{self, File, processors};
use crate::verity::append_salted;
use encode::Encoder;
use prove::{Made, prove};
use write::{Writer, Written};

/// Which index a blob has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// None: it can be read from its start to its end alone.
    None,
    /// The chunk index of the EROFS image layer specification, with SHA-256 of each chunk.
    Erofs,
    /// The seek table of the zstd project, with checksums.
    ZstdSeekable,
}

impl Index {
    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Erofs => "erofs",
            Self::ZstdSeekable => "zstd-seekable",
        }
    }
}

/// How an image is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrap {
    /// How chunks are compressed.
    pub compression: Compression,
    /// What says where they are.
    pub index: Index,
    /// Bytes of the image in each chunk but the last: [`Self::CHUNK_MIN`] or more. At most
    /// [`Limits::chunk`], or nothing would read it.
    pub chunk_size: usize,
    /// Level of the compression, as the tools of that name count it: 1 to 22 for zstd, 1 to 9 for
    /// gzip.
    pub level: i32,
}

impl Wrap {
    /// The smallest chunks, in bytes.
    pub const CHUNK_MIN: usize = 4096;
    /// The size of chunks that nothing else is said of, in bytes.
    pub const CHUNK_SIZE: usize = 2 << 20;

    /// The level that nothing else is said of: that of the tool.
    #[must_use]
    pub const fn default_level(compression: Compression) -> i32 {
        match compression {
            Compression::Gzip => 6,
            _ => 3,
        }
    }

    /// Refuses what does not go together, by the names of its flags.
    pub(crate) fn admit(&self, limits: &Limits) -> Result<(), HostError> {
        let usage = |text: String| Err(HostError::Usage(text));
        let name = self.compression.name();
        match (self.compression, self.index) {
            (Compression::Gzip, Index::Erofs | Index::ZstdSeekable) => {
                return usage(format!(
                    "--index {}: gzip cannot be read at random: expected --index none, or --wrap zstd",
                    self.index.name()
                ));
            }
            (Compression::None, Index::ZstdSeekable) => {
                return usage(
                    "--index zstd-seekable: it is an index of zstd frames: expected --wrap zstd"
                        .into(),
                );
            }
            _ => {}
        }
        let highest = match self.compression {
            Compression::Gzip => 9,
            Compression::Zstd => 22,
            _ => i32::MAX,
        };
        if !(1..=highest).contains(&self.level) {
            return usage(format!(
                "--level {}: expected a level of {name} from 1 to {highest}",
                self.level
            ));
        }
        let largest = usize::try_from(limits.chunk).unwrap_or(usize::MAX);
        if !(Self::CHUNK_MIN..=largest).contains(&self.chunk_size) {
            return usage(format!(
                "--chunk-size {}: expected {} to {largest} bytes",
                self.chunk_size,
                Self::CHUNK_MIN
            ));
        }
        Ok(())
    }

    /// The media type of a layer that is wrapped so.
    pub(crate) const fn media_type(&self) -> &'static str {
        match self.compression {
            Compression::Zstd => "application/vnd.erofs+zstd",
            Compression::Gzip => "application/vnd.erofs+gzip",
            _ => "application/vnd.erofs",
        }
    }
}

impl Default for Wrap {
    /// zstd with the draft's index.
    fn default() -> Self {
        Self {
            compression: Compression::Zstd,
            index: Index::Erofs,
            chunk_size: Self::CHUNK_SIZE,
            level: Self::default_level(Compression::Zstd),
        }
    }
}

/// How an image becomes a blob.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How it is wrapped.
    pub wrap: Wrap,
    /// Threads that encode; the number of processors where it is not given. Each holds three
    /// chunks and the state of the encoder.
    pub threads: Option<usize>,
    /// Append a dm-verity tree to the image, which is then wrapped with it: SHA-256, no salt, a
    /// superblock in front.
    pub verity: bool,
    /// Replace a file that exists.
    pub force: bool,
    /// What the image may ask for.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wrap: Wrap::default(),
            threads: None,
            verity: false,
            force: false,
            limits: Limits::DEFAULT,
        }
    }
}

/// Wraps the EROFS image in `source` as the blob of a layer.
///
/// `source` is a plain image, or `-` for the standard input, which then waits in the system's
/// directory for temporary files. It is checked as `check` does at the level of its superblock.
/// Nothing appears under its final name, or on the standard output, before the blob has been read
/// back and found to hold the image.
///
/// The report is there also when something is refused: [`Done::ok`] tells.
pub fn wrap(
    source: &Path,
    destination: &Destination,
    options: &Options,
    observer: &dyn Observer,
) -> Done<Report> {
    Done::run(Report::new(source), |done| {
        options.wrap.admit(&options.limits)?;
        let output = Output::create(destination, options.force)?;
        let task = Task {
            path: source,
            options,
            threads: options.threads.unwrap_or_else(processors),
            output,
            observer,
        };
        task.run(&mut done.report)
    })
}

struct Task<'a> {
    path: &'a Path,
    options: &'a Options,
    threads: usize,
    output: Output,
    observer: &'a dyn Observer,
}

impl Task<'_> {
    fn run(self, report: &mut Report) -> Result<(), HostError> {
        let image = self.open()?;
        let size = image.size;
        let progress = Arc::new(Progress::default());
        self.observer.begin(Work::Layers(vec![Part {
            name: shown(self.path),
            size: Some(size),
            progress: Arc::clone(&progress),
        }]));
        let place = self.output.place();
        let wrapping = self.wrapping(&place);
        let blob = wrapping.write_proved(&image, &progress, || self.observer.end())?;
        // The blob is on its way to its name; what it is called is told when it has it.
        let name = self.output.name();
        self.output.publish()?;
        report.file = name;
        report.blob = Some(blob);
        Ok(())
    }

    /// The wrapping of an image into the output.
    fn wrapping<'a>(&'a self, place: &'a Path) -> Wrapping<'a> {
        Wrapping {
            wrap: &self.options.wrap,
            limits: &self.options.limits,
            threads: self.threads,
            source: self.path,
            output: self.output.file(),
            place,
        }
    }

    /// The image, in a file that can be read at random. It has been checked.
    fn open(&self) -> Result<Image, HostError> {
        let source = SourceOptions {
            blob: true,
            ..SourceOptions::default()
        };
        let Source::Blob(mut blob) = Source::open(self.path, &source)? else {
            return Err(HostError::Usage(format!(
                "{}: is an OCI image layout: expected an EROFS image",
                shown(self.path)
            )));
        };
        let head = blob.peek(SNIFF_SIZE);
        let head = head.map_err(|error| HostError::environment(self.path, "read", error))?;
        let sniffed = sniff(&head);
        let there = FileAt::of_blob(&blob)?;
        let there = there.filter(|_| sniffed == Sniffed::Erofs && !self.options.verity);
        if let Some((file, size)) = there {
            self.check((file.clone(), size))?;
            return Ok(Image {
                file,
                size,
                tree: None,
            });
        }
        let spooled = self.spool(&mut blob);
        let (file, outcome) = spooled.map_err(|error| match (sniffed, error) {
            (Sniffed::Compressed(_), HostError::Refused { error, .. }) => {
                let note = "expected a plain image, as unwrap makes it of a layer";
                HostError::refused_with(self.path, error, note.to_owned())
            }
            (_, error) => error,
        })?;
        let size = outcome.image_size;
        self.check((file.clone(), size))?;
        if !self.options.verity {
            return Ok(Image {
                file,
                size,
                tree: None,
            });
        }
        let block_size = outcome
            .superblock
            .as_ref()
            .map_or(4096, Superblock::block_size);
        let built = (file, outcome.image_size, block_size);
        Image::with_tree(built, self.path, &outcome.diff_id, self.threads)
    }

    /// Checks the image as far as its superblock leads.
    fn check(&self, content: (FileAt, u64)) -> Result<(), HostError> {
        let limits = &self.options.limits;
        let opened = ImageFile::of_layer(self.path, content, Vec::new(), limits);
        let mut check = CheckOptions::default();
        check.level = Level::Superblock;
        check_image(&opened, &check, 1, &Sandbox::NONE)?.verdict()?;
        Ok(())
    }

    /// A stream, in a file without a name; what is no image, which is refused on its way there; and
    /// what a tree is to be appended to.
    fn spool(&self, blob: &mut BlobReader) -> Result<(FileAt, Outcome), HostError> {
        let dir = system::temp_dir();
        let file = scratch(&dir)?;
        let outcome = layer::unpack(
            blob,
            Some(Space::new(&file, dir)),
            &Expectations::new(Compression::None),
            &Terms::from(&self.options.limits),
            &Progress::default(),
        )?;
        Ok((FileAt::new(file), outcome))
    }
}

/// An image on its way into a blob.
pub(crate) struct Wrapping<'a> {
    pub(crate) wrap: &'a Wrap,
    pub(crate) limits: &'a Limits,
    pub(crate) threads: usize,
    /// What to call the image in messages.
    pub(crate) source: &'a Path,
    /// The blob's file, which is empty.
    pub(crate) output: &'a File,
    /// What to call that.
    pub(crate) place: &'a Path,
}

impl Wrapping<'_> {
    /// Writes the blob, and reads it back. `written` is called between the two.
    pub(crate) fn write_proved(
        &self,
        image: &Image,
        progress: &Progress,
        written: impl FnOnce(),
    ) -> Result<BlobReport, HostError> {
        let outcome = self.write(image, progress);
        written();
        let (written, diff_id) = outcome?;
        let file = FileAt::sharing(self.output, self.place)?;
        let made = Made {
            wrap: self.wrap,
            written: &written,
            image: diff_id,
            tree: image.tree,
            threads: self.threads,
        };
        prove(&file, self.place, &made, self.limits)?;
        Ok(blob_report(self.wrap, &written, diff_id, image))
    }

    /// Writes the blob, and gives the digest of the image beside it.
    fn write(&self, image: &Image, progress: &Progress) -> Result<(Written, Digest), HostError> {
        let size = image.size;
        let wrap = self.wrap;
        let encoder = Encoder {
            compression: wrap.compression,
            level: wrap.level,
            digests: wrap.index == Index::Erofs,
        };
        let mut expected = Expectations::new(Compression::None);
        expected.blob_size = Some(size);
        expected.verity = image.tree;
        let terms = Terms::from(self.limits);
        let worker = || move |job| encoder.encode(job);
        // Twice as many as work: one that takes long does not keep the others waiting.
        let ahead = self.threads.saturating_mul(2);
        let run = |giver, taker| {
            let mut encoding = write::Encoding::new(giver, taker, ahead);
            let mut writer = Writer::new(wrap, self.output, &mut encoding);
            progress.begin(Some(size));
            let mut source = image.file.reader(size);
            let outcome = pipeline::run(&mut source, &mut writer, &expected, &terms, progress);
            let written = match outcome {
                Ok(outcome) => match writer.finish() {
                    Ok(written) => return Ok((written, outcome.diff_id)),
                    Err(error) => Stop::Write(error),
                },
                Err(stop) => stop,
            };
            Err(self.stopped(written, writer.fault()))
        };
        ordered(self.threads, worker, run)
            .map_err(|error| HostError::environment(self.source, "start a thread for it", error))?
    }

    /// Why the blob was not written.
    fn stopped(&self, stop: Stop, fault: Option<erofs_unpack_core::Error>) -> HostError {
        let failed = |doing, error| HostError::environment(self.source, doing, error);
        match (stop, fault) {
            (Stop::Write(_), Some(error)) => HostError::refused(self.place, error),
            (Stop::Write(error), None) => HostError::environment(self.place, "write", error),
            (Stop::Refused(error), _) => HostError::refused(self.source, error),
            (Stop::Read(error), _) => failed("read", error),
            (Stop::Start(error), _) => failed("start a thread for it", error),
            (Stop::Cancelled, _) => HostError::Cancelled,
        }
    }
}

/// What is wrapped.
pub(crate) struct Image {
    pub(crate) file: FileAt,
    /// Its size in bytes, with the tree behind it.
    pub(crate) size: u64,
    pub(crate) tree: Option<VerityTree>,
}

impl Image {
    /// Appends a dm-verity tree to the image in a file of ours, of this size and with blocks of this
    /// size.
    pub(crate) fn with_tree(
        (file, size, block_size): (FileAt, u64, u64),
        place: &Path,
        digest: &Digest,
        threads: usize,
    ) -> Result<Self, HostError> {
        let sizes = (size, block_size);
        let (tree, root) = append_salted(&file.file, place, sizes, digest, threads, &[])?;
        let size = file.file.metadata();
        let size = size.map_err(|error| HostError::environment(place, "look at", error))?;
        let block = u64::from(tree.params.data_block_size);
        Ok(Self {
            file,
            size: size.len(),
            tree: Some(VerityTree::new(tree.offset(), block, root)),
        })
    }
}

/// What is said of a blob.
fn blob_report(wrap: &Wrap, written: &Written, diff_id: Digest, image: &Image) -> BlobReport {
    // A plain blob is published as it is, its index included.
    let diff_id = match wrap.compression {
        Compression::None => written.digest,
        _ => diff_id,
    };
    let mut annotations = BTreeMap::new();
    if wrap.compression != Compression::None {
        annotations.insert(keys::UNCOMPRESSED_DIGEST, diff_id.to_string());
    }
    if let Some(digest) = written.index {
        let section = ByteRange {
            offset: written.end,
            end: Some(written.size),
        };
        annotations.insert(keys::CHUNK_INDEX_RANGE, range(section));
        annotations.insert(keys::CHUNK_INDEX_DIGEST, digest.to_string());
    }
    if let Some(VerityTree {
        hash_offset,
        block_size,
        root: Some(root),
        ..
    }) = image.tree
    {
        annotations.insert(keys::DMVERITY_HASH_OFFSET, hash_offset.to_string());
        annotations.insert(keys::DMVERITY_BLOCK_SIZE, block_size.to_string());
        annotations.insert(keys::DMVERITY_ROOT_DIGEST, root.to_string());
    }
    BlobReport {
        media_type: wrap.media_type(),
        compression: wrap.compression.name(),
        index: wrap.index.name(),
        digest: written.digest.to_string(),
        size: written.size,
        diff_id: diff_id.to_string(),
        image_size: image.size,
        chunks: written.chunks,
        annotations,
    }
}
