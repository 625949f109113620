//! What is kept between reads, so that reading on costs no second look.

use alloc::vec::Vec;
use core::cell::Cell;

use super::super::Inode;
use super::decode::Decoders;
use super::map::{Cursor, Map, Mapped};
use super::pcluster::Pcluster;

/// What an inode is read as. Each role has a track of its own, since files, the packed inode
/// and the metabox are read by turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    File,
    Packed,
    Metabox,
}

/// What is known of the inode of a role that was read last.
#[derive(Debug, Default)]
pub(super) struct Track {
    map: Option<(Map, Cursor)>,
    extent: Option<Mapped>,
    /// What a pcluster decodes to, and which; not more than the largest decoded size.
    pub(super) decoded: Vec<u8>,
    pub(super) holds: Option<(Pcluster, u64)>,
}

impl Track {
    /// The map of this inode, where it was the last.
    pub(super) fn map(&self, inode: &Inode) -> Option<(Map, Cursor)> {
        self.map
            .filter(|(map, _)| map.nid == inode.nid && map.size == inode.size)
    }

    /// The extent that was found last, where it is this inode's and holds `offset`.
    pub(super) fn extent(&self, inode: &Inode, offset: u64) -> Option<Mapped> {
        self.map(inode)?;
        self.extent.filter(|extent| {
            offset
                .checked_sub(extent.start)
                .is_some_and(|within| within < extent.length)
        })
    }

    /// Keeps what was found.
    pub(super) fn found(&mut self, map: Map, cursor: Cursor, extent: Mapped) {
        self.map = Some((map, cursor));
        self.extent = Some(extent);
    }
}

/// Everything that reading compressed content keeps.
///
/// Memory: at most three decoded pclusters (12 MiB each), one encoded one (1 MiB) and the
/// decoders' contexts; all of it only from the first use on.
#[derive(Debug, Default)]
pub(in crate::erofs) struct State {
    tracks: [Track; 3],
    pub(super) decoders: Decoders,
    /// The encoded bytes of a pcluster.
    pub(super) input: Vec<u8>,
    /// The packed inode.
    pub(super) packed: Option<Inode>,
    /// The metabox inode.
    pub(in crate::erofs) metabox: Option<Inode>,
}

impl State {
    pub(super) fn track(&self, role: Role) -> &Track {
        let [file, packed, metabox] = &self.tracks;
        match role {
            Role::File => file,
            Role::Packed => packed,
            Role::Metabox => metabox,
        }
    }

    pub(super) fn track_mut(&mut self, role: Role) -> &mut Track {
        let [file, packed, metabox] = &mut self.tracks;
        match role {
            Role::File => file,
            Role::Packed => packed,
            Role::Metabox => metabox,
        }
    }
}

/// Stops a reading that would need itself: content of the packed inode in the packed inode,
/// metadata of the metabox in the metabox.
#[derive(Debug, Default)]
pub(in crate::erofs) struct Lock(Cell<bool>);

impl Lock {
    /// Takes the lock until what is returned is dropped; `None` when it is taken.
    pub(in crate::erofs) fn take_if_free(&self) -> Option<Locked<'_>> {
        if self.0.replace(true) {
            None
        } else {
            Some(Locked(&self.0))
        }
    }
}

/// A lock that is taken.
#[derive(Debug)]
pub(in crate::erofs) struct Locked<'a>(&'a Cell<bool>);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
