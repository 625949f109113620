//! Compressed content: which pcluster holds a byte, and what it decodes to.
//!
//! A compressed file is cut into *extents*, each of which was compressed on its own into a
//! *pcluster* (physical cluster). Where they are is said by one *index* for each *lcluster*
//! (logical cluster, a run of the content of one size), in one of two forms, or by a list of
//! extents. Small tails lie behind the indexes, or with others in the content of the *packed
//! inode*. Follows `fs/erofs/zmap.c`, `zdata.c` and `decompressor*.c` of Linux 7.2; erofs-utils'
//! `lib/zmap.c` and `decompress.c` say nearly the same.
//!
//! | module | what it reads |
//! |---|---|
//! | `header` | the map header |
//! | `find` | the map: from a byte to its extent, which is held against what a pcluster can be |
//! | `lcluster` | indexes: from a byte back to the head of its extent, and on to its end |
//! | `full`, `compact` | the two forms of indexes |
//! | `extents` | encoded extents |
//! | `records` | the records of a map, of whatever form |
//! | `lookahead` | the distances to the next head, for the check |
//! | `sparse` | holes that older kernels do not know, for the check |
//! | `read` | the bytes of a pcluster, and what they decode to |
//! | `decode` | LZ4, MicroLZMA, DEFLATE, zstd |
//!
//! What they pass to each other are data: a `map`, an `index`, a `pcluster`. What is kept from one
//! read to the next is `state`.

mod compact;
mod decode;
mod extents;
mod find;
mod full;
mod header;
mod index;
mod lcluster;
mod lookahead;
mod map;
mod pcluster;
mod read;
mod records;
mod sparse;
mod state;

use self::map::{Cursor, Map, Mapped, Source};
pub use self::pcluster::{Encoding, Pcluster};
use self::records::Records;
use self::state::Role;
pub(super) use self::state::{Lock, State};
use super::{Extent, Image, Incompat, Inode, Place, ReadAt, ReadResult};
use crate::{At, Code, Error, Value};

impl<R: ReadAt> Image<R> {
    /// The extent of a compressed inode that holds the byte `offset`; at and beyond the end a
    /// hole without a length.
    pub(super) fn compressed_extent(&self, inode: &Inode, offset: u64) -> ReadResult<Extent, R> {
        if offset >= inode.size {
            return Ok(Extent {
                offset,
                length: 0,
                place: Place::Hole,
            });
        }
        let mapped = self.mapped(inode, offset)?;
        Ok(Extent {
            offset: mapped.start,
            length: mapped.length,
            place: match mapped.source {
                Source::Hole | Source::Sparse(_) => Place::Hole,
                Source::Pcluster(pcluster) => Place::Encoded(pcluster),
                Source::Fragment(offset) => Place::Fragment { offset },
            },
        })
    }

    /// The map behind a compressed inode, header and records: from its start to the byte after
    /// its end, in bytes of the space that the inode lies in.
    pub(super) fn map_table(&self, inode: &Inode) -> ReadResult<(u64, u64), R> {
        let mut records = Records::new(self, self.space(inode.nid))?;
        let map = Map::load(&self.superblock, inode, &mut records)?;
        Ok((map.header, map.end()))
    }

    /// Fills `buf` with the content of a compressed inode from `offset` on, which must all be
    /// there.
    ///
    /// An extent that `buf` takes whole is decoded straight into it. Of others the decoded
    /// bytes are kept, so that reading on decodes no pcluster twice.
    pub(super) fn read_compressed(
        &self,
        inode: &Inode,
        mut offset: u64,
        mut buf: &mut [u8],
    ) -> ReadResult<(), R> {
        while !buf.is_empty() {
            let mapped = self.mapped(inode, offset)?;
            let within = offset.saturating_sub(mapped.start);
            let left = mapped.length.saturating_sub(within);
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
            let Some((part, rest)) = buf.split_at_mut_checked(take).filter(|_| take > 0) else {
                return Err(outside(inode, offset).into());
            };
            match mapped.source {
                Source::Hole | Source::Sparse(_) => part.fill(0),
                Source::Fragment(at) => self.read_packed(inode, at, within, part)?,
                Source::Pcluster(pcluster) => {
                    self.read_pcluster(inode, &mapped, &pcluster, within, part)?;
                }
            }
            offset = offset.saturating_add(take as u64);
            buf = rest;
        }
        Ok(())
    }

    /// The extent that holds a byte of the content.
    fn mapped(&self, inode: &Inode, offset: u64) -> ReadResult<Mapped, R> {
        if offset >= inode.size {
            return Err(outside(inode, offset).into());
        }
        let role = self.role(inode);
        let known = {
            let state = self.compressed.borrow();
            let track = state.track(role);
            if let Some(mapped) = track.extent(inode, offset) {
                return Ok(mapped);
            }
            track.map(inode)
        };
        let mut records = Records::new(self, self.space(inode.nid))?;
        let (map, mut cursor) = match known {
            Some(known) => known,
            None => (
                Map::load(&self.superblock, inode, &mut records)?,
                Cursor::default(),
            ),
        };
        let mapped = map.find(&mut records, &mut cursor, offset)?;
        self.compressed
            .borrow_mut()
            .track_mut(role)
            .found(map, cursor, mapped);
        Ok(mapped)
    }

    /// What this inode is read as.
    fn role(&self, inode: &Inode) -> Role {
        if Some(inode.nid) == self.superblock.metabox_nid {
            Role::Metabox
        } else if inode.nid == self.superblock.packed_nid {
            Role::Packed
        } else {
            Role::File
        }
    }

    /// Fills `part` from the packed inode, where the extent of `inode` starts at `at` (its
    /// fragment), from `within` on.
    fn read_packed(
        &self,
        inode: &Inode,
        at: u64,
        within: u64,
        part: &mut [u8],
    ) -> ReadResult<(), R> {
        let superblock = &self.superblock;
        if !superblock.incompat.has(Incompat::FRAGMENTS) || superblock.packed_nid == 0 {
            return Err(Error::new(Code::FragmentInode, At::Nid(inode.nid)).into());
        }
        let lock = self.packed_lock.take_if_free();
        let Some(_lock) = lock.filter(|_| inode.nid != superblock.packed_nid) else {
            return Err(Error::new(Code::FragmentLoop, At::Nid(inode.nid)).into());
        };
        let known = self.compressed.borrow().packed;
        let packed = match known {
            Some(packed) => packed,
            None => {
                let packed = self.inode(superblock.packed_nid)?;
                self.compressed.borrow_mut().packed = Some(packed);
                packed
            }
        };
        let start = at.saturating_add(within);
        let end = start.saturating_add(part.len() as u64);
        if end > packed.size {
            return Err(Error::new(Code::FragmentBounds, At::Nid(inode.nid))
                .found(Value::Number(end))
                .expected(Value::AtMost(packed.size))
                .into());
        }
        self.read(&packed, start, part)?;
        Ok(())
    }
}

/// A byte that is not in the content.
fn outside(inode: &Inode, offset: u64) -> Error {
    Error::new(Code::MapIndex, At::File(inode.nid, offset))
        .found(Value::Number(offset))
        .expected(Value::AtMost(inode.size.saturating_sub(1)))
}
