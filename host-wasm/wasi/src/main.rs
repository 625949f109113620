//! `erofs-unpack` as a WASI command: `unpack`, `check`, `inspect`, `ls`, `tree`, `stat`, `cat` and
//! `dump` on preopened folders, stdin and stdout. It has the commands that all hosts have, and none of its own.

use std::process::ExitCode;

use clap::Parser;
use erofs_unpack_cli::args::exit_codes;
use erofs_unpack_cli::command::Command;

/// Unpacks and verifies the EROFS layers of container images.
#[derive(Debug, Parser)]
#[command(
    name = "erofs-unpack",
    version,
    about,
    after_help = exit_codes(),
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    ExitCode::from(Cli::parse().command.run())
}
