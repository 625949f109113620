//! The operation `index add`: an index for a blob of several frames that has none, or another.

use core::hash::Hasher as _;
use std::collections::BTreeMap;
use std::path::Path;

use erofs_unpack_core::codec::{Compression, Decoder as _, FoundFrame, FrameScan, Status, Zstd};
use erofs_unpack_core::oci::{Algorithm, ByteRange, Digest, Hasher, keys};
use erofs_unpack_core::seekable::align;
use erofs_unpack_core::{At, Code, Error, Limits, Value};
use twox_hash::XxHash64;

use super::layer::{Meant, Opened, open_layer};
use super::report::{Report, WrittenReport};
use crate::done::Done;
use crate::error::{HostError, SourceFault};
use crate::report::shown;
use crate::system::FileExt as _;
use crate::wrap::{Destination, Ending, Index, Output, Table, range};

/// How much of the blob is looked at a time for frames, in bytes.
const PIECE: u64 = 1 << 20;
/// How much of a frame is decoded at a time, in bytes.
const PIECE_DECODED: usize = 256 << 10;
/// Bytes before the content of a skippable frame.
const FRAME: usize = 8;

/// Which index is written, and how.
#[derive(Clone, Copy, Debug)]
pub struct AddOptions {
    /// Which.
    pub index: Index,
    /// Write the index alone, as the blob of a layer of its own, and leave the blob as it is. Else
    /// a new blob is written, which ends with the index.
    pub standalone: bool,
    /// Replace a file that exists.
    pub force: bool,
    /// What the blob may ask for.
    pub limits: Limits,
}

/// Writes an index for the zstd blob of a layer, whose frames become its chunks.
///
/// All frames are decoded, so that what the index says of them is true. In a new blob the frames
/// are those of the old one, and skippable frames are left out, an index among them: what it decodes
/// to stays the same, and so does the layer's diffID. Nothing appears under its final name before
/// all of it is written.
///
/// The report is there also when something is refused: [`Done::ok`] tells.
pub fn add(
    source: &Path,
    destination: &Destination,
    meant: &Meant,
    options: &AddOptions,
) -> Done<Report> {
    Done::run(Report::new("index add", source), |done| {
        if options.standalone && options.index != Index::Erofs {
            return Err(HostError::Usage(
                "--standalone: a seek table is a part of its blob: expected --index erofs".into(),
            ));
        }
        let output = Output::create(destination, options.force)?;
        let layer = open_layer(source, meant, &options.limits)?;
        done.report.blob = Some(shown(&layer.place));
        if layer.compression != Compression::Zstd {
            return Err(HostError::Usage(format!(
                "{}: is no zstd blob: expected one of several frames; wrap makes one of an image",
                shown(&layer.place)
            )));
        }
        let image = layer
            .diff_id
            .map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let adding = Adding {
            layer: &layer,
            options,
            output: &output,
            table: Table::new(options.index, Compression::Zstd),
            ready: None,
            hasher: Hasher::new(Algorithm::Sha256),
            image: Hasher::new(image),
            position: 0,
        };
        let mut written = adding.run()?;
        written.file = output.name();
        output.publish()?;
        done.report.written = Some(written);
        Ok(())
    })
}

/// A frame that has been decoded, and what of it goes into an index.
struct Ready {
    bytes: Vec<u8>,
    /// Where it ends in the old blob.
    end: u64,
    /// Bytes that it decodes to, and the low half of their XXH64.
    size: u64,
    checksum: u32,
}

struct Adding<'a> {
    layer: &'a Opened,
    options: &'a AddOptions,
    output: &'a Output,
    table: Table,
    /// The frame before: whether it is the last is known when there is none behind it.
    ready: Option<Ready>,
    hasher: Hasher,
    image: Hasher,
    /// How much was written.
    position: u64,
}

impl Adding<'_> {
    fn run(mut self) -> Result<WrittenReport, HostError> {
        let old = self.frames()?;
        let diff_id = self.image.clone().finish();
        let stated = [
            (Code::BlobDigest, old, self.layer.digest),
            (Code::DiffId, diff_id, self.layer.diff_id),
        ];
        for (code, found, stated) in stated {
            if let Some(stated) = stated.filter(|stated| *stated != found) {
                let error = Error::new(code, At::Whole)
                    .found(Value::Digest(found))
                    .expected(Value::Digest(stated));
                return Err(self.refused(error));
            }
        }
        self.last()?;
        let end = self.position;
        let table = core::mem::replace(&mut self.table, Table::None);
        let Ending { bytes, digest } = table.finish().map_err(|error| self.refused(error))?;
        let mut annotations = BTreeMap::new();
        if self.options.standalone {
            // There is no frame around it in a blob of its own.
            self.put(bytes.get(FRAME..).unwrap_or_default())?;
            annotations.insert(keys::CHUNK_INDEX_TARGET, old.to_string());
        } else {
            self.put(&bytes)?;
            annotations.insert(keys::UNCOMPRESSED_DIGEST, diff_id.to_string());
            if let Some(digest) = digest {
                let section = ByteRange {
                    offset: end,
                    end: Some(self.position),
                };
                annotations.insert(keys::CHUNK_INDEX_RANGE, range(section));
                annotations.insert(keys::CHUNK_INDEX_DIGEST, digest.to_string());
            }
        }
        Ok(WrittenReport {
            file: None,
            media_type: if self.options.standalone {
                "application/vnd.erofs.chunk-index.v1"
            } else {
                "application/vnd.erofs+zstd"
            },
            digest: self.hasher.finish().to_string(),
            size: self.position,
            annotations,
        })
    }

    fn refused(&self, error: Error) -> HostError {
        HostError::refused(&self.layer.place, error)
    }

    fn fault(&self, fault: SourceFault) -> HostError {
        HostError::source_fault(&self.layer.place, fault)
    }

    fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>, HostError> {
        let read = self.layer.file.read_vec(offset, length);
        read.map_err(|error| HostError::environment(&self.layer.place, "read", error))
    }

    /// Writes bytes.
    fn put(&mut self, bytes: &[u8]) -> Result<(), HostError> {
        let written = self.output.file().write_all_at(bytes, self.position);
        written.map_err(|error| self.output.failed(error))?;
        self.hasher.update(bytes);
        self.position = self.position.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Goes through all frames, and gives the digest of the old blob.
    fn frames(&mut self) -> Result<Digest, HostError> {
        let Opened { size, digest, .. } = *self.layer;
        let algorithm = digest.map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let mut hasher = Hasher::new(algorithm);
        let mut scan = FrameScan::new(&self.options.limits);
        let mut position = 0;
        while position < size {
            let length = size.saturating_sub(position).min(PIECE);
            let piece = self.read(position, length)?;
            hasher.update(&piece);
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let scanned = scan.scan(rest);
                let (consumed, found) = scanned.map_err(|error| self.refused(error))?;
                rest = rest.get(consumed..).unwrap_or_default();
                if let Some(found) = found {
                    self.frame(&found)?;
                }
            }
            position = position.saturating_add(length);
        }
        scan.finish().map_err(|error| self.refused(error))?;
        Ok(hasher.finish())
    }

    /// The next frame.
    fn frame(&mut self, frame: &FoundFrame) -> Result<(), HostError> {
        let before = self.ready.as_ref().map_or(0, |ready| ready.end);
        if self.options.standalone && frame.start != before {
            // Chunks follow each other with nothing between them.
            return Err(self.fault(SourceFault::FramesSkippable));
        }
        let limit = self.options.limits.chunk;
        let length = frame.end.saturating_sub(frame.start);
        if length > limit || frame.content.is_some_and(|content| content > limit) {
            return Err(self.fault(SourceFault::FramesWhole));
        }
        let bytes = self.read(frame.start, length)?;
        let (size, checksum) = self.decode(frame.start, &bytes)?;
        if size == 0 {
            // No chunk is empty, and nothing is lost without it.
            return Ok(());
        }
        let next = Ready {
            bytes,
            end: frame.end,
            size,
            checksum,
        };
        match self.ready.replace(next) {
            Some(ready) => self.chunk(&ready),
            None => Ok(()),
        }
    }

    /// Decodes a frame, which begins here in the blob, and gives the size of its content and the low
    /// half of the XXH64 of it.
    fn decode(&mut self, start: u64, bytes: &[u8]) -> Result<(u64, u32), HostError> {
        let moved = |error: Error| match error.at() {
            At::Blob(at) => error.moved(At::Blob(start.saturating_add(at))),
            _ => error,
        };
        let limits = &self.options.limits;
        let mut decoder = Zstd::new(limits);
        let mut xxh64 = XxHash64::with_seed(0);
        let mut output = vec![0; PIECE_DECODED];
        let (mut rest, mut size) = (bytes, 0_u64);
        loop {
            let step = decoder.decode(rest, &mut output);
            let step = step.map_err(|error| self.refused(moved(error)))?;
            let decoded = output.get(..step.produced).unwrap_or_default();
            xxh64.write(decoded);
            self.image.update(decoded);
            size = size.saturating_add(step.produced as u64);
            if size > limits.chunk {
                return Err(self.fault(SourceFault::FramesWhole));
            }
            rest = rest.get(step.consumed..).unwrap_or_default();
            if rest.is_empty() && step.status != Status::NeedOutput {
                break;
            }
        }
        let finished = decoder.finish();
        finished.map_err(|error| self.refused(moved(error)))?;
        let half = u32::try_from(xxh64.finish() & u64::from(u32::MAX));
        Ok((size, half.unwrap_or(0)))
    }

    /// Writes a frame, and notes it as a chunk.
    fn chunk(&mut self, ready: &Ready) -> Result<(), HostError> {
        let digest = Algorithm::Sha256.digest(&ready.bytes);
        let length = ready.bytes.len() as u64;
        let pushed = self
            .table
            .push(length, ready.size, Some(digest), ready.checksum);
        pushed.map_err(|error| self.refused(error))?;
        if self.options.standalone {
            return Ok(());
        }
        self.put(&ready.bytes)
    }

    /// The last frame.
    fn last(&mut self) -> Result<(), HostError> {
        let Some(mut ready) = self.ready.take() else {
            return Ok(());
        };
        if self.options.standalone {
            // What is behind it belongs to it, by the formula of the draft (3.4.2).
            let length = self.layer.size.saturating_sub(ready.end);
            if length > self.options.limits.chunk {
                return Err(self.fault(SourceFault::FramesSkippable));
            }
            let behind = self.read(ready.end, length)?;
            ready.bytes.extend(behind);
        } else if self.table.is_aligned() {
            let aligned = align(&mut ready.bytes, self.position);
            aligned.map_err(|error| self.refused(error))?;
        }
        self.chunk(&ready)
    }
}
