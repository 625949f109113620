//! One data block, by its path up to the root.

use super::{BlockHasher, Layout, Params};
use crate::erofs::{ReadAt, ReadError, ReadResult};
use crate::oci::Digest;
use crate::{At, Code, Error, Value};

/// Whether a data block is the one that the root vouches for.
///
/// `index` counts data blocks from 0, `block` is its content, `hashes` holds the tree, laid out so.
/// Each block of hashes on the way from the root down is verified before anything in it is believed.
/// `memory` must hold a block of hashes.
///
/// ```
/// use erofs_unpack_core::oci::Algorithm;
/// use erofs_unpack_core::verity::{BlockHasher, Layout, Params, check_block};
///
/// // Two blocks of 512 bytes, and the one block of hashes that they have.
/// let params = Params::new(Algorithm::Sha256, 512, 2);
/// let layout = Layout::new(&params, 0)?;
/// let data = [[1; 512], [2; 512]];
/// let hasher = BlockHasher::new(&params);
/// let mut tree = [0; 512];
/// tree[..32].copy_from_slice(hasher.digest(&data[0]).as_bytes());
/// tree[32..64].copy_from_slice(hasher.digest(&data[1]).as_bytes());
/// let root = hasher.digest(&tree);
///
/// let mut memory = [0; 512];
/// let mut check = |index, block: &[u8]| {
///     check_block(&params, &layout, &root, &tree[..], index, block, &mut memory)
/// };
/// assert!(check(1, &data[1]).is_ok());
/// assert!(check(1, &data[0]).is_err());
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
///
/// # Errors
///
/// [`Code::VerityData`] when the block is another, [`Code::VerityHash`] when the tree is damaged on
/// the way to it, or, at its first block, is that of another root; each [`At::Image`] with the first
/// byte of the block in the data, or in what holds the tree. [`Code::MetadataMemory`] when `memory`
/// is too small, [`Code::VerityTruncated`] for a block that there is not.
pub fn check_block<R: ReadAt + ?Sized>(
    params: &Params,
    layout: &Layout,
    root: &Digest,
    hashes: &R,
    index: u64,
    block: &[u8],
    memory: &mut [u8],
) -> ReadResult<(), R> {
    let refused = |error| Err(ReadError::Refused(error));
    if index >= params.data_blocks || block.len() as u64 != u64::from(params.data_block_size) {
        return refused(
            Error::new(Code::VerityTruncated, At::Whole)
                .found(Value::Number(index))
                .expected(Value::AtMost(params.data_blocks.saturating_sub(1))),
        );
    }
    let hasher = BlockHasher::new(params);
    let size = usize::try_from(layout.block_size()).unwrap_or(usize::MAX);
    let hash_size = params.algorithm.size();
    let mut expected = *root;
    for (number, level) in layout.levels().iter().enumerate().rev() {
        // Which hash of the level is on the way: each level above has so many times fewer.
        let mut place = index;
        for _ in 0..number {
            place = place.checked_div(params.hashes_per_block()).unwrap_or(0);
        }
        let (in_level, in_block) = (
            place.checked_div(params.hashes_per_block()).unwrap_or(0),
            place.checked_rem(params.hashes_per_block()).unwrap_or(0),
        );
        let offset = in_level
            .saturating_mul(layout.block_size().into())
            .saturating_add(level.offset);
        let Some(memory) = memory.get_mut(..size) else {
            return refused(
                Error::new(Code::MetadataMemory, At::Whole).expected(Value::AtLeast(size as u64)),
            );
        };
        hashes.read_at(offset, memory).map_err(ReadError::Source)?;
        let found = hasher.digest(memory);
        if found != expected {
            return refused(difference(Code::VerityHash, offset, found, expected));
        }
        let stored = usize::try_from(in_block)
            .ok()
            .and_then(|place| memory.chunks_exact(hash_size).nth(place))
            .and_then(|hash| Digest::from_bytes(params.algorithm, hash));
        let Some(stored) = stored else {
            return refused(Error::new(Code::VerityTruncated, At::Image(offset)));
        };
        expected = stored;
    }
    let found = hasher.digest(block);
    if found != expected {
        let offset = index.saturating_mul(params.data_block_size.into());
        return refused(difference(Code::VerityData, offset, found, expected));
    }
    Ok(())
}

/// A block at this offset has another hash.
fn difference(code: Code, offset: u64, found: Digest, expected: Digest) -> Error {
    Error::new(code, At::Image(offset))
        .found(Value::Digest(found))
        .expected(Value::Digest(expected))
}
