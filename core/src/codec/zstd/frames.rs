//! Where the frames of a stream lie, by their headers and those of their blocks alone.

use super::frame::{Block, Descriptor, Magic};
use super::framing::{Framing, Progress};
use crate::{Error, Limits};

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
    /// What its blocks can decode to at most, in bytes.
    pub most: u64,
}

/// Finds the frames of a stream without decoding them.
///
/// What lies between them, before them and behind them is skippable frames. Headers are held
/// against the rules, and blocks against their sizes; what is in a block is not looked at, so who
/// can read the stream at any offset need not read it: [`Self::unread`] says how much follows of it.
#[derive(Debug)]
pub struct FrameScan {
    framing: Framing,
    /// The frame that has begun, up to here.
    begun: Option<FoundFrame>,
    /// Where the block begins that was counted last.
    counted: u64,
}

impl FrameScan {
    /// At the start of a stream.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            framing: Framing::new(limits, false),
            begun: None,
            counted: 0,
        }
    }

    /// Where the next byte lies in the stream.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.framing.offset()
    }

    /// The frame that has begun and not ended, up to the next byte.
    #[must_use]
    pub const fn begun(&self) -> Option<FoundFrame> {
        match self.begun {
            Some(begun) => Some(FoundFrame {
                end: self.framing.offset(),
                ..begun
            }),
            None => None,
        }
    }

    /// How many of the next bytes are not looked at.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.framing.unread()
    }

    /// Goes over so many of the bytes that are not looked at, as if they had been taken.
    pub fn skip(&mut self, bytes: u64) {
        self.framing.pass(bytes);
    }

    /// Takes input until a frame ends or the input is used up, and says how much, and which frame
    /// it is that ended. A frame may end without further input.
    ///
    /// # Errors
    ///
    /// As those of a decoder, for what stands around the blocks.
    pub fn scan(&mut self, input: &[u8]) -> Result<(usize, Option<FoundFrame>), Error> {
        let mut rest = input;
        let consumed = |rest: &[u8]| input.len().saturating_sub(rest.len());
        loop {
            // All of the frame is in when what follows the last block is.
            if let Some(found) = self.ended() {
                return Ok((consumed(rest), Some(found)));
            }
            if let Some(block) = self.framing.block() {
                self.count(block);
            }
            let unread = usize::try_from(self.unread()).unwrap_or(usize::MAX);
            let passed = unread.min(rest.len());
            if passed > 0 {
                self.skip(passed as u64);
                rest = rest.get(passed..).unwrap_or_default();
                continue;
            }
            match self.framing.advance(&mut rest)? {
                Progress::Made | Progress::Last | Progress::Checksum { .. } => {}
                Progress::Starved => return Ok((consumed(rest), None)),
                Progress::Frame => {
                    self.begun = Some(FoundFrame {
                        start: self.framing.frame_start(),
                        end: self.framing.offset(),
                        content: self.framing.frame().content,
                        most: 0,
                    });
                }
                Progress::Block(_) if self.unread() > 0 => return Ok((consumed(rest), None)),
                Progress::Block(_) => self.skip(0),
            }
        }
    }

    /// Counts what the block that is next decodes to at most.
    fn count(&mut self, block: Block) {
        let start = self.framing.start();
        if let Some(begun) = self.begun.as_mut().filter(|_| self.counted != start) {
            let most = self.framing.frame().block_maximum();
            let most = block.content_size().unwrap_or(most);
            begun.most = begun.most.saturating_add(most as u64);
            self.counted = start;
        }
    }

    /// The frame that has just ended.
    fn ended(&mut self) -> Option<FoundFrame> {
        if !self.framing.is_between() {
            return None;
        }
        let found = self.begun();
        self.begun = None;
        found
    }

    /// Says that there is no more input.
    ///
    /// # Errors
    ///
    /// [`Code::ZstdTruncated`](crate::Code::ZstdTruncated), and what a decoder says of a stream
    /// without any frame.
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
    use crate::Code;
    use std::vec;
    use std::vec::Vec;

    /// Bytes of the longest block: Miri takes its time for each byte.
    const LONGEST: usize = if cfg!(miri) { 70 } else { 70_000 };

    /// A frame of raw blocks, and one of its bytes over and over; with a window of 128 KiB, or with
    /// the size of its content. Every other one has a checksum, which nobody looks at.
    fn frame(blocks: &[&[u8]], has_size: bool, has_checksum: bool) -> Vec<u8> {
        let length: usize = blocks.iter().map(|block| block.len()).sum();
        let checksum = u8::from(has_checksum) << 2;
        let mut frame = b"\x28\xb5\x2f\xfd".to_vec();
        if has_size {
            frame.push(0xA0 | checksum);
            frame.extend(u32::try_from(length + 9).unwrap().to_le_bytes());
        } else {
            frame.extend([checksum, 7 << 3]);
        }
        for block in blocks {
            let header = u32::try_from(block.len() << 3).unwrap();
            frame.extend(&header.to_le_bytes()[..3]);
            frame.extend(*block);
        }
        // The last one: nine times the byte 5.
        frame.extend([9 << 3 | 2 | 1, 0, 0, 5]);
        frame.extend(has_checksum.then_some(b"hash").into_iter().flatten());
        frame
    }

    /// Frames of these blocks, with skippable frames before, between and behind them.
    fn stream(contents: &[&[&[u8]]]) -> (Vec<u8>, Vec<FoundFrame>) {
        let skippable = b"\x5e\x2a\x4d\x18\x03\0\0\0abc";
        let mut stream = skippable.to_vec();
        let mut frames = Vec::new();
        for (number, blocks) in contents.iter().enumerate() {
            let start = stream.len() as u64;
            let has_size = number % 2 == 0;
            stream.extend(frame(blocks, has_size, number % 3 == 1));
            let length: usize = blocks.iter().map(|block| block.len()).sum();
            let most = length as u64 + 9;
            frames.push(FoundFrame {
                start,
                end: stream.len() as u64,
                content: has_size.then_some(most),
                most,
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
        frames.extend(scan.scan(&[])?.1);
        scan.finish()?;
        Ok(frames)
    }

    /// As [`scan`], without a look at what need not be looked at.
    fn skim(stream: &[u8], piece: usize) -> (Vec<FoundFrame>, usize) {
        let mut scan = FrameScan::new(&Limits::DEFAULT);
        let (mut frames, mut looked) = (Vec::new(), 0);
        loop {
            scan.skip(scan.unread());
            let at = usize::try_from(scan.offset()).unwrap();
            let rest = &stream[at..];
            let rest = &rest[..rest.len().min(piece)];
            let (consumed, found) = scan.scan(rest).unwrap();
            looked += consumed;
            frames.extend(found);
            if rest.is_empty() && found.is_none() {
                scan.finish().unwrap();
                return (frames, looked);
            }
        }
    }

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let long = vec![7; LONGEST];
        let contents: [&[&[u8]]; 5] = [
            &[&long, b"", &long[..LONGEST / 2]],
            &[],
            &[b"word"],
            &[&long],
            &[b""],
        ];
        let (stream, frames) = stream(&contents);
        for piece in [1, 2, 3, 1000, stream.len()] {
            assert_eq!(scan(&stream, piece).unwrap(), frames, "{piece}");
            let (skimmed, looked) = skim(&stream, piece);
            assert_eq!(skimmed, frames, "{piece}");
            assert!(piece > 3 || looked < 300, "{looked}");
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
        let (stream, frames) = stream(&[&[&[1; 100]], &[&[2; 100]]]);
        let at = |frame: FoundFrame| &stream[frame.start as usize..frame.end as usize];
        // Descriptor and four bytes of size; descriptor and window.
        assert_eq!(frame_header(at(frames[0])), Some(9));
        assert_eq!(frame_header(at(frames[1])), Some(6));
        assert_eq!(frame_header(&at(frames[0])[..8]), None);
        assert_eq!(frame_header(&stream), None);
        assert_eq!(frame_header(b"\x28\xb5\x2f"), None);
    }
}
