//! The check of an unpacked image, before it gets its name.

use std::fs::File;
use std::path::Path;

use erofs_unpack_core::check::{self, Finding, Options, Severity, Summary};
use erofs_unpack_core::erofs::{Image, ReadError};
use erofs_unpack_core::unpack::{Content, Devices, Expectations};
use erofs_unpack_core::{At, Limits};

use crate::error::HostError;
use crate::image_file::{FileAt, inside};

/// What a check said of an image that passed.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// What it has seen.
    pub summary: Summary,
    /// What is not as it should be, each in one line.
    pub warnings: Vec<String>,
}

/// Most warnings that are kept word for word.
const WARNINGS: usize = 10;

/// Checks the image in a file.
///
/// # Errors
///
/// [`HostError::Refused`] with the first error that was found, and where; what else the check
/// could not get past.
pub fn examine(
    file: &File,
    size: u64,
    place: &Path,
    expected: &Expectations,
    options: &Options,
    limits: &Limits,
) -> Result<Examined, HostError> {
    if expected.content != Content::Erofs {
        return Ok(Examined::default());
    }
    let failed = |error| match error {
        ReadError::Source(error) => HostError::environment(place, "read", error),
        ReadError::Refused(error) => HostError::refused(place, error),
    };
    let source = file
        .try_clone()
        .map_err(|error| HostError::environment(place, "open a second time", error))?;
    let image = Image::open(FileAt::new(source), size, limits).map_err(failed)?;
    let mut options = *options;
    // The gate has looked, and knew what else belongs to the layer.
    options.trailing = false;
    if let Devices::Attached(devices) = expected.devices {
        options.devices = devices;
    }
    let mut first: Option<Finding> = None;
    let mut warnings = Vec::new();
    let mut sink = |finding: &Finding| match finding.severity {
        Severity::Error => {
            first.get_or_insert(*finding);
        }
        Severity::Warning if warnings.len() < WARNINGS => warnings.push(*finding),
        Severity::Warning => {}
    };
    let summary = check::check_image(&image, &options, &mut sink).map_err(failed)?;
    if let Some(finding) = first {
        let place = found_at(&image, place, &finding);
        return Err(HostError::refused(place, finding.error));
    }
    let warnings = warnings
        .iter()
        .map(|finding| {
            let place = found_at(&image, place, finding);
            HostError::refused(place, finding.error).to_string()
        })
        .collect();
    Ok(Examined { summary, warnings })
}

/// Where a finding is: the image, and after a colon the path in it, where there is one.
#[must_use]
pub fn found_at(image: &Image<FileAt>, place: &Path, finding: &Finding) -> std::path::PathBuf {
    let path = match (finding.entry, finding.error.at()) {
        (Some((directory, offset)), _) => check::entry_path(image, directory, offset),
        (None, At::File(directory, _) | At::Nid(directory)) => {
            check::directory_path(image, directory)
        }
        (None, _) => return place.to_owned(),
    };
    match path {
        Ok(path) => inside(place, &path),
        Err(_) => place.to_owned(),
    }
}
