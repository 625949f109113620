//! The arguments of `unwrap`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use erofs_unpack_cli::args::{
    CheckArgs, ConfineArgs, LimitArgs, PolicyName, SandboxArgs, Talk, exit_codes,
};
use erofs_unpack_core::oci::Digest;

/// `unwrap`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct Unwrap {
    /// The blob of a layer, or - for stdin
    #[arg(value_name = "BLOB", value_hint = ValueHint::FilePath)]
    pub(crate) blob: PathBuf,

    /// The image: a file, or - for stdout
    ///
    /// What waits for stdout waits in TMPDIR, without a name.
    #[arg(short, long, value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,

    /// Digest that the blob must have
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<Digest>,

    /// Digest that the image must have
    #[arg(long, value_name = "DIGEST")]
    pub(crate) diff_id: Option<Digest>,

    /// Media type of the blob [default: by its content]
    #[arg(long, value_name = "TYPE")]
    pub(crate) media_type: Option<String>,

    /// How strictly the image is checked where readers disagree
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub(crate) policy: PolicyName,

    /// Replace a file that exists; a symbolic link is replaced itself, never followed
    #[arg(long)]
    pub(crate) force: bool,

    /// How the image is checked once its digests are verified.
    #[command(flatten)]
    pub(crate) check: CheckArgs,

    /// Do not check the inside of the image: only digests, streams and superblock
    #[arg(long, conflicts_with_all = ["level", "allow"])]
    pub(crate) no_check: bool,

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

    /// Where it is done.
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,

    /// What is given up for it.
    #[command(flatten)]
    pub(crate) confine: ConfineArgs,

    /// What the blob may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
