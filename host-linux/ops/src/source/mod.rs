//! Where layers come from: OCI image layouts, the same in a tar file, and single blobs.

mod archive;
mod blob;
mod compressed;
mod layout;
mod members;
mod sparse;
mod spool;
mod tar;

use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::tar::is_header;
use erofs_unpack_core::{At, Code, Error, Limits, Value};

pub use crate::error::SourceFault;
pub use archive::Archive;
use archive::Opened;
pub use blob::BlobReader;
use blob::Extent;
pub use compressed::Decoding;
pub use layout::Layout;

use crate::error::HostError;
use crate::sandbox::Sandbox;
use crate::system::{self, File, Stdin};

/// How a source is opened.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// Take it for one blob, whatever it looks like: the user said what it is.
    pub blob: bool,
    /// Where an archive that cannot be read at random is put meanwhile, without a name.
    /// Default: the system's directory for temporary files.
    pub spool: PathBuf,
    /// The largest archive that is put there, in bytes, decoded where it is compressed. Default 64
    /// GiB.
    pub archive_size: u64,
    /// The most members of an archive, extended headers included. Default 2^16.
    pub archive_members: u64,
    /// How an archive that is compressed as a whole is decoded. `None`, which is the default, takes
    /// it for a blob.
    pub decoding: Option<Decoding>,
}

impl SourceOptions {
    /// The same, with archives that are compressed decoded there and within these limits.
    #[must_use]
    pub fn decoding(&self, sandbox: &Sandbox, limits: &Limits) -> Self {
        Self {
            decoding: Some(Decoding {
                sandbox: sandbox.clone(),
                limits: *limits,
            }),
            ..self.clone()
        }
    }
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            blob: false,
            spool: system::temp_dir(),
            archive_size: 64 << 30,
            archive_members: 1 << 16,
            decoding: None,
        }
    }
}

/// What a path (or `-`) turned out to be.
#[derive(Debug)]
pub enum Source {
    /// An image: a layout with documents and blobs.
    Image(ImageSource),
    /// One blob.
    Blob(BlobReader),
}

/// An OCI image layout, as a directory or in a tar file.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImageSource {
    /// A directory.
    Layout(Layout),
    /// A tar file.
    Archive(Archive),
}

impl Source {
    /// Opens a source and looks what it is: a directory is a layout; a tar file with an
    /// `oci-layout` is an archive, also from a pipe, which is put on disk then; all else is one
    /// blob. An EROFS image is a blob even if it begins like a tar file. A tar file may be compressed
    /// ([`SourceOptions::decoding`]): if it is an archive it is put on disk decoded, and else it is a
    /// blob, as a layer of that form is one.
    ///
    /// A path of `-` is the standard input; write `./-` for a file of that name.
    ///
    /// # Errors
    ///
    /// [`HostError::Source`] for a directory that is no layout, a docker archive, and a tar
    /// file that breaks its format; [`HostError::Refused`] for one whose compression is broken;
    /// [`HostError::Environment`] when the system fails.
    pub fn open(path: &Path, options: &SourceOptions) -> Result<Self, HostError> {
        if path == Path::new("-") {
            return Self::from_stdin(path, options);
        }
        let failed = |error| HostError::environment(path, "open for reading", error);
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Ok(Self::Image(ImageSource::Layout(Layout::open(path)?)));
        }
        Self::from_file(path, file, options)
    }

    /// As [`Self::open`], for the standard input, which may be a file.
    fn from_stdin(path: &Path, options: &SourceOptions) -> Result<Self, HostError> {
        let stdin = system::stdin();
        match stdin
            .map_err(|error| HostError::environment("-", "read the standard input", error))?
        {
            Stdin::File(file) => Self::from_file(path, file, options),
            Stdin::Stream(stream) if options.blob => {
                let blob = BlobReader::stream(path.into(), Vec::new(), stream);
                Ok(Self::Blob(blob))
            }
            Stdin::Stream(stream) => Self::from_stream(path, stream, options),
        }
    }

    /// As [`Self::open`], for a file that is open already. What is before its position is no
    /// part of the source.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn from_file(
        path: &Path,
        mut file: File,
        options: &SourceOptions,
    ) -> Result<Self, HostError> {
        let failed = |error| HostError::environment(path, "read", error);
        let found = file.metadata().map_err(failed)?;
        if found.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        if system::is_random(&found) {
            let offset = file.stream_position().map_err(failed)?;
            let end = file.seek(io::SeekFrom::End(0)).map_err(failed)?;
            // Other programs may share the position.
            file.seek(io::SeekFrom::Start(offset)).map_err(failed)?;
            system::advise_sequential(&file);
            let extent = Extent {
                file: Arc::new(file),
                offset,
                length: end.saturating_sub(offset),
            };
            if options.blob {
                return Ok(Self::Blob(BlobReader::file_part(path.into(), extent)));
            }
            let mut start = [0; Start::SIZE];
            let read = extent.fill_at(&mut start, 0).map_err(failed)?;
            let start = Start::of(start.get(..read).unwrap_or_default());
            return Self::from_extent(path, extent, start, options);
        }
        if options.blob {
            let blob = BlobReader::stream(path.into(), Vec::new(), Box::new(file));
            return Ok(Self::Blob(blob));
        }
        Self::from_stream(path, Box::new(file), options)
    }

    /// As [`Self::open`], for a stream.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn from_stream(
        path: &Path,
        mut stream: Box<dyn Read + Send>,
        options: &SourceOptions,
    ) -> Result<Self, HostError> {
        let mut start = Vec::with_capacity(Start::SIZE);
        (&mut stream)
            .take(Start::SIZE as u64)
            .read_to_end(&mut start)
            .map_err(|error| HostError::environment(path, "read", error))?;
        let found = Start::of(&start);
        let mut is_archive = found == Start::Tar;
        if let (false, Some(decoding), Some(compression)) = (
            is_archive,
            &options.decoding,
            compressed::compression(&start),
        ) {
            let more = compressed::START_READ.saturating_sub(start.len());
            (&mut stream)
                .take(more as u64)
                .read_to_end(&mut start)
                .map_err(|error| HostError::environment(path, "read", error))?;
            is_archive = decoding.is_tar(path, compression, &start)?;
        }
        if !is_archive {
            return Ok(Self::Blob(BlobReader::stream(path.into(), start, stream)));
        }
        // As it is: it may turn out to be a blob all the same.
        let spool = &options.spool;
        let extent = spool::spool(path, &start, &mut stream, spool, options.archive_size)?;
        Self::from_extent(path, extent, found, options)
    }

    /// Tells archives from blobs.
    fn from_extent(
        path: &Path,
        extent: Extent,
        start: Start,
        options: &SourceOptions,
    ) -> Result<Self, HostError> {
        let archive = match start {
            Start::Tar => Some(extent.clone()),
            Start::Other => Self::decoded(path, &extent, options)?,
        };
        if let Some(archive) = archive
            && let Opened::Archive(archive) = Archive::open(path, archive, options)?
        {
            return Ok(Self::Image(ImageSource::Archive(archive)));
        }
        Ok(Self::Blob(BlobReader::file_part(path.into(), extent)))
    }

    /// A tar file that is compressed, decoded; `None` when it is none.
    fn decoded(
        path: &Path,
        extent: &Extent,
        options: &SourceOptions,
    ) -> Result<Option<Extent>, HostError> {
        let Some(decoding) = &options.decoding else {
            return Ok(None);
        };
        let mut start = vec![0; Start::SIZE];
        let fill = |start: &mut Vec<u8>| {
            let read = extent.fill_at(start, 0);
            let read = read.map_err(|error| HostError::environment(path, "read", error))?;
            start.truncate(read);
            Ok(())
        };
        fill(&mut start)?;
        let Some(compression) = compressed::compression(&start) else {
            return Ok(None);
        };
        start.resize(compressed::START_READ, 0);
        fill(&mut start)?;
        if !decoding.is_tar(path, compression, &start)? {
            return Ok(None);
        }
        decoding.spool(path, compression, extent, options).map(Some)
    }
}

/// What the first bytes of a source tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// A tar header with the right checksum, and not the magic of EROFS where it would be.
    Tar,
    /// Anything else.
    Other,
}

impl Start {
    /// How many bytes are looked at: up to the end of the magic of EROFS, which lies at 1024.
    const SIZE: usize = 1028;

    /// The first 1024 bytes of an EROFS image are free, so its magic outranks what they say.
    fn of(start: &[u8]) -> Self {
        let erofs = start
            .get(1024..)
            .is_some_and(|magic| magic.starts_with(&0xE0F5_E1E2_u32.to_le_bytes()));
        match start.first_chunk() {
            Some(header) if !erofs && is_header(header) => Self::Tar,
            _ => Self::Other,
        }
    }
}

impl ImageSource {
    /// `layout` or `archive`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Layout(_) => "layout",
            Self::Archive(_) => "archive",
        }
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Layout(layout) => layout.path(),
            Self::Archive(archive) => archive.path(),
        }
    }

    /// What to call a blob in messages: the file, or the archive and the member after a colon.
    #[must_use]
    pub fn blob_place(&self, digest: &Digest) -> PathBuf {
        self.place(&layout::blob_path(digest))
    }

    /// What to call a file of the layout in messages.
    fn place(&self, name: &Path) -> PathBuf {
        match self {
            Self::Layout(layout) => layout.path().join(name),
            Self::Archive(archive) => archive::member_place(archive.path(), name),
        }
    }

    /// The content of `oci-layout`, for the core to judge.
    ///
    /// # Errors
    ///
    /// A refusal with [`Code::JsonSize`] beyond the limit; as [`Self::open_blob`] else.
    pub fn layout_json(&self, limits: &Limits) -> Result<Vec<u8>, HostError> {
        let file = match self {
            Self::Layout(layout) => layout.document("oci-layout")?,
            Self::Archive(archive) => archive.layout()?,
        };
        let file =
            file.ok_or_else(|| HostError::source_fault(self.path(), SourceFault::LayoutMissing))?;
        read_bounded(file, limits.json_size)
    }

    /// The content of `index.json`, for the core to judge.
    ///
    /// # Errors
    ///
    /// [`SourceFault::LayoutIndex`] when it is missing, a refusal with [`Code::JsonSize`]
    /// beyond the limit; as [`Self::open_blob`] else.
    pub fn index_json(&self, limits: &Limits) -> Result<Vec<u8>, HostError> {
        let file = match self {
            Self::Layout(layout) => layout.document("index.json")?,
            Self::Archive(archive) => archive.index()?,
        };
        let file =
            file.ok_or_else(|| HostError::source_fault(self.path(), SourceFault::LayoutIndex))?;
        read_bounded(file, limits.json_size)
    }

    /// Opens the blob with this digest. That its content has it is for the caller to verify.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when it is not there (a layout may leave out blobs that are
    /// to be had elsewhere) or cannot be read, [`HostError::Source`] when it is no regular
    /// file inside the layout.
    pub fn open_blob(&self, digest: &Digest) -> Result<BlobReader, HostError> {
        let blob = match self {
            Self::Layout(layout) => layout.blob(digest)?,
            Self::Archive(archive) => archive.blob(digest)?,
        };
        blob.ok_or_else(|| {
            let missing = io::Error::from(rustix::io::Errno::NOENT);
            let error = match self {
                Self::Archive(archive) if archive.is_cut() => io::Error::new(
                    io::ErrorKind::NotFound,
                    "there is none, and the archive has no end marker: it may be cut off",
                ),
                _ => missing,
            };
            HostError::environment(self.blob_place(digest), "open the blob", error)
        })
    }

    /// The content of a blob that holds a JSON document: a manifest, an index, a config.
    ///
    /// # Errors
    ///
    /// A refusal with [`Code::JsonSize`] beyond the limit; as [`Self::open_blob`] else.
    pub fn read_document(&self, digest: &Digest, limits: &Limits) -> Result<Vec<u8>, HostError> {
        read_bounded(self.open_blob(digest)?, limits.json_size)
    }
}

/// Reads a document whole, if it is no larger than the limit.
fn read_bounded(mut blob: BlobReader, limit: u64) -> Result<Vec<u8>, HostError> {
    let too_large = |blob: &BlobReader, found| {
        let error = Error::new(Code::JsonSize, At::Whole)
            .found(found)
            .expected(Value::AtMost(limit));
        HostError::refused(blob.place(), error)
    };
    if let Some(length) = blob.length().filter(|length| *length > limit) {
        return Err(too_large(&blob, Value::Number(length)));
    }
    let mut content = Vec::new();
    let read = (&mut blob)
        .take(limit.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(|error| HostError::environment(blob.place(), "read", error))?;
    if read as u64 > limit {
        return Err(too_large(&blob, Value::AtLeast(read as u64)));
    }
    Ok(content)
}
