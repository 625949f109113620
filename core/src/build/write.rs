//! The metadata of an image, written behind its content, and the superblock last.

use alloc::vec::Vec;

use super::content::Builder;
use super::layout::{Behind, Plan, file_type};
use super::prove::Built;
use super::records::{DIRENT, Dirent, InodeRecord, SuperblockRecord, write_dirents};
use super::slots::SLOT;
use super::tree::{Body, Inode, ROOT};
use super::{BuildError, BuildResult, Output};
use crate::erofs::{Checksum, Incompat, SUPERBLOCK_OFFSET, buffer};
use crate::oci::{Algorithm, Hasher};
use crate::{At, Code, Error, Value};

/// What has been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Size of the image in bytes; what the output holds behind that is no part of it.
    pub size: u64,
    /// Size of its blocks in bytes.
    pub block_size: u64,
    /// How many inodes it has.
    pub inodes: u64,
    /// How much of it is the content of files, in bytes, in whole blocks.
    pub content: u64,
    /// How many xattrs were left out, since EROFS has no prefix for their names.
    pub dropped_xattrs: u64,
    /// Whether there are sparse files, which take Linux 5.15.
    pub sparse: bool,
    /// Its UUID.
    pub uuid: [u8; 16],
}

impl<O: Output> Builder<O> {
    /// Ends the image, which then has this UUID; without one, one that follows from all that is in
    /// the image (version 8 of RFC 9562).
    ///
    /// # Errors
    ///
    /// [`Code::BuildLink`] for hard links that lead nowhere, [`Code::BuildContent`] when the last
    /// entry lacks content, [`Code::BuildXattr`], [`Code::BuildBlocks`] and limits.
    pub fn finish(mut self, uuid: Option<[u8; 16]>) -> BuildResult<(O, Built), O> {
        self.close(At::Whole)?;
        self.data.flush(&mut self.output)?;
        let plan = self.plan()?;
        self.data.hasher = uuid.is_none().then(|| Hasher::new(Algorithm::Sha256));
        self.write_inodes(&plan)?;
        self.data.zeros_to(plan.shared, &mut self.output)?;
        for xattr in self.tree.xattrs.shared() {
            self.data.write(&xattr, &mut self.output)?;
        }
        self.write_blocks(&plan)?;
        self.data.zeros_to(plan.end, &mut self.output)?;
        self.data.flush(&mut self.output)?;
        let proof = self.proof(&plan)?;
        let hasher = self.data.hasher.take();
        let uuid = uuid
            .or_else(|| hasher.map(|hasher| proof.uuid(hasher)))
            .unwrap_or_default();
        self.write_superblock(&plan, uuid)?;
        let summary = Summary {
            size: plan.end,
            block_size: self.block(),
            inodes: plan.order.len() as u64,
            content: plan.content,
            dropped_xattrs: self.tree.xattrs.dropped,
            sparse: plan.chunked,
            uuid,
        };
        Ok((self.output, Built { summary, proof }))
    }

    /// The inodes in the order of their places, each with what lies behind it.
    fn write_inodes(&mut self, plan: &Plan) -> BuildResult<(), O> {
        let mut placed: Vec<(u32, u32, u32)> = Vec::new();
        placed
            .try_reserve_exact(plan.order.len())
            .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
        for (ino, number) in (1_u32..).zip(&plan.order) {
            let slot = self.tree.inode(*number).map_or(0, |inode| inode.slot);
            placed.push((slot, *number, ino));
        }
        placed.sort_unstable();
        let mut bytes = Vec::new();
        for (slot, number, ino) in placed {
            let Some(inode) = self.tree.inode(number).copied() else {
                continue;
            };
            bytes.clear();
            let (behind, size, outside) = self.behind(number, &inode, plan.epoch)?;
            self.write_inode(plan, (number, &inode, ino), (behind, size), &mut bytes)?;
            match behind {
                Behind::Nothing => {}
                Behind::Map(_) => self.write_map(&inode, &mut bytes)?,
                Behind::Tail(tail) => match inode.body {
                    Body::File {
                        tail: Some(place), ..
                    } => {
                        let start = bytes.len();
                        let length = usize::try_from(tail).unwrap_or(0);
                        bytes.resize(start.saturating_add(length), 0);
                        let to = bytes.get_mut(start..).unwrap_or(&mut []);
                        self.output
                            .read_spool(place, to)
                            .map_err(BuildError::Output)?;
                    }
                    Body::Directory(_) => {
                        self.directory_blocks(number, outside, |_, block| {
                            bytes.extend_from_slice(block);
                            Ok(())
                        })?;
                    }
                    _ => bytes.extend_from_slice(self.tree.target(number).unwrap_or(&[])),
                },
            }
            let start = plan
                .meta
                .saturating_add(u64::from(slot).saturating_mul(SLOT));
            self.data.zeros_to(start, &mut self.output)?;
            self.data.write(&bytes, &mut self.output)?;
        }
        Ok(())
    }

    fn write_inode(
        &self,
        plan: &Plan,
        (number, inode, ino): (u32, &Inode, u32),
        (behind, size): (Behind, u64),
        bytes: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let block_of = |start: u64| self.block_number(start);
        let union = match inode.body {
            Body::File { start, .. } => {
                let stored = match behind {
                    Behind::Tail(tail) => size.saturating_sub(tail),
                    _ => size,
                };
                if stored > 0 { block_of(start)? } else { 0 }
            }
            Body::Sparse { number, .. } => self.tree.sparse_file(number).map_or(0, |file| {
                file.chunk_bits
                    .saturating_sub(self.options.block_bits.into())
            }),
            Body::Directory(_) | Body::Symlink(_) => {
                plan.starts.get(&number).copied().map_or(Ok(0), block_of)?
            }
            Body::Device(device) => device,
            Body::Nothing | Body::Pending(_) => 0,
        };
        let mtime = (inode.mtime, inode.mtime_ns);
        InodeRecord {
            extended: InodeRecord::is_extended(
                (size, inode.nlink),
                (inode.uid, inode.gid),
                mtime,
                plan.epoch,
            ),
            layout: behind.layout(),
            xattr_size: self.tree.xattrs.size(inode.xattrs)?,
            mode: inode.mode,
            nlink: inode.nlink,
            size,
            union,
            ino,
            uid: inode.uid,
            gid: inode.gid,
            mtime,
        }
        .write(bytes);
        self.tree.xattrs.write(inode.xattrs, bytes);
        Ok(())
    }

    /// The addresses of a file's chunks.
    fn write_map(&self, inode: &Inode, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let Body::Sparse { number, start } = inode.body else {
            return Ok(());
        };
        let Some(file) = self.tree.sparse_file(number) else {
            return Ok(());
        };
        let hole = u32::MAX.to_le_bytes();
        let mut next = self.block_number(start)?;
        let per_chunk = 1_u32
            .checked_shl(
                file.chunk_bits
                    .saturating_sub(self.options.block_bits.into()),
            )
            .unwrap_or(0);
        let mut chunk = 0_u64;
        let holes = |from: u64, to: u64, bytes: &mut Vec<u8>| {
            for _ in from..to {
                bytes.extend_from_slice(&hole);
            }
        };
        for (first, count) in &file.runs {
            holes(chunk, *first, bytes);
            chunk = first.saturating_add(*count);
            for _ in 0..*count {
                bytes.extend_from_slice(&next.to_le_bytes());
                next = next.saturating_add(per_chunk);
            }
        }
        holes(chunk, file.chunks(), bytes);
        Ok(())
    }

    /// The number of the block that starts at a byte.
    fn block_number(&self, byte: u64) -> Result<u32, Error> {
        let block = byte >> self.options.block_bits;
        // The last number means a hole.
        match u32::try_from(block) {
            Ok(number) if number < u32::MAX => Ok(number),
            _ => Err(Error::new(Code::BuildBlocks, At::Whole)
                .found(Value::Number(block))
                .expected(Value::AtMost(u64::from(u32::MAX).saturating_sub(1)))),
        }
    }

    /// The blocks of a directory from number `from` on, each with its number; the last one is as
    /// long as what is in it.
    fn directory_blocks(
        &self,
        number: u32,
        from: u64,
        mut each: impl FnMut(u64, &[u8]) -> BuildResult<(), O>,
    ) -> BuildResult<(), O> {
        let size = usize::try_from(self.block()).unwrap_or(usize::MAX);
        let mut entries: Vec<Dirent<'_>> = Vec::new();
        let mut used = 0_usize;
        let mut index = 0_u64;
        let mut block = Vec::new();
        let mut result = Ok(());
        let mut put = |index: u64, entries: &[Dirent<'_>]| {
            if index >= from && result.is_ok() {
                block.clear();
                write_dirents(entries, &mut block);
                result = each(index, &block);
            }
        };
        self.tree.for_names(number, |name, to| {
            let length = name.len().saturating_add(DIRENT);
            if used.saturating_add(length) > size {
                put(index, &entries);
                entries.clear();
                used = 0;
                index = index.saturating_add(1);
            }
            used = used.saturating_add(length);
            if let Some(inode) = self.tree.inode(to) {
                entries.push(Dirent {
                    name,
                    nid: inode.slot.into(),
                    file_type: file_type(inode),
                });
            }
        });
        put(index, &entries);
        result
    }

    /// The blocks of directories, and of links that are too long to lie behind their inodes.
    fn write_blocks(&mut self, plan: &Plan) -> BuildResult<(), O> {
        let size = self.block();
        self.data.zeros_to(plan.directories, &mut self.output)?;
        let mut bytes = Vec::new();
        for number in &plan.order {
            let Some(start) = plan.starts.get(number) else {
                continue;
            };
            let Some(inode) = self.tree.inode(*number).copied() else {
                continue;
            };
            let (_, _, outside) = self.behind(*number, &inode, plan.epoch)?;
            bytes.clear();
            if let Some(target) = self.tree.target(*number) {
                bytes.extend_from_slice(target);
            } else {
                let full = usize::try_from(size).unwrap_or(usize::MAX);
                self.directory_blocks(*number, 0, |index, block| {
                    if index < outside {
                        bytes.extend_from_slice(block);
                        bytes.resize(bytes.len().next_multiple_of(full), 0);
                    }
                    Ok(())
                })?;
            }
            self.data.zeros_to(*start, &mut self.output)?;
            self.data.write(&bytes, &mut self.output)?;
            let end = start.saturating_add(outside.saturating_mul(size));
            self.data.zeros_to(end, &mut self.output)?;
        }
        Ok(())
    }

    fn write_superblock(&mut self, plan: &Plan, uuid: [u8; 16]) -> BuildResult<(), O> {
        let (epoch, nanoseconds) = plan.epoch;
        let build_time = self
            .options
            .build_time
            .and_then(|time| u32::try_from(time.checked_sub(epoch)?).ok())
            .unwrap_or(0);
        let root = self.tree.inode(ROOT).map_or(0, |inode| inode.slot);
        let record = SuperblockRecord {
            block_bits: self.options.block_bits,
            root_nid: u16::try_from(root).unwrap_or(0),
            inodes: plan.order.len() as u64,
            epoch: (epoch, nanoseconds),
            build_time,
            blocks: self.block_number(plan.end)?,
            meta_block: self.block_number(plan.meta)?,
            xattr_block: if self.tree.xattrs.has_shared() {
                self.block_number(plan.shared)?
            } else {
                0
            },
            uuid,
            volume_name: self.options.volume_name,
            incompat: Incompat(if plan.chunked {
                Incompat::CHUNKED_FILE.0
            } else {
                0
            }),
        }
        .write();
        let mut head = buffer(usize::try_from(self.data_start).unwrap_or(usize::MAX))?;
        let start = usize::try_from(SUPERBLOCK_OFFSET).unwrap_or(usize::MAX);
        let covered = if self.block() > SUPERBLOCK_OFFSET {
            self.block()
        } else {
            SUPERBLOCK_OFFSET.saturating_add(self.block())
        };
        let end = usize::try_from(covered).unwrap_or(usize::MAX);
        if let Some(place) = head.get_mut(start..) {
            crate::bytes::copy(&record, place);
        }
        let checksum = Checksum::new(head.get(start..end).unwrap_or(&[])).finish();
        if let Some(place) = head.get_mut(start.saturating_add(4)..) {
            crate::bytes::copy(&checksum.to_le_bytes(), place);
        }
        self.output.write_at(0, &head).map_err(BuildError::Output)
    }
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::*;
    use crate::Limits;
    use crate::build::Options;

    struct Nowhere;

    impl Output for Nowhere {
        type Error = Infallible;
        fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), Infallible> {
            Ok(())
        }
        fn read_at(&mut self, _: u64, _: &mut [u8]) -> Result<(), Infallible> {
            Ok(())
        }
        fn spool(&mut self, _: &[u8]) -> Result<(), Infallible> {
            Ok(())
        }
        fn read_spool(&mut self, _: u64, _: &mut [u8]) -> Result<(), Infallible> {
            Ok(())
        }
    }

    #[test]
    fn blocks_are_numbered_in_32_bits() {
        let limits = Limits {
            image_size: u64::MAX,
            ..Limits::DEFAULT
        };
        let finish = |position: u64| {
            let mut builder = Builder::new(Nowhere, &Options::DEFAULT, &limits).unwrap();
            // As if so much content had come, of which nothing is needed any more but its room.
            builder.data_start = position;
            builder.data.position = position;
            builder.finish(None).map(drop)
        };
        // The superblock counts one block of metadata more.
        let most = (u64::from(u32::MAX) - 2) << 12;
        assert_eq!(
            finish(most + 4096).unwrap_err(),
            BuildError::Refused(
                Error::new(Code::BuildBlocks, At::Whole)
                    .found(Value::Number(u32::MAX.into()))
                    .expected(Value::AtMost(u64::from(u32::MAX) - 1))
            )
        );
    }
}
