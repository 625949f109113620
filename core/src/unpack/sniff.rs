//! What some bytes are, by the first of them: an EROFS image, a tar archive, a compressed stream.
//! The formats that are no layer's and only have a name are in `foreign`.
//!
//! The first 1024 bytes of an EROFS image are free, so an image can begin like a tar archive
//! or a compressed file. One rule settles it, here and nowhere else: the EROFS magic at its
//! place always means EROFS, whatever else the bytes look like.

use super::foreign::foreign;
use crate::codec::Compression;
use crate::erofs::{SUPERBLOCK_MAGIC, SUPERBLOCK_OFFSET};

/// How many first bytes [`sniff`] looks at.
pub const SNIFF_SIZE: usize = 1152;
/// Size of a tar header and of a tar block, in bytes.
const TAR_BLOCK: usize = 512;

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// An EROFS image.
    Erofs,
    /// A tar archive: it starts with a header whose checksum is right.
    Tar,
    /// Zeros so far, as many as a tar header has at the least: an empty tar archive where one is
    /// expected, else nothing that says what it is.
    Zeros,
    /// A gzip or zstd stream.
    Compressed(Compression),
    /// Another format, of this name.
    Foreign(&'static str),
    /// None of these.
    Unknown,
}

/// Says what starts with `head`, of which the first [`SNIFF_SIZE`] bytes count.
#[must_use]
pub fn sniff(head: &[u8]) -> Sniffed {
    let magic = usize::try_from(SUPERBLOCK_OFFSET)
        .ok()
        .and_then(|offset| head.get(offset..))
        .and_then(<[u8]>::first_chunk);
    if magic == Some(&SUPERBLOCK_MAGIC.to_le_bytes()) {
        return Sniffed::Erofs;
    }
    match head {
        [0x1f, 0x8b, ..] => return Sniffed::Compressed(Compression::Gzip),
        // A frame, or a skippable frame (RFC 8878 sections 3.1.1 and 3.1.2).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            return Sniffed::Compressed(Compression::Zstd);
        }
        _ => {}
    }
    let head = head.get(..SNIFF_SIZE).unwrap_or(head);
    match head.first_chunk() {
        Some(block) if is_tar_header(block) => Sniffed::Tar,
        // An image whose magic is broken begins with zeros as well, but has something behind them.
        Some(_) if head.iter().all(|byte| *byte == 0) => Sniffed::Zeros,
        _ => foreign(head).map_or(Sniffed::Unknown, Sniffed::Foreign),
    }
}

/// Whether a block is a tar header with a right checksum.
///
/// The checksum is the sum of all bytes with the checksum's own eight as spaces (POSIX.1
/// pax, "ustar Interchange Format"); old writers summed signed bytes.
fn is_tar_header(block: &[u8; TAR_BLOCK]) -> bool {
    let mut stated: Option<u32> = None;
    let mut unsigned: u32 = 0;
    let mut signed: i32 = 0;
    for (place, byte) in block.iter().enumerate() {
        let mut byte = *byte;
        if (148..156).contains(&place) {
            if byte.is_ascii_digit() {
                let digit = u32::from(byte.wrapping_sub(b'0'));
                stated = Some(stated.unwrap_or(0).wrapping_mul(8).wrapping_add(digit));
            }
            byte = b' ';
        }
        unsigned = unsigned.wrapping_add(byte.into());
        signed = signed.wrapping_add(byte.cast_signed().into());
    }
    stated.is_some_and(|sum| sum == unsigned || sum.cast_signed() == signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as tar(1) writes it for an empty file named `x`.
    fn tar_header() -> [u8; TAR_BLOCK] {
        let mut block = [0; TAR_BLOCK];
        block[0] = b'x';
        block[100..108].copy_from_slice(b"0000644\0");
        block[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        let text = std::format!("{sum:06o}\0 ");
        block[148..156].copy_from_slice(text.as_bytes());
        block
    }

    #[test]
    fn tells_contents_apart() {
        assert_eq!(sniff(&[]), Sniffed::Unknown);
        assert_eq!(sniff(&[0; 511]), Sniffed::Unknown);
        assert_eq!(sniff(&[0; 512]), Sniffed::Zeros);
        assert_eq!(sniff(&[1; 2048]), Sniffed::Unknown);
        let mut broken = [0; SNIFF_SIZE];
        assert_eq!(sniff(&broken), Sniffed::Zeros);
        broken[1028] = 1;
        assert_eq!(sniff(&broken), Sniffed::Unknown);
        assert_eq!(sniff(b"\x1f\x8b"), Sniffed::Compressed(Compression::Gzip));
        assert_eq!(
            sniff(b"\x28\xb5\x2f\xfd"),
            Sniffed::Compressed(Compression::Zstd)
        );
        assert_eq!(
            sniff(b"\x5e\x2a\x4d\x18"),
            Sniffed::Compressed(Compression::Zstd)
        );
        let mut header = tar_header();
        assert_eq!(sniff(&header), Sniffed::Tar);
        header[0] = b'y';
        assert_eq!(sniff(&header), Sniffed::Unknown);
    }

    #[test]
    fn the_erofs_magic_always_wins() {
        let mut polyglot = [0; SNIFF_SIZE];
        polyglot[..TAR_BLOCK].copy_from_slice(&tar_header());
        assert_eq!(sniff(&polyglot), Sniffed::Tar);
        polyglot[1024..1028].copy_from_slice(&SUPERBLOCK_MAGIC.to_le_bytes());
        assert_eq!(sniff(&polyglot), Sniffed::Erofs);
        polyglot[..2].copy_from_slice(b"\x1f\x8b");
        assert_eq!(sniff(&polyglot), Sniffed::Erofs);
    }
}
