//! The program `erofs-unpack`.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use erofs_unpack::cli::{Cli, Command};
use erofs_unpack::{HostError, command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match cli.command {
        Command::Unpack(args) => command::unpack::run(&args),
        Command::Inspect(args) => command::inspect::run(&args),
        Command::Completions { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "erofs-unpack",
                &mut std::io::stdout(),
            );
            0
        }
        Command::Man { folder } => match clap_mangen::generate_to(Cli::command(), &folder) {
            Ok(()) => 0,
            Err(error) => {
                let error = HostError::environment(folder, "write the man pages", error);
                eprintln!("erofs-unpack: {error}");
                error.exit_code()
            }
        },
    };
    ExitCode::from(code)
}
