//! gzip members written by hand (RFC 1952): deflate with fixed codes and matches at distance 1
//! only, so that the bytes depend on no encoder, and every field can be set wrong.

/// The magic of a member.
pub const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A run of equal bytes of at least this length becomes matches.
const RUN: usize = 4;
/// The longest match of deflate.
const LONGEST: usize = 258;
/// How many bytes one piece of [`deflate_with_run`] stands for.
pub const RUN_PIECE: usize = 8 * LONGEST;

/// FLG, RFC 1952 section 2.3.1.
pub const FTEXT: u8 = 1;
/// See [`FTEXT`].
pub const FHCRC: u8 = 2;
/// See [`FTEXT`].
pub const FEXTRA: u8 = 4;
/// See [`FTEXT`].
pub const FNAME: u8 = 8;
/// See [`FTEXT`].
pub const FCOMMENT: u8 = 16;

/// A member's header, field by field.
#[derive(Clone, Debug)]
pub struct Header {
    /// Compression method; 8 is deflate.
    pub method: u8,
    /// Flags that are set whatever fields there are.
    pub flags: u8,
    /// Extra field.
    pub extra: Option<&'static [u8]>,
    /// File name.
    pub name: Option<&'static str>,
    /// Comment.
    pub comment: Option<&'static str>,
    /// Whether there is a CRC-16 of the header, and what it is wrong by.
    pub crc: Option<u16>,
}

impl Header {
    /// What `gzip -n` writes.
    pub const PLAIN: Self = Self {
        method: 8,
        flags: 0,
        extra: None,
        name: None,
        comment: None,
        crc: None,
    };

    /// All fields of the header there are.
    pub const FULL: Self = Self {
        method: 8,
        flags: FTEXT,
        extra: Some(b"EF\x04\x00data"),
        name: Some("layer.erofs"),
        comment: Some("a comment"),
        crc: Some(0),
    };

    /// Magic and header.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let flag = |there: bool, flag: u8| if there { flag } else { 0 };
        let mut bytes = MAGIC.to_vec();
        bytes.push(self.method);
        bytes.push(
            self.flags
                | flag(self.crc.is_some(), FHCRC)
                | flag(self.extra.is_some(), FEXTRA)
                | flag(self.name.is_some(), FNAME)
                | flag(self.comment.is_some(), FCOMMENT),
        );
        // MTIME 0, XFL 0, OS 255: unknown.
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 255]);
        if let Some(extra) = self.extra {
            let length = u16::try_from(extra.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(extra);
        }
        for text in [self.name, self.comment].into_iter().flatten() {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
        if let Some(wrong_by) = self.crc {
            let [a, b, ..] = crc32fast::hash(&bytes).to_le_bytes();
            let crc = u16::from_le_bytes([a, b]).wrapping_add(wrong_by);
            bytes.extend_from_slice(&crc.to_le_bytes());
        }
        bytes
    }
}

/// Bits, the lowest first (RFC 1951 section 3.1.1).
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// The last block, in fixed codes, with this content and not yet ended.
    fn block(content: &[u8]) -> Self {
        let mut bits = Self::default();
        bits.number(1, 1);
        bits.number(1, 2);
        let mut rest = content;
        while let Some(first) = rest.first() {
            let mut run = rest.iter().take_while(|byte| *byte == first).count();
            rest = &rest[run..];
            bits.symbol(u32::from(*first));
            run -= 1;
            if run < RUN {
                for _ in 0..run {
                    bits.symbol(u32::from(*first));
                }
                continue;
            }
            while run > 0 {
                // Never less than 3 may be left.
                let length = match run {
                    1..=LONGEST => run,
                    259 | 260 => LONGEST - 3,
                    _ => LONGEST,
                };
                bits.repeat(length);
                run -= length;
            }
        }
        bits
    }

    /// Appends the lowest `count` bits of a number.
    fn number(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(byte) = self.bytes.last_mut() {
                *byte |= u8::from(value >> bit & 1 != 0) << self.used;
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// Appends a Huffman code, which starts with its highest bit.
    fn code(&mut self, value: u32, count: u32) {
        self.number(value.reverse_bits() >> (32 - count), count);
    }

    /// Appends a literal or length symbol in the fixed code (section 3.2.6).
    fn symbol(&mut self, symbol: u32) {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// Appends a match of `length` (3 to 258) at distance 1.
    fn repeat(&mut self, length: usize) {
        // First length and extra bits of the symbols from 257 on (section 3.2.5).
        const LENGTHS: [(usize, u32); 29] = [
            (3, 0),
            (4, 0),
            (5, 0),
            (6, 0),
            (7, 0),
            (8, 0),
            (9, 0),
            (10, 0),
            (11, 1),
            (13, 1),
            (15, 1),
            (17, 1),
            (19, 2),
            (23, 2),
            (27, 2),
            (31, 2),
            (35, 3),
            (43, 3),
            (51, 3),
            (59, 3),
            (67, 4),
            (83, 4),
            (99, 4),
            (115, 4),
            (131, 5),
            (163, 5),
            (195, 5),
            (227, 5),
            (258, 0),
        ];
        let fitting = LENGTHS.iter().enumerate().rev();
        for (place, (first, extra)) in fitting {
            if *first <= length {
                self.symbol(257 + u32::try_from(place).unwrap_or(0));
                self.number(u32::try_from(length - first).unwrap_or(0), *extra);
                break;
            }
        }
        self.code(0, 5);
    }
}

/// Raw deflate of some content, in one block of fixed codes.
#[must_use]
pub fn deflate(content: &[u8]) -> Vec<u8> {
    let mut bits = Bits::block(content);
    bits.symbol(256);
    bits.bytes
}

/// Raw deflate of some content and of a run of its last byte, as a head, a piece that is
/// repeated any number of times, and an end. With `n` pieces the run has `(n + 1) * RUN_PIECE`
/// bytes.
#[must_use]
pub fn deflate_with_run(content: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    // Eight of the longest matches are 13 bytes, wherever in a byte they start.
    const MATCHES: usize = RUN_PIECE / LONGEST;
    const PERIOD: usize = 13;
    let mut bits = Bits::block(content);
    // The first whole byte of the matches, with which the repeated piece starts.
    let start = bits.bytes.len();
    for _ in 0..MATCHES {
        bits.repeat(LONGEST);
    }
    bits.symbol(256);
    let tail = bits.bytes.split_off(start + PERIOD);
    let mut piece = bits.bytes.split_off(start);
    // The last byte of the piece holds the first bits of the tail; within a longer run it
    // would hold those of the next match instead.
    let mut longer = Bits::block(content);
    for _ in 0..3 * MATCHES {
        longer.repeat(LONGEST);
    }
    let whole = longer.bytes[start..][..PERIOD].to_vec();
    let last = core::mem::replace(&mut piece, whole);
    let end = [last, tail].concat();
    (bits.bytes, piece, end)
}

/// A deflate block that is stored (RFC 1951 section 3.2.4), of at most 65535 bytes.
#[must_use]
pub fn stored(last: bool, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![u8::from(last)];
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&(!length).to_le_bytes());
    bytes.extend_from_slice(content);
    bytes
}

/// CRC-32 and size of some content, as they end a member.
#[must_use]
pub fn trailer(content: &[u8]) -> Vec<u8> {
    let [a, b, c, d, ..] = (content.len() as u64).to_le_bytes();
    let mut bytes = crc32fast::hash(content).to_le_bytes().to_vec();
    bytes.extend_from_slice(&[a, b, c, d]);
    bytes
}

/// A right member with this header.
#[must_use]
pub fn member(header: &Header, content: &[u8]) -> Vec<u8> {
    let mut bytes = header.bytes();
    bytes.extend(deflate(content));
    bytes.extend(trailer(content));
    bytes
}

/// The member that stands for content where the member is not the matter.
#[must_use]
pub fn wrap(content: &[u8]) -> Vec<u8> {
    member(&Header::PLAIN, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use erofs_unpack_core::Limits;
    use erofs_unpack_core::codec::{Decoder as _, Gzip};

    fn inflated(blob: &[u8]) -> Vec<u8> {
        let mut gzip = Gzip::new(&Limits::DEFAULT);
        let mut output = vec![0; 1 << 16];
        let step = gzip.decode(blob, &mut output).unwrap();
        gzip.finish().unwrap();
        output.truncate(step.produced);
        output
    }

    #[test]
    fn members_hold_their_content() {
        for run in (0..20).chain(250..270).chain(510..530).chain([4096]) {
            let content = [&[7, 200][..], &vec![0; run], &[143, 144, 255]].concat();
            assert_eq!(inflated(&wrap(&content)), content, "{run}");
            assert_eq!(inflated(&member(&Header::FULL, &content)), content);
        }
    }

    #[test]
    fn a_run_in_pieces_is_one_stream() {
        // Contents whose codes end at every bit of a byte.
        for length in 0..9 {
            let content = [vec![200; length], vec![1]].concat();
            let (head, piece, end) = deflate_with_run(&content);
            for pieces in [0, 1, 5] {
                let mut expected = content.clone();
                expected.resize(content.len() + (pieces + 1) * RUN_PIECE, 1);
                let blob = [
                    Header::PLAIN.bytes(),
                    head.clone(),
                    piece.repeat(pieces),
                    end.clone(),
                    trailer(&expected),
                ]
                .concat();
                assert_eq!(inflated(&blob), expected, "{length} {pieces}");
            }
        }
    }
}
