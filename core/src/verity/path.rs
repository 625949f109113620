//! Data blocks, by their paths up to the root.

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
    if block.len() as u64 != u64::from(params.data_block_size) {
        return Err(ReadError::Refused(outside(params, index)));
    }
    check_blocks(params, layout, root, hashes, index, block, memory)
}

/// As [`check_block`], for blocks that follow each other, of which `first` is the first. Those whose
/// hashes lie in one block share the way up from there.
///
/// # Errors
///
/// As [`check_block`], for the first block that is wrong; [`Code::VerityTruncated`] when `data` is no
/// whole number of blocks, one at least.
pub fn check_blocks<R: ReadAt + ?Sized>(
    params: &Params,
    layout: &Layout,
    root: &Digest,
    hashes: &R,
    first: u64,
    data: &[u8],
    memory: &mut [u8],
) -> ReadResult<(), R> {
    let size = u64::from(params.data_block_size).max(1);
    let count = (data.len() as u64).checked_div(size).unwrap_or(0);
    let behind = first.saturating_add(count);
    let is_whole = count > 0 && count.saturating_mul(size) == data.len() as u64;
    if !is_whole || behind > params.data_blocks {
        return Err(ReadError::Refused(outside(params, first)));
    }
    let hasher = BlockHasher::new(params);
    let per_block = params.hashes_per_block().max(1);
    let (mut index, mut rest) = (first, data);
    while index < behind {
        let in_block = index.checked_rem(per_block).unwrap_or(0);
        let group = per_block.saturating_sub(in_block);
        let group = group.min(behind.saturating_sub(index));
        let length = usize::try_from(group.saturating_mul(size)).unwrap_or(usize::MAX);
        let (now, later) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        let leaf = verified_leaf(params, layout, root, hashes, index, memory)?;
        let mut stored = leaf
            .chunks_exact(params.algorithm.size())
            .skip(usize::try_from(in_block).unwrap_or(usize::MAX))
            .map(|hash| Digest::from_bytes(params.algorithm, hash));
        let mut at = index.saturating_mul(size);
        let mut wrong = None;
        hasher.digests(now, params.data_block_size, |found| {
            // A single block has no level: its hash is the root.
            let expected = if leaf.is_empty() {
                Some(*root)
            } else {
                stored.next().flatten()
            };
            if wrong.is_none() && expected != Some(found) {
                let expected = expected.unwrap_or(*root);
                wrong = Some(difference(Code::VerityData, at, found, expected));
            }
            at = at.saturating_add(size);
        });
        if let Some(error) = wrong {
            return Err(ReadError::Refused(error));
        }
        index = index.saturating_add(group);
        rest = later;
    }
    Ok(())
}

/// The block of the lowest level that holds the hash of this data block, verified by all those above
/// it; nothing of a tree without a level.
fn verified_leaf<'a, R: ReadAt + ?Sized>(
    params: &Params,
    layout: &Layout,
    root: &Digest,
    hashes: &R,
    index: u64,
    memory: &'a mut [u8],
) -> Result<&'a [u8], ReadError<R::Error>> {
    let hasher = BlockHasher::new(params);
    let per_block = params.hashes_per_block();
    let size = usize::try_from(layout.block_size()).unwrap_or(usize::MAX);
    if layout.levels().is_empty() {
        return Ok(&[]);
    }
    let Some(memory) = memory.get_mut(..size) else {
        return Err(ReadError::Refused(
            Error::new(Code::MetadataMemory, At::Whole).expected(Value::AtLeast(size as u64)),
        ));
    };
    let mut expected = *root;
    for (number, level) in layout.levels().iter().enumerate().rev() {
        // Which block of the level is on the way: each level above has so many times fewer.
        let mut below = index;
        for _ in 0..number {
            below = below.checked_div(per_block).unwrap_or(0);
        }
        let (block, place) = (
            below.checked_div(per_block).unwrap_or(0),
            below.checked_rem(per_block).unwrap_or(0),
        );
        let offset = block
            .saturating_mul(layout.block_size().into())
            .saturating_add(level.offset);
        hashes.read_at(offset, memory).map_err(ReadError::Source)?;
        let found = hasher.digest(memory);
        if found != expected {
            let error = difference(Code::VerityHash, offset, found, expected);
            return Err(ReadError::Refused(error));
        }
        let stored = usize::try_from(place)
            .ok()
            .and_then(|place| memory.chunks_exact(params.algorithm.size()).nth(place))
            .and_then(|hash| Digest::from_bytes(params.algorithm, hash));
        let Some(stored) = stored else {
            let error = Error::new(Code::VerityTruncated, At::Image(offset));
            return Err(ReadError::Refused(error));
        };
        expected = stored;
    }
    Ok(memory)
}

/// There is no such block.
fn outside(params: &Params, index: u64) -> Error {
    Error::new(Code::VerityTruncated, At::Whole)
        .found(Value::Number(index))
        .expected(Value::AtMost(params.data_blocks.saturating_sub(1)))
}

/// A block at this offset has another hash.
fn difference(code: Code, offset: u64, found: Digest, expected: Digest) -> Error {
    Error::new(code, At::Image(offset))
        .found(Value::Digest(found))
        .expected(Value::Digest(expected))
}
