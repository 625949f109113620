//! What came before the memory that content goes to.

use super::WINDOW;
use crate::bytes;

/// The last [`WINDOW`] bytes of what was [pushed](Self::push).
#[derive(Clone)]
pub(crate) struct History {
    ring: [u8; WINDOW],
    /// Where the next byte goes.
    at: usize,
}

impl History {
    pub(crate) const fn new() -> Self {
        Self {
            ring: [0; WINDOW],
            at: 0,
        }
    }

    /// Adds content.
    pub(crate) fn push(&mut self, content: &[u8]) {
        if let Some(last) = content.last_chunk() {
            self.ring = *last;
            self.at = 0;
            return;
        }
        let room = self.ring.get_mut(self.at..).unwrap_or(&mut []);
        let done = bytes::copy(content, room);
        let rest = content.get(done..).unwrap_or(&[]);
        if done < room.len() {
            self.at = self.at.saturating_add(done);
        } else {
            self.at = bytes::copy(rest, &mut self.ring);
        }
    }

    /// What was pushed.
    pub(crate) fn past(&self) -> Past<'_> {
        let (newer, older) = self.ring.split_at_checked(self.at).unwrap_or_default();
        Past { older, newer }
    }
}

/// Content that is no longer where it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past<'a> {
    older: &'a [u8],
    newer: &'a [u8],
}

impl<'a> Past<'a> {
    /// There is none.
    pub(crate) const NONE: Self = Self {
        older: &[],
        newer: &[],
    };

    /// How much there is.
    pub(super) const fn len(&self) -> usize {
        self.older.len().saturating_add(self.newer.len())
    }

    /// What begins this far before its end, or the start of it.
    pub(super) fn back(&self, distance: usize) -> &'a [u8] {
        match distance.checked_sub(self.newer.len()) {
            None | Some(0) => last(self.newer, distance),
            Some(distance) => last(self.older, distance),
        }
    }
}

fn last(part: &[u8], length: usize) -> &[u8] {
    let start = part.len().saturating_sub(length);
    part.get(start..).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_last_bytes_are_found_again() {
        let content: Vec<u8> = (0..200_000_u32)
            .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
            .collect();
        for piece in [1, 7, 1000, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW] {
            let mut history = History::new();
            let mut pushed = 0;
            while pushed < content.len() {
                let end = content.len().min(pushed + piece);
                history.push(&content[pushed..end]);
                pushed = end;
                if piece < 1000 && pushed < content.len() - 10 {
                    continue;
                }
                let past = history.past();
                assert_eq!(past.len(), WINDOW);
                for distance in [1, 2, 1000, WINDOW - 1, WINDOW] {
                    if distance > pushed {
                        continue;
                    }
                    let found = past.back(distance);
                    let start = pushed - distance;
                    assert!(!found.is_empty());
                    assert!(*found == content[start..start + found.len()]);
                }
            }
        }
    }

    #[test]
    fn without_a_past_nothing_is_found() {
        assert!(Past::NONE.back(5).is_empty());
        assert_eq!(Past::NONE.len(), 0);
    }
}
