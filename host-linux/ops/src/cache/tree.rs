//! dm-verity hash trees behind images, made and verified by `veritysetup`.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use erofs_unpack_core::oci::Digest;

use super::sidecar::Sidecar;
use crate::error::CacheFault;
use crate::error::HostError;

/// Where a program finds the file that it was given as stdin, whatever its name is or if it has
/// none.
const STDIN: &str = "/dev/stdin";

/// The program.
const PROGRAM: &str = "veritysetup";

/// The salt of containerd's trees, in hex (`DefaultDmverityOptions` in
/// `internal/dmverity/dmverity.go`).
const SALT: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Size of the tree's superblock in bytes. It takes a whole block.
const HASH_SIZE: u64 = 32;

/// cryptsetup's `veritysetup`, in the version that `PATH` leads to. The layout of tree and
/// superblock is its and the kernel's business.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct VeritySetup;

impl VeritySetup {
    /// The program, if it can be run.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when it is not there.
    pub fn find() -> Result<Self, HostError> {
        let ran = Command::new(PROGRAM)
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        match ran {
            Ok(_) => Ok(Self),
            Err(error) => Err(not_run(error)),
        }
    }

    /// The program, which is looked for only when it is needed.
    #[must_use]
    pub const fn on_demand() -> Self {
        Self
    }

    /// Appends the tree of an image to its file, and gives the sidecar.
    ///
    /// As containerd does (`FormatLayer`, and `getDmverityOptions` in
    /// `plugins/diff/erofs/dmverity_linux.go`): SHA-256, a salt of zeros, hash type 1, a
    /// superblock in front; blocks of 4096 bytes, or of 512 where the image has smaller ones,
    /// since EROFS takes no device whose blocks are larger than its own. The image is filled
    /// up to a whole block with zeros. Other than there, the UUID of the superblock follows
    /// from the diffID, so that all writers make the same file.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when the program is not there or fails; `place` is what the
    /// image is called then.
    pub(super) fn append(
        self,
        file: &File,
        size: u64,
        block_size: u64,
        diff_id: &Digest,
        place: &Path,
    ) -> Result<Sidecar, HostError> {
        let failed = |error| HostError::environment(place, "append a dm-verity tree", error);
        let block = if block_size < 4096 { 512 } else { 4096 };
        let blocks = size.div_ceil(block);
        let hash_offset = blocks.saturating_mul(block);
        file.set_len(tree_end(hash_offset, block)).map_err(failed)?;
        let output = run(
            file,
            &[
                "format",
                "--hash",
                "sha256",
                "--format",
                "1",
                "--salt",
                SALT,
                "--data-block-size",
                &block.to_string(),
                "--hash-block-size",
                &block.to_string(),
                "--data-blocks",
                &blocks.to_string(),
                "--hash-offset",
                &hash_offset.to_string(),
                "--uuid",
                &uuid(diff_id),
                STDIN,
                STDIN,
            ],
        )?;
        let text = String::from_utf8_lossy(&output.stdout);
        let root_hash = field(&text, "Root hash:").filter(|_| output.status.success());
        match root_hash {
            Some(root_hash) => Ok(Sidecar {
                root_hash: root_hash.to_owned(),
                hash_offset,
            }),
            None => Err(failed(said(&output))),
        }
    }

    /// Whether the tree that the sidecar speaks of lies in the file and is that of everything
    /// before it.
    ///
    /// # Errors
    ///
    /// [`HostError::Cache`] when it is not, [`HostError::Environment`] when the program is not
    /// there.
    pub(super) fn verify(
        self,
        file: &File,
        sidecar: &Sidecar,
        place: &Path,
    ) -> Result<(), HostError> {
        let fault = || HostError::cache(place, CacheFault::Tree);
        let offset = sidecar.hash_offset.to_string();
        // The superblock says how far the tree goes: one of a part would verify that part only.
        let dump = run(file, &["dump", "--hash-offset", &offset, STDIN])?;
        let text = String::from_utf8_lossy(&dump.stdout);
        let number = |name| field(&text, name)?.parse::<u64>().ok();
        let covered = number("Data blocks:")
            .zip(number("Data block size:"))
            .and_then(|(blocks, size)| blocks.checked_mul(size));
        if !dump.status.success() || covered != Some(sidecar.hash_offset) {
            return Err(fault());
        }
        let arguments = [
            "verify",
            "--hash-offset",
            &offset,
            STDIN,
            STDIN,
            &sidecar.root_hash,
        ];
        if run(file, &arguments)?.status.success() {
            Ok(())
        } else {
            Err(fault())
        }
    }
}

/// Runs the program with a file as its stdin.
fn run(file: &File, arguments: &[&str]) -> Result<Output, HostError> {
    let stdin = file
        .try_clone()
        .map_err(|error| HostError::environment(PROGRAM, "give it a file", error))?;
    Command::new(PROGRAM)
        .args(arguments)
        // Its words are read.
        .env("LC_ALL", "C")
        .stdin(stdin)
        .output()
        .map_err(not_run)
}

/// The program could not be run.
fn not_run(error: io::Error) -> HostError {
    HostError::environment(
        PROGRAM,
        "run it, and dm-verity trees need it (Debian: cryptsetup-bin)",
        error,
    )
}

/// What the program complained of, as an error.
fn said(output: &Output) -> io::Error {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or("no root hash").trim();
    io::Error::other(format!("{PROGRAM}: {line}"))
}

/// The value of a line `NAME VALUE`.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let value = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(name))?
        .split_whitespace()
        .next()?;
    (!value.is_empty()).then_some(value)
}

/// Where a tree of SHA-256 over everything before `offset` ends: the superblock's block, and
/// levels of hashes until one block holds all of the level below. One data block has no level.
fn tree_end(offset: u64, block: u64) -> u64 {
    let per_block = block / HASH_SIZE;
    let mut blocks = 1;
    let mut level = offset / block;
    while level > 1 {
        level = level.div_ceil(per_block);
        blocks += level;
    }
    offset.saturating_add(blocks * block)
}

/// A UUID made of the first bytes of a diffID: version 8 of RFC 9562, which is the maker's own.
fn uuid(diff_id: &Digest) -> String {
    let hex = format!("{:.32}", diff_id.hex());
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use erofs_unpack_core::oci::Algorithm;

    #[test]
    fn the_end_of_a_tree() {
        // As `veritysetup format` leaves the file.
        assert_eq!(tree_end(1 << 20, 4096), 1_064_960);
        assert_eq!(tree_end(1 << 20, 512), 1_119_232);
        assert_eq!(tree_end(4096, 4096), 8192);
        assert_eq!(tree_end(8192, 4096), 16384);
    }

    #[test]
    fn a_uuid_that_follows_from_the_diff_id() {
        assert_eq!(
            uuid(&Algorithm::Sha256.digest(b"")),
            "e3b0c442-98fc-8c14-8afb-f4c8996fb924"
        );
    }

    #[test]
    fn lines_of_the_program() {
        let text = "VERITY header\nData blocks:     \t256\nRoot hash:      \tab12\n";
        assert_eq!(field(text, "Root hash:"), Some("ab12"));
        assert_eq!(field(text, "Data blocks:"), Some("256"));
        assert_eq!(field(text, "Salt:"), None);
    }
}
