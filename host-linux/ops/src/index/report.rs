//! What `index` reports.

use std::collections::BTreeMap;
use std::path::Path;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::seekable::{Checksum, Chunk, Chunks, HashAlgorithm, Span};
use serde::Serialize;

use super::layer::Found;
use crate::done::Conclude;
use crate::error::HostError;
use crate::indexed::Index;
use crate::report::{ErrorReport, VERSION, outcome_name, shown};

/// What an index says, and what came of verifying or writing it: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// `index show`, `index verify` or `index add`.
    pub command: &'static str,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so.
    pub exit_code: u8,
    /// The source as it was given, escaped.
    pub source: String,
    /// The blob: its file, or the blob in the layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// The index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexReport>,
    /// What was verified, where that was asked for and all of it is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<VerifiedReport>,
    /// What was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<WrittenReport>,
    /// The error that the exit code stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// An index.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexReport {
    /// `erofs` for the draft's chunk index, `zstd-seekable` for a seek table, `containerd-12703` and
    /// `containerd-12764` for what came before the draft.
    pub form: &'static str,
    /// What led to it: `manifest` for the annotations of the layer, `layer` for the layer behind it,
    /// `file` and `range` for what the user said, `end` for the end of the blob.
    pub found_by: &'static str,
    /// Its part of the blob, if it is one: for zstd with the header of its frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeReport>,
    /// Digest of the chunk index, its header and entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How its chunks are compressed: `none` or `zstd`.
    pub compression: &'static str,
    /// What chunks are verified by: `sha256`, `sha512`, `xxh64` or `none`.
    pub checksums: &'static str,
    /// Size of the image in bytes.
    pub image_size: u64,
    /// The chunks, in their order. A form that came before the draft is not read.
    pub chunks: Vec<ChunkReport>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RangeReport {
    /// The first byte.
    pub offset: u64,
    /// The byte behind the last.
    pub end: u64,
}

/// A chunk.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChunkReport {
    /// Where it begins in the blob.
    pub offset: u64,
    /// Its bytes in the blob.
    pub size: u64,
    /// Where it begins in the image.
    pub image_offset: u64,
    /// Its bytes in the image.
    pub image_size: u64,
    /// What it is verified by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// What was verified: every chunk is where the index says, has its checksum, and decodes to its part
/// of the image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedReport {
    /// Digest of the blob.
    pub digest: String,
    /// Digest of the image.
    pub diff_id: String,
    /// What was not verified, because nothing says what it should be: `digest`, `diffID`.
    pub not_verified: Vec<&'static str>,
}

/// What was written.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WrittenReport {
    /// Its file; absent for the standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The media type of the layer that it is.
    pub media_type: &'static str,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// The annotations of its descriptor.
    pub annotations: BTreeMap<&'static str, String>,
}

impl Report {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(command: &'static str, source: &Path) -> Self {
        Self {
            version: VERSION,
            command,
            outcome: outcome_name(0),
            exit_code: 0,
            source: shown(source),
            blob: None,
            index: None,
            verified: None,
            written: None,
            error: None,
        }
    }
}

impl Conclude for Report {
    fn conclude(&mut self, error: Option<&HostError>) {
        self.exit_code = error.map_or(0, HostError::exit_code);
        self.outcome = outcome_name(self.exit_code);
        self.error = error.map(ErrorReport::of);
        if error.is_some() {
            self.written = None;
        }
    }
}

impl IndexReport {
    /// What an index says, of a blob of `size` bytes that is wrapped so.
    pub(super) fn of(
        found: &Found,
        found_by: &'static str,
        compression: Compression,
        size: u64,
    ) -> Self {
        let range = |span: &Span| RangeReport {
            offset: span.start,
            end: span.end,
        };
        let mut report = Self {
            form: "erofs",
            found_by,
            range: None,
            digest: None,
            compression: compression.name(),
            checksums: "none",
            image_size: 0,
            chunks: Vec::new(),
        };
        let opened = match found {
            Found::Index(opened) => opened,
            Found::Earlier { form, span } => {
                report.form = form.id();
                report.range = Some(range(span));
                return report;
            }
        };
        let span = Span {
            start: opened.end,
            end: size,
        };
        report.range = (!span.is_empty()).then(|| range(&span));
        match &opened.chunks {
            Index::Chunks(index) => {
                report.digest = Some(Algorithm::Sha256.digest(index.payload()).to_string());
                if let HashAlgorithm::Sha2(algorithm) = index.header().hash {
                    report.checksums = algorithm.name();
                }
            }
            index => {
                report.form = "zstd-seekable";
                if let Some(Checksum::Xxh64(_)) = index.chunk(0).map(|chunk| chunk.checksum) {
                    report.checksums = "xxh64";
                }
            }
        }
        report.add(&opened.chunks);
        report
    }

    fn add(&mut self, chunks: &impl Chunks) {
        self.image_size = chunks.image_size();
        let all = (0..chunks.count()).filter_map(|number| chunks.chunk(number));
        self.chunks = all.map(|chunk| ChunkReport::of(&chunk)).collect();
    }
}

impl ChunkReport {
    fn of(chunk: &Chunk) -> Self {
        Self {
            offset: chunk.blob.start,
            size: chunk.blob.length(),
            image_offset: chunk.image.start,
            image_size: chunk.image.length(),
            checksum: match chunk.checksum {
                Checksum::Digest(digest) => Some(digest.hex().to_string()),
                Checksum::Xxh64(half) => Some(format!("{half:08x}")),
                _ => None,
            },
        }
    }
}
