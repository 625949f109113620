//! Named edits of an EROFS image: fields of its superblock, and its checksum.

/// Where the superblock starts.
pub const SUPERBLOCK: usize = 1024;

/// A field of the superblock, by its offset in `struct erofs_super_block`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name in the kernel's header, with `_` as there.
    pub name: &'static str,
    /// Offset in the superblock, in bytes.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

/// All fields, in their order on disk (`fs/erofs/erofs_fs.h`).
pub const FIELDS: [Field; 29] = [
    field("magic", 0, 4),
    field("checksum", 4, 4),
    field("feature_compat", 8, 4),
    field("blkszbits", 12, 1),
    field("sb_extslots", 13, 1),
    field("rootnid_2b", 14, 2),
    field("inos", 16, 8),
    field("epoch", 24, 8),
    field("fixed_nsec", 32, 4),
    field("blocks_lo", 36, 4),
    field("meta_blkaddr", 40, 4),
    field("xattr_blkaddr", 44, 4),
    field("uuid", 48, 16),
    field("volume_name", 64, 16),
    field("feature_incompat", 80, 4),
    field("available_compr_algs", 84, 2),
    field("extra_devices", 86, 2),
    field("devt_slotoff", 88, 2),
    field("dirblkbits", 90, 1),
    field("xattr_prefix_count", 91, 1),
    field("xattr_prefix_start", 92, 4),
    field("packed_nid", 96, 8),
    field("xattr_filter_reserved", 104, 1),
    field("ishare_xattr_prefix_id", 105, 1),
    field("reserved", 106, 2),
    field("build_time", 108, 4),
    field("rootnid_8b", 112, 8),
    field("reserved2", 120, 8),
    // The first extension slot, which `sb_extslots` counts.
    field("metabox_nid", 128, 8),
];

const fn field(name: &'static str, offset: usize, size: usize) -> Field {
    Field { name, offset, size }
}

/// An image that is being edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image(pub Vec<u8>);

impl Image {
    /// Sets a field of the superblock, by its name.
    ///
    /// # Panics
    ///
    /// When there is no such field, or the value does not fit.
    #[must_use]
    pub fn set(mut self, name: &str, value: u64) -> Self {
        let field = FIELDS
            .iter()
            .find(|field| field.name == name)
            .unwrap_or_else(|| panic!("no field {name}"));
        let bytes = value.to_le_bytes();
        let (kept, lost) = bytes.split_at(field.size.min(8));
        assert!(lost.iter().all(|byte| *byte == 0), "{name} of {value:#x}");
        self.0[SUPERBLOCK + field.offset..][..kept.len()].copy_from_slice(kept);
        self
    }

    /// Inverts the lowest bit of a field; of the compatible features the second, because the
    /// lowest says that there is a checksum.
    #[must_use]
    pub fn flip(mut self, field: Field) -> Self {
        let bit = u8::from(field.name == "feature_compat");
        self.0[SUPERBLOCK + field.offset] ^= 1 << bit;
        self
    }

    /// Overwrites bytes of the image.
    #[must_use]
    pub fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..][..bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Makes the checksum of the superblock right: CRC-32C without the final inversion, over
    /// the rest of the first block with the checksum itself as zero
    /// (`erofs_superblock_csum_verify`).
    #[must_use]
    pub fn mend(self) -> Self {
        let mut image = self.set("checksum", 0);
        let block = 1_usize << image.0[SUPERBLOCK + 12].min(16);
        let end = if block > SUPERBLOCK {
            block
        } else {
            SUPERBLOCK + block
        };
        let covered = &image.0[SUPERBLOCK..end.min(image.0.len())];
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
        let checksum = !crc.checksum(covered);
        image = image.set("checksum", checksum.into());
        image
    }

    /// The first bytes.
    #[must_use]
    pub fn cut(&self, size: usize) -> Vec<u8> {
        self.0[..size].to_vec()
    }

    /// The image with bytes behind it.
    #[must_use]
    pub fn followed_by(&self, bytes: &[u8]) -> Vec<u8> {
        [&self.0[..], bytes].concat()
    }
}
