//! Parity of forward error correction (FEC) behind a tree or in a file of its own.
//!
//! It has no superblock and no magic (cryptsetup, `lib/verity/verity_fec.c`; Linux,
//! `drivers/md/dm-verity-fec.c`): where it lies, and with how many roots, whoever opens the device
//! must know. Reed-Solomon codes of 255 bytes, of which so many as there are roots are parity, go
//! over data and tree. So of bytes that nothing explains only their number can be looked at. Parity
//! is neither read nor written here: a blob that is damaged is refused, and not mended.

/// Bytes of a code in all.
const CODE: u64 = 255;
/// The fewest and the most roots that Linux takes (`DM_VERITY_FEC_MIN_RSN` and `_MAX_RSN` are 255
/// less so many).
const ROOTS: core::ops::RangeInclusive<u64> = 2..=24;

/// How many bytes the parity of so many blocks of this size has, data and tree together.
#[must_use]
pub fn size(roots: u64, blocks: u64, block_size: u32) -> Option<u64> {
    let data = CODE.checked_sub(roots).filter(|_| ROOTS.contains(&roots))?;
    blocks
        .div_ceil(data)
        .checked_mul(roots)?
        .checked_mul(block_size.into())
}

/// With how many roots so many bytes would be the parity of these blocks, if with any. It says
/// what the bytes may be, not that they are.
#[must_use]
pub fn roots(length: u64, blocks: u64, block_size: u32) -> Option<u64> {
    ROOTS
        .into_iter()
        .find(|roots| length > 0 && size(*roots, blocks, block_size) == Some(length))
}
