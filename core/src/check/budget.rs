//! What a check may use: memory that it keeps, and work that it does.

use alloc::vec::Vec;

use crate::{At, Code, Error, Value};

/// Memory that is kept for the whole check, against its limit.
#[derive(Debug)]
pub(super) struct Budget {
    used: u64,
    most: u64,
}

impl Budget {
    pub(super) const fn new(most: u64) -> Self {
        Self { used: 0, most }
    }

    /// Bytes that are kept.
    pub(super) const fn used(&self) -> u64 {
        self.used
    }

    /// Makes a list this long, with new items.
    pub(super) fn grow_to<T>(
        &mut self,
        list: &mut Vec<T>,
        length: usize,
        new: impl FnMut() -> T,
    ) -> Result<(), Error> {
        if length > list.len() {
            let more = length.saturating_sub(list.len());
            self.reserve(list, more)?;
            list.resize_with(length, new);
        }
        Ok(())
    }

    /// Adds an item to a list.
    pub(super) fn push<T>(&mut self, list: &mut Vec<T>, item: T) -> Result<(), Error> {
        if list.len() == list.capacity() {
            // Doubled, so that items are moved seldom.
            let more = list.len().clamp(64, usize::MAX / 2);
            self.reserve(list, more)?;
        }
        list.push(item);
        Ok(())
    }

    fn reserve<T>(&mut self, list: &mut Vec<T>, more: usize) -> Result<(), Error> {
        let before = list.capacity();
        let wanted = list.len().saturating_add(more);
        let added = wanted.saturating_sub(before) as u64;
        let used = self
            .used
            .saturating_add(added.saturating_mul(size_of::<T>() as u64));
        if used > self.most {
            return Err(Error::new(Code::CheckMemory, At::Whole)
                .found(Value::AtLeast(used))
                .expected(Value::AtMost(self.most)));
        }
        list.try_reserve_exact(more)
            .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
        self.used = used;
        Ok(())
    }
}
