//! The path of a finding, found when it is asked for.

use alloc::vec::Vec;

use crate::Code;
use crate::erofs::{Image, ReadAt, ReadResult};

/// What stands for a part of a path that cannot be found.
const UNKNOWN: &[u8] = b"?";

/// The path of the entry at byte `offset` of a directory, without a leading slash.
///
/// Directories are followed upwards by their `..`, and each is looked for in the one above. In
/// a damaged image a part may not be found; it is then given as `?`.
///
/// # Errors
///
/// What the source says. What the image is refused for only cuts the path short.
pub fn entry_path<R: ReadAt>(
    image: &Image<R>,
    directory: u64,
    offset: u64,
) -> ReadResult<Vec<u8>, R> {
    let name = find(image, directory, |entry_offset, _, _| {
        entry_offset == offset
    })?;
    let mut path = directory_path(image, directory)?;
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_deref().unwrap_or(UNKNOWN));
    Ok(path)
}

/// The path of a directory, without a leading slash; empty for the root.
///
/// # Errors
///
/// As [`entry_path`].
pub fn directory_path<R: ReadAt>(image: &Image<R>, directory: u64) -> ReadResult<Vec<u8>, R> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let mut nid = directory;
    for _ in 0..image.limits().directory_depth {
        if nid == image.superblock().root_nid {
            break;
        }
        let Some(parent) = parent(image, nid)? else {
            parts.push(UNKNOWN.to_vec());
            break;
        };
        let name = find(image, parent, |_, name, child| {
            child == nid && name != b"." && name != b".."
        })?;
        let Some(name) = name else {
            parts.push(UNKNOWN.to_vec());
            break;
        };
        parts.push(name);
        nid = parent;
    }
    parts.reverse();
    Ok(parts.join(&b'/'))
}

/// Where the entry `..` of a directory leads.
fn parent<R: ReadAt>(image: &Image<R>, directory: u64) -> ReadResult<Option<u64>, R> {
    let mut parent = None;
    find(image, directory, |_, name, child| {
        if name == b".." {
            parent = Some(child);
        }
        parent.is_some()
    })?;
    Ok(parent)
}

/// The name of the first entry that is wanted, by its offset, name and nid.
fn find<R: ReadAt>(
    image: &Image<R>,
    directory: u64,
    mut wanted: impl FnMut(u64, &[u8], u64) -> bool,
) -> ReadResult<Option<Vec<u8>>, R> {
    use crate::erofs::ReadError::{Refused, Source};

    let dir = match image.inode(directory) {
        Ok(dir) => dir,
        Err(Refused(_)) => return Ok(None),
        Err(Source(error)) => return Err(Source(error)),
    };
    let mut entries = match image.entries(&dir) {
        Ok(entries) => entries,
        Err(Refused(_)) => return Ok(None),
        Err(Source(error)) => return Err(Source(error)),
    };
    loop {
        match entries.next() {
            Ok(Some(entry)) => {
                if wanted(entry.offset, entry.name, entry.nid) {
                    return Ok(Some(entry.name.to_vec()));
                }
            }
            // The iterator goes on behind a name that cannot be one.
            Err(Refused(error)) if error.code() == Code::DirentName => {}
            Ok(None) | Err(Refused(_)) => return Ok(None),
            Err(Source(error)) => return Err(Source(error)),
        }
    }
}
