//! What of an image is asked for.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use erofs_unpack_core::erofs::{Image, Inode, ReadAt};
use rustix::io::Errno;

use super::context::Context;
use super::node::Node;
use crate::error::HostError;
use crate::escape::Escaped;

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
    for names in selection(paths)? {
        let path = names.join(&b'/');
        let inode = image
            .resolve(&path)
            .map_err(|error| context.unread(&root, &path, error))?
            .ok_or_else(|| {
                HostError::environment(context.inside(&root, &path), "find", Errno::NOENT)
            })?;
        all.push(Found { names, inode });
    }
    Ok(all)
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
