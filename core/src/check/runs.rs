//! Runs of bytes that are taken, and where two of them overlap.

use alloc::vec::Vec;

use super::budget::Budget;
use crate::Error;

/// Runs of bytes: each from its start to the byte after its end.
///
/// A run that goes on where the one before ended is joined to it, so that an image in the
/// order of its directories takes few.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<(u64, u64)>,
}

impl Runs {
    /// Adds a run; one without bytes is none.
    pub(super) fn add(&mut self, start: u64, end: u64, budget: &mut Budget) -> Result<(), Error> {
        if start >= end {
            return Ok(());
        }
        if let Some((_, last)) = self.runs.last_mut()
            && *last == start
        {
            *last = end;
            return Ok(());
        }
        budget.push(&mut self.runs, (start, end))
    }

    /// Puts the runs in order and says where two overlap first, if they do.
    pub(super) fn settle(&mut self) -> Option<u64> {
        self.runs.sort_unstable();
        let mut overlap = None;
        let mut covered = 0;
        for (start, end) in &self.runs {
            if *start < covered {
                overlap = overlap.or(Some(*start));
            }
            covered = covered.max(*end);
        }
        overlap
    }

    /// Where a run of these and one of `other` overlap first. Both must be settled.
    pub(super) fn meets(&self, other: &Self) -> Option<u64> {
        let mut others = other.runs.iter().peekable();
        for (start, end) in &self.runs {
            // What ends at or before this start does so for all that follow.
            while others.next_if(|(_, end)| end <= start).is_some() {}
            if let Some((other, _)) = others.peek()
                && other < end
            {
                return Some(*start.max(other));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(list: &[(u64, u64)]) -> Runs {
        let mut budget = Budget::new(1 << 20);
        let mut runs = Runs::default();
        for (start, end) in list {
            runs.add(*start, *end, &mut budget).unwrap();
        }
        runs
    }

    #[test]
    fn neighbours_do_not_overlap() {
        let mut apart = runs(&[(8, 12), (0, 4), (4, 8), (20, 20), (12, 13)]);
        assert_eq!(apart.runs.len(), 3);
        assert_eq!(apart.settle(), None);
    }

    #[test]
    fn an_overlap_is_found_behind_a_long_run() {
        assert_eq!(runs(&[(0, 4), (3, 5)]).settle(), Some(3));
        assert_eq!(runs(&[(0, 100), (10, 20), (50, 60)]).settle(), Some(10));
        assert_eq!(runs(&[(5, 6), (5, 6)]).settle(), Some(5));
    }

    #[test]
    fn two_lists_meet_or_do_not() {
        let settled = |list: &[(u64, u64)]| {
            let mut runs = runs(list);
            runs.settle();
            runs
        };
        let metadata = settled(&[(0, 10), (20, 30), (40, 50)]);
        let meets = |list: &[(u64, u64)]| metadata.meets(&settled(list));
        assert_eq!(meets(&[(10, 20), (30, 40), (50, 99)]), None);
        assert_eq!(meets(&[(0, 1)]), Some(0));
        assert_eq!(meets(&[(12, 14), (29, 31)]), Some(29));
        assert_eq!(meets(&[(35, 41)]), Some(40));
        assert_eq!(meets(&[(0, 99)]), Some(0));
        assert_eq!(meets(&[]), None);
        assert_eq!(settled(&[]).meets(&metadata), None);
        assert_eq!(
            settled(&[(5, 100), (6, 7)]).meets(&settled(&[(60, 61)])),
            Some(60)
        );
    }
}
