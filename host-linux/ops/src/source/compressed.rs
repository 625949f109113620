//! Archives that are compressed as a whole (`.tar.gz`, `.tar.zst`).
//!
//! What is decoded here was made by strangers, as a layer's blob is. So the decoders are the ones
//! that layers have, in the same place: in the sandbox, where there is one ([`Decoding`]). This side
//! moves bytes only. What may come out is bounded: by [`START_READ`] and the first bytes that are
//! looked at, then by [`SourceOptions::archive_size`], and the window by the decoder's own limit.

use std::io::{self, Read};
use std::path::Path;

use erofs_unpack_core::codec::{Compression, Decoder, Status};
use erofs_unpack_core::unpack::{Sniffed, sniff};
use erofs_unpack_core::{Error, Limits};

use super::blob::{BlobReader, Extent};
use super::spool::spool;
use super::{SourceOptions, Start};
use crate::error::HostError;
use crate::sandbox::Sandbox;

/// How many bytes of a compressed source are read to see what is in it: more than the largest
/// block of zstd, and than one of gzip that anybody writes.
pub(super) const START_READ: usize = 256 << 10;

/// How much is read and decoded at a time, in bytes.
const PIECE: usize = 256 << 10;

/// How an archive that is compressed is decoded.
#[derive(Clone, Debug, Default)]
pub struct Decoding {
    /// Where.
    pub sandbox: Sandbox,
    /// What it may ask for: the limits of its codec.
    pub limits: Limits,
}

/// The compression of a source with these first bytes.
pub(super) fn compression(start: &[u8]) -> Option<Compression> {
    match sniff(start) {
        Sniffed::Compressed(compression) => Some(compression),
        _ => None,
    }
}

impl Decoding {
    fn decoder(
        &self,
        path: &Path,
        compression: Compression,
    ) -> Result<Box<dyn Decoder + Send>, HostError> {
        let decoder = self.sandbox.decoder(compression, &self.limits);
        let decoder = decoder.map_err(|error| HostError::refused(path, error))?;
        decoder.ok_or(HostError::Cancelled)
    }

    /// Whether a source with these first bytes, at most [`START_READ`] of them, is a tar archive
    /// when it is decoded. What cannot be decoded is none: who reads it as a blob says why.
    pub(super) fn is_tar(
        &self,
        path: &Path,
        compression: Compression,
        start: &[u8],
    ) -> Result<bool, HostError> {
        let mut decoder = self.decoder(path, compression)?;
        let mut head = [0; Start::SIZE];
        let mut filled = 0;
        let mut input = start;
        while let Some(space) = head.get_mut(filled..).filter(|space| !space.is_empty()) {
            let Ok(step) = decoder.decode(input, space) else {
                break;
            };
            input = input.get(step.consumed..).unwrap_or_default();
            filled += step.produced;
            if step.status != Status::NeedOutput && input.is_empty() {
                break;
            }
        }
        let head = head.get(..filled).unwrap_or_default();
        Ok(Start::of(head) == Start::Tar)
    }

    /// Puts the decoded archive on disk.
    pub(super) fn spool(
        &self,
        path: &Path,
        compression: Compression,
        archive: &Extent,
        options: &SourceOptions,
    ) -> Result<Extent, HostError> {
        let mut decoded = Decoded {
            decoder: self.decoder(path, compression)?,
            source: BlobReader::file_part(path.into(), archive.clone()),
            input: vec![0; PIECE],
            start: 0,
            end: 0,
            more: true,
            refused: None,
        };
        let limit = options.archive_size;
        let spooled = spool(path, &[], &mut decoded, &options.spool, limit);
        match decoded.refused {
            Some(error) => Err(HostError::refused(path, error)),
            None => spooled,
        }
    }
}

/// The decoded bytes of an archive.
struct Decoded {
    decoder: Box<dyn Decoder + Send>,
    source: BlobReader,
    input: Vec<u8>,
    /// What of `input` is still to be decoded.
    start: usize,
    end: usize,
    /// Whether the source has not ended.
    more: bool,
    /// Why the decoder gave up, which an error of reading cannot carry.
    refused: Option<Error>,
}

impl Decoded {
    fn refuse(&mut self, error: Error) -> io::Error {
        self.refused = Some(error);
        io::ErrorKind::InvalidData.into()
    }
}

impl Read for Decoded {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = self.input.get(self.start..self.end).unwrap_or_default();
            let step = self.decoder.decode(input, output);
            let step = step.map_err(|error| self.refuse(error))?;
            self.start += step.consumed;
            if step.produced > 0 {
                return Ok(step.produced);
            }
            if self.start < self.end {
                continue;
            }
            if !self.more {
                self.decoder.finish().map_err(|error| self.refuse(error))?;
                return Ok(0);
            }
            self.start = 0;
            self.end = self.source.read(&mut self.input)?;
            self.more = self.end > 0;
        }
    }
}
