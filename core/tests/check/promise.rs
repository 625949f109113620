//! What a check promises: what it passes can be read to its end. Shared with the fuzz target
//! `check`.

use std::collections::BTreeSet;

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{FileType, Image, Inode, OutOfBounds, Place, ReadError};

/// Most bytes that are read at once; a hole is not read.
const PIECE: u64 = 1 << 16;

/// Makes the superblock's checksum right: CRC-32C without the inversion at its end.
pub(crate) fn mend(image: &mut [u8]) {
    // With another size of blocks there is no saying what the checksum covers.
    let Some(bits) = image.get(1036).filter(|bits| (9..=16).contains(*bits)) else {
        return;
    };
    let block = 1_usize << bits;
    let end = if block > 1024 { block } else { 1024 + block };
    let Some(covered) = image.get(1024..end) else {
        return;
    };
    let mut covered = covered.to_vec();
    covered[4..8].fill(0);
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&covered);
    image[1028..1032].copy_from_slice(&(!crc).to_le_bytes());
}

/// Reads all that there is: the tree, each path looked up again, xattrs, targets, content.
/// How many names there are.
pub(crate) fn read_all(image: &[u8], limits: &Limits) -> Result<u64, ReadError<OutOfBounds>> {
    let image = Image::open(image, image.len() as u64, limits)?;
    let mut walk = image.walk()?;
    let mut looked_at = BTreeSet::new();
    let mut names = 0;
    while let Some(visit) = walk.next()? {
        names += 1;
        let found = image.resolve(visit.path)?.map(|inode| inode.nid);
        let path = visit.path.escape_ascii();
        assert_eq!(found, Some(visit.inode.nid), "/{path} is looked up");
        if looked_at.insert(visit.inode.nid) {
            read_inode(&image, &visit.inode)?;
        }
    }
    Ok(names)
}

fn read_inode(image: &Image<&[u8]>, inode: &Inode) -> Result<(), ReadError<OutOfBounds>> {
    let mut xattrs = image.xattrs(inode)?;
    while let Some(xattr) = xattrs.next()? {
        let found = image.xattr(inode, xattr.name)?;
        let name = xattr.name.escape_ascii();
        assert_eq!(found.as_deref(), Some(xattr.value), "{name} is looked up");
    }
    match inode.file_type {
        FileType::Regular => {
            let mut buf = vec![0; PIECE as usize];
            let mut offset = 0;
            while offset < inode.size {
                let extent = image.extent(inode, offset)?;
                let left = extent.length - (offset - extent.offset);
                if extent.place == Place::Hole {
                    offset += left;
                    continue;
                }
                let wanted = left.min(PIECE) as usize;
                let read = image.read(inode, offset, &mut buf[..wanted])?;
                assert_eq!(read, wanted);
                offset += wanted as u64;
            }
        }
        FileType::Symlink => {
            let target = image.read_link(inode)?;
            assert!(!target.is_empty() && !target.contains(&0));
        }
        _ => {}
    }
    Ok(())
}
