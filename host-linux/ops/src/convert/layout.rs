//! The layout that images go into.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs_unpack_core::oci::{Algorithm, Digest, Hasher};
use serde_json::{Value, json};

use super::entries::{self, Origin};
use crate::error::HostError;
use crate::publish::{Folder, Target, Unpublished, is_partial};
use crate::report::shown;
use crate::source::BlobReader;
use crate::system::FileExt as _;

/// A layout that is made, or gets more images. What is written has no name before
/// [`Self::publish`].
#[derive(Debug)]
pub(super) struct NewLayout {
    root: PathBuf,
    /// Folders that were made for it, the outermost first.
    made: Vec<PathBuf>,
    folder: Arc<Folder>,
    /// Blobs with their names.
    blobs: Vec<Unpublished>,
    /// The entries of the index as it was found.
    entries: Vec<Value>,
}

impl NewLayout {
    /// Opens or makes it.
    pub(super) fn open(root: &Path) -> Result<Self, HostError> {
        let index = read_index(root)?;
        if index.is_none() {
            let is_free = match fs::read_dir(root) {
                Ok(entries) => is_begun(entries),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
                Err(error) => Err(error),
            };
            let is_free =
                is_free.map_err(|error| HostError::environment(root, "open the layout", error))?;
            if !is_free {
                return Err(no_layout(root));
            }
        }
        let blobs = root.join("blobs");
        let sha256 = blobs.join("sha256");
        let mut made = Vec::new();
        for folder in [root, &blobs, &sha256] {
            match fs::create_dir(folder) {
                Ok(()) => made.push(folder.to_owned()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(HostError::environment(folder, "make", error)),
            }
        }
        let folder = Folder::open(&sha256)?;
        Ok(Self {
            root: root.to_owned(),
            made,
            folder,
            blobs: Vec::new(),
            entries: index.as_ref().map_or_else(Vec::new, entries::of),
        })
    }

    /// Leaves the folders there whatever happens: others may be at work in them.
    pub(super) fn share(&mut self) {
        self.made.clear();
    }

    /// A file for a blob.
    pub(super) fn blob(&self) -> Result<Unpublished, HostError> {
        let target = Target::inside(&self.folder, OsStr::new("blob"), true)?;
        Unpublished::create(target)
    }

    /// Takes a blob that is complete, with the digest that it was found to have.
    pub(super) fn name(&mut self, blob: Unpublished, digest: &Digest) -> Result<(), HostError> {
        if digest.algorithm() != Algorithm::Sha256 {
            return Err(HostError::Usage(format!(
                "--keep-original: {digest}: only blobs with SHA-256 digests are kept"
            )));
        }
        let name = digest.hex().to_string();
        self.blobs.push(blob.renamed(OsStr::new(&name), true)?);
        Ok(())
    }

    /// Adds a document, and gives what a descriptor says of it.
    pub(super) fn document(
        &mut self,
        media_type: &str,
        document: &[u8],
    ) -> Result<Value, HostError> {
        let blob = self.blob()?;
        let place = blob.target().path();
        blob.file()
            .write_all_at(document, 0)
            .map_err(|error| HostError::environment(place, "write", error))?;
        let digest = Algorithm::Sha256.digest(document);
        self.name(blob, &digest)?;
        Ok(json!({
            "mediaType": media_type,
            "digest": digest.to_string(),
            "size": document.len(),
        }))
    }

    /// Copies a blob as it is, and verifies it.
    pub(super) fn copy(&mut self, from: &mut BlobReader, digest: &Digest) -> Result<(), HostError> {
        let blob = self.blob()?;
        let place = blob.target().path();
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; 256 << 10];
        let mut position = 0;
        loop {
            let count = match io::Read::read(from, &mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(HostError::environment(from.place(), "read", error)),
            };
            let bytes = buffer.get(..count).unwrap_or(&[]);
            hasher.update(bytes);
            blob.file()
                .write_all_at(bytes, position)
                .map_err(|error| HostError::environment(&place, "write", error))?;
            position += count as u64;
        }
        let found = hasher.finish();
        if found != *digest {
            let error = erofs_unpack_core::Error::new(
                erofs_unpack_core::Code::BlobDigest,
                erofs_unpack_core::At::Whole,
            )
            .found(erofs_unpack_core::Value::Digest(found))
            .expected(erofs_unpack_core::Value::Digest(*digest));
            return Err(HostError::refused(from.place(), error));
        }
        self.name(blob, digest)
    }

    /// The entry of an image that is here already, made of this one.
    pub(super) fn made(&self, origin: &Origin, name: Option<&str>) -> Option<&Value> {
        self.entries.iter().find(|entry| {
            let digest = entry["digest"].as_str();
            let digest = digest.and_then(|digest| digest.parse::<Digest>().ok());
            let file = digest.map(|digest| OsString::from(digest.hex().to_string()));
            origin.is_of(entry)
                && (name.is_none() || entries::name(entry) == name)
                && file.is_some_and(|file| matches!(self.folder.existing(&file), Ok(Some(_))))
        })
    }

    /// Gives everything its name, the index last. Entries replace those of the same name.
    pub(super) fn publish(mut self, entries: Vec<Value>) -> Result<(), HostError> {
        for blob in core::mem::take(&mut self.blobs) {
            blob.publish()?;
        }
        let root = Folder::open(&self.root)?;
        // Others may have added theirs meanwhile, and may be about to.
        let _lock = root.lock()?;
        let mut index = read_index(&self.root)?.unwrap_or_else(|| {
            json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
            })
        });
        index["manifests"] = entries::merged(entries::of(&index), entries).into();
        let file = |name: &str, content: &[u8]| {
            let target = Target::inside(&root, OsStr::new(name), true)?;
            let file = Unpublished::create(target)?;
            let mut to = file.file();
            to.write_all(content)
                .map_err(|error| HostError::environment(self.root.join(name), "write", error))?;
            file.publish()
        };
        file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        file("index.json", index.to_string().as_bytes())?;
        self.made.clear();
        Ok(())
    }
}

impl Drop for NewLayout {
    /// Folders that were made for nothing are gone again.
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The index of a layout; `None` where there is none.
fn read_index(root: &Path) -> Result<Option<Value>, HostError> {
    match fs::read(root.join("index.json")) {
        Ok(document) => serde_json::from_slice(&document)
            .ok()
            .filter(|index: &Value| index["manifests"].is_array())
            .map(Some)
            .ok_or_else(|| no_layout(root)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HostError::environment(root, "open the layout", error)),
    }
}

/// Whether a folder without an index holds at most what a layout that is being made has before that: another run may be
/// at work, or was ended.
fn is_begun(entries: fs::ReadDir) -> io::Result<bool> {
    for entry in entries {
        let name = entry?.file_name();
        if name != "blobs" && name != "oci-layout" && !is_partial(name.as_encoded_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A folder with something else in it.
fn no_layout(root: &Path) -> HostError {
    HostError::Usage(format!(
        "{}: holds something else than an OCI image layout: expected one, an empty folder, or a new name",
        shown(root)
    ))
}
