//! `erofs-unpack dump`: how an image is laid out, in the form of `dump.erofs`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use erofs_unpack_core::erofs::{
    Compat, CompressionConfigs, Data, DeviceSlot, Extent, FileType, Image, Inode, Place, ReadError,
    Space,
};
use serde::Serialize;

use super::inspect::superblock_text;
use super::read::{FileReport, Out, Reader, mode_text, run as run_reader};
use crate::cli::Dump;
use crate::date::Date;
use crate::error::HostError;
use crate::escape::Escaped;
use crate::image_file::FileAt;
use crate::image_path::Last;
use crate::report::SuperblockReport;
use crate::say;

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Dump) -> u8 {
    // A wrong checksum is told and does not hide the rest.
    run_reader(
        "dump",
        &args.image,
        args.json,
        false,
        |reader, out| match (&args.path, args.nid) {
            (Some(path), _) => {
                let inode = reader.find(path, Last::Link)?;
                dump_inode(reader, Some(path), &inode, out)
            }
            (None, Some(nid)) => {
                let inode = reader.image.inode(nid);
                let inode = inode.map_err(|error| reader.file.failed(error))?;
                dump_inode(reader, None, &inode, out)
            }
            (None, None) => dump_superblock(reader, out),
        },
    )
}

// --- The superblock -----------------------------------------------------------------------------

/// What an image says of itself.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageReport {
    superblock: SuperblockReport,
    /// Whether the stated checksum is right; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum_valid: Option<bool>,
    /// Base of the times of compact inodes: seconds since 1970, and nanoseconds.
    epoch: i64,
    fixed_nanoseconds: u32,
    compression: CompressionReport,
    devices: Vec<DeviceReport>,
}

/// The compression configurations.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CompressionReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    lz4_max_distance: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lz4_max_pcluster_blocks: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lzma_dictionary: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deflate_window_bits: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zstd_window_bits: Option<u8>,
}

impl CompressionReport {
    fn of(configs: &CompressionConfigs) -> Self {
        Self {
            lz4_max_distance: configs.lz4.map(|lz4| lz4.max_distance),
            lz4_max_pcluster_blocks: configs.lz4.map(|lz4| lz4.max_pcluster_blocks),
            lzma_dictionary: configs.lzma_dictionary,
            deflate_window_bits: configs.deflate_window_bits,
            zstd_window_bits: configs.zstd_window_bits,
        }
    }
}

/// A slot of the device table.
#[derive(Serialize)]
struct DeviceReport {
    /// Its tag, escaped.
    tag: String,
    blocks: u64,
    /// The block where it starts in the address space of the image, or 0.
    start: u64,
}

impl DeviceReport {
    fn of(slot: &DeviceSlot) -> Self {
        let end = slot.tag.iter().position(|byte| *byte == 0);
        let tag = slot.tag.get(..end.unwrap_or(slot.tag.len()));
        Self {
            tag: Escaped::name(tag.unwrap_or_default()).to_string(),
            blocks: slot.blocks,
            start: slot.start,
        }
    }
}

fn dump_superblock(reader: &Reader<'_>, out: &mut Out) -> Result<(), HostError> {
    let image = reader.image;
    let superblock = image.superblock();
    let has_checksum = superblock.compat.has(Compat::SB_CHKSUM);
    let checksum_valid = match image.verify_checksum() {
        Ok(()) => has_checksum.then_some(true),
        Err(ReadError::Refused(error)) => {
            let error = HostError::refused(reader.file.place(), error);
            say::complain(format_args!("warning: {error}"));
            Some(false)
        }
        Err(error) => return Err(reader.file.failed(error)),
    };
    let report = ImageReport {
        superblock: SuperblockReport::of(superblock),
        checksum_valid,
        epoch: superblock.epoch,
        fixed_nanoseconds: superblock.fixed_nanoseconds,
        compression: CompressionReport::of(image.compression_configs()),
        devices: image.devices().map(DeviceReport::of).collect(),
    };
    out.text(format_args!("{}", image_text(&report)))?;
    out.json(|json| json.members(&report))
}

fn image_text(report: &ImageReport) -> String {
    let mut text = superblock_text(&report.superblock);
    let mut add = |name: &str, value: String| {
        let _ = writeln!(text, "{:<26}{value}", format!("{name}:"));
    };
    if let Some(valid) = report.checksum_valid {
        let valid = if valid { "right" } else { "wrong" };
        add("Stated checksum is", valid.to_owned());
    }
    add(
        "Base of times",
        format!(
            "{}.{:09} UTC",
            Date::of(report.epoch),
            report.fixed_nanoseconds
        ),
    );
    let compression = &report.compression;
    // Without compressed files, LZ4's settings mean nothing.
    if report.superblock.algorithms.contains(&"lz4")
        && let (Some(distance), Some(blocks)) = (
            compression.lz4_max_distance,
            compression.lz4_max_pcluster_blocks,
        )
    {
        add("LZ4 distance at most", distance.to_string());
        add("LZ4 pcluster at most", format!("{blocks} blocks"));
    }
    if let Some(dictionary) = compression.lzma_dictionary {
        add("LZMA dictionary", format!("{dictionary} bytes"));
    }
    if let Some(bits) = compression.deflate_window_bits {
        add("DEFLATE window", format!("2^{bits} bytes"));
    }
    if let Some(bits) = compression.zstd_window_bits {
        add("zstd window at most", format!("2^{bits} bytes"));
    }
    for (number, device) in (1..).zip(&report.devices) {
        let place = match device.start {
            0 => "addressed by its number".to_owned(),
            start => format!("at block {start}"),
        };
        let tag = if device.tag.is_empty() {
            String::new()
        } else {
            format!(", {}", device.tag)
        };
        let blocks = device.blocks;
        add(
            &format!("Device {number}"),
            format!("{blocks} blocks, {place}{tag}"),
        );
    }
    text
}

// --- An inode -----------------------------------------------------------------------------------

/// An inode.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InodeReport {
    #[serde(flatten)]
    file: FileReport,
    layout: &'static str,
    inode_size: u64,
    xattr_size: u64,
    on_disk_size: u64,
    /// Whether it lies in the metabox, and where, in bytes.
    metabox: bool,
    offset: u64,
}

/// An extent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtentReport {
    offset: u64,
    length: u64,
    /// `hole`, `inline`, `raw`, `fragment`, or how it is encoded.
    kind: &'static str,
    /// Where it lies, in bytes: of the image, of the device, of the metabox, or for a fragment
    /// of the packed inode's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    physical: Option<u64>,
    /// How many bytes it takes there.
    physical_length: u64,
    /// The number of the device, from 1.
    #[serde(skip_serializing_if = "is_zero")]
    device: u16,
    /// Whether it lies in the metabox.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    metabox: bool,
    /// Whether it is only the first part of what is encoded there.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    partial: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl ExtentReport {
    fn of(extent: &Extent) -> Self {
        let mut report = Self {
            offset: extent.offset,
            length: extent.length,
            kind: "hole",
            physical: None,
            physical_length: extent.length,
            device: 0,
            metabox: false,
            partial: false,
        };
        match extent.place {
            Place::Metadata { space, offset } => {
                report.kind = "inline";
                report.physical = Some(offset);
                report.metabox = space == Space::Metabox;
            }
            Place::Raw { device, offset } => {
                report.kind = "raw";
                report.physical = Some(offset);
                report.device = device;
            }
            Place::Encoded(pcluster) => {
                report.kind = pcluster.encoding.name();
                report.physical = Some(pcluster.offset);
                report.physical_length = pcluster.length;
                report.metabox = pcluster.metadata == Some(Space::Metabox);
                report.partial = pcluster.partial;
            }
            Place::Fragment { offset } => {
                report.kind = "fragment";
                report.physical = Some(offset);
                report.physical_length = 0;
            }
            _ => report.physical_length = 0,
        }
        report
    }
}

fn dump_inode(
    reader: &Reader<'_>,
    path: Option<&OsStr>,
    inode: &Inode,
    out: &mut Out,
) -> Result<(), HostError> {
    let image = reader.image;
    let failed = |error| match path {
        Some(path) => reader.failed(path.as_bytes(), error),
        None => reader.file.failed(error),
    };
    if out.is_json() {
        let target = match path {
            Some(path) => reader.target(path.as_bytes(), inode)?,
            None => None,
        };
        let report = InodeReport {
            file: FileReport::of(inode, target.as_deref()),
            layout: inode.layout.name(),
            inode_size: inode.record_size(),
            xattr_size: inode.xattr_size(),
            on_disk_size: on_disk_size(image, inode),
            metabox: image.space(inode.nid) == Space::Metabox,
            offset: inode.offset,
        };
        out.json(|json| {
            json.name("inode")?;
            json.value(&report)?;
            json.name("extents")?;
            json.list()
        })?;
    }
    let name = path.map_or_else(
        || format!("nid {}", inode.nid),
        |path| Escaped::name(path.as_bytes()).to_string(),
    );
    out.text(format_args!("{}", inode_text(image, &name, inode)))?;
    let mut count: u64 = 0;
    let mut offset = 0;
    let has_content = matches!(
        inode.file_type,
        FileType::Regular | FileType::Directory | FileType::Symlink
    );
    while has_content && offset < inode.size {
        let extent = image.extent(inode, offset).map_err(failed)?;
        let report = ExtentReport::of(&extent);
        out.text(format_args!("{}", extent_text(count, &report)))?;
        out.json(|json| json.value(&report))?;
        count = count.saturating_add(1);
        offset = extent.offset.saturating_add(extent.length);
    }
    out.text(format_args!("{name}: {count} extents found\n"))
}

/// How many bytes the content takes in the image.
fn on_disk_size(image: &Image<FileAt>, inode: &Inode) -> u64 {
    match inode.data {
        Data::CompressedBlocks(blocks) => blocks.saturating_mul(image.superblock().block_size()),
        Data::Device(..) | Data::Nothing => 0,
        _ => inode.size,
    }
}

fn inode_text(image: &Image<FileAt>, name: &str, inode: &Inode) -> String {
    let on_disk = on_disk_size(image, inode);
    let kind = match inode.file_type {
        FileType::Regular => "regular file",
        FileType::Directory => "directory",
        FileType::CharDevice => "char dev",
        FileType::BlockDevice => "block dev",
        FileType::Fifo => "FIFO file",
        FileType::Socket => "SOCK file",
        FileType::Symlink => "symlink file",
    };
    // In hundredths of a percent.
    let ratio = u128::from(on_disk)
        .saturating_mul(10_000)
        .checked_div(inode.size.into());
    let ratio = ratio.map_or_else(
        || "-".to_owned(),
        |ratio| format!("{}.{:02}%", ratio / 100, ratio % 100),
    );
    let place = match image.space(inode.nid) {
        Space::Image => "",
        Space::Metabox => " of the metabox",
    };
    let mut text = String::new();
    let _ = writeln!(text, "Path : {name}");
    let _ = writeln!(
        text,
        "Size: {}  On-disk size: {on_disk}  {kind}",
        inode.size
    );
    let _ = writeln!(
        text,
        "NID: {}   Links: {}   Layout: {} ({})   Compression ratio: {ratio}",
        inode.nid,
        inode.nlink,
        inode.layout.number(),
        inode.layout.name()
    );
    let _ = writeln!(
        text,
        "Inode size: {}   Xattr size: {}   Offset: {}{place}",
        inode.record_size(),
        inode.xattr_size(),
        inode.offset
    );
    let _ = writeln!(
        text,
        "Uid: {}   Gid: {}  Access: {:04o}/{}",
        inode.uid,
        inode.gid,
        inode.mode & 0o7777,
        mode_text(inode)
    );
    let _ = writeln!(
        text,
        "Timestamp: {}.{:09} UTC",
        Date::of(inode.mtime),
        inode.mtime_ns
    );
    let _ = writeln!(
        text,
        "\n Ext:   logical offset   |  length :     physical offset    |  length"
    );
    text
}

/// A line of the table of extents: the columns of `dump.erofs`, and what it is.
fn extent_text(number: u64, extent: &ExtentReport) -> String {
    let ExtentReport {
        offset,
        length,
        physical_length,
        ..
    } = *extent;
    let end = offset.saturating_add(length);
    let (physical, what) = match (extent.kind, extent.physical) {
        ("fragment", Some(at)) => (0, format!("fragment at {at} of the packed inode")),
        (kind, physical) => (physical.unwrap_or(0), kind.to_owned()),
    };
    let physical_end = physical.saturating_add(physical_length);
    let device = match extent.device {
        0 => String::new(),
        device => format!(", device {device}"),
    };
    let partial = if extent.partial { ", partial" } else { "" };
    let metabox = if extent.metabox { ", metabox" } else { "" };
    format!(
        "{number:4}: {offset:8}..{end:8} | {length:7} : \
         {physical:10}..{physical_end:10} | {physical_length:7}  # {what}{device}{partial}{metabox}\n"
    )
}
