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
    /// The bits of a slot, for runs that start at slots.
    within_slot: u64,
}

impl Runs {
    /// Runs that go on at the next slot of this size too, a power of two, and so take what is left
    /// over between two.
    ///
    /// For metadata that is the same as without: every inode starts at a slot and goes on from
    /// there, so that who has a part of a slot has its first byte, and the same is true of blocks.
    /// Two that would share what is left over share that byte. It does not hold for what is
    /// addressed in bytes: then there must be no slots here.
    pub(super) const fn in_slots(size: u64) -> Self {
        Self {
            runs: Vec::new(),
            within_slot: size.saturating_sub(1),
        }
    }

    /// Adds a run; one without bytes is none.
    #[inline]
    pub(super) fn add(&mut self, start: u64, end: u64, budget: &mut Budget) -> Result<(), Error> {
        if start >= end {
            return Ok(());
        }
        if let Some((_, last)) = self.runs.last_mut() {
            let next = last.saturating_add(self.within_slot) & !self.within_slot;
            if *last <= start && start <= next {
                *last = end;
                return Ok(());
            }
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
    fn what_goes_on_at_the_next_slot_is_one_run() {
        let mut budget = Budget::new(1 << 20);
        let mut slots = Runs::in_slots(32);
        for (start, end) in [
            (0, 40),
            (64, 96),
            (96, 100),
            (104, 120),
            (160, 190),
            (192, 200),
        ] {
            slots.add(start, end, &mut budget).unwrap();
        }
        assert_eq!(slots.runs, [(0, 120), (160, 200)]);
        assert_eq!(slots.settle(), None);
        // What takes a slot again, in the middle of a run or behind it.
        for start in [32, 64, 96, 160] {
            slots.add(start, start + 32, &mut budget).unwrap();
            assert_eq!(slots.settle(), Some(start));
            slots.runs.retain(|run| *run != (start, start + 32));
        }
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
