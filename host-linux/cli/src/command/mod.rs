//! The commands: each calls its operation and makes text of the report.

mod cat;
pub mod check;
mod dump;
pub mod inspect;
mod ls;
mod read;
mod stat;
mod tree;
pub mod unpack;

use clap::Subcommand;
use erofs_unpack_ops::{HostError, system};

use crate::args;

/// The commands that all hosts have.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Unpack and verify the layers of an image, or one layer
    ///
    /// Nothing appears under its final name or on stdout before all checks have passed. The
    /// layers of an image appear together, and last image.json, which says what was done and
    /// how they are mounted together. What is there already and verifies again is kept.
    Unpack(Box<args::Unpack>),
    /// Say whether the kernel may be handed an EROFS image
    Check(Box<args::Check>),
    /// Show what an image, a layer blob or an EROFS image is
    ///
    /// Manifests, indexes and configs are verified by the digests that lead to them. Of a layer
    /// only the first bytes are read: unpack --verify-only verifies it.
    Inspect(Box<args::Inspect>),
    /// List what is in an image
    Ls(Box<args::Ls>),
    /// Draw what is in an image as a tree
    Tree(Box<args::Tree>),
    /// Show all that an image says of files in it
    Stat(Box<args::Stat>),
    /// Write the content of files in an image to stdout
    Cat(Box<args::Cat>),
    /// Show how an image is laid out: its superblock, or an inode with its extents
    Dump(Box<args::Dump>),
}

impl Command {
    /// Runs the command and gives its exit code. Everything is printed: errors on stderr, the
    /// report where it was asked for.
    #[must_use]
    pub fn run(&self) -> u8 {
        match self {
            Self::Unpack(args) => unpack::run(args),
            Self::Check(args) => check::run(args),
            Self::Inspect(args) => inspect::run(args),
            Self::Ls(args) => ls::run(args),
            Self::Tree(args) => tree::run(args),
            Self::Stat(args) => stat::run(args),
            Self::Cat(args) => cat::run(args),
            Self::Dump(args) => dump::run(args),
        }
    }
}

/// Refuses more threads than there can be.
fn refuse_jobs(flag: &str, jobs: Option<u16>) -> Result<(), HostError> {
    match jobs {
        Some(jobs @ 2..) if !system::THREADS => Err(HostError::Usage(format!(
            "{flag} {jobs}: there are no threads in WASI"
        ))),
        _ => Ok(()),
    }
}
