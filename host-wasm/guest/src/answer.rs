//! The buffer for answers: texts, and the records of errors and findings.

use core::fmt::{self, Write as _};

#[cfg(feature = "check")]
use erofs_unpack_core::check::{Finding, Severity};
#[cfg(feature = "check")]
use erofs_unpack_core::erofs::{Data, DirEntry, FileType, Inode};
use erofs_unpack_core::{At, Error, Kind, Value};

/// What a record's texts and digests have room for, in bytes.
const FIELD: usize = 64;

/// The buffer.
pub(crate) struct Answer {
    bytes: &'static mut [u8],
    used: usize,
}

impl Answer {
    pub(crate) const fn new(bytes: &'static mut [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Puts bytes there and gives their number; `None` when they are too many.
    #[cfg(feature = "check")]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Option<i32> {
        self.used = 0;
        self.append(bytes).then(|| self.length())
    }

    /// Puts a text there. What there is no room for is left out.
    pub(crate) fn text(&mut self, text: &dyn fmt::Display) -> i32 {
        self.used = 0;
        // An error says that the rest was left out.
        let _ = write!(self, "{text}");
        self.length()
    }

    /// Puts an error's record there.
    pub(crate) fn error(&mut self, error: &Error) -> i32 {
        self.used = 0;
        self.append_error(error);
        self.length()
    }

    /// Puts a finding's record there: its error's, and what belongs to it besides.
    #[cfg(feature = "check")]
    pub(crate) fn finding(&mut self, finding: &Finding, count: u64) -> i32 {
        self.used = 0;
        self.append_error(&finding.error);
        let severity: u32 = match finding.severity {
            Severity::Warning => 1,
            Severity::Error => 2,
        };
        let (directory, offset) = finding.entry.unwrap_or_default();
        self.append(&severity.to_le_bytes());
        self.append(&u32::from(finding.entry.is_some()).to_le_bytes());
        for number in [directory, offset, count] {
            self.append(&number.to_le_bytes());
        }
        self.length()
    }

    /// Puts a file's record there.
    #[cfg(feature = "check")]
    pub(crate) fn file(&mut self, inode: &Inode) -> i32 {
        self.used = 0;
        let (major, minor) = match inode.data {
            Data::Device(major, minor) => (major, minor),
            _ => (0, 0),
        };
        for number in [inode.nid, inode.size, inode.mtime.cast_unsigned()] {
            self.append(&number.to_le_bytes());
        }
        for number in [
            inode.mtime_ns,
            inode.mode.into(),
            inode.uid,
            inode.gid,
            inode.nlink,
            major,
            minor,
            u32::from(inode.xattr_count > 0),
        ] {
            self.append(&number.to_le_bytes());
        }
        self.length()
    }

    /// Empties the buffer.
    #[cfg(feature = "check")]
    pub(crate) const fn clear(&mut self) {
        self.used = 0;
    }

    /// Adds a directory's entry; `false` when there is no room for it.
    #[cfg(feature = "check")]
    pub(crate) fn add_entry(&mut self, entry: &DirEntry<'_>) -> bool {
        let before = self.used;
        let file_type = entry.file_type.map_or(0, FileType::dirent);
        // A name has at most 255 bytes.
        let head = [file_type, u8::try_from(entry.name.len()).unwrap_or(0)];
        let all =
            self.append(&entry.nid.to_le_bytes()) && self.append(&head) && self.append(entry.name);
        if !all {
            self.used = before;
        }
        all
    }

    fn append_error(&mut self, error: &Error) {
        let kind = match error.kind() {
            Kind::Truncated => 1,
            Kind::Malformed => 2,
            Kind::Unsupported => 3,
            Kind::Limit => 4,
            Kind::Mismatch => 5,
            Kind::Memory => 6,
            Kind::Usage => 7,
            _ => 0,
        };
        let (at, first, second) = match error.at() {
            At::Blob(offset) => (1, offset, 0),
            At::Image(offset) => (2, offset, 0),
            At::Text(offset) => (3, offset, 0),
            At::Json(offset) => (4, offset, 0),
            At::Nid(nid) => (5, nid, 0),
            At::File(nid, offset) => (6, nid, offset),
            At::Layer(number) => (7, number.into(), 0),
            At::Index(offset) => (8, offset, 0),
            _ => (0, 0, 0),
        };
        let id = error.id().as_bytes();
        let found = Field::new(error.found_value());
        let expected = Field::new(error.expected_value());
        self.append(&[
            kind,
            at,
            length(id),
            0,
            found.sort,
            expected.sort,
            length(found.bytes()),
            length(expected.bytes()),
        ]);
        for number in [first, second, found.number, expected.number] {
            self.append(&number.to_le_bytes());
        }
        for bytes in [id, found.bytes(), expected.bytes()] {
            let mut field = [0; FIELD];
            for (place, byte) in field.iter_mut().zip(bytes) {
                *place = *byte;
            }
            self.append(&field);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> bool {
        let end = self.used.saturating_add(bytes.len());
        match self.bytes.get_mut(self.used..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.used = end;
                true
            }
            None => false,
        }
    }

    /// How many bytes are there.
    pub(crate) fn length(&self) -> i32 {
        // The buffer is smaller than that.
        i32::try_from(self.used).unwrap_or(i32::MAX)
    }
}

impl fmt::Write for Answer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.append(text.as_bytes()) {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

/// The length of what fits into a field.
fn length(bytes: &[u8]) -> u8 {
    u8::try_from(bytes.len().min(FIELD)).unwrap_or(0)
}

/// A value, as a record holds it.
struct Field {
    sort: u8,
    number: u64,
    value: Value,
}

impl Field {
    const fn new(value: Value) -> Self {
        let (sort, number) = match value {
            Value::Number(number) => (1, number),
            Value::AtMost(number) => (2, number),
            Value::AtLeast(number) => (3, number),
            Value::Hex(number) => (4, number),
            Value::Byte(byte) => (5, byte as u64),
            Value::Text(_) => (6, 0),
            Value::Digest(_) => (7, 0),
            _ => (0, 0),
        };
        Self {
            sort,
            number,
            value,
        }
    }

    fn bytes(&self) -> &[u8] {
        match &self.value {
            Value::Text(text) => text.as_bytes(),
            Value::Digest(digest) => digest.as_bytes(),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use erofs_unpack_core::Code;

    #[test]
    fn every_id_fits_into_its_field() {
        for code in Code::ALL {
            assert!(code.id().len() <= FIELD, "{}", code.id());
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let mut answer = Answer::new(vec![0; 4].leak());
        assert_eq!(answer.text(&"four"), 4);
        assert_eq!(answer.text(&"five!"), 0);
        let error = Error::new(Code::BlobSize, At::Whole);
        answer.error(&error);
        assert!(answer.length() <= 4);
    }
}
