//! What the chunk index was before the draft: two forms, which are named and not read.
//!
//! Both were proposed to containerd: the documentation of pull request #12703, and the code of
//! pull request #12764. They lie in a skippable frame at the end of a zstd blob, as the index of
//! the draft does, so the layer is read from its start to its end without them. Their chunks are
//! all of one size, and the annotations begin with `dev.containerd.erofs.`.

use crate::bytes;

/// The magic of #12703, which the draft kept.
const MAGIC: u32 = 0x67EC_E4CD;
/// The same in the other byte order, in #12764.
const MAGIC_REVERSED: u32 = 0xCDE4_EC67;
/// Bytes of the headers.
const HEADER: u64 = 24;
const HEADER_REVERSED: u64 = 23;
/// Bytes of an entry without its checksum.
const ENTRY: u64 = 8;
/// Bytes of a SHA-512, the only checksum of #12764.
const SHA512: u64 = 64;

/// A form of the chunk index that is older than the draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Earlier {
    /// That of containerd pull request #12703.
    Containerd12703,
    /// That of containerd pull request #12764.
    Containerd12764,
}

impl Earlier {
    /// What this index is, by its magic, version and length: the length follows from the header in
    /// both forms.
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Self> {
        let rest = &mut &*payload;
        let (magic, version) = (bytes::le_u32(rest)?, bytes::le_u32(rest)?);
        let (size, chunk_size) = (bytes::le_u64(rest)?, bytes::le_u32(rest)?);
        let [algorithm, hash_size] = *rest.first_chunk()?;
        let (form, header, checksum) = match magic {
            MAGIC => (Self::Containerd12703, HEADER, u64::from(hash_size)),
            MAGIC_REVERSED if algorithm == 0 => (Self::Containerd12764, HEADER_REVERSED, 0),
            MAGIC_REVERSED => (Self::Containerd12764, HEADER_REVERSED, SHA512),
            _ => return None,
        };
        let chunk_size = u64::from(chunk_size);
        let rounded = size.checked_add(chunk_size.checked_sub(1)?)?;
        let chunks = rounded.checked_div(chunk_size)?;
        let entries = chunks.checked_mul(ENTRY.checked_add(checksum)?)?;
        let fits = header.checked_add(entries)? == payload.len() as u64;
        (fits && version == 1).then_some(form)
    }

    /// Whether a skippable frame with this content may be one.
    pub(super) fn starts(payload: &[u8]) -> bool {
        let magic = bytes::le_u32(&mut &*payload);
        matches!(magic, Some(MAGIC | MAGIC_REVERSED))
    }

    /// Its name in reports.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Containerd12703 => "containerd-12703",
            Self::Containerd12764 => "containerd-12764",
        }
    }

    /// What to call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Containerd12703 => "the chunk mapping table of containerd pull request #12703",
            Self::Containerd12764 => "the chunk table of containerd pull request #12764",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A header of the fields, in their order, and entries of this size.
    fn index(magic: u32, tail: &[u8], entries: usize) -> Vec<u8> {
        let mut index = magic.to_le_bytes().to_vec();
        index.extend(1_u32.to_le_bytes());
        index.extend(9000_u64.to_le_bytes());
        index.extend(4096_u32.to_le_bytes());
        index.extend(tail);
        index.resize(index.len() + entries, 7);
        index
    }

    #[test]
    fn earlier_forms_have_names() {
        let first = index(0x67EC_E4CD, &[1, 32, 0, 0], 3 * 40);
        assert_eq!(Earlier::of(&first), Some(Earlier::Containerd12703));
        let plain = index(0x67EC_E4CD, &[0, 0, 0, 0], 3 * 8);
        assert_eq!(Earlier::of(&plain), Some(Earlier::Containerd12703));
        let second = index(0xCDE4_EC67, &[1, 0, 0], 3 * 72);
        assert_eq!(Earlier::of(&second), Some(Earlier::Containerd12764));
        let plain = index(0xCDE4_EC67, &[0, 0, 0], 3 * 8);
        assert_eq!(Earlier::of(&plain), Some(Earlier::Containerd12764));
    }

    #[test]
    fn other_lengths_are_something_else() {
        for (magic, tail, entries) in [
            (0x67EC_E4CD, [1, 32, 0, 0].as_slice(), 2 * 40),
            (0xCDE4_EC67, &[1, 0, 0], 3 * 8),
            (0x67EC_E4CE, &[1, 32, 0, 0], 3 * 40),
        ] {
            let index = index(magic, tail, entries);
            assert_eq!(Earlier::of(&index), None, "{tail:?} {entries}");
        }
        let mut endless = index(0x67EC_E4CD, &[1, 32, 0, 0], 3 * 40);
        endless[16..20].fill(0);
        assert_eq!(Earlier::of(&endless), None);
        assert_eq!(Earlier::of(&endless[..21]), None);
    }
}
