//! Pclusters that are holes to Linux 7.2 and newer, and something else to older kernels.
//!
//! A head of the full form can be marked as a hole (`Z_EROFS_LI_HOLE`); older kernels do not know the
//! mark and decode at the address that stands beside it. And a big pcluster can count no blocks;
//! Linux 6.17 to 7.1 take that for one block, older ones refuse to read. Follows
//! `z_erofs_load_full_lcluster` and `z_erofs_get_extent_compressedlen` in `fs/erofs/zmap.c` of Linux
//! 7.2, where both came with "erofs: add sparse support to pcluster layout".

use super::super::{Image, Inode, ReadAt, ReadError, ReadResult};
use super::map::{Mapped, Source};
use super::pcluster::Pcluster;
use crate::{At, Code, Error, Kind, Value};

/// How much of what older kernels read is looked at at once, in bytes.
const PIECE: usize = 4096;

impl<R: ReadAt> Image<R> {
    /// Whether the hole at `offset` of a compressed inode is one by a mark of Linux 7.2.
    pub(crate) fn is_sparse(&self, inode: &Inode, offset: u64) -> ReadResult<bool, R> {
        let mapped = self.mapped(inode, offset)?;
        Ok(matches!(mapped.source, Source::Sparse(_)))
    }

    /// Whether all kernels read the hole at `offset` of a compressed inode as one. `after_content`
    /// says whether the extent before it is no hole.
    ///
    /// # Errors
    ///
    /// [`Code::PclusterHole`] where they do not; what the source says.
    pub(crate) fn check_sparse(
        &self,
        inode: &Inode,
        offset: u64,
        after_content: bool,
    ) -> ReadResult<(), R> {
        let mapped = self.mapped(inode, offset)?;
        let Source::Sparse(pcluster) = mapped.source else {
            return Ok(());
        };
        let fault = Error::new(Code::PclusterHole, At::File(inode.nid, mapped.start));
        let map = self.compressed.borrow().track(self.role(inode)).map(inode);
        let Some((map, _)) = map else {
            return Err(fault.into());
        };
        // Linux 7.2 looks at the index of a byte first, and then at that of its head. Where the
        // first is the hole's and the second that of the extent before, the mark of the first stays.
        if after_content && map.start_of(map.lcn(mapped.start)) != mapped.start {
            return Err(fault
                .found(Value::Text("a start within a logical cluster"))
                .into());
        }
        let zeros = map
            .check(&mapped, &pcluster)
            .map_err(ReadError::from)
            .and_then(|()| self.is_zeros(inode, &mapped, &pcluster));
        match zeros {
            Ok(true) => Ok(()),
            Ok(false) => Err(fault.found(Value::Text("bytes other than zero")).into()),
            // Then older kernels fail to read it.
            Err(ReadError::Refused(error))
                if !matches!(error.kind(), Kind::Limit | Kind::Memory | Kind::Usage) =>
            {
                Err(fault.found(Value::Text("what cannot be read")).into())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a pcluster decodes to zeros.
    fn is_zeros(&self, inode: &Inode, mapped: &Mapped, pcluster: &Pcluster) -> ReadResult<bool, R> {
        let mut piece = [0; PIECE];
        let mut within = 0;
        while within < mapped.length {
            let left = mapped.length.saturating_sub(within);
            let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let part = piece.get_mut(..length).unwrap_or(&mut []);
            self.read_pcluster(inode, mapped, pcluster, within, part)?;
            if part.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            within = within.saturating_add(length as u64);
        }
        Ok(true)
    }
}
