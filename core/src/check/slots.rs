//! Which inodes have been seen: one bit for each slot, in pages that are made on demand.

use alloc::vec::Vec;

use super::budget::Budget;
use crate::Error;
use crate::erofs::nid_slot;

/// Slots of a page: 64 words of 64 bits.
const PAGE_BITS: u32 = 12;
const PAGE_WORDS: usize = 64;
/// Pages of a group.
const GROUP_BITS: u32 = 9;
const GROUP_PAGES: usize = 1 << GROUP_BITS;

/// A set of slots.
///
/// Dense slots take a bit each. The worst case, inodes that lie far apart, takes a page of 512
/// bytes for each and a group for every 64 MiB of the image.
#[derive(Debug, Default)]
pub(super) struct Slots {
    groups: Vec<Vec<Vec<u64>>>,
}

impl Slots {
    /// Adds a slot and says whether it was new.
    pub(super) fn insert(&mut self, nid: u64, budget: &mut Budget) -> Result<bool, Error> {
        let slot = nid_slot(nid);
        let at = |shift: u32| usize::try_from(slot >> shift).unwrap_or(usize::MAX);
        let group = at(PAGE_BITS.saturating_add(GROUP_BITS));
        let page = at(PAGE_BITS) & GROUP_PAGES.saturating_sub(1);
        let word = at(6) & PAGE_WORDS.saturating_sub(1);
        let bit = 1_u64 << (slot & 63);
        budget.grow_to(&mut self.groups, group.saturating_add(1), Vec::new)?;
        let Some(pages) = self.groups.get_mut(group) else {
            return Ok(false);
        };
        if pages.is_empty() {
            budget.grow_to(pages, GROUP_PAGES, Vec::new)?;
        }
        let Some(words) = pages.get_mut(page) else {
            return Ok(false);
        };
        if words.is_empty() {
            budget.grow_to(words, PAGE_WORDS, || 0)?;
        }
        let Some(word) = words.get_mut(word) else {
            return Ok(false);
        };
        let new = *word & bit == 0;
        *word |= bit;
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn a_slot_is_new_once() {
        let mut budget = Budget::new(1 << 20);
        let mut slots = Slots::default();
        for nid in [0, 1, 63, 64, 4095, 4096, 1 << 21, (1 << 22) + 7] {
            assert_eq!(slots.insert(nid, &mut budget), Ok(true), "{nid}");
            assert_eq!(slots.insert(nid, &mut budget), Ok(false), "{nid}");
        }
        assert_eq!(slots.insert(2, &mut budget), Ok(true));
    }

    #[test]
    fn memory_has_a_limit() {
        let mut slots = Slots::default();
        let error = slots
            .insert(1 << 40, &mut Budget::new(1 << 20))
            .unwrap_err();
        assert_eq!(error.code(), Code::CheckMemory);
    }
}
