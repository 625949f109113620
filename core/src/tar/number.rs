//! Numbers of headers and of `pax` records.

/// A number of a header: in octal digits, or (GNU tar, star) in base 256, two's complement, behind a
/// byte 0x80, or 0xff when it is negative.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    if let Some(number) = usual(field) {
        return i64::try_from(number).ok();
    }
    match field.split_first() {
        Some((0x80, digits)) => {
            let number = binary(0, digits)?;
            i64::try_from(number).ok()
        }
        Some((0xff, digits)) => {
            // What is not there of the leading bytes is all ones, so what is turned around is
            // a number without a sign.
            let inverse = binary(0xff, digits)?;
            let inverse = i64::try_from(inverse).ok()?;
            Some(!inverse)
        }
        _ => i64::try_from(octal(field)?).ok(),
    }
}

/// A number of a header that has no sign.
pub(super) fn unsigned(field: &[u8]) -> Option<u64> {
    u64::try_from(number(field)?).ok()
}

/// A number of a header with 32 bits.
pub(super) fn small(field: &[u8]) -> Option<u32> {
    u32::try_from(number(field)?).ok()
}

/// Bytes as a number, the most significant first, each turned around by `flip`.
fn binary(flip: u8, digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        Some(number.checked_mul(256)? | u64::from(digit ^ flip))
    })
}

/// A number as nearly all writers have it: octal digits up to the last byte, which is a space or a NUL.
/// `None` says that it is no such number; it may be another. All digits are looked at together, as
/// bytes of one word: headers are mostly numbers.
fn usual(field: &[u8]) -> Option<u64> {
    let (high, low) = match field.len() {
        8 => (0, field.first_chunk()?),
        12 => (
            eight(u64::from(u32::from_be_bytes(*field.first_chunk()?)) | 0x3030_3030 << 32)?,
            field.last_chunk()?,
        ),
        _ => return None,
    };
    let word = u64::from_be_bytes(*low);
    // The last byte makes room for a digit at the front.
    if !matches!(word & 0xff, 0 | 0x20) {
        return None;
    }
    let low = eight(word >> 8 | 0x30 << 56)?;
    Some(high << 21 | low)
}

/// Eight octal digits, the first of them in the highest byte.
const fn eight(word: u64) -> Option<u64> {
    if word & 0xf8f8_f8f8_f8f8_f8f8 != 0x3030_3030_3030_3030 {
        return None;
    }
    let digits = word & 0x0707_0707_0707_0707;
    // Two digits, four, and all.
    let digits = (digits >> 5 | digits) & 0x003f_003f_003f_003f;
    let digits = (digits >> 10 | digits) & 0x0000_0fff_0000_0fff;
    Some((digits >> 20 | digits) & 0xff_ffff)
}

/// A number in octal digits, behind spaces and ended by a space or a NUL, of which more may follow.
/// Nothing but those counts as zero, as writers leave the fields that a member does not need.
pub(super) fn octal(field: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    let mut bytes = field.iter().skip_while(|byte| **byte == b' ');
    for byte in &mut bytes {
        match byte {
            b'0'..=b'7' => {
                number = number.checked_mul(8)? | u64::from(byte & 7);
            }
            b' ' | 0 => break,
            _ => return None,
        }
    }
    bytes.all(|byte| matches!(byte, b' ' | 0)).then_some(number)
}

/// A decimal number of at most 63 bits: digits alone.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let number = whole(digits)?;
    i64::try_from(number).is_ok().then_some(number)
}

/// A decimal number of 64 bits.
fn whole(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit & 15))
    })
}

/// A time of a `pax` record, in seconds since 1970 with any number of decimals: seconds, and
/// nanoseconds to be added. What is finer is rounded down, as GNU tar does.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let dot = text.iter().position(|byte| *byte == b'.');
    let (seconds, decimals) = match dot {
        Some(dot) => (text.get(..dot)?, text.get(dot.checked_add(1)?..)?),
        None => (text, &[][..]),
    };
    let seconds = whole(seconds)?;
    if !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = decimals.iter().chain(core::iter::repeat(&b'0')).take(9);
    let nanoseconds = digits.fold(0_u32, |sum, digit| {
        sum.wrapping_mul(10).wrapping_add(u32::from(digit & 15))
    });
    if !negative {
        return Some((i64::try_from(seconds).ok()?, nanoseconds));
    }
    let seconds = 0_i64.checked_sub_unsigned(seconds)?;
    let finer = decimals.get(9..).unwrap_or_default();
    let finer = finer.iter().any(|digit| *digit != b'0');
    let below = nanoseconds.checked_add(u32::from(finer))?;
    if below == 0 {
        return Some((seconds, 0));
    }
    let rest = 1_000_000_000_u32.checked_sub(below)?;
    Some((seconds.checked_sub(1)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_digits_stand_between_spaces_and_an_end() {
        assert_eq!(octal(b"0000644\0"), Some(0o644));
        assert_eq!(octal(b"   644 \0"), Some(0o644));
        assert_eq!(octal(b"77777777"), Some(0o77_777_777));
        assert_eq!(octal(b"\0\0\0\0"), Some(0));
        assert_eq!(octal(b"    "), Some(0));
        for wrong in [&b"8\0"[..], b"-1\0", b"1\x002\0", b"\x001", b"1 2", b"+7"] {
            assert_eq!(octal(wrong), None, "{wrong:?}");
        }
        assert_eq!(octal(&[b'7'; 22]), None);
    }

    #[test]
    fn what_is_usual_is_read_as_all_else() {
        for text in [
            &b"0000644\0"[..],
            b"7777777 ",
            b"1234567\0",
            b"00000000000\0",
            b"77777777777\0",
            b"12345670123 ",
        ] {
            assert_eq!(usual(text), octal(text), "{text:?}");
            assert!(usual(text).is_some());
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    let mut other = text.to_vec();
                    other[at] = byte;
                    if let Some(number) = usual(&other) {
                        assert_eq!(Some(number), octal(&other), "{other:?}");
                    }
                }
            }
        }
        assert_eq!(usual(b"644\0"), None);
        assert_eq!(usual(b"    644\0"), None);
    }

    #[test]
    fn base_256_has_a_sign() {
        let mut field = [0; 12];
        field[0] = 0x80;
        field[11] = 7;
        assert_eq!(number(&field), Some(7));
        field[4] = 0x7f;
        assert_eq!(number(&field), Some(0x7f00_0000_0000_0007));
        field[4] = 0x80;
        assert_eq!(number(&field), None, "2^63");
        field[4] = 0;
        field[1] = 1;
        assert_eq!(number(&field), None, "beyond 64 bits");
        let mut field = [0xff; 12];
        assert_eq!(number(&field), Some(-1));
        assert_eq!(unsigned(&field), None);
        field[11] = 0;
        assert_eq!(number(&field), Some(-256));
        field[4..].copy_from_slice(&i64::MIN.to_be_bytes());
        assert_eq!(number(&field), Some(i64::MIN));
        field[4] = 0x7f;
        assert_eq!(number(&field), None);
        assert_eq!(number(&[0x81, 0, 0, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn decimal_digits_alone() {
        assert_eq!(decimal(b"9223372036854775807"), Some(i64::MAX as u64));
        assert_eq!(decimal(b"007"), Some(7));
        for wrong in [
            &b"9223372036854775808"[..],
            b"18446744073709551616",
            b"+1",
            b"-1",
            b"",
            b" 1",
            b"1 ",
            b":",
        ] {
            assert_eq!(decimal(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn times_are_rounded_down() {
        assert_eq!(time(b"7"), Some((7, 0)));
        assert_eq!(time(b"7."), Some((7, 0)));
        assert_eq!(time(b"7.12"), Some((7, 120_000_000)));
        assert_eq!(time(b"0.0000000019"), Some((0, 1)));
        assert_eq!(time(b"-1"), Some((-1, 0)));
        assert_eq!(time(b"-0.0"), Some((0, 0)));
        assert_eq!(time(b"-1.5"), Some((-2, 500_000_000)));
        assert_eq!(time(b"-0.000000001"), Some((-1, 999_999_999)));
        assert_eq!(time(b"-0.0000000001"), Some((-1, 999_999_999)));
        assert_eq!(time(b"-0.9999999991"), Some((-1, 0)));
        assert_eq!(time(b"-9223372036854775808"), Some((i64::MIN, 0)));
        assert_eq!(
            time(b"9223372036854775807.9"),
            Some((i64::MAX, 900_000_000))
        );
        for wrong in [
            &b""[..],
            b"-",
            b".5",
            b"1.5.5",
            b"1e3",
            b"--1",
            b"+1",
            b"1.-5",
            b"9223372036854775808",
            b"-9223372036854775809",
            b"-9223372036854775808.1",
        ] {
            assert_eq!(time(wrong), None, "{wrong:?}");
        }
    }
}
