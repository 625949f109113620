//! Layers with a chunk index.

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::seekable::{Checksum, ChunkIndexWriter, HashAlgorithm, skippable};
use serde_json::json;

use super::*;

/// Checksums that most tests want.
pub(crate) const SHA256: HashAlgorithm = HashAlgorithm::Sha2(Algorithm::Sha256);

/// The type of a chunk index that is a layer.
pub(crate) const CHUNK_INDEX: &str = "application/vnd.erofs.chunk-index.v1";

/// A zstd layer in chunks of so many bytes, and its index.
pub(crate) struct Indexed {
    pub(crate) layer: Layer,
    pub(crate) index: Vec<u8>,
    /// Where each chunk begins in the blob.
    pub(crate) starts: Vec<usize>,
}

impl Indexed {
    pub(crate) fn new(content: &[u8], chunk: usize, hash: HashAlgorithm) -> Self {
        let mut writer = ChunkIndexWriter::new(Compression::Zstd, hash);
        let mut blob = Vec::new();
        let mut starts = Vec::new();
        for piece in content.chunks(chunk) {
            let frame = zstd::bulk::compress(piece, 3).unwrap();
            let checksum = match hash {
                HashAlgorithm::None => Checksum::None,
                HashAlgorithm::Sha2(algorithm) => Checksum::Digest(algorithm.digest(&frame)),
            };
            let (length, image) = (frame.len() as u64, piece.len() as u64);
            writer.push(length, image, checksum).unwrap();
            starts.push(blob.len());
            blob.extend(frame);
        }
        let mut layer = Layer::new(EROFS_ZSTD, content);
        layer.blob = blob;
        Self {
            layer,
            index: writer.finish(),
            starts,
        }
    }

    /// The layer with its index in it, and the annotations for that.
    pub(crate) fn embedded(&self) -> Layer {
        let mut layer = self.layer.clone();
        layer.annotations = json!({
            "org.erofs.chunk-index.range": layer.blob.len().to_string(),
            "org.erofs.chunk-index.digest": sha256(&self.index),
        });
        layer.blob.extend(skippable(&self.index).unwrap());
        layer.blob.extend(&self.index);
        layer
    }

    /// The layer, and its index as a layer of its own.
    pub(crate) fn standalone(&self) -> [Layer; 2] {
        let mut index = Layer::new(CHUNK_INDEX, &self.index);
        index.annotations = json!({
            "org.erofs.chunk-index.target": sha256(&self.layer.blob),
        });
        [self.layer.clone(), index]
    }
}
