//! The arguments of `stream`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use erofs_unpack_cli::args::{
    CheckArgs, ConfineArgs, LimitArgs, PolicyName, SandboxArgs, exit_codes,
};

/// `stream`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct Stream {
    /// Folder in which an image waits, without a name, until it is verified
    /// [default: TMPDIR, else /var/tmp]
    ///
    /// It needs room for the largest image. Where stdout is a file of the same file system, the
    /// image is shared or copied by the kernel.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) spool_dir: Option<PathBuf>,

    /// Media type of the layer [default: STREAM_PROCESSOR_MEDIATYPE, else by its content]
    #[arg(long, value_name = "TYPE")]
    pub(crate) media_type: Option<String>,

    /// How strictly an image is checked where readers disagree
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub(crate) policy: PolicyName,

    /// How an image is checked before it goes out.
    #[command(flatten)]
    pub(crate) check: CheckArgs,

    /// Say on stderr what came through
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Where it is done.
    #[command(flatten)]
    pub(crate) sandbox: SandboxArgs,

    /// What is given up for it.
    #[command(flatten)]
    pub(crate) confine: ConfineArgs,

    /// What a layer may ask for.
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
