//! Paths inside an image, as the kernel walks them in a mount of it.

use std::io;

use erofs_unpack_core::erofs::{FileType, Image, Inode, ReadAt, ReadError};
use erofs_unpack_core::{At, Code, Error};
use rustix::io::Errno;

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

/// Finds what lies at a path from the root of an image.
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
) -> Result<Inode, ReadError<io::Error>> {
    let mut here = image.root()?;
    // What lies above, and the names that are still to be walked, the next one last.
    let mut above: Vec<Inode> = Vec::new();
    let mut names: Vec<Vec<u8>> = Vec::new();
    push_names(&mut names, path);
    let mut links = 0;
    while let Some(name) = names.pop() {
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
        let Some(entry) = image.lookup(&here, &name)? else {
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
            push_names(&mut names, &target);
            continue;
        }
        if above.len() as u64 >= u64::from(image.limits().directory_depth) {
            return Err(Error::new(Code::DirectoryDepth, At::Nid(here.nid)).into());
        }
        above.push(here);
        here = inode;
    }
    Ok(here)
}

/// Adds the names of a path, so that the first comes off first.
fn push_names(names: &mut Vec<Vec<u8>>, path: &[u8]) {
    names.extend(path.rsplit(|byte| *byte == b'/').map(<[u8]>::to_vec));
}

fn answer(error: Errno) -> ReadError<io::Error> {
    ReadError::Source(error.into())
}
