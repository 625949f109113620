//! The operation `inspect`: what a source is.
//!
//! Documents are verified on the way, as for `unpack`. Of a layer only the first bytes are
//! read: what its manifest states of it stays a statement.

mod blob;
mod layout;

use std::path::Path;

use erofs_unpack_core::Limits;
use serde::Serialize;

use crate::error::HostError;
use crate::options::Select;
use crate::report::{VERSION, shown};
use crate::sandbox::Sandbox;
use crate::source::Source;

pub use blob::BlobReport;
pub use layout::{EntryReport, LayoutImageReport, LayoutReport};

/// How a source is looked at.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which image is shown in full, and how strictly it is read.
    pub select: Select,
    /// The byte of a file where an image starts, as in
    /// [`ImageFileOptions`](crate::image_file::ImageFileOptions).
    pub offset: Option<u64>,
    /// What it may ask for.
    pub limits: Limits,
}

/// What a source is: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// `inspect`.
    pub command: &'static str,
    /// The source as it was given, escaped.
    pub source: String,
    /// `layout`, `archive` or `blob`.
    pub kind: &'static str,
    /// What a layout or an archive of one holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<LayoutReport>,
    /// What a blob is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<BlobReport>,
}

/// Says what an OCI image layout, the blob of a layer or an EROFS image is.
///
/// # Errors
///
/// What refuses the documents on the way to the image that is meant, or the superblock of a lone
/// image; [`HostError::Usage`] when no image or several are meant; what the system fails at.
pub fn inspect(path: &Path, options: &Options) -> Result<Report, HostError> {
    // As it decodes the first bytes of a blob.
    let how = &options.select.source;
    let mut how = how.decoding(&Sandbox::NONE, &options.limits);
    how.blob |= options.offset.is_some();
    let source = Source::open(path, &how)?;
    let mut report = Report {
        version: VERSION,
        command: "inspect",
        source: shown(path),
        kind: "blob",
        layout: None,
        blob: None,
    };
    match source {
        Source::Image(_) if options.offset.is_some() => {
            return Err(HostError::Usage(format!(
                "--offset: {} is an image layout, not one file",
                shown(path)
            )));
        }
        Source::Image(source) => {
            report.kind = source.kind();
            report.layout = Some(layout::inspect(options, &source)?);
        }
        Source::Blob(blob) => {
            options.select.not_for_blobs(&shown(path))?;
            if options.select.image.digest.is_some() {
                return Err(HostError::Usage(
                    "--digest: of a blob only the first bytes are looked at: \
                     use unpack --verify-only"
                        .into(),
                ));
            }
            report.blob = Some(blob::inspect(blob, options)?);
        }
    }
    Ok(report)
}
