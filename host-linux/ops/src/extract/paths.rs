//! What of an image is asked for.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use erofs_unpack_core::erofs::{FileType, Image, Inode, ReadAt, ReadError};
use erofs_unpack_core::{At, Code, Error};
use rustix::io::Errno;

use super::context::Context;
use super::node::Node;
use crate::error::HostError;
use crate::escape::Escaped;
use crate::reader::lookup_given;

/// Something that was asked for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) names: Names,
    pub(super) inode: Inode,
}

/// Looks up what was asked for.
pub(super) fn find<R: ReadAt<Error = io::Error>>(
    context: &Context<'_>,
    image: &Image<R>,
    paths: &[OsString],
) -> Result<Vec<Found>, HostError> {
    let mut all = Vec::new();
    let root = Node::root();
    for mut names in selection(paths)? {
        let inode = resolve(image, &mut names);
        let path = names.join(&b'/');
        let inode = inode
            .map_err(|error| context.unread(&root, &path, error))
            .and_then(|inode| {
                let answer = Errno::NOENT;
                inode.ok_or_else(|| {
                    HostError::environment(context.inside(&root, &path), "find", answer)
                })
            });
        if let Some(inode) = context.pass(inode)? {
            all.push(Found { names, inode });
        }
    }
    // Names that were given with escapes have come to be others.
    all.sort_by(|one, other| one.names.cmp(&other.names));
    all.dedup_by(|below, above| below.names.starts_with(&above.names));
    Ok(all)
}

/// The inode at a path, whose names become those of the image where they were given with escapes.
fn resolve<R: ReadAt<Error = io::Error>>(
    image: &Image<R>,
    names: &mut Names,
) -> Result<Option<Inode>, ReadError<io::Error>> {
    let mut inode = image.root()?;
    for (depth, name) in names.iter_mut().enumerate() {
        if inode.file_type != FileType::Directory {
            return Ok(None);
        }
        if depth as u64 >= u64::from(image.limits().directory_depth) {
            return Err(Error::new(Code::DirectoryDepth, At::Nid(inode.nid)).into());
        }
        let Some(entry) = lookup_given(image, &inode, name)? else {
            return Ok(None);
        };
        inode = image.inode(entry.nid)?;
    }
    Ok(Some(inode))
}

/// The names of a path from the root, none for the root itself.
pub(super) type Names = Vec<Vec<u8>>;

/// Reads paths as users write them: with or without a slash in front. What lies below another
/// of them is left out, and the rest is in the order of the image. No path at all means the
/// root.
pub(super) fn selection(paths: &[OsString]) -> Result<Vec<Names>, HostError> {
    let mut all = Vec::new();
    for path in paths {
        let mut names = Names::new();
        for name in path.as_bytes().split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => {
                    return Err(HostError::Usage(format!(
                        "{}: expected a path in the image without `..`",
                        Escaped::name(path.as_bytes())
                    )));
                }
                name => names.push(name.to_vec()),
            }
        }
        all.push(names);
    }
    if all.is_empty() {
        all.push(Names::new());
    }
    all.sort();
    // A path comes right before those below it.
    all.dedup_by(|below, above| below.starts_with(above));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(paths: &[&str]) -> Result<Vec<String>, HostError> {
        let paths: Vec<OsString> = paths.iter().map(OsString::from).collect();
        let all = selection(&paths)?;
        let text = |names: &Names| String::from_utf8(names.join(&b'/')).unwrap();
        Ok(all.iter().map(text).collect())
    }

    #[test]
    fn paths_in_order_without_those_below_others() {
        assert_eq!(read(&[]).unwrap(), [""]);
        assert_eq!(read(&["/"]).unwrap(), [""]);
        assert_eq!(read(&["a", ""]).unwrap(), [""]);
        assert_eq!(
            read(&["//b/./c/", "a", "b/c/d", "/b/c", "a.x", "ab"]).unwrap(),
            ["a", "a.x", "ab", "b/c"]
        );
    }

    #[test]
    fn no_way_up() {
        for path in ["..", "a/../b", "/.."] {
            assert_eq!(read(&[path]).unwrap_err().exit_code(), 2, "{path}");
        }
    }
}
