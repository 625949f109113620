//! JSON documents through the core.

use std::io;
use std::path::Path;

use erofs_unpack_core::Error;
use erofs_unpack_core::oci::{
    self, Config, Document, Index, Manifest, MediaType, Plan, Platform, Unusable, parse_layout,
};
use serde_json::{Map, Value as Json, json};

use super::convert::{Outputs, limits, outputs, policy};
use crate::manifest::{DocumentInput, PlanInput, SelectInput};

/// What the core says of an input that could be read.
type Reading = io::Result<Result<Outputs, Error>>;

/// `oci-layout`.
pub(super) fn marker(input: &DocumentInput, folder: &Path) -> Reading {
    let document = input.document.read(folder)?;
    Ok(parse_layout(&document, &limits(&input.limits)).map(|()| Map::new()))
}

/// A manifest or an index.
pub(super) fn document(input: &DocumentInput, folder: &Path) -> Reading {
    let document = input.document.read(folder)?;
    let read = || {
        let stated = input.media_type.as_deref().map(MediaType::parse);
        let stated = stated.transpose()?;
        Document::parse(&document, stated.as_ref(), &limits(&input.limits))
    };
    Ok(read().map(|document| match document {
        Document::Manifest(manifest) => outputs(json!({
            "document": "manifest",
            "layers": manifest.layers.len(),
        })),
        Document::Index(index) => outputs(json!({
            "document": "index",
            "manifests": index.manifests.len(),
        })),
    }))
}

/// A config.
pub(super) fn config(input: &DocumentInput, folder: &Path) -> Reading {
    let document = input.document.read(folder)?;
    Ok(
        Config::parse(&document, &limits(&input.limits)).map(|config| {
            outputs(json!({
                "os": config.os,
                "architecture": config.architecture,
                "erofs": config.has_erofs(),
                "diffIds": config.diff_ids.map(|ids| ids.len()),
            }))
        }),
    )
}

/// The entry of an index for a platform.
pub(super) fn select(input: &SelectInput, folder: &Path) -> Reading {
    let document = input.index.read(folder)?;
    let read = || {
        let platform = Platform::parse(&input.platform)?;
        let index = Index::parse(&document, &erofs_unpack_core::Limits::DEFAULT)?;
        let entry = index.select(&platform)?;
        let place = index.manifests.iter().position(|other| other == entry);
        let place = place.map(|place| {
            // Those that cannot be used are counted too.
            let before = |place: usize, unusable: &Unusable| {
                place + usize::from(unusable.number as usize <= place)
            };
            index.unusable.iter().fold(place, before)
        });
        Ok(outputs(json!({
            // From 1, as layers are counted.
            "entry": place.map(|place| place + 1),
            "digest": entry.digest.to_string(),
        })))
    };
    Ok(read())
}

/// A manifest with its config.
pub(super) fn plan(input: &PlanInput, folder: &Path) -> Reading {
    let limits = limits(&input.limits);
    let manifest = input.manifest.read(folder)?;
    let config = input.config.as_ref().map(|blob| blob.read(folder));
    let config = config.transpose()?;
    let read = || {
        let manifest = Manifest::parse(&manifest, &limits)?;
        let config = config.as_deref().map(|text| Config::parse(text, &limits));
        let config = config.transpose()?;
        oci::plan(&manifest, config.as_ref(), policy(input.policy), &limits)
    };
    Ok(read().map(|plan| {
        let layers: Vec<Json> = plan.layers.iter().map(layer).collect();
        outputs(json!({ "layers": layers, "warnings": warnings(&plan) }))
    }))
}

/// What the core says of a layer's part in an image.
fn layer(layer: &oci::Layer) -> Json {
    json!({
        "role": layer.role.name(),
        "compression": layer.compression.name(),
        "diffId": layer.diff_id.map(|digest| digest.to_string()),
        "consumer": layer.consumer,
        "devices": layer.devices,
    })
}

/// The ids of a plan's warnings.
pub(super) fn warnings(plan: &Plan) -> Vec<&'static str> {
    plan.warnings.iter().map(|warning| warning.id()).collect()
}
