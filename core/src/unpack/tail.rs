//! What follows an image unannounced: a dm-verity tree, or nothing that is known.

use crate::bytes::Gather;
use crate::verity::{Announced, Guess, Layout, SUPERBLOCK_SIZE, Superblock};

/// A superblock begins at a multiple of this, in bytes.
const SECTOR: u64 = 512;
/// Zeros fill an image up to a multiple of this at most, in bytes: the largest block of the trees
/// that containerd makes. A tar that belongs to the image may have more of them.
const BLOCK: u64 = 4096;

/// Looks for a tree behind an image while it streams past.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    /// Where the image ends.
    start: u64,
    /// Where zeros end at most that a tar has, if there is one.
    padding: Option<u64>,
    /// Whether anything came.
    any: bool,
    /// Where the superblock begins.
    at: u64,
    head: Gather<SUPERBLOCK_SIZE>,
    /// The tree, and where it ends.
    found: Option<(Announced, u64)>,
}

impl Tail {
    /// Behind an image that ends there, or a tar whose zeros end there at most.
    pub(super) const fn new(start: u64, padding: Option<u64>) -> Self {
        Self {
            start,
            padding,
            any: false,
            at: start,
            head: Gather::new(),
            found: None,
        }
    }

    /// Takes bytes that lie at this offset, from the image's end on. The first offset that belongs to
    /// no tree, if there is one.
    pub(super) fn update(&mut self, mut bytes: &[u8], mut offset: u64) -> Option<u64> {
        let zeros = match self.padding {
            Some(end) => end,
            None => self.start.checked_next_multiple_of(BLOCK)?,
        };
        self.any |= !bytes.is_empty();
        while let Some((first, after)) = bytes.split_first() {
            if let Some((_, end)) = self.found {
                let most = offset.saturating_add(bytes.len() as u64);
                return (most > end).then_some(end);
            }
            if self.head.filled().is_empty() && *first == 0 {
                if offset >= zeros {
                    return Some(self.start);
                }
                offset = offset.saturating_add(1);
                bytes = after;
                continue;
            }
            if self.head.filled().is_empty() {
                if !offset.is_multiple_of(SECTOR) {
                    return Some(self.start);
                }
                self.at = offset;
            }
            let taken = self.head.fill(SUPERBLOCK_SIZE, bytes);
            offset = offset.saturating_add(taken as u64);
            bytes = bytes.get(taken..).unwrap_or(&[]);
            if let Ok(head) = <[u8; SUPERBLOCK_SIZE]>::try_from(self.head.filled()) {
                self.found = self.read(&head);
                if self.found.is_none() {
                    return Some(self.start);
                }
            }
        }
        None
    }

    /// The tree whose superblock this is, if it covers what lies before it.
    fn read(&self, head: &[u8; SUPERBLOCK_SIZE]) -> Option<(Announced, u64)> {
        let params = Superblock::parse(head).ok()?.params;
        let is_whole = params.data_size() == Ok(self.at);
        if !is_whole || params.data_block_size != params.hash_block_size {
            return None;
        }
        let layout = Layout::behind_superblock(&params, self.at).ok()?;
        let announced = Announced {
            hash_offset: self.at,
            block_size: params.data_block_size.into(),
            algorithm: params.algorithm,
            root: None,
            guess: Guess {
                hash_type: params.hash_type,
                salt: params.salt,
            },
        };
        Some((announced, layout.end()))
    }

    /// The tree, once its superblock has passed.
    pub(super) fn found(&self) -> Option<Announced> {
        self.found.map(|(announced, _)| announced)
    }

    /// Where the bytes that were begun belong to no tree, now that there are no more.
    pub(super) fn finish(&self) -> Option<u64> {
        let is_padding = self.padding.is_some() && self.head.filled().is_empty();
        (self.any && self.found.is_none() && !is_padding).then_some(self.start)
    }
}
