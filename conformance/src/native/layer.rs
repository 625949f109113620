//! One layer through the core's [`Unpacker`].

use std::io::{self, Read};
use std::path::Path;

use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder, Gzip, Raw, Zstd};
use erofs_unpack_core::oci::{self, Digest, MediaType, Role};
use erofs_unpack_core::unpack::{Content, Devices, Expectations, Outcome, Unpacker};
use erofs_unpack_core::verity::Verified;
use erofs_unpack_core::{At, Code, Error, Limits};

use super::Native;
use super::convert::{annotations, limits};
use crate::manifest::UnpackInput;

impl Native {
    /// Unpacks a layer.
    ///
    /// # Errors
    ///
    /// When the blob cannot be read, or is not what the manifest says.
    pub fn unpack(&self, input: &UnpackInput, folder: &Path) -> io::Result<Result<Outcome, Error>> {
        input.blob.verify(folder)?;
        let expected = match expectations(input) {
            Ok(expected) => expected,
            Err(error) => return Ok(Err(error)),
        };
        let limits = limits(&input.limits);
        twice(&expected, |expected| {
            self.stream(input.blob.open(folder)?, expected, &limits)
        })
    }

    /// Pushes a blob through, in pieces. What comes out is not kept.
    pub(super) fn stream(
        &self,
        blob: impl Read,
        expected: &Expectations,
        limits: &Limits,
    ) -> io::Result<Result<Outcome, Error>> {
        match self.decoder(expected.compression, limits) {
            Ok(decoder) => push_all(decoder, blob, expected, limits, (self.input, self.output)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn decoder(&self, compression: Compression, limits: &Limits) -> Result<AnyDecoder, Error> {
        match compression {
            Compression::None => Ok(AnyDecoder::Raw(Raw)),
            Compression::Gzip => {
                let gzip = Gzip::with_backend(self.gzip, limits);
                Ok(AnyDecoder::Gzip(Box::new(gzip)))
            }
            Compression::Zstd => {
                let zstd = Zstd::with_backend(self.zstd, limits);
                Ok(AnyDecoder::Zstd(Box::new(zstd)))
            }
            other => AnyDecoder::new(other, limits),
        }
    }
}

/// What comes of a layer that `run` goes through. The salt of a dm-verity tree that is known only at
/// the end takes a second way.
pub(crate) fn twice(
    expected: &Expectations,
    run: impl Fn(&Expectations) -> io::Result<Result<Outcome, Error>>,
) -> io::Result<Result<Outcome, Error>> {
    let outcome = run(expected)?;
    let mut expected = *expected;
    if let (Ok(outcome), Some(tree)) = (&outcome, &mut expected.verity)
        && let Some(Verified::Again(guess)) = outcome.verity
    {
        tree.guess = guess;
        return run(&expected);
    }
    Ok(outcome)
}

/// Pushes a blob through a decoder, in pieces of these sizes. What comes out is not kept.
pub(crate) fn push_all(
    decoder: impl Decoder,
    mut blob: impl Read,
    expected: &Expectations,
    limits: &Limits,
    (input, output): (usize, usize),
) -> io::Result<Result<Outcome, Error>> {
    let mut unpacker = match Unpacker::new(decoder, expected, limits) {
        Ok(unpacker) => unpacker,
        Err(error) => return Ok(Err(error)),
    };
    let mut output = vec![0; output];
    let mut buffer = vec![0; input];
    loop {
        let read = blob.read(&mut buffer)?;
        let mut piece = &buffer[..read];
        // One call more than the input needs, so that all output is fetched.
        loop {
            let step = match unpacker.push(piece, &mut output) {
                Ok(step) => step,
                Err(error) => return Ok(Err(error)),
            };
            piece = &piece[step.consumed..];
            if piece.is_empty() && step.produced < output.len() {
                break;
            }
            if step.consumed == 0 && step.produced == 0 {
                let text = "the core makes no progress";
                return Err(io::Error::other(text));
            }
        }
        if read == 0 {
            return Ok(unpacker.finish());
        }
    }
}

/// What is expected of a layer that stands by itself.
pub(crate) fn expectations(input: &UnpackInput) -> Result<Expectations, Error> {
    let erofs = annotations(&input.annotations)?;
    let media_type = MediaType::parse(&input.media_type)?;
    let kind = match erofs.role {
        Some(Role::Device) => media_type.device()?,
        _ => media_type.layer()?,
    };
    let mut expected = Expectations::new(kind.compression);
    expected.content = match kind.content {
        oci::Content::Erofs => Content::Erofs,
        oci::Content::Bytes => Content::Bytes,
        // A chunk index belongs to another layer, and none is here.
        _ => return Err(Error::new(Code::MediaTypeUnknown, At::Whole)),
    };
    expected.blob_digest = input.digest.as_deref().map(Digest::parse).transpose()?;
    expected.blob_size = input.size;
    expected.diff_id = input.diff_id.as_deref().map(Digest::parse).transpose()?;
    if let Some(devices) = input.devices {
        expected.devices = Devices::Attached(devices);
    }
    expected.verity = erofs.verity_tree();
    expected.chunk_index = erofs.chunk_index_range.map(|range| range.offset);
    Ok(expected)
}
