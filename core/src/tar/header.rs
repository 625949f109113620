//! One header block, with the offsets of the ustar format (POSIX.1-2017 `pax`, "ustar Interchange
//! Format") and of GNU tar's (GNU tar manual, "Basic Tar Format").

use alloc::vec::Vec;

use super::BLOCK;
use super::number::octal;

/// A block of zeros: half of the end marker.
const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Where the fields start.
pub(super) mod field {
    use core::ops::Range;

    pub(in crate::tar) const NAME: Range<usize> = 0..100;
    pub(in crate::tar) const MODE: Range<usize> = 100..108;
    pub(in crate::tar) const UID: Range<usize> = 108..116;
    pub(in crate::tar) const GID: Range<usize> = 116..124;
    pub(in crate::tar) const SIZE: Range<usize> = 124..136;
    pub(in crate::tar) const MTIME: Range<usize> = 136..148;
    pub(in crate::tar) const CHECKSUM: Range<usize> = 148..156;
    pub(in crate::tar) const TYPE: usize = 156;
    pub(in crate::tar) const LINK: Range<usize> = 157..257;
    pub(in crate::tar) const MAGIC: Range<usize> = 257..265;
    pub(in crate::tar) const MAJOR: Range<usize> = 329..337;
    pub(in crate::tar) const MINOR: Range<usize> = 337..345;
    pub(in crate::tar) const PREFIX: Range<usize> = 345..500;
    /// Where star has its own mark.
    pub(in crate::tar) const STAR: Range<usize> = 508..512;
    /// GNU tar's old form of sparse files: pieces, whether more follow, and the size.
    pub(in crate::tar) const PIECES: Range<usize> = 386..482;
    pub(in crate::tar) const MORE_PIECES: usize = 482;
    pub(in crate::tar) const REAL_SIZE: Range<usize> = 483..495;
}

/// Whose form a header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Before POSIX: no more fields than that of links.
    Old,
    /// POSIX.1-1988 and later.
    Posix,
    /// GNU tar, which keeps other things where POSIX has the prefix.
    Gnu,
}

/// One header block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a>(pub(super) &'a [u8; BLOCK]);

impl<'a> Header<'a> {
    pub(super) fn is_zero(self) -> bool {
        self.0.first() == Some(&0) && *self.0 == ZEROS
    }

    pub(super) fn field(self, range: core::ops::Range<usize>) -> &'a [u8] {
        self.0.get(range).unwrap_or_default()
    }

    pub(super) fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// Whether the bytes, with spaces in the place of the checksum, add up to it: as bytes without
    /// a sign, or, as some old programs did, with one.
    pub(super) fn is_intact(self) -> bool {
        let checksum = self.field(field::CHECKSUM);
        let Some(stated) = octal(checksum) else {
            return false;
        };
        // Eight spaces are 256.
        let sum = sum(self.0).wrapping_sub(sum(checksum)).wrapping_add(256);
        if stated == u64::from(sum) {
            return true;
        }
        let mut high = self.0.iter().filter(|byte| **byte >= 0x80).count();
        let own = checksum.iter().filter(|byte| **byte >= 0x80).count();
        high = high.saturating_sub(own);
        // With a sign each of these counts for 256 less.
        let signed = i64::try_from(high)
            .ok()
            .and_then(|high| high.checked_mul(256))
            .and_then(|less| i64::from(sum).checked_sub(less));
        high > 0 && i64::try_from(stated).ok() == signed
    }

    /// Whose form it has; `None` when that is not clear.
    pub(super) fn form(self) -> Option<Form> {
        match self.field(field::MAGIC) {
            b"ustar  \0" => Some(Form::Gnu),
            // star ends the prefix earlier, which must then make no difference.
            [b'u', b's', b't', b'a', b'r', 0, ..] => {
                let is_star = self.field(field::STAR) == b"tar\0";
                let beyond = self.byte(field::PREFIX.start.saturating_add(130)) != 0;
                (!is_star || !beyond).then_some(Form::Posix)
            }
            [b'u', b's', b't', b'a', b'r', ..] => None,
            _ => Some(Form::Old),
        }
    }

    /// The name, in the POSIX form behind its prefix.
    pub(super) fn name(self, form: Form) -> Vec<u8> {
        let name = until_nul(self.field(field::NAME));
        let prefix = match form {
            Form::Posix => until_nul(self.field(field::PREFIX)),
            Form::Old | Form::Gnu => &[],
        };
        if prefix.is_empty() {
            return name.to_vec();
        }
        let length = prefix.len().saturating_add(name.len()).saturating_add(1);
        let mut path = Vec::with_capacity(length);
        path.extend_from_slice(prefix);
        path.push(b'/');
        path.extend_from_slice(name);
        path
    }
}

/// The sum of bytes of a block, whose number is a multiple of eight.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    // Four sums of 16 bits beside each other, in any order: each is at most 64 times 510.
    const EVEN: u64 = 0x00ff_00ff_00ff_00ff;
    let (words, _) = bytes.as_chunks();
    let sums = words.iter().fold(0_u64, |sums, word| {
        let word = u64::from_ne_bytes(*word);
        let pairs = (word & EVEN).wrapping_add(word >> 8 & EVEN);
        sums.wrapping_add(pairs)
    });
    let sums = (sums & 0xffff_0000_ffff).wrapping_add(sums >> 16 & 0xffff_0000_ffff);
    let [low, high] = [sums, sums >> 32].map(|sum| u32::try_from(sum & 0xffff_ffff).unwrap_or(0));
    low.wrapping_add(high)
}

/// A text of a header: it ends at the first NUL, if there is one.
pub(super) fn until_nul(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| *byte == 0);
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(mut block: [u8; BLOCK], sum: impl Fn(&[u8]) -> i64) -> [u8; BLOCK] {
        block[148..156].fill(b' ');
        let text = std::format!("{:06o}\0 ", sum(&block));
        block[148..156].copy_from_slice(text.as_bytes());
        block
    }

    #[test]
    fn the_checksum_may_be_of_signed_bytes() {
        let unsigned = |bytes: &[u8]| bytes.iter().map(|byte| i64::from(*byte)).sum();
        let signed = |bytes: &[u8]| {
            let bytes = bytes.iter().map(|byte| i64::from(byte.cast_signed()));
            bytes.sum()
        };
        let mut block = [0; BLOCK];
        block[..7].copy_from_slice(b"abc\xc3\xa4\xff\x80");
        assert!(Header(&summed(block, unsigned)).is_intact());
        assert!(Header(&summed(block, signed)).is_intact());
        assert!(!Header(&summed(block, |b| signed(b) + 1)).is_intact());
        assert!(!Header(&summed(block, |b| signed(b) + 256)).is_intact());
        assert!(!Header(&block).is_intact());
    }

    #[test]
    fn the_largest_sum() {
        assert_eq!(sum(&[0xff; BLOCK]), 512 * 255);
        let mut block = [0; BLOCK];
        for (at, byte) in block.iter_mut().enumerate() {
            *byte = (at * 7) as u8;
        }
        let plain: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(sum(&block), plain);
    }

    #[test]
    fn forms() {
        let form = |magic: &[u8], star: &[u8], beyond: u8| {
            let mut block = [0; BLOCK];
            block[257..265].copy_from_slice(magic);
            block[508..512].copy_from_slice(star);
            block[345 + 130] = beyond;
            Header(&block).form()
        };
        let none = [0; 4];
        assert_eq!(form(b"ustar\x0000", &none, b'a'), Some(Form::Posix));
        assert_eq!(form(b"ustar\0\0\0", &none, 0), Some(Form::Posix));
        assert_eq!(form(b"ustar\x0000", b"tar\0", 0), Some(Form::Posix));
        assert_eq!(form(b"ustar\x0000", b"tar\0", b'a'), None);
        assert_eq!(form(b"ustar  \0", &none, b'a'), Some(Form::Gnu));
        assert_eq!(form(b"ustar   ", &none, 0), None);
        assert_eq!(form(b"ustar 00", &none, 0), None);
        assert_eq!(form(&[0; 8], &none, b'a'), Some(Form::Old));
    }
}
