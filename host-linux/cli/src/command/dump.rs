//! `erofs-unpack dump`: how an image is laid out, in the form of `dump.erofs`.

use std::fmt::Write as _;

use crate::command::inspect::superblock_text;
use crate::date::Date;
use crate::output::print_error;
use erofs_unpack_core::erofs::{FileType, Inode};
use erofs_unpack_ops::reader::{ExtentReport, Found, InodeDump, Last, Reader, SuperblockDump};
use erofs_unpack_ops::{Escaped, HostError};

use super::read::{Out, mode_text, run as run_reader};
use crate::args::Dump;

/// Runs the command and gives its exit code.
pub(super) fn run(args: &Dump) -> u8 {
    // A wrong checksum is said and does not hide the rest.
    run_reader(
        "dump",
        (&args.image, &args.talk),
        args.json,
        false,
        |reader, out| match (&args.path, args.nid) {
            (Some(path), _) => {
                let Found { inode, path } = reader.find(path, Last::Link)?;
                dump_inode(reader, Some(&path), &inode, out)
            }
            (None, Some(nid)) => {
                let inode = reader.image().inode(nid);
                let inode = inode.map_err(|error| reader.file().failed(error))?;
                dump_inode(reader, None, &inode, out)
            }
            (None, None) => dump_superblock(reader, out),
        },
    )
}

fn dump_superblock(reader: &Reader, out: &mut Out) -> Result<(), HostError> {
    let (dump, wrong_checksum) = reader.dump()?;
    if let Some(error) = wrong_checksum {
        print_error(format_args!("warning: {error}"));
    }
    out.text(format_args!("{}", image_text(&dump)))?;
    out.json(|json| json.members(&dump))
}

fn image_text(report: &SuperblockDump) -> String {
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

fn dump_inode(
    reader: &Reader,
    path: Option<&[u8]>,
    inode: &Inode,
    out: &mut Out,
) -> Result<(), HostError> {
    let target = match path {
        // Only JSON has it.
        Some(path) if out.is_json() => reader.target(path, inode)?,
        _ => None,
    };
    let dump = reader.dump_inode(inode, target.as_deref());
    out.json(|json| {
        json.name("inode")?;
        json.value(&dump)?;
        json.name("extents")?;
        json.list()
    })?;
    let name = path.map_or_else(
        || format!("nid {}", inode.nid),
        |path| Escaped::name(path).to_string(),
    );
    out.text(format_args!("{}", inode_text(&name, &dump)))?;
    let mut count: u64 = 0;
    reader.extents(inode, path, |extent| {
        out.text(format_args!("{}", extent_text(count, extent)))?;
        out.json(|json| json.value(extent))?;
        count = count.saturating_add(1);
        Ok(())
    })?;
    out.text(format_args!("{name}: {count} extents found\n"))
}

fn inode_text(name: &str, dump: &InodeDump) -> String {
    let inode = &dump.inode;
    let on_disk = dump.on_disk_size;
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
    let place = if dump.metabox { " of the metabox" } else { "" };
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
