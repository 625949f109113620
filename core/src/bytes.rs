//! Moving bytes without a panic: the few helpers that all parsers here share.

/// Copies as much of `from` as `to` holds and returns how much that was.
pub(crate) fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let length = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..length), to.get_mut(..length)) {
        #[allow(
            clippy::disallowed_methods,
            reason = "both slices were just cut to one length"
        )]
        to.copy_from_slice(from);
    }
    length
}

/// Moves `length` bytes from `from` on to the front, as far as they are there.
pub(crate) fn move_to_front(bytes: &mut [u8], from: usize, length: usize) {
    let end = from.saturating_add(length).min(bytes.len());
    if from <= end {
        #[allow(
            clippy::disallowed_methods,
            reason = "the range was just cut to what is there"
        )]
        bytes.copy_within(from..end, 0);
    }
}

/// The next field of a record, which is cut off it.
///
/// Where the compiler knows the size of the record, nothing of this is left in what it makes. That
/// cannot be said of nom's numbers, which took a third of a check's time in WebAssembly.
#[inline]
fn field<const N: usize>(record: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = record.split_first_chunk()?;
    *record = rest;
    Some(*field)
}

#[inline]
pub(crate) fn le_u16(record: &mut &[u8]) -> Option<u16> {
    field(record).map(u16::from_le_bytes)
}

#[inline]
pub(crate) fn le_u32(record: &mut &[u8]) -> Option<u32> {
    field(record).map(u32::from_le_bytes)
}

#[inline]
pub(crate) fn le_u64(record: &mut &[u8]) -> Option<u64> {
    field(record).map(u64::from_le_bytes)
}

/// A fixed number of bytes that are gathered from a stream which arrives in any pieces.
#[derive(Clone, Debug)]
pub(crate) struct Gather<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Gather<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            filled: 0,
        }
    }

    /// Takes from `input` what is missing of the first `want` bytes (at most `N`) and returns
    /// how many bytes that were.
    pub(crate) fn fill(&mut self, want: usize, input: &[u8]) -> usize {
        let Some(space) = self
            .bytes
            .get_mut(..want.min(N))
            .and_then(|wanted| wanted.get_mut(self.filled..))
        else {
            return 0;
        };
        let taken = copy(input, space);
        self.filled = self.filled.saturating_add(taken);
        taken
    }

    /// The bytes gathered so far.
    pub(crate) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or(&[])
    }

    /// Starts anew.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_stops_at_the_shorter_side() {
        let mut to = [0; 3];
        assert_eq!(copy(&[1, 2, 3, 4], &mut to), 3);
        assert_eq!(to, [1, 2, 3]);
        assert_eq!(copy(&[9], &mut to), 1);
        assert_eq!(to, [9, 2, 3]);
    }

    #[test]
    fn moved_to_the_front() {
        let mut bytes = [1, 2, 3, 4, 5];
        move_to_front(&mut bytes, 1, 3);
        assert_eq!(bytes, [2, 3, 4, 4, 5]);
        move_to_front(&mut bytes, 4, 9);
        assert_eq!(bytes, [5, 3, 4, 4, 5]);
        move_to_front(&mut bytes, 5, 1);
        move_to_front(&mut bytes, 9, 1);
        assert_eq!(bytes, [5, 3, 4, 4, 5]);
    }

    #[test]
    fn gather_takes_what_is_missing_and_no_more() {
        let mut gather = Gather::<4>::new();
        assert_eq!(gather.fill(3, &[1, 2]), 2);
        assert_eq!(gather.fill(3, &[3, 4]), 1);
        assert_eq!(gather.filled(), [1, 2, 3]);
        assert_eq!(gather.fill(9, &[5, 6]), 1);
        assert_eq!(gather.filled(), [1, 2, 3, 5]);
        assert_eq!(gather.fill(2, &[7]), 0);
    }
}
