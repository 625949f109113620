//! Names as lists show them, read back.

/// The name that an escaped form means, as [`crate::Escaped::name`] writes it; `None` for what has no
/// escape in it, or one that is none, and for what cannot be a name of a directory.
///
/// Bytes may also be escaped that need not be.
pub(super) fn unescape(shown: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(shown.len());
    let mut rest = shown;
    let mut has_escape = false;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'\\' {
            name.push(*byte);
            continue;
        }
        has_escape = true;
        let (letter, behind) = rest.split_first()?;
        rest = behind;
        match letter {
            b'n' => name.push(b'\n'),
            b'r' => name.push(b'\r'),
            b't' => name.push(b'\t'),
            b'\\' => name.push(b'\\'),
            b'x' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                name.push(u8::try_from(hex(digits)?).ok()?);
            }
            b'u' => {
                let end = rest.iter().position(|byte| *byte == b'}')?;
                let digits = rest.get(..end)?.strip_prefix(b"{")?;
                rest = rest.get(end + 1..)?;
                let character = char::from_u32(hex(digits)?)?;
                name.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return None,
        }
    }
    let is_name = !name.iter().any(|byte| matches!(byte, 0 | b'/'));
    (has_escape && is_name).then_some(name)
}

/// A number of one to six hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u32> {
    let is_number = matches!(digits.len(), 1..=6) && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = core::str::from_utf8(digits).ok().filter(|_| is_number)?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Escaped;

    #[test]
    fn an_escaped_name_leads_back() {
        let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        for name in [
            &all[..],
            "\u{202e}\u{9b}é\u{e0001}\n\\n".as_bytes(),
            b"\xff",
        ] {
            let shown = Escaped::name(name).to_string();
            assert_eq!(unescape(shown.as_bytes()).as_deref(), Some(name), "{shown}");
        }
        for not in [
            "plain",
            "a\\",
            "\\q",
            "\\x",
            "\\x4",
            "\\xg0",
            "\\x+1",
            "\\u{}",
            "\\u{41",
            "\\u{110000}",
            "\\u{d800}",
            "\\u{0000041}",
            "a\\x2fb",
            "a\\x00",
        ] {
            assert_eq!(unescape(not.as_bytes()), None, "{not}");
        }
    }
}
