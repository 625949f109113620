//! The program `erofs-unpack` on Linux: the command line, and the commands that only Linux has. What
//! they do is not in here: that is `erofs-unpack-ops`.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a program"
)]

mod args;
mod command;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(match cli.command {
        Command::Shared(command) => command.run(),
        Command::Rules(args) => command::rules::run(&args),
        Command::Stream(args) => command::stream::run(&args),
        Command::Cache(args) => command::cache::run(&args),
        Command::Verity(args) => command::verity::run(&args),
        Command::Build(args) => command::build::run(&args),
        Command::Convert(args) => command::convert::run(&args),
        Command::Wrap(args) => command::wrap::run(&args),
        Command::Unwrap(args) => command::unwrap::run(&args),
        Command::Index(args) => command::index::run(&args),
        Command::Doctor(args) => command::doctor::run(&args),
        Command::Extract(args) => command::extract::run(&args),
        Command::Completions { shell } => command::documents::completions(shell),
        Command::Man { folder } => command::documents::man(&folder),
    })
}
