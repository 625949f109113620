//! Images made by hand, small enough that every byte of them is known.

#![allow(
    dead_code,
    reason = "each test binary uses its own part of this module"
)]

/// Size of the image that [`Image::new`] makes: one block.
pub(crate) const BLOCK: usize = 4096;

/// An image whose superblock can be edited field by field.
#[derive(Clone)]
pub(crate) struct Image(pub(crate) Vec<u8>);

impl Image {
    /// A superblock over `blocks` blocks of 4096 bytes, root at nid 36, right checksum.
    pub(crate) fn new(blocks: u32) -> Self {
        let mut image = Self(vec![0; BLOCK * blocks as usize]);
        image
            .set(0, &0xE0F5_E1E2_u32.to_le_bytes())
            .set(8, &3_u32.to_le_bytes())
            .set(12, &[12])
            .set(14, &36_u16.to_le_bytes())
            .set(16, &1_u64.to_le_bytes())
            .set(36, &blocks.to_le_bytes());
        image.mend()
    }

    /// Overwrites bytes at an offset in the superblock.
    pub(crate) fn set(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        self.0[1024 + offset..][..bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The same image with the superblock's checksum made right.
    pub(crate) fn mend(&self) -> Self {
        let mut image = self.clone();
        image.set(4, &[0; 4]);
        let block = 1_usize << image.0[1024 + 12];
        let end = if block > 1024 { block } else { 1024 + block };
        let end = end.min(image.0.len());
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
        let checksum = !crc.checksum(&image.0[1024..end]);
        image.set(4, &checksum.to_le_bytes());
        image
    }

    /// The same image with an edit and a right checksum.
    pub(crate) fn edited(&self, offset: usize, bytes: &[u8]) -> Self {
        let mut image = self.clone();
        image.set(offset, bytes);
        image.mend()
    }
}
