//! `erofs-unpack inspect`: what a source is, in aligned lines.

use erofs_unpack_ops::HostError;
use erofs_unpack_ops::inspect::{BlobReport, LayoutReport, Options, Report, inspect};
use erofs_unpack_ops::report::{LayerReport, StatedIndex, SuperblockReport};
use erofs_unpack_ops::system::{Openings, Purpose};
use indicatif::BinaryBytes;

use crate::args::Inspect;
use crate::date::Date;
use crate::output::{exit_code, print, write_json};

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Inspect) -> u8 {
    let ended = operate(args).and_then(|report| output(args, &report));
    exit_code(ended.map(|()| 0))
}

/// From the arguments to the operation.
fn operate(args: &Inspect) -> Result<Report, HostError> {
    let options = Options {
        select: args.select.options()?,
        offset: args.offset,
        limits: args.limits.limits(),
    };
    let mut openings = Openings::new();
    openings.source(&args.source);
    args.confine
        .confine(&openings, Purpose::Verify, false, || Ok(()))?;
    inspect(&args.source, &options)
}

/// Prints everything.
fn output(args: &Inspect, report: &Report) -> Result<(), HostError> {
    if args.json {
        return write_json(report, "-".as_ref());
    }
    print(&text(report))
}

/// All that is printed.
fn text(report: &Report) -> String {
    let mut lines = Lines::default();
    lines.add(0, "Source", &report.source);
    let kind = match report.kind {
        "layout" => "OCI image layout",
        "archive" => "OCI image layout in a tar archive",
        _ => "blob",
    };
    lines.add(0, "Kind", kind);
    if let Some(layout) = &report.layout {
        describe_layout(layout, &mut lines);
    }
    if let Some(blob) = &report.blob {
        describe_blob(blob, &mut lines);
    }
    lines.text
}

/// Lines of a name and a value; all values start in one column.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    /// The column where values start: after the longest name, indented.
    const COLUMN: usize = 26;

    fn add(&mut self, indent: usize, name: &str, value: &str) {
        let width = Self::COLUMN.saturating_sub(indent);
        let indent = " ".repeat(indent);
        let name = format!("{name}:");
        self.text
            .push_str(&format!("{indent}{name:<width$}{value}\n"));
    }
}

fn describe_layout(layout: &LayoutReport, lines: &mut Lines) {
    for entry in &layout.entries {
        let indent = if entry.within.is_some() { 2 } else { 0 };
        let name = match entry.kind {
            "index" => "Image index",
            "image" => "Image",
            _ => "Other",
        };
        let absent = if entry.present {
            ""
        } else {
            " (not in the layout)"
        };
        lines.add(indent, name, &format!("{}{absent}", entry.digest));
        let indent = indent.saturating_add(2);
        if !entry.names.is_empty() {
            lines.add(indent, "Names", &entry.names.join(", "));
        }
        if let Some(platform) = &entry.platform {
            let features = match entry.os_features.as_slice() {
                [] => String::new(),
                features => format!(", needs {}", features.join(", ")),
            };
            lines.add(indent, "Platform", &format!("{platform}{features}"));
        }
        if let Some(platform) = &entry.config_platform {
            lines.add(indent, "Platform", &format!("{platform}, by its config"));
        }
        lines.add(indent, "Media type", &entry.media_type);
        if let Some(artifact) = &entry.artifact_type {
            lines.add(indent, "Artifact type", artifact);
        }
        lines.add(indent, "Size", &bytes(entry.size));
    }
    if let Some(image) = &layout.image {
        lines.add(0, "Chosen", &image.about.manifest);
        if let Some(platform) = &image.about.platform {
            lines.add(2, "Platform", platform);
        }
        if let Some(error) = &image.error {
            lines.add(2, "Refused", &error.message);
        }
        for layer in &image.layers {
            describe_layer(layer, lines);
        }
    }
    for warning in &layout.warnings {
        lines.add(0, "Note", warning);
    }
}

fn describe_layer(layer: &LayerReport, lines: &mut Lines) {
    let number = layer.number.unwrap_or_default();
    let media_type = layer.media_type.as_deref().unwrap_or_default();
    lines.add(0, &format!("Layer {number}"), media_type);
    if let Some(role) = layer.role {
        let serves = layer
            .consumer
            .map_or(String::new(), |number| format!(" of layer {number}"));
        lines.add(2, "Role", &format!("{role}{serves}"));
    }
    if let Some(digest) = &layer.digest {
        lines.add(2, "Digest", digest);
    }
    if let Some(size) = layer.size {
        lines.add(2, "Size", &bytes(size));
    }
    let diff_id = layer.diff_id.as_deref().unwrap_or("not stated");
    lines.add(2, "DiffID", diff_id);
    if layer.status == "missing" {
        lines.add(2, "Blob", "not in the layout");
    }
    if let Some(error) = &layer.error {
        lines.add(2, "Refused", &error.message);
    }
    if let Some(index) = &layer.index {
        lines.add(2, "Chunk index", &index_text(index));
    }
    if let Some(superblock) = &layer.superblock {
        describe_superblock(superblock, 2, lines);
    }
}

/// What an index of chunks is good for.
fn index_text(index: &StatedIndex) -> String {
    if let Some(error) = &index.passed_over {
        return format!("passed over: {}", error.message);
    }
    let chunks = index.chunks.unwrap_or_default();
    let digests = match index.digests {
        Some(true) => "with SHA-2 of each",
        _ => "without checksums",
    };
    let pin = match index.pin {
        Some("manifest") => "the manifest vouches for it",
        _ => "nobody vouches for it",
    };
    format!("{chunks} chunks {digests}; {pin}")
}

fn describe_blob(blob: &BlobReport, lines: &mut Lines) {
    let content = match blob.content {
        "erofs" => "EROFS image",
        "tar" => "tar archive",
        "zeros" => "zeros at the start",
        _ => blob.format.unwrap_or("unknown"),
    };
    lines.add(0, "Content", content);
    lines.add(0, "Compression", blob.compression);
    if let Some(size) = blob.size {
        lines.add(0, "Size", &bytes(size));
    }
    if let Some(offset) = blob.image_offset {
        lines.add(
            0,
            "EROFS image at byte",
            &format!("{offset} (look at it with --offset {offset})"),
        );
    }
    if let Some(superblock) = &blob.superblock {
        describe_superblock(superblock, 0, lines);
    }
}

/// A superblock, in aligned lines.
#[must_use]
pub fn superblock_text(superblock: &SuperblockReport) -> String {
    let mut lines = Lines::default();
    describe_superblock(superblock, 0, &mut lines);
    lines.text
}

fn describe_superblock(superblock: &SuperblockReport, indent: usize, lines: &mut Lines) {
    let list = |list: &[&str]| match list {
        [] => "none".to_owned(),
        list => list.join(", "),
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let mut add = |name: &str, value: &str| lines.add(indent, name, value);
    let size = superblock.blocks.saturating_mul(superblock.block_size);
    add("Declared size", &bytes(size));
    add("Block size", &format!("{} bytes", superblock.block_size));
    add("Blocks", &superblock.blocks.to_string());
    add("Inodes", &superblock.inodes.to_string());
    add("Root nid", &superblock.root_nid.to_string());
    add("UUID", &superblock.uuid);
    let name = Some(superblock.volume_name.clone()).filter(|name| !name.is_empty());
    add("Volume name", &or_none(&name));
    add(
        "Build time",
        &format!("{} UTC", Date::of(superblock.build_time)),
    );
    add(
        "Compatible features",
        &list(&superblock.compatible_features),
    );
    if superblock.unknown_features != 0 {
        let unknown = format!("{:#x}", superblock.unknown_features);
        add("Unknown features", &unknown);
    }
    add(
        "Incompatible features",
        &list(&superblock.incompatible_features),
    );
    add("Kernel", &superblock.kernel.releases);
    add("Data layouts", &list(&superblock.data_layouts));
    let compression = match superblock.legacy_lz4 {
        Some("possible") => {
            "not stated: none, or lz4 without zero padding, which Linux reads up to 6.x".to_owned()
        }
        Some(_) => list(&superblock.algorithms).replace(
            "lz4",
            "lz4 without zero padding, which Linux reads up to 6.x",
        ),
        None => list(&superblock.algorithms),
    };
    add("Compression of files", &compression);
    add("Checksum", &or_none(&superblock.checksum));
    add("Superblock size", &format!("{} bytes", superblock.size));
    add("Metadata at block", &superblock.meta_block.to_string());
    add(
        "Shared xattrs at block",
        &superblock.xattr_block.to_string(),
    );
    add("Xattr prefixes", &superblock.xattr_prefixes.to_string());
    add("Devices", &superblock.extra_devices.to_string());
    if superblock.packed_nid != 0 {
        add("Packed inode's nid", &superblock.packed_nid.to_string());
    }
    if let Some(nid) = superblock.metabox_nid {
        add("Metabox inode's nid", &nid.to_string());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned() {
        let mut lines = Lines::default();
        lines.add(0, "a", "1");
        lines.add(4, "Shared xattrs at block", "2");
        let columns: Vec<_> = lines
            .text
            .lines()
            .map(|line| line.find(['1', '2']))
            .collect();
        assert_eq!(columns[0], Some(Lines::COLUMN));
        assert!(columns[1] >= columns[0]);
    }
}
