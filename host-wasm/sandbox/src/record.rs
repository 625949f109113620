//! What a guest says of an error or a finding, read with suspicion. The form is that of
//! `host-wasm/ABI.md`.

use erofs_unpack_core::check::{Finding, Severity};
use erofs_unpack_core::oci::{Algorithm, Digest};
use erofs_unpack_core::{At, Code, Error, Value};

use crate::words;

/// Size of an error's record in bytes.
pub(crate) const ERROR: usize = 232;
/// Size of a finding's record in bytes.
pub(crate) const FINDING: usize = 264;

fn number(record: &[u8], at: usize) -> Option<u64> {
    let bytes = record.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn word(record: &[u8], at: usize) -> Option<u32> {
    let bytes = record.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// A field of 64 bytes, as far as it is used.
fn field(record: &[u8], at: usize, length: u8) -> Option<&[u8]> {
    let field = record.get(at..at.checked_add(64)?)?;
    field.get(..length.into())
}

/// The error that a record tells; `None` when it tells none that there can be.
pub(crate) fn error(record: &[u8]) -> Option<Error> {
    let record = record.get(..ERROR)?;
    let &[
        _,
        at,
        id_length,
        _,
        found,
        expected,
        found_length,
        expected_length,
        ..,
    ] = record
    else {
        return None;
    };
    let id = field(record, 40, id_length)?;
    let code = Code::ALL.iter().find(|code| code.id().as_bytes() == id)?;
    // The kind goes with the code, whatever the record says.
    let at = place(at, number(record, 8)?, number(record, 16)?)?;
    let found = value(
        found,
        number(record, 24)?,
        field(record, 104, found_length)?,
    )?;
    let expected = value(
        expected,
        number(record, 32)?,
        field(record, 168, expected_length)?,
    )?;
    Some(Error::new(*code, at).found(found).expected(expected))
}

fn place(sort: u8, first: u64, second: u64) -> Option<At> {
    Some(match sort {
        0 => At::Whole,
        1 => At::Blob(first),
        2 => At::Image(first),
        3 => At::Text(first),
        4 => At::Json(first),
        5 => At::Nid(first),
        6 => At::File(first, second),
        7 => At::Layer(u32::try_from(first).ok()?),
        8 => At::Index(first),
        _ => return None,
    })
}

fn value(sort: u8, number: u64, bytes: &[u8]) -> Option<Value> {
    Some(match sort {
        0 => Value::None,
        1 => Value::Number(number),
        2 => Value::AtMost(number),
        3 => Value::AtLeast(number),
        4 => Value::Hex(number),
        5 => Value::Byte(u8::try_from(number).ok()?),
        6 => Value::Text(words::known(bytes)?),
        7 => Value::Digest(digest(bytes)?),
        _ => return None,
    })
}

/// A digest, whose algorithm its length tells.
fn digest(bytes: &[u8]) -> Option<Digest> {
    let algorithm = [Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .find(|algorithm| algorithm.digest(&[]).as_bytes().len() == bytes.len())?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::parse(&format!("{}:{hex}", algorithm.name())).ok()
}

/// The finding that a record tells, and how many of its rule there were.
pub(crate) fn finding(record: &[u8]) -> Option<(Finding, u64)> {
    let record = record.get(..FINDING)?;
    let error = error(record)?;
    let severity = match word(record, 232)? {
        1 => Severity::Warning,
        2 => Severity::Error,
        _ => return None,
    };
    let entry = match word(record, 236)? {
        0 => None,
        1 => Some((number(record, 240)?, number(record, 248)?)),
        _ => return None,
    };
    let finding = Finding {
        error,
        severity,
        entry,
    };
    Some((finding, number(record, 256)?.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> Vec<u8> {
        let mut record = vec![0; ERROR];
        record[2] = u8::try_from(id.len()).unwrap();
        record[40..40 + id.len()].copy_from_slice(id.as_bytes());
        record
    }

    #[test]
    fn a_record_without_sense_is_no_error() {
        let good = record("zstd-magic");
        assert_eq!(error(&good), Some(Error::new(Code::ZstdMagic, At::Whole)));
        assert_eq!(error(&good[..ERROR - 1]), None);
        assert_eq!(error(&record("zstd-magik")), None);
        assert_eq!(error(&record("")), None);
        for (byte, value) in [(1, 9), (2, 255), (4, 8), (5, 255), (6, 65)] {
            let mut bad = good.clone();
            bad[byte] = value;
            assert_eq!(error(&bad), None, "{byte}");
        }
        let mut word = good.clone();
        word[4] = 6;
        word[6] = 4;
        word[104..108].copy_from_slice(b"zstd");
        let said = error(&word).unwrap();
        assert_eq!(said.found_value(), Value::Text("zstd"));
        word[104..108].copy_from_slice(b"evil");
        assert_eq!(error(&word), None);
    }

    #[test]
    fn digests_come_back_as_they_went() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let there = algorithm.digest(b"bytes");
            assert_eq!(digest(there.as_bytes()), Some(there));
        }
        assert_eq!(digest(&[0; 31]), None);
    }
}
