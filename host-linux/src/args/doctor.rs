//! The arguments of `doctor`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use erofs_unpack_cli::args::exit_codes;

/// `doctor`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub(crate) struct Doctor {
    /// A folder whose file system is tried, with files that get no name: a spool, a cache, a
    /// place for layers
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folders: Vec<PathBuf>,

    /// containerd's configuration [default: /etc/containerd/config.toml, if it is there]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) containerd: Option<PathBuf>,

    /// What stands for /: another system, as it lies in a folder
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
