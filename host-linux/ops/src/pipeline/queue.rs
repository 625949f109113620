//! Bounded queues of reused buffers between two threads.

use core::cell::RefCell;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Size of a buffer, in bytes: smaller ones wake the threads so often that it can be measured.
const BUFFER_SIZE: usize = 512 << 10;
/// Buffers on each of the two queues.
const BUFFERS: usize = 6;

/// A buffer on its way between two threads.
pub(super) struct Buffer {
    pub(super) bytes: Box<[u8]>,
    pub(super) filled: usize,
}

impl Buffer {
    fn new() -> Self {
        Self {
            bytes: vec![0; BUFFER_SIZE].into_boxed_slice(),
            filled: 0,
        }
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

/// One end of a queue: sends full buffers and gets the emptied ones back.
pub(super) struct Filling {
    full: SyncSender<Buffer>,
    empty: Receiver<Buffer>,
    /// Emptied buffers that came back, the last one on top: that is the one which the caches of
    /// the processor still hold.
    spare: RefCell<Vec<Buffer>>,
}

/// The other end.
pub(super) struct Draining {
    pub(super) full: Receiver<Buffer>,
    empty: SyncSender<Buffer>,
}

/// The other side of a queue is gone: it has a reason of its own, which is told there.
pub(super) struct Gone;

/// A queue whose buffers are all empty.
pub(super) fn queue() -> (Filling, Draining) {
    let (full_in, full_out) = sync_channel(BUFFERS);
    let (empty_in, empty_out) = sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        // There is room for all of them.
        let _ = empty_in.try_send(Buffer::new());
    }
    let filling = Filling {
        full: full_in,
        empty: empty_out,
        spare: RefCell::default(),
    };
    let draining = Draining {
        full: full_out,
        empty: empty_in,
    };
    (filling, draining)
}

impl Filling {
    pub(super) fn empty(&self) -> Result<Buffer, Gone> {
        let mut spare = self.spare.borrow_mut();
        spare.extend(self.empty.try_iter());
        match spare.pop() {
            Some(buffer) => Ok(buffer),
            None => self.empty.recv().map_err(|_| Gone),
        }
    }

    pub(super) fn send(&self, buffer: Buffer) -> Result<(), Gone> {
        self.full.send(buffer).map_err(|_| Gone)
    }
}

impl Draining {
    /// Gives a buffer back, emptied.
    pub(super) fn recycle(&self, mut buffer: Buffer) {
        buffer.filled = 0;
        // The other side may have ended already, with nothing left to fill.
        let _ = self.empty.send(buffer);
    }
}
