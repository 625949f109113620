//! `erofs-unpack completions` and `erofs-unpack man`: what is made of the command line's own
//! definition.

use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use erofs_unpack_cli::args::{EXIT_CODES, SIGNALS};
use erofs_unpack_cli::output::{exit_code, print};
use erofs_unpack_ops::HostError;

use crate::args::Cli;

/// Prints the completions for a shell and gives the exit code.
pub(crate) fn completions(shell: Shell) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "erofs-unpack", &mut text);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if shell == Shell::Bash {
        // clap_complete (issue 6421) spells the names of its states in two ways when a
        // program's name has a hyphen; then nothing completes behind a subcommand.
        text = text.replace("erofs__subcmd__unpack", "erofs__unpack");
    }
    exit_code(print(&text).map(|()| 0))
}

/// Writes the man pages into a folder, which is made if it is missing, and gives the exit code.
pub(crate) fn man(folder: &Path) -> u8 {
    exit_code(write_pages(folder).map(|()| 0))
}

fn write_pages(folder: &Path) -> Result<(), HostError> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(HostError::environment(folder, "make the directory", error));
        }
        _ => {}
    }
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    write_page(folder, &program)
}

/// Writes the page of a command and those of its own commands.
fn write_page(folder: &Path, command: &clap::Command) -> Result<(), HostError> {
    // The version stands where others have a date: in the middle of the last line.
    let man = Man::new(command.clone())
        .source("erofs-unpack")
        .date(env!("CARGO_PKG_VERSION"))
        .manual("User Commands");
    let path = folder.join(man.get_filename());
    let page = page(&man, command)
        .map_err(|error| HostError::environment(&path, "make the page", error))?;
    std::fs::write(&path, page).map_err(|error| HostError::environment(&path, "write", error))?;
    command
        .get_subcommands()
        .filter(|one| !one.is_hide_set() && one.get_name() != "help")
        .try_for_each(|one| write_page(folder, one))
}

/// One page, with the exit codes in a section of the name that man pages have for them.
fn page(man: &Man, command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut exit = Roff::new();
    exit.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        exit.control("TP", []);
        exit.text([bold(*code)]);
        exit.text([roman(*meaning)]);
    }
    exit.control("PP", []);
    exit.text([roman(SIGNALS)]);
    exit.to_writer(&mut page)?;
    Ok(page)
}
