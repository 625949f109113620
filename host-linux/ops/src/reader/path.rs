//! Paths inside an image, as the kernel walks them in a mount of it.

use std::io;

use erofs_unpack_core::erofs::{Entry, FileType, Image, Inode, ReadAt, ReadError};
use erofs_unpack_core::{At, Code, Error};
use rustix::io::Errno;

use super::unescape::unescape;

/// Most symbolic links on a path (`MAXSYMLINKS` of Linux).
const LINKS_MAX: u32 = 40;

/// Whether a symbolic link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// The link is meant.
    Link,
    /// What it leads to is meant.
    Target,
}

/// What lies at a path.
#[derive(Clone, Debug)]
pub struct Found {
    /// The inode.
    pub inode: Inode,
    /// The path as it was given, with the names that are in the image for escaped ones.
    pub path: Vec<u8>,
}

/// Finds what lies at a path from the root of an image.
///
/// A name that is not there as it was given, and has escapes as [`crate::Escaped::name`] writes
/// them, is looked for without these: so that a name can be given as lists show it. Targets of
/// symbolic links are always taken as they are.
///
/// Symbolic links on the way are followed, with the image's root as the root: no link leads
/// out of the image. `.`, `..` and empty names mean what they mean to the kernel, and so does a
/// slash at the end: a directory is wanted.
///
/// # Errors
///
/// A source's error for what the kernel answers with one: no such file, no directory, too many
/// symbolic links. A refusal when the image cannot be read there.
pub fn find<R: ReadAt<Error = io::Error>>(
    image: &Image<R>,
    path: &[u8],
    last: Last,
) -> Result<Found, ReadError<io::Error>> {
    let mut here = image.root()?;
    let mut given: Vec<Vec<u8>> = path
        .split(|byte| *byte == b'/')
        .map(<[u8]>::to_vec)
        .collect();
    // What lies above, and the names that are still to be walked, the next one last; of one that
    // was given its place there.
    let mut above: Vec<Inode> = Vec::new();
    let mut names: Vec<(Vec<u8>, Option<usize>)> = Vec::new();
    let with_places = given.iter().cloned().zip((0..).map(Some));
    names.extend(with_places);
    names.reverse();
    let mut links = 0;
    while let Some((name, place)) = names.pop() {
        if here.file_type != FileType::Directory {
            return Err(answer(Errno::NOTDIR));
        }
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                here = above.pop().unwrap_or(here);
                continue;
            }
            _ => {}
        }
        let entry = match place.and_then(|place| given.get_mut(place)) {
            Some(given) => lookup_given(image, &here, given)?,
            None => image.lookup(&here, &name)?,
        };
        let Some(entry) = entry else {
            return Err(answer(Errno::NOENT));
        };
        let inode = image.inode(entry.nid)?;
        if inode.file_type == FileType::Symlink && (last == Last::Target || !names.is_empty()) {
            links += 1;
            if links > LINKS_MAX {
                return Err(answer(Errno::LOOP));
            }
            let target = image.read_link(&inode)?;
            if target.starts_with(b"/") {
                above.clear();
                here = image.root()?;
            }
            let target = target.rsplit(|byte| *byte == b'/');
            names.extend(target.map(|name| (name.to_vec(), None)));
            continue;
        }
        if above.len() as u64 >= u64::from(image.limits().directory_depth) {
            return Err(Error::new(Code::DirectoryDepth, At::Nid(here.nid)).into());
        }
        above.push(here);
        here = inode;
    }
    let path = given.join(&b'/');
    Ok(Found { inode: here, path })
}

/// The entry of a name that a user gave: of that very name, or else of the one that its escapes
/// mean, which then takes its place.
pub(crate) fn lookup_given<R: ReadAt<Error = io::Error>>(
    image: &Image<R>,
    dir: &Inode,
    name: &mut Vec<u8>,
) -> Result<Option<Entry>, ReadError<io::Error>> {
    if let Some(entry) = image.lookup(dir, name)? {
        return Ok(Some(entry));
    }
    let Some(meant) = unescape(name) else {
        return Ok(None);
    };
    let entry = image.lookup(dir, &meant)?;
    if entry.is_some() {
        *name = meant;
    }
    Ok(entry)
}

fn answer(error: Errno) -> ReadError<io::Error> {
    ReadError::Source(error.into())
}
