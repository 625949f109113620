//! The rules by which one of several manifests is meant, or none.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::tree::{Leaf, Node, Reader};
use super::{Documents, Fetched, Found, NotFound, Several, Wanted};
use crate::oci::{Descriptor, Digest, Document, FEATURE_EROFS, Index, Platform, Rank};
use crate::{At, Code, Error, Limits, Value};

/// How well an entry fits a platform; the lowest fits best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::oci) enum Fit {
    /// Its platform does; whether it is without EROFS, and how many features that were asked
    /// for by name it does without.
    Ranked(Rank, bool, usize),
    /// Nobody knows what it is for.
    Unknown,
}

/// How well an entry fits a platform, by its own and whether it has EROFS layers; `None` where
/// it does not.
pub(in crate::oci) fn fit(wanted: &Platform, own: Option<&Platform>, erofs: bool) -> Option<Fit> {
    let Some(own) = own else {
        return Some(Fit::Unknown);
    };
    let rank = wanted.rank(own)?;
    let lacks = wanted.lacks(own).next().is_some();
    (!lacks).then(|| Fit::Ranked(rank, !erofs, own.lacks(wanted).count()))
}

/// The place of the entry that fits a platform best. An entry is its digest, its platform and
/// whether it has EROFS layers.
///
/// # Errors
///
/// [`Code::PlatformNone`] when none fits, [`Code::ImageAmbiguous`] when entries of different
/// digests fit equally well.
pub(in crate::oci) fn best<'p>(
    wanted: &Platform,
    entries: impl Iterator<Item = (Digest, Option<&'p Platform>, bool)>,
) -> Result<usize, Error> {
    let mut best: Option<(Fit, usize, Digest)> = None;
    let mut tie = false;
    for (place, (digest, platform, erofs)) in entries.enumerate() {
        let Some(fit) = fit(wanted, platform, erofs) else {
            continue;
        };
        match best {
            Some((counted, ..)) if fit > counted => {}
            Some((counted, _, other)) if fit == counted => tie |= digest != other,
            _ => (best, tie) = (Some((fit, place, digest)), false),
        }
    }
    match best {
        Some((_, place, _)) if !tie => Ok(place),
        Some(_) => Err(Error::new(Code::ImageAmbiguous, At::Whole)),
        None => Err(Error::new(Code::PlatformNone, At::Whole)),
    }
}

/// An entry of the layout's index, or several of one digest.
pub(super) struct Top {
    pub(super) descriptor: Descriptor,
    /// All its names, in the order in which they are given.
    pub(super) names: Vec<String>,
    /// The same, to find one.
    known: BTreeSet<String>,
    /// Those that tell it from others.
    full: BTreeSet<String>,
}

impl Top {
    fn add(&mut self, entry: &Descriptor) {
        for name in entry.names().filter(|name| !name.is_empty()) {
            if self.known.insert(name.to_owned()) {
                self.names.push(name.to_owned());
            }
        }
        self.full.extend(entry.full_name().map(ToOwned::to_owned));
    }

    pub(super) fn new(entry: &Descriptor) -> Self {
        let mut top = Self {
            descriptor: entry.clone(),
            names: Vec::new(),
            known: BTreeSet::new(),
            full: BTreeSet::new(),
        };
        top.add(entry);
        top
    }

    /// Whether it has a name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// Its names, the full ones first.
    pub(super) fn full_first(&self) -> Vec<String> {
        let others = self.known.difference(&self.full);
        self.full.iter().chain(others).cloned().collect()
    }
}

/// A search for the manifest that is meant.
pub(super) struct Search<'a> {
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) reader: Reader<'a>,
    /// The entries of the layout's index that may be meant.
    pub(super) tops: Vec<Top>,
    /// The manifests that may be meant.
    pub(super) leaves: Vec<Leaf>,
    /// The types of artifacts that were passed over.
    artifacts: Vec<String>,
    /// How many of the entries that cannot be used lie outside of what the digest names.
    pub(super) outside: usize,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        wanted: &'a Wanted<'a>,
        limits: &'a Limits,
        documents: &'a mut dyn Documents,
    ) -> Self {
        Self {
            wanted,
            reader: Reader::new(documents, limits),
            tops: Vec::new(),
            leaves: Vec::new(),
            artifacts: Vec::new(),
            outside: 0,
        }
    }

    pub(super) fn find(mut self, index: &Index) -> Result<Found, NotFound> {
        let nodes = self.entries(index)?;
        let Some(digest) = self.wanted.digest else {
            self.images(nodes);
            self.one_image()?;
            let place = self.choose()?;
            return self.found(place);
        };
        match self.reader.pin(nodes, digest) {
            Some(mut node) => {
                // Who names it means it, whatever it says that it is.
                node.descriptor.artifact_type = None;
                if node.depth == 1 {
                    // The layout's index does not lead to it, the digest does.
                    self.reader.unusable.clear();
                }
                self.outside = self.reader.unusable.len();
                self.leaves = self.reader.leaves([node].into());
                let place = match self.leaves.as_slice() {
                    [leaf] if leaf.digest() == digest => 0,
                    _ => {
                        self.pass_over_artifacts();
                        self.learn(|leaf| leaf.platform.is_none());
                        self.choose()?
                    }
                };
                self.found(place)
            }
            None => {
                if let Some(fault) = self.unusable_of(digest) {
                    return Err(fault);
                }
                let nodes = self.entries(index)?;
                self.images(nodes);
                let chosen = self.one_image().and_then(|()| self.choose());
                let found = match chosen {
                    Ok(place) => self.leaves.get(place).map(Leaf::digest),
                    Err(_) => None,
                };
                Err(NotFound::Digest {
                    found,
                    expected: digest,
                })
            }
        }
    }

    /// The entries of the layout's index that have the name which is asked for, those of one
    /// digest and platform once.
    fn entries(&mut self, index: &Index) -> Result<Vec<Node>, NotFound> {
        self.tops.clear();
        self.reader.unusable.clear();
        self.reader.keep_unusable(&index.unusable, None);
        let mut places: BTreeMap<Digest, usize> = BTreeMap::new();
        let mut nodes: Vec<Node> = Vec::new();
        let named = |entry: &&Descriptor| match self.wanted.reference {
            Some(reference) => entry.names().any(|name| name == reference),
            None => true,
        };
        for entry in index.documents().filter(named) {
            let next = self.tops.len();
            let top = *places.entry(entry.digest).or_insert(next);
            match self.tops.get_mut(top) {
                Some(known) => {
                    known.add(entry);
                    if known.descriptor.platform == entry.platform {
                        continue;
                    }
                }
                None => self.tops.push(Top::new(entry)),
            }
            nodes.push(Node {
                top,
                descriptor: entry.clone(),
                platform: None,
                depth: 1,
            });
        }
        if nodes.is_empty() && self.wanted.reference.is_some() {
            return Err(self
                .unusable_for(None)
                .unwrap_or_else(|| self.no_name(index)));
        }
        Ok(nodes)
    }

    /// All manifests below these that are images, with their platforms.
    fn images(&mut self, nodes: Vec<Node>) {
        self.leaves = self.reader.leaves(nodes);
        self.pass_over_artifacts();
        self.learn(|leaf| leaf.platform.is_none());
    }

    /// Leaves out what says itself that it is an artifact. Where nothing else is there, one
    /// with EROFS layers is an image all the same.
    fn pass_over_artifacts(&mut self) {
        if self.leaves.iter().all(|leaf| leaf.artifact.is_some()) {
            for leaf in &mut self.leaves {
                if !leaf.known {
                    self.reader.look(leaf);
                    leaf.artifact.take_if(|_| leaf.erofs);
                }
            }
        }
        self.leave_out_artifacts();
    }

    fn leave_out_artifacts(&mut self) {
        let artifacts = &mut self.artifacts;
        self.leaves.retain_mut(|leaf| match leaf.artifact.take() {
            Some(name) => {
                artifacts.push(name);
                false
            }
            None => true,
        });
    }

    /// Looks at the documents of some manifests that were not looked at, and leaves out those
    /// that are artifacts. Whether there were any.
    fn learn(&mut self, which: impl Fn(&Leaf) -> bool) -> bool {
        let mut any = false;
        for leaf in &mut self.leaves {
            if !leaf.known && which(leaf) {
                self.reader.look(leaf);
                any = true;
            }
        }
        self.leave_out_artifacts();
        any
    }

    /// Leaves only what belongs to one image.
    fn one_image(&mut self) -> Result<(), NotFound> {
        loop {
            let Some(why) = self.several() else {
                return Ok(());
            };
            // Entries may be artifacts, or for other platforms than they state.
            if !self.learn(|_| true) {
                return Err(self.several_entries(why));
            }
        }
    }

    /// Why the entries are several images, if they are.
    fn several(&mut self) -> Option<Several> {
        if self.same_entry() {
            return None;
        }
        self.leave_out_listed();
        if self.same_entry() {
            return None;
        }
        let first = self.leaves.first()?.top;
        let name = |top: usize| self.tops.get(top).map(|top| &top.full);
        if self.leaves.iter().any(|leaf| name(leaf.top) != name(first)) {
            // Several names of the same manifests are one image.
            let mut below: BTreeMap<usize, BTreeSet<Digest>> = BTreeMap::new();
            for leaf in &self.leaves {
                below.entry(leaf.top).or_default().insert(leaf.digest());
            }
            let mut sets = below.values();
            let one = sets.next();
            if !sets.all(|set| Some(set) == one) {
                return Some(Several::Names);
            }
            self.leaves.retain(|leaf| leaf.top == first);
            return None;
        }
        self.a_platform_twice().then_some(Several::SameName)
    }

    /// Whether all manifests come from one entry.
    fn same_entry(&self) -> bool {
        let mut tops = self.leaves.iter().map(|leaf| leaf.top);
        let first = tops.next();
        tops.all(|top| Some(top) == first)
    }

    /// Leaves out entries without a name whose manifests an entry with a name leads to: some
    /// writers list each manifest of an index beside it.
    fn leave_out_listed(&mut self) {
        let tops = &self.tops;
        let is_named = |leaf: &Leaf| tops.get(leaf.top).is_some_and(|top| !top.full.is_empty());
        let named = self.leaves.iter().filter(|leaf| is_named(leaf));
        let below: BTreeSet<Digest> = named.map(Leaf::digest).collect();
        if below.is_empty() {
            return;
        }
        let others: BTreeSet<usize> = self
            .leaves
            .iter()
            .filter(|leaf| !is_named(leaf) && !below.contains(&leaf.digest()))
            .map(|leaf| leaf.top)
            .collect();
        self.leaves
            .retain(|leaf| is_named(leaf) || others.contains(&leaf.top));
    }

    /// Whether manifests of different entries are for the same platform, or may be.
    fn a_platform_twice(&self) -> bool {
        let mut given: BTreeMap<String, (usize, Digest)> = BTreeMap::new();
        for leaf in &self.leaves {
            let differs =
                |(top, digest): (usize, Digest)| top != leaf.top && digest != leaf.digest();
            let Some(platform) = &leaf.platform else {
                let mut all = self.leaves.iter();
                if all.any(|other| differs((other.top, other.digest()))) {
                    return true;
                }
                continue;
            };
            let mut platform = platform.clone().normalized();
            if leaf.erofs && !platform.has_erofs() {
                platform.os_features.push(FEATURE_EROFS.into());
            }
            let this = (leaf.top, leaf.digest());
            if differs(*given.entry(platform.full().to_string()).or_insert(this)) {
                return true;
            }
        }
        false
    }

    /// The manifest that is meant of one image.
    fn choose(&mut self) -> Result<usize, NotFound> {
        let (place, platform) = loop {
            let Some(first) = self.leaves.first() else {
                return Err(self.unusable_for(None).unwrap_or_else(|| self.nothing()));
            };
            let only = first.digest();
            let is_only = |leaf: &Leaf| leaf.digest() == only && self.is_entry(leaf);
            let only = self.leaves.iter().all(is_only);
            let wanted = match (self.wanted.platform, self.wanted.host) {
                (Some(wanted), _) => wanted,
                (None, _) if only => {
                    if self.looked_at(0) {
                        break (self.only()?, None);
                    }
                    continue;
                }
                (None, Some(host)) => host,
                (None, None) => return Err(self.several_manifests(Several::Platforms)),
            };
            let offered = self
                .leaves
                .iter()
                .map(|leaf| (leaf.digest(), leaf.platform.as_ref(), leaf.erofs));
            match best(wanted, offered) {
                Ok(place) => {
                    if self.looked_at(place) {
                        break (place, Some(wanted.clone()));
                    }
                }
                Err(error) if error.code() == Code::ImageAmbiguous => {
                    let fits = |leaf: &Leaf| {
                        let platform = leaf.platform.as_ref();
                        platform.is_none_or(|platform| wanted.rank(platform).is_some())
                    };
                    if !self.learn(fits) {
                        if let Some(place) = self.first_absent(fits) {
                            break (place, Some(wanted.clone()));
                        }
                        self.leaves.retain(fits);
                        return Err(self.several_manifests(Several::SamePlatform));
                    }
                }
                Err(_) => return Err(self.none_for(wanted)),
            }
        };
        match self.rival(place) {
            Some(fault) => Err(fault),
            None => self.there(place, platform),
        }
    }

    /// There is no image.
    fn nothing(&mut self) -> NotFound {
        let mut artifacts = core::mem::take(&mut self.artifacts);
        artifacts.extend(self.unusable_artifacts());
        NotFound::Nothing { artifacts }
    }

    /// The first of these manifests, if none of them is there and nobody knows what they are
    /// for.
    fn first_absent(&mut self, which: impl Fn(&Leaf) -> bool) -> Option<usize> {
        let reader = &mut self.reader;
        let mut they = self.leaves.iter().filter(|leaf| which(leaf));
        if they.any(|leaf| leaf.platform.is_some() || reader.has(&leaf.descriptor)) {
            return None;
        }
        self.leaves.iter().position(which)
    }

    /// Whether the documents of a manifest were looked at before. They are now: it may be an
    /// artifact, and its config may ask for features.
    fn looked_at(&mut self, place: usize) -> bool {
        match self.leaves.get_mut(place) {
            Some(leaf) if !leaf.known => {
                self.reader.look(leaf);
                self.leave_out_artifacts();
                false
            }
            _ => true,
        }
    }

    /// The only manifest, whose features must be there.
    fn only(&self) -> Result<usize, NotFound> {
        let nothing = Platform::default();
        let platform = self.leaves.first().and_then(|leaf| leaf.platform.as_ref());
        match platform {
            Some(platform) if nothing.lacks(platform).next().is_some() => {
                let mut wanted = platform.clone();
                wanted.os_features.clear();
                Err(self.none_for(&wanted))
            }
            _ => Ok(0),
        }
    }

    /// Whether a manifest is an entry of the layout's own index.
    pub(super) fn is_entry(&self, leaf: &Leaf) -> bool {
        let top = self.tops.get(leaf.top);
        top.is_some_and(|top| top.descriptor.digest == leaf.digest())
    }

    /// The manifest that is meant for this platform, if it is there.
    fn there(&mut self, place: usize, wanted: Option<Platform>) -> Result<usize, NotFound> {
        match self.leaves.get(place) {
            Some(leaf) if !self.reader.has(&leaf.descriptor) => {
                let (descriptor, platform) = (leaf.descriptor.clone(), leaf.platform.clone());
                Err(NotFound::Absent {
                    descriptor: Box::new(descriptor),
                    platform: platform.or(wanted).map(Box::new),
                    there: self.platforms_there(),
                })
            }
            _ => Ok(place),
        }
    }

    /// Reads the manifest that is meant.
    fn found(self, place: usize) -> Result<Found, NotFound> {
        let nothing = || NotFound::Nothing {
            artifacts: Vec::new(),
        };
        let passed_over = self.passed_over(place);
        let leaf = self.leaves.into_iter().nth(place).ok_or_else(nothing)?;
        let names = self.tops.into_iter().nth(leaf.top).map(|top| top.names);
        let descriptor = leaf.descriptor;
        let read = match &descriptor.data {
            Some(data) => Fetched::Document(data.clone()),
            None => self.reader.documents.read(&descriptor),
        };
        let Fetched::Document(document) = read else {
            return Err(NotFound::Unread(Box::new(descriptor)));
        };
        let limits = self.reader.limits;
        let parsed = descriptor
            .verify(&document)
            .and_then(|()| Document::parse(&document, Some(&descriptor.media_type), limits));
        match parsed {
            Ok(Document::Manifest(manifest)) => Ok(Found {
                names: names.unwrap_or_default(),
                descriptor,
                manifest: *manifest,
                passed_over,
            }),
            Ok(Document::Index(_)) => {
                let error = Error::new(Code::IndexDepth, At::Whole)
                    .expected(Value::AtMost(limits.index_depth.into()));
                Err(NotFound::Refused(Box::new(descriptor), error))
            }
            Err(error) => Err(NotFound::Refused(Box::new(descriptor), error)),
        }
    }
}
