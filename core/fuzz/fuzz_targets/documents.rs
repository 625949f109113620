//! The JSON documents of an image: manifest, index, config, the marker of a layout.
//!
//! An input is a document, or a manifest and its config with a zero byte between them.
#![no_main]

use core::fmt::Debug;

use erofs_unpack_core::oci::{
    Config, Descriptor, Document, Documents, Fetched, Index, Manifest, Platform, Policy, Wanted,
    find, parse_layout, plan,
};
use erofs_unpack_core::{At, Code, Error, Limits};
use libfuzzer_sys::fuzz_target;

/// A layout that holds nothing but what its descriptors embed.
struct Nothing;

impl Documents for Nothing {
    fn read(&mut self, _descriptor: &Descriptor) -> Fetched {
        Fetched::Absent
    }

    fn has(&mut self, _descriptor: &Descriptor) -> bool {
        false
    }
}

/// What a reader makes of a document. What it takes, another reader of JSON takes too; and
/// written anew by that one, which keeps one of several equal keys, it is the same.
fn read<T: Debug + PartialEq>(
    document: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, Error>,
) -> Option<T> {
    let value = match parse(document) {
        Ok(value) => value,
        Err(error) => {
            if let At::Json(at) = error.at() {
                assert!(at <= document.len() as u64, "{error}");
            }
            return None;
        }
    };
    let json: serde_json::Value = serde_json::from_slice(document).expect("it was taken");
    let written = serde_json::to_vec(&json).expect("it was read");
    assert_eq!(parse(&written).as_ref(), Ok(&value), "written anew");
    Some(value)
}

/// An index without what is said of entries that cannot be used: which fault is the first, and at
/// which byte, is another when it is written anew.
fn told(mut index: Index) -> Index {
    for entry in &mut index.unusable {
        entry.error = Error::new(Code::JsonType, At::Whole);
        entry.names.sort();
    }
    index
}

fuzz_target!(|input: &[u8]| {
    let mut limits = Limits::DEFAULT;
    limits.json_size = 1 << 20;
    limits.layers = 100;
    let end = input.iter().position(|byte| *byte == 0);
    let (first, second) = input.split_at(end.unwrap_or(input.len()));
    let second = second.get(1..).unwrap_or_default();

    read(first, |bytes| parse_layout(bytes, &limits));
    let document = read(first, |bytes| {
        Document::parse(bytes, None, &limits).map(|document| match document {
            Document::Index(index) => Document::Index(told(index)),
            manifest => manifest,
        })
    });
    let manifest = read(first, |bytes| Manifest::parse(bytes, &limits));
    let index = read(first, |bytes| Index::parse(bytes, &limits).map(told));
    assert_eq!(document.is_some(), manifest.is_some() != index.is_some());
    if let Some(index) = index {
        for wanted in ["linux/amd64", "linux/arm/v6", "linux/arm64"] {
            let platform = Platform::parse(wanted).expect("it is one");
            if let Ok(chosen) = index.select(&platform) {
                assert!(index.images().any(|entry| entry == chosen));
            }
            let ask = Wanted {
                host: Some(&platform),
                ..Wanted::default()
            };
            let found = find(&index, &ask, &limits, &mut Nothing);
            let pinned = Wanted {
                digest: found.as_ref().ok().map(|found| found.descriptor.digest),
                ..ask
            };
            // Its digest leads to the same manifest.
            if let Ok(found) = found {
                let again = find(&index, &pinned, &limits, &mut Nothing).expect("it was found");
                assert_eq!(again.manifest, found.manifest);
            }
        }
    }
    let config = read(if end.is_some() { second } else { first }, |bytes| {
        Config::parse(bytes, &limits)
    });
    let Some(manifest) = manifest else {
        return;
    };
    // A stricter policy takes nothing that a laxer one refuses.
    let mut laxer = None;
    for policy in [Policy::Any, Policy::Containerd, Policy::Strict] {
        let planned = plan(&manifest, config.as_ref(), policy, &limits);
        if let Ok(planned) = &planned {
            assert_eq!(planned.layers.len(), manifest.layers.len());
            assert_ne!(
                laxer,
                Some(false),
                "{policy:?} is laxer than the one before"
            );
            for layer in &planned.layers {
                let expectations = layer.expectations();
                assert_eq!(expectations.blob_digest, Some(layer.digest));
                if let Some(verity) = expectations.verity {
                    let _ = verity.sizes();
                }
            }
        }
        laxer = Some(planned.is_ok());
    }
});
