//! Extended attributes in `pax` records: of star and GNU tar (`SCHILY.xattr.NAME`), and of libarchive
//! (`LIBARCHIVE.xattr.NAME`, the name as in a URL, the value in base64).

use alloc::vec::Vec;

use base64ct::{Base64Unpadded, Encoding as _};

/// The name of an attribute of star's form. GNU tar, which cannot have an equals sign in it, writes
/// that as `%3D`, and a percent sign as `%25`; nothing else is decoded.
pub(super) fn schily_name(text: &[u8]) -> Option<Vec<u8>> {
    decode(text, |digits| match digits {
        b"3D" => Some(b'='),
        b"25" => Some(b'%'),
        _ => None,
    })
}

/// The name of an attribute of libarchive's form: every `%` with two hexadecimal digits is a byte.
pub(super) fn libarchive_name(text: &[u8]) -> Option<Vec<u8>> {
    decode(text, |digits| {
        let digits = str::from_utf8(digits).ok()?;
        // Else a sign would be taken.
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16).ok()?;
        is_hex.then_some(byte)
    })
}

/// Puts a byte in the place of a percent sign and two digits where there is one for them; `None` when
/// there is no memory.
fn decode(text: &[u8], byte: impl Fn(&[u8]) -> Option<u8>) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    name.try_reserve_exact(text.len()).ok()?;
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let decoded = (*first == b'%')
            .then(|| after.split_first_chunk::<2>())
            .flatten()
            .and_then(|(digits, after)| Some((byte(digits)?, after)));
        let (byte, after) = decoded.unwrap_or((*first, after));
        name.push(byte);
        rest = after;
    }
    Some(name)
}

/// The value of an attribute of libarchive's form: base64 (RFC 4648), which libarchive writes without
/// padding. `None` when it is not that.
pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = match text {
        [text @ .., b'=', b'='] | [text @ .., b'='] if text.len() % 4 >= 2 => text,
        text => text,
    };
    let mut value = Vec::new();
    // Three bytes of every four, rounded up.
    let room = text.len().div_ceil(4).checked_mul(3)?;
    value.try_reserve_exact(room).ok()?;
    value.resize(room, 0);
    let length = Base64Unpadded::decode(text, &mut value).ok()?.len();
    value.truncate(length);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let schily = |text: &[u8]| schily_name(text).unwrap();
        assert_eq!(schily(b"user.a%3Db%253D%41%3d%"), b"user.a=b%3D%41%3d%");
        let libarchive = |text: &[u8]| libarchive_name(text).unwrap();
        assert_eq!(libarchive(b"user.a%3Db%3d%25%+1%4"), b"user.a=b=%%+1%4");
    }

    #[test]
    fn values() {
        assert_eq!(base64(b"").as_deref(), Some(&b""[..]));
        assert_eq!(base64(b"AP8").as_deref(), Some(&b"\0\xff"[..]));
        assert_eq!(base64(b"AP8=").as_deref(), Some(&b"\0\xff"[..]));
        assert_eq!(base64(b"AA==").as_deref(), Some(&b"\0"[..]));
        assert_eq!(base64(b"AAAA").as_deref(), Some(&b"\0\0\0"[..]));
        for wrong in [
            &b"A"[..],
            b"A=",
            b"AP9",
            b"A\nA",
            b"AA=A",
            b"=",
            b"AAAA=",
            b"\xff\xff",
        ] {
            assert_eq!(base64(wrong), None, "{wrong:?}");
        }
    }
}
