//! The argument that switches confinement off, and the confinement itself.

use std::io;

use clap::Args;
use erofs_unpack_ops::HostError;
use erofs_unpack_ops::system::{self, Confinement, Openings, Purpose};

use crate::output;

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

impl ConfineArgs {
    /// Confines this process, unless that is switched off: from now on it can open nothing but
    /// these files. `load` is done between the two halves of it: it may make memory executable
    /// and start threads, and opens no files. With `verbose` it is printed what is in force.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when [`Confinement::files`] or [`Confinement::calls`] fails, and
    /// those of `load`.
    pub fn confine<T>(
        &self,
        openings: &Openings,
        purpose: Purpose,
        verbose: bool,
        load: impl FnOnce() -> Result<T, HostError>,
    ) -> Result<T, HostError> {
        let mut confinement = if self.no_confine {
            Confinement::NONE
        } else {
            Confinement::files(openings).map_err(failed)?
        };
        let loaded = load()?;
        confinement.calls(purpose).map_err(failed)?;
        if verbose && system::CONFINES {
            output::print_error(confinement);
        }
        Ok(loaded)
    }
}

/// What the process could not give up.
fn failed(error: io::Error) -> HostError {
    HostError::environment("confinement", "give up what is not needed", error)
}
