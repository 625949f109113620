//! `erofs-unpack` as a WASI command: `unpack`, `check` and `inspect` on preopened folders, stdin and
//! stdout. It is the Linux program as far as WASI goes: the same library, built for WASI.

use std::process::ExitCode;

use clap::Parser as _;
use erofs_unpack::cli::{Cli, Command};
use erofs_unpack::command;

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(match cli.command {
        Command::Unpack(args) => command::unpack::run(&args),
        Command::Check(args) => command::check::run(&args),
        Command::Inspect(args) => command::inspect::run(&args),
        // Built for the machine that tests it, the library has other commands too.
        #[cfg(target_os = "linux")]
        _ => 2,
    })
}
