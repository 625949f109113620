//! The arguments of `rules`.

use clap::Args;

/// `rules`
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Rules {
    /// Print the page of the documentation
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
