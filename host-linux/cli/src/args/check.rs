//! The arguments that say how an image is checked.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use erofs_unpack_core::check::Level;
use erofs_unpack_core::erofs::Release;
use erofs_unpack_core::oci::Digest;
use erofs_unpack_ops::Checks;

use super::{ConfineArgs, LimitArgs, SandboxArgs, Select, Talk, size};

/// How far a check goes.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LevelName {
    /// Superblock, device table and compression configurations
    Superblock,
    /// All metadata: inodes, directories, xattrs, and where content lies
    #[default]
    Metadata,
    /// All metadata, and that everything compressed decodes to its stated length
    Full,
}

impl From<LevelName> for Level {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::Superblock => Self::Superblock,
            LevelName::Metadata => Self::Metadata,
            LevelName::Full => Self::Full,
        }
    }
}

/// `check`
#[derive(Debug, Args)]
#[command(after_help = super::exit_codes())]
pub struct Check {
    /// An EROFS image, the blob of a layer (which is unpacked and verified first), an OCI image
    /// layout (of which every layer is checked), or - for stdin
    ///
    /// Layers of a layout are verified whole, unless the check looks at metadata only and the layer
    /// has a chunk index whose digest the manifest states: then the chunks are read and verified
    /// that hold the metadata, and the report says how many.
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: PathBuf,

    /// How it is checked.
    #[command(flatten)]
    pub check: CheckArgs,

    /// Which image, of a layout with several.
    #[command(flatten)]
    pub select: Select,

    /// Byte of the file where the image starts, as after mkfs.erofs --offset; not for compressed
    /// blobs and image layouts
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub offset: Option<u64>,

    /// Digest that the image must have
    #[arg(long, value_name = "DIGEST")]
    pub diff_id: Option<Digest>,

    /// A file or block device with a device of the image, in the order of its device table; can
    /// be given several times
    #[arg(long = "device", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub devices: Vec<PathBuf>,

    /// How many devices belong to the image though they are not at hand
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub known_devices: u16,

    /// Refuse what this release of Linux does not read, or reads otherwise: a number such as 6.1,
    /// or what `uname -r` says. What counts is the mainline kernel: distributions add and leave out
    #[arg(long, value_name = "VERSION", value_parser = release)]
    pub kernel: Option<Release>,

    /// Take layers that a dm-verity tree follows though nothing announces one
    #[arg(long)]
    pub allow_unannounced_verity: bool,

    /// Threads that decode at level full [default: one for each processor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// Print a report as JSON, to stdout or to FILE
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        value_hint = ValueHint::FilePath
    )]
    pub json: Option<PathBuf>,

    /// What is said besides errors.
    #[command(flatten)]
    pub talk: Talk,

    /// Where it is done.
    #[command(flatten)]
    pub sandbox: SandboxArgs,

    /// What is given up for it.
    #[command(flatten)]
    pub confine: ConfineArgs,

    /// What the image may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// A release of Linux.
fn release(text: &str) -> Result<Release, &'static str> {
    Release::parse(text).ok_or("expected two numbers, such as 6.1 or 6.12.3-amd64")
}

/// How an image is checked.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// How far an image is checked
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub level: LevelName,

    /// Switch a rule of the check off, by its id; can be given several times
    #[arg(long, value_name = "RULE")]
    pub allow: Vec<String>,
}

impl CheckArgs {
    /// How images are checked, as operations take it.
    #[must_use]
    pub fn checks(&self) -> Checks {
        Checks {
            level: self.level.into(),
            allow: self.allow.clone(),
        }
    }
}
