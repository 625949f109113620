//! A tar archive through the core's reader.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use erofs_unpack_core::Error;
use erofs_unpack_core::oci::{Algorithm, Hasher};
use erofs_unpack_core::tar::{Entry, EntryKind, Event, Reader};
use serde_json::{Value as Json, json};

use super::convert::{Outputs, limits, outputs};
use crate::manifest::TarInput;

/// Reads an archive in pieces of so many bytes, and says what is in it.
pub(super) fn tar(
    input: &TarInput,
    folder: &Path,
    piece: usize,
) -> io::Result<Result<Outputs, Error>> {
    let archive = input.archive.read(folder)?;
    Ok(read(&archive, input, piece))
}

fn read(archive: &[u8], input: &TarInput, piece: usize) -> Result<Outputs, Error> {
    let mut reader = Reader::new(&limits(&input.limits));
    let mut entries = Vec::new();
    let mut hasher = None;
    for mut rest in archive.chunks(piece) {
        loop {
            let (taken, event) = reader.step(rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            match event {
                Event::More => break,
                Event::End if rest.is_empty() => break,
                Event::End => {}
                Event::Entry(entry) => {
                    hasher = (entry.stored > 0).then(|| Hasher::new(Algorithm::Sha256));
                    entries.push(described(&entry));
                }
                Event::Content { bytes, .. } => {
                    if let Some(hasher) = &mut hasher {
                        hasher.update(bytes);
                    }
                }
                Event::EntryEnd => {
                    if let Some(hasher) = hasher.take()
                        && let Some(Json::Object(entry)) = entries.last_mut()
                    {
                        let digest = hasher.finish().to_string();
                        entry.insert("content".into(), digest.into());
                    }
                }
            }
        }
    }
    reader.finish()?;
    Ok(outputs(json!({
        "entries": entries,
        "endMarker": !reader.is_cut(),
    })))
}

/// A member, without its content.
fn described(entry: &Entry) -> Json {
    let kind = match entry.kind {
        EntryKind::File => "file",
        EntryKind::HardLink => "hard-link",
        EntryKind::Symlink => "symlink",
        EntryKind::CharDevice => "char-device",
        EntryKind::BlockDevice => "block-device",
        EntryKind::Directory => "directory",
        EntryKind::Fifo => "fifo",
    };
    let mut all = outputs(json!({
        "path": text(&entry.path),
        "kind": kind,
        "mode": format!("{:04o}", entry.mode),
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": [entry.mtime.0, i64::from(entry.mtime.1)],
        "size": entry.size,
    }));
    if !entry.link.is_empty() {
        all.insert("link".into(), text(&entry.link).into());
    }
    if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
        all.insert("device".into(), json!([entry.device.0, entry.device.1]));
    }
    if !entry.xattrs.is_empty() {
        let xattrs = entry.xattrs.iter();
        let xattrs: BTreeMap<_, _> = xattrs
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        all.insert("xattrs".into(), json!(xattrs));
    }
    if let Some(extents) = &entry.extents {
        all.insert("extents".into(), json!(extents));
    }
    Json::Object(all)
}

/// Bytes as text: those that are no printable ASCII character, and percent signs, as `%` and two digits.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'%' | ..0x20 | 0x7f.. => {
                let _ = write!(text, "%{byte:02X}");
            }
            byte => text.push(char::from(*byte)),
        }
    }
    text
}
