//! Layers that were converted before, by what they were made of: a folder of blobs and of entries that say
//! what each blob is. Which layers are asked for is not known here.
//!
//! The name of an entry in `layers` is a digest over all that shapes a layer; the blob lies by its own digest in
//! `blobs/sha256`. Entries are written only after the image has been published. Whoever may write to the folder decides
//! what is in the images: what is verified is that blob and entry are what was put there, not by whom.

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::oci::{Algorithm, Descriptor, Digest, Hasher, MediaKind, keys};
use serde::{Deserialize, Serialize};

use super::Options;
use super::layer::Converted;
use super::layout::NewLayout;
use crate::build::{Proved, Uuid};
use crate::error::HostError;
use crate::publish::{Folder, Target, Unpublished};
use crate::report::shown;
use crate::system::{self, File, FileExt as _};
use crate::wrap::BlobReport;

/// What an entry's key and content mean; raised when either changes, or when the same options make other bytes.
const FORMAT: u32 = 1;

/// The most bytes of an entry. One has a few hundred.
const ENTRY_MAX: u64 = 64 << 10;

/// The annotations that a layer which was made here can have.
const ANNOTATIONS: [&str; 6] = [
    keys::UNCOMPRESSED_DIGEST,
    keys::CHUNK_INDEX_RANGE,
    keys::CHUNK_INDEX_DIGEST,
    keys::DMVERITY_HASH_OFFSET,
    keys::DMVERITY_BLOCK_SIZE,
    keys::DMVERITY_ROOT_DIGEST,
];

/// A folder of layers that were converted before.
#[derive(Debug)]
pub(super) struct Reuse {
    path: PathBuf,
    layers: Arc<Folder>,
    blobs: Arc<Folder>,
}

/// What became of asking for a layer.
pub(super) enum Found {
    /// It was not converted before.
    Nothing,
    /// It is there, and is what it was.
    Layer(Box<Converted>),
    /// It cannot be taken, for this reason.
    Unusable(String),
}

/// What is known of a layer. The blob's own digest names its file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    /// The key, so that an entry under another's name is none.
    key: String,
    /// DiffID of the layer that it was.
    source_diff_id: String,
    digest: String,
    size: u64,
    diff_id: String,
    image_size: u64,
    chunks: u64,
    annotations: BTreeMap<String, String>,
    inodes: Option<u64>,
    /// What the check found to say of the source, where the image was built.
    warnings: Option<u64>,
    files_read_back: Option<u64>,
}

impl Reuse {
    /// Opens the folder, which is made if it is missing, though not its parents.
    pub(super) fn open(path: &Path) -> Result<Self, HostError> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(HostError::environment(path, "make the directory", error));
            }
            _ => {}
        }
        let folder = Folder::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            layers: folder.below(Path::new("layers"))?,
            blobs: folder.below(Path::new("blobs/sha256"))?,
        })
    }

    /// Looks for what a layer became, and copies its blob into the layout, where it has no name yet. `diff_id` is what
    /// the source says that the layer has.
    pub(super) fn take(
        &self,
        descriptor: &Descriptor,
        diff_id: Option<&Digest>,
        layout: &NewLayout,
        options: &Options,
    ) -> Result<Found, HostError> {
        let Some(key) = key(descriptor, options) else {
            return Ok(Found::Nothing);
        };
        let file = match self.layers.existing(OsStr::new(&key)) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(Found::Nothing),
            Err(error) => return Ok(Found::Unusable(error.to_string())),
        };
        let place = self.path.join("layers").join(&key);
        let unusable = |what: &str| Ok(Found::Unusable(format!("{}: {what}", shown(&place))));
        let Some(entry) = read_entry(file).filter(|entry| entry.key == key) else {
            return unusable("is no entry of a layer");
        };
        let Some((report, digest, source_diff_id)) = entry.blob(options) else {
            return unusable("is no entry of a layer that is converted so");
        };
        let was_built = !matches!(descriptor.media_type.kind(), MediaKind::Erofs { .. });
        if was_built && options.build.read_back && entry.files_read_back.is_none() {
            return unusable("its files were not read back when it was made");
        }
        if diff_id.is_some_and(|diff_id| *diff_id != source_diff_id) {
            return unusable("is of a layer with another diffID");
        }
        let blob = match self.copy(&digest, entry.size, layout)? {
            Ok(blob) => blob,
            Err(text) => return Ok(Found::Unusable(text)),
        };
        Ok(Found::Layer(Box::new(Converted {
            blob,
            digest,
            report,
            source: descriptor.clone(),
            source_diff_id,
            proved: entry.warnings.map(|warnings| Proved {
                warnings,
                files: entry.files_read_back,
            }),
            inodes: entry.inodes,
            reused: true,
            note: None,
        })))
    }

    /// Copies a blob, and verifies what arrived; or says what is wrong with it.
    fn copy(
        &self,
        digest: &Digest,
        size: u64,
        layout: &NewLayout,
    ) -> Result<Result<Unpublished, String>, HostError> {
        let name = digest.hex().to_string();
        let place = self.blobs.path_of(OsStr::new(&name));
        let wrong = |what: &str| Ok(Err(format!("{}: {what}", shown(&place))));
        let file = match self.blobs.existing(OsStr::new(&name)) {
            Ok(Some(file)) => file,
            Ok(None) => return wrong("is not there"),
            Err(error) => return Ok(Err(error.to_string())),
        };
        if !file.metadata().is_ok_and(|found| found.len() == size) {
            return wrong("is not as long as its entry says");
        }
        let blob = layout.blob()?;
        let copied = system::clone_or_copy(&file, 0, size, blob.file());
        copied.map_err(|error| HostError::environment(blob.target().path(), "write", error))?;
        // What arrived counts: the source may change while it is copied.
        let found = digest_of(blob.file())
            .map_err(|error| HostError::environment(blob.target().path(), "read back", error))?;
        if found != *digest {
            return wrong("has another digest than its name says");
        }
        Ok(Ok(blob))
    }

    /// Keeps a layer, whose blob is in `file`. Called after its image was published.
    pub(super) fn keep(&self, kept: &Kept) -> Result<(), HostError> {
        let entry = &kept.entry;
        let put = |folder: &Arc<Folder>, name: &str, content: &dyn Fn(&File) -> io::Result<()>| {
            let target = Target::inside(folder, OsStr::new(name), true)?;
            let place = target.path();
            let made = Unpublished::create(target)?;
            content(made.file()).map_err(|error| HostError::environment(place, "write", error))?;
            made.publish()
        };
        put(&self.blobs, &kept.name, &|to| {
            system::clone_or_copy(&kept.file, 0, entry.size, to).map(|_| ())
        })?;
        let text = serde_json::to_string(entry).unwrap_or_default();
        let sum = Algorithm::Sha256.digest(text.as_bytes());
        put(&self.layers, &entry.key, &|to| {
            to.write_all_at(format!("{sum}\n{text}").as_bytes(), 0)
        })
    }
}

/// A layer that is to be kept when its image has been published.
#[derive(Debug)]
pub(super) struct Kept {
    entry: Entry,
    /// The name of the blob.
    name: String,
    /// The blob, open.
    file: File,
}

impl Kept {
    /// What is to be kept of a layer; `None` for one that was taken from there, or cannot be kept.
    pub(super) fn of(layer: &Converted, options: &Options) -> Result<Option<Self>, HostError> {
        let Some(key) = key(&layer.source, options).filter(|_| !layer.reused) else {
            return Ok(None);
        };
        let file = layer.blob.file().try_clone().map_err(|error| {
            HostError::environment(layer.blob.target().path(), "open a second time", error)
        })?;
        let report = &layer.report;
        let annotations = report.annotations.iter();
        let entry = Entry {
            key,
            source_diff_id: layer.source_diff_id.to_string(),
            digest: report.digest.clone(),
            size: report.size,
            diff_id: report.diff_id.clone(),
            image_size: report.image_size,
            chunks: report.chunks,
            annotations: annotations
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
            inodes: layer.inodes,
            warnings: layer.proved.map(|proved| proved.warnings),
            files_read_back: layer.proved.and_then(|proved| proved.files),
        };
        Ok(Some(Self {
            entry,
            name: layer.digest.hex().to_string(),
            file,
        }))
    }
}

impl Entry {
    /// The blob that it tells of, its digest, and the diffID of the layer that it was made of.
    fn blob(&self, options: &Options) -> Option<(BlobReport, Digest, Digest)> {
        let digest: Digest = self.digest.parse().ok()?;
        let source_diff_id = self.source_diff_id.parse().ok()?;
        let _: Digest = self.diff_id.parse().ok()?;
        if digest.algorithm() != Algorithm::Sha256 {
            return None;
        }
        let mut annotations = BTreeMap::new();
        for (key, value) in &self.annotations {
            let known = ANNOTATIONS.into_iter().find(|known| known == key)?;
            annotations.insert(known, value.clone());
        }
        let wrap = &options.wrap;
        let report = BlobReport {
            media_type: wrap.media_type(),
            compression: wrap.compression.name(),
            index: wrap.index.name(),
            digest: self.digest.clone(),
            size: self.size,
            diff_id: self.diff_id.clone(),
            image_size: self.image_size,
            chunks: self.chunks,
            annotations,
        };
        Some((report, digest, source_diff_id))
    }
}

/// Digest, in hex, of all options that shape a layer; `None` for those that are not written down.
pub(super) fn options_digest(options: &Options) -> Option<String> {
    let build = &options.build;
    if !build.filter.is_empty() {
        return None;
    }
    let form = &build.form;
    let wrap = &options.wrap;
    let uuid = match build.uuid {
        Uuid::Content => "content".to_owned(),
        Uuid::Containerd => "containerd".to_owned(),
        Uuid::Fixed(uuid) => hex(&uuid),
    };
    // A line each: none of the values holds the end of one.
    let text = format!(
        "format {FORMAT}\nblock-bits {}\ninline-data {}\nwhiteouts {}\nall-time {:?}\nbuild-time {:?}\nvolume-name {}\n\
         uuid {uuid}\nkernel {:?}\nwrap {}\nindex {}\nchunk-size {}\nlevel {}\nverity {}\n",
        form.block_bits,
        form.inline_data,
        form.whiteouts,
        form.all_time,
        form.build_time,
        hex(&form.volume_name),
        build.kernel,
        wrap.compression.name(),
        wrap.index.name(),
        wrap.chunk_size,
        wrap.level,
        options.verity,
    );
    Some(Algorithm::Sha256.digest(text.as_bytes()).hex().to_string())
}

/// The key of a layer: the digest, in hex, of what it was and of the options that shape what it becomes.
fn key(descriptor: &Descriptor, options: &Options) -> Option<String> {
    let shape = options_digest(options)?;
    // What a descriptor says of an image decides what is verified of it, and which tree it has. Of an archive it
    // decides nothing: its diffID is in the entry.
    let said = match descriptor.media_type.kind() {
        MediaKind::Erofs { .. } => serde_json::to_string(&descriptor.annotations).ok()?,
        _ => String::new(),
    };
    let media_type = serde_json::to_string(&descriptor.media_type.to_string()).ok()?;
    let text = format!(
        "{shape}\nblob {}\nsize {}\ntype {media_type}\nsaid {said}\n",
        descriptor.digest, descriptor.size
    );
    Some(Algorithm::Sha256.digest(text.as_bytes()).hex().to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The entry in a file, whose first line is the digest of the rest.
fn read_entry(file: File) -> Option<Entry> {
    let mut text = String::new();
    file.take(ENTRY_MAX).read_to_string(&mut text).ok()?;
    let (sum, rest) = text.split_once('\n')?;
    if Algorithm::Sha256.digest(rest.as_bytes()).to_string() != sum {
        return None;
    }
    serde_json::from_str(rest).ok()
}

/// The digest of what is in a file.
fn digest_of(file: &File) -> io::Result<Digest> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 256 << 10];
    let mut position = 0;
    loop {
        match file.read_at(&mut buffer, position) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => {
                hasher.update(buffer.get(..count).unwrap_or_default());
                position += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
