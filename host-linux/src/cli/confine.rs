//! The argument that switches the wall off.

use clap::Args;

#[cfg(target_os = "linux")]
use crate::error::HostError;
#[cfg(target_os = "linux")]
use crate::wall::{Openings, Wall};

/// `--no-confine`
#[derive(Clone, Copy, Debug, Args)]
pub struct ConfineArgs {
    /// Do not give up what the work does not need
    ///
    /// Where the kernel has Landlock and seccomp, the program gives up all other files, the
    /// network and most system calls before it reads anything. --verbose says what is in force.
    #[arg(long)]
    pub no_confine: bool,
}

#[cfg(target_os = "linux")]
impl ConfineArgs {
    /// The wall's first half, unless it is switched off.
    ///
    /// # Errors
    ///
    /// As [`Wall::files`].
    pub fn wall(&self, openings: &Openings) -> Result<Wall, HostError> {
        if self.no_confine {
            return Ok(Wall::NONE);
        }
        Wall::files(openings)
    }
}
