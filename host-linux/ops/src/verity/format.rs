//! The operation `verity format`: a tree is made of a file and written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use erofs_unpack_core::oci::{Algorithm, Digest};
use erofs_unpack_core::verity::{HashType, Layout, Params, Salt, Superblock, Tree};

use super::Report;
use super::blocks::hash_blocks;
use super::disk::Writer;
use super::header::{Found, Place, is_same, open};
use crate::error::HostError;
use crate::report::shown;

/// How a tree is made. The names are those of `veritysetup`.
#[derive(Clone, Debug)]
pub struct FormatOptions {
    /// Algorithm of the hashes.
    pub hash: Algorithm,
    /// Where the salt goes.
    pub format: HashType,
    /// Size of a data block, in bytes.
    pub data_block_size: u32,
    /// Size of a block of hashes, in bytes.
    pub hash_block_size: u32,
    /// How many blocks are covered; all of the file where it is not given.
    pub data_blocks: Option<u64>,
    /// The salt.
    pub salt: Salt,
    /// The UUID; it follows from the root where it is not given, so that the same data gives the
    /// same bytes.
    pub uuid: Option<[u8; 16]>,
    /// Whether there is a superblock.
    pub superblock: bool,
    /// How many threads hash.
    pub threads: usize,
}

/// Makes the tree of a file, and writes it to another, which is made if it is missing, or behind the
/// data in the same.
///
/// # Errors
///
/// [`HostError::Usage`] when the tree would lie over the data, or not at a multiple of 512,
/// [`HostError::Refused`] when there can be no such tree, [`HostError::Environment`] when the system
/// does not do what is asked of it.
pub fn format(place: &Place, options: &FormatOptions) -> Result<Report, HostError> {
    let (data, size) = open(&place.data, false)?;
    let (hashes, _) = open(place.hashes(), true)?;
    let failed = |error| HostError::environment(place.hashes(), "look at", error);
    let behind = is_same(&data, &hashes).map_err(failed)?;
    let block = u64::from(options.data_block_size.max(1));
    let blocks = match (options.data_blocks, behind) {
        (Some(blocks), _) => blocks,
        // What follows the data in its own file needs whole blocks.
        (None, true) => match place.offset {
            Some(offset) => offset.min(size.next_multiple_of(block)) / block,
            None => size.div_ceil(block),
        },
        (None, false) => size / block,
    };
    let mut params = Params::new(options.hash, options.data_block_size, blocks);
    params.hash_block_size = options.hash_block_size;
    params.hash_type = options.format;
    params.salt = options.salt;
    let refused = |error| HostError::refused(&place.data, error);
    let covered = params.data_size().map_err(refused)?;
    let spare = if behind { covered } else { size };
    if covered > spare.max(size.next_multiple_of(block)) || covered > size.next_multiple_of(block) {
        return Err(HostError::Usage(format!(
            "--data-blocks {blocks}: {} has {size} bytes",
            shown(&place.data)
        )));
    }
    let offset = match place.offset {
        Some(offset) => offset,
        None if behind => covered.next_multiple_of(options.hash_block_size.into()),
        None => 0,
    };
    let step = if options.superblock {
        512
    } else {
        u64::from(options.hash_block_size)
    };
    if !offset.is_multiple_of(step) {
        return Err(HostError::Usage(format!(
            "--hash-offset {offset}: expected a multiple of {step}"
        )));
    }
    if behind && offset < covered {
        return Err(HostError::Usage(format!(
            "--hash-offset {offset}: the hashes would lie over the data, which has {covered} bytes"
        )));
    }
    let (found, root) = write_tree(
        (&data, &place.data),
        (&hashes, place.hashes()),
        &params,
        offset,
        &Writing {
            superblock: options.superblock,
            uuid: options.uuid,
            threads: options.threads,
        },
    )?;
    let end = hashes.metadata().map_err(failed)?.len();
    Ok(Report::new(
        "verity format",
        &place.data,
        place.hashes(),
        &found,
        Some(root),
        end,
    ))
}

/// How a tree is written.
pub(crate) struct Writing {
    pub(crate) superblock: bool,
    /// Made of the root where it is not given.
    pub(crate) uuid: Option<[u8; 16]>,
    pub(crate) threads: usize,
}

/// Makes the tree of the data and writes it, its superblock last.
pub(crate) fn write_tree(
    (data, data_path): (&File, &Path),
    (hashes, path): (&File, &Path),
    params: &Params,
    offset: u64,
    how: &Writing,
) -> Result<(Found, Digest), HostError> {
    let refused = |error| HostError::refused(data_path, error);
    let superblock = how.superblock;
    let layout = if superblock {
        Layout::behind_superblock(params, offset)
    } else {
        Layout::new(params, offset)
    }
    .map_err(refused)?;
    let written = |error| HostError::environment(path, "write", error);
    let mut writer = Writer::new(hashes, &layout);
    let mut tree = Tree::new(params);
    hash_blocks(data, params, how.threads, |digest| {
        tree.push(digest, &mut writer).map(|()| true)
    })
    .map_err(|error| HostError::environment(data_path, "hash", error))?;
    let root = tree.finish(&mut writer).map_err(written)?;
    let root = root
        .filter(|root| root.data_blocks == params.data_blocks)
        .ok_or_else(|| written(io::ErrorKind::UnexpectedEof.into()))?
        .digest;
    writer.finish().map_err(written)?;
    let uuid = how.uuid.unwrap_or_else(|| uuid_of(&root));
    if superblock {
        let head = Superblock {
            uuid,
            params: *params,
        };
        hashes
            .write_all_at(&head.to_bytes(), offset)
            .map_err(written)?;
    }
    // A tree of no level ends in the middle of its superblock's block otherwise.
    let length = hashes.metadata().map_err(written)?.len();
    if superblock && length < layout.end() {
        hashes.set_len(layout.end()).map_err(written)?;
    }
    hashes.sync_all().map_err(written)?;
    let found = Found {
        params: *params,
        layout,
        uuid: superblock.then_some(uuid),
        offset,
    };
    Ok((found, root))
}

/// A UUID made of the first bytes of a digest: version 8 of RFC 9562, which is the maker's own.
pub(crate) fn uuid_of(digest: &Digest) -> [u8; 16] {
    let mut uuid = [0; 16];
    for (byte, from) in uuid.iter_mut().zip(digest.as_bytes()) {
        *byte = *from;
    }
    uuid[6] = 0x80 | (uuid[6] & 0x0f);
    uuid[8] = 0x80 | (uuid[8] & 0x0f);
    uuid
}
