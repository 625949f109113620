//! The pclusters that a check has seen, and where one is read in two ways.
//!
//! The kernel keeps a pcluster that is being read by its address, with the algorithm, the size
//! and the turn of whoever asked for it first, and gives what comes of it to all who share it
//! (`z_erofs_register_pcluster` in `fs/erofs/zdata.c`). Where they differ, what is read depends
//! on the order.

use alloc::vec::Vec;

use super::budget::Budget;
use crate::Error;
use crate::erofs::{Encoding, Pcluster};

/// Pclusters of the same kind that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    start: u64,
    end: u64,
    kind: u64,
}

/// All pclusters of files and directories.
#[derive(Debug, Default)]
pub(super) struct Pclusters {
    runs: Vec<Run>,
}

impl Pclusters {
    /// Adds the pcluster of the extent that starts at `offset` of the content.
    pub(super) fn add(
        &mut self,
        pcluster: &Pcluster,
        offset: u64,
        block: u64,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let end = pcluster.offset.saturating_add(pcluster.length);
        self.add_run(pcluster.offset, end, kind(pcluster, offset, block), budget)
    }

    fn add_run(
        &mut self,
        start: u64,
        end: u64,
        kind: u64,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        if let Some(last) = self.runs.last_mut()
            && last.end == start
            && last.kind == kind
        {
            last.end = end;
            return Ok(());
        }
        budget.push(&mut self.runs, Run { start, end, kind })
    }

    /// Where two that are not of the same kind overlap first, if they do.
    pub(super) fn settle(&mut self) -> Option<u64> {
        self.runs.sort_unstable();
        // The run that reaches farthest, and how far those of other kinds than its reach.
        let (mut farthest, mut others) = (self.runs.first()?, 0);
        for run in &self.runs {
            let reached = if run.kind == farthest.kind {
                others
            } else {
                farthest.end
            };
            if run.start < reached {
                return Some(run.start);
            }
            if run.end <= farthest.end {
                if run.kind != farthest.kind {
                    others = others.max(run.end);
                }
                continue;
            }
            if run.kind != farthest.kind {
                others = farthest.end;
            }
            farthest = run;
        }
        None
    }
}

/// What all who share a pcluster must agree on, as one number: how it is encoded, its size, and
/// for one that is turned round by how much.
fn kind(pcluster: &Pcluster, offset: u64, block: u64) -> u64 {
    let (number, turn) = match pcluster.encoding {
        Encoding::Lz4 => (0, 0),
        Encoding::Lzma => (1, 0),
        Encoding::Deflate => (2, 0),
        Encoding::Zstd => (3, 0),
        Encoding::Shifted => (4, 0),
        Encoding::Interlaced => (5, offset.checked_rem(block).unwrap_or(0)),
    };
    // Sizes are below 2^24, blocks have at most 2^16 bytes.
    number << 56 | turn << 24 | pcluster.length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(list: &[(u64, u64, u64)]) -> Option<u64> {
        let mut budget = Budget::new(1 << 20);
        let mut pclusters = Pclusters::default();
        for (start, end, kind) in list {
            pclusters.add_run(*start, *end, *kind, &mut budget).unwrap();
        }
        pclusters.settle()
    }

    #[test]
    fn those_of_one_kind_may_be_shared() {
        assert_eq!(settle(&[]), None);
        assert_eq!(settle(&[(0, 4, 1), (4, 8, 1), (4, 8, 1), (0, 8, 1)]), None);
        assert_eq!(settle(&[(8, 12, 2), (0, 4, 1), (4, 8, 2)]), None);
        // One reaches beyond the other, and a third lies over both.
        assert_eq!(settle(&[(0, 10, 1), (5, 20, 1), (8, 15, 1)]), None);
    }

    #[test]
    fn those_of_two_kinds_may_not() {
        assert_eq!(settle(&[(4, 8, 1), (4, 8, 2)]), Some(4));
        assert_eq!(settle(&[(0, 4, 1), (4, 8, 1), (4, 8, 2)]), Some(4));
        assert_eq!(settle(&[(0, 20, 1), (4, 8, 1), (12, 16, 2)]), Some(12));
        // Behind others of the same kind, and behind a third.
        assert_eq!(settle(&[(0, 9, 2), (1, 7, 2), (8, 12, 1)]), Some(8));
        assert_eq!(
            settle(&[(0, 5, 1), (5, 9, 2), (6, 7, 2), (8, 9, 1)]),
            Some(8)
        );
    }

    #[test]
    fn what_makes_a_kind() {
        let of = |encoding, length, offset| {
            let pcluster = Pcluster {
                metadata: None,
                offset: 0,
                length,
                encoding,
                partial: false,
            };
            kind(&pcluster, offset, 4096)
        };
        let lz4 = of(Encoding::Lz4, 4096, 0);
        assert_eq!(of(Encoding::Lz4, 4096, 5), lz4);
        assert_ne!(of(Encoding::Lz4, 8192, 0), lz4);
        assert_ne!(of(Encoding::Shifted, 4096, 0), lz4);
        assert_eq!(
            of(Encoding::Shifted, 4096, 7),
            of(Encoding::Shifted, 4096, 0)
        );
        let turned = of(Encoding::Interlaced, 4096, 5);
        assert_ne!(of(Encoding::Interlaced, 4096, 6), turned);
        assert_eq!(of(Encoding::Interlaced, 4096, 4101), turned);
    }
}
