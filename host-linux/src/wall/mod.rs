//! A wall around the process: before a stranger's bytes are looked at, it gives up what it will
//! not need, where the kernel can take it.
//!
//! Landlock leaves the files and folders of the [`Openings`] and no network; seccomp leaves the
//! system calls that the work is made of, none of which runs a program, opens a socket or makes
//! memory executable. Neither can be undone by the process.
//!
//! A kernel that has not one or the other, or a container that forbids it, is no error: the
//! program works as it would without, and [`Wall`] says so. Where they are there and something
//! fails all the same, nothing is looked at: whoever counts on the wall must not find out later
//! that there was none.

mod calls;
mod files;
mod openings;

#[cfg(test)]
mod tests;

use core::fmt;

pub use openings::Openings;

use crate::error::HostError;
use crate::processors::processors;

/// What messages call it.
const PLACE: &str = "confinement";

/// One half of the wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Half {
    /// It is in force. Which version of it, where there are several.
    InForce(Option<u32>),
    /// It is not, and why.
    Absent(&'static str),
}

/// What is done behind the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Images are read, and files published.
    Verify,
    /// The files of an image are created, with owners and attributes.
    Extract,
}

/// What is in force of the wall.
#[derive(Clone, Debug)]
pub struct Wall {
    files: Half,
    calls: Half,
}

impl Wall {
    /// No wall: it was switched off.
    pub const NONE: Self = Self {
        files: Half::Absent(SWITCHED_OFF),
        calls: Half::Absent(SWITCHED_OFF),
    };

    /// The first half: from now on no files but these can be opened by this thread and those
    /// that it starts, and no network be used.
    ///
    /// It has to come before threads are started, and [`Self::calls`] after machine code was
    /// loaded.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when the kernel has Landlock and something else fails.
    pub fn files(openings: &Openings) -> Result<Self, HostError> {
        // What it reads for this is out of reach then.
        processors();
        Ok(Self {
            files: files::restrict(openings).map_err(|error| failed("Landlock", error))?,
            calls: Half::Absent("not yet"),
        })
    }

    /// The second half: from now on all threads can make only the system calls of the work.
    /// Nothing happens where the wall is switched off.
    ///
    /// # Errors
    ///
    /// [`HostError::Environment`] when the kernel has seccomp and something else fails.
    pub fn calls(&mut self, work: Work) -> Result<(), HostError> {
        if self.calls != Half::Absent(SWITCHED_OFF) {
            self.calls = calls::restrict(work).map_err(|error| failed("seccomp", error))?;
        }
        Ok(())
    }
}

/// Why neither half is there with `--no-confine`.
const SWITCHED_OFF: &str = "switched off";

fn failed(half: &str, error: impl fmt::Display) -> HostError {
    let error = format!("{half}: {error} (--no-confine goes without)");
    HostError::environment(
        PLACE,
        "give up what is not needed",
        std::io::Error::other(error),
    )
}

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InForce(None) => f.write_str("in force"),
            Self::InForce(Some(version)) => write!(f, "in force (version {version})"),
            Self::Absent(why) => write!(f, "not in force: {why}"),
        }
    }
}

/// What `--verbose` says.
impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PLACE}: Landlock {}; seccomp {}",
            self.files, self.calls
        )
    }
}
