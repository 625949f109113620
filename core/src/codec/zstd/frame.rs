//! What precedes the blocks of a frame, and the three bytes that precede each block.
//!
//! RFC 8878 sections 3.1.1.1 (frame header), 3.1.1.2 (blocks) and 3.1.2 (skippable frames);
//! the same sections of `doc/zstd_compression_format.md` of facebook/zstd.

use nom::Parser as _;
use nom::bytes::complete::take;
use nom::number::complete::{le_u16, le_u32, le_u64, u8};

use crate::{Code, Value};

/// The magic of a zstd frame, section 3.1.1.
pub(super) const MAGIC: u32 = 0xFD2F_B528;
/// The first of the sixteen magics of skippable frames, section 3.1.2.
const SKIPPABLE: u32 = 0x184D_2A50;
/// The magics of the formats 0.2 to 0.7, which no RFC describes.
const LEGACY: core::ops::RangeInclusive<u32> = 0xFD2F_B522..=0xFD2F_B527;
/// The largest header: descriptor, window descriptor, dictionary id of 4 and content size of
/// 8 bytes.
pub(super) const HEADER: usize = 14;
/// `Block_Maximum_Size` where the window is not smaller, section 3.1.1.2.4.
pub(super) const BLOCK: usize = 128 << 10;

/// The largest window that can be decoded on 32-bit platforms, whatever the limit.
pub(super) const WINDOW_32_BIT: u64 = 1 << 30;
/// The largest window that can be decoded on this platform, whatever the limit.
pub(super) const WINDOW: u64 = if cfg!(target_pointer_width = "64") {
    1 << 31
} else {
    WINDOW_32_BIT
};

/// What the four bytes at the start of a frame say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Magic {
    /// A frame of RFC 8878.
    Zstd,
    /// A skippable frame.
    Skippable,
    /// A frame of an older format.
    Legacy,
    /// No frame.
    Unknown,
}

impl Magic {
    pub(super) fn of(magic: u32) -> Self {
        match magic {
            MAGIC => Self::Zstd,
            _ if magic & !15 == SKIPPABLE => Self::Skippable,
            _ if LEGACY.contains(&magic) => Self::Legacy,
            _ => Self::Unknown,
        }
    }

    /// Whether some frame starts with these bytes, of which there are fewer than four.
    pub(super) fn may_start(bytes: &[u8]) -> bool {
        let is = |first: core::ops::RangeInclusive<u8>, rest: [u8; 3]| {
            bytes
                .split_first()
                .is_none_or(|(byte, others)| first.contains(byte) && rest.starts_with(others))
        };
        is(0x22..=0x28, [0xB5, 0x2F, 0xFD]) || is(0x50..=0x5F, [0x2A, 0x4D, 0x18])
    }
}

/// `Frame_Header_Descriptor`, section 3.1.1.1.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor(pub(super) u8);

impl Descriptor {
    /// `Single_Segment_Flag`: the window is the content, and its descriptor is left out.
    pub(super) const fn single_segment(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// `Reserved_Bit`: a decoder must refuse a frame that sets it.
    pub(super) const fn reserved(self) -> bool {
        self.0 & 8 != 0
    }

    /// `Content_Checksum_Flag`.
    const fn checksum(self) -> bool {
        self.0 & 4 != 0
    }

    /// Bytes of `Dictionary_ID`.
    const fn dictionary_length(self) -> usize {
        match self.0 & 3 {
            0 => 0,
            1 => 1,
            2 => 2,
            _ => 4,
        }
    }

    /// Bytes of `Frame_Content_Size`.
    const fn content_length(self) -> usize {
        match self.0 >> 6 {
            0 if self.single_segment() => 1,
            0 => 0,
            1 => 2,
            2 => 4,
            _ => 8,
        }
    }

    /// Bytes of the whole header, the descriptor included; at most [`HEADER`].
    pub(super) const fn header_length(self) -> usize {
        let window = if self.single_segment() { 0 } else { 1 };
        // At most 1 + 1 + 4 + 8.
        1_usize
            .saturating_add(window)
            .saturating_add(self.dictionary_length())
            .saturating_add(self.content_length())
    }
}

/// A frame whose header has passed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame {
    /// `Window_Size` in bytes: how far back a match may reach.
    pub(super) window: u64,
    /// `Frame_Content_Size` in bytes, where the frame states it.
    pub(super) content: Option<u64>,
    /// Whether a checksum follows the last block.
    pub(super) checksum: bool,
}

/// What is wrong with a structure; the caller knows where it lies.
pub(super) type Refusal = (Code, Value, Value);

impl Frame {
    /// Reads a whole header ([`Descriptor::header_length`] bytes) and holds it against the
    /// largest window that is allowed.
    pub(super) fn read(header: &[u8], window_limit: u64) -> Result<Self, Refusal> {
        let Ok((_, (window_descriptor, dictionary, content, checksum))) = fields(header) else {
            // The caller hands over as many bytes as the descriptor asks for.
            return Err((Code::ZstdTruncated, Value::None, Value::None));
        };
        if dictionary != 0 {
            return Err((
                Code::ZstdDictionary,
                Value::Number(dictionary.into()),
                Value::None,
            ));
        }
        let window = match window_descriptor {
            Some(descriptor) => window_size(descriptor),
            None => content.unwrap_or(0),
        };
        if window > window_limit {
            return Err((
                Code::ZstdWindow,
                Value::Number(window),
                Value::AtMost(window_limit),
            ));
        }
        Ok(Self {
            window,
            content,
            checksum,
        })
    }

    /// `Block_Maximum_Size`, section 3.1.1.2.4: the smaller of the window and 128 KiB. It
    /// bounds a block on the wire and what a block decodes to.
    pub(super) fn block_maximum(&self) -> usize {
        usize::try_from(self.window).map_or(BLOCK, |window| window.min(BLOCK))
    }
}

/// The fields of a header as they are, the content size already made whole.
type Fields = (Option<u8>, u32, Option<u64>, bool);

/// Reads the fields of a header in the order of section 3.1.1.1.
fn fields(header: &[u8]) -> nom::IResult<&[u8], Fields> {
    let (rest, descriptor) = u8.map(Descriptor).parse(header)?;
    let (rest, window) = if descriptor.single_segment() {
        (rest, None)
    } else {
        u8.map(Some).parse(rest)?
    };
    let (rest, dictionary) = match descriptor.dictionary_length() {
        0 => (rest, 0),
        1 => u8.map(u32::from).parse(rest)?,
        2 => le_u16.map(u32::from).parse(rest)?,
        _ => le_u32.parse(rest)?,
    };
    let (rest, content) = match descriptor.content_length() {
        0 => (rest, None),
        1 => u8.map(|size| Some(size.into())).parse(rest)?,
        // Section 3.1.1.1.4: the two-byte form counts from 256.
        2 => le_u16
            .map(|size| Some(u64::from(size).saturating_add(256)))
            .parse(rest)?,
        4 => le_u32.map(|size| Some(size.into())).parse(rest)?,
        _ => le_u64.map(Some).parse(rest)?,
    };
    Ok((rest, (window, dictionary, content, descriptor.checksum())))
}

/// `Window_Size` of a `Window_Descriptor`, section 3.1.1.1.2: 1 KiB to 3.75 TiB.
fn window_size(descriptor: u8) -> u64 {
    let base = 1_u64 << (descriptor >> 3) << 10;
    let eighths = (base / 8).saturating_mul(u64::from(descriptor & 7));
    base.saturating_add(eighths)
}

/// `Block_Type`, section 3.1.1.2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockType {
    Raw,
    Rle,
    Compressed,
}

/// `Block_Header`, section 3.1.1.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    /// Whether it is the last one of its frame.
    pub(super) last: bool,
    pub(super) kind: BlockType,
    /// `Block_Size`: bytes on the wire, for RLE bytes decoded.
    pub(super) size: usize,
}

impl Block {
    /// Reads a block header and holds it against the frame's [`Frame::block_maximum`].
    pub(super) fn read(header: [u8; 3], maximum: usize) -> Result<Self, Refusal> {
        let [low, middle, high] = header;
        let word = u32::from_le_bytes([low, middle, high, 0]);
        let kind = match (word >> 1) & 3 {
            0 => BlockType::Raw,
            1 => BlockType::Rle,
            2 => BlockType::Compressed,
            _ => return Err((Code::ZstdBlockType, Value::None, Value::None)),
        };
        // 21 bits; a platform whose usize has fewer has no room for the block either.
        let size = usize::try_from(word >> 3).unwrap_or(usize::MAX);
        if size > maximum {
            return Err((
                Code::ZstdBlockSize,
                Value::Number(size as u64),
                Value::AtMost(maximum as u64),
            ));
        }
        Ok(Self {
            last: word & 1 != 0,
            kind,
            size,
        })
    }

    /// Bytes that follow its header.
    pub(super) const fn wire_size(&self) -> usize {
        match self.kind {
            BlockType::Rle => 1,
            BlockType::Raw | BlockType::Compressed => self.size,
        }
    }

    /// Bytes that it decodes to, where the header says so.
    pub(super) const fn content_size(&self) -> Option<usize> {
        match self.kind {
            BlockType::Raw | BlockType::Rle => Some(self.size),
            BlockType::Compressed => None,
        }
    }
}

/// `Frame_Size` of a skippable frame, section 3.1.2.
pub(super) fn skippable_size(field: &[u8]) -> Option<u32> {
    let read: nom::IResult<&[u8], u32> = le_u32.parse(field);
    read.ok().map(|(_, size)| size)
}

/// The four bytes as a number, for magics and checksums.
pub(super) fn word(field: &[u8]) -> Option<u32> {
    let read: nom::IResult<&[u8], &[u8]> = take(4_usize).parse(field);
    read.ok().and_then(|(_, bytes)| skippable_size(bytes))
}
