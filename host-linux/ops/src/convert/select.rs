//! Which images of a layout are converted.

use erofs_unpack_core::oci::{Descriptor, Index, MediaKind};
use erofs_unpack_core::{At, Code, Error, Limits, Value};

use crate::error::HostError;
use crate::image::{Image, Selection, read, read_index};
use crate::source::ImageSource;

/// The image that is meant, or all of all platforms.
pub(super) fn images(
    source: &ImageSource,
    selection: &Selection,
    all: bool,
    limits: &Limits,
) -> Result<Vec<Image>, HostError> {
    if !all {
        return Ok(vec![Image::find(source, selection, limits)?]);
    }
    let (index, _) = read_index(source, limits)?;
    let mut images = Vec::new();
    below(source, &index, &[], limits.index_depth, limits, &mut images)?;
    Ok(images)
}

/// The images of an index and of those that it names.
fn below(
    source: &ImageSource,
    index: &Index,
    names: &[String],
    depth: u32,
    limits: &Limits,
    images: &mut Vec<Image>,
) -> Result<(), HostError> {
    for entry in index.images() {
        let own: Vec<String> = entry.names().map(str::to_owned).collect();
        let names = if own.is_empty() { names } else { &own };
        if entry.media_type.kind() == MediaKind::Index {
            let Some(depth) = depth.checked_sub(1) else {
                let error = Error::new(Code::IndexDepth, At::Whole)
                    .expected(Value::AtMost(limits.index_depth.into()));
                return Err(HostError::refused(source.path(), error));
            };
            let nested = nested(source, entry, limits)?;
            below(source, &nested, names, depth, limits, images)?;
            continue;
        }
        let selection = Selection {
            digest: Some(entry.digest),
            ..Selection::default()
        };
        let mut image = Image::find(source, &selection, limits)?;
        image.names = names.to_vec();
        image.descriptor.platform.clone_from(&entry.platform);
        images.push(image);
    }
    Ok(())
}

fn nested(source: &ImageSource, entry: &Descriptor, limits: &Limits) -> Result<Index, HostError> {
    let document = read(source, entry, limits)?;
    Index::parse(&document, limits)
        .map_err(|error| HostError::refused(source.blob_place(&entry.digest), error))
}
