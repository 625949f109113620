//! Memory that one thread fills and others then read, all of them the same bytes, until nobody
//! needs them any more and it is filled again.

use core::ops::Range;
use std::collections::TryReserveError;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Bytes that do not change while somebody holds them. Their memory then goes back to its pool.
pub(super) struct Chunk {
    memory: Vec<u8>,
    content: Range<usize>,
    home: Sender<Vec<u8>>,
}

/// Whoever would take a chunk is gone: it has a reason of its own, which is told there.
pub(super) struct Gone;

impl Chunk {
    /// The bytes that are handed on.
    pub(super) fn content(&self) -> &[u8] {
        self.memory.get(self.content.clone()).unwrap_or_default()
    }

    /// The same, where nobody else has them yet.
    pub(super) fn content_mut(&mut self) -> &mut [u8] {
        let content = self.content.clone();
        self.memory.get_mut(content).unwrap_or_default()
    }

    /// Leaves out what lies behind so many bytes.
    pub(super) fn shorten(&mut self, length: usize) {
        self.content.end = self.content.end.min(self.content.start + length);
    }

    /// How much memory it takes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.memory.capacity()
    }

    /// The last bytes up to the end of the content, and before it where it is shorter.
    pub(super) fn last(&self, length: usize) -> &[u8] {
        let start = self.content.end.saturating_sub(length);
        self.memory.get(start..self.content.end).unwrap_or_default()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // The pool may have ended, with nothing left to fill.
        let _ = self.home.send(core::mem::take(&mut self.memory));
    }
}

/// Memory for chunks. There are only so many: whoever fills them waits for those who read them.
pub(super) struct Pool {
    made: usize,
    home: Sender<Vec<u8>>,
    back: Receiver<Vec<u8>>,
    /// What came back, the last on top: that is what the caches of the processor still hold.
    spare: Vec<Vec<u8>>,
}

impl Pool {
    pub(super) fn new() -> Self {
        let (home, back) = channel();
        Self {
            made: 0,
            home,
            back,
            spare: Vec::new(),
        }
    }

    /// Memory with room for `size` bytes, and no more than `most` pieces of it at a time, at
    /// least one. What its first bytes are is left open.
    ///
    /// # Errors
    ///
    /// There is no such memory.
    pub(super) fn take(&mut self, size: usize, most: usize) -> Result<Vec<u8>, TryReserveError> {
        loop {
            self.spare.extend(self.back.try_iter());
            let mut memory = match self.spare.pop() {
                Some(memory) => memory,
                None if self.made < most => {
                    self.made += 1;
                    Vec::new()
                }
                // `home` is an end of the same channel: it comes in any case.
                None => self.back.recv().unwrap_or_default(),
            };
            if self.made > most {
                // There were more of the smaller ones.
                self.made -= 1;
                continue;
            }
            if memory.capacity() < size {
                memory = Vec::new();
                memory.try_reserve_exact(size)?;
            }
            return Ok(memory);
        }
    }

    /// As [`Self::take`], as a chunk of this size. What its bytes are is left open.
    ///
    /// # Errors
    ///
    /// As [`Self::take`].
    pub(super) fn lend(&mut self, size: usize, most: usize) -> Result<Chunk, TryReserveError> {
        let mut memory = self.take(size, most)?;
        // It never becomes shorter: what it has once had need not be cleared again.
        if memory.len() < size {
            memory.resize(size, 0);
        }
        Ok(Chunk {
            memory,
            content: 0..size,
            home: self.home.clone(),
        })
    }

    /// Makes a chunk of memory that was taken.
    pub(super) fn chunk(&self, memory: Vec<u8>, content: Range<usize>) -> Arc<Chunk> {
        Arc::new(Chunk {
            memory,
            content,
            home: self.home.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn memory_comes_back_when_the_last_lets_go_of_it() {
        let mut pool = Pool::new();
        let mut memory = pool.take(100, 1).unwrap();
        memory.resize(100, 7);
        let place = memory.as_ptr();
        let chunk = pool.chunk(memory, 20..50);
        assert_eq!(chunk.content(), [7; 30]);
        assert_eq!(chunk.last(40).len(), 40);
        let other = Arc::clone(&chunk);
        drop(chunk);
        assert!(pool.back.try_recv().is_err());
        let holder = thread::spawn(move || other.content().len());
        // It waits for the thread.
        let memory = pool.take(100, 1).unwrap();
        assert_eq!(holder.join().unwrap(), 30);
        assert_eq!((memory.as_ptr(), pool.made), (place, 1));
    }

    #[test]
    fn of_larger_ones_there_are_fewer() {
        let mut pool = Pool::new();
        let three = [(); 3].map(|()| pool.take(10, 3).unwrap());
        let [first, second, third] = three.map(|memory| pool.chunk(memory, 0..0));
        drop((first, second));
        let larger = pool.take(1000, 2).unwrap();
        assert!(larger.capacity() >= 1000);
        assert_eq!((pool.made, pool.spare.len()), (2, 0));
        drop(third);
        assert!(pool.take(1000, 2).unwrap().capacity() >= 1000);
        assert!(pool.take(usize::MAX, 3).is_err());
    }
}
