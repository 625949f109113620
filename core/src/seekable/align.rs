//! A frame that ends where a chunk index may begin.
//!
//! The skippable frame of a chunk index should begin at a multiple of four bytes (EROFS image layer
//! specification, draft, `spec.md` 3.4.3). A skippable frame for padding before it would leave open
//! whose bytes these are: by the formula of 3.4.2 the last chunk's, and so its checksum's. So it is
//! the last frame itself that is made longer, by blocks that hold nothing (RFC 8878, 3.1.1.2).

use alloc::vec::Vec;

use crate::codec::frame_header;
use crate::{At, Code, Error, Value};

/// A raw block of no bytes that is not the last of its frame: three zeros.
const EMPTY_BLOCK: usize = 3;
/// What the index is to begin at a multiple of, in bytes.
const ALIGNMENT: u64 = 4;

/// Makes a zstd frame longer, by up to nine bytes, so that it ends at a multiple of four of the
/// blob, where it begins `start` bytes into it. What it decodes to stays the same, and the header
/// and the checksum do.
///
/// # Errors
///
/// [`Code::ChunkFrame`] when these are no zstd frame, [`Code::ChunkMemory`] without memory for the
/// bytes.
pub fn align(frame: &mut Vec<u8>, start: u64) -> Result<(), Error> {
    let Some(header) = frame_header(frame) else {
        return Err(
            Error::new(Code::ChunkFrame, At::Blob(start)).expected(Value::Text("one zstd frame"))
        );
    };
    let end = start.saturating_add(frame.len() as u64);
    // Each block of three bytes takes one off what is over.
    let blocks = usize::try_from(end % ALIGNMENT).unwrap_or(0);
    let length = blocks.saturating_mul(EMPTY_BLOCK);
    let reserved = frame.try_reserve(length);
    reserved.map_err(|_| Error::new(Code::ChunkMemory, At::Blob(start)))?;
    let blocks = core::iter::repeat_n(0, length);
    // What is cut off is put back behind the blocks.
    drop(frame.splice(header..header, blocks));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::codec::{Decoder as _, Zstd, ZstdBackend};
    use std::vec;

    /// One frame of raw content, with its size in the header.
    fn frame(content: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(content, 3).unwrap()
    }

    #[test]
    fn frames_end_aligned_and_decode_to_the_same() {
        for length in [0, 1, 2, 3, 4, 255, 256, 70_000, 300_000] {
            let content: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            for start in 0..8 {
                let mut aligned = frame(&content);
                let before = aligned.len();
                align(&mut aligned, start).unwrap();
                assert_eq!((start + aligned.len() as u64) % 4, 0);
                assert!(aligned.len() - before <= 9);
                assert_eq!(zstd::decode_all(&aligned[..]).unwrap(), content);
                let mut once = vec![0; length];
                assert_eq!(
                    zstd::bulk::decompress_to_buffer(&aligned, &mut once).unwrap(),
                    length
                );
                assert_eq!(once, content);
                for backend in ZstdBackend::ALL {
                    let mut decoder = Zstd::with_backend(*backend, &Limits::DEFAULT);
                    let mut output = vec![0; length + 1];
                    let mut produced = 0;
                    let mut rest = &aligned[..];
                    while !rest.is_empty() {
                        let step = decoder.decode(rest, &mut output[produced..]).unwrap();
                        rest = &rest[step.consumed..];
                        produced += step.produced;
                    }
                    decoder.finish().unwrap();
                    assert_eq!(&output[..produced], content);
                }
                let mut again = aligned.clone();
                align(&mut again, start).unwrap();
                assert_eq!(again, aligned);
            }
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bytes in [
            &b""[..],
            b"\x28\xb5\x2f\xfd",
            b"\x50\x2a\x4d\x18\0\0\0\0",
            b"\x28\xb5\x2f\xfd\xa4\0\0",
        ] {
            let error = align(&mut bytes.to_vec(), 7).unwrap_err();
            assert_eq!((error.code(), error.at()), (Code::ChunkFrame, At::Blob(7)));
        }
    }
}
