//! `inspect`: what a blob or an image is, by its first bytes.

use std::io::Read as _;

use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder as _, Status};
use erofs_unpack_core::erofs::{
    EXTENSION_SLOT_SIZE, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock,
};
use erofs_unpack_core::unpack::{SNIFF_SIZE, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error, Limits};
use serde_json::{Value as Json, json};

use crate::blob::Blob;
use crate::cli::Inspect;
use crate::error::{HostError, shown};
use crate::report::{SuperblockReport, VERSION};
use crate::say;

/// How many decoded bytes are looked at: the superblock and one extension slot.
const HEAD: usize = SNIFF_SIZE + EXTENSION_SLOT_SIZE;

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Inspect) -> u8 {
    match inspect(args) {
        Ok(()) => 0,
        Err(error) => {
            say::complain(&error);
            error.exit_code()
        }
    }
}

fn inspect(args: &Inspect) -> Result<(), HostError> {
    let mut blob = Blob::open(&args.source)?;
    let size = blob.length;
    let compression = match sniff(blob.head()) {
        Sniffed::Compressed(compression) => compression,
        _ => Compression::None,
    };
    let head = decoded_head(&mut blob, compression, &args.limits.limits())?;
    let (content, superblock) = match sniff(&head) {
        Sniffed::Erofs => {
            let superblock =
                superblock(&head).map_err(|error| HostError::refused(&args.source, error))?;
            ("erofs", Some(superblock))
        }
        Sniffed::Tar => ("tar", None),
        Sniffed::Compressed(_) | Sniffed::Unknown => ("unknown", None),
    };
    if args.json {
        let mut found = json!({ "compression": compression.name(), "content": content });
        if let Json::Object(found) = &mut found {
            if let Some(size) = size {
                found.insert("size".into(), json!(size));
            }
            if let Some(superblock) = &superblock {
                found.insert("superblock".into(), json!(superblock));
            }
        }
        let report = json!({
            "version": VERSION,
            "command": "inspect",
            "source": shown(&args.source),
            "kind": "blob",
            "blob": found,
        });
        return say::write_json(&report, "-".as_ref());
    }
    let mut text = String::new();
    let mut add = |name: &str, value: &str| text.push_str(&format!("{name:<24}{value}\n"));
    add(
        "Content",
        match content {
            "erofs" => "EROFS image",
            "tar" => "tar archive",
            _ => "unknown",
        },
    );
    add("Compression", compression.name());
    if let Some(size) = size {
        add("Size", &format!("{size} bytes"));
    }
    if let Some(superblock) = superblock {
        let list = |list: &[&str]| match list {
            [] => "none".to_owned(),
            list => list.join(", "),
        };
        add("Block size", &format!("{} bytes", superblock.block_size));
        add("Blocks", &superblock.blocks.to_string());
        add("Inodes", &superblock.inodes.to_string());
        add("Root nid", &superblock.root_nid.to_string());
        add(
            "Compatible features",
            &list(&superblock.compatible_features),
        );
        add(
            "Incompatible features",
            &list(&superblock.incompatible_features),
        );
        add("Compression of files", &list(&superblock.algorithms));
        add("Devices", &superblock.extra_devices.to_string());
    }
    say::print(&text)
}

/// The first decoded bytes of a blob.
fn decoded_head(
    blob: &mut Blob,
    compression: Compression,
    limits: &Limits,
) -> Result<Vec<u8>, HostError> {
    let place = blob.place.clone();
    let refused = |error| HostError::refused(&place, error);
    let mut decoder = AnyDecoder::new(compression, limits).map_err(refused)?;
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match blob.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| HostError::environment(&place, "read", error))?,
        };
        let mut input = buffer.get(..read).unwrap_or_default();
        loop {
            let room = head.get_mut(filled..).unwrap_or_default();
            let step = decoder.decode(input, room).map_err(refused)?;
            input = input.get(step.consumed..).unwrap_or_default();
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
        let at = At::Image(head.len() as u64);
        return Err(Error::new(Code::SuperblockTruncated, at));
    };
    let mut superblock = Superblock::parse(record)?;
    if let Some((slot, _)) = after.split_first_chunk() {
        superblock.read_extension(slot);
    }
    Ok(SuperblockReport::of(&superblock))
}
