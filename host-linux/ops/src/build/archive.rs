//! From a tar archive to an image: the pipeline decodes and hashes it, the core takes it apart.

use std::fs::File;
use std::io;
use std::path::Path;

use erofs_unpack_core::Error;
use erofs_unpack_core::build::{BuildError, TarBuilder};
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::tar::Entry;
use erofs_unpack_core::unpack::{Content, Expectations, Outcome, SNIFF_SIZE, Sniffed, sniff};
use sha1::{Digest as _, Sha1};

use super::filter::{Filter, plain};
use super::output::ImageOutput;
use super::{Archive, Fault, Made, Options, Uuid};
use crate::error::HostError;
use crate::pipeline::{self, Progress, Sink, Stop, Terms};
use crate::report::shown;
use crate::source::{Source, SourceOptions};
use crate::verity::uuid_of;

/// Makes an image of the archive in a file, or on the standard input.
pub(super) fn build_source(
    source: &Path,
    file: &File,
    options: &Options,
    progress: &Progress,
) -> Result<Made, Fault> {
    let blob = SourceOptions {
        blob: true,
        ..SourceOptions::default()
    };
    let opened = Source::open(source, &blob).map_err(Fault::Source)?;
    let Source::Blob(mut blob) = opened else {
        let usage = format!("{}: expected a tar archive or a folder", shown(source));
        return Err(Fault::Source(HostError::Usage(usage)));
    };
    let head = blob.peek(SNIFF_SIZE);
    let head =
        head.map_err(|error| Fault::Source(HostError::environment(source, "read", error)))?;
    let compression = match sniff(&head) {
        Sniffed::Compressed(compression) => compression,
        _ => Compression::None,
    };
    let mut expected = Expectations::new(compression);
    expected.content = Content::Bytes;
    build_archive(&mut blob, source, &expected, file, options, progress)
}

/// Makes an image of the archive that comes out of a blob, and verifies that.
pub(crate) fn build_archive(
    blob: &mut (dyn io::Read + Send),
    place: &Path,
    expected: &Expectations,
    file: &File,
    options: &Options,
    progress: &Progress,
) -> Result<Made, Fault> {
    let limits = &options.limits;
    let refused = |error: Error| Fault::Source(HostError::refused(place, error));
    let output = ImageOutput::new(file);
    let builder = TarBuilder::new(output, &options.form, limits).map_err(refused)?;
    let mut sink = Taking {
        builder,
        filter: &options.filter,
        refused: None,
    };
    let terms = Terms::from(limits);
    let outcome = pipeline::run(blob, &mut sink, expected, &terms, progress);
    let outcome: Outcome = match outcome {
        Ok(outcome) => outcome,
        Err(stop) => {
            return Err(match (stop, sink.refused) {
                (Stop::Write(_), Some(error)) => refused(error),
                (Stop::Write(error), None) => Fault::Write(error),
                (Stop::Refused(error), _) => refused(error),
                (Stop::Read(error), _) => {
                    Fault::Source(HostError::environment(place, "read", error))
                }
                (Stop::Start(error), _) => Fault::Source(HostError::environment(
                    place,
                    "start a thread for it",
                    error,
                )),
                (Stop::Cancelled, _) => Fault::Source(HostError::Cancelled),
            });
        }
    };
    let uuid = match options.uuid {
        Uuid::Content => uuid_of(&outcome.diff_id),
        Uuid::Containerd => containerd(&outcome.blob_digest),
        Uuid::Fixed(uuid) => uuid,
    };
    let finished = sink.builder.finish(Some(uuid));
    let (_, built) = finished.map_err(|error| match error {
        BuildError::Refused(error) => refused(error),
        BuildError::Output(error) => Fault::Write(error),
    })?;
    file.set_len(built.summary.size).map_err(Fault::Write)?;
    Ok(Made {
        built,
        tar: Some(Archive {
            diff_id: outcome.diff_id,
            digest: outcome.blob_digest,
            size: outcome.image_size,
        }),
    })
}

/// The namespace of URLs: 6ba7b811-9dad-11d1-80b4-00c04fd430c8 (RFC 9562, 6.6).
const URL: [u8; 16] = 0x6ba7_b811_9dad_11d1_80b4_00c0_4fd4_30c8_u128.to_be_bytes();

/// The UUID that containerd gives to the image of a blob (`plugins/diff/erofs` of containerd 2.2).
fn containerd(digest: &Digest) -> [u8; 16] {
    let name = format!("erofs:blobs/{digest}");
    let hash = Sha1::new().chain_update(URL).chain_update(name).finalize();
    let mut uuid = [0; 16];
    for (byte, from) in uuid.iter_mut().zip(hash) {
        *byte = from;
    }
    // Version 5, and the variant of RFC 9562.
    uuid[6] = 0x50 | (uuid[6] & 0x0f);
    uuid[8] = 0x80 | (uuid[8] & 0x3f);
    uuid
}

/// Takes the archive.
struct Taking<'a> {
    builder: TarBuilder<ImageOutput<'a>>,
    filter: &'a Filter,
    refused: Option<Error>,
}

impl Sink for Taking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let filter = self.filter;
        let mut each = |entry: &mut Entry| {
            if filter.is_empty() {
                return true;
            }
            let path = plain(&entry.path);
            (entry.uid, entry.gid) = filter.owner(entry.uid, entry.gid);
            if let Some(xattrs) = filter.xattrs(&path) {
                entry.xattrs = xattrs.to_vec();
            }
            !filter.excludes(&path)
        };
        self.builder
            .push(bytes, &mut each)
            .map_err(|error| match error {
                BuildError::Output(error) => error,
                BuildError::Refused(error) => {
                    self.refused = Some(error);
                    io::Error::other("the archive is refused")
                }
            })
    }
}
