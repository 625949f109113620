//! The hashes of the blocks of a file, by several threads, in their order.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use erofs_unpack_core::oci::Digest;
use erofs_unpack_core::verity::{BlockHasher, Params};

/// How much one thread reads and hashes at a time, in bytes: blocks of any size, and little enough to be
/// in the cache of a processor when it is hashed.
const PIECE: u64 = 128 << 10;

/// How many pieces of one thread may wait.
const WAITING: usize = 2;

/// The hashes of one piece.
type Piece = io::Result<Vec<Digest>>;

/// Hashes the data blocks that `params` speaks of, and gives each hash to `each` in its order, until
/// that says no. What the file lacks at its end is zeros, if that is less than a block.
///
/// # Errors
///
/// What the system answered to reading, or to starting threads.
pub(super) fn hash_blocks(
    file: &File,
    params: &Params,
    threads: usize,
    mut each: impl FnMut(Digest) -> io::Result<bool>,
) -> io::Result<()> {
    let size = params.data_size().map_err(io::Error::other)?;
    let pieces = size.div_ceil(PIECE);
    let threads = u64::try_from(threads.max(1)).unwrap_or(1).min(pieces);
    let hasher = BlockHasher::new(params);
    if threads == 1 {
        let mut memory = Vec::new();
        for number in 0..pieces {
            for digest in hash_piece(file, params, &hasher, number, size, &mut memory)? {
                if !each(digest)? {
                    return Ok(());
                }
            }
        }
        return Ok(());
    }
    thread::scope(|scope| {
        let mut workers: Vec<Receiver<Piece>> = Vec::new();
        for first in 0..threads {
            let (to, from) = sync_channel(WAITING);
            let hasher = &hasher;
            let work = move || work(file, params, hasher, (first, threads, pieces), size, &to);
            thread::Builder::new().spawn_scoped(scope, work)?;
            workers.push(from);
        }
        // Where it ends early, the threads find nobody who takes their pieces.
        for worker in (0..pieces).map(|number| number % threads) {
            let piece = usize::try_from(worker)
                .ok()
                .and_then(|worker| workers.get(worker))
                .and_then(|worker| worker.recv().ok());
            // One that is gone has panicked; that goes on where it is joined.
            let Some(piece) = piece else {
                break;
            };
            for digest in piece? {
                if !each(digest)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}

/// Every so many pieces of the file.
fn work(
    file: &File,
    params: &Params,
    hasher: &BlockHasher,
    (first, step, end): (u64, u64, u64),
    size: u64,
    to: &SyncSender<Piece>,
) {
    let mut memory = Vec::new();
    let mut number = first;
    while number < end {
        let piece = hash_piece(file, params, hasher, number, size, &mut memory);
        let is_bad = piece.is_err();
        if to.send(piece).is_err() || is_bad {
            return;
        }
        number = number.saturating_add(step);
    }
}

/// Reads and hashes a piece.
fn hash_piece(
    file: &File,
    params: &Params,
    hasher: &BlockHasher,
    number: u64,
    size: u64,
    memory: &mut Vec<u8>,
) -> Piece {
    let start = number.saturating_mul(PIECE);
    let length = usize::try_from(size.saturating_sub(start).min(PIECE)).unwrap_or(0);
    memory.resize(length, 0);
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut memory[filled..], start.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let missing = length.saturating_sub(filled) as u64;
    if missing >= u64::from(params.data_block_size) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    memory[filled..].fill(0);
    let mut digests = Vec::with_capacity(length / params.data_block_size as usize);
    hasher.digests(memory, params.data_block_size, |digest| {
        digests.push(digest);
    });
    Ok(digests)
}
