//! The arguments of `wrap`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use erofs_unpack_cli::args::{ConfineArgs, LimitArgs, Talk, exit_codes, size};
use erofs_unpack_core::codec::Compression;
use erofs_unpack_ops::wrap::Index;

/// `wrap`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct Wrap {
    /// A plain EROFS image, or - for stdin, from where it waits in TMPDIR, without a name
    #[arg(value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub(crate) image: PathBuf,

    /// The blob: a file, or - for stdout
    #[arg(short, long, value_name = "BLOB", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// How the image is compressed
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    pub(crate) wrap: WrapName,

    /// What says where the chunks lie [default: erofs, for gzip none]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) index: Option<IndexName>,

    /// Bytes of the image in each chunk, up to 64 MiB
    ///
    /// Who reads at random reads whole chunks; smaller ones compress worse.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "2MiB")]
    pub(crate) chunk_size: u64,

    /// Level of the compression: 1 to 22 for zstd, 1 to 9 for gzip [default: 3 for zstd, 6 for
    /// gzip]
    #[arg(long, value_name = "N")]
    pub(crate) level: Option<i32>,

    /// Append a dm-verity tree to the image, and wrap both: SHA-256 without a salt, with a superblock
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    pub(crate) verity: VerityName,

    /// Threads that compress [default: the number of processors]
    ///
    /// The blob does not depend on it.
    #[arg(short = 'T', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,

    /// Replace a file that exists; a symbolic link is replaced itself, never followed
    #[arg(long)]
    pub(crate) force: bool,

    /// Print a report as JSON, to stdout or to FILE
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        value_hint = ValueHint::FilePath
    )]
    pub(crate) json: Option<PathBuf>,

    /// What is said meanwhile.
    #[command(flatten)]
    pub(crate) talk: Talk,

    /// What is given up for it.
    #[command(flatten)]
    pub(crate) confine: ConfineArgs,

    /// What the image may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// The names of compressions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum WrapName {
    /// zstd, a frame for each chunk
    #[default]
    Zstd,
    /// gzip, one member, which can be read from its start alone
    Gzip,
    /// Not at all
    None,
}

impl WrapName {
    /// What it names.
    pub(crate) const fn compression(self) -> Compression {
        match self {
            Self::Zstd => Compression::Zstd,
            Self::Gzip => Compression::Gzip,
            Self::None => Compression::None,
        }
    }
}

/// What becomes of a dm-verity tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerityName {
    /// There is none
    #[default]
    None,
    /// It is made, and follows the image
    Append,
}

/// The names of indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IndexName {
    /// The chunk index of the EROFS image layer specification, with SHA-256 of each chunk
    Erofs,
    /// The seek table of the zstd project, with checksums that find accidents
    ZstdSeekable,
    /// None
    None,
}

impl From<IndexName> for Index {
    fn from(name: IndexName) -> Self {
        match name {
            IndexName::Erofs => Self::Erofs,
            IndexName::ZstdSeekable => Self::ZstdSeekable,
            IndexName::None => Self::None,
        }
    }
}
