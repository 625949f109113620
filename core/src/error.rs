//! The one error type: what was wrong, where, what was found and what was expected.

use core::fmt;

use crate::FieldPath;
use crate::oci::Digest;

/// What sort of refusal an error is. The sorts call for different reactions, so they are
/// never folded into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The input ended inside a structure.
    Truncated,
    /// The input breaks its format.
    Malformed,
    /// The input is (or may be) well formed, but uses what this crate does not support.
    Unsupported,
    /// The input asks for more than a limit that the caller set.
    Limit,
    /// The input is well formed and is not what was promised: a digest, a size, a type.
    Mismatch,
    /// An allocation within the limits failed.
    Memory,
    /// The caller used the interface out of order.
    Usage,
}

impl Kind {
    /// The kind's stable name, as `--json` and the vectors use it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Limit => "limit",
            Self::Mismatch => "mismatch",
            Self::Memory => "memory",
            Self::Usage => "usage",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Declares [`Code`] with its stable ids, kinds and sentences from one table.
macro_rules! codes {
    ($($(#[$section:meta])* $name:ident = $id:literal, $kind:ident, $structure:literal, $text:literal;)+) => {
        /// What was wrong. Every code has a stable id; ids are never reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(
                #[doc = concat!("`", $id, "` (", $structure, "): `", $text, "`.")]
                $name,
            )+
        }

        impl Code {
            /// Every code, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable id, as vectors and `--json` use it.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            /// What sort of refusal it is.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind),+ }
            }

            /// The name of the structure that it was found in.
            #[must_use]
            pub const fn structure(self) -> &'static str {
                match self { $(Self::$name => $structure),+ }
            }

            /// What was wrong, as a clause without a full stop.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

codes! {
    // Media types
    MediaTypeSyntax = "media-type-syntax", Malformed, "media type", "is not of the form type/subtype";
    MediaTypeLength = "media-type-length", Malformed, "media type", "is longer than 127 characters on a side of its slash";
    MediaTypeSuffix = "media-type-suffix", Unsupported, "media type", "names a compression that is not supported";
    MediaTypeUnknown = "media-type-unknown", Unsupported, "media type", "is not a layer type that can be unpacked";
    MediaTypeTar = "media-type-tar", Unsupported, "media type", "is a tar layer, not an EROFS layer";

    // Digests
    DigestSyntax = "digest-syntax", Malformed, "digest", "is not of the form algorithm:hex";
    DigestAlgorithm = "digest-algorithm", Unsupported, "digest", "names an algorithm other than sha256 and sha512";
    DigestLength = "digest-length", Malformed, "digest", "has the wrong number of hex digits for its algorithm";
    DigestCase = "digest-case", Malformed, "digest", "holds a character other than the digits and a to f";

    // Annotations
    AnnotationUint = "annotation-uint", Malformed, "annotation", "is not an unsigned decimal number of 64 bits";
    AnnotationRange = "annotation-range", Malformed, "annotation", "is not of the form offset[:end] with end after offset";
    AnnotationRole = "annotation-role", Unsupported, "annotation", "names an unknown role";
    AnnotationVerity = "annotation-verity", Malformed, "annotation", "dm-verity annotations are incomplete or do not fit each other";

    // JSON
    JsonSyntax = "json-syntax", Malformed, "JSON document", "is not valid JSON";
    JsonType = "json-type", Malformed, "JSON document", "a field has the wrong type or an impossible value";
    JsonDuplicateKey = "json-duplicate-key", Malformed, "JSON document", "an object holds the same key twice";
    JsonKeyCase = "json-key-case", Malformed, "JSON document", "a key differs from the name of a field in letter case alone";
    JsonMissing = "json-missing", Malformed, "JSON document", "a required field is missing";
    JsonSize = "json-size", Limit, "JSON document", "is larger than the limit";
    JsonDepth = "json-depth", Limit, "JSON document", "is nested deeper than the limit";
    JsonMembers = "json-members", Limit, "JSON document", "an object or an array has more members than the limit";
    JsonMemory = "json-memory", Memory, "JSON document", "there is no memory for it";

    // OCI documents
    DescriptorSize = "descriptor-size", Malformed, "descriptor", "the size is negative or beyond 63 bits";
    DescriptorData = "descriptor-data", Mismatch, "descriptor", "the embedded data does not have the stated digest and size";
    DescriptorBase64 = "descriptor-base64", Malformed, "descriptor", "the embedded data is not base64";
    LayoutVersion = "layout-version", Unsupported, "OCI layout", "imageLayoutVersion is not 1";
    SchemaVersion = "schema-version", Unsupported, "OCI document", "schemaVersion is not 2";
    DocumentAmbiguous = "document-ambiguous", Malformed, "OCI document", "is both a manifest and an index";
    DocumentMediaType = "document-media-type", Mismatch, "OCI document", "is not of the media type that its descriptor states";
    DocumentUnknown = "document-unknown", Unsupported, "OCI document", "is neither an image manifest nor an image index";
    PlatformSyntax = "platform-syntax", Malformed, "platform", "is not of the form os/arch[/variant]";
    PlatformNone = "platform-none", Mismatch, "image index", "has no entry for the platform";
    ImageAmbiguous = "image-ambiguous", Mismatch, "image index", "leads to several images, and which is meant is not said";
    IndexDepth = "index-depth", Limit, "image index", "indexes are nested deeper than the limit";
    ManifestLayers = "manifest-layers", Limit, "image manifest", "has more layers than the limit";
    ManifestEmpty = "manifest-empty", Malformed, "image manifest", "has no layers";
    RootfsType = "rootfs-type", Malformed, "image config", "rootfs.type is not layers";
    DiffIdCount = "diff-id-count", Mismatch, "image config", "rootfs.diff_ids does not have one entry for each layer";
    DiffIdMissing = "diff-id-missing", Malformed, "layer", "has neither org.erofs.uncompressed-digest nor an entry in rootfs.diff_ids";
    DiffIdConflict = "diff-id-conflict", Mismatch, "layer", "org.erofs.uncompressed-digest and rootfs.diff_ids differ";
    DiffIdNotDigest = "diff-id-not-digest", Mismatch, "layer", "is not compressed, and its diffID differs from its digest";
    OsFeatures = "os-features", Malformed, "image config", "os.features does not name erofs";
    RoleMediaType = "role-media-type", Malformed, "layer", "has a role that its media type must not have";
    LayerLast = "layer-last", Malformed, "image manifest", "the last layer is not one that can be mounted";
    ChunkIndexFirst = "chunk-index-first", Malformed, "image manifest", "the first layer is a chunk index";
    ChunkIndexTarget = "chunk-index-target", Mismatch, "chunk index layer", "org.erofs.chunk-index.target is not the digest of the layer before";

    // Indexes of a layer's chunks
    ChunkIndexRange = "chunk-index-range", Malformed, "chunk index", "does not lie at the end of its blob, where org.erofs.chunk-index.range must lead to";
    ChunkIndexFrame = "chunk-index-frame", Malformed, "chunk index", "does not lie in a skippable frame of its size";
    ChunkIndexDigest = "chunk-index-digest", Mismatch, "chunk index", "does not have the digest that org.erofs.chunk-index.digest states";
    ChunkIndexMagic = "chunk-index-magic", Malformed, "chunk index", "does not have the magic of a chunk index";
    ChunkIndexVersion = "chunk-index-version", Unsupported, "chunk index", "is of an unknown version";
    ChunkIndexFlags = "chunk-index-flags", Unsupported, "chunk index", "sets unknown flags";
    ChunkIndexCompression = "chunk-index-compression", Unsupported, "chunk index", "is of chunks of an unknown compression";
    ChunkIndexHash = "chunk-index-hash", Unsupported, "chunk index", "has checksums of an unknown kind";
    ChunkIndexHashSize = "chunk-index-hash-size", Malformed, "chunk index", "has checksums of a size that their kind does not have";
    ChunkIndexReserved = "chunk-index-reserved", Malformed, "chunk index", "has reserved bytes that are not zero";
    ChunkIndexLength = "chunk-index-length", Malformed, "chunk index", "does not have the length of its header and its entries";
    ChunkIndexWrap = "chunk-index-wrap", Mismatch, "chunk index", "is of chunks that are compressed otherwise than the layer";
    ChunkIndexOrder = "chunk-index-order", Malformed, "chunk index", "has an entry that does not follow the one before";
    ChunkIndexBounds = "chunk-index-bounds", Malformed, "chunk index", "has an entry or a size that does not fit the layer";
    ChunkIndexLimit = "chunk-index-limit", Limit, "chunk index", "is larger than the limit";
    ChunkIndexMemory = "chunk-index-memory", Memory, "chunk index", "there is no memory for it";
    ChunkIndexUnpinned = "chunk-index-unpinned", Mismatch, "chunk index", "has no digest that somebody vouches for";
    ChunkIndexUnverified = "chunk-index-unverified", Mismatch, "chunk index", "has no checksums, so chunks cannot be verified one by one";
    SeekTableReserved = "seek-table-reserved", Unsupported, "seek table", "sets reserved bits";
    SeekTableFrame = "seek-table-frame", Malformed, "seek table", "does not lie in a skippable frame of its size";
    SeekTableSize = "seek-table-size", Malformed, "seek table", "tells of frames that do not end where it begins";
    ChunkChecksum = "chunk-checksum", Mismatch, "chunk", "does not have the checksum that the index states";
    ChunkFrame = "chunk-frame", Malformed, "chunk", "is not one frame";
    ChunkLength = "chunk-length", Mismatch, "chunk", "does not decode to the length that the index states";
    ChunkLimit = "chunk-limit", Limit, "chunk", "is larger than the limit";
    ChunkMemory = "chunk-memory", Memory, "chunk", "there is no memory for it";
    ChunkBounds = "chunk-bounds", Usage, "chunk", "none lies there";

    // The blob
    BlobSize = "blob-size", Mismatch, "blob", "does not have the stated size";
    BlobDigest = "blob-digest", Mismatch, "blob", "does not have the stated digest";
    BlobLimit = "blob-limit", Limit, "blob", "is larger than the limit";
    ContentPlain = "content-plain", Mismatch, "blob", "is a plain EROFS image, though its media type says otherwise";

    // gzip
    GzipMagic = "gzip-magic", Malformed, "gzip member", "does not start with the gzip magic";
    GzipMethod = "gzip-method", Unsupported, "gzip member", "is not compressed with deflate";
    GzipFlags = "gzip-flags", Malformed, "gzip member", "sets reserved flags";
    GzipHeaderCrc = "gzip-header-crc", Mismatch, "gzip member", "the header does not have the stated CRC";
    GzipDeflate = "gzip-deflate", Malformed, "gzip member", "the deflate stream is corrupt";
    GzipCounter = "gzip-counter", Unsupported, "gzip member", "the deflate stream is longer than the inflater of this platform can count";
    GzipCrc = "gzip-crc", Mismatch, "gzip trailer", "the content does not have the stated CRC-32";
    GzipSize = "gzip-size", Mismatch, "gzip trailer", "the content does not have the stated size";
    GzipTruncated = "gzip-truncated", Truncated, "gzip member", "the input ends inside it";
    GzipTrailing = "gzip-trailing", Malformed, "gzip stream", "bytes follow the last member that are neither a member nor zeros";

    // zstd
    ZstdMagic = "zstd-magic", Malformed, "zstd stream", "there is no zstd frame where one must start";
    ZstdLegacy = "zstd-legacy", Unsupported, "zstd frame", "is of a format older than RFC 8878";
    ZstdReserved = "zstd-reserved", Malformed, "zstd frame", "sets a reserved bit";
    ZstdDictionary = "zstd-dictionary", Unsupported, "zstd frame", "needs a dictionary";
    ZstdWindow = "zstd-window", Limit, "zstd frame", "needs a larger window than the limit";
    ZstdBlockType = "zstd-block-type", Malformed, "zstd block", "is of the reserved type";
    ZstdBlockSize = "zstd-block-size", Malformed, "zstd block", "is larger than a block may be";
    ZstdBlock = "zstd-block", Malformed, "zstd block", "the compressed data is corrupt";
    ZstdContentSize = "zstd-content-size", Mismatch, "zstd frame", "the content does not have the declared size";
    ZstdChecksum = "zstd-checksum", Mismatch, "zstd frame", "the content does not have the stated checksum";
    ZstdTruncated = "zstd-truncated", Truncated, "zstd frame", "the input ends inside it";
    ZstdTrailing = "zstd-trailing", Malformed, "zstd stream", "bytes follow the only frame";
    ZstdSkippable = "zstd-skippable", Limit, "zstd stream", "skippable frames are larger in all than the limit";
    ZstdMemory = "zstd-memory", Memory, "zstd frame", "there is no memory for the window";

    ZstdUnavailable = "zstd-unavailable", Unsupported, "zstd stream", "this build has no zstd decoder";

    // Limits of every codec
    FrameLimit = "frame-limit", Limit, "blob", "has more frames or members than the limit";
    ExpansionLimit = "expansion-limit", Limit, "blob", "expands more than the limit";

    // A decoder or check in a sandbox
    GuestTime = "guest-time", Limit, "sandbox", "the guest took more time than the limit";
    GuestMemory = "guest-memory", Limit, "sandbox", "the guest wanted more memory than the limit";
    GuestTrap = "guest-trap", Malformed, "sandbox", "the guest broke down";
    GuestAnswer = "guest-answer", Malformed, "sandbox", "the guest gave an answer that cannot be true";
    GuestCancelled = "guest-cancelled", Usage, "sandbox", "the work was cancelled";

    // The image as a stream
    ImageLimit = "image-limit", Limit, "image", "is larger than the limit";
    ImageSize = "image-size", Mismatch, "image", "is shorter than its superblock declares";
    ImageBlocks = "image-blocks", Mismatch, "image", "has devices, and its superblock declares other blocks than it has";
    ImageTrailing = "image-trailing", Mismatch, "image", "goes on after the end that its superblock declares";
    DiffId = "diff-id", Mismatch, "image", "does not have the stated diffID";
    ObjectSize = "object-size", Mismatch, "object", "does not have the size of the file that it is the content of";
    ObjectDigest = "object-digest", Mismatch, "object", "does not have the fs-verity digest that the image states";
    // dm-verity
    VerityMagic = "verity-magic", Malformed, "dm-verity superblock", "does not have the dm-verity magic";
    VerityVersion = "verity-version", Unsupported, "dm-verity superblock", "is of another version than 1";
    VerityHashType = "verity-hash-type", Unsupported, "dm-verity superblock", "is of an unknown hash type";
    VerityAlgorithm = "verity-algorithm", Unsupported, "dm-verity superblock", "names a hash algorithm other than sha256 and sha512";
    VerityBlockSize = "verity-block-size", Malformed, "dm-verity superblock", "has a block size that is not a power of two from 512 to 65536";
    VeritySalt = "verity-salt", Malformed, "dm-verity superblock", "has a salt of more than 256 bytes";
    VerityParams = "verity-params", Mismatch, "dm-verity superblock", "is of another algorithm or block size than is stated";
    VerityBlocks = "verity-blocks", Mismatch, "dm-verity superblock", "covers another number of blocks than is stated";
    VeritySize = "verity-size", Malformed, "dm-verity tree", "covers nothing, or more bytes than there can be";
    VerityTruncated = "verity-truncated", Truncated, "dm-verity tree", "is cut off, or what it covers";
    VerityRoot = "verity-root", Mismatch, "dm-verity tree", "what it covers does not have the stated root digest";
    VerityData = "verity-data", Mismatch, "data block", "does not have the hash that its dm-verity tree states";
    VerityHash = "verity-hash", Mismatch, "dm-verity tree", "is not that of what it covers";
    VerityLevel = "verity-level", Unsupported, "dm-verity tree", "covers one block and has a level all the same, which no kernel looks at";

    // tar archives
    TarTruncated = "tar-truncated", Truncated, "tar archive", "ends inside a member, or before its first";
    TarChecksum = "tar-checksum", Malformed, "tar header", "does not have the checksum that it states, so it is none";
    TarFormat = "tar-format", Unsupported, "tar header", "is of a form that readers understand differently";
    TarNumber = "tar-number", Malformed, "tar header", "has a number that is malformed or too large";
    TarType = "tar-type", Unsupported, "tar header", "is of a type that readers understand differently";
    TarSlash = "tar-slash", Malformed, "tar header", "is of a file, with the name of a directory";
    TarName = "tar-name", Malformed, "tar header", "has a name or a link's target that is empty or holds a NUL";
    TarPayload = "tar-payload", Malformed, "tar header", "states a size that its type does not have";
    TarLinkContent = "tar-link-content", Malformed, "tar archive", "a hard link has content that could be a header or the end";
    TarEnd = "tar-end", Malformed, "tar archive", "goes on after half of an end marker";
    TarExtension = "tar-extension", Malformed, "extended tar header", "comes twice, is contradicted, or is followed by no member";
    TarRecord = "tar-record", Malformed, "pax record", "is not of the form LENGTH KEYWORD=VALUE";
    TarValue = "tar-value", Malformed, "pax record", "has a value that its keyword cannot have, is there again or is unknown";
    TarGlobal = "tar-global", Malformed, "global tar header", "says of all members what readers understand differently";
    TarXattr = "tar-xattr", Malformed, "pax record", "is an extended attribute that is malformed, or there with another value";
    TarSparse = "tar-sparse", Malformed, "tar header", "says of the holes of a file what is malformed or does not hold together";
    TarMap = "tar-map", Malformed, "map of a sparse file", "has a piece that overlaps the one before or lies beyond the size";
    TarMapSize = "tar-map-size", Mismatch, "map of a sparse file", "is not of as many bytes as are stored";
    TarHeaderLimit = "tar-header-limit", Limit, "extended tar header", "is larger, with those before it, than the limit";
    TarExtentLimit = "tar-extent-limit", Limit, "map of a sparse file", "has more pieces than the limit";
    TarMemory = "tar-memory", Memory, "tar header", "there is no memory for it";

    // Making an image
    BuildPath = "build-path", Malformed, "entry", "has a path that leads upwards or holds a zero byte";
    BuildName = "build-name", Unsupported, "entry", "has a name that is longer than a directory can hold";
    BuildNotDirectory = "build-not-directory", Malformed, "entry", "lies below something that is not a directory";
    BuildLoop = "build-loop", Malformed, "entry", "lies below symbolic links that lead in a circle, or too many of them";
    BuildTarget = "build-target", Malformed, "entry", "is a symbolic link to nothing, or to a name with a zero byte";
    BuildLink = "build-link", Malformed, "entry", "is a hard link to nothing, to a directory or to itself";
    BuildWhiteout = "build-whiteout", Malformed, "entry", "is a whiteout without a name";
    BuildXattr = "build-xattr", Unsupported, "entry", "has extended attributes that are larger than an inode can have";
    BuildDevice = "build-device", Unsupported, "entry", "is a device whose number is larger than an inode can have";
    BuildContent = "build-content", Usage, "entry", "its content does not come as its size and its holes say";
    BuildReadBack = "build-read-back", Mismatch, "file", "reads otherwise in the image that was made than it was in the source";
    BuildMemory = "build-memory", Limit, "entry", "takes, with those before it, more memory than the limit";
    BuildBlocks = "build-blocks", Unsupported, "image", "has more blocks than can be numbered in 32 bits";

    // What other layers say of an image
    DeviceTag = "device-tag", Mismatch, "device slot", "is tagged with another digest than that of the layer that is attached for it";

    // What the image is
    ContentEmpty = "content-empty", Truncated, "image", "is empty";
    ContentTar = "content-tar", Mismatch, "image", "is a tar archive, not an EROFS image";
    ContentZeros = "content-zeros", Mismatch, "image", "has zeros at the start, where an EROFS image has its superblock";
    ContentForeign = "content-foreign", Mismatch, "image", "is of another format, not an EROFS image";
    ContentCompressed = "content-compressed", Mismatch, "image", "is compressed, though its media type says otherwise";

    // The superblock
    SuperblockTruncated = "superblock-truncated", Truncated, "superblock", "the image ends before the superblock does";
    SuperblockMagic = "superblock-magic", Malformed, "superblock", "does not have the EROFS magic";
    SuperblockBlockSize = "superblock-block-size", Malformed, "superblock", "the block size is not one from 512 to 65536 bytes";
    SuperblockChecksum = "superblock-checksum", Mismatch, "superblock", "does not have the stated checksum";
    SuperblockFeatures = "superblock-features", Unsupported, "superblock", "sets unknown incompatible features";
    SuperblockDirBlock = "superblock-dirblk", Unsupported, "superblock", "dirblkbits is not zero";
    SuperblockExtSlots = "superblock-extslots", Malformed, "superblock", "extends beyond its block";
    SuperblockBlocks = "superblock-blocks", Malformed, "superblock", "declares fewer blocks than it needs itself";
    SuperblockMeta = "superblock-meta", Malformed, "superblock", "the metadata area starts beyond the image";
    SuperblockXattr = "superblock-xattr", Malformed, "superblock", "the shared xattr area starts beyond the image";
    SuperblockRoot = "superblock-root", Malformed, "superblock", "the root inode lies beyond the image";
    SuperblockPacked = "superblock-packed", Malformed, "superblock", "the packed inode is missing, beyond the image or in the metabox";
    SuperblockMetabox = "superblock-metabox", Malformed, "superblock", "the metabox inode lies beyond the image or is missing";
    SuperblockPrefixes = "superblock-prefixes", Malformed, "superblock", "the xattr prefix table does not fit the image";
    SuperblockNanoseconds = "superblock-nanoseconds", Malformed, "superblock", "the time has a billion nanoseconds or more";
    SuperblockAlgorithms = "superblock-algorithms", Unsupported, "superblock", "names unknown compression algorithms";
    SuperblockInodes = "superblock-inodes", Malformed, "superblock", "declares more inodes than the image has room for";
    SuperblockPage = "superblock-page", Unsupported, "superblock", "the blocks are larger than the pages of most machines, which do not mount them: make the image with -b4096";
    SuperblockCompat = "superblock-compat", Unsupported, "superblock", "sets unknown compatible features";
    SuperblockReserved = "superblock-reserved", Malformed, "superblock", "has reserved bytes that are not zero";
    SuperblockUnsigned = "superblock-unsigned", Malformed, "superblock", "has no checksum";
    SuperblockCount = "superblock-count", Mismatch, "superblock", "declares another number of inodes than can be reached";
    DeviceTable = "device-table", Malformed, "device table", "does not lie inside the image after the superblock";
    DeviceSlot = "device-slot", Malformed, "device slot", "lies over other blocks";

    // Inodes
    MetadataBounds = "metadata-bounds", Malformed, "metadata", "lies beyond the end of the image";
    MetadataMemory = "metadata-memory", Memory, "metadata", "there is no memory for it";
    InodeOffset = "inode-offset", Malformed, "inode", "does not lie inside the image";
    InodeTruncated = "inode-truncated", Truncated, "inode", "is cut off";
    InodeFormat = "inode-format", Unsupported, "inode", "sets unknown format bits";
    InodeLayout = "inode-layout", Unsupported, "inode", "has an unknown data layout";
    InodeMode = "inode-mode", Malformed, "inode", "has a file type that does not exist";
    InodeChunkFormat = "inode-chunk-format", Unsupported, "inode", "sets unknown chunk format bits";
    InodeType = "inode-type", Usage, "inode", "is not of the type that was asked for";
    InodeLimit = "inode-limit", Limit, "image", "has more files than the limit";

    InodeSize = "inode-size", Malformed, "inode", "has a size of more than 63 bits";
    InodeNanoseconds = "inode-nanoseconds", Malformed, "inode", "has a time with a billion nanoseconds or more";
    InodeNoLinks = "inode-no-links", Malformed, "inode", "has no links, and is reached";
    InodeLinks = "inode-links", Mismatch, "inode", "does not have as many links as lead to it";
    InodeReserved = "inode-reserved", Malformed, "inode", "has a reserved field that is not zero";
    InodeBlocks = "inode-blocks", Malformed, "inode", "is compressed and takes more blocks than Linux before 7.2 counts";
    InodeSpecial = "inode-special", Malformed, "inode", "is a device, a pipe or a socket, and has a size";
    InodeRoot = "inode-root", Malformed, "inode", "is the root, and no directory";
    InodeInternal = "inode-internal", Malformed, "inode", "is the packed or metabox inode, and no plain file or in a directory";

    // Content
    SymlinkSize = "symlink-size", Malformed, "symbolic link", "has no target, or one that is too long";
    DeviceForeign = "device-foreign", Unsupported, "device slot", "names a device that is not part of the layer";
    OverlapMetadata = "overlap-metadata", Malformed, "metadata", "lies over other metadata";
    OverlapData = "overlap-data", Malformed, "file", "has content that lies over metadata";
    OverlapContent = "overlap-content", Malformed, "file", "shares content with another without saying so";
    OverlapPcluster = "overlap-pcluster", Malformed, "pcluster", "lies over one that is of another size or encoding";
    FileBounds = "file-bounds", Malformed, "file", "has content beyond the end of the image or device";
    InlineBounds = "inline-bounds", Malformed, "file", "has content behind its inode that crosses the end of a block";
    ChunkDevice = "chunk-device", Malformed, "file", "has content on a device that does not exist";
    FileElsewhere = "file-elsewhere", Unsupported, "file", "has its content outside of the image, where an overlay finds it";
    DeviceMissing = "device-missing", Usage, "file", "has content on a device that was not given";
    SymlinkLength = "symlink-length", Limit, "symbolic link", "has a target longer than the limit";
    SymlinkTarget = "symlink-target", Malformed, "symbolic link", "has a target with a NUL";
    CompressionConfig = "compression-config", Malformed, "compression configuration", "is cut off or out of range";
    CompressionUnavailable = "compression-unavailable", Unsupported, "pcluster", "is of a compression algorithm that this build has no decoder for";

    // Directories
    DirentTable = "dirent-table", Malformed, "directory block", "has entries that do not fit their block";
    DirentName = "dirent-name", Malformed, "directory entry", "has a name that cannot be one";
    DirentCharacter = "dirent-character", Malformed, "directory entry", "has a slash or a NUL in its name";
    DirentOrder = "dirent-order", Malformed, "directory entry", "has a name that does not come after the one before";
    DirentDot = "dirent-dot", Malformed, "directory", "has an entry . that is wrong, missing or out of place";
    DirentDotDot = "dirent-dot-dot", Malformed, "directory", "has an entry .. that is wrong or missing";
    DirentType = "dirent-type", Mismatch, "directory entry", "does not have the type of its inode";
    DirentReserved = "dirent-reserved", Malformed, "directory entry", "has a reserved byte that is not zero";
    DirentPadding = "dirent-padding", Malformed, "directory block", "goes on after the end of its last name";
    DirectoryLinks = "directory-links", Malformed, "directory", "is entered from more than one place";
    DirectoryWhiteout = "directory-whiteout", Malformed, "directory entry", "is a whiteout of another file system's form";
    DirectoryAufs = "directory-aufs", Malformed, "directory entry", "is what aufs keeps for itself, which means nothing here: leave it out";
    DirectoryWritable = "directory-writable", Malformed, "directory", "all may write to it, and it is not sticky: mkfs.erofs --tar=f makes a folder so when the tar has no entry for it: add one, or set the mode";
    DirectoryEntries = "directory-entries", Limit, "directory", "has more entries than the limit";
    DirectoryDepth = "directory-depth", Limit, "directory", "lies deeper than the limit";
    DirectoryLoop = "directory-loop", Malformed, "directory", "lies in itself";

    // Extended attributes
    XattrHeader = "xattr-header", Malformed, "xattr header", "does not fit the inode's xattr area";
    XattrEntry = "xattr-entry", Malformed, "xattr entry", "goes beyond the inode's xattr area";
    XattrName = "xattr-name", Malformed, "xattr entry", "has a name with a NUL";
    XattrLength = "xattr-length", Malformed, "xattr entry", "has a name that is empty or too long";
    XattrDuplicate = "xattr-duplicate", Malformed, "xattrs", "hold the same name twice, with two values";
    XattrRepeated = "xattr-repeated", Malformed, "xattrs", "hold the same name twice, where that changes nothing";
    XattrFilter = "xattr-filter", Malformed, "xattr header", "denies a name that is there";
    XattrAcl = "xattr-acl", Malformed, "xattr", "is not a well-formed ACL, or is one on a symbolic link";
    XattrCapability = "xattr-capability", Malformed, "xattr", "is a file capability that is none";
    XattrMetacopy = "xattr-metacopy", Malformed, "xattr", "marks content outside of the image in a form that overlayfs does not take";
    XattrUnknown = "xattr-unknown", Unsupported, "xattr entry", "has a name without a known prefix";
    XattrReserved = "xattr-reserved", Malformed, "xattr header", "has reserved bytes that are not zero";
    XattrPrefix = "xattr-prefix", Malformed, "xattr prefix", "does not exist or is cut off";

    // Compressed content
    MapHeader = "map-header", Malformed, "compression map", "sets flags that the superblock or the layout does not allow";
    MapLclusterSize = "map-lcluster-size", Unsupported, "compression map", "has logical clusters that are too large for its indexes";
    MapIndex = "map-index", Malformed, "compression map", "was asked for what lies beyond the end of the content";
    MapOffset = "map-offset", Malformed, "compression index", "an extent starts beyond the end of its logical cluster or of the content";
    MapDistance = "map-distance", Malformed, "compression index", "does not lead to the head of its extent";
    MapLookahead = "map-lookahead", Malformed, "compression index", "does not lead to the head of the next extent";
    MapBlockCount = "map-block-count", Malformed, "compression index", "the number of blocks of a big pcluster is missing or not allowed";
    MapExtents = "map-extents", Malformed, "extent record", "is not in order";
    PclusterUnknown = "pcluster-unknown", Unsupported, "pcluster", "is of an unknown compression algorithm";
    PclusterAlgorithm = "pcluster-algorithm", Malformed, "pcluster", "is of a compression algorithm that the superblock does not name";
    PclusterSize = "pcluster-size", Unsupported, "pcluster", "is larger than 1 MiB, or decodes to more than 12 MiB";
    PclusterPlain = "pcluster-plain", Malformed, "pcluster", "is not compressed and smaller than its extent";
    PclusterSurplus = "pcluster-surplus", Malformed, "pcluster", "is compressed and larger than its extent";
    PclusterHole = "pcluster-hole", Malformed, "pcluster", "is a hole to Linux 7.2 and newer, and not to older kernels";
    PclusterInline = "pcluster-inline", Malformed, "pcluster", "lies behind the inode and crosses the end of its block";
    PclusterData = "pcluster-data", Malformed, "pcluster", "the compressed data is corrupt";
    PclusterLength = "pcluster-length", Mismatch, "pcluster", "does not decode to the length of its extent";
    PclusterMemory = "pcluster-memory", Memory, "pcluster", "there is no memory for it";
    FingerprintForm = "fingerprint-form", Unsupported, "fingerprint", "is of an unknown form";
    FingerprintContent = "fingerprint-content", Mismatch, "fingerprint", "is not that of the file's content";
    FragmentInode = "fragment-inode", Malformed, "fragment", "there is no packed inode that it could lie in";
    FragmentBounds = "fragment-bounds", Malformed, "fragment", "lies beyond the end of the packed inode";
    FragmentLoop = "fragment-loop", Malformed, "fragment", "lies in an inode that is itself needed to read the packed inode";
    MetaboxLoop = "metabox-loop", Malformed, "metabox", "reading it needs metadata that lies in it";

    // What reads the image
    KernelVersion = "kernel-version", Unsupported, "image", "the kernel that is meant refuses something in it, or reads it otherwise";

    // The check
    CheckMemory = "check-memory", Limit, "check", "needs more memory than the limit";
    CheckWork = "check-work", Limit, "check", "has more to look at or to decode than the limit";

    // The interface
    Finished = "finished", Usage, "interface", "was used after its end or after an error";
}

/// Where an error was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum At {
    /// Nowhere in particular.
    Whole,
    /// A byte of the blob, as it lies in the registry.
    Blob(u64),
    /// A byte of the image, decoded.
    Image(u64),
    /// A character of a text: a media type, a digest, an annotation.
    Text(u64),
    /// A byte of a JSON document.
    Json(u64),
    /// An inode of the image.
    Nid(u64),
    /// A byte of a file's or a directory's content: the nid, and the offset in the content.
    File(u64, u64),
    /// A layer of a manifest, counted from 1.
    Layer(u32),
    /// A byte of a chunk index, its header first.
    Index(u64),
    /// A byte of a tar archive, decoded.
    Archive(u64),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Blob(offset) => write!(f, "at byte {offset} of the blob"),
            Self::Image(offset) => write!(f, "at byte {offset} of the image"),
            Self::Text(offset) => write!(f, "at character {offset}"),
            Self::Json(offset) => write!(f, "at byte {offset} of the document"),
            Self::Nid(nid) => write!(f, "at nid {nid}"),
            Self::File(nid, offset) => write!(f, "at byte {offset} of nid {nid}"),
            Self::Layer(number) => write!(f, "in layer {number}"),
            Self::Index(offset) => write!(f, "at byte {offset} of the index"),
            Self::Archive(offset) => write!(f, "at byte {offset} of the archive"),
        }
    }
}

/// What was found or expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Value {
    /// Nothing that helps to state.
    None,
    /// A count or a size in bytes.
    Number(u64),
    /// At most this count or size.
    AtMost(u64),
    /// At least this count or size.
    AtLeast(u64),
    /// A number that is read in hexadecimal: a magic, a checksum, a set of flags.
    Hex(u64),
    /// A byte or an ASCII character.
    Byte(u8),
    /// A fixed word.
    Text(&'static str),
    /// A digest.
    Digest(Digest),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("nothing"),
            Self::Number(number) => write!(f, "{number}"),
            Self::AtMost(number) => write!(f, "at most {number}"),
            Self::AtLeast(number) => write!(f, "at least {number}"),
            Self::Hex(number) => write!(f, "{number:#x}"),
            Self::Byte(byte) if byte.is_ascii_graphic() => {
                write!(f, "'{}'", char::from(*byte))
            }
            Self::Byte(byte) => write!(f, "byte {byte:#04x}"),
            Self::Text(text) => f.write_str(text),
            Self::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

/// A refusal: what was wrong, where, what was found and what was expected.
///
/// It is `Copy` and holds no text of the input, so it can be kept, compared and sent anywhere
/// without a thought for who wrote the input.
///
/// ```
/// use erofs_unpack_core::{Code, Kind, oci::Digest};
///
/// let error = Digest::parse("md5:d41d8cd98f00b204e9800998ecf8427e").unwrap_err();
/// assert_eq!(error.code(), Code::DigestAlgorithm);
/// assert_eq!(error.kind(), Kind::Unsupported);
/// assert_eq!(error.id(), "digest-algorithm");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    code: Code,
    at: At,
    field: FieldPath,
    found: Value,
    expected: Value,
}

impl Error {
    /// An error of this code at this place, with nothing said of found and expected.
    #[must_use]
    pub const fn new(code: Code, at: At) -> Self {
        Self {
            code,
            at,
            field: FieldPath::ROOT,
            found: Value::None,
            expected: Value::None,
        }
    }

    /// The same error with what was found.
    #[must_use]
    pub const fn found(mut self, found: Value) -> Self {
        self.found = found;
        self
    }

    /// The same error with what was expected.
    #[must_use]
    pub const fn expected(mut self, expected: Value) -> Self {
        self.expected = expected;
        self
    }

    /// The same error at another place: a part's own refusal, told as the whole's.
    #[must_use]
    pub const fn moved(mut self, at: At) -> Self {
        self.at = at;
        self
    }

    /// The same error with the field of a JSON document that it is about.
    #[must_use]
    pub const fn in_field(mut self, field: FieldPath) -> Self {
        self.field = field;
        self
    }

    /// What was wrong.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The stable id of [`Self::code`].
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.code.id()
    }

    /// What sort of refusal it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.code.kind()
    }

    /// Where it was.
    #[must_use]
    pub const fn at(&self) -> At {
        self.at
    }

    /// The field of a JSON document that it is about; the root when it is about no document, or
    /// about all of one.
    #[must_use]
    pub const fn field(&self) -> FieldPath {
        self.field
    }

    /// What was found there.
    #[must_use]
    pub const fn found_value(&self) -> Value {
        self.found
    }

    /// What was expected there.
    #[must_use]
    pub const fn expected_value(&self) -> Value {
        self.expected
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.structure(), self.code.text())?;
        if self.at != At::Whole {
            write!(f, ", {}", self.at)?;
        }
        if !self.field.is_root() {
            write!(f, " ({})", self.field)?;
        }
        match (self.found, self.expected) {
            (Value::None, Value::None) => Ok(()),
            (found, Value::None) => write!(f, ": found {found}"),
            (Value::None, expected) => write!(f, ": expected {expected}"),
            (found, expected) => write!(f, ": found {found}, expected {expected}"),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::string::ToString;

    #[test]
    fn ids_are_unique_and_in_kebab_case() {
        let mut seen = BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.id()), "{} twice", code.id());
            assert!(
                code.id()
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{}",
                code.id()
            );
        }
    }

    #[test]
    fn an_error_reads_as_one_line() {
        let error = Error::new(Code::BlobSize, At::Whole)
            .found(Value::Number(3))
            .expected(Value::Number(4));
        assert_eq!(
            error.to_string(),
            "blob: does not have the stated size: found 3, expected 4"
        );
        let error = Error::new(Code::GzipMagic, At::Blob(0)).found(Value::Hex(0x28b5));
        assert_eq!(
            error.to_string(),
            "gzip member: does not start with the gzip magic, at byte 0 of the blob: found 0x28b5"
        );
        let field = FieldPath::ROOT.field("layers").item(1).field("digest");
        let error = Error::new(Code::DigestSyntax, At::Json(30)).in_field(field);
        assert_eq!(
            error.to_string(),
            "digest: is not of the form algorithm:hex, at byte 30 of the document \
             (layers[1].digest)"
        );
    }
}
