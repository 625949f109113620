//! Where a directory of the image lies, as names that share their parents.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

/// A directory by its names from the root on. A child shares its parent's names, so that many
/// deep directories cost no more than their own names.
#[derive(Debug)]
pub(super) struct Node {
    above: Option<(Arc<Self>, Box<[u8]>)>,
}

impl Node {
    /// The root.
    pub(super) fn root() -> Arc<Self> {
        Arc::new(Self { above: None })
    }

    /// The directory of this name inside another.
    pub(super) fn child(parent: &Arc<Self>, name: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            above: Some((Arc::clone(parent), name.into())),
        })
    }

    /// The names from the root to here; the root has none.
    pub(super) fn names(&self) -> Vec<&[u8]> {
        let mut names = Vec::new();
        let mut node = self;
        while let Some((parent, name)) = &node.above {
            names.push(&**name);
            node = parent;
        }
        names.reverse();
        names
    }

    /// A name in this directory, below a path.
    pub(super) fn path(&self, below: &Path, name: &[u8]) -> PathBuf {
        let mut path = below.to_owned();
        for name in self.names() {
            path.push(OsStr::from_bytes(name));
        }
        if !name.is_empty() {
            path.push(OsStr::from_bytes(name));
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_the_root() {
        let root = Node::root();
        assert!(root.names().is_empty());
        let inner = Node::child(&Node::child(&root, b"a"), b"b");
        assert_eq!(inner.names(), [b"a", b"b"]);
        assert_eq!(inner.path(Path::new("to"), b"c"), Path::new("to/a/b/c"));
        assert_eq!(root.path(Path::new("to"), b""), Path::new("to"));
    }
}
