//! Extended attributes from a list, in the form of `getfattr --dump`.
//!
//! ```text
//! # file: usr/bin/ping
//! security.capability=0sAQAAAgAgAAAAAAAAAAAAAAAAAAA=
//! user.note="text with \"quotes\""
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use super::filter::{Xattrs, plain};
use crate::error::HostError;
use crate::report::shown;

/// Reads a list.
///
/// # Errors
///
/// [`HostError::Environment`] when it cannot be read, [`HostError::Usage`] with the number of a line that
/// cannot be understood.
pub fn read_list(path: &Path) -> Result<BTreeMap<Vec<u8>, Xattrs>, HostError> {
    let text = std::fs::read(path);
    let text = text.map_err(|error| HostError::environment(path, "read", error))?;
    parse(&text).map_err(|line| {
        HostError::Usage(format!(
            "{}: line {line}: expected what getfattr --dump writes",
            shown(path)
        ))
    })
}

fn parse(text: &[u8]) -> Result<BTreeMap<Vec<u8>, Xattrs>, usize> {
    let mut list: BTreeMap<Vec<u8>, Xattrs> = BTreeMap::new();
    let mut file: Option<Vec<u8>> = None;
    for (number, line) in (1_usize..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(name) = line.strip_prefix(b"# file: ") {
            let path = plain(&unescaped(name).ok_or(number)?);
            list.entry(path.clone()).or_default();
            file = Some(path);
        } else if !line.is_empty() && !line.starts_with(b"#") {
            let attributes = file.as_ref().and_then(|file| list.get_mut(file));
            attributes
                .ok_or(number)?
                .push(attribute(line).ok_or(number)?);
        }
    }
    Ok(list)
}

/// `name=value`, or a name alone, whose value is empty.
fn attribute(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, value) = match line.iter().position(|byte| *byte == b'=') {
        Some(at) => (line.get(..at)?, line.get(at + 1..)?),
        None => (line, &[][..]),
    };
    let value = if let Some(hex) = value.strip_prefix(b"0x").or(value.strip_prefix(b"0X")) {
        let pairs = hex.chunks(2).map(|pair| match pair {
            [_, _] => u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok(),
            _ => None,
        });
        pairs.collect::<Option<_>>()?
    } else if let Some(text) = value.strip_prefix(b"0s").or(value.strip_prefix(b"0S")) {
        base64(text)?
    } else if let Some(text) = value.strip_prefix(b"\"") {
        unescaped(text.strip_suffix(b"\"")?)?
    } else {
        unescaped(value)?
    };
    Some((unescaped(name)?, value))
}

/// A backslash before three octal digits, a backslash or a quote.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            plain.push(*first);
            continue;
        }
        if let Some(digits) = rest.get(..3)
            && digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
        {
            plain.push(u8::from_str_radix(core::str::from_utf8(digits).ok()?, 8).ok()?);
            rest = rest.get(3..)?;
        } else {
            let (next, behind) = rest.split_first()?;
            plain.push(*next);
            rest = behind;
        }
    }
    Some(plain)
}

/// Base64 of RFC 4648, section 4, padded.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    use base64ct::Encoding as _;
    base64ct::Base64::decode_vec(core::str::from_utf8(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_getfattr_is_understood() {
        let text = b"# file: usr/bin/ping\nsecurity.capability=0sAQID\n\n\
            # file: ./a\\040b/\nuser.t=\"x\\\"y\\134\\012\"\nuser.h=0x00fF\nuser.none\nuser.bare=text\n";
        let list = parse(text).unwrap();
        let of = |path: &[u8]| list.get(path).unwrap().clone();
        assert_eq!(
            of(b"usr/bin/ping"),
            [(b"security.capability".to_vec(), vec![1, 2, 3])]
        );
        assert_eq!(
            of(b"a b"),
            [
                (b"user.t".to_vec(), b"x\"y\\\n".to_vec()),
                (b"user.h".to_vec(), vec![0, 255]),
                (b"user.none".to_vec(), vec![]),
                (b"user.bare".to_vec(), b"text".to_vec()),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_named_by_its_line() {
        for (text, line) in [
            ("user.a=b", 1),
            ("# file: a\nuser.a=0xf", 2),
            ("# file: a\n\nuser.a=\"b", 3),
            ("# file: a\nuser.a=0s?", 2),
            ("# file: a\nuser.a=b\\", 2),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(line), "{text}");
        }
    }
}
