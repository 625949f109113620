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
//! | `map` | the map header; holds an extent against what a pcluster can be |
//! | `lcluster` | indexes: from a byte back to the head of its extent, and on to its end |
//! | `full`, `compact` | the two forms of indexes |
//! | `extents` | encoded extents |
//! | `pcluster` | the bytes of a pcluster |
//! | `decode` | LZ4, MicroLZMA, DEFLATE, zstd |

mod compact;
mod decode;
mod extents;
mod full;
mod lcluster;
mod lookahead;
mod map;
mod pcluster;
mod records;
mod state;

use self::extents::Cursor;
use self::map::{Map, Mapped, Source};
use self::records::Records;
pub(super) use self::state::{Lock, State};
use super::{Extent, Image, Incompat, Inode, Place, ReadAt, ReadResult, Space};
use crate::{At, Code, Error, Value};

/// How the bytes of a pcluster encode content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Not at all: they are the content (`Z_EROFS_COMPRESSION_SHIFTED`).
    Shifted,
    /// Not at all, but turned round: content lies at the same place in its block as in the
    /// file, so what does not fit before the end of the last block is at the start of the
    /// first (`Z_EROFS_COMPRESSION_INTERLACED`).
    Interlaced,
    /// As one LZ4 block.
    Lz4,
    /// As a MicroLZMA stream: LZMA whose first byte is the inverted properties.
    Lzma,
    /// As a raw DEFLATE stream, RFC 1951.
    Deflate,
    /// As one zstd frame, RFC 8878.
    Zstd,
}

impl Encoding {
    /// The name that mkfs.erofs has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shifted => "shifted",
            Self::Interlaced => "interlaced",
            Self::Lz4 => "lz4",
            Self::Lzma => "lzma",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    /// Whether the bytes are the content itself, in whatever order.
    #[must_use]
    pub const fn is_plain(self) -> bool {
        matches!(self, Self::Shifted | Self::Interlaced)
    }
}

/// A physical cluster: a run of bytes that one extent is decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Pcluster {
    /// Whose bytes the offset counts, for one that lies with the metadata; `None` for the
    /// address space of the image and its devices (device 0).
    pub metadata: Option<Space>,
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Its size in bytes, padding included: at most 1 MiB.
    pub length: u64,
    /// How it is encoded.
    pub encoding: Encoding,
    /// Whether the extent is only the first part of what it decodes to.
    pub partial: bool,
}

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
                Source::Hole => Place::Hole,
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
                Source::Hole => part.fill(0),
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
