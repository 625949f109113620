//! Where everything lies: the order of inodes, their forms, the content that is still needed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::content::Builder;
use super::records::{DIRENT, InodeRecord};
use super::slots::{SLOT, Slots};
use super::sparse::Sparse;
use super::tree::{Body, Inode, ROOT, Tree, reserve};
use super::{BuildError, BuildResult, Output};
use crate::erofs::{FileType, Layout};
use crate::{At, Code, Error};

/// How much content is moved at a time, in bytes.
const PIECE: u64 = 256 << 10;

/// The tree, laid out.
#[derive(Debug)]
pub(super) struct Plan {
    /// The inodes that are named, each directory's behind it, the root first.
    pub(super) order: Vec<u32>,
    /// The time that most of them have.
    pub(super) epoch: (i64, u32),
    /// Where the metadata begin, in bytes of the image.
    pub(super) meta: u64,
    /// Where the shared xattrs begin.
    pub(super) shared: u64,
    /// Where the blocks of directories begin.
    pub(super) directories: u64,
    /// Where these begin for each that has some, and for links that are too long to lie behind their inodes.
    pub(super) starts: BTreeMap<u32, u64>,
    /// The end of the image.
    pub(super) end: u64,
    /// Bytes of content in the image, in whole blocks.
    pub(super) content: u64,
    /// Whether there are files in chunks.
    pub(super) chunked: bool,
}

impl Tree {
    /// The inodes that are named, in the order in which they are laid out; counts their links.
    pub(super) fn order(&mut self) -> Result<Vec<u32>, Error> {
        let mut order = Vec::new();
        reserve(&mut order, At::Whole)?;
        order.push(ROOT);
        if let Some(root) = self.inode_mut(ROOT) {
            root.nlink = 2;
        }
        let mut next = 0;
        while let Some(number) = order.get(next).copied() {
            next = next.saturating_add(1);
            // Taken out while the inodes change.
            let Some(directory) = self.directory_mut(number) else {
                continue;
            };
            let children = core::mem::take(&mut directory.children);
            let mut below = 0_u32;
            for child in children.values() {
                let is_directory = self.directory(child.inode).is_some();
                let Some(inode) = self.inode_mut(child.inode) else {
                    continue;
                };
                if inode.nlink == 0 {
                    reserve(&mut order, At::Whole)?;
                    order.push(child.inode);
                }
                if is_directory {
                    inode.nlink = 2;
                    below = below.saturating_add(1);
                } else {
                    inode.nlink = inode.nlink.saturating_add(1);
                }
            }
            if let Some(directory) = self.directory_mut(number) {
                directory.children = children;
            }
            if let Some(inode) = self.inode_mut(number) {
                inode.nlink = inode.nlink.saturating_add(below);
            }
        }
        Ok(order)
    }

    /// Gives directories the xattrs by which overlayfs knows them: that they cover lower layers,
    /// and that they hold whiteouts, which without the second would be seen
    /// (as `erofs_set_origin_xattr` of erofs-utils).
    pub(super) fn mark_directories(&mut self, order: &[u32]) -> Result<(), Error> {
        for number in order {
            let Some(directory) = self.directory(*number) else {
                continue;
            };
            let opaque = directory.opaque;
            let holds = directory
                .children
                .values()
                .any(|child| self.is_only_whiteout(*child));
            let Some(mut set) = self.inode(*number).map(|inode| inode.xattrs) else {
                continue;
            };
            let xattrs = &mut self.xattrs;
            if opaque {
                set = xattrs.with(set, b"trusted.overlay.opaque", b"y", At::Whole)?;
            }
            if holds {
                set = xattrs.with(set, b"trusted.overlay.origin", b"", At::Whole)?;
            }
            if let Some(inode) = self.inode_mut(*number) {
                inode.xattrs = set;
            }
        }
        Ok(())
    }

    /// The time that most inodes have, of several the earliest: inodes that have it may be short.
    pub(super) fn epoch(&self, order: &[u32]) -> Result<(i64, u32), Error> {
        let time = |number: &u32| {
            self.inode(*number)
                .map_or((0, 0), |inode| (inode.mtime, inode.mtime_ns))
        };
        let mut sorted = Vec::new();
        sorted
            .try_reserve_exact(order.len())
            .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
        sorted.extend_from_slice(order);
        sorted.sort_unstable_by_key(time);
        let mut best = (0, (0, 0));
        for same in sorted.chunk_by(|one, other| time(one) == time(other)) {
            if same.len() > best.0
                && let Some(first) = same.first()
            {
                best = (same.len(), time(first));
            }
        }
        Ok(best.1)
    }

    /// The blocks of a directory: how many there are but the last, and the size of that, in bytes.
    pub(super) fn directory_size(&self, number: u32, block: usize) -> (u64, usize) {
        let mut full = 0_u64;
        let mut used = 0_usize;
        self.for_names(number, |name, _| {
            let size = name.len().saturating_add(DIRENT);
            if used.saturating_add(size) > block {
                full = full.saturating_add(1);
                used = 0;
            }
            used = used.saturating_add(size);
        });
        (full, used)
    }

    /// Calls `each` for every name of a directory in the order of their bytes, `.` and `..` among
    /// them, with the inode that it leads to.
    pub(super) fn for_names<'a>(&'a self, number: u32, mut each: impl FnMut(&'a [u8], u32)) {
        let Some(directory) = self.directory(number) else {
            return;
        };
        let own: [(&[u8], u32); 2] = [(b".", number), (b"..", directory.parent)];
        let mut own = own.into_iter().peekable();
        for (name, child) in &directory.children {
            while let Some((dot, inode)) = own.next_if(|(dot, _)| *dot < &**name) {
                each(dot, inode);
            }
            each(name, child.inode);
        }
        for (dot, inode) in own {
            each(dot, inode);
        }
    }
}

/// What lies behind an inode and its xattrs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    Nothing,
    /// The map of chunks, of this size.
    Map(u64),
    /// The end of its content, of this size, in the same block.
    Tail(u64),
}

impl Behind {
    pub(super) const fn size(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Map(size) | Self::Tail(size) => size,
        }
    }

    pub(super) const fn layout(self) -> Layout {
        match self {
            Self::Nothing => Layout::FlatPlain,
            Self::Map(_) => Layout::ChunkBased,
            Self::Tail(_) => Layout::FlatInline,
        }
    }
}

impl<O: Output> Builder<O> {
    pub(super) const fn block(&self) -> u64 {
        1 << self.options.block_bits
    }

    /// Lays the tree out, when all has been told.
    pub(super) fn plan(&mut self) -> BuildResult<Plan, O> {
        self.tree.resolve_links()?;
        let order = self.tree.order()?;
        self.tree.mark_directories(&order)?;
        let epoch = self.tree.epoch(&order)?;
        let content = self.compact(&order)?;
        let meta = self.data_start.saturating_add(content);
        self.data.position = meta;

        let mut counts = alloc::vec![0_u32; self.tree.xattrs.sets()];
        for number in &order {
            if let Some(inode) = self.tree.inode(*number)
                && let Some(count) = counts.get_mut(inode.xattrs as usize)
            {
                *count = count.saturating_add(1);
            }
        }
        self.tree.xattrs.share(&counts);

        let block = self.block();
        let mut slots = Slots::new(block)?;
        // Number 0 is no inode number that programs understand.
        slots.take(SLOT)?;
        let mut starts = BTreeMap::new();
        // Bytes of blocks for directories and long links.
        let mut blocks = 0_u64;
        let mut chunked = false;
        for number in &order {
            let Some(inode) = self.tree.inode(*number).copied() else {
                continue;
            };
            let (behind, size, outside) = self.behind(*number, &inode, epoch)?;
            if outside > 0 {
                starts.insert(*number, blocks);
                blocks = blocks.saturating_add(outside.saturating_mul(block));
            }
            chunked |= matches!(behind, Behind::Map(_));
            let front = self.front(&inode, size, epoch)?;
            let slot = slots.take(front.saturating_add(behind.size()))?;
            if let Some(inode) = self.tree.inode_mut(*number) {
                inode.slot = slot;
                inode.size = size;
            }
        }
        let shared = meta.saturating_add(slots.end().saturating_mul(SLOT));
        let shared_size = self.tree.xattrs.place_shared(0)?;
        let directories = shared.saturating_add(shared_size).next_multiple_of(block);
        for start in starts.values_mut() {
            *start = start.saturating_add(directories);
        }
        let end = directories.saturating_add(blocks);
        self.tree.limits().admit_image(end)?;
        Ok(Plan {
            order,
            epoch,
            meta,
            shared,
            directories,
            starts,
            end,
            content,
            chunked,
        })
    }

    /// Size of an inode and its xattrs, in bytes.
    pub(super) fn front(&self, inode: &Inode, size: u64, epoch: (i64, u32)) -> Result<u64, Error> {
        let extended = InodeRecord::is_extended(
            (size, inode.nlink),
            (inode.uid, inode.gid),
            (inode.mtime, inode.mtime_ns),
            epoch,
        );
        let xattrs = self.tree.xattrs.size(inode.xattrs)?;
        Ok(xattrs.saturating_add(if extended { 64 } else { 32 }))
    }

    /// What lies behind an inode, its size, and how many blocks its content takes among those of
    /// directories.
    pub(super) fn behind(
        &self,
        number: u32,
        inode: &Inode,
        epoch: (i64, u32),
    ) -> Result<(Behind, u64, u64), Error> {
        let block = self.block();
        Ok(match inode.body {
            Body::File { tail: Some(_), .. } => (
                Behind::Tail(inode.size & block.saturating_sub(1)),
                inode.size,
                0,
            ),
            Body::Sparse { number, .. } => {
                let map = self.tree.sparse_file(number).map_or(0, Sparse::map_size);
                (Behind::Map(map), inode.size, 0)
            }
            Body::Directory(_) => {
                let length = usize::try_from(block).unwrap_or(usize::MAX);
                let (full, last) = self.tree.directory_size(number, length);
                let size = full.saturating_mul(block).saturating_add(last as u64);
                self.inline(inode, size, epoch)?
            }
            Body::Symlink(_) => {
                let size = self.tree.target(number).map_or(0, <[u8]>::len) as u64;
                if size < block {
                    self.inline(inode, size, epoch)?
                } else {
                    (Behind::Nothing, size, size.div_ceil(block))
                }
            }
            Body::File { .. } | Body::Device(_) | Body::Nothing | Body::Pending(_) => {
                (Behind::Nothing, inode.size, 0)
            }
        })
    }

    /// Content of metadata: its last block behind the inode where that fits.
    fn inline(
        &self,
        inode: &Inode,
        size: u64,
        epoch: (i64, u32),
    ) -> Result<(Behind, u64, u64), Error> {
        let block = self.block();
        let tail = size & block.saturating_sub(1);
        let front = self.front(inode, size, epoch)?;
        Ok(if tail > 0 && front.saturating_add(tail) <= block {
            (Behind::Tail(tail), size, size >> self.options.block_bits)
        } else {
            (Behind::Nothing, size, size.div_ceil(block))
        })
    }

    /// Where the content of an inode lies in the image, and how many bytes it takes there, in whole
    /// blocks.
    fn stored(&self, inode: &Inode) -> (u64, u64) {
        let block = self.block();
        let bits = u32::from(self.options.block_bits);
        match inode.body {
            Body::File { start, tail: None } => (start, inode.size.next_multiple_of(block)),
            Body::File { start, .. } => (start, inode.size & !block.saturating_sub(1)),
            Body::Sparse { number, start } => {
                let file = self.tree.sparse_file(number);
                (start, file.map_or(0, |file| file.stored(bits)))
            }
            _ => (0, 0),
        }
    }

    /// Closes the gaps that content has left whose entry was replaced, so that nothing of it stays.
    /// Gives the size of the content.
    fn compact(&mut self, order: &[u32]) -> BuildResult<u64, O> {
        let mut live = 0_u64;
        let mut places = Vec::new();
        for number in order {
            let Some(inode) = self.tree.inode(*number) else {
                continue;
            };
            let (start, size) = self.stored(inode);
            if size > 0 {
                live = live.saturating_add(size);
                places
                    .try_reserve(1)
                    .map_err(|_| Error::new(Code::MetadataMemory, At::Whole))?;
                places.push((start, size, *number));
            }
        }
        if self.data_start.saturating_add(live) == self.data.position {
            return Ok(live);
        }
        places.sort_unstable();
        let mut to = self.data_start;
        let mut memory = crate::erofs::buffer(usize::try_from(PIECE).unwrap_or(usize::MAX))?;
        for (start, size, number) in places {
            if to < start {
                self.move_down(start, to, size, &mut memory)?;
                if let Some(inode) = self.tree.inode_mut(number) {
                    match &mut inode.body {
                        Body::File { start, .. } | Body::Sparse { start, .. } => *start = to,
                        _ => {}
                    }
                }
            }
            to = to.saturating_add(size);
        }
        Ok(live)
    }

    fn move_down(
        &mut self,
        from: u64,
        to: u64,
        size: u64,
        memory: &mut [u8],
    ) -> BuildResult<(), O> {
        let mut done = 0_u64;
        while done < size {
            let piece = size.saturating_sub(done).min(memory.len() as u64);
            let Some(memory) = usize::try_from(piece)
                .ok()
                .and_then(|length| memory.get_mut(..length))
            else {
                break;
            };
            self.output
                .read_at(from.saturating_add(done), memory)
                .map_err(BuildError::Output)?;
            self.output
                .write_at(to.saturating_add(done), memory)
                .map_err(BuildError::Output)?;
            done = done.saturating_add(piece);
        }
        Ok(())
    }
}

/// The type of an inode, as directory entries have it.
pub(super) fn file_type(inode: &Inode) -> FileType {
    FileType::of_mode(inode.mode).unwrap_or(FileType::Regular)
}
