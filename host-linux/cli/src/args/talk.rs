//! The arguments that say how much is printed.

use clap::Args;

/// What is printed besides the result.
#[derive(Clone, Copy, Debug, Args)]
pub struct Talk {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more
    #[arg(short, long)]
    pub verbose: bool,
}
