//! What to call things in messages.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::system::OsStrExt as _;

/// What to call a file of an image in messages: the image, and after a colon the path from its
/// root.
pub(crate) fn inside(place: &Path, path: &[u8]) -> PathBuf {
    let mut place = place.as_os_str().to_owned();
    place.push(":/");
    let path = path.strip_prefix(b"/").unwrap_or(path);
    place.push(OsStr::from_bytes(path));
    place.into()
}
