//! Where in a JSON document: the names of fields that are known, and the numbers of items.

use core::fmt;

/// The fields that can be named, of all documents that are read.
const NAMES: [&str; 27] = [
    "annotations",
    "architecture",
    "artifactType",
    "author",
    "config",
    "created",
    "data",
    "diff_ids",
    "digest",
    "features",
    "fsLayers",
    "history",
    "imageLayoutVersion",
    "layers",
    "manifests",
    "mediaType",
    "os",
    "os.features",
    "os.version",
    "platform",
    "rootfs",
    "schemaVersion",
    "size",
    "subject",
    "type",
    "urls",
    "variant",
];

/// Most fields below one another: those of the platform of an entry of an index.
const DEPTH: usize = 3;

/// One field on the way, and the item of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Step {
    /// Its place in [`NAMES`].
    name: u8,
    item: Option<u32>,
}

/// The way to a place in a JSON document, such as `manifests[2].annotations`.
///
/// It names only fields that have a meaning to this crate, so it is of bounded size and holds
/// no text of the input. A place below any other key is told by the last field above it that
/// has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct FieldPath {
    steps: [Option<Step>; DEPTH],
}

impl FieldPath {
    /// The document itself.
    pub const ROOT: Self = Self {
        steps: [None; DEPTH],
    };

    /// Whether it is the document itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        *self == Self::ROOT
    }

    /// The way to a field of what is here.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "JSON needs alloc"))]
    pub(crate) fn field(mut self, name: &str) -> Self {
        let place = NAMES.iter().position(|known| *known == name);
        let place = place.and_then(|place| u8::try_from(place).ok());
        if let (Some(name), Some(step)) = (place, self.steps.iter_mut().find(|s| s.is_none())) {
            *step = Some(Step { name, item: None });
        }
        self
    }

    /// The way to an item, counted from 0, of the array that is here.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "JSON needs alloc"))]
    pub(crate) fn item(mut self, number: usize) -> Self {
        if let Some(step) = self.steps.iter_mut().rev().flatten().next() {
            step.item = u32::try_from(number).ok();
        }
        self
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.steps.iter().flatten().enumerate() {
            if place > 0 {
                f.write_str(".")?;
            }
            f.write_str(NAMES.get(usize::from(step.name)).unwrap_or(&""))?;
            if let Some(item) = step.item {
                write!(f, "[{item}]")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_way_is_told_as_far_as_its_names_are_known() {
        let root = FieldPath::ROOT;
        assert!(root.is_root());
        assert_eq!(root.item(4).field("x").to_string(), "");
        let entry = root.field("manifests").item(2);
        assert!(!entry.is_root());
        assert_eq!(
            entry.field("annotations").to_string(),
            "manifests[2].annotations"
        );
        assert_eq!(entry.field("other").to_string(), "manifests[2]");
        let deepest = entry.field("platform").field("os.features").item(7);
        assert_eq!(deepest.to_string(), "manifests[2].platform.os.features[7]");
        assert_eq!(deepest.field("os"), deepest);
    }
}
