//! `erofs-unpack` as a WASI command: `unpack`, `check` and `inspect` of one layer or image, on
//! preopened folders, stdin and stdout. Flags, messages, exit codes and reports are those of the
//! Linux program, as far as WASI goes.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a program"
)]

mod blob;
mod check;
mod cli;
mod content;
mod error;
// The Linux program's, so that both write names in the same way.
#[path = "../../../host-linux/src/escape.rs"]
#[allow(
    unreachable_pub,
    reason = "it is public in the Linux program's library"
)]
mod escape;
mod examine;
mod inspect;
#[path = "../../../host-linux/src/limit_flag.rs"]
#[allow(
    unreachable_pub,
    reason = "it is public in the Linux program's library"
)]
mod limit_flag;
mod output;
mod report;
mod say;
mod unpack;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    ExitCode::from(match cli.command {
        cli::Command::Unpack(args) => unpack::run(&args),
        cli::Command::Check(args) => check::run(&args),
        cli::Command::Inspect(args) => inspect::run(&args),
    })
}
