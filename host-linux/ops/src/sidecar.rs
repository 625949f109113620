//! The document beside an image that says where its dm-verity tree is.

#[cfg(target_os = "linux")]
use std::fs::File;
#[cfg(target_os = "linux")]
use std::io::Read as _;

#[cfg(target_os = "linux")]
use erofs_unpack_core::oci::Digest;
use serde::{Deserialize, Serialize};

/// The largest sidecar that is read, in bytes.
#[cfg(target_os = "linux")]
const SIZE_MAX: u64 = 4096;

/// `HEX.erofs.dmverity`, as containerd reads and writes it (`DmverityMetadata` in
/// `internal/dmverity/dmverity.go`). All else that a reader needs is in the superblock of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    /// Root hash of the tree, in hex.
    #[serde(rename = "roothash")]
    pub root_hash: String,
    /// Where the tree's superblock lies in the image's file, in bytes: behind the image.
    #[serde(rename = "hashoffset")]
    pub hash_offset: u64,
}

impl Sidecar {
    /// Reads a sidecar; `None` when it is not of that form.
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be read.
    #[cfg(target_os = "linux")]
    pub(crate) fn read(file: &File) -> std::io::Result<Option<Self>> {
        let mut text = Vec::new();
        file.take(SIZE_MAX.saturating_add(1))
            .read_to_end(&mut text)?;
        if text.len() as u64 > SIZE_MAX {
            return Ok(None);
        }
        let sidecar: Option<Self> = serde_json::from_slice(&text).ok();
        Ok(sidecar.filter(Self::is_plausible))
    }

    /// Whether the root hash is one, of any algorithm, and the offset one that dm-verity takes.
    #[cfg(target_os = "linux")]
    fn is_plausible(&self) -> bool {
        let digits = self.root_hash.as_bytes();
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        is_hex
            && matches!(digits.len(), 32..=128)
            && digits.len().is_multiple_of(2)
            && self.hash_offset > 0
            && self.hash_offset.is_multiple_of(512)
    }

    /// The root digest, of whichever algorithm has so many digits.
    #[cfg(target_os = "linux")]
    pub(crate) fn root(&self) -> Option<Digest> {
        let digits = self.root_hash.to_ascii_lowercase();
        let algorithm = match digits.len() {
            64 => "sha256",
            128 => "sha512",
            _ => return None,
        };
        Digest::parse(&format!("{algorithm}:{digits}")).ok()
    }

    /// The document, indented as containerd writes it.
    pub(crate) fn text(&self) -> String {
        // Plain data always has a form in JSON.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::scratch;
    use std::io::{Seek as _, Write as _};

    fn read(text: &str) -> Option<Sidecar> {
        let mut file = scratch(&std::env::temp_dir()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        Sidecar::read(&file).unwrap()
    }

    #[test]
    fn reads_what_it_writes_and_what_containerd_writes() {
        let sidecar = Sidecar {
            root_hash: "ab".repeat(32),
            hash_offset: 8192,
        };
        let text = sidecar.text();
        // `json.MarshalIndent(metadata, "", "  ")`.
        let expected = format!(
            "{{\n  \"roothash\": \"{}\",\n  \"hashoffset\": 8192\n}}",
            "ab".repeat(32)
        );
        assert_eq!(text, expected);
        assert_eq!(read(&text), Some(sidecar));
    }

    #[test]
    fn what_is_no_sidecar() {
        let hash = "ab".repeat(32);
        for text in [
            String::new(),
            "[]".into(),
            format!(r#"{{"roothash": "{hash}"}}"#),
            format!(r#"{{"roothash": "{hash}", "hashoffset": -1}}"#),
            format!(r#"{{"roothash": "{hash}", "hashoffset": 0}}"#),
            format!(r#"{{"roothash": "{hash}", "hashoffset": 100}}"#),
            format!(r#"{{"roothash": "{hash}z", "hashoffset": 512}}"#),
            r#"{"roothash": "--help", "hashoffset": 512}"#.into(),
            r#"{"roothash": "", "hashoffset": 512}"#.into(),
            format!(
                r#"{{"roothash": "{hash}", "hashoffset": 512}}{}"#,
                " ".repeat(5000)
            ),
        ] {
            assert_eq!(read(&text), None, "{text}");
        }
    }
}
