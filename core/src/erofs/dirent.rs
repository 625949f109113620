//! Directory blocks: entries of 12 bytes, then the names that they point at.
//!
//! Follows `struct erofs_dirent`, `erofs_fill_dentries` in `fs/erofs/dir.c` of Linux, and
//! `traverse_dirents` in `lib/dir.c` of erofs-utils.

use super::FileType;
use crate::bytes::{le_u16, le_u64};
use crate::{At, Code, Error, Value};

/// Size of an entry without its name, in bytes.
pub const DIRENT_SIZE: usize = 12;
/// Longest name of an entry, in bytes (`EROFS_NAME_LEN`).
pub const NAME_MAX: usize = 255;

/// An entry as it lies in a block, without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dirent {
    pub(crate) nid: u64,
    /// Where the name starts, in bytes of the block.
    name: u16,
    /// `EROFS_FT_*`, as it is.
    file_type: u8,
    /// Must be zero.
    pub(crate) reserved: u8,
}

impl Dirent {
    /// The type that it states, if it states one that there is.
    pub(crate) const fn file_type(&self) -> Option<FileType> {
        FileType::of_dirent(self.file_type)
    }

    /// The number of the type that it states.
    pub(crate) const fn raw_type(&self) -> u8 {
        self.file_type
    }

    /// Where the name starts, in bytes of the block.
    pub(crate) const fn name_start(&self) -> usize {
        self.name as usize
    }

    #[inline]
    fn parse(bytes: &[u8], index: usize) -> Option<Self> {
        let record = bytes.get(index.checked_mul(DIRENT_SIZE)?..)?;
        let rest = &mut record.first_chunk::<DIRENT_SIZE>()?.as_slice();
        Some(Self {
            nid: le_u64(rest)?,
            name: le_u16(rest)?,
            file_type: *rest.first()?,
            reserved: *rest.get(1)?,
        })
    }
}

/// One block of a directory; the last one ends with the directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirBlock<'a> {
    pub(super) bytes: &'a [u8],
    /// The directory, and where in it the block starts: where an error is.
    pub(super) nid: u64,
    pub(super) offset: u64,
    /// Number of entries, as [`Self::parse`] counts them.
    pub(crate) count: usize,
}

impl<'a> DirBlock<'a> {
    /// Looks at the first entry, whose name's place says how many entries there are.
    ///
    /// # Errors
    ///
    /// [`Code::DirentTable`] when the entries do not fill up the bytes before the names, or
    /// go beyond the block.
    pub(crate) fn parse(bytes: &'a [u8], nid: u64, offset: u64) -> Result<Self, Error> {
        let names = Dirent::parse(bytes, 0).map_or(0, |first| usize::from(first.name));
        let count = names.checked_div(DIRENT_SIZE).unwrap_or(0);
        let fits = count > 0 && names < bytes.len();
        if !fits || count.saturating_mul(DIRENT_SIZE) != names {
            return Err(Error::new(Code::DirentTable, At::File(nid, offset))
                .found(Value::Number(names as u64)));
        }
        Ok(Self {
            bytes,
            nid,
            offset,
            count,
        })
    }

    /// Where an entry starts, in bytes of the directory.
    pub(crate) const fn position(&self, index: usize) -> u64 {
        self.offset
            .saturating_add((index as u64).saturating_mul(DIRENT_SIZE as u64))
    }

    /// An entry and its name. Names follow each other; a name ends where the next one starts,
    /// and the last one at the first NUL or at the end of the block.
    ///
    /// # Errors
    ///
    /// [`Code::DirentName`] when the name does not lie behind the one before it in the block,
    /// is empty, or is longer than [`NAME_MAX`].
    pub(crate) fn entry(&self, index: usize) -> Result<(Dirent, &'a [u8]), Error> {
        self.get(index)
            .ok_or_else(|| Error::new(Code::DirentName, At::File(self.nid, self.position(index))))
    }

    fn get(&self, index: usize) -> Option<(Dirent, &'a [u8])> {
        let dirent = Dirent::parse(self.bytes, index)?;
        let start = usize::from(dirent.name);
        let next = index.checked_add(1)?;
        let name = if next < self.count {
            let end = Dirent::parse(self.bytes, next)?.name;
            self.bytes.get(start..usize::from(end))?
        } else {
            let rest = self.bytes.get(start..)?;
            // One more than the longest name, so that one that is too long is seen.
            let rest = rest.get(..NAME_MAX.saturating_add(1)).unwrap_or(rest);
            rest.get(
                ..rest
                    .iter()
                    .position(|byte| *byte == 0)
                    .unwrap_or(rest.len()),
            )?
        };
        let behind_entries = start >= self.count.saturating_mul(DIRENT_SIZE);
        (behind_entries && !name.is_empty() && name.len() <= NAME_MAX).then_some((dirent, name))
    }
}

/// Whether a name can be one component of a path: the kernel shows no other
/// (`verify_dirent_name` in `fs/readdir.c`), and a NUL would end it early.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.len() <= NAME_MAX && !has_end(name)
}

/// Whether a NUL or a slash is among these bytes.
fn has_end(name: &[u8]) -> bool {
    // Eight bytes at once: names are short, and there are many of them.
    let (eights, rest) = name.as_chunks::<8>();
    let whole = eights.iter().fold(0, |ends, eight| {
        let eight = u64::from_le_bytes(*eight);
        ends | zeros(eight) | zeros(eight ^ SLASHES)
    });
    let rest = rest.iter().any(|byte| (*byte == 0) | (*byte == b'/'));
    whole != 0 || rest
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
const SLASHES: u64 = u64::from_le_bytes([b'/'; 8]);

/// Not zero where one of the bytes is.
const fn zeros(eight: u64) -> u64 {
    eight.wrapping_sub(ONES) & !eight & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// A block with these entries, and `tail` behind the last name.
    fn block(entries: &[(u64, u8, &[u8])], tail: &[u8]) -> Vec<u8> {
        let mut table = vec![];
        let mut names: Vec<u8> = vec![];
        for (nid, file_type, name) in entries {
            let at = u16::try_from(entries.len() * DIRENT_SIZE + names.len()).unwrap();
            table.extend(nid.to_le_bytes());
            table.extend(at.to_le_bytes());
            table.extend([*file_type, 0]);
            names.extend(*name);
        }
        table.extend(names);
        table.extend(tail);
        table
    }

    fn code(bytes: &[u8]) -> (Code, At) {
        let error = DirBlock::parse(bytes, 7, 4096)
            .and_then(|block| (0..block.count).try_for_each(|index| block.entry(index).map(|_| ())))
            .unwrap_err();
        (error.code(), error.at())
    }

    #[test]
    fn names_end_where_the_next_starts_or_at_a_nul() {
        let bytes = block(
            &[(36, 2, b"."), (1 << 63, 1, b"a\xff"), (40, 9, b"zz")],
            &[0, b'x'],
        );
        let block = DirBlock::parse(&bytes, 7, 8192).unwrap();
        assert_eq!(block.count, 3);
        let (dirent, name) = block.entry(0).unwrap();
        assert_eq!(
            (dirent.nid, dirent.file_type(), name),
            (36, Some(FileType::Directory), &b"."[..])
        );
        let (dirent, name) = block.entry(1).unwrap();
        assert_eq!((dirent.nid, name), (1 << 63, &b"a\xff"[..]));
        let (dirent, name) = block.entry(2).unwrap();
        assert_eq!((dirent.file_type(), name), (None, &b"zz"[..]));
        assert_eq!(block.position(2), 8192 + 24);
    }

    #[test]
    fn the_last_name_may_fill_the_block() {
        let long = [b'n'; NAME_MAX];
        let bytes = block(&[(1, 1, &long)], b"");
        let parsed = DirBlock::parse(&bytes, 7, 0).unwrap();
        assert_eq!(parsed.entry(0).unwrap().1, long);
        let bytes = block(&[(1, 1, &long)], b"n");
        assert_eq!(code(&bytes), (Code::DirentName, At::File(7, 4096)));
    }

    #[test]
    fn a_table_that_does_not_fit_is_refused() {
        let at = |offset| (Code::DirentTable, At::File(7, offset));
        assert_eq!(code(&[]), at(4096));
        assert_eq!(code(&[0; 64]), at(4096));
        let mut bytes = block(&[(1, 1, b"a"), (2, 1, b"b")], b"");
        for wrong in [11_u8, 13, 23, 36, 26] {
            bytes[8] = wrong;
            assert_eq!(code(&bytes), at(4096), "{wrong}");
        }
    }

    #[test]
    fn a_name_that_does_not_follow_is_refused() {
        let good = block(&[(1, 1, b"aa"), (2, 1, b"b"), (3, 1, b"c")], b"");
        // The first name would be empty, or end before it starts, or lie beyond the block.
        for wrong in [36_u8, 30, 200] {
            let mut bytes = good.clone();
            bytes[12 + 8] = wrong;
            assert_eq!(code(&bytes), (Code::DirentName, At::File(7, 4096)));
        }
        // The last name starts at the end of the block, or beyond.
        for wrong in [40_u8, 41] {
            let mut bytes = good.clone();
            bytes[24 + 8] = wrong;
            assert_eq!(code(&bytes).0, Code::DirentName);
        }
    }

    #[test]
    fn no_name_is_a_path() {
        assert!(is_name(b"a\n\xff"));
        for wrong in [&b""[..], b"a/b", b"a\0", b"/", &[b'n'; 256]] {
            assert!(!is_name(wrong));
        }
        for length in 1..40 {
            for place in 0..length {
                for byte in 0..=255 {
                    let mut name = vec![0x80 | byte; length];
                    name[place] = byte;
                    let ends = name.contains(&0) || name.contains(&b'/');
                    assert_eq!(is_name(&name), !ends, "{name:?}");
                }
            }
        }
    }
}
