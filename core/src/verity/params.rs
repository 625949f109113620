//! How a tree is made: algorithm, block sizes, salt, and how much it covers.

use core::fmt;

use crate::bytes;
use crate::oci::Algorithm;
use crate::{At, Code, Error, Value};

/// The smallest block, of data or of hashes, in bytes.
pub const BLOCK_SIZE_MIN: u32 = 512;
/// The largest block, of data or of hashes, in bytes: the largest page that Linux has. A kernel takes
/// blocks up to the size of its own pages.
pub const BLOCK_SIZE_MAX: u32 = 65536;
/// The longest salt, in bytes: what the superblock has room for.
pub const SALT_MAX: usize = 256;

/// Where the salt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum HashType {
    /// Type 0, of the first Chrome OS: behind the block.
    Chrome,
    /// Type 1: before the block.
    #[default]
    Normal,
}

impl HashType {
    /// The type with this number.
    ///
    /// # Errors
    ///
    /// [`Code::VerityHashType`] when there is none.
    pub fn from_number(number: u32) -> Result<Self, Error> {
        match number {
            0 => Ok(Self::Chrome),
            1 => Ok(Self::Normal),
            _ => Err(Error::new(Code::VerityHashType, At::Whole)
                .found(Value::Number(number.into()))
                .expected(Value::Text("0 or 1"))),
        }
    }

    /// Its number, as superblock and `veritysetup --format` have it.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Chrome => 0,
            Self::Normal => 1,
        }
    }
}

/// Bytes that go into each hash beside the block; none by default.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Salt {
    /// Those beyond `length` are zero.
    bytes: [u8; SALT_MAX],
    length: u16,
}

impl Salt {
    /// No salt.
    pub const NONE: Self = Self {
        bytes: [0; SALT_MAX],
        length: 0,
    };

    /// A salt of these bytes.
    ///
    /// # Errors
    ///
    /// [`Code::VeritySalt`] when there are more than [`SALT_MAX`].
    pub fn new(from: &[u8]) -> Result<Self, Error> {
        match u16::try_from(from.len()) {
            Ok(length) if from.len() <= SALT_MAX => {
                let mut salt = Self {
                    length,
                    ..Self::NONE
                };
                bytes::copy(from, &mut salt.bytes);
                Ok(salt)
            }
            _ => Err(Error::new(Code::VeritySalt, At::Whole)
                .found(Value::Number(from.len() as u64))
                .expected(Value::AtMost(SALT_MAX as u64))),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

impl Default for Salt {
    fn default() -> Self {
        Self::NONE
    }
}

/// In hex, or `-` for none, as `veritysetup` prints it.
impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == 0 {
            return f.write_str("-");
        }
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({self})")
    }
}

/// How a tree is made, and of how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Algorithm of all hashes.
    pub algorithm: Algorithm,
    /// Where the salt goes.
    pub hash_type: HashType,
    /// Size of a data block in bytes: a power of two from [`BLOCK_SIZE_MIN`] to [`BLOCK_SIZE_MAX`].
    pub data_block_size: u32,
    /// Size of a block of hashes, of the same range.
    pub hash_block_size: u32,
    /// How many data blocks are covered, from the first one on; at least one.
    pub data_blocks: u64,
    /// The salt.
    pub salt: Salt,
}

impl Params {
    /// A tree over so many blocks, with hashes of this algorithm in blocks of the same size: of type
    /// 1, without a salt.
    #[must_use]
    pub const fn new(algorithm: Algorithm, block_size: u32, data_blocks: u64) -> Self {
        Self {
            algorithm,
            hash_type: HashType::Normal,
            data_block_size: block_size,
            hash_block_size: block_size,
            data_blocks,
            salt: Salt::NONE,
        }
    }

    /// How many bytes are covered.
    ///
    /// # Errors
    ///
    /// [`Code::VerityBlockSize`] and [`Code::VeritySize`] when the numbers are impossible.
    pub fn data_size(&self) -> Result<u64, Error> {
        for size in [self.data_block_size, self.hash_block_size] {
            check_block_size(size)?;
        }
        match self.data_blocks.checked_mul(self.data_block_size.into()) {
            // Linux counts bytes in 63 bits.
            Some(size) if size > 0 && size <= i64::MAX as u64 => Ok(size),
            _ => Err(too_large(self.data_blocks)),
        }
    }

    /// How many hashes fit into a block.
    #[must_use]
    pub const fn hashes_per_block(&self) -> u64 {
        // Hashes of both algorithms have a power of two of bytes, so nothing is left over.
        match self.algorithm {
            Algorithm::Sha256 => (self.hash_block_size >> 5) as u64,
            Algorithm::Sha512 => (self.hash_block_size >> 6) as u64,
        }
    }
}

/// The refusal of a tree over so many blocks.
pub(super) fn too_large(blocks: u64) -> Error {
    Error::new(Code::VeritySize, At::Whole).found(Value::Number(blocks))
}

/// Whether blocks may have this size.
fn check_block_size(size: u32) -> Result<(), Error> {
    if size.is_power_of_two() && (BLOCK_SIZE_MIN..=BLOCK_SIZE_MAX).contains(&size) {
        return Ok(());
    }
    Err(Error::new(Code::VerityBlockSize, At::Whole)
        .found(Value::Number(size.into()))
        .expected(Value::Text("a power of two from 512 to 65536")))
}
