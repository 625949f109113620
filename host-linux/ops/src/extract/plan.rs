//! The walk over the image that hands out what is to be created.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use erofs_unpack_core::Value;
use erofs_unpack_core::erofs::{FileType, Image, Inode, ReadAt};

use super::context::Context;
use super::directory::Directory;
use super::links::{First, Links, Made};
use super::make::Maker;
use super::names::Order;
use super::node::Node;
use super::paths::Found;
use super::pool::{Batch, Task};
use crate::error::ExtractFault;
use crate::error::HostError;

/// Walks over the image and makes directories and files with several names itself, so that
/// what lies in the ones and what refers to the others can follow at once.
pub(super) struct Planner<'a, R> {
    context: &'a Context<'a>,
    image: &'a Image<R>,
    maker: Maker<'a, R>,
    links: Links,
    root: Arc<Directory>,
    /// Where batches go; `None` when there is no other thread.
    sender: Option<SyncSender<Batch>>,
    batch: Batch,
}

/// A directory on the way down.
struct Level {
    dir: Arc<Directory>,
    order: Order,
}

impl Level {
    fn new(dir: Arc<Directory>) -> Self {
        Self {
            dir,
            order: Order::default(),
        }
    }
}

impl<'a, R: ReadAt<Error = io::Error>> Planner<'a, R> {
    pub(super) fn new(
        context: &'a Context<'a>,
        image: &'a Image<R>,
        root: Directory,
        sender: Option<SyncSender<Batch>>,
    ) -> Self {
        Self {
            context,
            image,
            maker: Maker::new(context, image),
            links: Links::default(),
            root: Arc::new(root),
            sender,
            batch: Batch::default(),
        }
    }

    /// Creates all that was asked for, as far as it is not left to other threads.
    pub(super) fn run(mut self, selection: &[Found]) -> Result<(), HostError> {
        for found in selection {
            let done = self.one(found);
            self.context.pass(done)?;
        }
        self.send()?;
        let held = self.links.into_held();
        for dir in held.into_iter().chain([self.root]) {
            release(&self.maker, dir)?;
        }
        Ok(())
    }

    /// Creates one of the things that were asked for.
    fn one(&mut self, found: &Found) -> Result<(), HostError> {
        let root = Arc::clone(&self.root);
        let Some((name, parents)) = found.names.split_last() else {
            return self.tree(root, &found.inode);
        };
        let mut levels = vec![Level::new(root)];
        for parent in parents {
            let above = last(&levels, self.context, parent)?;
            let inner = above.enter(self.context, parent, None)?;
            levels.push(Level::new(Arc::new(inner)));
        }
        let above = Arc::clone(last(&levels, self.context, name)?);
        if found.inode.file_type == FileType::Directory {
            let inner = above.enter(self.context, name, Some(found.inode))?;
            drop(levels);
            return self.tree(Arc::new(inner), &found.inode);
        }
        self.file(&levels, &above, name, &found.inode)
    }

    /// Creates what lies in a directory, which is open.
    fn tree(&mut self, dir: Arc<Directory>, inode: &Inode) -> Result<(), HostError> {
        let top = Arc::clone(dir.node());
        let mut walk = self.image.walk_from(*inode);
        let mut levels = vec![Level::new(dir)];
        loop {
            if self.context.is_stopped() {
                return Err(HostError::Cancelled);
            }
            let visit = match walk.next() {
                Ok(Some(visit)) => visit,
                Ok(None) => break,
                Err(error) => {
                    // The walk goes on behind it.
                    let unread = self.context.unread(&top, walk.path(), error);
                    self.context.pass(Err::<(), _>(unread))?;
                    continue;
                }
            };
            let depth = usize::try_from(visit.depth).unwrap_or(usize::MAX);
            if depth == 0 {
                if visit.inode.file_type != FileType::Directory {
                    return Err(self
                        .context
                        .fault(ExtractFault::Path, &top, b"", Value::None));
                }
                self.context.progress.add_entry();
                continue;
            }
            while levels.len() > depth
                && let Some(level) = levels.pop()
            {
                self.give(level.dir, None)?;
            }
            let Some(level) = levels.last_mut().filter(|level| level.dir.inode.is_some()) else {
                return Err(self
                    .context
                    .fault(ExtractFault::Path, &top, b"", Value::None));
            };
            let dir = Arc::clone(&level.dir);
            let in_order = level.order.check(visit.name).map_err(|fault| {
                self.context
                    .fault(fault, dir.node(), visit.name, Value::None)
            });
            if visit.inode.file_type == FileType::Directory {
                let inner =
                    in_order.and_then(|()| dir.enter(self.context, visit.name, Some(visit.inode)));
                match self.context.pass(inner)? {
                    Some(inner) => {
                        levels.push(Level::new(Arc::new(inner)));
                        self.context.progress.add_entry();
                    }
                    None => walk.skip_directory(),
                }
            } else if self.context.pass(in_order)?.is_some() {
                self.file(&levels, &dir, visit.name, &visit.inode)?;
            }
        }
        while let Some(level) = levels.pop() {
            self.give(level.dir, None)?;
        }
        Ok(())
    }

    /// Creates what is no directory.
    fn file(
        &mut self,
        levels: &[Level],
        dir: &Arc<Directory>,
        name: &[u8],
        inode: &Inode,
    ) -> Result<(), HostError> {
        if inode.nlink <= 1 {
            return self.give(Arc::clone(dir), Some((name.into(), *inode)));
        }
        let (context, root) = (self.context, &self.root);
        match context.pass(self.links.link(context, root, dir, name, inode))? {
            Some(false) => {}
            Some(true) | None => return Ok(()),
        }
        let made = match context.pass(self.maker.make(dir, name, inode))? {
            Some(true) => Made::Yes,
            Some(false) => Made::LeftOut,
            None => Made::Failed,
        };
        let above = levels.iter().map(|level| &level.dir);
        let first = First {
            dir: Arc::clone(dir.node()),
            name: name.into(),
            made,
        };
        self.links.add(context, above, inode, first)
    }

    /// Hands a task out, or does it.
    fn give(
        &mut self,
        dir: Arc<Directory>,
        file: Option<(Box<[u8]>, Inode)>,
    ) -> Result<(), HostError> {
        let task = Task { dir, file };
        if self.sender.is_none() {
            return perform(&mut self.maker, task);
        }
        if self.batch.add(task) {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), HostError> {
        let batch = core::mem::take(&mut self.batch);
        match &self.sender {
            // No thread takes it: all have failed.
            Some(sender) => sender.send(batch).map_err(|_| HostError::Cancelled),
            None => Ok(()),
        }
    }
}

/// The directory on the way down that is the deepest.
fn last<'l>(
    levels: &'l [Level],
    context: &Context<'_>,
    name: &[u8],
) -> Result<&'l Arc<Directory>, HostError> {
    levels
        .last()
        .map(|level| &level.dir)
        .ok_or_else(|| context.fault(ExtractFault::Path, &Node::root(), name, Value::None))
}

/// Does a task.
pub(super) fn perform<R: ReadAt<Error = io::Error>>(
    maker: &mut Maker<'_, R>,
    task: Task,
) -> Result<(), HostError> {
    if let Some((name, inode)) = &task.file {
        let made = maker.make(&task.dir, name, inode);
        maker.context.pass(made)?;
    }
    release(maker, task.dir)
}

/// Lets go of a directory. Who is the last to do so gives it its attributes: then nothing more
/// is created in it.
fn release<R: ReadAt<Error = io::Error>>(
    maker: &Maker<'_, R>,
    dir: Arc<Directory>,
) -> Result<(), HostError> {
    match Arc::into_inner(dir) {
        Some(dir) => {
            let finished = maker.finish(&dir);
            maker.context.pass(finished).map(drop)
        }
        None => Ok(()),
    }
}
