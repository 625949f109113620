//! What the members of an archive mean: which are the documents and blobs of a layout, and what
//! their links lead to.
//!
//! Documents are held by their names alone, so there is one of each, a file or a hard link to one
//! before it. Blobs are held by their digests: whatever they lead to is verified by those, so they
//! may be links of either sort to any member, and come twice where both are equal.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use erofs_unpack_core::oci::{Algorithm, Digest};

use super::archive::Key;
use super::blob::Extent;
use super::tar::{Member, Members, Stop, Type};
use crate::error::SourceFault;

/// The most symbolic links on the way to a member, as the kernel's own limit is a few dozen.
const LINKS: u32 = 8;

/// Where the content of a member lies in the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// As it is.
    Whole { offset: u64, size: u64 },
    /// Without its holes, behind headers that start here.
    Sparse { start: u64 },
}

/// A blob that is there once more.
#[derive(Debug)]
pub(super) struct Double {
    pub(super) digest: Digest,
    /// Where its header starts.
    pub(super) header: u64,
    pub(super) place: Result<Place, SourceFault>,
}

/// What an archive holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The members that mean something, the first of each; why not, for those that cannot be read,
    /// which are refused when they are asked for.
    pub(super) members: BTreeMap<Key, Result<Place, SourceFault>>,
    /// The blobs that are there once more, in their order.
    pub(super) doubles: Vec<Double>,
    /// Whether it ends without an end marker.
    pub(super) is_cut: bool,
    /// A folder in it that holds a layout.
    pub(super) folder: Option<Vec<u8>>,
}

impl Contents {
    /// Whether there is any blob.
    pub(super) fn has_blob(&self) -> bool {
        self.members.keys().any(|key| matches!(key, Key::Blob(_)))
    }
}

/// What a name in an archive stands for.
#[derive(Clone, Copy, Debug)]
enum Node {
    Content(Place),
    /// A symbolic link to another name.
    Link(NameId),
    Fault(SourceFault),
}

/// A name by its digest: names are as long as their writer likes, and any may be a link's target.
type NameId = Digest;

fn id_of(name: &[u8]) -> NameId {
    Algorithm::Sha256.digest(name)
}

/// Reads an archive of at most `limit` headers.
pub(super) fn read_members(archive: &Extent, limit: u64) -> Result<Contents, Stop> {
    let mut contents = Contents::default();
    let mut nodes: BTreeMap<NameId, Node> = BTreeMap::new();
    // The nodes of blobs, in their order: what links lead to is known at the end.
    let mut blobs: Vec<(Digest, u64, Node)> = Vec::new();
    let mut members = Members::new(archive, limit);
    while let Some(member) = members.next()? {
        // Others would take it for a document.
        let alias = member.alias.as_deref().and_then(Key::of);
        if alias.is_some_and(|key| !matches!(key, Key::Blob(_))) {
            return Err(Stop::Fault(SourceFault::ArchiveSparse, member.header));
        }
        let node = node_of(&member, &nodes);
        let id = id_of(&member.name);
        match Key::of(&member.name) {
            Some(Key::Blob(digest)) => {
                blobs.push((digest, member.header, node));
                // Those that follow must be equal to the first.
                nodes.entry(id).or_insert(node);
                continue;
            }
            Some(key) => {
                let place = document(&member, node);
                if contents.members.insert(key, place).is_some() {
                    let fault = SourceFault::ArchiveDuplicate;
                    return Err(Stop::Fault(fault, member.header));
                }
            }
            None => contents.note_folder(&member.name),
        }
        // A link leads to what has the name when it is followed, so one of two is no answer.
        nodes
            .entry(id)
            .and_modify(|known| {
                if !matches!(known, Node::Fault(SourceFault::ArchiveMember)) {
                    *known = Node::Fault(SourceFault::ArchiveLink);
                }
            })
            .or_insert(node);
    }
    contents.is_cut = members.is_cut();
    let index = |folder: &Vec<u8>| [folder, &b"/index.json"[..]].concat();
    contents.folder = contents
        .folder
        .filter(|folder| nodes.contains_key(&id_of(&index(folder))));
    for (digest, header, node) in blobs {
        let place = resolve(node, &nodes);
        match contents.members.entry(Key::Blob(digest)) {
            Entry::Vacant(first) => {
                first.insert(place);
            }
            Entry::Occupied(_) => contents.doubles.push(Double {
                digest,
                header,
                place,
            }),
        }
    }
    Ok(contents)
}

impl Contents {
    /// Notes the first folder that may hold a layout.
    fn note_folder(&mut self, name: &[u8]) {
        if let Some(folder) = name.strip_suffix(b"/oci-layout")
            && !folder.contains(&b'/')
            && self.folder.is_none()
        {
            self.folder = Some(folder.to_vec());
        }
    }
}

/// What a member is, by itself and by what comes before it.
fn node_of(member: &Member, before: &BTreeMap<NameId, Node>) -> Node {
    match member.kind {
        Type::Sparse => Node::Content(Place::Sparse {
            start: member.start,
        }),
        Type::File => Node::Content(Place::Whole {
            offset: member.offset,
            size: member.size,
        }),
        // Only to what is there already, as tar(1) would have to find it.
        Type::HardLink => match before.get(&id_of(&member.link)) {
            Some(node) => *node,
            None => Node::Fault(SourceFault::ArchiveLink),
        },
        Type::SymLink => Node::Link(id_of(&member.link)),
        Type::LinkOut => Node::Fault(SourceFault::ArchiveLink),
        Type::Other => Node::Fault(SourceFault::ArchiveMember),
    }
}

/// Where a document lies: a file that is stored whole, or a hard link to one.
fn document(member: &Member, node: Node) -> Result<Place, SourceFault> {
    match node {
        Node::Content(place @ Place::Whole { .. }) => Ok(place),
        Node::Content(Place::Sparse { .. }) => Err(SourceFault::ArchiveSparse),
        Node::Fault(fault) if member.kind == Type::HardLink => Err(fault),
        _ => Err(SourceFault::ArchiveMember),
    }
}

/// Where the content of a blob lies.
fn resolve(mut node: Node, nodes: &BTreeMap<NameId, Node>) -> Result<Place, SourceFault> {
    for _ in 0..=LINKS {
        match node {
            Node::Content(place) => return Ok(place),
            Node::Fault(fault) => return Err(fault),
            Node::Link(name) => match nodes.get(&name) {
                Some(next) => node = *next,
                None => break,
            },
        }
    }
    Err(SourceFault::ArchiveLink)
}
