//! The names of an inode's xattrs, and whether one of them comes twice.

use alloc::vec::Vec;

use crate::{At, Code, Error};

/// Names of one inode's xattrs, in memory that serves one inode after another.
#[derive(Debug, Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    /// Where each name starts and ends in `bytes`.
    places: Vec<(usize, usize)>,
}

impl Names {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// Keeps a name. There are at most 65,789 in an inode.
    pub(super) fn add(&mut self, name: &[u8]) -> Result<(), Error> {
        let memory = |_| Error::new(Code::MetadataMemory, At::Whole);
        self.bytes.try_reserve(name.len()).map_err(memory)?;
        self.places.try_reserve(1).map_err(memory)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.places.push((start, self.bytes.len()));
        Ok(())
    }

    /// Whether a name is there twice.
    pub(super) fn repeats(&mut self) -> bool {
        let Self { bytes, places } = self;
        let name = |place: &(usize, usize)| bytes.get(place.0..place.1).unwrap_or(&[]);
        places.sort_unstable_by(|one, other| name(one).cmp(name(other)));
        places
            .windows(2)
            .any(|pair| matches!(pair, [one, other] if name(one) == name(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_repeat_are_seen_wherever_they_are() {
        let mut names = Names::default();
        for name in ["user.b", "user.a", "user.c"] {
            names.add(name.as_bytes()).unwrap();
        }
        assert!(!names.repeats());
        names.add(b"user.b").unwrap();
        assert!(names.repeats());
        names.clear();
        assert!(!names.repeats());
    }
}
