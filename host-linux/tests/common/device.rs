//! An image whose content lies on a device, made by hand so that every field can be broken.

use super::*;

/// Where the records of [`with_device`] lie.
pub(crate) const FILE: usize = 1280;
pub(crate) const ROOT_ENTRIES: usize = 1152 + 32;
const TABLE: usize = 2048;

/// An image with a file `f` of two blocks, which lie in the image's only device.
pub(crate) fn with_device(seed: u64) -> Vec<u8> {
    let mut image = image(seed, 3);
    let fields: [(usize, &[u8]); 5] = [
        (1024 + 16, &[2]),
        // Chunked files and a device table: one device, at slot 16.
        (1024 + 80, &[4 | 8]),
        (1024 + 86, &[1]),
        (1024 + 88, &[16]),
        // The root has 40 bytes of entries: `.`, `..`, and `f` with nid 40.
        (1152 + 8, &[40]),
    ];
    let root = [
        &entry(36, 36, 2)[..],
        &entry(36, 37, 2),
        &entry(40, 39, 1),
        b"...f",
    ];
    let root = root.concat();
    let mut file = vec![0; 48];
    let chunks: [(usize, &[u8]); 7] = [
        // Compact, chunks of a block, with indexes.
        (0, &[4 << 1]),
        (4, &0o100_644_u16.to_le_bytes()),
        (6, &[1]),
        (8, &8192_u32.to_le_bytes()),
        (16, &[0x20]),
        (32, &[0, 0, 1, 0, 0]),
        (40, &[0, 0, 1, 0, 1]),
    ];
    for (offset, bytes) in chunks {
        file[offset..][..bytes.len()].copy_from_slice(bytes);
    }
    let mut slot = vec![0; 128];
    slot[64] = 2;
    let records: [(usize, &[u8]); 3] = [(ROOT_ENTRIES, &root), (FILE, &file), (TABLE, &slot)];
    for (offset, bytes) in fields.into_iter().chain(records) {
        image[offset..][..bytes.len()].copy_from_slice(bytes);
    }
    mended(image)
}

/// A directory entry.
fn entry(nid: u64, name: u16, kind: u8) -> Vec<u8> {
    [&nid.to_le_bytes()[..], &name.to_le_bytes(), &[kind, 0]].concat()
}

/// That image with bytes at a place.
pub(crate) fn changed(mut image: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    image[offset..][..bytes.len()].copy_from_slice(bytes);
    mended(image)
}

/// A device layer of these bytes, and the image that it belongs to.
pub(crate) fn pair(device: &[u8], image: &[u8]) -> [Layer; 2] {
    [
        Layer::new("application/octet-stream", device).role("device"),
        Layer::new(EROFS_ZSTD, image),
    ]
}
