//! Memory for a window that is too large to be a part of every chunk.

use std::collections::TryReserveError;

use erofs_unpack_core::codec::Step;
use erofs_unpack_core::{At, Code, Error};

/// The least that is decoded before the window is moved, in bytes.
const BESIDE: usize = 8 << 20;

/// The window, and before it what was in it.
pub(super) struct Window {
    memory: Vec<u8>,
    filled: usize,
}

impl Window {
    /// Memory that holds what was decoded last.
    ///
    /// # Errors
    ///
    /// There is no such memory.
    pub(super) fn new(last: &[u8]) -> Result<Self, TryReserveError> {
        let mut memory = Vec::new();
        memory.try_reserve_exact(last.len() + BESIDE)?;
        memory.extend_from_slice(last);
        Ok(Self {
            filled: memory.len(),
            memory,
        })
    }

    /// Decodes a block, and copies it to `output`, which has room for it. `keep` and `room` are
    /// the decoder's; `decode` is given the memory, and how much of it is filled.
    ///
    /// # Errors
    ///
    /// Those of `decode`; [`Code::ZstdMemory`].
    pub(super) fn decode(
        &mut self,
        (keep, room): (usize, usize),
        output: &mut [u8],
        decode: impl FnOnce(&mut [u8], usize) -> Result<Step, Error>,
    ) -> Result<Step, Error> {
        self.make_room(keep, room)
            .map_err(|_| Error::new(Code::ZstdMemory, At::Whole))?;
        let memory = &mut self.memory[..self.filled + room];
        let step = decode(memory, self.filled)?;
        let decoded = self.filled..self.filled + step.produced;
        output[..step.produced].copy_from_slice(&memory[decoded]);
        self.filled += step.produced;
        Ok(step)
    }

    fn make_room(&mut self, keep: usize, room: usize) -> Result<(), TryReserveError> {
        if self.filled + room > self.memory.capacity() {
            // With a part of the window beside it a byte is moved four times at most.
            let beside = BESIDE.max(keep / 4);
            if self.filled - keep >= beside {
                self.memory.copy_within(self.filled - keep..self.filled, 0);
                self.filled = keep;
            } else {
                let more = (keep + beside + room).saturating_sub(self.memory.len());
                self.memory.try_reserve_exact(more)?;
            }
        }
        let size = self.memory.len().max(self.filled + room);
        self.memory.resize(size, 0);
        Ok(())
    }
}
