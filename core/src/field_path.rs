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

/// The way to a place in a JSON document, such as `manifests[2].annotations`.
///
/// It names only fields that have a meaning to this crate, so it is of bounded size and holds
/// no text of the input. A place below any other key is told by the last field above it that
/// has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct FieldPath {
    /// The place of each field in [`NAMES`], from 1; 0 behind the last. Errors hold a path, so it
    /// is kept small.
    fields: [u8; DEPTH],
    /// The item of each field, from 1; 0 for the field itself.
    items: [u32; DEPTH],
}

impl FieldPath {
    /// The document itself.
    pub const ROOT: Self = Self {
        fields: [0; DEPTH],
        items: [0; DEPTH],
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
        let place = place.and_then(|place| u8::try_from(place.saturating_add(1)).ok());
        let free = self.fields.iter_mut().find(|field| **field == 0);
        if let (Some(place), Some(free)) = (place, free) {
            *free = place;
        }
        self
    }

    /// The way to an item, counted from 0, of the array that is here.
    #[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "JSON needs alloc"))]
    pub(crate) fn item(mut self, number: usize) -> Self {
        let depth = self.fields.iter().filter(|field| **field != 0).count();
        let last = depth
            .checked_sub(1)
            .and_then(|last| self.items.get_mut(last));
        if let Some(item) = last {
            *item = u32::try_from(number.saturating_add(1)).unwrap_or(0);
        }
        self
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self.fields.iter().zip(&self.items);
        for (number, (field, item)) in steps.enumerate() {
            let place = usize::from(*field).checked_sub(1);
            let Some(name) = place.and_then(|place| NAMES.get(place)) else {
                return Ok(());
            };
            if number > 0 {
                f.write_str(".")?;
            }
            f.write_str(name)?;
            if let Some(item) = item.checked_sub(1) {
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
