//! `erofs-unpack stat`: all that an image says of files.

use std::fmt::Write as _;

use crate::date::Date;
use erofs_unpack_core::erofs::FileType;
use erofs_unpack_ops::reader::{Last, StatReport, device};

use super::read::{mode_text, run as run_reader};
use crate::args::Stat;

/// Runs the command and gives its exit code.
pub(super) fn run(args: &Stat) -> u8 {
    let last = if args.dereference {
        Last::Target
    } else {
        Last::Link
    };
    run_reader(
        "stat",
        (&args.image, &args.talk),
        args.json,
        true,
        |reader, out| {
            out.json(|json| {
                json.name("files")?;
                json.list()
            })?;
            for path in &args.paths {
                match reader.stat(path, last) {
                    Ok(report) => {
                        out.text(format_args!("{}", text(&report)))?;
                        out.json(|json| json.value(&report))?;
                    }
                    Err(error) => out.fail(error)?,
                }
            }
            Ok(())
        },
    )
}

/// A file as `stat` shows it, with what only an image has.
fn text(report: &StatReport) -> String {
    let inode = &report.inode;
    let mut text = format!("  File: {}", report.path);
    if let Some(target) = &report.file.target {
        let _ = write!(text, " -> {target}");
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
    if let Some(fingerprint) = &report.fingerprint {
        let _ = writeln!(text, "Fingerprint: {fingerprint}");
    }
    if let Some(metacopy) = &report.metacopy {
        let place = metacopy.redirect.as_deref();
        let place = place.unwrap_or("the same path of a layer below");
        let _ = write!(text, "Content: outside of the image, at {place}");
        let _ = match &metacopy.digest {
            Some(digest) => writeln!(text, ", fs-verity {digest}"),
            None => writeln!(text),
        };
    }
    for xattr in &report.xattrs {
        let _ = writeln!(text, " Xattr: {}={}", xattr.name, xattr.value);
    }
    text
}
