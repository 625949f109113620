//! Our answer: the check at its full level, and the tree as our reader sees it.

use erofs_unpack_core::check::{self, Level, Options, Severity};
use erofs_unpack_core::erofs::{Data, FileType, Image, ReadError};
use erofs_unpack_core::oci::Policy;
use erofs_unpack_core::{Error, Limits};
use serde::{Deserialize, Serialize};

use super::listing::{self, Listing, Node};

/// What we say of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ours {
    /// Ids of the rules that are broken, or of what stopped the check; empty when it passed.
    pub refused: Vec<String>,
    /// Ids of the rules whose breach is a warning.
    pub warned: Vec<String>,
    /// Why the tree could not be read.
    pub unread: Option<String>,
    /// The digest of the tree.
    pub tree: Option<String>,
    /// The tree, when it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listing: Vec<String>,
}

/// Asks the core.
#[must_use]
pub fn run(bytes: &[u8], with_listing: bool) -> Ours {
    let mut options = Options::default();
    options.level = Level::Full;
    options.policy = Policy::Any;
    let mut ours = Ours::default();
    let checked = check::check(
        bytes,
        bytes.len() as u64,
        &Limits::DEFAULT,
        &options,
        &mut |finding| {
            let list = match finding.severity {
                Severity::Error => &mut ours.refused,
                Severity::Warning => &mut ours.warned,
            };
            let id = finding.error.id().to_owned();
            if !list.contains(&id) {
                list.push(id);
            }
        },
    );
    if let Err(error) = checked {
        ours.refused.push(id(error));
    }
    let listing = tree(bytes);
    ours.tree = listing.digest();
    if with_listing {
        ours.listing = listing.lines();
    }
    ours.unread = listing.error;
    ours
}

fn id<E: std::fmt::Display>(error: ReadError<E>) -> String {
    match error {
        ReadError::Refused(error) => error.id().to_owned(),
        ReadError::Source(error) => error.to_string(),
    }
}

/// The tree; up to what cannot be read.
fn tree(bytes: &[u8]) -> Listing {
    let mut listing = Listing::default();
    if let Err(error) = walk(bytes, &mut listing) {
        listing.fail(|| match error {
            ReadError::Refused(error) => describe(&error),
            ReadError::Source(error) => error.to_string(),
        });
    }
    listing
}

fn describe(error: &Error) -> String {
    format!("{}: {error}", error.id())
}

fn walk(
    bytes: &[u8],
    listing: &mut Listing,
) -> Result<(), ReadError<erofs_unpack_core::erofs::OutOfBounds>> {
    let image = Image::open(bytes, bytes.len() as u64, &Limits::DEFAULT)?;
    let mut walk = image.walk()?;
    while let Some(visit) = walk.next()? {
        let inode = visit.inode;
        let mut node = Node {
            path: visit.path.to_vec(),
            mode: inode.mode.into(),
            uid: inode.uid,
            gid: inode.gid,
            size: inode.size,
            mtime: inode.mtime,
            mtime_ns: inode.mtime_ns,
            nlink: inode.nlink.into(),
            ..Node::default()
        };
        if let Data::Device(major, minor) = inode.data {
            node.device = (major, minor);
        }
        let mut xattrs = image.xattrs(&inode)?;
        while let Some(xattr) = xattrs.next()? {
            node.xattrs
                .insert(xattr.name.to_vec(), xattr.value.to_vec());
        }
        match inode.file_type {
            FileType::Symlink => node.target = Some(image.read_link(&inode)?),
            FileType::Regular => {
                let digest = listing::digest(inode.size, |offset, buf| {
                    image.read(&inode, offset, buf).map(drop)
                });
                node.content = Some(digest?);
            }
            _ => {}
        }
        listing.nodes.push(node);
    }
    Ok(())
}
