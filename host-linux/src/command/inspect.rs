//! `erofs-unpack inspect`: what a source is.

use std::io::{Read as _, Write as _};
use std::path::Path;

use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder as _, Status};
use erofs_unpack_core::erofs::{
    EXTENSION_SLOT_SIZE, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock,
};
use erofs_unpack_core::oci::{Descriptor, Layer};
use erofs_unpack_core::unpack::{SNIFF_SIZE, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error, Limits};
use indicatif::BinaryBytes;
use serde::Serialize;

use super::{selection, source_options, write_json};
use crate::cli::Inspect;
use crate::error::HostError;
use crate::escape::Escaped;
use crate::image::{Image, read_index};
use crate::report::{LayerReport, SuperblockReport, VERSION, shown};
use crate::source::{BlobReader, ImageSource, Source};

/// How many decoded bytes are looked at: the superblock and one extension slot.
const HEAD: usize = SNIFF_SIZE + EXTENSION_SLOT_SIZE;

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Inspect) -> u8 {
    match inspect(args) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("erofs-unpack: {error}");
            error.exit_code()
        }
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    version: u32,
    command: &'static str,
    source: String,
    /// `image` or `blob`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<FoundImage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<FoundBlob>,
}

/// A layout.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundImage {
    /// The entries of the layout's index.
    entries: Vec<FoundEntry>,
    /// The image that would be unpacked.
    manifest: String,
    names: Vec<String>,
    layers: Vec<LayerReport>,
    warnings: Vec<String>,
}

/// An entry of an index.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundEntry {
    names: Vec<String>,
    media_type: String,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    os_features: Vec<String>,
}

/// A blob or an image file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundBlob {
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// `none`, `gzip` or `zstd`.
    compression: &'static str,
    /// `erofs`, `tar` or `unknown`.
    content: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    superblock: Option<SuperblockReport>,
}

fn inspect(args: &Inspect) -> Result<(), HostError> {
    let limits = args.limits.limits();
    let source = Source::open(&args.source, &source_options(&args.select, false))?;
    let mut found = Found {
        version: VERSION,
        command: "inspect",
        source: shown(&args.source),
        kind: "blob",
        image: None,
        blob: None,
    };
    match source {
        Source::Image(source) => {
            found.kind = "image";
            found.image = Some(inspect_image(args, &source, &limits)?);
        }
        Source::Blob(blob) => found.blob = Some(inspect_blob(blob, &limits)?),
    }
    if args.json {
        return write_json(&found, Path::new("-"));
    }
    let mut text = String::new();
    describe(&found, &mut text);
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| HostError::environment("-", "write to stdout", error))
}

fn inspect_image(
    args: &Inspect,
    source: &ImageSource,
    limits: &Limits,
) -> Result<FoundImage, HostError> {
    let (index, _) = read_index(source, limits)?;
    let image = Image::find(source, &selection(&args.select)?, limits)?;
    let layers = image
        .plan
        .layers
        .iter()
        .map(|layer| found_layer(source, layer, limits));
    Ok(FoundImage {
        entries: index.manifests.iter().map(found_entry).collect(),
        manifest: image.descriptor.digest.to_string(),
        names: image.names.iter().map(|name| escaped(name)).collect(),
        layers: layers.collect(),
        warnings: image
            .plan
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect(),
    })
}

/// A layer of the manifest, with its superblock where its blob is there and has one.
fn found_layer(source: &ImageSource, layer: &Layer, limits: &Limits) -> LayerReport {
    let mut report = LayerReport::of(layer);
    report.status = "stated";
    let blob = source.open_blob(&layer.digest);
    match blob {
        Ok(mut blob) => {
            let head = decoded_head(&mut blob, layer.compression, limits);
            report.superblock = head.ok().and_then(|head| superblock(&head).ok());
        }
        Err(_) => report.status = "missing",
    }
    report
}

fn found_entry(entry: &Descriptor) -> FoundEntry {
    let platform = entry.platform.as_ref();
    FoundEntry {
        names: entry.names().map(escaped).collect(),
        media_type: entry.media_type.as_str().to_owned(),
        digest: entry.digest.to_string(),
        size: entry.size,
        platform: platform.map(|platform| escaped(&platform.to_string())),
        os_features: platform.map_or_else(Vec::new, |platform| {
            platform
                .os_features
                .iter()
                .map(|name| escaped(name))
                .collect()
        }),
    }
}

fn inspect_blob(mut blob: BlobReader, limits: &Limits) -> Result<FoundBlob, HostError> {
    let place = blob.place().to_owned();
    let failed = |error| HostError::environment(place.clone(), "read", error);
    let size = blob.length();
    let start = blob.peek(SNIFF_SIZE).map_err(failed)?;
    let compression = match sniff(&start) {
        Sniffed::Compressed(compression) => compression,
        _ => Compression::None,
    };
    let head = decoded_head(&mut blob, compression, limits)?;
    let mut found = FoundBlob {
        size,
        compression: compression.name(),
        content: "unknown",
        superblock: None,
    };
    match sniff(&head) {
        Sniffed::Erofs => {
            found.content = "erofs";
            let superblock = superblock(&head);
            found.superblock =
                Some(superblock.map_err(|error| HostError::refused(place.clone(), error))?);
        }
        Sniffed::Tar => found.content = "tar",
        Sniffed::Compressed(_) | Sniffed::Unknown => {}
    }
    Ok(found)
}

/// The first decoded bytes of a blob.
fn decoded_head(
    blob: &mut BlobReader,
    compression: Compression,
    limits: &Limits,
) -> Result<Vec<u8>, HostError> {
    let place = blob.place().to_owned();
    let refused = |error| HostError::refused(place.clone(), error);
    let mut decoder = AnyDecoder::new(compression, limits).map_err(refused)?;
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = blob
            .read(&mut buffer)
            .map_err(|error| HostError::environment(place.clone(), "read", error))?;
        let mut input = &buffer[..read];
        loop {
            let step = decoder
                .decode(input, &mut head[filled..])
                .map_err(refused)?;
            input = &input[step.consumed..];
            filled += step.produced;
            if filled == HEAD || step.status != Status::NeedOutput {
                break;
            }
        }
        if filled == HEAD || read == 0 {
            head.truncate(filled);
            return Ok(head);
        }
    }
}

/// The superblock in the first bytes of an image.
fn superblock(head: &[u8]) -> Result<SuperblockReport, Error> {
    let start = usize::try_from(SUPERBLOCK_OFFSET).unwrap_or(usize::MAX);
    let after = head.get(start..).unwrap_or_default();
    let Some((record, after)) = after.split_first_chunk::<SUPERBLOCK_SIZE>() else {
        return Err(Error::new(
            Code::SuperblockTruncated,
            At::Image(head.len() as u64),
        ));
    };
    let mut superblock = Superblock::parse(record)?;
    if let Some((slot, _)) = after.split_first_chunk() {
        superblock.read_extension(slot);
    }
    Ok(SuperblockReport::of(&superblock))
}

fn escaped(text: &str) -> String {
    Escaped::text(text).to_string()
}

// --- Text for people ----------------------------------------------------------------------------

/// Adds an aligned line.
fn line(text: &mut String, indent: usize, name: &str, value: &str) {
    let width = 24_usize.saturating_sub(indent);
    let indent = " ".repeat(indent);
    text.push_str(&format!("{indent}{name:<width$} {value}\n"));
}

fn describe(found: &Found, text: &mut String) {
    line(text, 0, "Source:", &found.source);
    if let Some(image) = &found.image {
        line(text, 0, "Kind:", "OCI image layout");
        for entry in &image.entries {
            line(text, 0, "Entry:", &entry.digest);
            if !entry.names.is_empty() {
                line(text, 2, "Names:", &entry.names.join(", "));
            }
            if let Some(platform) = &entry.platform {
                line(text, 2, "Platform:", platform);
            }
            if !entry.os_features.is_empty() {
                line(text, 2, "OS features:", &entry.os_features.join(", "));
            }
            line(text, 2, "Media type:", &entry.media_type);
        }
        line(text, 0, "Manifest:", &image.manifest);
        for layer in &image.layers {
            describe_layer(layer, text);
        }
        for warning in &image.warnings {
            line(text, 0, "Warning:", warning);
        }
    }
    if let Some(blob) = &found.blob {
        let kind = match blob.content {
            "erofs" => "EROFS image",
            "tar" => "tar archive",
            _ => "unknown",
        };
        line(text, 0, "Content:", kind);
        line(text, 0, "Compression:", blob.compression);
        if let Some(size) = blob.size {
            line(text, 0, "Size:", &bytes(size));
        }
        if let Some(superblock) = &blob.superblock {
            describe_superblock(superblock, 0, text);
        }
    }
}

fn describe_layer(layer: &LayerReport, text: &mut String) {
    let number = layer.number.unwrap_or_default();
    line(
        text,
        0,
        &format!("Layer {number}:"),
        layer.media_type.as_deref().unwrap_or(""),
    );
    let role = layer.role.unwrap_or("");
    let serves = layer
        .consumer
        .map_or(String::new(), |number| format!(" for layer {number}"));
    line(text, 2, "Role:", &format!("{role}{serves}"));
    if let Some(digest) = &layer.digest {
        line(text, 2, "Digest:", digest);
    }
    if let Some(size) = layer.size {
        line(text, 2, "Size:", &bytes(size));
    }
    line(
        text,
        2,
        "DiffID:",
        layer.diff_id.as_deref().unwrap_or("not stated"),
    );
    if layer.status == "missing" {
        line(text, 2, "Blob:", "not in the layout");
    }
    if let Some(superblock) = &layer.superblock {
        describe_superblock(superblock, 2, text);
    }
}

fn describe_superblock(superblock: &SuperblockReport, indent: usize, text: &mut String) {
    let or_none = |list: &[&str]| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(", ")
        }
    };
    let size = superblock.blocks.saturating_mul(superblock.block_size);
    line(text, indent, "Image size:", &bytes(size));
    line(
        text,
        indent,
        "Block size:",
        &superblock.block_size.to_string(),
    );
    line(text, indent, "Blocks:", &superblock.blocks.to_string());
    line(text, indent, "Inodes:", &superblock.inodes.to_string());
    line(text, indent, "Root nid:", &superblock.root_nid.to_string());
    line(text, indent, "UUID:", &superblock.uuid);
    if !superblock.volume_name.is_empty() {
        line(text, indent, "Volume name:", &superblock.volume_name);
    }
    let time = format!("{} s since 1970", superblock.build_time);
    line(text, indent, "Build time:", &time);
    line(
        text,
        indent,
        "Compatible features:",
        &or_none(&superblock.compatible_features),
    );
    line(
        text,
        indent,
        "Incompatible features:",
        &or_none(&superblock.incompatible_features),
    );
    line(
        text,
        indent,
        "Compression of files:",
        &or_none(&superblock.algorithms),
    );
    if superblock.extra_devices > 0 {
        line(
            text,
            indent,
            "Devices:",
            &superblock.extra_devices.to_string(),
        );
    }
}

/// A size in bytes and in a unit.
fn bytes(size: u64) -> String {
    if size < 1024 {
        format!("{size} bytes")
    } else {
        format!("{size} bytes ({})", BinaryBytes(size))
    }
}
