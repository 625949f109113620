//! An image through the core's reader.

use std::io;
use std::path::Path;

use erofs_unpack_core::erofs::{FileType, Image, OutOfBounds, ReadError};
use erofs_unpack_core::oci::{Algorithm, Hasher};
use erofs_unpack_core::{Error, Limits};
use serde_json::json;

use super::convert::{Outputs, limits, outputs};
use crate::blob::hex;
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
    let mut found = Vec::new();
    while let Some(visit) = walk.next()? {
        let mut xattrs = image.xattrs(&visit.inode)?;
        while xattrs.next()?.is_some() {}
        if visit.inode.file_type == FileType::Symlink {
            image.read_link(&visit.inode)?;
        }
        if visit.depth > 0 {
            found.push((visit.path.to_vec(), visit.inode));
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut bytes = 0;
    let mut buf = vec![0; PIECE];
    for (_, inode) in &found {
        let mut offset = 0;
        while inode.file_type == FileType::Regular && offset < inode.size {
            let read = image.read(inode, offset, &mut buf)?;
            hasher.update(&buf[..read]);
            offset += read as u64;
        }
        bytes += offset;
    }
    let paths: Vec<_> = found
        .iter()
        .map(|(path, _)| String::from_utf8_lossy(path))
        .collect();
    let sha256 = hex(hasher.finish().as_bytes());
    Ok(outputs(
        json!({ "paths": paths, "bytes": bytes, "sha256": sha256 }),
    ))
}
