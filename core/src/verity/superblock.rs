//! The superblock: 512 bytes before a tree that say how it was made (cryptsetup,
//! `struct verity_sb` in `lib/verity/verity.c`).

use super::params::{HashType, Params, SALT_MAX, Salt};
use crate::bytes;
use crate::oci::Algorithm;
use crate::{At, Code, Error, Value};

/// Size of a superblock in bytes.
pub const SUPERBLOCK_SIZE: usize = 512;
/// What it begins with.
pub const SUPERBLOCK_MAGIC: [u8; 8] = *b"verity\0\0";
/// The only version that there is.
const VERSION: u32 = 1;
/// Size of the field with the algorithm's name, which zeros fill up.
const NAME_SIZE: usize = 32;

/// A superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The tree's UUID. Nothing depends on it.
    pub uuid: [u8; 16],
    /// How the tree is made.
    pub params: Params,
}

impl Superblock {
    /// Reads a superblock. Its place is that of the refusals, which count from its first byte.
    ///
    /// Bytes that no field has are not looked at, as by cryptsetup; a tree says nothing of them.
    ///
    /// # Errors
    ///
    /// [`Code::VerityMagic`], [`Code::VerityVersion`], [`Code::VerityHashType`],
    /// [`Code::VerityAlgorithm`], [`Code::VerityBlockSize`], [`Code::VeritySalt`] and
    /// [`Code::VeritySize`], each [`At::Image`] with the offset of the field in the superblock.
    pub fn parse(from: &[u8; SUPERBLOCK_SIZE]) -> Result<Self, Error> {
        let mut rest: &[u8] = from;
        // The record has its whole size, so no field is missing.
        let magic: [u8; 8] = field(&mut rest);
        if magic != SUPERBLOCK_MAGIC {
            return Err(Error::new(Code::VerityMagic, At::Image(0))
                .found(Value::Hex(u64::from_be_bytes(magic)))
                .expected(Value::Hex(u64::from_be_bytes(SUPERBLOCK_MAGIC))));
        }
        let version = u32::from_le_bytes(field(&mut rest));
        if version != VERSION {
            return Err(Error::new(Code::VerityVersion, At::Image(8))
                .found(Value::Number(version.into()))
                .expected(Value::Number(VERSION.into())));
        }
        let hash_type = HashType::from_number(u32::from_le_bytes(field(&mut rest)))
            .map_err(|error| error.moved(At::Image(12)))?;
        let uuid = field(&mut rest);
        let name: [u8; NAME_SIZE] = field(&mut rest);
        let algorithm = algorithm(&name).ok_or_else(|| {
            Error::new(Code::VerityAlgorithm, At::Image(32))
                .found(known(&name))
                .expected(Value::Text("sha256 or sha512"))
        })?;
        let data_block_size = u32::from_le_bytes(field(&mut rest));
        let hash_block_size = u32::from_le_bytes(field(&mut rest));
        let data_blocks = u64::from_le_bytes(field(&mut rest));
        let salt_size = u16::from_le_bytes(field(&mut rest));
        let _padding: [u8; 6] = field(&mut rest);
        let salt: [u8; SALT_MAX] = field(&mut rest);
        let salt = salt.get(..usize::from(salt_size)).ok_or_else(|| {
            Error::new(Code::VeritySalt, At::Image(80))
                .found(Value::Number(salt_size.into()))
                .expected(Value::AtMost(SALT_MAX as u64))
        })?;
        let params = Params {
            algorithm,
            hash_type,
            data_block_size,
            hash_block_size,
            data_blocks,
            salt: Salt::new(salt)?,
        };
        params.data_size().map_err(|error| {
            let data_blocks_fit = data_block_size.is_power_of_two()
                && (super::BLOCK_SIZE_MIN..=super::BLOCK_SIZE_MAX).contains(&data_block_size);
            error.moved(At::Image(match error.code() {
                Code::VerityBlockSize if !data_blocks_fit => 64,
                Code::VerityBlockSize => 68,
                _ => 72,
            }))
        })?;
        Ok(Self { uuid, params })
    }

    /// The superblock as it lies on disk.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SUPERBLOCK_SIZE] {
        let mut record = [0; SUPERBLOCK_SIZE];
        let salt = self.params.salt.as_bytes();
        let mut put = |at: usize, field: &[u8]| {
            if let Some(to) = record.get_mut(at..) {
                bytes::copy(field, to);
            }
        };
        put(0, &SUPERBLOCK_MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(12, &self.params.hash_type.number().to_le_bytes());
        put(16, &self.uuid);
        put(32, self.params.algorithm.name().as_bytes());
        put(64, &self.params.data_block_size.to_le_bytes());
        put(68, &self.params.hash_block_size.to_le_bytes());
        put(72, &self.params.data_blocks.to_le_bytes());
        put(80, &u16::try_from(salt.len()).unwrap_or(0).to_le_bytes());
        put(88, salt);
        record
    }
}

/// The next bytes of a record, which are cut off it.
fn field<const N: usize>(record: &mut &[u8]) -> [u8; N] {
    let mut field = [0; N];
    bytes::copy(record, &mut field);
    *record = record.get(N..).unwrap_or(&[]);
    field
}

/// The algorithm with this name, of those that are supported.
fn algorithm(name: &[u8; NAME_SIZE]) -> Option<Algorithm> {
    [Algorithm::Sha256, Algorithm::Sha512]
        .into_iter()
        .find(|algorithm| is_name(name, algorithm.name()))
}

/// Whether the field holds this name, up to a zero.
fn is_name(field: &[u8; NAME_SIZE], name: &str) -> bool {
    field.split(|byte| *byte == 0).next() == Some(name.as_bytes())
}

/// An algorithm that others write, to be named in a refusal.
fn known(field: &[u8; NAME_SIZE]) -> Value {
    [
        "sha1",
        "md5",
        "sha224",
        "sha384",
        "sha3-256",
        "sha3-512",
        "blake2b-256",
        "blake2b-512",
        "blake2s-256",
        "sm3",
        "ripemd160",
        "whirlpool",
        "stribog256",
        "stribog512",
    ]
    .into_iter()
    .find(|name| is_name(field, name))
    .map_or(Value::Text("another"), Value::Text)
}
