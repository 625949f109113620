//! The back end that calls the core, linked in.

pub(crate) mod check;
mod document;
pub(crate) mod layer;
mod layout;
mod read;

use std::io;
use std::path::Path;

use erofs_unpack_core::codec::{Backend as GzipBackend, ZstdBackend};
use erofs_unpack_core::oci::{Digest, ErofsAnnotations, MediaType, Platform};
use erofs_unpack_core::{At, Error, Limits};
use serde_json::{Map, Value as Json, json};

use crate::manifest::{self, Case, Operation, Place, Refusal};
use crate::run::{Answer, Backend};

/// What the core says of an input that passes.
type Outputs = Map<String, Json>;

/// The core, with one library for each codec and one way of cutting the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Native {
    /// The library that decodes zstd.
    pub zstd: ZstdBackend,
    /// The library that decodes gzip.
    pub gzip: GzipBackend,
    /// How many bytes of a blob are given at a time.
    pub input: usize,
    /// How much room there is for decoded bytes.
    pub output: usize,
}

impl Native {
    /// The libraries that are taken by default, and large pieces.
    pub const DEFAULT: Self = Self {
        zstd: ZstdBackend::DEFAULT,
        gzip: GzipBackend::DEFAULT,
        input: 64 << 10,
        output: 64 << 10,
    };

    /// All that a case can be run with to see whether the answer stays the same: every library
    /// for its codec, and the blob in pieces of several sizes, down to single bytes. What takes
    /// no blob is run once, and what is large only in large pieces.
    #[must_use]
    pub fn variations(case: &Case) -> Vec<Self> {
        let blobs = matches!(case.operation, Operation::Unpack(_) | Operation::Layout(_));
        if !blobs {
            return vec![Self::DEFAULT];
        }
        Self::for_blobs(case.has_flag("large"))
    }

    /// All that a blob can be run with.
    pub(crate) fn for_blobs(large: bool) -> Vec<Self> {
        let mut cuts = vec![(64 << 10, 64 << 10)];
        if !large {
            cuts.extend([(1, 1), (1, 4096), (7, 61), (1021, 64 << 10)]);
        }
        let libraries = [
            (ZstdBackend::Structured, GzipBackend::ZlibRs),
            (ZstdBackend::Ruzstd, GzipBackend::Miniz),
        ];
        let with = |(input, output)| {
            libraries.map(|(zstd, gzip)| Self {
                zstd,
                gzip,
                input,
                output,
            })
        };
        cuts.into_iter().flat_map(with).collect()
    }
}

impl Backend for Native {
    fn name(&self) -> String {
        format!(
            "native, {:?}, {:?}, {} bytes into {}",
            self.zstd, self.gzip, self.input, self.output
        )
    }

    fn run(&self, case: &Case, folder: &Path) -> io::Result<Answer> {
        let result = match &case.operation {
            Operation::MediaType(input) => media_type(&input.text, input.device),
            Operation::Digest(input) => digest(&input.text),
            Operation::Annotations(input) => annotations(&input.annotations).map(|_| Map::new()),
            Operation::Platform(input) => Platform::parse(&input.text)
                .map(|platform| outputs(json!({ "platform": platform.to_string() }))),
            Operation::LayoutMarker(input) => document::marker(input, folder)?,
            Operation::Document(input) => document::document(input, folder)?,
            Operation::Config(input) => document::config(input, folder)?,
            Operation::Select(input) => document::select(input, folder)?,
            Operation::Plan(input) => document::plan(input, folder)?,
            Operation::Unpack(input) => self
                .unpack(input, folder)?
                .map(|outcome| layer::said(&outcome)),
            Operation::Layout(input) => self.layout(input, folder)?,
            Operation::Check(input) => return check::check(input, folder),
            Operation::Read(input) => read::read(input, folder)?,
        };
        Ok(match result {
            Ok(outputs) => Answer::Valid(outputs),
            Err(error) => Answer::Invalid(refusal(&error), Map::new()),
        })
    }
}

/// An error by its stable names.
#[must_use]
pub fn refusal(error: &Error) -> Refusal {
    Refusal {
        id: error.id().into(),
        kind: error.kind().id().into(),
        at: place(error.at()),
    }
}

/// A place by its stable name. One that this crate does not know is none.
#[must_use]
pub fn place(at: At) -> Option<Place> {
    match at {
        At::Blob(offset) => Some(Place::Blob(offset)),
        At::Image(offset) => Some(Place::Image(offset)),
        At::Text(offset) => Some(Place::Text(offset)),
        At::Json(offset) => Some(Place::Json(offset)),
        At::Nid(nid) => Some(Place::Nid(nid)),
        At::File(nid, offset) => Some(Place::File(nid, offset)),
        At::Layer(number) => Some(Place::Layer(number.into())),
        _ => None,
    }
}

/// The members of an object.
fn outputs(value: Json) -> Outputs {
    match value {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}

/// The core's limits with those that a case sets.
pub(crate) fn limits(set: &manifest::Limits) -> Limits {
    let mut limits = Limits::DEFAULT;
    let put = |limit: &mut u64, set: Option<u64>| *limit = set.unwrap_or(*limit);
    put(&mut limits.blob_size, set.blob_size);
    put(&mut limits.image_size, set.image_size);
    put(&mut limits.zstd_window, set.zstd_window);
    put(&mut limits.frames, set.frames);
    put(&mut limits.skippable_size, set.skippable_size);
    put(&mut limits.json_size, set.json_size);
    put(&mut limits.inodes, set.inodes);
    put(&mut limits.directory_entries, set.directory_entries);
    put(&mut limits.check_memory, set.check_memory);
    put(&mut limits.check_work, set.check_work);
    limits.expansion_ratio = set.expansion_ratio.or(limits.expansion_ratio);
    let put = |limit: &mut u32, set: Option<u32>| *limit = set.unwrap_or(*limit);
    put(&mut limits.json_depth, set.json_depth);
    put(&mut limits.json_members, set.json_members);
    put(&mut limits.index_depth, set.index_depth);
    put(&mut limits.layers, set.layers);
    put(&mut limits.directory_depth, set.directory_depth);
    put(&mut limits.symlink_length, set.symlink_length);
    limits
}

fn media_type(text: &str, device: bool) -> Result<Outputs, Error> {
    let media_type = MediaType::parse(text)?;
    let layer = if device {
        media_type.device()?
    } else {
        media_type.layer()?
    };
    let content = match layer.content {
        erofs_unpack_core::oci::Content::Erofs => "erofs",
        erofs_unpack_core::oci::Content::ChunkIndex => "chunk-index",
        _ => "bytes",
    };
    Ok(outputs(json!({
        "mediaType": media_type.as_str(),
        "content": content,
        "compression": layer.compression.name(),
    })))
}

fn digest(text: &str) -> Result<Outputs, Error> {
    let digest = Digest::parse(text)?;
    Ok(outputs(json!({
        "algorithm": digest.algorithm().name(),
        "hex": digest.hex().to_string(),
    })))
}

pub(crate) fn annotations(
    annotations: &std::collections::BTreeMap<String, String>,
) -> Result<ErofsAnnotations, Error> {
    let mut read = ErofsAnnotations::default();
    for (key, value) in annotations {
        read.set(key, value)?;
    }
    read.check()?;
    Ok(read)
}
