//! The documents of a converted image: config, manifest, and what an index says of it.

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{FEATURE_EROFS, Family, MediaKind};
use erofs_unpack_core::{At, Code, Error};
use serde_json::{Map, Value, json};

use super::Options;
use super::entries::Origin;
use super::layer::Converted;
use super::layout::NewLayout;
use crate::error::HostError;
use crate::image::{Image, read};
use crate::source::ImageSource;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Writes them, and gives the entry of the layout's index.
pub(super) fn write(
    layout: &mut NewLayout,
    source: &ImageSource,
    image: &Image,
    layers: &[Converted],
    original: Option<&ImageSource>,
    options: &Options,
) -> Result<Value, HostError> {
    let limits = &options.build.limits;
    let mut config = match image.manifest.config.media_type.kind() {
        MediaKind::Config => {
            let config = &image.manifest.config;
            // It has passed the strict reader already.
            serde_json::from_slice(&read(source, config, limits)?).map_err(|_| {
                let error = Error::new(Code::JsonSyntax, At::Whole);
                HostError::refused(source.blob_place(&config.digest), error)
            })?
        }
        _ => Map::new(),
    };
    let diff_ids: Vec<&str> = layers.iter().map(|layer| &*layer.report.diff_id).collect();
    config.insert(
        "rootfs".into(),
        json!({"type": "layers", "diff_ids": diff_ids}),
    );
    add_feature(&mut config);
    let platform = platform(&config);
    let config = layout.document(CONFIG, &bytes(&config))?;
    let described: Vec<Value> = layers
        .iter()
        .map(|layer| {
            json!({
                "mediaType": media_type(options.family, options.wrap.compression),
                "digest": layer.report.digest,
                "size": layer.report.size,
                "annotations": layer.report.annotations,
            })
        })
        .collect();
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": described,
    });
    if !image.manifest.annotations.is_empty() {
        manifest["annotations"] = json!(image.manifest.annotations);
    }
    let mut entry = layout.document(MANIFEST, manifest.to_string().as_bytes())?;
    entry["platform"] = platform;
    if let Some(source) = original {
        let kept = keep(layout, source, image, options)?;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            // Who looks at features and has none passes over the first. containerd, when it is told of the
            // feature, finds that both match, and takes what comes first.
            "manifests": [entry, kept],
        });
        entry = layout.document(INDEX, index.to_string().as_bytes())?;
    }
    entry["annotations"] = Origin::new(image, options).annotations(image.names.first());
    Ok(entry)
}

/// Copies the image as it was, and gives its descriptor.
fn keep(
    layout: &mut NewLayout,
    source: &ImageSource,
    image: &Image,
    options: &Options,
) -> Result<Value, HostError> {
    let limits = &options.build.limits;
    let descriptor = &image.descriptor;
    let document = read(source, descriptor, limits)?;
    let mut entry = layout.document(&descriptor.media_type.to_string(), &document)?;
    let mut platform = json!(null);
    let own = &image.manifest.config;
    for blob in core::iter::once(own).chain(&image.manifest.layers) {
        if blob.data.is_none() {
            layout.copy(&mut source.open_blob(&blob.digest)?, &blob.digest)?;
        }
    }
    if let Ok(config) = read(source, own, limits)
        && let Ok(config) = serde_json::from_slice::<Map<String, Value>>(&config)
    {
        platform = self::platform(&config);
    }
    if platform.is_object() {
        entry["platform"] = platform;
    }
    Ok(entry)
}

/// Says in a config that its layers are EROFS.
fn add_feature(config: &mut Map<String, Value>) {
    let features = config.entry("os.features").or_insert_with(|| json!([]));
    match features.as_array_mut() {
        Some(features) if features.iter().any(|feature| feature == FEATURE_EROFS) => {}
        Some(features) => features.push(json!(FEATURE_EROFS)),
        None => *features = json!([FEATURE_EROFS]),
    }
}

/// The platform that a config states.
fn platform(config: &Map<String, Value>) -> Value {
    let keys = ["architecture", "os", "os.version", "os.features", "variant"];
    let stated = keys.into_iter().filter_map(|key| {
        let value = config.get(key).filter(|value| !value.is_null())?;
        Some((key.to_owned(), value.clone()))
    });
    Value::Object(stated.collect())
}

fn bytes(config: &Map<String, Value>) -> Vec<u8> {
    Value::Object(config.clone()).to_string().into_bytes()
}

/// The media type of a layer.
fn media_type(family: Family, compression: Compression) -> String {
    let suffix = match compression {
        Compression::Zstd => "+zstd",
        Compression::Gzip => "+gzip",
        _ => "",
    };
    format!("{}{suffix}", family.base())
}
