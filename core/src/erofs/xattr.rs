//! Records of extended attributes: the header behind an inode, entries, and names.
//!
//! Follows `struct erofs_xattr_ibody_header`, `struct erofs_xattr_entry` and
//! `fs/erofs/xattr.h` of Linux.

use alloc::vec::Vec;

use twox_hash::XxHash32;

/// Size of the header behind an inode, without the ids of shared xattrs, in bytes.
pub(super) const HEADER_SIZE: usize = 12;
/// Size of an entry without its name and value, in bytes.
pub(super) const ENTRY_SIZE: usize = 4;
/// Set in the name index of an entry whose name begins with a long prefix
/// (`EROFS_XATTR_LONG_PREFIX`).
const LONG_PREFIX: u8 = 0x80;
/// Start of the hash of the name filter (`EROFS_XATTR_FILTER_SEED`).
const FILTER_SEED: u32 = 0x25BB_E08F;

/// The prefixes that name indexes stand for (`EROFS_XATTR_INDEX_*`), those that the kernel
/// shows. Index 5, Lustre's, is in neither the kernel's list nor in erofs-utils.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// The header behind an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bits that are set say of which names there is none (`h_name_filter`).
    pub(super) absent: u32,
    /// Number of shared xattrs.
    pub(super) shared: u8,
    /// Whether a reserved byte is not zero.
    pub(super) reserved: bool,
}

impl Header {
    pub(super) const fn parse(record: &[u8; HEADER_SIZE]) -> Self {
        let [f0, f1, f2, f3, shared, r0, r1, r2, r3, r4, r5, r6] = *record;
        Self {
            absent: u32::from_le_bytes([f0, f1, f2, f3]),
            shared,
            reserved: r0 | r1 | r2 | r3 | r4 | r5 | r6 != 0,
        }
    }
}

/// What the index of an entry's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// One of the short prefixes.
    Short(u8),
    /// One of the image's long prefixes, by its place in their table.
    Long(u8),
}

/// An entry, without its name and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct XattrEntry {
    pub(super) name_length: u8,
    pub(super) index: Index,
    pub(super) value_size: u16,
}

impl XattrEntry {
    pub(super) const fn parse(record: [u8; ENTRY_SIZE]) -> Self {
        let [name_length, index, v0, v1] = record;
        Self {
            name_length,
            index: if index & LONG_PREFIX == 0 {
                Index::Short(index)
            } else {
                Index::Long(index & !LONG_PREFIX)
            },
            value_size: u16::from_le_bytes([v0, v1]),
        }
    }

    /// Size of the whole entry, in bytes (`erofs_xattr_entry_size`).
    pub(super) const fn size(&self) -> u64 {
        let unit = ENTRY_SIZE as u64;
        let size = unit
            .saturating_add(self.name_length as u64)
            .saturating_add(self.value_size as u64);
        size.next_multiple_of(unit)
    }
}

/// A long prefix, which the image has in a table of its own.
#[derive(Debug)]
pub(crate) struct LongPrefix {
    /// Index of the short prefix that it begins with; see [`prefix`].
    pub(super) base: u8,
    /// What follows that.
    pub(super) infix: Vec<u8>,
}

/// The prefix that a short index stands for, or `None` for one that the kernel does not show.
pub(super) fn prefix(index: u8) -> Option<&'static [u8]> {
    PREFIXES
        .iter()
        .find_map(|(number, prefix)| (*number == index).then_some(*prefix))
}

/// Whether the kernel shows xattrs whose short prefix has this index.
pub(crate) fn is_shown(index: u8) -> bool {
    prefix(index).is_some()
}

/// The index of a full name's prefix, and the name behind it.
pub(crate) fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES
        .iter()
        .find_map(|(index, prefix)| Some((*index, name.strip_prefix(*prefix)?)))
}

/// The bit of the name filter for a name: 1 of 32, by the name behind its short prefix
/// (`erofs_getxattr`).
pub(crate) fn filter_bit(index: u8, name: &[u8]) -> u32 {
    let hash = XxHash32::oneshot(FILTER_SEED.wrapping_add(index.into()), name);
    1 << (hash & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_at_their_prefix() {
        assert_eq!(split(b"user.a"), Some((1, &b"a"[..])));
        assert_eq!(
            split(b"trusted.overlay.opaque"),
            Some((4, &b"overlay.opaque"[..]))
        );
        assert_eq!(split(b"system.posix_acl_access"), Some((2, &b""[..])));
        assert_eq!(split(b"lustre.lov"), None);
        assert_eq!(prefix(6), Some(&b"security."[..]));
        assert_eq!(prefix(0), None);
        assert_eq!(prefix(5), None);
    }

    #[test]
    fn entries_are_padded_to_four_bytes() {
        let entry = XattrEntry::parse([5, 0x83, 0xff, 0xff]);
        assert_eq!(entry.index, Index::Long(3));
        assert_eq!(entry.size(), 4 + 5 + 65535);
        assert_eq!(XattrEntry::parse([1, 1, 0, 0]).size(), 8);
        assert_eq!(XattrEntry::parse([0, 4, 0, 0]).size(), 4);
    }

    #[test]
    fn the_filter_hashes_as_xxh32() {
        // XXH32 of the empty input with seed 0 is 0x02CC5D05.
        let seed = FILTER_SEED.wrapping_neg();
        assert_eq!(
            XxHash32::oneshot(FILTER_SEED.wrapping_add(seed), b""),
            0x02CC_5D05
        );
        assert_eq!(filter_bit(1, b"a").count_ones(), 1);
    }
}
