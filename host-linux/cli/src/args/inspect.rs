//! The arguments of `inspect`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{ConfineArgs, LimitArgs, Select, size};

/// `inspect`
#[derive(Debug, Args)]
#[command(after_help = super::exit_codes())]
pub struct Inspect {
    /// An OCI image layout (a folder, or a tar archive of one), a layer blob, an EROFS image,
    /// or - for stdin
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: PathBuf,

    /// Which image, of a layout with several.
    #[command(flatten)]
    pub select: Select,

    /// Byte of the file where the image starts, as after mkfs.erofs --offset; not for compressed
    /// blobs and image layouts
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub offset: Option<u64>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// What is given up for it.
    #[command(flatten)]
    pub confine: ConfineArgs,

    /// What a layer may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}
