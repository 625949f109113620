//! The arguments of the commands that read in one EROFS image.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use erofs_unpack_core::oci::Digest;

use super::LimitArgs;
use crate::error::HostError;
use crate::image_file::{ImageFile, ImageFileOptions};

/// One EROFS image, and what is known of it.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// An EROFS image, the blob of a layer (which is unpacked and verified first), or - for stdin
    #[arg(value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub image: PathBuf,

    /// A file or block device with a device of the image, in the order of its device table; can
    /// be given several times
    #[arg(long = "device", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub devices: Vec<PathBuf>,

    /// Digest that the blob must have
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,

    /// Digest that the image must have
    #[arg(long, value_name = "DIGEST")]
    pub diff_id: Option<Digest>,

    /// What the image may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl ImageArgs {
    /// Opens the image.
    ///
    /// # Errors
    ///
    /// As [`ImageFile::open`].
    pub fn open(&self) -> Result<ImageFile, HostError> {
        let options = ImageFileOptions {
            digest: self.digest,
            diff_id: self.diff_id,
            devices: self.devices.clone(),
            limits: self.limits.limits(),
        };
        ImageFile::open(&self.image, &options)
    }
}
