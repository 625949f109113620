//! The catalogue: every rule of the check, what it demands, why, and how severe a breach is.

use crate::oci::Policy;
use crate::{Code, Error};

/// Why a rule is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The kernel or `fsck.erofs` refuses what breaks it, at the mount or when it is read.
    Kernel,
    /// Two readers of the same bytes would see two trees.
    Ambiguity,
    /// It bounds the work or the memory of whoever reads the image.
    Work,
    /// The kernel takes it, but a container layer has no business holding it.
    Policy,
    /// Nobody reads it today: it may hide data, or mean something to a later reader.
    Unused,
}

impl Reason {
    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Ambiguity => "ambiguity",
            Self::Work => "work",
            Self::Policy => "policy",
            Self::Unused => "unused",
        }
    }
}

/// What a breach of a rule does to the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It is said, and the image passes.
    Warning,
    /// The image is refused.
    Error,
}

impl Severity {
    /// The word that `--json` uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A rule of the check.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its code; the id of the rule is the code's.
    pub code: Code,
    /// What it demands, as a sentence without a full stop.
    pub demand: &'static str,
    /// Why it is there.
    pub reason: Reason,
    /// Where the demand comes from: a function of Linux, a file of erofs-utils, a section.
    pub source: &'static str,
    severity: [Option<Severity>; 3],
}

impl Rule {
    /// The stable id.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.code.id()
    }

    /// What a breach means under a policy; `None` when nothing is said of it.
    #[must_use]
    pub const fn severity(&self, policy: Policy) -> Option<Severity> {
        let [any, containerd, strict] = self.severity;
        match policy {
            Policy::Any => any,
            Policy::Containerd => containerd,
            Policy::Strict => strict,
        }
    }

    /// The rule that an error breaks. An error of reading that has no rule of its own breaks
    /// none: it always counts.
    #[must_use]
    pub fn of(code: Code) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.code == code)
    }

    /// The rule with this id.
    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.id() == id)
    }
}

/// A breach of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was wrong, where, what was found and what was expected.
    pub error: Error,
    /// What it does to the verdict.
    pub severity: Severity,
    /// The directory in which the inode was found that this is about, and where its entry
    /// lies there, in bytes; see [`super::Paths`].
    pub entry: Option<(u64, u64)>,
}

const ERROR: Option<Severity> = Some(Severity::Error);
const WARNING: Option<Severity> = Some(Severity::Warning);

/// Refused under every policy.
const ALWAYS: [Option<Severity>; 3] = [ERROR, ERROR, ERROR];
/// Refused where containers are concerned, said otherwise.
const CONTAINER: [Option<Severity>; 3] = [WARNING, ERROR, ERROR];
/// Refused by the strict policy, said otherwise.
const SAID: [Option<Severity>; 3] = [WARNING, WARNING, ERROR];
/// Refused by the strict policy, said to containerd.
const STRICT: [Option<Severity>; 3] = [None, WARNING, ERROR];

/// Declares the catalogue.
macro_rules! rules {
    ($($code:ident, $reason:ident, $severity:ident, $demand:literal, $source:literal;)+) => {
        /// All rules, in the order in which the documentation lists them.
        pub const RULES: &[Rule] = &[$(Rule {
            code: Code::$code,
            demand: $demand,
            reason: Reason::$reason,
            source: $source,
            severity: $severity,
        }),+];
    };
}

rules! {
    // Superblock
    ContentEmpty, Kernel, ALWAYS, "There is an image", "erofs_read_superblock";
    ContentTar, Kernel, ALWAYS, "The image is EROFS and no tar archive", "erofs_read_superblock";
    ContentZeros, Kernel, ALWAYS, "There is more than zeros at the start of the image", "erofs_read_superblock";
    ContentForeign, Kernel, ALWAYS, "The image is EROFS and of no other format", "erofs_read_superblock";
    ContentCompressed, Kernel, ALWAYS, "The image is not compressed as a whole", "erofs_read_superblock";
    SuperblockTruncated, Kernel, ALWAYS, "The image holds a whole superblock", "erofs_read_superblock";
    SuperblockMagic, Kernel, ALWAYS, "The superblock has the magic of EROFS", "erofs_read_superblock";
    SuperblockBlockSize, Kernel, ALWAYS, "A block has 512 to 65536 bytes", "erofs_read_superblock";
    SuperblockChecksum, Kernel, ALWAYS, "The checksum is that of the superblock's block", "erofs_superblock_csum_verify";
    SuperblockFeatures, Kernel, ALWAYS, "Every incompatible feature is known", "check_layout_compatibility";
    SuperblockDirBlock, Kernel, ALWAYS, "dirblkbits is zero", "erofs_read_superblock";
    SuperblockExtSlots, Kernel, ALWAYS, "The superblock with its extensions lies in the first page", "erofs_read_superblock";
    SuperblockBlocks, Ambiguity, ALWAYS, "The declared blocks hold at least the superblock", "struct erofs_super_block";
    SuperblockMeta, Kernel, ALWAYS, "The metadata area starts inside the image", "erofs_iloc";
    SuperblockXattr, Ambiguity, ALWAYS, "The shared xattrs start inside the image", "erofs_xattr_iter_shared";
    SuperblockRoot, Kernel, ALWAYS, "The root inode lies inside the image", "erofs_fc_fill_super";
    SuperblockPacked, Kernel, ALWAYS, "The packed inode lies inside the image, and not in the metabox", "erofs_fc_fill_super, lib/super.c of erofs-utils";
    SuperblockMetabox, Kernel, ALWAYS, "The metabox inode lies inside the image and not in itself", "erofs_read_superblock";
    SuperblockPrefixes, Kernel, ALWAYS, "The table of xattr prefixes starts inside the image", "erofs_xattr_prefixes_init";
    SuperblockNanoseconds, Ambiguity, ALWAYS, "The time has fewer than a billion nanoseconds", "struct erofs_super_block";
    SuperblockAlgorithms, Kernel, ALWAYS, "Every compression algorithm is known", "z_erofs_parse_cfgs";
    SuperblockInodes, Work, ALWAYS, "The image has room for the inodes that it declares", "struct erofs_super_block";
    SuperblockPage, Policy, SAID, "A block is no larger than a page of most machines, 4096 bytes", "erofs_read_superblock";
    SuperblockCompat, Unused, STRICT, "Every compatible feature is known", "struct erofs_super_block";
    SuperblockReserved, Unused, STRICT, "Reserved bytes are zero", "struct erofs_super_block";
    SuperblockUnsigned, Policy, STRICT, "The superblock has a checksum", "erofs_superblock_csum_verify";
    SuperblockCount, Unused, STRICT, "As many inodes can be reached as are declared", "erofs_statfs";
    DeviceTable, Ambiguity, ALWAYS, "The device table lies inside the image, after the superblock", "erofs_scan_devices";
    DeviceSlot, Ambiguity, ALWAYS, "The addresses of a device lie after those of the image and of the devices before it", "erofs_init_device";
    CompressionConfig, Kernel, ALWAYS, "Compression configurations are whole and in range", "z_erofs_parse_cfgs";
    ImageSize, Ambiguity, ALWAYS, "The image is as long as its superblock declares", "fs/erofs/data.c";
    ImageBlocks, Policy, CONTAINER, "An image with devices has the blocks that its superblock declares, and what that points at lies in them", "struct erofs_super_block";
    ImageTrailing, Policy, CONTAINER, "Nothing follows the image that it does not declare", "draft specification, section 3";

    // Inodes
    MetadataBounds, Ambiguity, ALWAYS, "Metadata lies inside the image", "erofs_bread";
    InodeOffset, Kernel, ALWAYS, "An inode lies inside the image", "erofs_read_inode";
    InodeTruncated, Kernel, ALWAYS, "An inode is whole", "erofs_read_inode";
    InodeFormat, Kernel, ALWAYS, "An inode's format has known bits only", "erofs_read_inode";
    InodeLayout, Kernel, ALWAYS, "An inode's data layout is known", "erofs_read_inode";
    InodeMode, Kernel, ALWAYS, "An inode is of a type that exists", "erofs_read_inode";
    InodeChunkFormat, Kernel, ALWAYS, "A chunk format has known bits only", "erofs_read_inode";
    InodeSize, Kernel, ALWAYS, "A size has 63 bits at most", "erofs_read_inode";
    InodeNanoseconds, Ambiguity, ALWAYS, "A time has fewer than a billion nanoseconds", "erofs_read_inode";
    InodeNoLinks, Ambiguity, CONTAINER, "An inode that is reached has at least one link", "erofs_read_inode";
    InodeLinks, Ambiguity, STRICT, "An inode has as many links as lead to it", "erofs_read_inode";
    InodeReserved, Unused, STRICT, "Reserved fields of an inode are zero", "struct erofs_inode_extended";
    InodeBlocks, Ambiguity, CONTAINER, "The blocks of a compressed inode fit 32 bits, which is what Linux before 7.2 looks at", "erofs_read_inode";
    InodeSpecial, Ambiguity, STRICT, "A device, pipe or socket has no content", "erofs_fill_inode";
    InodeRoot, Kernel, ALWAYS, "The root is a directory", "erofs_fc_fill_super";
    InodeInternal, Kernel, ALWAYS, "Packed and metabox inode are regular files that no directory names", "erofs_fc_fill_super";

    // Directories
    DirentTable, Kernel, ALWAYS, "The entries of a block fill the bytes before its names", "erofs_readdir";
    DirentName, Kernel, ALWAYS, "A name has 1 to 255 bytes, and names follow each other", "erofs_fill_dentries";
    DirentCharacter, Kernel, ALWAYS, "A name holds no slash and no NUL", "verify_dirent_name";
    DirentOrder, Ambiguity, ALWAYS, "Names are in the order of their bytes, each once", "erofs_namei";
    DirentDot, Ambiguity, ALWAYS, "The entry . is the directory itself, and there unless it is omitted", "erofs_readdir";
    DirentDotDot, Ambiguity, ALWAYS, "The entry .. is the parent, and there", "erofs_readdir";
    DirentType, Ambiguity, ALWAYS, "An entry has the type of its inode", "lib/dir.c of erofs-utils";
    DirentReserved, Unused, STRICT, "The reserved byte of an entry is zero", "struct erofs_dirent";
    DirentPadding, Unused, STRICT, "Only zeros follow the last name of a block", "erofs_fill_dentries";
    DirectoryLinks, Ambiguity, ALWAYS, "A directory has one parent, and none below itself", "d_splice_alias";
    DirectoryWhiteout, Policy, CONTAINER, "No name starts with .wh., which is how other file systems write whiteouts", "draft specification, section 4";

    DirectoryAufs, Policy, SAID, "No name is one that aufs keeps for itself", "include/uapi/linux/aufs_type.h of aufs";
    DirectoryWritable, Policy, SAID, "A directory that all may write to is sticky, unless it is there for temporary files", "ovl_copyattr";

    // Extended attributes
    XattrHeader, Kernel, ALWAYS, "The xattr area holds its header and the ids of shared xattrs", "erofs_init_inode_xattrs";
    XattrEntry, Kernel, ALWAYS, "An xattr lies inside the xattr area", "erofs_xattr_iter_inline";
    XattrName, Ambiguity, ALWAYS, "The name of an xattr holds no NUL", "erofs_listxattr_foreach";
    XattrPrefix, Kernel, ALWAYS, "A long prefix of xattr names exists and is whole", "erofs_xattr_prefixes_init";
    XattrLength, Kernel, ALWAYS, "The name of an xattr has 1 to 255 bytes behind a prefix that takes one", "vfs_getxattr";
    XattrDuplicate, Ambiguity, ALWAYS, "An inode has one value of an xattr", "erofs_getxattr";
    XattrRepeated, Ambiguity, SAID, "An inode has an xattr once", "erofs_getxattr, ovl_path_check_origin_xattr";
    XattrFilter, Ambiguity, ALWAYS, "The filter of absent names denies none that is there", "erofs_getxattr";
    XattrAcl, Kernel, ALWAYS, "An ACL is well-formed, on no symbolic link, with ids only where they mean something", "posix_acl_from_xattr";
    XattrCapability, Kernel, ALWAYS, "A file capability is of revision 2 or 3", "cap_inode_getsecurity";
    XattrMetacopy, Ambiguity, CONTAINER, "A mark of content outside of the image is one that overlayfs takes", "ovl_check_metacopy_xattr";
    XattrUnknown, Unused, STRICT, "The name of an xattr has a known prefix", "erofs_xattr_prefix";
    XattrReserved, Unused, STRICT, "Reserved bytes of an xattr header are zero", "struct erofs_xattr_ibody_header";

    // Content
    FileBounds, Kernel, ALWAYS, "Content lies inside the image or device", "erofs_map_blocks";
    InlineBounds, Kernel, ALWAYS, "Inline content ends in the block where it starts", "erofs_map_blocks";
    FileElsewhere, Ambiguity, SAID, "A file holds its content", "ovl_check_metacopy_xattr";
    ChunkDevice, Kernel, ALWAYS, "A device that is named exists", "erofs_map_dev";
    DeviceForeign, Policy, CONTAINER, "Content lies in the layer or in a device that belongs to it", "draft specification, section 5";
    SymlinkSize, Ambiguity, ALWAYS, "A symbolic link has a target of 1 to 4095 bytes", "page_get_link";
    SymlinkTarget, Ambiguity, ALWAYS, "The target of a symbolic link holds no NUL", "erofs_fill_symlink";
    FingerprintForm, Unused, STRICT, "A fingerprint is a digest that can be verified", "lib/inode.c of erofs-utils";
    FingerprintContent, Ambiguity, ALWAYS, "A fingerprint is that of the file's content, as far as the level full reads", "erofs_ishare_fill_inode";
    // Compressed content
    MapHeader, Kernel, ALWAYS, "A map header sets only flags that superblock and layout allow", "z_erofs_fill_inode";
    MapLclusterSize, Kernel, ALWAYS, "Logical clusters are of a size that their indexes can count", "z_erofs_load_compact_lcluster";
    MapIndex, Kernel, ALWAYS, "An index lies inside the content", "z_erofs_load_compact_lcluster";
    MapOffset, Kernel, ALWAYS, "An extent starts in its logical cluster", "z_erofs_load_lcluster_from_disk";
    MapDistance, Kernel, ALWAYS, "Every index leads to the head of its extent", "z_erofs_extent_lookback";
    MapLookahead, Kernel, ALWAYS, "Every index leads to the head of the next extent", "z_erofs_get_extent_decompressedlen";
    MapBlockCount, Kernel, ALWAYS, "A big pcluster states its blocks, and no other does", "z_erofs_get_extent_compressedlen";
    MapExtents, Kernel, ALWAYS, "Extent records are in order", "z_erofs_map_blocks_ext";
    PclusterUnknown, Kernel, ALWAYS, "A pcluster's algorithm is known", "z_erofs_map_sanity_check";
    PclusterAlgorithm, Kernel, ALWAYS, "A pcluster's algorithm is one that the superblock names", "z_erofs_map_sanity_check";
    PclusterSize, Kernel, ALWAYS, "A pcluster has 1 MiB at most, and decodes to 12 MiB at most", "z_erofs_map_sanity_check";
    PclusterPlain, Kernel, ALWAYS, "A plain pcluster holds its extent", "z_erofs_map_blocks_fo";
    PclusterSurplus, Kernel, ALWAYS, "A compressed pcluster is no larger than its extent, and an interlaced one than a block", "z_erofs_decompress of erofs-utils";
    PclusterHole, Ambiguity, CONTAINER, "A pcluster that is marked as a hole decodes to zeros where older kernels look", "z_erofs_get_extent_compressedlen";
    PclusterInline, Kernel, ALWAYS, "An inline pcluster ends in the block where it starts", "z_erofs_map_blocks_fo";
    PclusterData, Kernel, ALWAYS, "A pcluster decodes", "z_erofs_decompress_pcluster";
    PclusterLength, Kernel, ALWAYS, "A pcluster decodes to the length of its extent", "z_erofs_decompress_pcluster";
    CompressionUnavailable, Kernel, ALWAYS, "This build can decode what is to be decoded", "z_erofs_decompress_pcluster";
    FragmentInode, Kernel, ALWAYS, "A fragment has a packed inode to lie in", "z_erofs_read_fragment";
    FragmentBounds, Ambiguity, ALWAYS, "A fragment lies inside the packed inode", "z_erofs_read_fragment";
    FragmentLoop, Work, ALWAYS, "The packed inode holds no fragment itself", "z_erofs_read_fragment";
    MetaboxLoop, Kernel, ALWAYS, "The metabox can be read without what lies in it", "erofs_init_metabuf";
    // The image as a whole
    OverlapMetadata, Ambiguity, ALWAYS, "No metadata lies over other metadata", "struct erofs_inode_compact";
    OverlapData, Policy, CONTAINER, "No content lies over metadata", "lib/inode.c of erofs-utils";
    OverlapContent, Policy, CONTAINER, "Files share content only where the image says that they may", "lib/dedupe.c of erofs-utils";
    OverlapPcluster, Ambiguity, ALWAYS, "All who share a pcluster read it in one way", "z_erofs_register_pcluster";
    // What reads it
    KernelVersion, Kernel, ALWAYS, "The kernel that is meant reads all of it, as it is meant", "erofs::NEEDS";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use std::collections::BTreeSet;

    /// What a reader can refuse an image for has a rule, unless it is about this run.
    #[test]
    fn every_refusal_of_an_image_has_a_rule() {
        let first = Code::ALL
            .iter()
            .position(|code| *code == Code::ContentEmpty)
            .unwrap();
        for code in &Code::ALL[first..] {
            let of_this_run = matches!(code.kind(), Kind::Limit | Kind::Memory | Kind::Usage);
            // The walk's name for what the check calls directory-links.
            let other = *code == Code::DirectoryLoop;
            assert_eq!(
                Rule::of(*code).is_none(),
                of_this_run || other,
                "{}",
                code.id()
            );
        }
    }

    #[test]
    fn each_rule_is_listed_once() {
        let mut seen = BTreeSet::new();
        for rule in RULES {
            assert!(seen.insert(rule.id()), "{} twice", rule.id());
            assert!(!rule.demand.ends_with('.'), "{}", rule.id());
            // The stricter policy never lets pass what the laxer one refuses.
            let severities = [Policy::Any, Policy::Containerd, Policy::Strict]
                .map(|policy| rule.severity(policy));
            assert!(severities.is_sorted(), "{}", rule.id());
            assert!(severities[2].is_some(), "{}", rule.id());
            assert_eq!(
                Rule::by_id(rule.id()).map(|rule| rule.code),
                Some(rule.code)
            );
        }
    }
}
