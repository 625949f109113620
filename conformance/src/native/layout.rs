//! An OCI layout, walked from `index.json` to its layers as a host walks it: the core judges
//! every document and every blob, and the walk only fetches them.

use std::io;
use std::path::{Path, PathBuf};

use erofs_unpack_core::Error;
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::{Image, ReadError};
use erofs_unpack_core::oci::{
    Config, Descriptor, Digest, Documents, Fetched, Found, Index, LayerRole, MediaKind, Platform,
    Wanted, device_tags, find, parse_layout, plan,
};
use serde_json::{Value as Json, json};

use super::Native;
use super::convert::{Outputs, limits, outputs, policy};
use super::document::warnings;
use crate::manifest::LayoutInput;

/// A failure to read, or a refusal.
enum Stop {
    Failed(io::Error),
    Refused(Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Native {
    /// Unpacks all layers of the layout's one image.
    pub(super) fn layout(
        &self,
        input: &LayoutInput,
        folder: &Path,
    ) -> io::Result<Result<Outputs, Error>> {
        for blob in input.files.values() {
            blob.verify(folder)?;
        }
        match self.walk(input, &folder.join(&input.folder)) {
            Ok(outputs) => Ok(Ok(outputs)),
            Err(Stop::Refused(error)) => Ok(Err(error)),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn walk(&self, input: &LayoutInput, root: &Path) -> Result<Outputs, Stop> {
        let limits = limits(&input.limits);
        let wanted = input.platform.as_deref().unwrap_or("linux/amd64");
        let platform = Platform::parse(wanted)?;
        parse_layout(&std::fs::read(root.join("oci-layout"))?, &limits)?;
        let document = std::fs::read(root.join("index.json"))?;
        let index = Index::parse(&document, &limits)?;
        let anchor = input.digest.as_deref().map(Digest::parse).transpose()?;
        let wanted = Wanted {
            reference: None,
            platform: input.platform.is_some().then_some(&platform),
            host: Some(&platform),
            // The digest may be that of `index.json` itself, which no descriptor leads to.
            digest: anchor.filter(|anchor| anchor.algorithm().digest(&document) != *anchor),
        };
        let mut documents = Blobs { root };
        let found = find(&index, &wanted, &limits, &mut documents);
        let Found {
            descriptor,
            manifest,
            ..
        } = found.map_err(|fault| fault.error())?;
        let config = match manifest.config.media_type.kind() {
            MediaKind::Config => {
                let document = documents.bytes(&manifest.config)?;
                Some(Config::parse(&document, &limits)?)
            }
            _ => None,
        };
        let plan = plan(&manifest, config.as_ref(), policy(input.policy), &limits)?;
        let mut layers = Vec::new();
        let mut said = warnings(&plan);
        for layer in &plan.layers {
            if layer.role == LayerRole::ChunkIndex {
                continue;
            }
            let blob = std::fs::File::open(blob_path(root, &layer.digest))?;
            let outcome = self.stream(blob, &layer.expectations(), &limits)??;
            if layer.devices > 0 && layer.compression == Compression::None {
                // The blob is the image.
                let image = std::fs::read(blob_path(root, &layer.digest))?;
                let image = Image::open(&image[..], image.len() as u64, &limits);
                let image = image.map_err(|error| match error {
                    ReadError::Refused(error) => Stop::Refused(error),
                    ReadError::Source(error) => Stop::Failed(io::Error::other(error)),
                })?;
                let tags = image.devices().map(|slot| &slot.tag);
                let found = device_tags(layer, &plan.layers, tags, policy(input.policy))?;
                said.extend(found.iter().map(|warning| warning.id()));
            }
            layers.push(json!({
                "number": layer.number,
                "role": layer.role.name(),
                "diffId": outcome.diff_id.to_string(),
                "imageSize": outcome.image_size,
            }));
        }
        Ok(outputs(json!({
            "manifest": descriptor.digest.to_string(),
            "layers": Json::from(layers),
            "warnings": said,
        })))
    }
}

/// The documents of a layout.
struct Blobs<'a> {
    root: &'a Path,
}

impl Blobs<'_> {
    /// A document, from its descriptor or from its blob, verified.
    fn bytes(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Stop> {
        if let Some(data) = &descriptor.data {
            return Ok(data.clone());
        }
        let document = std::fs::read(blob_path(self.root, &descriptor.digest))?;
        descriptor.verify(&document)?;
        Ok(document)
    }
}

impl Documents for Blobs<'_> {
    fn read(&mut self, descriptor: &Descriptor) -> Fetched {
        match std::fs::read(blob_path(self.root, &descriptor.digest)) {
            Ok(document) => Fetched::Document(document),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Fetched::Absent,
            Err(_) => Fetched::Failed,
        }
    }

    fn has(&mut self, descriptor: &Descriptor) -> bool {
        blob_path(self.root, &descriptor.digest).exists()
    }
}

fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs")
        .join(digest.algorithm().name())
        .join(digest.hex().to_string())
}
