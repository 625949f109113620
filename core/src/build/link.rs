//! Hard links, also to what comes later.

use alloc::vec::Vec;

use super::path::Place;
use super::tree::{Attributes, Body, Child, KEPT, Pending, ROOT, Tree, reserve};
use crate::erofs::FileType;
use crate::{At, Code, Error};

impl Tree {
    /// The inode that a hard link to `target` gets: that of the target where it is there, else one that
    /// stands for it until all has been told.
    pub(super) fn link(&mut self, target: &[u8], at: At) -> Result<u32, Error> {
        if let Some(inode) = self.find(target, at)? {
            return match self.directory(inode) {
                Some(_) => Err(Error::new(Code::BuildLink, at)),
                None => Ok(inode),
            };
        }
        self.charge(KEPT.saturating_add(target.len() as u64), at)?;
        let number =
            u32::try_from(self.pending.len()).map_err(|_| Error::new(Code::InodeLimit, at))?;
        reserve(&mut self.pending, at)?;
        self.pending.push(Pending {
            target: target.into(),
            at,
        });
        let attributes = Attributes::implied((0, 0));
        self.add(FileType::Regular, attributes, 0, Body::Pending(number), at)
    }

    /// The inode that a path names.
    fn find(&mut self, path: &[u8], at: At) -> Result<Option<u32>, Error> {
        Ok(match self.place(path, None, at)? {
            Some(Place::Root) => Some(ROOT),
            Some(Place::Name(directory, name)) => self
                .child(directory, name)
                .filter(|child| !self.is_only_whiteout(*child))
                .map(|child| child.inode),
            None => None,
        })
    }

    /// Leads the names that stand for later entries to those.
    ///
    /// # Errors
    ///
    /// [`Code::BuildLink`] when one leads nowhere, to a directory or to itself.
    pub(super) fn resolve_links(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        // What each stands for; a chain of them is followed to its end.
        let mut meant: Vec<Option<u32>> = Vec::new();
        meant
            .try_reserve_exact(self.pending.len())
            .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
        for number in 0..self.pending.len() {
            let Some(pending) = self.pending.get(number) else {
                break;
            };
            let (target, at) = (pending.target.clone(), pending.at);
            meant.push(self.find(&target, at)?);
        }
        let mut replacements = Vec::new();
        for directory in 0..self.directories.len() {
            let Some(here) = self.directories.get(directory) else {
                break;
            };
            for (name, child) in &here.children {
                if let Some(Body::Pending(number)) = self.inode(child.inode).map(|to| to.body) {
                    replacements.push((directory, name.clone(), *child, number));
                }
            }
        }
        for (directory, name, child, number) in replacements {
            let inode = self.follow(number, &mut meant)?;
            if let Some(here) = self.directories.get_mut(directory) {
                here.children.insert(name, Child { inode, ..child });
            }
        }
        Ok(())
    }

    /// The inode at the end of a chain of links, which are then led straight to it: a chain is
    /// walked once, however many begin in it.
    fn follow(&self, number: u32, meant: &mut [Option<u32>]) -> Result<u32, Error> {
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let at = self
            .pending
            .get(place(number))
            .map_or(At::Whole, |pending| pending.at);
        let fault = Error::new(Code::BuildLink, at);
        let mut chain = Vec::new();
        let mut next = number;
        let inode = loop {
            // One that comes twice leads in a circle: it was taken out when it was passed.
            let inode = meant
                .get_mut(place(next))
                .and_then(Option::take)
                .ok_or(fault)?;
            reserve(&mut chain, at)?;
            chain.push(next);
            match self.inode(inode).map(|inode| inode.body) {
                Some(Body::Pending(further)) => next = further,
                Some(Body::Directory(_)) | None => return Err(fault),
                Some(_) => break inode,
            }
        };
        for passed in chain {
            if let Some(meant) = meant.get_mut(place(passed)) {
                *meant = Some(inode);
            }
        }
        Ok(inode)
    }
}
