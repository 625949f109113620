//! The manifest's terms in those of the core, and the core's in those of the manifest.

use std::collections::BTreeMap;

use erofs_unpack_core::oci::{ErofsAnnotations, Policy};
use erofs_unpack_core::unpack::Outcome;
use erofs_unpack_core::{At, Error, Limits};
use serde_json::{Map, Value as Json, json};

use crate::manifest::{self, Place, Refusal};

/// What the core says of an input that passes.
pub(crate) type Outputs = Map<String, Json>;

/// An error by its stable names.
#[must_use]
pub fn refusal(error: &Error) -> Refusal {
    Refusal {
        id: error.id().into(),
        kind: error.kind().id().into(),
        at: place(error.at()),
    }
}

/// A place by its stable name. One that this crate does not know is none.
#[must_use]
pub fn place(at: At) -> Option<Place> {
    match at {
        At::Blob(offset) => Some(Place::Blob(offset)),
        At::Image(offset) => Some(Place::Image(offset)),
        At::Text(offset) => Some(Place::Text(offset)),
        At::Json(offset) => Some(Place::Json(offset)),
        At::Nid(nid) => Some(Place::Nid(nid)),
        At::File(nid, offset) => Some(Place::File(nid, offset)),
        At::Layer(number) => Some(Place::Layer(number.into())),
        At::Index(offset) => Some(Place::Index(offset)),
        At::Archive(offset) => Some(Place::Archive(offset)),
        _ => None,
    }
}

/// The members of an object.
pub(super) fn outputs(value: Json) -> Outputs {
    match value {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}

/// The core's limits with those that a case sets.
pub(crate) fn limits(set: &manifest::Limits) -> Limits {
    let mut limits = Limits::DEFAULT;
    let put = |limit: &mut u64, set: Option<u64>| *limit = set.unwrap_or(*limit);
    put(&mut limits.blob_size, set.blob_size);
    put(&mut limits.image_size, set.image_size);
    put(&mut limits.zstd_window, set.zstd_window);
    put(&mut limits.frames, set.frames);
    put(&mut limits.skippable_size, set.skippable_size);
    put(&mut limits.json_size, set.json_size);
    put(&mut limits.inodes, set.inodes);
    put(&mut limits.directory_entries, set.directory_entries);
    put(&mut limits.check_memory, set.check_memory);
    put(&mut limits.check_work, set.check_work);
    put(&mut limits.chunk_index, set.chunk_index);
    put(&mut limits.chunk, set.chunk);
    put(&mut limits.tar_header, set.tar_header);
    put(&mut limits.tar_extents, set.tar_extents);
    put(&mut limits.build_memory, set.build_memory);
    limits.expansion_ratio = set.expansion_ratio.or(limits.expansion_ratio);
    let put = |limit: &mut u32, set: Option<u32>| *limit = set.unwrap_or(*limit);
    put(&mut limits.json_depth, set.json_depth);
    put(&mut limits.json_members, set.json_members);
    put(&mut limits.index_depth, set.index_depth);
    put(&mut limits.layers, set.layers);
    put(&mut limits.directory_depth, set.directory_depth);
    put(&mut limits.symlink_length, set.symlink_length);
    limits
}

/// The core's policy of this name.
pub(crate) const fn policy(policy: manifest::Policy) -> Policy {
    match policy {
        manifest::Policy::Any => Policy::Any,
        manifest::Policy::Containerd => Policy::Containerd,
        manifest::Policy::Strict => Policy::Strict,
    }
}

/// The annotations of a layer, read one by one and checked together.
pub(crate) fn annotations(
    annotations: &BTreeMap<String, String>,
) -> Result<ErofsAnnotations, Error> {
    let mut read = ErofsAnnotations::default();
    for (key, value) in annotations {
        read.set(key, value)?;
    }
    read.check()?;
    Ok(read)
}

/// What the core says of a layer that passed.
pub(crate) fn outcome_outputs(outcome: &Outcome) -> Outputs {
    let superblock = outcome.superblock.map(|superblock| {
        json!({
            "blockSize": superblock.block_size(),
            "blocks": superblock.blocks,
            "inodes": superblock.inodes,
            "rootNid": superblock.root_nid,
        })
    });
    outputs(json!({
        "blobDigest": outcome.blob_digest.to_string(),
        "blobSize": outcome.blob_size,
        "diffId": outcome.diff_id.to_string(),
        "imageSize": outcome.image_size,
        "superblock": superblock,
    }))
}
