//! The arguments of `index` and its commands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use erofs_unpack_cli::args::{ConfineArgs, LimitArgs, Select, Talk, exit_codes};
use erofs_unpack_core::oci::{ByteRange, Digest};

use super::IndexName;

/// `index`
#[derive(Debug, Args)]
#[command(after_help = exit_codes(), subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Index {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: IndexCommand,
}

/// The commands of `index`.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Show where the chunks of a layer lie, as its index says
    ///
    /// The index is the draft's chunk index or zstd's seek table. Of the layer itself nothing is
    /// read: `index verify` does that.
    Show(Box<IndexShow>),
    /// Verify every chunk of a layer: its place, its checksum, and what it decodes to
    Verify(Box<IndexVerify>),
    /// Write an index for a zstd layer of several frames, as pzstd makes it
    ///
    /// All frames are decoded. A new blob is written with the index at its end and without the
    /// skippable frames of the old one; the layer's diffID stays the same.
    Add(Box<IndexAdd>),
}

/// Which layer, and where its index is.
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    /// The blob of a layer, or an OCI image layout (a folder, or a tar archive of one)
    #[arg(value_name = "LAYER", value_hint = ValueHint::AnyPath)]
    pub(crate) source: PathBuf,

    /// Which image, of a layout with several.
    #[command(flatten)]
    pub(crate) select: Select,

    /// Which layer of an image, counted from 1 in the order of the manifest [default: the only one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) layer: Option<u32>,

    /// Digest that the decoded layer must have (its diffID)
    #[arg(long, value_name = "DIGEST")]
    pub(crate) diff_id: Option<Digest>,

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

    /// What the layer may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Where the index of a lone blob is.
#[derive(Debug, Args)]
pub(crate) struct WhereArgs {
    /// The part of a lone blob that the index is, as org.erofs.chunk-index.range states it
    /// [default: by the end of the blob]
    ///
    /// A blob that is not compressed says nowhere else where it is.
    #[arg(long, value_name = "OFFSET[:END]", value_parser = range, conflicts_with = "index_file")]
    pub(crate) range: Option<ByteRange>,

    /// The file with the index of a lone blob, where it is a layer of its own
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) index_file: Option<PathBuf>,

    /// Digest that the chunk index must have (org.erofs.chunk-index.digest)
    #[arg(long, value_name = "DIGEST")]
    pub(crate) index_digest: Option<Digest>,
}

/// `index show`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct IndexShow {
    /// Which layer.
    #[command(flatten)]
    pub(crate) layer: IndexArgs,

    /// Where its index is.
    #[command(flatten)]
    pub(crate) at: WhereArgs,
}

/// `index verify`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct IndexVerify {
    /// Which layer.
    #[command(flatten)]
    pub(crate) layer: IndexArgs,

    /// Where its index is.
    #[command(flatten)]
    pub(crate) at: WhereArgs,

    /// Threads that decode [default: the number of processors]
    #[arg(short = 'T', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
}

/// `index add`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct IndexAdd {
    /// Which layer.
    #[command(flatten)]
    pub(crate) layer: IndexArgs,

    /// The new blob, or with --standalone the index: a file, or - for stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// Which index
    #[arg(long, value_enum, value_name = "KIND", default_value = "erofs")]
    pub(crate) index: IndexName,

    /// Write the index alone, as a layer of its own
    #[arg(long)]
    pub(crate) standalone: bool,

    /// Replace a file that exists; a symbolic link is replaced itself, never followed
    #[arg(long)]
    pub(crate) force: bool,
}

/// Reads a range as the annotation has it.
fn range(text: &str) -> Result<ByteRange, String> {
    ByteRange::parse(text).map_err(|error| error.to_string())
}
