//! Indexes of a layer's chunks: the draft's chunk index and zstd's seek table, and what lies.
//!
//! What each case follows from, and how the draft is read where it says two things, stands in
//! `vectors/DRAFT.md`.

mod faults;
mod index;
mod seek_table;

use std::collections::BTreeMap;

use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::{At, Code};
use serde_json::{Value as Json, json};

use super::super::bases::Bases;
use super::super::suite::{Draft, Suite, Wire};
use super::super::zstd::{self, Header};
use crate::manifest::{Limits, Operation, SeekInput};

/// Where the chunks of the image end.
const ENDS: [usize; 3] = [1500, 3000, 4096];
const RANGE: &str = "org.erofs.chunk-index.range";
const DIGEST: &str = "org.erofs.chunk-index.digest";
const MEDIA_TYPE: &str = "org.erofs.chunk-index.mediaType";
/// Sections of the draft.
const HEADER: &str = "3.4.1 Header";
const ENTRY: &str = "3.4.2 Chunk Entry";
const DELIVERY: &str = "3.4.3 Delivery: Embedded or Standalone Layer";
const READING: &str = "3.4.4 Reading a Range";
const CHECKSUMS: &str = "3.4.5 Per-chunk Checksums";
const EDGES: &str = "3.4.6 Edge Cases";
const CONSUMER: &str = "8.2 Consumer Requirements";

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let image = bases.get("small.erofs");
    index::add(suite, image);
    faults::add(suite, image);
    seek_table::add(suite, image);
}

/// How chunks are verified in an index.
#[derive(Clone, Copy)]
enum Hash {
    None,
    Sha2(Algorithm),
}

const SHA256: Hash = Hash::Sha2(Algorithm::Sha256);

/// A header, field by field (3.4.1).
fn header(compression: u8, size: usize, count: u32, hash: Hash) -> Vec<u8> {
    let mut bytes = vec![0xcd, 0xe4, 0xec, 0x67, 1, compression, 0, 0];
    bytes.extend((size as u64).to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(match hash {
        Hash::None => [0, 0],
        Hash::Sha2(Algorithm::Sha256) => [1, 32],
        Hash::Sha2(Algorithm::Sha512) => [1, 64],
    });
    bytes.extend([0; 10]);
    bytes
}

/// An entry (3.4.2) of a chunk with these bytes in the blob.
fn entry(blob: usize, image: usize, hash: Hash, chunk: &[u8]) -> Vec<u8> {
    let mut bytes = (blob as u64).to_le_bytes().to_vec();
    bytes.extend((image as u64).to_le_bytes());
    if let Hash::Sha2(algorithm) = hash {
        bytes.extend(algorithm.digest(chunk).as_bytes());
    }
    bytes
}

/// A layer: its chunks in the blob, one after another, and what the index says of them.
struct Layer {
    chunks: Vec<Vec<u8>>,
    index: Vec<u8>,
}

impl Layer {
    /// The image in three frames.
    fn zstd(image: &[u8], hash: Hash) -> Self {
        Self::of(image, 1, hash, zstd::wrap)
    }

    fn of(image: &[u8], compression: u8, hash: Hash, wrap: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        let starts = [0, ENDS[0], ENDS[1]];
        let pieces = starts.into_iter().zip(ENDS);
        let chunks: Vec<_> = pieces
            .map(|(start, end)| wrap(&image[start..end]))
            .collect();
        let mut index = header(compression, image.len(), 3, hash);
        let mut blob = 0;
        for (start, chunk) in starts.into_iter().zip(&chunks) {
            index.extend(entry(blob, start, hash, chunk));
            blob += chunk.len();
        }
        Self { chunks, index }
    }

    /// The chunks as they lie in the blob.
    fn data(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// The blob with the index in a skippable frame behind the chunks.
    fn blob(&self) -> Vec<u8> {
        let size = u32::try_from(self.index.len()).unwrap_or(u32::MAX);
        [self.data(), zstd::skippable(0, size, &self.index)].concat()
    }
}

/// A case of reading a layer at random.
fn case(suite: &mut Suite, id: &str, description: &str, wire: Wire, blob: &[u8]) -> Draft {
    let input = SeekInput {
        blob: suite.file(&format!("cases/{id}.{}", wire.extension()), blob),
        media_type: match wire {
            Wire::Zstd => "application/vnd.erofs+zstd",
            wire => wire.media_type(),
        }
        .into(),
        annotations: BTreeMap::new(),
        index: None,
        limits: Limits::default(),
    };
    Draft::new(id, description, Operation::Seek(input))
}

/// The annotations of an index that begins here.
fn annotated(draft: Draft, index: &[u8], range: &str) -> Draft {
    let digest = Algorithm::Sha256.digest(index).to_string();
    draft.seeking(|input| {
        input.annotations.insert(RANGE.into(), range.into());
        input.annotations.insert(DIGEST.into(), digest);
    })
}

/// A zstd layer's case with its index embedded and annotated.
fn of(suite: &mut Suite, id: &str, description: &str, layer: &Layer) -> Draft {
    let blob = layer.blob();
    let draft = case(suite, id, description, Wire::Zstd, &blob);
    let range = format!("{}:{}", layer.data().len(), blob.len());
    annotated(draft, &layer.index, &range)
}

fn whole(image: &[u8], index: &str) -> Json {
    json!({
        "index": index,
        "chunks": 3,
        "imageSize": image.len(),
        "diffId": Algorithm::Sha256.digest(image).to_string(),
    })
}

/// What is said of a layer whose index is passed over.
fn sequential(image: &[u8], why: Option<Code>) -> Json {
    json!({
        "index": "none",
        "passedOver": why.map(Code::id),
        "imageSize": image.len(),
        "diffId": Algorithm::Sha256.digest(image).to_string(),
    })
}

fn demand(draft: Draft, section: &str) -> Draft {
    draft.demand("erofs-image-spec", section)
}
