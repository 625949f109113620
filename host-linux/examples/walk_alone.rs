//! Walks an image with the reader of the core alone, on one thread and without a check. It is
//! what `benches/read.sh` holds against `fsck.erofs`.
//!
//!     walk_alone metadata IMAGE    every entry and its inode
//!     walk_alone content IMAGE     the xattrs, the link targets and all bytes of files too

#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "a program of the host"
)]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{FileType, Image, Inode};
use erofs_unpack_ops::image_file::FileAt;

const USAGE: &str = "usage: walk_alone metadata|content IMAGE";
/// Size of the pieces in which files are read.
const PIECE: usize = 256 << 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(what), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err(USAGE.into());
    };
    let content = match what.to_str() {
        Some("metadata") => false,
        Some("content") => true,
        _ => return Err(USAGE.into()),
    };
    let (file, size) = FileAt::open(Path::new(&path)).map_err(|error| format!("{error:?}"))?;
    let image = Image::open(file, size, &Limits::DEFAULT).map_err(|error| format!("{error:?}"))?;
    let mut walk = image.walk().map_err(|error| format!("{error:?}"))?;
    let mut buffer = vec![0; PIECE];
    let (mut visits, mut bytes) = (0_u64, 0_u64);
    while let Some(visit) = walk.next().map_err(|error| format!("{error:?}"))? {
        visits += 1;
        if content {
            bytes += read(&image, &visit.inode, &mut buffer)?;
        } else {
            black_box(visit.inode);
        }
    }
    println!("{visits} entries, {bytes} bytes");
    Ok(())
}

/// Reads all that an inode has, and says how many bytes of content that is.
fn read(image: &Image<FileAt>, inode: &Inode, buffer: &mut [u8]) -> Result<u64, Box<dyn Error>> {
    let mut xattrs = image.xattrs(inode).map_err(|error| format!("{error:?}"))?;
    while let Some(xattr) = xattrs.next().map_err(|error| format!("{error:?}"))? {
        black_box(xattr);
    }
    match inode.file_type {
        FileType::Symlink => {
            let target = image
                .read_link(inode)
                .map_err(|error| format!("{error:?}"))?;
            Ok(black_box(target).len() as u64)
        }
        FileType::Regular => {
            let mut offset = 0;
            loop {
                let count = image
                    .read(inode, offset, buffer)
                    .map_err(|error| format!("{error:?}"))?;
                if count == 0 {
                    return Ok(offset);
                }
                black_box(&mut *buffer);
                offset += count as u64;
            }
        }
        _ => Ok(0),
    }
}
