//! The arguments of `extract`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueHint};

use erofs_unpack_cli::args::{ImageArgs, ObjectArgs, Talk, exit_codes, size};

/// `extract`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
#[command(group = ArgGroup::new("to").required(true))]
pub(crate) struct Extract {
    /// The image.
    #[command(flatten)]
    pub(crate) image: ImageArgs,

    /// Where content is taken from that the image does not hold.
    #[command(flatten)]
    pub(crate) objects: ObjectArgs,

    /// What to extract, with everything below it [default: all]
    ///
    /// A name that is not there as it stands is looked for without its escapes, as lists show them.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,

    /// Create the files in this directory; it is made if need be, its parents are not
    #[arg(
        short = 'C',
        long,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        group = "to"
    )]
    pub(crate) directory: Option<PathBuf>,

    /// Write the files as a tar stream to stdout, with pax headers
    #[arg(long, group = "to")]
    pub(crate) tar: bool,

    /// Replace what exists, unless it is a directory
    #[arg(long, conflicts_with = "tar")]
    pub(crate) force: bool,

    /// Restore what is permitted and warn of the rest; owners are not restored [default: unless
    /// run by root, for whom all must be restored]
    #[arg(long, conflicts_with = "tar")]
    pub(crate) as_user: bool,

    /// Leave extended attributes out, ACLs and capabilities among them; owners are kept
    #[arg(long)]
    pub(crate) no_xattrs: bool,

    /// Extract what can be read although something cannot, list that, and end with its exit code
    ///
    /// Of a file that is damaged nothing is left under its name. A directory whose attributes are
    /// damaged stays closed to all but its owner. Damage that can still be read goes unseen: EROFS
    /// has no checksums of content. With --tar each file is read twice. At most 20 are listed;
    /// --json has 10,000.
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Print a report as JSON, to stdout or to FILE
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        value_hint = ValueHint::FilePath
    )]
    pub(crate) json: Option<PathBuf>,

    /// Threads that create files [default: the number of processors]
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..),
        conflicts_with = "tar"
    )]
    pub(crate) jobs: Option<u16>,

    /// What is said meanwhile.
    #[command(flatten)]
    pub(crate) talk: Talk,

    /// Most bytes of content of all files; holes count only with --tar
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = size,
        default_value = "1TiB",
        help_heading = "Limits"
    )]
    pub(crate) max_extracted_size: u64,

    /// Most files at a time that further hard links are expected of
    #[arg(long, value_name = "N", default_value_t = 1 << 20, help_heading = "Limits")]
    pub(crate) max_links: u64,
}
