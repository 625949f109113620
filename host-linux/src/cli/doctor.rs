//! The arguments of `doctor`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `doctor`
#[derive(Debug, Args)]
#[command(after_help = super::exit_codes())]
pub struct Doctor {
    /// A folder whose file system is tried, with files that get no name: a spool, a cache, a
    /// place for layers
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub folders: Vec<PathBuf>,

    /// containerd's configuration [default: /etc/containerd/config.toml, if it is there]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub containerd: Option<PathBuf>,

    /// What stands for /: another system, as it lies in a folder
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = ValueHint::DirPath)]
    pub root: PathBuf,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
