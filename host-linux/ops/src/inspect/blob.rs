//! One blob, or an image file.

use std::io::Read as _;

use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder as _, Status};
use erofs_unpack_core::erofs::{
    EXTENSION_SLOT_SIZE, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock,
};
use erofs_unpack_core::unpack::{SNIFF_SIZE, Sniffed, sniff};
use erofs_unpack_core::{At, Code, Error, Limits};
use serde::Serialize;

use super::Options;
use crate::error::HostError;
use crate::image_file::{admit, compressed_there, ends, find};
use crate::report::SuperblockReport;
use crate::source::BlobReader;

/// How many decoded bytes are looked at: the superblock and one extension slot.
const HEAD: usize = SNIFF_SIZE + EXTENSION_SLOT_SIZE;

/// A blob or an image file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobReport {
    /// Its size in bytes, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// `none`, `gzip` or `zstd`.
    pub compression: &'static str,
    /// `erofs`, `tar`, `zeros` or `unknown`.
    pub content: &'static str,
    /// What unknown content looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<&'static str>,
    /// The byte of the file where an EROFS image starts, where none starts with the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_offset: Option<u64>,
    /// The superblock of an EROFS image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superblock: Option<SuperblockReport>,
}

pub(super) fn inspect(mut blob: BlobReader, options: &Options) -> Result<BlobReport, HostError> {
    let limits = &options.limits;
    let place = blob.place().to_owned();
    if let Some(offset) = options.offset {
        blob.start_at(offset)?;
    }
    let size = blob.length();
    let start = blob
        .peek(SNIFF_SIZE)
        .map_err(|error| HostError::environment(&place, "read", error))?;
    let compression = match sniff(&start) {
        Sniffed::Compressed(compression) => compression,
        _ => Compression::None,
    };
    if compression != Compression::None
        && let Some(offset) = options.offset
    {
        return Err(compressed_there(&place, offset, compression));
    }
    admit(&blob, limits)?;
    let head = decoded_head(&mut blob, compression, limits)?;
    let mut found = BlobReport {
        size,
        compression: compression.name(),
        content: "unknown",
        format: None,
        image_offset: None,
        superblock: None,
    };
    match sniff(&head) {
        Sniffed::Erofs => {
            found.content = "erofs";
            let superblock = superblock(&head, limits);
            let refused = |error| HostError::refused(&place, error);
            found.superblock = Some(SuperblockReport::of(&superblock.map_err(refused)?));
            if let (Compression::None, Some(size), true) = (compression, size, ends(&blob)) {
                limits.admit_image(size).map_err(refused)?;
            }
        }
        Sniffed::Tar => found.content = "tar",
        Sniffed::Zeros => found.content = "zeros",
        Sniffed::Foreign(format) => found.format = Some(format),
        Sniffed::Compressed(_) | Sniffed::Unknown => {}
    }
    if found.content != "erofs" && compression == Compression::None {
        let base = options.offset.unwrap_or(0);
        found.image_offset = find(&blob).map(|offset| offset.saturating_add(base));
    }
    Ok(found)
}

/// The superblock of a layer's image.
pub(super) fn layer_superblock(
    mut blob: BlobReader,
    compression: Compression,
    limits: &Limits,
) -> Result<Superblock, HostError> {
    admit(&blob, limits)?;
    let head = decoded_head(&mut blob, compression, limits)?;
    superblock(&head, limits).map_err(|error| HostError::refused(blob.place(), error))
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
        let read = match blob.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| HostError::environment(&place, "read", error))?,
        };
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
fn superblock(head: &[u8], limits: &Limits) -> Result<Superblock, Error> {
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
    superblock.check_size(limits.image_size, Code::ImageLimit)?;
    Ok(superblock)
}
