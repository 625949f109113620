//! The arguments of `verity`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use erofs_unpack_cli::args::{ConfineArgs, exit_codes, size};
use erofs_unpack_core::oci::Algorithm;
use erofs_unpack_core::verity::{HashType, Params, Salt};
use erofs_unpack_ops::HostError;
use erofs_unpack_ops::verity::Place;

/// `verity`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct Verity {
    /// What to do with it.
    #[command(subcommand)]
    pub(crate) command: VerityCommand,
}

/// The commands of `verity`.
#[derive(Debug, Subcommand)]
pub(crate) enum VerityCommand {
    /// Make the hash tree of a file, as `veritysetup format`
    ///
    /// It goes into HASHDEV, which is made if it is missing, or without HASHDEV behind the data in
    /// IMAGE itself. Salt and UUID are not left to chance, so that the same data gives the same
    /// tree: there is no salt without --salt, and the UUID follows from the root hash.
    Format(Box<VerityFormat>),
    /// Verify a file and its hash tree against the root hash, as `veritysetup verify`
    Verify(Box<VerityVerify>),
    /// Show what the superblock of a hash tree says, as `veritysetup dump`
    Info(VerityInfo),
}

/// Which files.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// The file or block device that is covered
    #[arg(value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub(crate) image: PathBuf,

    /// The byte at which superblock or tree begin [default: in HASHDEV the first one, in IMAGE
    /// behind the data]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) hash_offset: Option<u64>,
}

/// How a tree is made.
#[derive(Debug, Args)]
pub(crate) struct Making {
    /// Hash algorithm
    #[arg(long, value_enum, value_name = "HASH", default_value_t)]
    pub(crate) hash: HashName,

    /// Format type: 1 is normal, 0 that of the first Chrome OS
    #[arg(long, value_name = "NUMBER", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(0..=1))]
    pub(crate) format: u32,

    /// Size of a data block
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = block_size)]
    pub(crate) data_block_size: u32,

    /// Size of a block of hashes
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = block_size)]
    pub(crate) hash_block_size: u32,

    /// How many data blocks are covered [default: all]
    #[arg(long, value_name = "BLOCKS")]
    pub(crate) data_blocks: Option<u64>,

    /// Salt in hex, or - for none
    #[arg(short, long, value_name = "HEX", default_value = "-", value_parser = salt)]
    pub(crate) salt: Salt,

    /// There is no superblock: verify must be told what format was told
    #[arg(long)]
    pub(crate) no_superblock: bool,
}

impl Making {
    /// The parameters of a tree without a superblock, for all of the data where no number is given.
    pub(crate) fn params(&self) -> Option<Params> {
        self.no_superblock.then(|| Params {
            algorithm: self.hash.into(),
            hash_type: self.hash_type(),
            data_block_size: self.data_block_size,
            hash_block_size: self.hash_block_size,
            data_blocks: self.data_blocks.unwrap_or(0),
            salt: self.salt,
        })
    }

    /// Where the salt goes.
    pub(crate) const fn hash_type(&self) -> HashType {
        match self.format {
            0 => HashType::Chrome,
            _ => HashType::Normal,
        }
    }
}

/// What is said of it.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Saying {
    /// Print a report as JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Say more
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// What is given up for it.
    #[command(flatten)]
    pub(crate) confine: ConfineArgs,
}

/// `verity format`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct VerityFormat {
    /// Which files.
    #[command(flatten)]
    pub(crate) files: Files,

    /// The file or block device for the tree
    #[arg(value_name = "HASHDEV", value_hint = ValueHint::FilePath)]
    pub(crate) hashes: Option<PathBuf>,

    /// How the tree is made.
    #[command(flatten)]
    pub(crate) making: Making,

    /// UUID of the superblock [default: made of the root hash]
    #[arg(long, value_name = "UUID", value_parser = uuid)]
    pub(crate) uuid: Option<[u8; 16]>,

    /// Write the root hash to FILE, in hex
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) root_hash_file: Option<PathBuf>,

    /// Threads that hash [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// What is said of it.
    #[command(flatten)]
    pub(crate) saying: Saying,
}

/// `verity verify`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct VerityVerify {
    /// Which files.
    #[command(flatten)]
    pub(crate) files: Files,

    /// [HASHDEV] [ROOT]: the file or block device with the tree, where it is not IMAGE itself, and
    /// the root hash in hex
    #[arg(value_name = "HASHDEV] [ROOT", num_args = 0..=2, value_hint = ValueHint::FilePath)]
    pub(crate) rest: Vec<OsString>,

    /// How a tree without a superblock was made.
    #[command(flatten)]
    pub(crate) making: Making,

    /// Read the root hash from FILE, in hex
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) root_hash_file: Option<PathBuf>,

    /// Threads that hash [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// What is said of it.
    #[command(flatten)]
    pub(crate) saying: Saying,
}

impl VerityVerify {
    /// The file with the tree, and the root hash, of what stands behind IMAGE. One word alone is the
    /// root hash, unless that comes from a file.
    pub(crate) fn rest(&self) -> Result<(Option<PathBuf>, Option<String>), HostError> {
        let root = |text: &OsString| Some(text.to_string_lossy().into_owned());
        match (self.rest.as_slice(), &self.root_hash_file) {
            ([], _) => Ok((None, None)),
            ([hashes], Some(_)) => Ok((Some(hashes.into()), None)),
            ([text], None) => Ok((None, root(text))),
            ([hashes, text], None) => Ok((Some(hashes.into()), root(text))),
            _ => Err(HostError::Usage(
                "--root-hash-file: the root hash is given as well".into(),
            )),
        }
    }
}

/// `verity info`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct VerityInfo {
    /// The file or block device with the superblock: that of the tree, or an image with its tree
    #[arg(value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub(crate) image: PathBuf,

    /// The byte at which the superblock begins [default: behind the EROFS image, or the first one]
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) hash_offset: Option<u64>,

    /// What is said of it.
    #[command(flatten)]
    pub(crate) saying: Saying,
}

impl VerityInfo {
    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        Place {
            data: self.image.clone(),
            hashes: None,
            offset: self.hash_offset,
        }
    }
}

/// A hash algorithm.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum HashName {
    /// SHA-256
    #[default]
    Sha256,
    /// SHA-512
    Sha512,
}

impl From<HashName> for Algorithm {
    fn from(name: HashName) -> Self {
        match name {
            HashName::Sha256 => Self::Sha256,
            HashName::Sha512 => Self::Sha512,
        }
    }
}

/// A block size that dm-verity has.
fn block_size(text: &str) -> Result<u32, String> {
    let size = size(text)?;
    u32::try_from(size)
        .ok()
        .filter(|size| size.is_power_of_two() && (512..=65536).contains(size))
        .ok_or_else(|| "expected a power of two from 512 to 65536".to_owned())
}

/// A salt in hex; `-` is none.
fn salt(text: &str) -> Result<Salt, String> {
    if text == "-" {
        return Ok(Salt::NONE);
    }
    let bytes = hex(text).ok_or("expected hex digits, two for each byte, or -")?;
    Salt::new(&bytes).map_err(|_| "expected at most 256 bytes".to_owned())
}

/// A UUID.
fn uuid(text: &str) -> Result<[u8; 16], String> {
    let is_uuid = text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(place, byte)| (byte == b'-') == matches!(place, 8 | 13 | 18 | 23));
    is_uuid
        .then(|| hex(&text.replace('-', "")))
        .flatten()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "expected a UUID, such as 12345678-1234-1234-1234-123456789abc".to_owned())
}

/// The bytes that hex digits stand for.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let (high, low) = digit(pair[0]).zip(digit(pair[1]))?;
            u8::try_from(high * 16 + low).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_of_hex() {
        assert_eq!(hex("00fFa1"), Some(vec![0, 255, 0xa1]));
        for bad in ["0", "0g", "+1", "é"] {
            assert_eq!(hex(bad), None, "{bad}");
        }
        assert_eq!(salt("-").unwrap(), Salt::NONE);
        assert_eq!(salt("ab").unwrap().as_bytes(), [0xab]);
        assert!(salt(&"ab".repeat(257)).is_err());
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        assert_eq!(uuid(text).unwrap()[..3], [0, 0x11, 0x22]);
        for bad in ["", "0011223344556677-8899-aabbccddeeff-0", &text[1..]] {
            assert!(uuid(bad).is_err(), "{bad}");
        }
        assert_eq!(block_size("4096"), Ok(4096));
        assert!(block_size("1000").is_err());
    }
}
