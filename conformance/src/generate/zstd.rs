//! zstd frames written by hand (RFC 8878, section 3.1.1): only raw and RLE blocks, so that
//! the bytes depend on no encoder, and every field can be set wrong.

use core::hash::Hasher as _;

use twox_hash::XxHash64;

/// The magic of a frame.
pub const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes that an RLE block may stand for, and a raw block may hold.
pub const BLOCK: usize = 128 << 10;
/// A run of equal bytes of at least this length becomes a block of its own.
const RUN: usize = 16;

/// Block types, section 3.1.1.2.2.
pub const RAW: u32 = 0;
/// See [`RAW`].
pub const RLE: u32 = 1;
/// See [`RAW`].
pub const COMPRESSED: u32 = 2;
/// See [`RAW`].
pub const RESERVED: u32 = 3;

/// A frame header, field by field.
#[derive(Clone, Debug)]
pub struct Header {
    /// `Window_Descriptor`; none in a single segment.
    pub window: Option<u8>,
    /// `Frame_Content_Size`, with its length in bytes (0, 1, 2, 4 or 8).
    pub content: (u64, usize),
    /// `Dictionary_ID`, with its length in bytes (0, 1, 2 or 4).
    pub dictionary: (u32, usize),
    /// `Content_Checksum_Flag`.
    pub checksum: bool,
    /// `Reserved_Bit`.
    pub reserved: bool,
}

impl Header {
    /// A window of 128 KiB, nothing else.
    pub const PLAIN: Self = Self {
        window: Some(7 << 3),
        content: (0, 0),
        dictionary: (0, 0),
        checksum: false,
        reserved: false,
    };

    /// Magic and header.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let content_flag = match self.content.1 {
            0 | 1 => 0,
            2 => 1,
            4 => 2,
            _ => 3,
        };
        let dictionary_flag = match self.dictionary.1 {
            length @ 0..=2 => u8::try_from(length).unwrap_or(0),
            _ => 3,
        };
        let single = u8::from(self.window.is_none());
        let mut bytes = MAGIC.to_vec();
        bytes.push(
            content_flag << 6
                | single << 5
                | u8::from(self.reserved) << 3
                | u8::from(self.checksum) << 2
                | dictionary_flag,
        );
        bytes.extend(self.window);
        bytes.extend_from_slice(&self.dictionary.0.to_le_bytes()[..self.dictionary.1]);
        // The form of two bytes counts from 256.
        let base = if self.content.1 == 2 { 256 } else { 0 };
        let stored = self.content.0.saturating_sub(base).to_le_bytes();
        bytes.extend_from_slice(&stored[..self.content.1]);
        bytes
    }
}

/// A block: its header and what follows it.
#[must_use]
pub fn block(last: bool, kind: u32, size: usize, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    let word = size << 3 | kind << 1 | u32::from(last);
    let mut bytes = word.to_le_bytes()[..3].to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// The blocks of some content: runs of equal bytes as RLE blocks, all else raw. The last one
/// is marked as such when `last` says so.
#[must_use]
pub fn blocks(content: &[u8], last: bool) -> Vec<u8> {
    let mut pieces: Vec<(u32, &[u8])> = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let run = |from: usize| {
            let tail = &rest[from..];
            tail.iter().take_while(|byte| **byte == tail[0]).count()
        };
        let first = run(0);
        if first >= RUN {
            let (piece, others) = rest.split_at(first.min(BLOCK));
            pieces.push((RLE, piece));
            rest = others;
            continue;
        }
        let mut end = first;
        while end < rest.len() {
            let next = run(end);
            if next >= RUN {
                break;
            }
            end += next;
        }
        let (piece, others) = rest.split_at(end.min(BLOCK));
        pieces.push((RAW, piece));
        rest = others;
    }
    if pieces.is_empty() {
        pieces.push((RAW, &[]));
    }
    let count = pieces.len();
    pieces
        .into_iter()
        .enumerate()
        .flat_map(|(place, (kind, piece))| {
            let body = if kind == RLE { &piece[..1] } else { piece };
            block(last && place + 1 == count, kind, piece.len(), body)
        })
        .collect()
}

/// The low half of the content's XXH64.
#[must_use]
pub fn checksum(content: &[u8]) -> [u8; 4] {
    let mut hasher = XxHash64::with_seed(0);
    hasher.write(content);
    let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
    [a, b, c, d]
}

/// A right frame with this header.
#[must_use]
pub fn frame(header: &Header, content: &[u8]) -> Vec<u8> {
    let mut bytes = header.bytes();
    bytes.extend(blocks(content, true));
    if header.checksum {
        bytes.extend(checksum(content));
    }
    bytes
}

/// The frame that stands for content where the frame is not the matter: its size declared, a
/// checksum at the end.
#[must_use]
pub fn wrap(content: &[u8]) -> Vec<u8> {
    let header = Header {
        content: (content.len() as u64, 8),
        checksum: true,
        ..Header::PLAIN
    };
    frame(&header, content)
}

/// A skippable frame (section 3.1.2) of the given variety, 0 to 15.
#[must_use]
pub fn skippable(variety: u8, size: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x50 | variety, 0x2a, 0x4d, 0x18];
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(content);
    bytes
}
