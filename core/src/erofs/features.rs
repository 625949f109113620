//! The feature bits of a superblock.

/// Declares a set of feature bits with the names that `dump.erofs` and the kernel use.
macro_rules! features {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $bit:ident = $value:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub u32);

        impl $name {
            $($(#[$bit_doc])* pub const $bit: Self = Self($value);)+

            /// All bits that this crate knows.
            pub const KNOWN: Self = Self($($value)|+);

            /// Whether any bit of `other` is set.
            #[must_use]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The bits that this crate does not know.
            #[must_use]
            pub const fn unknown(self) -> u32 {
                self.0 & !Self::KNOWN.0
            }

            /// The names of the known bits that are set. Two features that share a bit are
            /// one name with a slash.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((Self::$bit, $text)),+]
                    .into_iter()
                    .filter_map(move |(bit, name)| self.has(bit).then_some(name))
            }
        }
    };
}

features! {
    /// Features that a reader may ignore (`feature_compat`).
    Compat {
        /// The superblock has a checksum (`SB_CHKSUM`).
        SB_CHKSUM = 0x01, "sb_chksum";
        /// Extended inodes hold the modification time (`MTIME`).
        MTIME = 0x02, "mtime";
        /// Xattr headers hold a filter of absent names (`XATTR_FILTER`).
        XATTR_FILTER = 0x04, "xattr_filter";
        /// Shared xattrs lie in the metabox (`SHARED_EA_IN_METABOX`).
        SHARED_EA_IN_METABOX = 0x08, "shared_ea_in_metabox";
        /// The table of xattr prefixes lies in the image itself (`PLAIN_XATTR_PFX`).
        PLAIN_XATTR_PFX = 0x10, "plain_xattr_pfx";
        /// An xattr prefix names content for page cache sharing (`ISHARE_XATTRS`).
        ISHARE_XATTRS = 0x20, "ishare_xattrs";
    }
}

features! {
    /// Features that a reader must know to read the image (`feature_incompat`).
    Incompat {
        /// LZ4 data is padded with zeros at its start (`LZ4_0PADDING`).
        ZERO_PADDING = 0x001, "0padding";
        /// There are compression configurations, or big pclusters
        /// (`COMPR_CFGS`, `BIG_PCLUSTER`).
        COMPR_CFGS = 0x002, "compr_cfgs/big_pcluster";
        /// There are chunk-based files (`CHUNKED_FILE`).
        CHUNKED_FILE = 0x004, "chunked_file";
        /// There is a device table, or files have two compression algorithms
        /// (`DEVICE_TABLE`, `COMPR_HEAD2`).
        DEVICE_TABLE = 0x008, "device_table/compr_head2";
        /// The last pcluster of a file may lie inline in its metadata (`ZTAILPACKING`).
        ZTAILPACKING = 0x010, "ztailpacking";
        /// There is a packed inode, or extents are shared (`FRAGMENTS`, `DEDUPE`).
        FRAGMENTS = 0x020, "fragments/dedupe";
        /// There is a table of long xattr prefixes (`XATTR_PREFIXES`).
        XATTR_PREFIXES = 0x040, "xattr_prefixes";
        /// Block addresses have 48 bits (`48BIT`).
        BIT48 = 0x080, "48bit";
        /// Metadata may lie in the metabox inode (`METABOX`).
        METABOX = 0x100, "metabox";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn names_and_unknown_bits() {
        let features = Incompat(0x8000_0028);
        assert_eq!(
            features.names().collect::<Vec<_>>(),
            ["device_table/compr_head2", "fragments/dedupe"]
        );
        assert_eq!(features.unknown(), 0x8000_0000);
        // EROFS_ALL_FEATURE_INCOMPAT of Linux 7.2: everything up to METABOX.
        assert_eq!(Incompat::KNOWN.0, (0x100 << 1) - 1);
    }
}
