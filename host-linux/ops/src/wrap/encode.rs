//! One chunk of an image as bytes of a blob. Which thread encodes it makes no difference.

use std::io;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{Algorithm, Digest};
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream;
use miniz_oxide::{MZFlush, MZStatus};
use structured_zstd::encoding::{CompressionLevel, FrameCompressor};

/// How much room deflate is given at a time, in bytes.
const ROOM: usize = 64 << 10;
/// Bits of the window of deflate: the largest there is. Below zero they ask for no header.
const WINDOW_BITS: i32 = 15;
/// `Z_DEFAULT_STRATEGY`.
const DEFAULT_STRATEGY: i32 = 0;

/// A chunk on its way into the blob.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) image: Vec<u8>,
    /// Whether the image ends with it.
    pub(super) last: bool,
}

/// A chunk that has been encoded.
#[derive(Debug)]
pub(super) struct Encoded {
    /// What it was made of.
    pub(super) image: Vec<u8>,
    /// Its bytes in the blob; `None` where they are those of the image.
    pub(super) blob: Option<Vec<u8>>,
    /// SHA-256 of its bytes in the blob.
    pub(super) digest: Option<Digest>,
    /// CRC-32 of its bytes in the image, for gzip.
    pub(super) crc: crc32fast::Hasher,
}

impl Encoded {
    /// Its bytes in the blob.
    pub(super) fn blob(&self) -> &[u8] {
        self.blob.as_ref().unwrap_or(&self.image)
    }
}

/// Encodes chunks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoder {
    pub(super) compression: Compression,
    pub(super) level: i32,
    /// Whether chunks have digests.
    pub(super) digests: bool,
}

impl Encoder {
    /// Encodes one chunk.
    ///
    /// Nothing is carried over from one to the next, not even memory: so the same chunk always
    /// makes the same bytes.
    pub(super) fn encode(&self, job: Job) -> io::Result<Encoded> {
        let Job { image, last } = job;
        let mut crc = crc32fast::Hasher::new();
        let blob = match self.compression {
            Compression::Zstd => Some(zstd(&image, self.level)),
            Compression::Gzip => {
                crc.update(&image);
                Some(deflate(&image, self.level, last)?)
            }
            _ => None,
        };
        let content = blob.as_ref().unwrap_or(&image);
        let digest = self.digests.then(|| Algorithm::Sha256.digest(content));
        Ok(Encoded {
            image,
            blob,
            digest,
            crc,
        })
    }
}

/// A frame that states the size of its content, with a checksum of it.
fn zstd(content: &[u8], level: i32) -> Vec<u8> {
    let mut encoder: FrameCompressor = FrameCompressor::new(CompressionLevel::from_level(level));
    encoder.set_content_checksum(true);
    encoder.compress_independent_frame(content)
}

/// Blocks of deflate that end at a byte, of which others may follow unless it is the last.
fn deflate(content: &[u8], level: i32, last: bool) -> io::Result<Vec<u8>> {
    let flags = create_comp_flags_from_zip_params(level, -WINDOW_BITS, DEFAULT_STRATEGY);
    let mut state = Box::new(CompressorOxide::new(flags));
    let flush = if last { MZFlush::Finish } else { MZFlush::Sync };
    let mut output = Vec::new();
    let mut rest = content;
    loop {
        let start = output.len();
        output.resize(start.saturating_add(ROOM), 0);
        let room = output.get_mut(start..).unwrap_or_default();
        let step = stream::deflate(&mut state, rest, room, flush);
        let status = step
            .status
            .map_err(|error| io::Error::other(format!("deflate: {error:?}")))?;
        rest = rest.get(step.bytes_consumed..).unwrap_or_default();
        output.truncate(start.saturating_add(step.bytes_written));
        // A flush is complete when it leaves room.
        let complete = match status {
            MZStatus::StreamEnd => true,
            _ => !last && rest.is_empty() && step.bytes_written < ROOM,
        };
        if complete {
            return Ok(output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zstd_chunk_is_one_frame_with_size_and_checksum() {
        let content: Vec<u8> = (0..300_000_u32).map(|i| (i / 7 % 251) as u8).collect();
        for level in 1..=22 {
            let frame = zstd(&content, level);
            // Descriptor: a size, a checksum, no dictionary.
            assert_eq!(frame[4] & 0b0000_0111, 4, "level {level}");
            assert!(frame[4] & 0b1110_0000 != 0, "level {level}");
            assert_eq!(::zstd::decode_all(&frame[..]).unwrap(), content);
        }
    }

    #[test]
    fn deflate_blocks_join() {
        let content: Vec<u8> = (0..200_000_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 21) as u8)
            .collect();
        for level in 1..=9 {
            for at in [0, 1, 65_536, 100_001] {
                let (first, second) = content.split_at(at);
                let mut joined = deflate(first, level, false).unwrap();
                joined.extend(deflate(second, level, true).unwrap());
                let mut decoded = Vec::new();
                let mut decoder = flate2::read::DeflateDecoder::new(&joined[..]);
                io::Read::read_to_end(&mut decoder, &mut decoded).unwrap();
                assert_eq!(decoded, content, "level {level}, {at}");
            }
        }
    }
}
