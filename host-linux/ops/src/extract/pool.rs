//! The threads that create files, and what is handed to them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use erofs_unpack_core::erofs::Inode;

use super::directory::Directory;

/// Most files in a batch. Handing over costs some microseconds, creating a file about ten.
const FILES: usize = 64;
/// Content of a batch, in bytes, that is enough work for one turn.
const CONTENT: u64 = 1 << 20;
/// Most directories in a batch, each of which is an open descriptor.
const DIRECTORIES: usize = 16;
/// Batches that wait.
const WAITING: usize = 2;

/// Something to do.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) dir: Arc<Directory>,
    /// The name of the file to create, and the file; `None` when all that the directory holds
    /// has been handed out.
    pub(super) file: Option<(Box<[u8]>, Inode)>,
}

/// Tasks that one thread does in their order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) tasks: Vec<Task>,
    content: u64,
    directories: usize,
}

impl Batch {
    /// Adds a task; `true` when the batch is full.
    pub(super) fn add(&mut self, task: Task) -> bool {
        if let Some((_, inode)) = &task.file {
            self.content = self.content.saturating_add(inode.size);
        }
        if !self
            .tasks
            .last()
            .is_some_and(|last| Arc::ptr_eq(&last.dir, &task.dir))
        {
            self.directories += 1;
        }
        self.tasks.push(task);
        self.tasks.len() >= FILES || self.content >= CONTENT || self.directories >= DIRECTORIES
    }
}

/// A queue of batches with one end to put in and several to take out.
pub(super) fn queue() -> (SyncSender<Batch>, Taker) {
    let (sender, receiver) = sync_channel(WAITING);
    (sender, Taker(Arc::new(Mutex::new(receiver))))
}

/// An end to take out.
#[derive(Clone, Debug)]
pub(super) struct Taker(Arc<Mutex<Receiver<Batch>>>);

impl Taker {
    /// The next batch, or `None` when there will be no more.
    pub(super) fn take(&self) -> Option<Batch> {
        let receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.recv().ok()
    }
}
