//! An image out of a tar archive, through the core's builder and read back by its reader.

use core::convert::Infallible;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use erofs_unpack_core::build::{BuildError, Options, Output, TarBuilder};
use erofs_unpack_core::erofs::{Data, FileType, Image, Inode, ReadError};
use erofs_unpack_core::oci::{Algorithm, Hasher};
use erofs_unpack_core::{Error, Limits};
use serde_json::{Value as Json, json};

use super::convert::{Outputs, limits, outputs};
use super::tar::text;
use crate::manifest::TarInput;

/// Builds an image of an archive that comes in pieces of so many bytes, and says what is in it.
pub(super) fn build(
    input: &TarInput,
    folder: &Path,
    piece: usize,
) -> io::Result<Result<Outputs, Error>> {
    let archive = input.archive.read(folder)?;
    Ok(
        image(&archive, &limits(&input.limits), piece).and_then(|image| {
            let tree = tree(&image).map_err(|error| match error {
                ReadError::Refused(error) => error,
                ReadError::Source(error) => unreachable!("{error}"),
            })?;
            Ok(outputs(json!({ "tree": tree })))
        }),
    )
}

/// An image in memory.
#[derive(Default)]
struct Memory(Vec<u8>, Vec<u8>);

impl Output for Memory {
    type Error = Infallible;

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Infallible> {
        put(&mut self.0, offset, bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), Infallible> {
        get(&self.0, offset, buf);
        Ok(())
    }

    fn spool(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.1.extend_from_slice(bytes);
        Ok(())
    }

    fn read_spool(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), Infallible> {
        get(&self.1, offset, buf);
        Ok(())
    }
}

fn put(to: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = usize::try_from(offset).expect("it is small");
    let end = start + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[start..end].copy_from_slice(bytes);
}

fn get(from: &[u8], offset: u64, buf: &mut [u8]) {
    let start = usize::try_from(offset).expect("it is small");
    buf.copy_from_slice(&from[start..][..buf.len()]);
}

fn image(archive: &[u8], limits: &Limits, piece: usize) -> Result<Vec<u8>, Error> {
    let refused = |error| match error {
        BuildError::Refused(error) => error,
        BuildError::Output(never) => match never {},
    };
    let mut builder = TarBuilder::new(Memory::default(), &Options::DEFAULT, limits)?;
    for bytes in archive.chunks(piece) {
        builder.push(bytes, &mut |_| true).map_err(refused)?;
    }
    let (memory, built) = builder.finish(Some([0; 16])).map_err(refused)?;
    let mut image = memory.0;
    image.truncate(usize::try_from(built.summary.size).expect("it is small"));
    Ok(image)
}

/// Every file in the order of a walk. Of several names of a file each says the same.
fn tree(image: &[u8]) -> Result<Vec<Json>, ReadError<erofs_unpack_core::erofs::OutOfBounds>> {
    let image = Image::open(image, image.len() as u64, &Limits::DEFAULT)?;
    let mut walk = image.walk()?;
    let mut tree = Vec::new();
    while let Some(visit) = walk.next()? {
        let inode = visit.inode;
        let kind = match inode.file_type {
            FileType::Regular => "file",
            FileType::Directory => "directory",
            FileType::CharDevice => "char-device",
            FileType::BlockDevice => "block-device",
            FileType::Fifo => "fifo",
            FileType::Socket => "socket",
            FileType::Symlink => "symlink",
        };
        let mut all = outputs(json!({
            "path": format!("/{}", text(visit.path)),
            "kind": kind,
            "mode": format!("{:04o}", inode.mode & 0o7777),
            "uid": inode.uid,
            "gid": inode.gid,
            "mtime": [inode.mtime, i64::from(inode.mtime_ns)],
            "links": inode.nlink,
        }));
        match inode.file_type {
            FileType::Regular => {
                all.insert("size".into(), inode.size.into());
                all.insert("content".into(), content(&image, &inode)?.into());
            }
            FileType::Symlink => {
                all.insert("link".into(), text(&image.read_link(&inode)?).into());
            }
            _ => {}
        }
        if let Data::Device(major, minor) = inode.data {
            all.insert("device".into(), json!([major, minor]));
        }
        let mut found = BTreeMap::new();
        let mut xattrs = image.xattrs(&inode)?;
        while let Some(xattr) = xattrs.next()? {
            found.insert(text(xattr.name), text(xattr.value));
        }
        if !found.is_empty() {
            all.insert("xattrs".into(), json!(found));
        }
        tree.push(Json::Object(all));
    }
    Ok(tree)
}

/// SHA-256 of a file's content.
fn content(
    image: &Image<&[u8]>,
    inode: &Inode,
) -> Result<String, ReadError<erofs_unpack_core::erofs::OutOfBounds>> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while at < inode.size {
        let count = image.read(inode, at, &mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        at += count as u64;
    }
    Ok(hasher.finish().to_string())
}
