//! Files with several names.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use erofs_unpack_core::Value;
use erofs_unpack_core::erofs::Inode;
use rustix::fs::AtFlags;

use super::context::Context;
use super::directory::Directory;
use super::node::Node;
use super::skipped::Loss;
use crate::error::ExtractFault;
use crate::error::HostError;

/// The first name of a file with several.
#[derive(Debug)]
pub(super) struct First {
    pub(super) dir: Arc<Node>,
    pub(super) name: Box<[u8]>,
    pub(super) made: Made,
}

/// Whether a file was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// It was.
    Yes,
    /// It is not permitted, and was left out.
    LeftOut,
    /// It could not be, and the rest is created all the same.
    Failed,
}

/// The files with several names that were met, each until it was met as often as its link
/// count says, so that a whole image leaves nothing here.
#[derive(Debug, Default)]
pub(super) struct FirstNames {
    by_nid: HashMap<u64, (Arc<First>, u32)>,
}

impl FirstNames {
    /// Remembers the first name of a file.
    pub(super) fn add(
        &mut self,
        context: &Context<'_>,
        inode: &Inode,
        first: First,
    ) -> Result<(), HostError> {
        if self.by_nid.len() as u64 >= context.options.max_links {
            let limit = Value::AtMost(context.options.max_links);
            return Err(context.fault(ExtractFault::Links, &first.dir, &first.name, limit));
        }
        let left = inode.nlink.saturating_sub(1);
        self.by_nid.insert(inode.nid, (Arc::new(first), left));
        Ok(())
    }

    /// The first name of a file that is met again.
    pub(super) fn of(&mut self, inode: &Inode) -> Option<Arc<First>> {
        let (first, left) = self.by_nid.get_mut(&inode.nid)?;
        let first = Arc::clone(first);
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.by_nid.remove(&inode.nid);
        }
        Some(first)
    }
}

/// Gives files further names.
#[derive(Debug, Default)]
pub(super) struct Links {
    first: FirstNames,
    /// The directory that was opened last, for the next file from it.
    opened: Option<(Arc<Node>, OwnedFd)>,
    /// Directories above first names that this user cannot pass through once they have their
    /// permissions: these wait until all is done.
    held: Vec<Arc<Directory>>,
}

impl Links {
    /// The directories that were held back.
    pub(super) fn into_held(self) -> Vec<Arc<Directory>> {
        self.held
    }

    /// Remembers the first name of a file with several. `above` are the directories that it
    /// lies in.
    pub(super) fn add<'d>(
        &mut self,
        context: &Context<'_>,
        above: impl Iterator<Item = &'d Arc<Directory>>,
        inode: &Inode,
        first: First,
    ) -> Result<(), HostError> {
        if !context.options.everything {
            for dir in above {
                let is_closed = dir.inode.is_some_and(|inode| inode.mode & 0o100 == 0);
                if is_closed && !self.held.iter().any(|held| Arc::ptr_eq(held, dir)) {
                    self.held.push(Arc::clone(dir));
                }
            }
        }
        self.first.add(context, inode, first)
    }

    /// Gives a file that was met before another name; `false` when it was not.
    pub(super) fn link(
        &mut self,
        context: &Context<'_>,
        root: &Directory,
        dir: &Directory,
        name: &[u8],
        inode: &Inode,
    ) -> Result<bool, HostError> {
        let Some(first) = self.first.of(inode) else {
            return Ok(false);
        };
        match first.made {
            Made::Yes => {}
            Made::LeftOut => {
                let path = || context.outside(dir.node(), name);
                context.skipped.add(Loss::Link, path);
                context.progress.add_entry();
                return Ok(true);
            }
            // Why is said of the first name.
            Made::Failed => {
                return Err(context.fault(ExtractFault::Link, dir.node(), name, Value::None));
            }
        }
        let is_open = |(node, _): &&(Arc<Node>, OwnedFd)| Arc::ptr_eq(node, &first.dir);
        let from = if Arc::ptr_eq(&first.dir, dir.node()) {
            dir.fd()
        } else if let Some((_, fd)) = self.opened.as_ref().filter(is_open) {
            fd.as_fd()
        } else {
            let fd = root
                .descend(&first.dir.names())
                .map_err(|error| context.failed(&first.dir, b"", "open the directory", error))?;
            let opened = self.opened.insert((Arc::clone(&first.dir), fd));
            opened.1.as_fd()
        };
        context
            .create(dir, name, || {
                rustix::fs::linkat(from, &*first.name, dir.fd(), name, AtFlags::empty())
            })?
            .map_err(|error| context.failed(dir.node(), name, "link", error))?;
        context.progress.add_entry();
        Ok(true)
    }
}
