//! The keys: what can be set before a start, and what can be asked for at the end.

use erofs_unpack_core::Limits;
#[cfg(feature = "check")]
use erofs_unpack_core::Value;
use erofs_unpack_core::check::{Level, Options};
use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::erofs::{Release, Superblock};
use erofs_unpack_core::oci::{self, ByteRange, Digest, MediaType, Policy};
#[cfg(feature = "check")]
use erofs_unpack_core::seekable::{IndexPlace, Stated};
use erofs_unpack_core::unpack::{Content, Devices, Expectations, VerityTree};
use erofs_unpack_core::verity::{Guess, HashType, SALT_MAX, Salt};
use erofs_unpack_core::{At, Code, Error};

use crate::instance::Refusal;
use crate::status;

// Numbers that can be asked for: of an unpacker that has passed (2 to 6 of a reader too),
pub(crate) const BLOB_SIZE: u32 = 1;
pub(crate) const IMAGE_SIZE: u32 = 2;
pub(crate) const BLOCK_SIZE: u32 = 3;
pub(crate) const BLOCKS: u32 = 4;
pub(crate) const INODES: u32 = 5;
pub(crate) const ROOT_NID: u32 = 6;
pub(crate) const VERITY: u32 = 7;
pub(crate) const HASH_TYPE: u32 = 8;
// of a check or reader of a layer that is read at random,
#[cfg(feature = "check")]
pub(crate) const BLOB_READ: u32 = 9;
#[cfg(feature = "check")]
pub(crate) const CHUNKS_READ: u32 = 10;
#[cfg(feature = "check")]
pub(crate) const CHUNKS: u32 = 11;
#[cfg(feature = "check")]
pub(crate) const PIN: u32 = 12;
// and of a check.
#[cfg(feature = "check")]
pub(crate) const FINDINGS: u32 = 16;
#[cfg(feature = "check")]
pub(crate) const ERRORS: u32 = 17;
#[cfg(feature = "check")]
pub(crate) const WARNINGS: u32 = 18;
#[cfg(feature = "check")]
pub(crate) const REACHED_INODES: u32 = 19;
#[cfg(feature = "check")]
pub(crate) const REACHED_DIRECTORIES: u32 = 20;
#[cfg(feature = "check")]
pub(crate) const METADATA: u32 = 21;
#[cfg(feature = "check")]
pub(crate) const DECODED: u32 = 22;
#[cfg(feature = "check")]
pub(crate) const CHECK_MEMORY_USED: u32 = 23;
#[cfg(feature = "check")]
pub(crate) const NEEDS: u32 = 24;

/// What is asked of a superblock, if it is.
pub(crate) const fn superblock(superblock: &Superblock, key: u32) -> Option<u64> {
    match key {
        BLOCK_SIZE => Some(superblock.block_size()),
        BLOCKS => Some(superblock.blocks),
        INODES => Some(superblock.inodes),
        ROOT_NID => Some(superblock.root_nid),
        _ => None,
    }
}

// Texts that can be asked for.
pub(crate) const ERROR_TEXT: u32 = 1;
pub(crate) const BLOB_DIGEST: u32 = 2;
pub(crate) const DIFF_ID: u32 = 3;
pub(crate) const VERSION_TEXT: u32 = 4;
pub(crate) const SALT_TEXT: u32 = 5;

/// The module's name and version.
pub(crate) const VERSION: &str = concat!("erofs-unpack-wasm ", env!("CARGO_PKG_VERSION"));

/// How many directory entries are looked at to find paths, if nothing else is said.
const PATH_ENTRIES: u64 = 1 << 20;
/// Most devices that an image can have.
const DEVICES: usize = u16::MAX as usize;

/// What was set of a handle.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    limits: Limits,
    expectations: Expectations,
    verity: VerityTree,
    has_verity: bool,
    crc_of_host: bool,
    options: Options,
    image_size: u64,
    /// Sizes of the devices that lie behind the image.
    devices: Vec<u64>,
    places: u64,
    path_entries: u64,
    /// Whether the host holds a layer's blob, and not the image.
    is_blob: bool,
    /// What vouches for its index.
    vouched: Vouched,
    index_range: Option<ByteRange>,
    index_digest: Option<Digest>,
    /// An index that is no part of the blob.
    #[cfg(feature = "check")]
    index: Vec<u8>,
}

/// What vouches for an index, beside its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vouched {
    Nothing,
    /// The whole blob has been verified by the host.
    Blob,
    /// Nothing, and it is used all the same.
    Allowed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::DEFAULT,
            expectations: Expectations::new(Compression::None),
            verity: VerityTree {
                hash_offset: 0,
                block_size: 4096,
                digest_size: 32,
                root: None,
                guess: Guess::default(),
            },
            has_verity: false,
            crc_of_host: false,
            options: Options::default(),
            image_size: 0,
            devices: Vec::new(),
            places: 10,
            path_entries: PATH_ENTRIES,
            is_blob: false,
            vouched: Vouched::Nothing,
            index_range: None,
            index_digest: None,
            #[cfg(feature = "check")]
            index: Vec::new(),
        }
    }
}

/// A number that must be smaller than it may look.
fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T, Refusal> {
    T::try_from(value).map_err(|_| Refusal::Status(status::VALUE))
}

/// The value of a place in a list.
fn choice<T: Copy>(value: u64, choices: &[T]) -> Result<T, Refusal> {
    let place: usize = narrow(value)?;
    choices
        .get(place)
        .copied()
        .ok_or(Refusal::Status(status::VALUE))
}

/// A salt in hex; `-` is none.
fn salt(text: &str) -> Option<Salt> {
    if text == "-" {
        return Some(Salt::NONE);
    }
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; SALT_MAX];
    let bytes = bytes.get_mut(..pairs.len()).filter(|_| rest.is_empty())?;
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let digits = core::str::from_utf8(pair).ok()?;
        // A sign is no digit.
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        *byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    }
    Salt::new(bytes).ok()
}

impl Settings {
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn expectations(&self) -> Expectations {
        let mut expected = self.expectations;
        expected.verity = self.has_verity.then_some(self.verity);
        expected
    }

    pub(crate) const fn crc_of_host(&self) -> bool {
        self.crc_of_host
    }

    #[cfg(feature = "check")]
    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    #[cfg(feature = "check")]
    pub(crate) const fn image_size(&self) -> u64 {
        self.image_size
    }

    #[cfg(feature = "check")]
    pub(crate) const fn is_blob(&self) -> bool {
        self.is_blob
    }

    #[cfg(feature = "check")]
    pub(crate) const fn blob_size(&self) -> Option<u64> {
        self.expectations.blob_size
    }

    /// What is known of a layer that is read at random; `None` without the size of its blob.
    ///
    /// The index that is no part of the blob goes with it: only what has to be read of the host can
    /// have to be tried again, and that one is there.
    #[cfg(feature = "check")]
    pub(crate) fn stated(&mut self) -> Option<Stated> {
        let size = self.expectations.blob_size?;
        Some(Stated {
            compression: self.expectations.compression,
            size,
            index: match self.index_range {
                Some(range) => IndexPlace::Range(range),
                None if self.index.is_empty() => IndexPlace::End,
                None => IndexPlace::Payload(core::mem::take(&mut self.index)),
            },
            digest: self.index_digest,
            blob_verified: self.vouched == Vouched::Blob,
            allow_unpinned: self.vouched == Vouched::Allowed,
        })
    }

    /// Takes the next bytes of an index that is no part of the blob.
    #[cfg(feature = "check")]
    pub(crate) fn add_index(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let size = (self.index.len() as u64).saturating_add(bytes.len() as u64);
        if size > self.limits.chunk_index {
            let error = Error::new(Code::ChunkIndexLimit, At::Whole)
                .found(Value::AtLeast(size))
                .expected(Value::AtMost(self.limits.chunk_index));
            return Err(error.into());
        }
        let room = self.index.try_reserve(bytes.len());
        room.map_err(|_| Refusal::Status(status::MEMORY))?;
        self.index.extend_from_slice(bytes);
        Ok(())
    }

    #[cfg(feature = "check")]
    pub(crate) fn devices(&self) -> &[u64] {
        &self.devices
    }

    #[cfg(feature = "check")]
    pub(crate) const fn path_entries(&self) -> u64 {
        self.path_entries
    }

    #[cfg(feature = "check")]
    pub(crate) const fn places(&self) -> u64 {
        self.places
    }

    /// Sets a number.
    pub(crate) fn set(&mut self, key: u32, value: u64) -> Result<(), Refusal> {
        let expected = &mut self.expectations;
        let options = &mut self.options;
        let limits = &mut self.limits;
        match key {
            1 => {
                expected.compression = choice(
                    value,
                    &[Compression::None, Compression::Gzip, Compression::Zstd],
                )?;
            }
            2 => expected.content = choice(value, &[Content::Erofs, Content::Bytes])?,
            3 => expected.blob_size = Some(value),
            4 => expected.devices = Devices::Attached(narrow(value)?),
            5 => {
                self.verity.hash_offset = value;
                self.has_verity = true;
            }
            6 => self.verity.block_size = value,
            7 => self.verity.digest_size = value,
            8 => expected.chunk_index = Some(value),
            10 => self.verity.guess.hash_type = HashType::from_number(narrow(value)?)?,
            9 => self.crc_of_host = choice(value, &[false, true])?,

            16 => self.image_size = value,
            17 => {
                options.level = choice(value, &[Level::Superblock, Level::Metadata, Level::Full])?;
            }
            18 => {
                options.policy = choice(value, &[Policy::Any, Policy::Containerd, Policy::Strict])?;
            }
            19 => options.devices = narrow(value)?,
            20 => options.trailing = choice(value, &[false, true])?,
            21 => options.share.0 = narrow(value)?,
            22 => options.share.1 = narrow::<u32>(value)?.max(1),
            23 => self.places = value.min(1000),
            24 => {
                if self.devices.len() >= DEVICES {
                    return Err(Refusal::Status(status::VALUE));
                }
                let room = self.devices.try_reserve(1);
                room.map_err(|_| Refusal::Status(status::MEMORY))?;
                self.devices.push(value);
            }
            25 => self.path_entries = value,
            26 => {
                options.kernel = Some(Release::new(narrow(value >> 16)?, narrow(value & 0xffff)?));
            }
            27 => self.is_blob = choice(value, &[false, true])?,
            28 => {
                self.vouched = choice(value, &[Vouched::Nothing, Vouched::Blob, Vouched::Allowed])?;
            }

            32 => limits.blob_size = value,
            33 => limits.image_size = value,
            34 => limits.zstd_window = value,
            35 => limits.frames = value,
            36 => limits.skippable_size = value,
            37 => limits.expansion_ratio = Some(value),
            38 => limits.inodes = value,
            39 => limits.directory_entries = value,
            40 => limits.directory_depth = narrow(value)?,
            41 => limits.symlink_length = narrow(value)?,
            42 => limits.check_memory = value,
            43 => limits.check_work = value,
            44 => limits.metadata_cache = value,
            45 => limits.chunk_index = value,
            46 => limits.chunk = value,
            47 => limits.chunk_cache = value,
            _ => return Err(Refusal::Status(status::KEY)),
        }
        Ok(())
    }

    /// Sets a text.
    pub(crate) fn set_text(&mut self, key: u32, text: &str) -> Result<(), Refusal> {
        let expected = &mut self.expectations;
        match key {
            1 | 2 => {
                let media_type = MediaType::parse(text)?;
                let layer = if key == 1 {
                    media_type.layer()?
                } else {
                    media_type.device()?
                };
                expected.compression = layer.compression;
                expected.content = match layer.content {
                    oci::Content::Erofs => Content::Erofs,
                    oci::Content::Bytes => Content::Bytes,
                    // A chunk index belongs to another layer.
                    _ => return Err(Error::new(Code::MediaTypeUnknown, At::Whole).into()),
                };
            }
            3 => expected.blob_digest = Some(Digest::parse(text)?),
            4 => expected.diff_id = Some(Digest::parse(text)?),
            5 => {
                if !self.options.allow(text) {
                    return Err(Refusal::Status(status::VALUE));
                }
            }
            6 => self.verity.root = Some(Digest::parse(text)?),
            7 => self.verity.guess.salt = salt(text).ok_or(Refusal::Status(status::VALUE))?,
            8 => self.index_range = Some(ByteRange::parse(text)?),
            9 => self.index_digest = Some(Digest::parse(text)?),
            _ => return Err(Refusal::Status(status::KEY)),
        }
        Ok(())
    }
}
