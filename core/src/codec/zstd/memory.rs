//! A frame that is in memory as a whole, with the memory for its content.
//!
//! The framing is read and held against the rules as in a stream, but the library decodes all
//! blocks in one go, straight into the caller's memory, which is its window too.

use twox_hash::XxHash64;

use super::Zstd;
use super::frame::{self, Block, Descriptor, Frame};

impl Zstd {
    /// Fills `output` with the content of the one frame that `input` is, and says whether
    /// that worked.
    ///
    /// It does not for a frame that does not declare just this size, for one that is wrong in
    /// any way, and with libraries that cannot do it; the decoder as such says why. What that
    /// has begun is not touched.
    pub(crate) fn decode_whole(&mut self, input: &[u8], output: &mut [u8]) -> bool {
        let Some(checksum) = framing(input, self.window_limit, output.len()) else {
            return false;
        };
        let decoded = self.engine.whole(input, output);
        if !decoded.is_ok_and(|size| size == output.len()) {
            return false;
        }
        checksum.is_none_or(|stated| {
            let computed = XxHash64::oneshot(0, output) & 0xFFFF_FFFF;
            u64::from(stated) == computed
        })
    }
}

/// Walks over the headers of a frame that must end with `input` and declare this size, not
/// zero. Gives the checksum, if there is one; `None` when something does not fit.
fn framing(input: &[u8], window_limit: u64, size: usize) -> Option<Option<u32>> {
    let (magic, rest) = input.split_at_checked(4)?;
    let descriptor = Descriptor(*rest.first()?);
    if frame::word(magic) != Some(frame::MAGIC) || descriptor.reserved() || size == 0 {
        return None;
    }
    let (header, mut rest) = rest.split_at_checked(descriptor.header_length())?;
    let frame = Frame::read(header, window_limit).ok()?;
    if frame.content != Some(size as u64) {
        return None;
    }
    loop {
        let (header, body) = rest.split_first_chunk::<3>()?;
        let block = Block::read(*header, frame.block_maximum()).ok()?;
        rest = body.get(block.wire_size()..)?;
        if block.last {
            break;
        }
    }
    if frame.checksum {
        let checksum = frame::word(rest)?;
        (rest.len() == 4).then_some(Some(checksum))
    } else {
        rest.is_empty().then_some(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Backend;
    use super::*;
    use crate::Limits;
    use std::vec;
    use std::vec::Vec;

    fn frame(checksum: bool) -> (Vec<u8>, Vec<u8>) {
        let content: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| (n % 977).to_le_bytes())
            .collect();
        let mut encoder = zstd::bulk::Compressor::new(3).unwrap();
        encoder.include_checksum(checksum).unwrap();
        encoder.window_log(17).unwrap();
        (encoder.compress(&content).unwrap(), content)
    }

    #[test]
    fn only_the_very_frame_passes() {
        for checksum in [false, true] {
            let (frame, content) = frame(checksum);
            let mut zstd = Zstd::with_backend(Backend::Structured, &Limits::DEFAULT);
            let mut output = vec![0; content.len()];
            assert!(zstd.decode_whole(&frame, &mut output));
            assert!(output == content);
            assert!(!zstd.decode_whole(&frame[..frame.len() - 1], &mut output));
            assert!(!zstd.decode_whole(&frame, &mut output[1..]));
            assert!(!zstd.decode_whole(&frame, &mut vec![0; content.len() + 1]));
            let mut longer = frame.clone();
            longer.push(0);
            assert!(!zstd.decode_whole(&longer, &mut output));
            // A skippable frame without content.
            longer.pop();
            longer.extend_from_slice(&[0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]);
            assert!(!zstd.decode_whole(&longer, &mut output));
            // And the decoder still works.
            assert!(zstd.decode_whole(&frame, &mut output));
            assert!(output == content);
        }
    }

    #[test]
    fn a_wrong_checksum_or_window_does_not_pass() {
        let (mut frame, content) = frame(true);
        let mut output = vec![0; content.len()];
        let mut zstd = Zstd::with_backend(Backend::Structured, &Limits::DEFAULT);
        *frame.last_mut().unwrap() ^= 1;
        assert!(!zstd.decode_whole(&frame, &mut output));
        *frame.last_mut().unwrap() ^= 1;
        let narrow = Limits {
            zstd_window: 1 << 16,
            ..Limits::DEFAULT
        };
        let mut zstd = Zstd::with_backend(Backend::Structured, &narrow);
        assert!(!zstd.decode_whole(&frame, &mut output));
    }

    #[test]
    fn the_other_library_leaves_it_to_the_stream() {
        let (frame, content) = frame(false);
        let mut zstd = Zstd::with_backend(Backend::Ruzstd, &Limits::DEFAULT);
        assert!(!zstd.decode_whole(&frame, &mut vec![0; content.len()]));
    }
}
