//! Content out of pclusters: their bytes, and the part of what they decode to that is wanted.

use alloc::vec::Vec;
use core::mem;

use super::super::{Image, Incompat, Inode, ReadAt, ReadResult};
use super::decode::{Fault, Task};
use super::map::Mapped;
use super::pcluster::{Encoding, Pcluster};
use crate::{At, Code, Error, Value, bytes};

impl<R: ReadAt> Image<R> {
    /// Fills `part` with the content of an extent from `within` on.
    pub(super) fn read_pcluster(
        &self,
        inode: &Inode,
        mapped: &Mapped,
        pcluster: &Pcluster,
        within: u64,
        part: &mut [u8],
    ) -> ReadResult<(), R> {
        match pcluster.encoding {
            Encoding::Shifted => self.read_encoded(pcluster, within, part),
            Encoding::Interlaced => self.read_interlaced(mapped, pcluster, within, part),
            _ => self.read_decoded(inode, mapped, pcluster, within, part),
        }
    }

    /// Bytes of the pcluster as they are.
    fn read_encoded(&self, pcluster: &Pcluster, at: u64, part: &mut [u8]) -> ReadResult<(), R> {
        let offset = pcluster.offset.saturating_add(at);
        match pcluster.metadata {
            Some(space) => self.metadata(space, offset, part),
            None => self.read_raw(0, offset, part),
        }
    }

    /// Content of an interlaced pcluster (`z_erofs_transform_plain`): the first bytes, up to
    /// the end of a block of the content, are the last ones of the pcluster.
    fn read_interlaced(
        &self,
        mapped: &Mapped,
        pcluster: &Pcluster,
        within: u64,
        part: &mut [u8],
    ) -> ReadResult<(), R> {
        let block = self.superblock.block_size();
        let first = block.saturating_sub(mapped.start & block.saturating_sub(1));
        let from_end = usize::try_from(first.saturating_sub(within))
            .unwrap_or(usize::MAX)
            .min(part.len());
        let (end, start) = part.split_at_mut_checked(from_end).unwrap_or_default();
        if !end.is_empty() {
            let at = pcluster.length.saturating_sub(first).saturating_add(within);
            self.read_encoded(pcluster, at, end)?;
        }
        if !start.is_empty() {
            self.read_encoded(pcluster, within.saturating_sub(first), start)?;
        }
        Ok(())
    }

    /// Content of a compressed pcluster: from what was decoded last, or decoded anew.
    fn read_decoded(
        &self,
        inode: &Inode,
        mapped: &Mapped,
        pcluster: &Pcluster,
        within: u64,
        part: &mut [u8],
    ) -> ReadResult<(), R> {
        let role = self.role(inode);
        let key = (*pcluster, mapped.length);
        let whole = part.len() as u64 == mapped.length;
        let (mut input, mut decoded) = {
            let mut state = self.compressed.borrow_mut();
            let track = state.track_mut(role);
            if track.holds == Some(key) {
                copy(&track.decoded, within, part);
                return Ok(());
            }
            let decoded = if whole {
                Vec::new()
            } else {
                track.holds = None;
                mem::take(&mut track.decoded)
            };
            (mem::take(&mut state.input), decoded)
        };
        let result = if whole {
            self.decode(inode, mapped, pcluster, &mut input, part)
        } else {
            let length = usize::try_from(mapped.length).unwrap_or(usize::MAX);
            room(&mut decoded, length)
                .map_err(|()| memory(inode, mapped, mapped.length).into())
                .and_then(|output| self.decode(inode, mapped, pcluster, &mut input, output))
        };
        let mut state = self.compressed.borrow_mut();
        state.input = input;
        if !whole {
            copy(&decoded, within, part);
            let track = state.track_mut(role);
            track.decoded = decoded;
            track.holds = result.is_ok().then_some(key);
        }
        result
    }

    /// Decodes a pcluster into `output`, which has the length of the extent.
    fn decode(
        &self,
        inode: &Inode,
        mapped: &Mapped,
        pcluster: &Pcluster,
        input: &mut Vec<u8>,
        output: &mut [u8],
    ) -> ReadResult<(), R> {
        let length = usize::try_from(pcluster.length).unwrap_or(usize::MAX);
        let input = room(input, length).map_err(|()| memory(inode, mapped, pcluster.length))?;
        self.read_encoded(pcluster, 0, input)?;
        let block = self.superblock.block_size();
        let in_block = pcluster.offset & block.saturating_sub(1);
        let task = Task {
            encoding: pcluster.encoding,
            partial: pcluster.partial,
            zero_padding: self.superblock.incompat.has(Incompat::ZERO_PADDING),
            padding: usize::try_from(block.saturating_sub(in_block)).unwrap_or(usize::MAX),
        };
        let result = self
            .compressed
            .borrow_mut()
            .decoders
            .decode(task, input, output);
        let at = At::File(inode.nid, mapped.start);
        let name = Value::Text(pcluster.encoding.name());
        result.map_err(|fault| {
            match fault {
                Fault::Corrupt => Error::new(Code::PclusterData, at).found(name),
                Fault::Length(found) => Error::new(Code::PclusterLength, at)
                    .found(Value::Number(found as u64))
                    .expected(Value::Number(mapped.length)),
                Fault::Memory => memory(inode, mapped, mapped.length),
                Fault::Unavailable => Error::new(Code::CompressionUnavailable, at).found(name),
            }
            .into()
        })
    }
}

/// Copies decoded bytes from `within` on.
fn copy(decoded: &[u8], within: u64, part: &mut [u8]) {
    let from = usize::try_from(within)
        .ok()
        .and_then(|within| decoded.get(within..));
    bytes::copy(from.unwrap_or(&[]), part);
}

/// The first `length` bytes of a buffer that grows to it; the caller has held `length` against
/// a limit.
fn room(buffer: &mut Vec<u8>, length: usize) -> Result<&mut [u8], ()> {
    if let Some(more) = length.checked_sub(buffer.len()) {
        buffer.try_reserve_exact(more).map_err(|_| ())?;
        buffer.resize(length, 0);
    }
    buffer.get_mut(..length).ok_or(())
}

/// There is no memory for this many bytes.
fn memory(inode: &Inode, mapped: &Mapped, length: u64) -> Error {
    Error::new(Code::PclusterMemory, At::File(inode.nid, mapped.start)).found(Value::Number(length))
}
