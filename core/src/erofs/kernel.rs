//! Which releases of Linux read an image as it is meant: what in it came later than EROFS itself, and
//! what went again.
//!
//! The releases are those of the mainline kernel. Distributions carry some of it back, and leave
//! some of it out of their builds.

use core::fmt;

use super::{Compat, Incompat, Superblock};

/// A release of Linux, by its first two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: u16,
}

impl Release {
    /// The first with EROFS outside of the staging area (commit 47e4937a4a7c).
    pub const FIRST: Self = Self::new(5, 4);

    /// A release by its numbers.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Reads a release as people and `uname -r` write it: `6.12`, `6.1.0-rc1`, `6.12.3-amd64`,
    /// `v5.16`. What follows the second number is ignored.
    ///
    /// ```
    /// use erofs_unpack_core::erofs::Release;
    ///
    /// assert_eq!(Release::parse("6.12.3-amd64"), Some(Release::new(6, 12)));
    /// assert_eq!(Release::parse("6"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (major, rest) = text.split_once('.')?;
        let end = rest
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(rest.len());
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok())?
        };
        Some(Self::new(number(major)?, number(rest.get(..end)?)?))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What the releases do that do not have what an image needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Otherwise {
    /// They refuse the image, or the files that need it.
    Refused,
    /// They read something else.
    Different,
    /// They read the same, and make no use of it.
    Unused,
}

impl Otherwise {
    /// One word: `refused`, `different` or `unused`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Different => "different",
            Self::Unused => "unused",
        }
    }
}

/// Something that not every release has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Need {
    /// What it is, in words.
    pub name: &'static str,
    /// The first release that has it.
    pub first: Release,
    /// The last one; `None` where all newer ones have it.
    pub last: Option<Release>,
    /// What the others do.
    pub otherwise: Otherwise,
    /// Where that is known from.
    pub source: &'static str,
    /// The releases, in words.
    pub releases: &'static str,
    bits: u32,
}

impl Need {
    /// Whether a release reads as it is meant what needs this.
    #[must_use]
    pub fn is_met(&self, release: Release) -> bool {
        let within = self.first <= release && self.last.is_none_or(|last| release <= last);
        within || self.otherwise == Otherwise::Unused
    }
}

/// Declares the table and the constants of [`Needs`].
macro_rules! needs {
    ($($(#[$doc:meta])* $bit:ident = $place:literal, $name:literal, $otherwise:ident,
        $range:ident $major:literal $minor:literal, $source:literal;)+) => {
        impl Needs {
            $($(#[$doc])* pub const $bit: Self = Self(1 << $place);)+
        }

        /// Everything in an image that not every release has.
        pub const NEEDS: &[Need] = &[$(Need {
            name: $name,
            first: needs!(@first $range $major $minor),
            last: needs!(@last $range $major $minor),
            otherwise: Otherwise::$otherwise,
            source: $source,
            releases: needs!(@releases $range $major $minor),
            bits: 1 << $place,
        }),+];
    };
    (@first since $major:literal $minor:literal) => { Release::new($major, $minor) };
    (@first until $major:literal $minor:literal) => { Release::FIRST };
    (@last since $major:literal $minor:literal) => { None };
    (@last until $major:literal $minor:literal) => { Some(Release::new($major, $minor)) };
    (@releases since $major:literal $minor:literal) => {
        concat!("Linux ", $major, ".", $minor, " and newer")
    };
    (@releases until $major:literal $minor:literal) => {
        concat!("Linux 5.4 to ", $major, ".", $minor)
    };
}

needs! {
    /// Compression configurations, or pclusters of more than a block.
    COMPR_CFGS = 0, "compression configurations", Refused, since 5 13, "ChangeLog of erofs-utils 1.3, dump.erofs";
    /// Chunk-based files.
    CHUNKS = 1, "chunk-based files", Refused, since 5 15, "Documentation/filesystems/erofs.rst";
    /// A device table.
    DEVICES = 2, "a device table", Refused, since 5 16, "commit dfeab2e95a75, dump.erofs";
    /// Files with two compression algorithms.
    HEAD2 = 3, "two compression algorithms in a file", Refused, since 5 16, "erofs: introduce the secondary compression head, merged for 5.16";
    /// `MicroLZMA`.
    LZMA = 4, "LZMA", Refused, since 5 16, "commit 622ceaddb764, dump.erofs";
    /// Pclusters that lie in the metadata.
    ZTAILPACKING = 5, "inline pclusters", Refused, since 5 17, "commit ab92184ff8f1, mkfs.erofs(1)";
    /// A packed inode, or pclusters that files share.
    FRAGMENTS = 6, "fragments or shared pclusters", Refused, since 6 1, "commit b15b2e307c3a, mkfs.erofs(1)";
    /// Long prefixes of xattr names; releases that do not know them leave such xattrs out.
    XATTR_PREFIXES = 7, "long xattr prefixes", Refused, since 6 4, "Documentation/filesystems/erofs.rst, dump.erofs";
    /// Blocks that are smaller than the smallest page.
    SMALL_BLOCKS = 8, "blocks of less than 4096 bytes", Refused, since 6 4, "erofs: set block size to the on-disk block size, merged for 6.4";
    /// Compressed files in an image with such blocks.
    SMALL_PCLUSTERS = 9, "compressed files in blocks of less than 4096 bytes", Refused, since 6 8, "commit 0ee3a0d59e00, merged for 6.8";
    /// DEFLATE.
    DEFLATE = 10, "DEFLATE", Refused, since 6 6, "commit ffa09b3bd024, dump.erofs";
    /// zstd.
    ZSTD = 11, "zstd", Refused, since 6 10, "erofs: Zstandard compression support, dump.erofs";
    /// Symbolic links whose target lies inline, and not in the block in which their inode ends.
    SYMLINK_ACROSS = 12, "symbolic links that cross a block", Refused, since 6 12, "commit 9ed50b8231e3";
    /// Fields that hold the upper bits of block addresses, or say that there are such.
    BIT48 = 13, "48-bit addresses", Refused, since 6 15, "commit 61ba89b57905, mkfs.erofs(1)";
    /// Compact inodes with a time of their own; others show that of the superblock for all.
    COMPACT_TIMES = 14, "times of compact inodes", Different, since 6 15, "commit 61ba89b57905";
    /// A metabox.
    METABOX = 15, "a metabox", Refused, since 6 17, "commit 414091322c63, dump.erofs";
    /// A table of xattr prefixes outside of the packed inode that there is.
    PLAIN_PREFIXES = 16, "xattr prefixes beside the packed inode", Different, since 6 17, "commit 1fcf686def19";
    /// LZ4 data that is not padded with zeros at its start, as `mkfs.erofs -Elegacy-compress` of
    /// erofs-utils before 1.8 writes it.
    LEGACY_LZ4 = 17, "LZ4 without padding", Refused, until 6 19, "commit 7cef3c834194, merged for 7.0";
    /// A filter of absent xattr names.
    XATTR_FILTER = 18, "xattr filters", Unused, since 6 6, "mkfs.erofs(1)";
    /// Xattrs that name content for sharing in the page cache.
    PAGE_SHARING = 19, "page cache sharing", Unused, since 7 0, "commit 5ef3208e3be5, merged for 7.0";
    /// Pclusters that are marked as holes, where older releases decode something else than zeros.
    HOLES = 20, "pclusters marked as holes", Different, since 7 2, "erofs: add sparse support to pcluster layout, merged for 7.2";
}

/// What an image needs of the kernel: a set of [`NEEDS`].
///
/// Written as text it is the releases that read the image, with what asks for them: `Linux 5.16
/// and newer (a device table)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Needs(u32);

impl Needs {
    /// The set as bits: bit 0 for the first of [`NEEDS`], and so on. A bit keeps its meaning.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set with these bits; those that mean nothing are left out.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let known = NEEDS.iter().fold(0, |all, need| all | need.bits);
        Self(u32::try_from(bits & u64::from(known)).unwrap_or(known))
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in one of the two, or in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in it and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Everything that is in it.
    pub fn iter(self) -> impl Iterator<Item = &'static Need> {
        let all = NEEDS.iter();
        all.filter(move |need| self.0 & need.bits != 0)
    }

    /// The first release that reads the image as it is meant, and the last one, where newer ones do
    /// not. Where the first is newer than the last, none does.
    #[must_use]
    pub fn releases(self) -> (Release, Option<Release>) {
        let needs = || {
            self.iter()
                .filter(|need| need.otherwise != Otherwise::Unused)
        };
        let first = needs().map(|need| need.first).max();
        let last = needs().filter_map(|need| need.last).min();
        (first.unwrap_or(Release::FIRST), last)
    }

    /// Whether it decides on one end of the releases.
    fn decides(self, need: &Need) -> bool {
        let (first, last) = self.releases();
        let is_first = need.first == first && first > Release::FIRST;
        need.otherwise != Otherwise::Unused
            && (is_first || (need.last.is_some() && need.last == last))
    }
}

impl fmt::Display for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.releases() {
            (first, None) => write!(f, "Linux {first} and newer")?,
            (first, Some(last)) if first <= last => write!(f, "Linux {first} to {last}")?,
            (first, Some(last)) => write!(f, "no Linux: {last} at most, {first} at least")?,
        }
        let mut between = " (";
        for need in self.iter().filter(|need| self.decides(need)) {
            write!(f, "{between}{}", need.name)?;
            between = ", ";
        }
        for need in self
            .iter()
            .filter(|need| need.otherwise == Otherwise::Unused)
        {
            let join = if between == " (" { " (" } else { "; " };
            write!(f, "{join}{} from {} on", need.name, need.first)?;
            between = "; ";
        }
        f.write_str(if between == " (" { "" } else { ")" })
    }
}

impl Superblock {
    /// What the superblock alone says that the image needs of the kernel. Files may need more.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let incompat = |bit| self.incompat.has(bit);
        let algorithm =
            |bit| incompat(Incompat::COMPR_CFGS) && self.algorithms_or_distance & bit != 0;
        let prefixes = self.xattr_prefix_count > 0;
        let devices = self.extra_devices > 0;
        // Without configurations there is nothing but LZ4, and only newer writers state a distance.
        let names_lz4 = match incompat(Incompat::COMPR_CFGS) {
            true => algorithm(1),
            false => self.algorithms_or_distance != 0,
        };
        let beside = self.compat.has(Compat::PLAIN_XATTR_PFX) && self.packed_inode().is_some();
        [
            (incompat(Incompat::COMPR_CFGS), Needs::COMPR_CFGS),
            (incompat(Incompat::CHUNKED_FILE), Needs::CHUNKS),
            (incompat(Incompat::DEVICE_TABLE) && devices, Needs::DEVICES),
            (incompat(Incompat::DEVICE_TABLE) && !devices, Needs::HEAD2),
            (algorithm(2), Needs::LZMA),
            (incompat(Incompat::ZTAILPACKING), Needs::ZTAILPACKING),
            (incompat(Incompat::FRAGMENTS), Needs::FRAGMENTS),
            (
                incompat(Incompat::XATTR_PREFIXES) || prefixes,
                Needs::XATTR_PREFIXES,
            ),
            (self.has_small_blocks(), Needs::SMALL_BLOCKS),
            (algorithm(4), Needs::DEFLATE),
            (algorithm(8), Needs::ZSTD),
            (incompat(Incompat::BIT48), Needs::BIT48),
            (incompat(Incompat::METABOX), Needs::METABOX),
            (prefixes && beside, Needs::PLAIN_PREFIXES),
            (
                names_lz4 && !incompat(Incompat::ZERO_PADDING),
                Needs::LEGACY_LZ4,
            ),
            (self.compat.has(Compat::XATTR_FILTER), Needs::XATTR_FILTER),
            (self.compat.has(Compat::ISHARE_XATTRS), Needs::PAGE_SHARING),
        ]
        .into_iter()
        .filter(|(is_needed, _)| *is_needed)
        .fold(Needs::default(), |all, (_, need)| all.and(need))
    }

    /// What a compressed file needs of the kernel besides.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub(crate) fn needs_of_compressed(&self) -> Needs {
        let small = match self.has_small_blocks() {
            true => Needs::SMALL_PCLUSTERS,
            false => Needs::default(),
        };
        let configured = self.incompat.has(Incompat::COMPR_CFGS);
        match configured || self.incompat.has(Incompat::ZERO_PADDING) {
            true => small,
            false => small.and(Needs::LEGACY_LZ4),
        }
    }

    /// Whether a block is smaller than the smallest page.
    const fn has_small_blocks(&self) -> bool {
        self.block_bits < 12
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn releases_are_read_as_people_write_them() {
        for (text, release) in [
            ("5.16", Some((5, 16))),
            ("6.1.0-rc1", Some((6, 1))),
            ("6.15-rc2", Some((6, 15))),
            ("6.12.3-foo", Some((6, 12))),
            ("5.14.0-427.el9.x86_64", Some((5, 14))),
            ("6.18+", Some((6, 18))),
            ("v7.0", Some((7, 0))),
            ("7", None),
            ("6.", None),
            (".1", None),
            ("six.one", None),
            ("+6.1", None),
            ("99999.1", None),
            ("", None),
        ] {
            let expected = release.map(|(major, minor)| Release::new(major, minor));
            assert_eq!(Release::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn each_need_has_a_bit_and_a_name_of_its_own() {
        for (place, need) in NEEDS.iter().enumerate() {
            assert_eq!(need.bits, 1 << place, "{}", need.name);
            assert!(need.first >= Release::FIRST, "{}", need.name);
            assert!(
                need.last.is_none_or(|last| last > need.first),
                "{}",
                need.name
            );
            let same = NEEDS.iter().filter(|other| other.name == need.name);
            assert_eq!(same.count(), 1, "{}", need.name);
        }
        assert_eq!(Needs::from_bits(u64::MAX).iter().count(), NEEDS.len());
    }

    #[test]
    fn what_was_added_and_what_went_bound_the_releases() {
        let all = |needs: &[Needs]| {
            needs
                .iter()
                .fold(Needs::default(), |all, one| all.and(*one))
        };
        for (needs, text) in [
            (all(&[]), "Linux 5.4 and newer"),
            (
                all(&[Needs::CHUNKS, Needs::DEVICES, Needs::LZMA]),
                "Linux 5.16 and newer (a device table, LZMA)",
            ),
            (
                all(&[Needs::LEGACY_LZ4]),
                "Linux 5.4 to 6.19 (LZ4 without padding)",
            ),
            (
                all(&[Needs::LEGACY_LZ4, Needs::COMPR_CFGS]),
                "Linux 5.13 to 6.19 (compression configurations, LZ4 without padding)",
            ),
            (
                all(&[Needs::XATTR_PREFIXES, Needs::PAGE_SHARING]),
                "Linux 6.4 and newer (long xattr prefixes; page cache sharing from 7.0 on)",
            ),
            (
                all(&[Needs::XATTR_FILTER]),
                "Linux 5.4 and newer (xattr filters from 6.6 on)",
            ),
        ] {
            assert_eq!(needs.to_string(), text);
        }
    }

    #[test]
    fn a_need_is_met_within_its_releases() {
        let need = |needs: Needs| needs.iter().next().unwrap();
        let zstd = need(Needs::ZSTD);
        assert!(!zstd.is_met(Release::new(6, 9)));
        assert!(zstd.is_met(Release::new(6, 10)));
        let legacy = need(Needs::LEGACY_LZ4);
        assert!(legacy.is_met(Release::new(6, 19)));
        assert!(!legacy.is_met(Release::new(7, 0)));
        assert!(need(Needs::PAGE_SHARING).is_met(Release::FIRST));
    }
}
