//! One layer of an image in a layout, to read in: at random where its index allows that, else
//! unpacked and verified first.

use std::path::Path;

use erofs_unpack_core::oci::{Layer, LayerRole, Policy};
use erofs_unpack_core::unpack::Expectations;

use crate::error::HostError;
use crate::image::{Image, Selection};
use crate::image_file::{ImageFileOptions, unpack_to_spool};
use crate::opening::{Content, Opening, Way, Whole};
use crate::report::shown;
use crate::source::ImageSource;
use crate::unpack::behind;

/// A layer that is open: what to call it, its content and that of its devices.
pub(crate) struct Open {
    pub(crate) place: std::path::PathBuf,
    pub(crate) content: Content,
    pub(crate) devices: Vec<Content>,
    /// Why all of it was read, where it was.
    pub(crate) whole: Option<Whole>,
    pub(crate) outcome: Option<erofs_unpack_core::unpack::Outcome>,
}

/// Opens the layer of a layout that is meant.
///
/// # Errors
///
/// [`HostError::Usage`] when it is not said which, or there is none such; what refuses it, and what
/// the system fails at.
pub(crate) fn open(
    path: &Path,
    source: &ImageSource,
    options: &ImageFileOptions,
) -> Result<Open, HostError> {
    let unfit = [
        ("--device", !options.devices.is_empty()),
        ("--diff-id", options.diff_id.is_some()),
        ("--offset", options.offset.is_some()),
    ];
    if let Some((flag, _)) = unfit.iter().find(|(_, given)| *given) {
        return Err(HostError::Usage(format!(
            "{flag}: the manifest of an image layout states that of each layer"
        )));
    }
    let limits = &options.limits;
    let selection = Selection {
        digest: options.digest,
        ..options.image.clone()
    };
    let image = Image::find(source, &selection, limits)?;
    let plan = image.plan(source, Policy::default(), limits)?;
    let place = shown(path);
    let layer = chosen(&place, &plan.layers, options.layer, &IMAGES)?;
    let bring = |layer: &Layer| -> Result<Open, HostError> {
        let next = behind(layer, &plan.layers);
        let open = |layer: &Layer| image.open_layer(source, layer);
        let opening = Opening::of_layer(layer, next, limits, open)?;
        bring(layer, opening, options)
    };
    let is_device =
        |other: &&Layer| other.role == LayerRole::Device && other.consumer == Some(layer.number);
    let mut devices = Vec::new();
    for device in plan.layers.iter().filter(is_device) {
        devices.push(bring(device)?.content);
    }
    let mut open = bring(layer)?;
    open.devices = devices;
    Ok(open)
}

/// A layer's content, at random or unpacked.
fn bring(
    layer: &Layer,
    mut opening: Opening,
    options: &ImageFileOptions,
) -> Result<Open, HostError> {
    let place = opening.blob().place().to_owned();
    let open = |content, whole, outcome| Open {
        place,
        content,
        devices: Vec::new(),
        whole,
        outcome,
    };
    match opening.way(layer, &options.limits, options.allow_unpinned_index)? {
        Way::AtRandom(content) => Ok(open(content, None, None)),
        Way::Whole(why) => {
            let expected: Expectations = layer.expectations();
            let (file, outcome) = unpack_to_spool(&mut opening, &expected, options)?;
            let content = (file, outcome.image_size);
            Ok(open(content, Some(why), Some(outcome)))
        }
    }
}

/// Whether a layer is an image by itself.
pub(crate) fn is_image(layer: &Layer) -> bool {
    matches!(layer.role, LayerRole::Lower | LayerRole::Data)
}

/// Which layers of an image may be meant.
pub(crate) struct Meant {
    pub(crate) fits: fn(&Layer) -> bool,
    /// What one of them is, for messages, and what several do.
    pub(crate) one: &'static str,
    pub(crate) several: &'static str,
}

/// Those that are images.
const IMAGES: Meant = Meant {
    fits: is_image,
    one: "an EROFS image",
    several: "are EROFS images",
};

/// The layer that is meant, of the image that messages call `place`: the one of this number, or the
/// only one that can be meant.
///
/// # Errors
///
/// [`HostError::Usage`] when there is none such, or it is not said which.
pub(crate) fn chosen<'a>(
    place: &str,
    layers: &'a [Layer],
    number: Option<u32>,
    meant: &Meant,
) -> Result<&'a Layer, HostError> {
    let Meant { fits, one, several } = meant;
    if let Some(number) = number {
        let found = layers.iter().find(|layer| layer.number == number);
        return match found {
            None => Err(HostError::Usage(format!(
                "--layer {number}: the image has {} layers",
                layers.len()
            ))),
            Some(layer) if !fits(layer) => Err(HostError::Usage(format!(
                "--layer {number}: it is a {}: expected {one}",
                layer.role.name()
            ))),
            Some(layer) => Ok(layer),
        };
    }
    let mut fitting = layers.iter().filter(|layer| fits(layer));
    match (fitting.next(), fitting.count()) {
        (Some(layer), 0) => Ok(layer),
        (None, _) => Err(HostError::Usage(format!(
            "{place}: none of its layers is {one}"
        ))),
        (_, more) => Err(HostError::Usage(format!(
            "{place}: the image has {} layers that {several}: choose one with --layer",
            more + 1
        ))),
    }
}
