//! What a layer or a document may ask for at most.

use crate::{At, Code, Error, Value};

/// One mebibyte.
const MIB: u64 = 1 << 20;
/// One gibibyte.
const GIB: u64 = 1 << 30;

/// Upper bounds for everything that an input could otherwise choose freely.
///
/// All have defaults and all can be set. An error that names a limit has [`Kind::Limit`]
/// and a code of its own, so that a host can name the flag that raises it.
///
/// [`Kind::Limit`]: crate::Kind::Limit
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest blob, in bytes as they lie in the registry. Default 64 GiB.
    pub blob_size: u64,
    /// Largest image, in decoded bytes, everything that follows the image included. Default
    /// 64 GiB.
    pub image_size: u64,
    /// Largest window that a zstd frame may declare, in bytes. RFC 8878 section 3.1.1.1.2
    /// recommends that decoders support 8 MiB, which is the default here; hosts that stand
    /// in for `zstd -d` use its 128 MiB.
    pub zstd_window: u64,
    /// Most zstd frames (skippable ones included) or gzip members in one blob. Default 2^24.
    pub frames: u64,
    /// Most bytes in skippable zstd frames of one blob, in all. Default 64 MiB.
    pub skippable_size: u64,
    /// Largest ratio of decoded to encoded bytes; off by default, because an honest sparse
    /// image exceeds 10,000 to 1.
    pub expansion_ratio: Option<u64>,
    /// Largest JSON document, in bytes. Default 4 MiB.
    pub json_size: u64,
    /// Deepest nesting of arrays and objects in a JSON document. Default 32; 126 is the most
    /// that has an effect, being the depth that the JSON library goes to.
    pub json_depth: u32,
    /// Most members of one JSON object, and of one JSON array that is kept. Default 4096.
    /// Arrays of layers have a limit of their own; arrays that are passed over need none.
    pub json_members: u32,
    /// Deepest nesting of image indexes. Default 4.
    pub index_depth: u32,
    /// Most layers in one manifest. Default 4096.
    pub layers: u32,
    /// Most files, directories and other inodes in a walk through an image; one of several links
    /// counts once for each. Default 2^24.
    pub inodes: u64,
    /// Most entries of one directory. Default 2^24.
    pub directory_entries: u64,
    /// Most directories on the way from the root to a file. Default 256.
    pub directory_depth: u32,
    /// Longest target of a symbolic link, in bytes. Default 4095: more does not fit into the
    /// kernel's `PATH_MAX`.
    pub symlink_length: u32,
    /// Most memory that a check keeps while it goes through an image, in bytes. Default 512
    /// MiB; see [`crate::check`] for what it takes.
    pub check_memory: u64,
    /// Most metadata that a check looks at, in bytes, and most bytes that each share of it
    /// decodes; what several inodes use counts once for each. Default 64 GiB.
    pub check_work: u64,
    /// Memory for metadata that was read from an image, in bytes. Default 4 MiB. More makes
    /// reading faster, less than one line of 4 KiB counts as one. An image with a metabox takes
    /// as much again for what lies in it.
    pub metadata_cache: u64,
    /// Largest index of a layer's chunks, in bytes. Default 64 MiB.
    pub chunk_index: u64,
    /// Largest chunk that is taken into memory, in bytes, in the blob and in the image. Default 64
    /// MiB. A layer with larger ones is read from its start to its end.
    pub chunk: u64,
    /// Memory for decoded chunks that may be asked for again, in bytes. Default 32 MiB; one chunk
    /// is kept whatever its size.
    pub chunk_cache: u64,
    /// Largest extended headers of one member of a tar archive, all of them together, in bytes. They
    /// hold names and extended attributes, and the map of some sparse files. Default 1 MiB; Linux has at
    /// most 64 KiB for one attribute.
    pub tar_header: u64,
    /// Most pieces between the holes of a file in a tar archive; each takes 16 bytes of memory, twice.
    /// Default 2^18.
    pub tar_extents: u64,
    /// Memory that making an image takes for inodes, names, targets of links, extended attributes and holes,
    /// in bytes. Default 1 GiB, enough for three million files.
    pub build_memory: u64,
}

impl Limits {
    /// The defaults, as each field states them.
    pub const DEFAULT: Self = Self {
        blob_size: 64 * GIB,
        image_size: 64 * GIB,
        zstd_window: 8 * MIB,
        frames: 1 << 24,
        skippable_size: 64 * MIB,
        expansion_ratio: None,
        json_size: 4 * MIB,
        json_depth: 32,
        json_members: 4096,
        index_depth: 4,
        layers: 4096,
        inodes: 1 << 24,
        directory_entries: 1 << 24,
        directory_depth: 256,
        symlink_length: 4095,
        check_memory: 512 * MIB,
        check_work: 64 * GIB,
        metadata_cache: 4 * MIB,
        chunk_index: 64 * MIB,
        chunk: 64 * MIB,
        chunk_cache: 32 * MIB,
        tar_header: MIB,
        tar_extents: 1 << 18,
        build_memory: GIB,
    };

    /// Whether an image may have this size, everything that follows it included. It is for a
    /// reader of an image where it lies; while one is unpacked the same is said of it.
    ///
    /// # Errors
    ///
    /// [`Code::ImageLimit`], at the first byte that is too much.
    pub const fn admit_image(&self, size: u64) -> Result<(), Error> {
        if size <= self.image_size {
            return Ok(());
        }
        Err(Error::new(Code::ImageLimit, At::Image(self.image_size))
            .found(Value::AtLeast(self.image_size.saturating_add(1)))
            .expected(Value::AtMost(self.image_size)))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
