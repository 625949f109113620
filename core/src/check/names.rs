//! The names of an inode's xattrs, and which of them come twice.

use alloc::vec::Vec;

use crate::{At, Code, Error};

/// Names of one inode's xattrs, each with what is kept of it, in memory that serves one inode after
/// another.
#[derive(Debug)]
pub(super) struct Names<T> {
    bytes: Vec<u8>,
    /// Where each name starts and ends in `bytes`.
    places: Vec<((usize, usize), T)>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            places: Vec::new(),
        }
    }
}

impl<T> Names<T> {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    /// Keeps a name. There are at most 65,789 in an inode.
    pub(super) fn add(&mut self, name: &[u8], kept: T) -> Result<(), Error> {
        let memory = |_| Error::new(Code::MetadataMemory, At::Whole);
        self.bytes.try_reserve(name.len()).map_err(memory)?;
        self.places.try_reserve(1).map_err(memory)?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.places.push(((start, self.bytes.len()), kept));
        Ok(())
    }

    /// The names that are there more than once: for each of them what is kept of two, then of the
    /// second and a third, and so on.
    pub(super) fn repeats(&mut self) -> impl Iterator<Item = (&[u8], &T, &T)> {
        let Self { bytes, places } = self;
        let name = |place: &(usize, usize)| bytes.get(place.0..place.1).unwrap_or(&[]);
        places.sort_unstable_by(|(one, _), (other, _)| name(one).cmp(name(other)));
        places.windows(2).filter_map(move |pair| match pair {
            [(one, first), (other, second)] if name(one) == name(other) => {
                Some((name(one), first, second))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_repeat_are_seen_wherever_they_are() {
        let mut names = Names::default();
        for (number, name) in ["user.b", "user.a", "user.c"].into_iter().enumerate() {
            names.add(name.as_bytes(), number).unwrap();
        }
        assert_eq!(names.repeats().count(), 0);
        names.add(b"user.b", 3).unwrap();
        let (name, one, other) = names.repeats().next().unwrap();
        assert_eq!((name, one + other), (&b"user.b"[..], 3));
        assert_eq!(names.repeats().count(), 1);
        names.add(b"user.b", 4).unwrap();
        assert_eq!(names.repeats().count(), 2);
        names.clear();
        assert_eq!(names.repeats().count(), 0);
    }
}
