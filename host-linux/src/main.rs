//! The program `erofs-unpack`.

use std::process::ExitCode;

use clap::Parser as _;
use erofs_unpack::cli::{Cli, Command};
use erofs_unpack::command;

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(match cli.command {
        Command::Unpack(args) => command::unpack::run(&args),
        Command::Check(args) => command::check::run(&args),
        Command::Rules(args) => command::rules::run(&args),
        Command::Inspect(args) => command::inspect::run(&args),
        Command::Stream(args) => command::stream::run(&args),
        Command::Cache(args) => command::cache::run(&args),
        Command::Doctor(args) => command::doctor::run(&args),
        Command::Extract(args) => command::extract::run(&args),
        Command::Ls(args) => command::ls::run(&args),
        Command::Tree(args) => command::tree::run(&args),
        Command::Stat(args) => command::stat::run(&args),
        Command::Cat(args) => command::cat::run(&args),
        Command::Dump(args) => command::dump::run(&args),
        Command::Completions { shell } => command::documents::completions(shell),
        Command::Man { folder } => command::documents::man(&folder),
    })
}
