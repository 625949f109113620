//! What is left out of an image, and whose files become whose.

use std::collections::BTreeMap;

/// Names of extended attributes, whole, and their values.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What is changed between source and image.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Patterns of paths that are left out, with what is below them, as `tar --exclude` takes them.
    pub exclude: Vec<glob::Pattern>,
    /// All files are root's.
    pub all_root: bool,
    /// Owners: the first, what it becomes, and how many from there on.
    pub uid_map: Vec<(u32, u32, u32)>,
    /// The same of groups.
    pub gid_map: Vec<(u32, u32, u32)>,
    /// Extended attributes of paths, in place of those that a source has.
    pub xattrs: BTreeMap<Vec<u8>, Xattrs>,
}

impl Filter {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.exclude.is_empty()
            && !self.all_root
            && self.uid_map.is_empty()
            && self.gid_map.is_empty()
            && self.xattrs.is_empty()
    }

    /// Whether a path is left out: it, or a directory above it, matches a pattern from one of its
    /// slashes on.
    #[must_use]
    pub fn excludes(&self, path: &[u8]) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        let path = String::from_utf8_lossy(path);
        let mut end = 0;
        path.split('/').any(|part| {
            end += part.len();
            let above = path.get(..end).unwrap_or_default();
            end += 1;
            let starts = core::iter::once(0).chain(above.match_indices('/').map(|(at, _)| at + 1));
            starts
                .filter_map(|start| above.get(start..))
                .any(|rest| self.exclude.iter().any(|pattern| pattern.matches(rest)))
        })
    }

    /// Whose a file becomes.
    #[must_use]
    pub fn owner(&self, uid: u32, gid: u32) -> (u32, u32) {
        if self.all_root {
            return (0, 0);
        }
        (mapped(&self.uid_map, uid), mapped(&self.gid_map, gid))
    }

    /// The extended attributes that a path is said to have; `None` when nothing is said of it.
    #[must_use]
    pub fn xattrs(&self, path: &[u8]) -> Option<&[(Vec<u8>, Vec<u8>)]> {
        self.xattrs.get(path).map(Vec::as_slice)
    }
}

fn mapped(map: &[(u32, u32, u32)], id: u32) -> u32 {
    map.iter()
        .find_map(|(from, to, count)| {
            let over = id.checked_sub(*from).filter(|over| over < count)?;
            to.checked_add(over)
        })
        .unwrap_or(id)
}

/// A path in its parts, joined by `/`: as patterns and lists name it.
pub(super) fn plain(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|byte| *byte == b'/');
    let parts: Vec<&[u8]> = parts
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    parts.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_from_any_slash_on_and_what_is_below() {
        let excludes = |pattern: &str, path: &str| {
            let filter = Filter {
                exclude: vec![glob::Pattern::new(pattern).unwrap()],
                ..Filter::default()
            };
            filter.excludes(path.as_bytes())
        };
        assert!(excludes("*.o", "src/a.o"));
        assert!(excludes("src", "src/deep/a.c"));
        assert!(excludes("deep/a.*", "src/deep/a.c"));
        assert!(excludes("src/*", "src/deep/a.c"));
        assert!(!excludes("src/*", "src"));
        assert!(!excludes("eep", "src/deep/a.c"));
        assert!(!excludes("a.o", "src/a.o.d/x"));
    }

    #[test]
    fn owners_are_mapped() {
        let mut filter = Filter {
            uid_map: vec![(1000, 0, 1), (100_000, 1, 65_536)],
            ..Filter::default()
        };
        assert_eq!(filter.owner(1000, 1000), (0, 1000));
        assert_eq!(filter.owner(100_004, 5), (5, 5));
        assert_eq!(filter.owner(165_536, 5), (165_536, 5));
        filter.all_root = true;
        assert_eq!(filter.owner(1000, 1000), (0, 0));
    }

    #[test]
    fn paths_are_plain() {
        assert_eq!(plain(b"./a//b/./c/"), b"a/b/c");
        assert_eq!(plain(b"/"), b"");
    }
}
