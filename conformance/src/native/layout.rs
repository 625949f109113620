//! An OCI layout, walked from `index.json` to its layers as a host walks it: the core judges
//! every document and every blob, and the walk only fetches them.

use std::io;
use std::path::{Path, PathBuf};

use erofs_unpack_core::oci::{
    Config, Descriptor, Digest, Document, Index, LayerRole, Manifest, MediaKind, Platform,
    parse_layout, plan,
};
use erofs_unpack_core::{At, Code, Error, Limits, Value};
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
        let mut search = Search {
            root,
            platform: Platform::parse(wanted)?,
            anchor: input.digest.as_deref().map(Digest::parse).transpose()?,
            limits: &limits,
        };
        parse_layout(&std::fs::read(root.join("oci-layout"))?, &limits)?;
        let document = std::fs::read(root.join("index.json"))?;
        let index = Index::parse(&document, &limits)?;
        // The digest may be that of `index.json` itself, which no descriptor leads to.
        search.anchor = search
            .anchor
            .filter(|anchor| anchor.algorithm().digest(&document) != *anchor);
        let (descriptor, manifest, anchored) = search.below(&index, 1)?;
        if let Some(anchor) = search.anchor
            && !anchored
        {
            let error = Error::new(Code::BlobDigest, At::Whole).expected(Value::Digest(anchor));
            return Err(error.into());
        }
        let config = match manifest.config.media_type.kind() {
            MediaKind::Config => {
                let document = search.read(&manifest.config)?;
                Some(Config::parse(&document, &limits)?)
            }
            _ => None,
        };
        let plan = plan(&manifest, config.as_ref(), policy(input.policy), &limits)?;
        let mut layers = Vec::new();
        for layer in &plan.layers {
            if layer.role == LayerRole::ChunkIndex {
                continue;
            }
            let blob = std::fs::File::open(blob_path(root, &layer.digest))?;
            let outcome = self.stream(blob, &layer.expectations(), &limits)??;
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
            "warnings": warnings(&plan),
        })))
    }
}

/// A walk from an index down to a manifest.
struct Search<'a> {
    root: &'a Path,
    platform: Platform,
    anchor: Option<Digest>,
    limits: &'a Limits,
}

impl Search<'_> {
    /// The manifest that an index leads to, and whether the anchor was met.
    fn below(&self, index: &Index, depth: u32) -> Result<(Descriptor, Manifest, bool), Stop> {
        let pinned = index
            .images()
            .find(|entry| self.anchor == Some(entry.digest));
        let entry = match pinned {
            Some(entry) => entry,
            None => index.select(&self.platform)?,
        };
        let anchored = self.anchor == Some(entry.digest);
        let document = self.read(entry)?;
        match Document::parse(&document, Some(&entry.media_type), self.limits)? {
            Document::Manifest(manifest) => Ok((entry.clone(), *manifest, anchored)),
            Document::Index(index) => {
                if depth >= self.limits.index_depth {
                    return Err(Error::new(Code::IndexDepth, At::Whole).into());
                }
                let (entry, manifest, below) = self.below(&index, depth + 1)?;
                Ok((entry, manifest, anchored || below))
            }
        }
    }

    /// A document, from its descriptor or from its blob, verified.
    fn read(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Stop> {
        if let Some(data) = &descriptor.data {
            return Ok(data.clone());
        }
        let document = std::fs::read(blob_path(self.root, &descriptor.digest))?;
        descriptor.verify(&document)?;
        Ok(document)
    }
}

fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs")
        .join(digest.algorithm().name())
        .join(digest.hex().to_string())
}
