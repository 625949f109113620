//! `erofs-unpack stat`: all that an image says of files.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use erofs_unpack_core::erofs::{FileType, Inode};
use serde::Serialize;

use super::read::{FileReport, Out, Reader, device, mode_text, run as run_reader};
use crate::cli::Stat;
use crate::date::Date;
use crate::error::HostError;
use crate::escape::Escaped;
use crate::image_path::Last;

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Stat) -> u8 {
    let last = if args.dereference {
        Last::Target
    } else {
        Last::Link
    };
    run_reader("stat", &args.image, args.json, true, |reader, out| {
        out.json(|json| {
            json.name("files")?;
            json.list()
        })?;
        for path in &args.paths {
            if let Err(error) = stat(reader, path, last, out) {
                out.fail(error)?;
            }
        }
        Ok(())
    })
}

/// A file in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatReport {
    /// As it was asked for, escaped.
    path: String,
    #[serde(flatten)]
    file: FileReport,
    layout: &'static str,
    inode_size: u64,
    xattrs: Vec<XattrReport>,
}

/// An extended attribute.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct XattrReport {
    /// With its prefix, escaped.
    name: String,
    /// Escaped.
    value: String,
}

fn stat(reader: &Reader<'_>, path: &OsStr, last: Last, out: &mut Out) -> Result<(), HostError> {
    let inode = reader.find(path, last)?;
    let path = path.as_bytes();
    let target = reader.target(path, &inode)?;
    let xattrs = xattrs(reader, path, &inode)?;
    if out.is_json() {
        let report = StatReport {
            path: Escaped::name(path).to_string(),
            file: FileReport::of(&inode, target.as_deref()),
            layout: inode.layout.name(),
            inode_size: inode.record_size(),
            xattrs,
        };
        return out.json(|json| json.value(&report));
    }
    out.text(format_args!(
        "{}",
        text(path, &inode, target.as_deref(), &xattrs)
    ))
}

fn xattrs(reader: &Reader<'_>, path: &[u8], inode: &Inode) -> Result<Vec<XattrReport>, HostError> {
    let failed = |error| reader.failed(path, error);
    let mut all = Vec::new();
    let mut xattrs = reader.image.xattrs(inode).map_err(failed)?;
    while let Some(xattr) = xattrs.next().map_err(failed)? {
        all.push(XattrReport {
            name: Escaped::name(xattr.name).to_string(),
            value: Escaped::name(xattr.value).to_string(),
        });
    }
    Ok(all)
}

/// A file as `stat` shows it, with what only an image has.
fn text(path: &[u8], inode: &Inode, target: Option<&[u8]>, xattrs: &[XattrReport]) -> String {
    let mut text = format!("  File: {}", Escaped::name(path));
    if let Some(target) = target {
        let _ = write!(text, " -> {}", Escaped::name(target));
    }
    let kind = match inode.file_type {
        FileType::Regular if inode.size == 0 => "regular empty file",
        FileType::Regular => "regular file",
        FileType::Directory => "directory",
        FileType::CharDevice => "character special file",
        FileType::BlockDevice => "block special file",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::Symlink => "symbolic link",
    };
    let _ = writeln!(text, "\n  Size: {:<12} {kind}", inode.size);
    let _ = write!(text, " Inode: {:<12} Links: {}", inode.nid, inode.nlink);
    if let Some((major, minor)) = device(inode) {
        let _ = write!(text, "  Device type: {major},{minor}");
    }
    let _ = writeln!(
        text,
        "\nAccess: ({:04o}/{})  Uid: {}  Gid: {}",
        inode.mode & 0o7777,
        mode_text(inode),
        inode.uid,
        inode.gid
    );
    let _ = writeln!(
        text,
        "Modify: {}.{:09} +0000",
        Date::of(inode.mtime),
        inode.mtime_ns
    );
    let _ = writeln!(
        text,
        "Layout: {}, inode of {} bytes",
        inode.layout.name(),
        inode.record_size()
    );
    for xattr in xattrs {
        let _ = writeln!(text, " Xattr: {}={}", xattr.name, xattr.value);
    }
    text
}
