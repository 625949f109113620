//! The manifests below the entries of an index, and what their documents say of them.

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::unusable::Aside;
use super::{Documents, Fetched};
use crate::Limits;
use crate::oci::{Config, Descriptor, Digest, Document, Index, Manifest, MediaKind, Platform};

/// What one document costs at least of what may be read, in bytes.
const COST: u64 = 4096;

/// A document that is to be looked into.
pub(super) struct Node {
    /// The entry of the layout's index that leads to it.
    pub(super) top: usize,
    pub(super) descriptor: Descriptor,
    /// The platform that an index on the way to it states.
    pub(super) platform: Option<Platform>,
    /// How many indexes lead to it.
    pub(super) depth: u32,
}

/// A manifest that an entry leads to, or an index that cannot be looked into.
pub(super) struct Leaf {
    /// The entry of the layout's index that leads to it.
    pub(super) top: usize,
    pub(super) descriptor: Descriptor,
    /// The platform that is stated on the way to it, else that of its config.
    pub(super) platform: Option<Platform>,
    /// Whether it has EROFS layers, by what is known.
    pub(super) erofs: bool,
    /// Whether the platform that is stated on the way to it says so.
    pub(super) states_erofs: bool,
    /// The type of the artifact that it is, if it is one.
    pub(super) artifact: Option<String>,
    /// Whether its documents were looked at, or could not be.
    pub(super) known: bool,
}

impl Leaf {
    fn new(node: Node) -> Self {
        let platform = node.descriptor.platform.clone().or(node.platform);
        let states_erofs = platform.as_ref().is_some_and(Platform::has_erofs);
        let artifact = node.descriptor.artifact_type.clone();
        Self {
            top: node.top,
            erofs: states_erofs,
            states_erofs,
            platform,
            artifact: artifact.filter(|_| node.descriptor.is_artifact()),
            known: node.descriptor.media_type.kind() != MediaKind::Manifest,
            descriptor: node.descriptor,
        }
    }

    pub(super) const fn digest(&self) -> Digest {
        self.descriptor.digest
    }
}

/// What reads documents, as many as may be.
pub(super) struct Reader<'a> {
    pub(super) documents: &'a mut dyn Documents,
    pub(super) limits: &'a Limits,
    /// How many bytes may still be read only to learn which image is meant.
    left: u64,
    /// The entries of indexes that cannot be used.
    pub(super) unusable: Vec<Aside>,
}

impl<'a> Reader<'a> {
    /// As much is read as a chain of the most indexes can hold, each of the largest size.
    pub(super) fn new(documents: &'a mut dyn Documents, limits: &'a Limits) -> Self {
        Self {
            documents,
            limits,
            left: limits.json_size.saturating_mul(limits.index_depth.into()),
            unusable: Vec::new(),
        }
    }

    /// Whether a document is there.
    pub(super) fn has(&mut self, descriptor: &Descriptor) -> bool {
        descriptor.data.is_some() || self.documents.has(descriptor)
    }

    /// A document that is there, may be read and is the one that is described.
    fn read(&mut self, descriptor: &Descriptor) -> Option<Vec<u8>> {
        if let Some(data) = &descriptor.data {
            return Some(data.clone());
        }
        let cost = descriptor.size.max(COST);
        self.left = self.left.checked_sub(cost)?;
        let Fetched::Document(document) = self.documents.read(descriptor) else {
            return None;
        };
        // It may be longer than was said.
        let more = (document.len() as u64).saturating_sub(cost);
        self.left = self.left.saturating_sub(more);
        descriptor.verify(&document).ok()?;
        Some(document)
    }

    /// The index that an entry leads to.
    pub(super) fn index(&mut self, descriptor: &Descriptor) -> Option<Index> {
        let document = self.read(descriptor)?;
        match Document::parse(&document, Some(&descriptor.media_type), self.limits) {
            Ok(Document::Index(index)) => Some(index),
            _ => None,
        }
    }

    /// Looks at a manifest and its config: what it is, and what it is for.
    pub(super) fn look(&mut self, leaf: &mut Leaf) {
        leaf.known = true;
        let Some(manifest) = self
            .read(&leaf.descriptor)
            .and_then(|document| Manifest::parse(&document, self.limits).ok())
        else {
            return;
        };
        if !manifest.is_image() {
            let name = match manifest.artifact_type.as_str() {
                "" => manifest.config.media_type.as_str(),
                name => name,
            };
            leaf.artifact = Some(name.to_owned());
            return;
        }
        leaf.erofs |= manifest.has_erofs_layer();
        if manifest.config.media_type.kind() != MediaKind::Config {
            return;
        }
        let Some(config) = self
            .read(&manifest.config)
            .and_then(|document| Config::parse(&document, self.limits).ok())
        else {
            return;
        };
        let learned = config.platform();
        match &mut leaf.platform {
            None if !learned.os.is_empty() => leaf.platform = Some(learned),
            Some(stated) if stated.os_features.is_empty() => {
                stated.os_features = learned.os_features;
            }
            _ => {}
        }
        leaf.erofs |= leaf.platform.as_ref().is_some_and(Platform::has_erofs);
    }

    /// All manifests below these documents, in their order, each once for a platform. An index
    /// that cannot be looked into stands for itself.
    pub(super) fn leaves(&mut self, nodes: Vec<Node>) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        let (mut indexes, mut known) = (BTreeSet::new(), BTreeSet::new());
        let mut stack = nodes;
        stack.reverse();
        while let Some(node) = stack.pop() {
            match self.below(&node, &mut indexes) {
                Below::Seen => {}
                Below::Nodes(nodes) => stack.extend(nodes.into_iter().rev()),
                Below::Nothing => {
                    let leaf = Leaf::new(node);
                    let platform = leaf.platform.as_ref();
                    let platform = platform.map(|platform| platform.full().to_string());
                    if known.insert((leaf.top, leaf.digest(), platform)) {
                        leaves.push(leaf);
                    }
                }
            }
        }
        leaves
    }

    /// The document of this digest among these and below them.
    pub(super) fn pin(&mut self, nodes: Vec<Node>, digest: Digest) -> Option<Node> {
        let mut seen = BTreeSet::new();
        let mut indexes: Vec<Node> = Vec::new();
        let mut nodes = nodes;
        loop {
            let is_it = |node: &Node| node.descriptor.digest == digest;
            if let Some(place) = nodes.iter().position(is_it) {
                return Some(nodes.swap_remove(place));
            }
            nodes.retain(|node| node.descriptor.media_type.kind() == MediaKind::Index);
            indexes.extend(nodes.into_iter().rev());
            nodes = loop {
                if let Below::Nodes(nodes) = self.below(&indexes.pop()?, &mut seen) {
                    break nodes;
                }
            };
        }
    }

    /// What an index lists that can be an image.
    fn below(&mut self, node: &Node, seen: &mut BTreeSet<Digest>) -> Below {
        let descriptor = &node.descriptor;
        if descriptor.media_type.kind() != MediaKind::Index || descriptor.is_artifact() {
            return Below::Nothing;
        }
        if node.depth >= self.limits.index_depth {
            return Below::Nothing;
        }
        // Each is read once, however often it is listed.
        if !seen.insert(descriptor.digest) {
            return Below::Seen;
        }
        let Some(index) = self.index(descriptor) else {
            return Below::Nothing;
        };
        self.keep_unusable(&index.unusable, Some(node));
        let platform = descriptor.platform.as_ref().or(node.platform.as_ref());
        let entries = index.manifests.into_iter();
        Below::Nodes(
            entries
                .filter(Descriptor::is_document)
                .map(|descriptor| Node {
                    top: node.top,
                    descriptor,
                    platform: platform.cloned(),
                    depth: node.depth.saturating_add(1),
                })
                .collect(),
        )
    }
}

/// What lies below a document.
enum Below {
    /// It is no index, or one that cannot be looked into.
    Nothing,
    /// It was looked into before.
    Seen,
    /// What the index lists.
    Nodes(Vec<Node>),
}
