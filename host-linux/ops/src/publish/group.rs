//! Files that appear together.

use std::sync::Arc;

use super::folder::Folder;
use super::unpublished::Unpublished;
use crate::error::HostError;

/// The layers of one image: none has a name until all of them have passed.
#[derive(Debug, Default)]
pub struct Group {
    members: Vec<Unpublished>,
}

impl Group {
    /// A group without files.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: Vec::new(),
        }
    }

    /// Adds a file that is complete and verified. The names appear in the order of these calls.
    pub fn push(&mut self, file: Unpublished) {
        self.members.push(file);
    }

    /// How many files there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Gives all files their names, in order, and then `last` its own: the document that
    /// describes them, whose presence says that all others are there.
    ///
    /// When a name cannot be given, those that were given before are taken back, except where
    /// they replaced another file, and a folder that was made for them is removed.
    ///
    /// # Errors
    ///
    /// As [`Unpublished::publish`].
    pub fn publish(mut self, last: Option<Unpublished>) -> Result<(), HostError> {
        for member in self.members.iter().chain(&last) {
            member.seal()?;
        }
        // A name that is taken is found before any is given, if it is taken by then.
        for member in self.members.iter().chain(&last) {
            member.target().check()?;
        }
        let outcome = self.link_all(last);
        if outcome.is_err() {
            for member in &self.members {
                if !member.target().force() {
                    member.unlink();
                }
                member.target().folder().unmake();
            }
        }
        outcome
    }

    /// Links the members in order; they are durable when `last` is linked.
    fn link_all(&mut self, last: Option<Unpublished>) -> Result<(), HostError> {
        for member in &mut self.members {
            member.link()?;
        }
        let mut synced: Option<&Arc<Folder>> = None;
        for member in &self.members {
            let folder = member.target().folder();
            if !synced.is_some_and(|synced| Arc::ptr_eq(synced, folder)) {
                folder.sync()?;
                synced = Some(folder);
            }
        }
        last.map_or(Ok(()), Unpublished::publish_sealed)
    }
}
