//! What the operations on trees report.

use std::fmt::Write as _;
use std::path::Path;

use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::verity::parity;
use serde::Serialize;

use super::header::Found;
use crate::report::{VERSION, outcome_name, shown, uuid};

/// What a tree is, and what came of it: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The command: `verity format` and the like.
    pub command: &'static str,
    /// `done`.
    pub outcome: &'static str,
    /// 0.
    pub exit_code: u8,
    /// The file that is covered, escaped.
    pub data: String,
    /// The file with the tree, escaped.
    pub hashes: String,
    /// The UUID of the superblock; absent where there is no superblock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// 0 or 1.
    pub hash_type: u32,
    /// How many blocks are covered.
    pub data_blocks: u64,
    /// Their size in bytes.
    pub data_block_size: u32,
    /// How many blocks of hashes there are.
    pub hash_blocks: u64,
    /// Their size in bytes.
    pub hash_block_size: u32,
    /// How many levels they make.
    pub levels: usize,
    /// `sha256` or `sha512`.
    pub algorithm: &'static str,
    /// The salt in hex; empty for none.
    pub salt: String,
    /// The byte at which superblock or tree begin.
    pub hash_offset: u64,
    /// The byte behind the tree.
    pub hash_end: u64,
    /// The root digest in hex: the one that was made, or that was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_hash: Option<String>,
    /// How many bytes follow the tree in its file.
    pub behind: u64,
    /// With how many roots that is as long as the parity of an error correction would be: FEC has no
    /// form of its own on disk, so this says what the bytes may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fec_roots: Option<u64>,
}

impl Report {
    pub(super) fn new(
        command: &'static str,
        data: &Path,
        hashes: &Path,
        found: &Found,
        root: Option<Digest>,
        hash_size: u64,
    ) -> Self {
        let params = &found.params;
        let behind = hash_size.saturating_sub(found.layout.end());
        let blocks = params.data_blocks.saturating_add(found.layout.blocks());
        Self {
            version: VERSION,
            command,
            outcome: outcome_name(0),
            exit_code: 0,
            data: shown(data),
            hashes: shown(hashes),
            uuid: found.uuid.as_ref().map(uuid),
            hash_type: params.hash_type.number(),
            data_blocks: params.data_blocks,
            data_block_size: params.data_block_size,
            hash_blocks: found.layout.blocks(),
            hash_block_size: params.hash_block_size,
            levels: found.layout.levels().len(),
            algorithm: params.algorithm.name(),
            salt: hex(params.salt.as_bytes()),
            hash_offset: found.offset,
            hash_end: found.layout.end(),
            root_hash: root.map(|root| root.hex().to_string()),
            behind,
            fec_roots: (params.data_block_size == params.hash_block_size)
                .then(|| parity::roots(behind, blocks, params.hash_block_size))
                .flatten(),
        }
    }

    /// The same in the words and the form of `veritysetup format` and `dump`.
    #[must_use]
    pub fn text(&self) -> String {
        let salt = if self.salt.is_empty() {
            "-"
        } else {
            &self.salt
        };
        let mut text = format!(
            "VERITY header information for {}\n\
             UUID:            \t{}\n\
             Hash type:       \t{}\n\
             Data blocks:     \t{}\n\
             Data block size: \t{}\n\
             Hash blocks:     \t{}\n\
             Hash block size: \t{}\n\
             Hash algorithm:  \t{}\n\
             Salt:            \t{salt}\n",
            self.hashes,
            self.uuid.as_deref().unwrap_or(""),
            self.hash_type,
            self.data_blocks,
            self.data_block_size,
            self.hash_blocks,
            self.hash_block_size,
            self.algorithm,
        );
        // Writing to a text does not fail.
        if let Some(root) = &self.root_hash {
            let _ = writeln!(text, "Root hash:      \t{root}");
        }
        // veritysetup says nothing of a device that holds more than the tree.
        if self.hash_offset == 0 {
            let _ = writeln!(text, "Hash device size: \t{} [bytes]", self.hash_end);
        }
        if self.behind > 0 {
            let _ = write!(text, "Behind the tree: \t{} [bytes]", self.behind);
            match self.fec_roots {
                Some(roots) => {
                    let _ = writeln!(text, ", as many as FEC parity with {roots} roots has");
                }
                None => text.push('\n'),
            }
        }
        text
    }
}

/// Bytes in hex.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
