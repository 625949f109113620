//! The arguments of the commands that read in one EROFS image.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use erofs_unpack_core::oci::Digest;

use super::{ConfineArgs, LimitArgs};
use crate::error::HostError;
use crate::image_file::{ImageFile, ImageFileOptions};
use crate::wall::Openings;

/// One EROFS image, and what is known of it.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// An EROFS image, the blob of a layer (which is unpacked and verified first), or - for stdin
    #[arg(value_name = "IMAGE", value_hint = ValueHint::FilePath)]
    pub image: PathBuf,

    /// A file or block device with a device of the image, in the order of its device table; can
    /// be given several times
    #[arg(long = "device", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub devices: Vec<PathBuf>,

    /// Digest that the blob must have
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,

    /// Digest that the image must have
    #[arg(long, value_name = "DIGEST")]
    pub diff_id: Option<Digest>,

    /// What is given up for it.
    #[command(flatten)]
    pub confine: ConfineArgs,

    /// What the image may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl ImageArgs {
    /// The files that opening it takes.
    #[must_use]
    pub fn openings(&self) -> Openings {
        let mut openings = Openings::new();
        openings.read(&self.image);
        self.devices.iter().for_each(|path| openings.read(path));
        // What is compressed, or has to have a digest, is unpacked there.
        openings.spool(&std::env::temp_dir());
        openings
    }

    /// Opens the image.
    ///
    /// # Errors
    ///
    /// As [`ImageFile::open`].
    pub fn open(&self) -> Result<ImageFile, HostError> {
        let options = ImageFileOptions {
            digest: self.digest,
            diff_id: self.diff_id,
            devices: self.devices.clone(),
            limits: self.limits.limits(),
            ..ImageFileOptions::default()
        };
        ImageFile::open(&self.image, &options)
    }
}

/// What `--help` says of paths in an image, and of the exit codes that they lead to.
fn notes() -> String {
    format!(
        "A PATH starts at the root of the image. Symbolic links on the way to its last name are \
         followed inside the image. Names that are no plain text are shown with escapes: \\n, \
         \\x1b, and a backslash as two. A PATH that is not there is a missing file: exit code 3.\
         \n\n{}",
        super::exit_codes()
    )
}

/// `ls`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Ls {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// What to list [default: /]
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// With types, permissions, links, owners, sizes and times (UTC)
    #[arg(short, long)]
    pub long: bool,

    /// Directories with all that is below them
    #[arg(short = 'R', long)]
    pub recursive: bool,

    /// Directories themselves, not their entries
    #[arg(short, long, conflicts_with = "recursive")]
    pub directory: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tree`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Tree {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// Where to start [default: /]
    #[arg(value_name = "PATH")]
    pub path: Option<OsString>,

    /// How many levels of directories to go down
    #[arg(short = 'L', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub level: Option<u32>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `stat`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Stat {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// The files
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,

    /// Follow a symbolic link at the end of a path too
    #[arg(short = 'L', long)]
    pub dereference: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `cat`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Cat {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// The files; a symbolic link at the end of a path is followed too
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<OsString>,
}

/// `dump`
#[derive(Debug, Args)]
#[command(after_help = notes())]
pub struct Dump {
    /// Which image, and what is known of it.
    #[command(flatten)]
    pub image: ImageArgs,

    /// The inode and the extents of the file at this path
    #[arg(long, value_name = "PATH", conflicts_with = "nid")]
    pub path: Option<OsString>,

    /// The inode of this number, and its extents
    #[arg(long, value_name = "N")]
    pub nid: Option<u64>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
