//! The back end that calls the core, linked in.

mod build;
pub(crate) mod check;
pub(crate) mod convert;
mod document;
pub(crate) mod layer;
mod layout;
mod read;
mod seek;
mod tar;

use std::io;
use std::path::Path;

use erofs_unpack_core::Error;
use erofs_unpack_core::codec::{Backend as GzipBackend, ZstdBackend};
use erofs_unpack_core::oci::{Digest, MediaType, Platform};
use serde_json::{Map, json};

use self::convert::{Outputs, annotations, outcome_outputs, outputs};
pub use self::convert::{place, refusal};
use crate::manifest::{Case, Operation};
use crate::run::{Answer, Backend};

/// Cases that `ruzstd` takes, which is a second opinion: the core's own decoder answers as they say.
/// It has room for weights that there cannot be.
const RUZSTD_TAKES: [&str; 1] = ["zstd/weights-12"];

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
        if matches!(case.operation, Operation::Tar(_) | Operation::Build(_)) {
            return [64 << 10, 1, 7, 1021]
                .map(|input| Self {
                    input,
                    ..Self::DEFAULT
                })
                .to_vec();
        }
        let blobs = matches!(case.operation, Operation::Unpack(_) | Operation::Layout(_));
        if !blobs {
            return vec![Self::DEFAULT];
        }
        let mut all = Self::for_blobs(case.has_flag("large"));
        if RUZSTD_TAKES.contains(&case.id.as_str()) {
            all.retain(|native| native.zstd != ZstdBackend::Ruzstd);
        }
        all
    }

    /// All that a blob can be run with.
    pub(crate) fn for_blobs(large: bool) -> Vec<Self> {
        let mut cuts = vec![(64 << 10, 64 << 10)];
        if !large {
            cuts.extend([(1, 1), (1, 4096), (7, 61), (1021, 64 << 10)]);
        }
        let libraries = [
            (ZstdBackend::Own, GzipBackend::Own),
            (ZstdBackend::Own, GzipBackend::ZlibRs),
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
                .map(|outcome| outcome_outputs(&outcome)),
            Operation::Layout(input) => self.layout(input, folder)?,
            Operation::Check(input) => return check::check(input, folder),
            Operation::Read(input) => read::read(input, folder)?,
            Operation::Seek(input) => seek::seek(input, folder)?,
            Operation::Tar(input) => tar::tar(input, folder, self.input)?,
            Operation::Build(input) => build::build(input, folder, self.input)?,
        };
        Ok(match result {
            Ok(outputs) => Answer::Valid(outputs),
            Err(error) => Answer::Invalid(refusal(&error), Map::new()),
        })
    }
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
