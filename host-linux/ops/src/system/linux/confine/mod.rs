//! Confinement: before a stranger's bytes are looked at, the process gives up what it will not
//! need, where the kernel can take it.
//!
//! Landlock leaves the files and folders of the [`Openings`] and no network; seccomp leaves the
//! system calls that the work is made of, none of which runs a program, opens a socket or makes
//! memory executable. Neither can be undone by the process.
//!
//! A kernel that has not one or the other, or a container that forbids it, is no error: the
//! program works as it would without, and [`Confinement`] says so. Where they are there and something
//! fails all the same, nothing is looked at: whoever counts on it must not find out later that
//! there was none.

mod calls;
mod files;

#[cfg(test)]
mod tests;

use core::fmt;
use std::io;

use crate::system::{Openings, Purpose, processors};

/// What messages call it.
const PLACE: &str = "confinement";

/// Whether a half of the confinement, Landlock or seccomp, is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is in force. Which version of it, where there are several.
    InForce(Option<u32>),
    /// It is not, and why.
    Absent(&'static str),
}

/// What is in force.
#[derive(Clone, Debug)]
pub struct Confinement {
    files: State,
    calls: State,
}

impl Confinement {
    /// None: it was switched off.
    pub const NONE: Self = Self {
        files: State::Absent(SWITCHED_OFF),
        calls: State::Absent(SWITCHED_OFF),
    };

    /// The first half: from now on no files but these can be opened by this thread and those
    /// that it starts, and no network be used.
    ///
    /// It has to come before threads are started, and [`Self::calls`] after machine code was
    /// loaded.
    ///
    /// # Errors
    ///
    /// What the kernel says when the kernel has Landlock and something else fails.
    pub fn files(openings: &Openings) -> Result<Self, io::Error> {
        // What it reads for this is out of reach then.
        let _ = processors();
        Ok(Self {
            files: files::restrict(openings).map_err(|error| failed("Landlock", error))?,
            calls: State::Absent("not yet"),
        })
    }

    /// The second half: from now on all threads can make only the system calls of the work.
    /// Nothing happens where confinement is switched off.
    ///
    /// # Errors
    ///
    /// What the kernel says when the kernel has seccomp and something else fails.
    pub fn calls(&mut self, purpose: Purpose) -> Result<(), io::Error> {
        if self.calls != State::Absent(SWITCHED_OFF) {
            self.calls = calls::restrict(purpose).map_err(|error| failed("seccomp", error))?;
        }
        Ok(())
    }
}

/// Why neither half is there with `--no-confine`.
const SWITCHED_OFF: &str = "switched off";

fn failed(half: &str, error: impl fmt::Display) -> io::Error {
    io::Error::other(format!("{half}: {error} (--no-confine goes without)"))
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InForce(None) => f.write_str("in force"),
            Self::InForce(Some(version)) => write!(f, "in force (version {version})"),
            Self::Absent(why) => write!(f, "not in force: {why}"),
        }
    }
}

/// What `--verbose` says.
impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PLACE}: Landlock {}; seccomp {}",
            self.files, self.calls
        )
    }
}
