//! Entries of indexes that cannot be used: which of them could be the image that is meant.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::choose::{Search, fit};
use super::tree::{Node, Reader};
use super::{NotFound, UnusableEntry};
use crate::Error;
use crate::oci::{Digest, Platform, Unusable};

/// An entry that cannot be used.
pub(super) struct Aside {
    /// The entry of the layout's index that leads to it; `None` where it is one itself.
    top: Option<usize>,
    /// The index that lists it, where that is not the layout's.
    within: Option<Digest>,
    /// The entry, with the platform that is stated on the way to it.
    entry: Unusable,
}

impl Aside {
    fn fault(&self) -> NotFound {
        self.instead_of(None)
    }

    fn instead_of(&self, other: Option<Digest>) -> NotFound {
        NotFound::Unusable(Box::new(UnusableEntry {
            within: self.within,
            error: self.entry.error,
            other,
        }))
    }
}

impl Reader<'_> {
    /// Keeps the entries of an index that cannot be used: of that which a node leads to, or of
    /// the layout's.
    pub(super) fn keep_unusable(&mut self, entries: &[Unusable], node: Option<&Node>) {
        let on_the_way = node.and_then(|node| {
            let own = node.descriptor.platform.as_ref();
            own.or(node.platform.as_ref())
        });
        self.unusable.extend(entries.iter().map(|entry| {
            let mut entry = entry.clone();
            entry.platform = entry.platform.or_else(|| on_the_way.cloned());
            Aside {
                top: node.map(|node| node.top),
                within: node.map(|node| node.descriptor.digest),
                entry,
            }
        }));
    }
}

impl Search<'_> {
    /// Those that may be images and have the name that is asked for.
    fn candidates(&self) -> impl Iterator<Item = &Aside> {
        let named =
            |aside: &&Aside| aside.top.is_some() || aside.entry.is_named(self.wanted.reference);
        let inside = self.reader.unusable.iter().skip(self.outside);
        inside
            .filter(named)
            .filter(|aside| aside.entry.may_be_image())
    }

    /// One that may be meant where no other entry is, for this platform where there is one.
    pub(super) fn unusable_for(&self, wanted: Option<&Platform>) -> Option<NotFound> {
        let fits = |aside: &&Aside| match wanted {
            Some(wanted) => fit(wanted, aside.entry.platform.as_ref(), false).is_some(),
            None => true,
        };
        self.candidates().find(fits).map(Aside::fault)
    }

    /// The one that has a digest.
    pub(super) fn unusable_of(&self, digest: Digest) -> Option<NotFound> {
        let is_it = |aside: &&Aside| aside.entry.digest == Some(digest);
        self.reader.unusable.iter().find(is_it).map(Aside::fault)
    }

    /// The types of those that are artifacts.
    pub(super) fn unusable_artifacts(&self) -> impl Iterator<Item = String> {
        let entries = self.reader.unusable.iter().map(|aside| &aside.entry);
        entries
            .filter(|entry| entry.is_document)
            .filter_map(|entry| entry.artifact_type.clone())
    }

    /// One that could be meant as well as the manifest that would be chosen: for a platform that
    /// fits no worse, or of nobody knows which platform and of the same name. Its own layers are
    /// not known, so that the other's count as far as they are stated.
    pub(super) fn rival(&self, place: usize) -> Option<NotFound> {
        let leaf = self.leaves.get(place)?;
        let own = leaf.platform.as_ref();
        let wanted = self.wanted.platform.or(self.wanted.host).or(own);
        let best = wanted.and_then(|wanted| fit(wanted, own, leaf.states_erofs));
        let is_rival = |aside: &&Aside| match (&aside.entry.platform, wanted) {
            (Some(platform), Some(wanted)) => {
                let its = fit(wanted, Some(platform), platform.has_erofs());
                its.is_some() && best.is_none_or(|best| its <= Some(best))
            }
            (Some(_), None) => false,
            (None, _) => {
                let top = self.tops.get(leaf.top).filter(|_| aside.top.is_none());
                top.is_some_and(|top| aside.entry.names.iter().any(|name| top.has_name(name)))
            }
        };
        let rival = self.candidates().find(is_rival)?;
        Some(rival.instead_of(Some(leaf.digest())))
    }

    /// Why those cannot be used that are told where a manifest is found.
    pub(super) fn passed_over(&self, place: usize) -> Vec<Error> {
        let top = self.leaves.get(place).map(|leaf| leaf.top);
        let told = |aside: &&Aside| aside.top.is_none() || aside.top == top;
        let told = self.reader.unusable.iter().filter(told);
        told.map(|aside| aside.entry.error).collect()
    }
}
