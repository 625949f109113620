//! The second statement of where an extent ends: the distance to the next head.
//!
//! Our reader and the kernel's plain reads find the end by the next head itself. The kernel's
//! reading ahead, `FIEMAP` and erofs-utils go by the distance
//! (`z_erofs_get_extent_decompressedlen` in `fs/erofs/zmap.c`), so it must say the same.

use super::super::{Image, Inode, Layout, ReadAt, ReadResult};
use super::index::Kind;
use super::lcluster::Indexes;
use super::map::{Form, Map};
use super::records::Records;
use super::{compact, full};
use crate::{At, Code, Error, Value};

impl<R: ReadAt> Image<R> {
    /// Follows the distances from each head of a compressed inode; they must lead to the next
    /// one, or to the end of the content.
    ///
    /// # Errors
    ///
    /// [`Code::MapLookahead`], and what reading the map is refused for.
    pub(crate) fn check_lookahead(&self, inode: &Inode) -> ReadResult<(), R> {
        let mut records = Records::new(self, self.space(inode.nid))?;
        let map = Map::load(&self.superblock, inode, &mut records)?;
        if !matches!(map.form, Form::Indexes(_)) {
            return Ok(());
        }
        // Where the distances led so far.
        let mut reached = 0;
        let mut lcn = 0;
        while map.start_of(lcn) < map.size {
            let mut indexes = Indexes {
                records: &mut records,
                map: &map,
            };
            let next = lcn.saturating_add(1);
            if indexes.load(lcn)?.kind != Kind::NonHead {
                if reached > lcn {
                    return Err(Error::new(
                        Code::MapLookahead,
                        At::File(inode.nid, map.start_of(lcn)),
                    )
                    .found(Value::Number(reached))
                    .expected(Value::Number(lcn))
                    .into());
                }
                reached = next;
            } else if reached == lcn {
                let ahead = if map.layout == Layout::CompressedCompact {
                    compact::ahead(&mut records, &map, lcn)?
                } else {
                    full::ahead(&mut records, &map, lcn)?
                };
                // A zero counts as one, for images of the first mkfs.erofs.
                reached = lcn.saturating_add(ahead.max(1));
            }
            lcn = next;
        }
        Ok(())
    }
}
