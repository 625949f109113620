//! Inputs: a file, or a recipe for what is too large to be one.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use erofs_unpack_core::oci::{Algorithm, Hasher};
use serde::{Deserialize, Serialize};

/// How much of a recipe is made at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// The bytes of an input, with their size and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Where they come from.
    #[serde(flatten)]
    pub content: Content,
    /// How many they are.
    pub size: u64,
    /// Their SHA-256, in hex.
    pub sha256: String,
}

/// Where the bytes of an input come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Content {
    /// A file, relative to the folder of the manifest.
    File(String),
    /// Parts, one after another.
    Parts(Vec<Part>),
}

/// Bytes that are repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The bytes, in hex.
    pub hex: String,
    /// How often they come.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u64,
}

const fn once() -> u64 {
    1
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde wants"
)]
const fn is_once(times: &u64) -> bool {
    *times == 1
}

impl Part {
    /// These bytes, so often.
    #[must_use]
    pub fn new(bytes: &[u8], times: u64) -> Self {
        Self {
            hex: hex(bytes),
            times,
        }
    }
}

impl Blob {
    /// The bytes, to be read in order. Never more than a chunk of a recipe is in memory.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or a part is not hex.
    pub fn open(&self, folder: &Path) -> io::Result<Box<dyn Read>> {
        match &self.content {
            Content::File(path) => Ok(Box::new(File::open(folder.join(path))?)),
            Content::Parts(parts) => Ok(Box::new(PartsReader::new(parts)?)),
        }
    }

    /// All bytes at once: for documents and small blobs.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], and when size or digest are not as stated.
    pub fn read(&self, folder: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(folder)?.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != self.size || sha256(&bytes) != self.sha256 {
            return Err(self.changed());
        }
        Ok(bytes)
    }

    /// Reads all bytes and holds size and digest against what is stated.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn verify(&self, folder: &Path) -> io::Result<()> {
        let (size, digest) = measure(self.open(folder)?)?;
        if size != self.size || digest != self.sha256 {
            return Err(self.changed());
        }
        Ok(())
    }

    fn changed(&self) -> io::Error {
        let name = match &self.content {
            Content::File(path) => path,
            Content::Parts(_) => "a recipe",
        };
        let text = format!("{name}: is not what the manifest says: run generate");
        io::Error::new(io::ErrorKind::InvalidData, text)
    }
}

/// Size and SHA-256 of all that a reader gives.
///
/// # Errors
///
/// What the reader answers.
pub fn measure(mut reader: impl Read) -> io::Result<(u64, String)> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut chunk = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let read = reader.read(&mut chunk)?;
        if read == 0 {
            return Ok((size, hex(hasher.finish().as_bytes())));
        }
        hasher.update(&chunk[..read]);
        size += read as u64;
    }
}

/// The SHA-256 of these bytes, in hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(Algorithm::Sha256.digest(bytes).as_bytes())
}

/// Bytes as hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hex as bytes.
///
/// # Errors
///
/// When it is not pairs of hex digits.
pub fn unhex(text: &str) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "is not hex");
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(wrong());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}

/// Makes the bytes of a recipe.
struct PartsReader {
    /// The bytes and how often they are still to come, the next part last.
    parts: Vec<(Vec<u8>, u64)>,
    /// Where in the current repetition.
    at: usize,
}

impl PartsReader {
    fn new(parts: &[Part]) -> io::Result<Self> {
        let mut parts = parts
            .iter()
            .map(|part| Ok((unhex(&part.hex)?, part.times)))
            .collect::<io::Result<Vec<_>>>()?;
        parts.retain(|(bytes, _)| !bytes.is_empty());
        parts.reverse();
        Ok(Self { parts, at: 0 })
    }
}

impl Read for PartsReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let Some((bytes, times)) = self.parts.last_mut() else {
                break;
            };
            if *times == 0 {
                self.parts.pop();
                continue;
            }
            let piece = &bytes[self.at..];
            let size = piece.len().min(buffer.len() - filled);
            buffer[filled..][..size].copy_from_slice(&piece[..size]);
            filled += size;
            self.at += size;
            if self.at == bytes.len() {
                self.at = 0;
                *times -= 1;
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_its_parts_in_order() {
        let parts = [
            Part::new(b"ab", 1),
            Part::new(b"", 9),
            Part::new(b"xyz", 3),
            Part::new(b"q", 0),
            Part::new(b"!", 1),
        ];
        for piece in [1, 2, 5, 100] {
            let mut reader = PartsReader::new(&parts).unwrap();
            let mut all = Vec::new();
            let mut buffer = vec![0; piece];
            loop {
                let read = reader.read(&mut buffer).unwrap();
                if read == 0 {
                    break;
                }
                all.extend_from_slice(&buffer[..read]);
            }
            assert_eq!(all, b"abxyzxyzxyz!");
        }
    }

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(unhex("00ff7e").unwrap(), [0, 255, 126]);
        assert_eq!(hex(&[0, 255, 126]), "00ff7e");
        for wrong in ["0", "0g", "é"] {
            assert!(unhex(wrong).is_err(), "{wrong}");
        }
    }
}
