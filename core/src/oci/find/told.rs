//! What there is to choose from, where no manifest is the one that is meant.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::choose::{Search, Top};
use super::tree::Leaf;
use super::{CHOICES, Choice, NotFound, Several};
use crate::oci::{Index, Platform};

impl Search<'_> {
    /// No image has the name: those that have one.
    pub(super) fn no_name(&mut self, index: &Index) -> NotFound {
        let named = || index.images().filter(|entry| entry.full_name().is_some());
        let mut choices = Vec::new();
        for entry in named().take(CHOICES) {
            choices.push(Choice {
                names: Top::new(entry).full_first(),
                platforms: entry.platform.clone().into_iter().collect(),
                digest: entry.digest,
                there: self.reader.has(entry),
            });
        }
        NotFound::Name {
            choices,
            count: named().count(),
        }
    }

    /// The platforms whose manifests are there.
    pub(super) fn platforms_there(&mut self) -> Vec<Platform> {
        let reader = &mut self.reader;
        let there = self.leaves.iter().take(CHOICES);
        there
            .filter(|leaf| reader.has(&leaf.descriptor))
            .filter_map(|leaf| leaf.platform.clone())
            .collect()
    }

    /// No manifest is for the platform, or one that is cannot be used.
    pub(super) fn none_for(&self, wanted: &Platform) -> NotFound {
        if let Some(fault) = self.unusable_for(Some(wanted)) {
            return fault;
        }
        let platforms = || self.leaves.iter().filter_map(|leaf| leaf.platform.as_ref());
        let fits = |offered: &&Platform| wanted.rank(offered).is_some();
        let needs: BTreeSet<&str> = platforms()
            .filter(fits)
            .flat_map(|offered| wanted.lacks(offered))
            .collect();
        let tops: BTreeSet<usize> = self.leaves.iter().map(|leaf| leaf.top).collect();
        let within = match (tops.len(), self.leaves.first()) {
            (1, Some(leaf)) => self.tops.get(leaf.top).map(|top| top.descriptor.digest),
            _ => None,
        };
        let is_entry = self.leaves.iter().any(|leaf| self.is_entry(leaf));
        NotFound::Platform {
            within: within.filter(|_| !is_entry),
            wanted: Box::new(wanted.clone()),
            offered: platforms().take(CHOICES).cloned().collect(),
            needs: needs.into_iter().map(ToOwned::to_owned).collect(),
        }
    }

    /// The entries that could be meant.
    pub(super) fn several_entries(&mut self, why: Several) -> NotFound {
        let mut below: BTreeMap<usize, Vec<Platform>> = BTreeMap::new();
        for leaf in &self.leaves {
            let platforms = below.entry(leaf.top).or_default();
            platforms.extend(leaf.platform.clone());
        }
        let count = below.len();
        let mut choices = Vec::new();
        for (top, platforms) in below.into_iter().take(CHOICES) {
            if let Some(top) = self.tops.get(top) {
                choices.push(Choice {
                    names: top.full_first(),
                    platforms,
                    digest: top.descriptor.digest,
                    there: self.reader.has(&top.descriptor),
                });
            }
        }
        NotFound::Several {
            why,
            choices,
            count,
        }
    }

    /// The manifests that could be meant.
    pub(super) fn several_manifests(&mut self, why: Several) -> NotFound {
        let (tops, reader) = (&self.tops, &mut self.reader);
        let choice = |leaf: &Leaf| Choice {
            names: tops.get(leaf.top).map(Top::full_first).unwrap_or_default(),
            platforms: leaf.platform.clone().into_iter().collect(),
            digest: leaf.digest(),
            there: reader.has(&leaf.descriptor),
        };
        NotFound::Several {
            why,
            choices: self.leaves.iter().take(CHOICES).map(choice).collect(),
            count: self.leaves.len(),
        }
    }
}
