//! The arguments of commands, as clap reads them, and the options that they come to.

mod check;
mod confine;
mod inspect;
mod limits;
mod read;
mod sandbox;
mod select;
mod talk;
mod unpack;

pub use check::{Check, CheckArgs, LevelName};
pub use confine::ConfineArgs;
pub use inspect::Inspect;
pub use limits::LimitArgs;
pub use read::{Cat, Dump, ImageArgs, Ls, ObjectArgs, Stat, Tree, VerboseArgs};
pub use sandbox::{SandboxArgs, SandboxName};
pub use select::{PolicyName, Select};
pub use talk::Talk;
pub use unpack::Unpack;

/// The exit codes and what they mean.
pub const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "done, perhaps with warnings"),
    (
        "1",
        "refused: the content is invalid, mismatched, unsupported or over a limit",
    ),
    ("2", "wrong usage"),
    (
        "3",
        "the environment failed: I/O, a missing file, no permission, a closed pipe",
    ),
];

/// What is said of signals, below the exit codes.
pub const SIGNALS: &str = "A signal ends the program as that signal does.";

/// What `--help` says below the options.
#[must_use]
pub fn exit_codes() -> String {
    let mut text = "Exit codes:".to_owned();
    for (code, meaning) in EXIT_CODES {
        text.push_str(&format!("\n  {code}  {meaning}"));
    }
    text.push('\n');
    text.push_str(SIGNALS);
    text
}

/// The heading of limits in `--help`. Each names it by itself: a heading for all of them would
/// go on to the options that follow.
pub const LIMITS: &str = "Limits";

/// Reads a size: bytes, or with a unit (`4096`, `64KiB`, `20GB`, `1.5 GiB`).
///
/// # Errors
///
/// A sentence for the user.
pub fn size(text: &str) -> Result<u64, String> {
    parse_size::parse_size(text)
        .map_err(|_| "expected a number of bytes, or one with a unit such as MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("20GiB"), Ok(20 << 30));
        assert_eq!(size("1kB"), Ok(1000));
        assert!(size("many").is_err());
        assert!(size("-1").is_err());
    }
}
