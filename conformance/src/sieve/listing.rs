//! A tree as both readers state it, so that two listings can be compared byte for byte.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::blob::sha256;

/// Most bytes that are read from the start of a file: a flipped bit can make it huge.
const HEAD: u64 = 4 << 20;
/// Most bytes that are read from its end, when it is longer.
const TAIL: u64 = 64 << 10;

/// One entry of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The path from the root, which has none.
    pub path: Vec<u8>,
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds of that time.
    pub mtime_ns: u32,
    /// Number of links.
    pub nlink: u64,
    /// Major and minor number.
    pub device: (u32, u32),
    /// The target of a symbolic link.
    pub target: Option<Vec<u8>>,
    /// The digest of a regular file's content, see [`digest`].
    pub content: Option<String>,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A tree as one reader sees it.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// What was seen.
    pub nodes: Vec<Node>,
    /// The first thing that could not be read, and why.
    pub error: Option<String>,
}

impl Node {
    /// The entry as one line.
    #[must_use]
    pub fn line(&self) -> String {
        let (major, minor) = self.device;
        let mut line = format!(
            "/{} {:o} {}:{} {} {}.{:09} links {} device {major}:{minor}",
            self.path.escape_ascii(),
            self.mode,
            self.uid,
            self.gid,
            self.size,
            self.mtime,
            self.mtime_ns,
            self.nlink,
        );
        if let Some(target) = &self.target {
            let _ = write!(line, " -> {}", target.escape_ascii());
        }
        if let Some(content) = &self.content {
            let _ = write!(line, " {content}");
        }
        for (name, value) in &self.xattrs {
            let _ = write!(
                line,
                " {}={:?}",
                name.escape_ascii(),
                value.escape_ascii().to_string()
            );
        }
        line
    }
}

impl Listing {
    /// Takes note that something could not be read, unless something else was before.
    pub fn fail(&mut self, error: impl FnOnce() -> String) {
        if self.error.is_none() {
            self.error = Some(error());
        }
    }

    /// All entries, a line each, in the order of their paths.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut nodes: Vec<&Node> = self.nodes.iter().collect();
        nodes.sort_by(|one, other| one.path.cmp(&other.path));
        nodes.into_iter().map(Node::line).collect()
    }

    /// A digest of all lines; none when something could not be read.
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        match self.error {
            None => Some(sha256(self.lines().join("\n").as_bytes())),
            Some(_) => None,
        }
    }
}

/// The digest of a file's content: all of it up to 4 MiB; of what is longer, those at its
/// start and 64 KiB at its end. `read` fills the buffer from an offset on.
///
/// # Errors
///
/// What `read` says.
pub fn digest<E>(
    size: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<String, E> {
    let mut bytes = vec![0; usize::try_from(size.min(HEAD)).unwrap_or(0)];
    read(0, &mut bytes)?;
    if size > HEAD {
        let mut tail = vec![0; usize::try_from(TAIL.min(size - HEAD)).unwrap_or(0)];
        read(size - tail.len() as u64, &mut tail)?;
        bytes.extend(tail);
    }
    Ok(sha256(&bytes))
}
