//! Where the frames of a stream lie, by their headers and those of their blocks alone.

use alloc::vec::Vec;

use super::frame::{BLOCK, Descriptor, Magic};
use super::framing::{Framing, Progress, Progressed};
use crate::{At, Code, Error, Limits, Value};

/// Bytes from the start of a zstd frame to its first block; `None` when these are no frame, or not
/// all of its header.
pub(crate) fn frame_header(frame: &[u8]) -> Option<usize> {
    let (magic, rest) = frame.split_first_chunk()?;
    if Magic::of(u32::from_le_bytes(*magic)) != Magic::Zstd {
        return None;
    }
    let header = Descriptor(*rest.first()?).header_length();
    // The header is there as a whole.
    rest.get(..header)?;
    header.checked_add(magic.len())
}

/// A frame of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundFrame {
    /// Its first byte, of its magic.
    pub start: u64,
    /// The byte behind it.
    pub end: u64,
    /// What its header says that it decodes to, in bytes; `None` when it does not say.
    pub content: Option<u64>,
}

/// Finds the frames of a stream without decoding them.
///
/// What lies between them, before them and behind them is skippable frames. Headers are held
/// against the rules, and blocks against their sizes; what is in a block is not looked at.
///
/// Memory: 128 KiB.
#[derive(Debug)]
pub struct FrameScan {
    framing: Framing,
    /// The frame that has begun: where, and what its header says of its content.
    begun: Option<(u64, Option<u64>)>,
    /// A block that arrives in pieces.
    gather: Vec<u8>,
}

impl FrameScan {
    /// At the start of a stream.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            framing: Framing::new(limits, false),
            begun: None,
            gather: Vec::new(),
        }
    }

    /// Takes input until a frame ends or the input is used up, and says how much, and which frame
    /// it is that ended.
    ///
    /// # Errors
    ///
    /// As those of a decoder, for what stands around the blocks; [`Code::ZstdMemory`].
    pub fn scan(&mut self, input: &[u8]) -> Result<(usize, Option<FoundFrame>), Error> {
        let mut rest = input;
        let consumed = |rest: &[u8]| input.len().saturating_sub(rest.len());
        loop {
            // All of the frame is in when what follows the last block is.
            if let Some(found) = self.ended() {
                return Ok((consumed(rest), Some(found)));
            }
            match self.framing.advance(&mut rest)? {
                Progress::Made | Progress::Last | Progress::Checksum { .. } => {}
                Progress::Starved => return Ok((consumed(rest), None)),
                Progress::Frame => {
                    self.begun = Some((self.framing.frame_start(), self.framing.frame().content));
                }
                Progress::Block(block) => {
                    let memory = Error::new(Code::ZstdMemory, At::Blob(self.framing.start()))
                        .found(Value::Number(BLOCK as u64));
                    if self.gather.is_empty() {
                        let reserved = self.gather.try_reserve_exact(BLOCK);
                        reserved.map_err(|_| memory)?;
                        self.gather.resize(BLOCK, 0);
                    }
                    let body = self.framing.body(block, &mut rest, &mut self.gather);
                    if let Progressed::Starved = body.ok_or(memory)? {
                        return Ok((consumed(rest), None));
                    }
                }
            }
        }
    }

    /// The frame that has just ended.
    fn ended(&mut self) -> Option<FoundFrame> {
        if !self.framing.is_between() {
            return None;
        }
        let (start, content) = self.begun.take()?;
        Some(FoundFrame {
            start,
            end: self.framing.offset(),
            content,
        })
    }

    /// Says that there is no more input.
    ///
    /// # Errors
    ///
    /// [`Code::ZstdTruncated`], and what a decoder says of a stream without any frame.
    pub fn finish(&self) -> Result<(), Error> {
        if self.framing.complete() {
            return Ok(());
        }
        Err(self.framing.truncated())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    /// Frames of these contents, with skippable frames before, between and behind them.
    fn stream(contents: &[&[u8]]) -> (Vec<u8>, Vec<FoundFrame>) {
        let skippable = b"\x5e\x2a\x4d\x18\x03\0\0\0abc";
        let mut stream = skippable.to_vec();
        let mut frames = Vec::new();
        for (number, content) in contents.iter().enumerate() {
            let start = stream.len() as u64;
            // Every other one does not state its size, and has a checksum.
            let content_size = if number % 2 == 0 {
                stream.extend(zstd::bulk::compress(content, 1).unwrap());
                Some(content.len() as u64)
            } else {
                let mut encoder = zstd::Encoder::new(&mut stream, 1).unwrap();
                encoder.include_checksum(true).unwrap();
                std::io::Write::write_all(&mut encoder, content).unwrap();
                encoder.finish().unwrap();
                // Of nothing it knows the size before it writes the header.
                content.is_empty().then_some(0)
            };
            frames.push(FoundFrame {
                start,
                end: stream.len() as u64,
                content: content_size,
            });
            stream.extend(skippable);
        }
        (stream, frames)
    }

    fn scan(stream: &[u8], piece: usize) -> Result<Vec<FoundFrame>, Error> {
        let mut scan = FrameScan::new(&Limits::DEFAULT);
        let mut frames = Vec::new();
        for piece in stream.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (consumed, found) = scan.scan(rest)?;
                rest = &rest[consumed..];
                frames.extend(found);
            }
        }
        scan.finish()?;
        Ok(frames)
    }

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let noise: Vec<u8> = (0..300_000_u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let (stream, frames) = stream(&[&noise, b"", b"word", &vec![7; 1 << 20], &noise[..9]]);
        for piece in [1, 2, 3, 1000, stream.len()] {
            assert_eq!(scan(&stream, piece).unwrap(), frames, "{piece}");
        }
        let whole = frames[2].end as usize;
        for cut in frames[2].start as usize + 1..whole {
            let error = scan(&stream[..cut], 1 << 20).unwrap_err();
            assert_eq!(error.code(), Code::ZstdTruncated, "{cut}");
        }
        assert_eq!(scan(&stream[..whole], 5).unwrap(), frames[..3]);
    }

    #[test]
    fn headers_end_where_the_first_block_begins() {
        let (stream, frames) = stream(&[&[1; 100], &[2; 100]]);
        let at = |frame: FoundFrame| &stream[frame.start as usize..frame.end as usize];
        // Descriptor and one byte of size; descriptor and window.
        assert_eq!(frame_header(at(frames[0])), Some(6));
        assert_eq!(frame_header(at(frames[1])), Some(6));
        assert_eq!(frame_header(&at(frames[0])[..5]), None);
        assert_eq!(frame_header(&stream), None);
        assert_eq!(frame_header(b"\x28\xb5\x2f"), None);
    }
}
