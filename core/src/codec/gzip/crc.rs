//! The CRC-32 of gzip (RFC 1952 section 8), of a header as of a member's content.

/// Goes on with a CRC-32.
pub(super) fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(bytes);
    hasher.finalize()
}
