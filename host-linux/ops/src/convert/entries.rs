//! The entries of a layout's index: what each was made of, and which replace which.

use erofs_unpack_core::oci::Algorithm;
use serde_json::{Value, json};

use super::Options;
use super::reuse;
use crate::image::Image;

const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Annotation of an entry: digest of the manifest that the image was made of.
const SOURCE: &str = "org.erofs-unpack.source";

/// Annotation of an entry: digest of the options that it was made with.
const OPTIONS: &str = "org.erofs-unpack.options";

/// What an image is made of: whoever finds an entry that says the same need not make it again.
#[derive(Debug)]
pub(super) struct Origin {
    source: String,
    /// `None` for options that no digest tells of.
    options: Option<String>,
}

impl Origin {
    pub(super) fn new(image: &Image, options: &Options) -> Self {
        let digest = reuse::options_digest(options).map(|shape| {
            let family = options.family.base();
            let text = format!(
                "{shape}\nfamily {family}\nkeep-original {}\n",
                options.keep_original
            );
            Algorithm::Sha256.digest(text.as_bytes()).to_string()
        });
        Self {
            source: image.descriptor.digest.to_string(),
            options: digest,
        }
    }

    /// Whether an entry says that it was made so.
    pub(super) fn is_of(&self, entry: &Value) -> bool {
        let annotations = &entry["annotations"];
        self.options.is_some()
            && annotations[OPTIONS].as_str() == self.options.as_deref()
            && annotations[SOURCE].as_str() == Some(&self.source)
    }

    /// The annotations of an entry.
    pub(super) fn annotations(&self, name: Option<&String>) -> Value {
        let mut annotations = json!({});
        if let Some(name) = name {
            annotations[REF_NAME] = json!(name);
        }
        if let Some(options) = &self.options {
            annotations[SOURCE] = json!(self.source);
            annotations[OPTIONS] = json!(options);
        }
        annotations
    }
}

/// The entries of an index.
pub(super) fn of(index: &Value) -> Vec<Value> {
    index["manifests"].as_array().cloned().unwrap_or_default()
}

/// The name of an entry.
pub(super) fn name(entry: &Value) -> Option<&str> {
    entry["annotations"][REF_NAME].as_str()
}

/// The entries that were there, and new ones. A new one replaces those of its name, and one without a name that
/// is the same image; what is new without a name keeps the one that the image has here. New ones do not replace
/// each other: an image for several platforms has one name.
pub(super) fn merged(there: Vec<Value>, new: Vec<Value>) -> Vec<Value> {
    let mut added: Vec<Value> = Vec::new();
    for mut entry in new {
        if name(&entry).is_none() {
            let same = there
                .iter()
                .find(|old| old["digest"] == entry["digest"] && name(old).is_some());
            if let Some(name) = same.and_then(name) {
                entry["annotations"][REF_NAME] = json!(name);
            }
        }
        let is_there = |old: &Value| old["digest"] == entry["digest"] && name(old) == name(&entry);
        if !added.iter().any(is_there) {
            added.push(entry);
        }
    }
    let replaced = |old: &Value| {
        added.iter().any(|entry| match (name(old), name(entry)) {
            (Some(old), Some(new)) => old == new,
            (None, _) => old["digest"] == entry["digest"],
            (Some(_), None) => false,
        })
    };
    let mut merged: Vec<Value> = there.into_iter().filter(|old| !replaced(old)).collect();
    merged.extend(added);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(digest: &str, name: &str) -> Value {
        if name.is_empty() {
            return json!({"digest": digest, "annotations": {}});
        }
        json!({"digest": digest, "annotations": {REF_NAME: name}})
    }

    fn told(entries: &[Value]) -> Vec<String> {
        let told = entries.iter().map(|entry| {
            let digest = entry["digest"].as_str().unwrap();
            format!("{digest} {}", name(entry).unwrap_or("-"))
        });
        told.collect()
    }

    #[test]
    fn names_and_platforms_are_kept() {
        let merge = |there: &[(&str, &str)], new: &[(&str, &str)]| {
            let [there, new] = [there, new].map(|list| {
                let entries = list.iter().map(|(digest, name)| entry(digest, name));
                entries.collect::<Vec<_>>()
            });
            told(&merged(there, new))
        };
        // A name goes to the newer image; another name of it stays.
        assert_eq!(
            merge(&[("a", "v1"), ("a", "v2")], &[("b", "v1")]),
            ["a v2", "b v1"]
        );
        assert_eq!(merge(&[("a", "v1")], &[("a", "v2")]), ["a v1", "a v2"]);
        // Platforms share a name.
        assert_eq!(
            merge(&[("x", "v1")], &[("a", "v1"), ("b", "v1")]),
            ["a v1", "b v1"]
        );
        // Without a name.
        assert_eq!(merge(&[("a", "")], &[("a", "")]), ["a -"]);
        assert_eq!(merge(&[("a", "")], &[("a", "v1")]), ["a v1"]);
        assert_eq!(merge(&[("a", "v1")], &[("a", "")]), ["a v1"]);
        assert_eq!(merge(&[("b", "v1")], &[("a", "")]), ["b v1", "a -"]);
        // The same twice.
        assert_eq!(merge(&[], &[("a", "v1"), ("a", "v1")]), ["a v1"]);
    }
}
