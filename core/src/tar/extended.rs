//! What extended headers say of the member that follows them, and global ones of all that follow.

use alloc::vec::Vec;

use super::number::{decimal, time};
use super::sparse::Sparse;
use super::xattr::{base64, libarchive_name, schily_name};
use crate::{At, Code, Error, Value};

/// Of one member.
#[derive(Debug)]
pub(super) struct Extended {
    /// Where the first of the headers starts in the archive.
    pub(super) start: u64,
    /// How many bytes they hold in all.
    pub(super) bytes: u64,
    /// Whether there was a `pax` header.
    pub(super) pax: bool,
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    pub(super) owner: Owner,
    /// By their names, each once.
    pub(super) xattrs: Vec<Xattr>,
    pub(super) sparse: Option<Sparse>,
}

/// An extended attribute.
#[derive(Debug)]
pub(super) struct Xattr {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// Whether its record is of libarchive's form.
    is_libarchive: bool,
    /// Where that starts in the archive.
    at: u64,
}

/// What a global header may say, and a member's own says too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Owner {
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<(i64, u32)>,
}

/// One record of a `pax` header.
struct Record<'a> {
    keyword: &'a [u8],
    value: &'a [u8],
    /// Where it starts in the archive.
    at: u64,
}

impl Owner {
    /// What is said here, and what is not, as it is said there.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            uid: self.uid.or(other.uid),
            gid: self.gid.or(other.gid),
            mtime: self.mtime.or(other.mtime),
        }
    }

    /// Takes a record that is about owner or time; `false` when it is not.
    fn take(&mut self, record: &Record<'_>) -> Result<bool, Error> {
        match record.keyword {
            b"uid" => self.uid = Some(record.small()?),
            b"gid" => self.gid = Some(record.small()?),
            b"mtime" => {
                let time = time(record.value);
                self.mtime = Some(time.ok_or_else(|| record.refused(Code::TarValue))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads the records of a global header, whose content starts at `start` of the archive.
    ///
    /// GNU tar forgets what an earlier one has set, and POSIX does not, so a later one must set the
    /// same.
    pub(super) fn read_global(&mut self, text: &[u8], start: u64) -> Result<(), Error> {
        let mut new = Self::default();
        for record in records(text, start) {
            let record = record?;
            if new.take(&record)? {
                continue;
            }
            if matters(record.keyword) {
                return Err(record.refused(Code::TarGlobal));
            }
        }
        let lost = (self.uid.is_some() && new.uid.is_none())
            || (self.gid.is_some() && new.gid.is_none())
            || (self.mtime.is_some() && new.mtime.is_none());
        if lost {
            return Err(Error::new(Code::TarGlobal, At::Archive(start)));
        }
        *self = new;
        Ok(())
    }
}

/// Whether a keyword says something that a member is made of, besides owner and time.
fn matters(keyword: &[u8]) -> bool {
    matches!(
        keyword,
        b"path"
            | b"linkpath"
            | b"size"
            | b"SCHILY.devmajor"
            | b"SCHILY.devminor"
            | b"SCHILY.realsize"
    ) || [&b"GNU.sparse."[..], b"SCHILY.xattr.", b"LIBARCHIVE.xattr."]
        .iter()
        .any(|prefix| keyword.starts_with(prefix))
}

impl Extended {
    pub(super) fn new(start: u64) -> Self {
        Self {
            start,
            bytes: 0,
            pax: false,
            path: None,
            link: None,
            size: None,
            major: None,
            minor: None,
            owner: Owner::default(),
            xattrs: Vec::new(),
            sparse: None,
        }
    }

    /// Reads the records of a `pax` header, whose content starts at `start` of the archive, for a map
    /// of at most `limit` pieces; if `once`, no name or size twice.
    pub(super) fn read_pax(
        &mut self,
        text: &[u8],
        start: u64,
        limit: usize,
        once: bool,
    ) -> Result<(), Error> {
        // What was set by a header of GNU's form.
        let (mut path, mut link) = (self.path.is_some(), self.link.is_some());
        let mut size = false;
        for record in records(text, start) {
            let record = record?;
            if self.owner.take(&record)? {
                continue;
            }
            match record.keyword {
                b"path" if path => return Err(record.refused(Code::TarExtension)),
                b"path" => {
                    self.path = Some(record.name()?);
                    path = once;
                }
                b"linkpath" if link => return Err(record.refused(Code::TarExtension)),
                b"linkpath" => {
                    self.link = Some(record.name()?);
                    link = once;
                }
                b"size" if size => return Err(record.refused(Code::TarExtension)),
                b"size" => {
                    self.size = Some(record.number()?);
                    size = once;
                }
                b"SCHILY.devmajor" => self.major = Some(record.small()?),
                b"SCHILY.devminor" => self.minor = Some(record.small()?),
                // star's own form of sparse files, which GNU tar passes over.
                b"SCHILY.realsize" => return Err(record.refused(Code::TarSparse)),
                keyword => {
                    if let Some(keyword) = keyword.strip_prefix(b"GNU.sparse.") {
                        if keyword == b"name" {
                            record.name()?;
                        }
                        let sparse = self.sparse.get_or_insert_with(|| Sparse::new(limit));
                        let read = sparse.record(keyword, record.value);
                        read.map_err(|(code, value)| record.refused(code).expected(value))?;
                    } else if let Some(xattr) = record.xattr()? {
                        let room = self.xattrs.try_reserve(1);
                        room.map_err(|_| record.refused(Code::TarMemory))?;
                        self.xattrs.push(xattr);
                    }
                }
            }
        }
        self.check_xattrs()
    }

    /// Puts the attributes into an order and leaves each once: of a form the last, and of both forms, as
    /// bsdtar writes each, one, which must be as the other. GNU tar and Go know one of the forms.
    fn check_xattrs(&mut self) -> Result<(), Error> {
        let xattrs = &mut self.xattrs;
        let key = |xattr: &Xattr| (xattr.is_libarchive, u64::MAX.wrapping_sub(xattr.at));
        xattrs.sort_unstable_by(|a, b| a.name.cmp(&b.name).then_with(|| key(a).cmp(&key(b))));
        xattrs.dedup_by(|next, last| {
            next.is_libarchive == last.is_libarchive && next.name == last.name
        });
        let mut refused = None;
        xattrs.dedup_by(|next, other| {
            let is_same = next.name == other.name;
            if is_same && next.value != other.value {
                refused = refused.or(Some(next.at.max(other.at)));
            }
            is_same
        });
        match refused {
            None => Ok(()),
            Some(at) => Err(Error::new(Code::TarXattr, At::Archive(at))),
        }
    }
}

impl Record<'_> {
    fn refused(&self, code: Code) -> Error {
        Error::new(code, At::Archive(self.at))
    }

    /// The value as a name of a file.
    fn name(&self) -> Result<Vec<u8>, Error> {
        if self.value.is_empty() || self.value.contains(&0) {
            return Err(self.refused(Code::TarName));
        }
        self.copied()
    }

    /// The value.
    fn copied(&self) -> Result<Vec<u8>, Error> {
        copied(self.value).ok_or_else(|| self.refused(Code::TarMemory))
    }

    /// The extended attribute that it is, if it is one.
    fn xattr(&self) -> Result<Option<Xattr>, Error> {
        let schily = self.keyword.strip_prefix(b"SCHILY.xattr.");
        let libarchive = self.keyword.strip_prefix(b"LIBARCHIVE.xattr.");
        let (name, value) = match (schily, libarchive) {
            (Some(name), _) => (schily_name(name), self.copied()?),
            (None, Some(name)) => {
                let value = base64(self.value).ok_or_else(|| self.refused(Code::TarXattr))?;
                (libarchive_name(name), value)
            }
            (None, None) => return Ok(None),
        };
        let name = name.ok_or_else(|| self.refused(Code::TarMemory))?;
        if name.is_empty() || name.contains(&0) {
            return Err(self.refused(Code::TarXattr));
        }
        Ok(Some(Xattr {
            name,
            value,
            is_libarchive: libarchive.is_some(),
            at: self.at,
        }))
    }

    fn number(&self) -> Result<u64, Error> {
        decimal(self.value).ok_or_else(|| self.refused(Code::TarValue))
    }

    fn small(&self) -> Result<u32, Error> {
        let number = self.number()?;
        let most = Value::AtMost(u32::MAX.into());
        let too_large = |_| {
            self.refused(Code::TarValue)
                .found(Value::Number(number))
                .expected(most)
        };
        u32::try_from(number).map_err(too_large)
    }
}

/// A copy of bytes, or `None` when there is no memory for it.
pub(super) fn copied(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}

/// The records of a `pax` header, `LENGTH KEYWORD=VALUE\n`, where the length counts the whole record.
fn records(text: &[u8], start: u64) -> impl Iterator<Item = Result<Record<'_>, Error>> {
    let (mut rest, mut at) = (text, start);
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let here = at;
        let Some((keyword, value, after)) = record(rest) else {
            rest = &[];
            return Some(Err(Error::new(Code::TarRecord, At::Archive(here))));
        };
        let length = rest.len().saturating_sub(after.len());
        at = at.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        rest = after;
        Some(Ok(Record {
            keyword,
            value,
            at: here,
        }))
    })
}

/// The first record of a `pax` header: keyword, value, and what follows.
fn record(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = text.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(text.get(..space)?)?).ok()?;
    let (record, after) = text.split_at_checked(length)?;
    let record = record.get(space.checked_add(1)?..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let keyword = record.get(..equals).filter(|keyword| !keyword.is_empty())?;
    Some((keyword, record.get(equals.checked_add(1)?..)?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_may_hold_line_feeds() {
        let read: Vec<_> = records(b"8 a=\n\n=\n6 b=c\n", 100)
            .map(|record| record.map(|r| (r.keyword.to_vec(), r.value.to_vec(), r.at)))
            .collect();
        assert_eq!(
            read,
            [
                Ok((b"a".to_vec(), b"\n\n=".to_vec(), 100)),
                Ok((b"b".to_vec(), b"c".to_vec(), 108))
            ]
        );
    }

    #[test]
    fn records_have_one_form() {
        for broken in [
            &b"5 a=b\n"[..],
            b"7 a=b\n",
            b"6 a=b ",
            b"a=b\n",
            b"0 \n",
            b"3 \n",
            b"5 =b\n",
            b" 7 a=b\n",
            b"99999999999999999999999 a=b\n",
            b"6 a=b\n\0",
        ] {
            assert!(
                records(broken, 0).any(|record| record.is_err()),
                "{broken:?}"
            );
        }
    }
}
