//! A small cache of metadata: lines of one size, each with one place.

use alloc::vec::Vec;

use crate::bytes;
use crate::{At, Code, Error};

/// Size of a line, in bytes, as a power of two: a page, since that is what reading one byte of a
/// file touches. Where metadata lies between content, most of a longer line is of no use.
const LINE_BITS: u32 = 12;
/// Size of a line in bytes.
const LINE: usize = 1 << LINE_BITS;
/// How many lines are read at once where the one before is there, and so the next are wanted too.
const AHEAD: usize = 4;
/// No line has this number: offsets are bytes, and lines are larger.
const EMPTY: u64 = u64::MAX;

/// Lines of a run of bytes, filled on demand. Its memory never exceeds what was asked for.
#[derive(Debug)]
pub(super) struct Cache {
    /// The number of the line in each place.
    tags: Vec<u64>,
    lines: Vec<u8>,
}

impl Cache {
    /// A cache of at most `size` bytes, and of at least one line. Its number of lines is a power
    /// of two, so that finding a line's place takes no division.
    pub(super) fn new(size: u64) -> Result<Self, Error> {
        let lines = usize::try_from(size >> LINE_BITS).unwrap_or(usize::MAX >> LINE_BITS);
        let places = 1_usize << lines.checked_ilog2().unwrap_or(0);
        let memory = |_| Error::new(Code::MetadataMemory, At::Whole);
        let mut tags = Vec::new();
        tags.try_reserve_exact(places).map_err(memory)?;
        tags.resize(places, EMPTY);
        // The memory for lines is asked for with the first.
        Ok(Self {
            tags,
            lines: Vec::new(),
        })
    }

    /// Copies the bytes from `offset` on, which must end at or before `end`, to `buf`.
    ///
    /// `fill` reads the bytes of a line, cut off at `end`.
    pub(super) fn read<E: From<Error>>(
        &mut self,
        mut offset: u64,
        mut buf: &mut [u8],
        end: u64,
        mut fill: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !buf.is_empty() {
            let number = offset >> LINE_BITS;
            let line = self.line(number, end, &mut fill)?;
            let within =
                usize::try_from(offset & (LINE as u64).saturating_sub(1)).unwrap_or(usize::MAX);
            let copied = bytes::copy(line.get(within..).unwrap_or(&[]), buf);
            if copied == 0 {
                return Err(Error::new(Code::MetadataBounds, At::Image(offset)).into());
            }
            offset = offset.saturating_add(copied as u64);
            buf = buf.get_mut(copied..).unwrap_or(&mut []);
        }
        Ok(())
    }

    /// The `length` bytes from `offset` on where they lie in one line, or `None` where they do
    /// not, or go beyond `end`.
    pub(super) fn peek<E: From<Error>>(
        &mut self,
        offset: u64,
        length: usize,
        end: u64,
        mut fill: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<&[u8]>, E> {
        let line = self.line(offset >> LINE_BITS, end, &mut fill)?;
        let within =
            usize::try_from(offset & (LINE as u64).saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(line.get(within..within.saturating_add(length)))
    }

    /// Makes room for lines up to this byte of theirs, of a run of bytes that ends at `end`.
    #[cold]
    fn grow(&mut self, stop: usize, end: u64) -> Result<(), Error> {
        if self.lines.capacity() < stop {
            // All at once, as far as there is something to hold: what is reserved and not used is
            // no memory yet, and lines that move would take it twice.
            let most = self.tags.len() << LINE_BITS;
            let whole = usize::try_from(end)
                .unwrap_or(most)
                .clamp(stop, most.max(stop));
            let more = whole.saturating_sub(self.lines.len());
            self.lines
                .try_reserve_exact(more)
                .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
        }
        self.lines.resize(stop, 0);
        Ok(())
    }

    /// Where the line of this number has its place.
    fn place(&self, number: u64) -> usize {
        let last = self.tags.len().saturating_sub(1);
        usize::try_from(number & last as u64).unwrap_or(0)
    }

    /// Whether the line of this number is there.
    fn holds(&self, number: u64) -> bool {
        self.tags.get(self.place(number)) == Some(&number)
    }

    /// The line of this number, read if it is not there.
    #[inline]
    fn line<E: From<Error>>(
        &mut self,
        number: u64,
        end: u64,
        fill: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<&[u8], E> {
        if !self.holds(number) {
            self.load(number, end, fill)?;
        }
        let start = self.place(number) << LINE_BITS;
        let offset = number << LINE_BITS;
        let length = usize::try_from(end.saturating_sub(offset).min(LINE as u64)).unwrap_or(LINE);
        let line = self.lines.get(start..start.saturating_add(length));
        Ok(line.unwrap_or(&[]))
    }

    /// Reads the line of this number, and some that follow it where reading goes on.
    #[cold]
    #[inline(never)]
    fn load<E: From<Error>>(
        &mut self,
        number: u64,
        end: u64,
        fill: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let place = self.place(number);
        let offset = number << LINE_BITS;
        let goes_on = number
            .checked_sub(1)
            .is_some_and(|before| self.holds(before));
        let most = if goes_on { AHEAD } else { 1 };
        // Their places lie one behind the other, up to the last. None is read that is there.
        let mut count = 1_usize;
        while count < most && place.saturating_add(count) < self.tags.len() {
            let next = number.saturating_add(count as u64);
            if next << LINE_BITS >= end || self.holds(next) {
                break;
            }
            count = count.saturating_add(1);
        }
        let start = place << LINE_BITS;
        let stop = place.saturating_add(count) << LINE_BITS;
        if self.lines.len() < stop {
            self.grow(stop, end)?;
        }
        let length = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(stop.saturating_sub(start));
        let lines = self.lines.get_mut(start..start.saturating_add(length));
        let tags = self.tags.get_mut(place..place.saturating_add(count));
        let (lines, tags) = (lines.unwrap_or_default(), tags.unwrap_or_default());
        // While they are being filled, or when that fails, the places hold no line.
        tags.fill(EMPTY);
        fill(offset, lines)?;
        for (tag, number) in tags.iter_mut().zip(number..) {
            *tag = number;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    /// What is read of 70,000 bytes, in lines and bytes, for reads of these offsets and lengths.
    fn reads(lines: usize, wanted: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let bytes: Vec<u8> = (0..70_000_u32).map(|n| (n % 251) as u8).collect();
        let mut cache = Cache::new((lines * LINE) as u64).unwrap();
        let mut reads = vec![];
        for &(offset, length) in wanted {
            let mut buf = vec![0; length];
            let read = cache.read(offset as u64, &mut buf, 70_000, |at, line: &mut [u8]| {
                let at = usize::try_from(at).unwrap();
                reads.push((at / LINE, line.len()));
                line.copy_from_slice(&bytes[at..at + line.len()]);
                Ok::<_, Error>(())
            });
            match read {
                Ok(()) => assert_eq!(buf, &bytes[offset..offset + length]),
                Err(error) => assert_eq!(error.code(), Code::MetadataBounds),
            }
        }
        reads
    }

    #[test]
    fn lines_are_read_once_and_replaced() {
        // Line 2 takes the place of line 0.
        let wanted = [(100, 50), (200, 1), (2 * LINE, 1), (0, 1), (69_999, 1)];
        let read = [(0, LINE), (2, LINE), (0, LINE), (17, 368)];
        assert_eq!(reads(2, &wanted), read);
        // Behind the end there is nothing.
        assert_eq!(reads(2, &[(69_999, 2)]), [(17, 368)]);
    }

    #[test]
    fn reading_on_reads_ahead() {
        let all = [(0, 70_000)];
        let four = 4 * LINE;
        assert_eq!(
            reads(32, &all),
            [
                (0, LINE),
                (1, four),
                (5, four),
                (9, four),
                (13, four),
                (17, 368)
            ]
        );
        // Not over what is there, nor beyond the last place.
        assert_eq!(
            reads(32, &[(7 * LINE, 1), (4 * LINE, 1), (5 * LINE, 1)]),
            [(7, LINE), (4, LINE), (5, 2 * LINE)]
        );
        assert_eq!(
            reads(8, &[(5 * LINE, 1), (6 * LINE, 1), (8 * LINE, 1)]),
            [(5, LINE), (6, 2 * LINE), (8, four)]
        );
        assert_eq!(reads(1, &[(0, 2 * LINE)]), [(0, LINE), (1, LINE)]);
    }

    #[test]
    fn only_what_lies_in_one_line_can_be_peeked_at() {
        let mut cache = Cache::new(0).unwrap();
        let mut peek = |offset, length| {
            let bytes = cache.peek(offset, length, 3 * LINE as u64 - 1, |at, line| {
                line.fill(u8::try_from(at >> LINE_BITS).unwrap());
                Ok::<_, Error>(())
            });
            bytes.unwrap().map(<[u8]>::to_vec)
        };
        let line = LINE as u64;
        assert_eq!(peek(line - 2, 2), Some(vec![0; 2]));
        assert_eq!(peek(line - 2, 3), None);
        assert_eq!(peek(line, 3), Some(vec![1; 3]));
        assert_eq!(peek(3 * line - 3, 2), Some(vec![2; 2]));
        assert_eq!(peek(3 * line - 3, 3), None);
    }

    #[test]
    fn a_failed_read_leaves_no_line() {
        let mut cache = Cache::new(0).unwrap();
        let error = Error::new(Code::Finished, At::Whole);
        let mut buf = [0; 4];
        assert_eq!(cache.read(0, &mut buf, 64, |_, _| Err(error)), Err(error));
        cache
            .read(0, &mut buf, 64, |_, line| {
                line.fill(7);
                Ok::<_, Error>(())
            })
            .unwrap();
        assert_eq!(buf, [7; 4]);
    }
}
