//! Names and texts of strangers, made safe for one line on a terminal.

use core::fmt::{self, Write as _};

/// Displays bytes so that they stay on one line and cannot steer a terminal.
///
/// Control characters, characters that change the direction or the joining of a line, and
/// bytes that are not UTF-8 are written as escapes. In a *name* a backslash is doubled too,
/// so that the escaped form names one file only; in a *text* it stays as it is.
///
/// ```
/// use erofs_unpack_ops::Escaped;
///
/// assert_eq!(Escaped::name(b"a\nb\x1b[2J\xff\\").to_string(), r"a\nb\x1b[2J\xff\\");
/// assert_eq!(Escaped::text(r"a\nb").to_string(), r"a\nb");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    bytes: &'a [u8],
    double: bool,
}

impl<'a> Escaped<'a> {
    /// A file's name: any bytes.
    #[must_use]
    pub fn name(name: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self {
            bytes: name.as_ref(),
            double: true,
        }
    }

    /// A sentence that may hold names or another program's words.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            double: false,
        }
    }

    /// Whether nothing in the bytes has to be escaped, as far as that can be seen at once: whether
    /// they are printable ASCII.
    fn is_plain(&self) -> bool {
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & !(self.double & (byte == b'\\'));
        self.bytes
            .iter()
            .fold(true, |all, byte| all & is_plain(*byte))
    }

    /// Writes what is displayed behind what there is.
    pub fn append_to(&self, line: &mut Vec<u8>) {
        if self.is_plain() {
            line.extend_from_slice(self.bytes);
        } else {
            line.extend_from_slice(self.to_string().as_bytes());
        }
    }
}

/// Whether a character could break the line or make it read as what it is not.
const fn steers(character: char) -> bool {
    matches!(
        character,
        // Format characters: soft hyphen, Arabic letter mark, zero width, direction marks,
        // embeddings, overrides, isolates, invisible operators, byte order mark, tags.
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_plain()
            && let Ok(plain) = core::str::from_utf8(self.bytes)
        {
            return f.write_str(plain);
        }
        for chunk in self.bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    '\\' if self.double => f.write_str("\\\\")?,
                    '\0'..='\x1f' | '\x7f' => write!(f, "\\x{:02x}", u32::from(character))?,
                    _ if character.is_control() || steers(character) => {
                        write!(f, "\\u{{{:x}}}", u32::from(character))?;
                    }
                    _ => f.write_char(character)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_survives() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&all[..], "\u{202e}\u{9b}2J\u{2028}\u{feff}".as_bytes()] {
            let shown = Escaped::name(bytes).to_string();
            assert!(
                !shown.chars().any(|c| c.is_control() || steers(c)),
                "{shown}"
            );
        }
        assert_eq!(Escaped::name("\u{202e}é").to_string(), "\\u{202e}é");
        assert_eq!(Escaped::text("a\u{1b}\\").to_string(), "a\\x1b\\");
    }

    #[test]
    fn a_plain_name_is_written_as_it_is() {
        for byte in 0..=255 {
            let name = [b'a', byte, b'z'];
            let name = Escaped::name(&name);
            let mut line = b"> ".to_vec();
            name.append_to(&mut line);
            assert_eq!(line, format!("> {name}").as_bytes(), "{byte}");
            let is_plain = (b' '..0x7f).contains(&byte) && byte != b'\\';
            assert_eq!(name.is_plain(), is_plain, "{byte}");
        }
        assert!(Escaped::text(r"a\b").is_plain());
    }

    #[test]
    fn different_names_stay_different() {
        assert_ne!(
            Escaped::name("a\nb").to_string(),
            Escaped::name(r"a\nb").to_string()
        );
    }
}
