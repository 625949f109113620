//! An image through the core's reader.

use std::io;
use std::path::Path;

use erofs_unpack_core::erofs::{FileType, Image, OutOfBounds, ReadError};
use erofs_unpack_core::{Error, Limits};
use serde_json::json;

use super::{Outputs, limits, outputs};
use crate::manifest::ReadInput;

/// How much is read at once.
const PIECE: usize = 64 << 10;

/// Reads all that is in an image.
pub(super) fn read(input: &ReadInput, folder: &Path) -> io::Result<Result<Outputs, Error>> {
    let image = input.image.read(folder)?;
    match all(&image, &limits(&input.limits)) {
        Ok(outputs) => Ok(Ok(outputs)),
        Err(ReadError::Refused(error)) => Ok(Err(error)),
        Err(ReadError::Source(error)) => Err(io::Error::other(error)),
    }
}

fn all(image: &[u8], limits: &Limits) -> Result<Outputs, ReadError<OutOfBounds>> {
    let image = Image::open(image, image.len() as u64, limits)?;
    let mut walk = image.walk()?;
    let mut paths = Vec::new();
    let mut bytes = 0;
    let mut buf = vec![0; PIECE];
    while let Some(visit) = walk.next()? {
        if visit.depth > 0 {
            paths.push(String::from_utf8_lossy(visit.path).into_owned());
        }
        let mut xattrs = image.xattrs(&visit.inode)?;
        while xattrs.next()?.is_some() {}
        match visit.inode.file_type {
            FileType::Regular => {
                let mut offset = 0;
                while offset < visit.inode.size {
                    offset += image.read(&visit.inode, offset, &mut buf)? as u64;
                }
                bytes += offset;
            }
            FileType::Symlink => drop(image.read_link(&visit.inode)?),
            _ => {}
        }
    }
    paths.sort();
    Ok(outputs(json!({ "paths": paths, "bytes": bytes })))
}
