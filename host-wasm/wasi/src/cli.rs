//! The command line: the flags of the Linux program that WASI can serve, and a word about the
//! others.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use clap::{ArgMatches, ValueEnum};
use erofs_unpack_core::Limits;
use erofs_unpack_core::check::{Level, Options, RULES};
use erofs_unpack_core::oci::{Digest, Policy};

use crate::error::HostError;
use crate::say;

const EXIT_CODES: &str = "\
Exit codes:
  0  done, perhaps with warnings
  1  refused: the content is invalid, mismatched, unsupported or over a limit
  2  wrong usage
  3  the environment failed: I/O, a missing file, no permission, a closed pipe";

/// Flags of the Linux program that are none here, and why.
const UNSERVED: &[(&str, &str)] = &[
    ("ref", LAYOUTS),
    ("platform", LAYOUTS),
    ("layer", LAYOUTS),
    ("keep-going", LAYOUTS),
    ("max-archive-size", LAYOUTS),
    ("max-archive-members", LAYOUTS),
    ("max-json-size", LAYOUTS),
    ("max-json-members", LAYOUTS),
    ("max-json-depth", LAYOUTS),
    ("max-index-depth", LAYOUTS),
    ("max-layers", LAYOUTS),
    ("jobs", "there are no threads in WASI"),
    ("device", "the WASI program reads no devices"),
];
const LAYOUTS: &str = "the WASI program takes one layer or image, no layout";

/// Unpacks and verifies the EROFS layers of container images, inside WASI.
#[derive(Debug, Parser)]
#[command(
    name = "erofs-unpack",
    version,
    about,
    after_help = EXIT_CODES,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Unpack and verify one layer
    ///
    /// Nothing appears under its final name or on stdout before all checks have passed.
    Unpack(Box<Unpack>),
    /// Say whether the kernel may be handed an EROFS image
    Check(Box<Check>),
    /// Show what a layer blob or an EROFS image is
    Inspect(Box<Inspect>),
}

/// `unpack`
#[derive(Debug, Args)]
pub(crate) struct Unpack {
    /// A layer blob, or - for stdin
    pub(crate) source: PathBuf,
    /// A file, or - for stdout
    ///
    /// What waits for stdout waits in TMPDIR where that is set, else in memory.
    #[arg(
        short,
        long,
        value_name = "DEST",
        required_unless_present = "verify_only",
        conflicts_with = "verify_only"
    )]
    pub(crate) output: Option<PathBuf>,
    /// Do everything but write
    #[arg(long)]
    pub(crate) verify_only: bool,
    /// Digest that the blob must have
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<Digest>,
    /// How strictly an image is checked where readers disagree
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub(crate) policy: PolicyName,
    /// Media type of the blob [default: by its content]
    #[arg(long, value_name = "TYPE")]
    pub(crate) media_type: Option<String>,
    /// Digest that the unpacked layer must have (its diffID)
    #[arg(long, value_name = "DIGEST")]
    pub(crate) diff_id: Option<Digest>,
    /// Replace files that exist; a symbolic link is replaced itself, never followed
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) check: CheckArgs,
    /// Do not check the inside of the image: only digests, streams and superblock
    #[arg(long, conflicts_with_all = ["level", "allow"])]
    pub(crate) no_check: bool,
    /// Print a report as JSON, to stdout or to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) talk: Talk,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// An EROFS image, the blob of a layer (which is unpacked and verified first), or - for stdin
    pub(crate) source: PathBuf,
    #[command(flatten)]
    pub(crate) check: CheckArgs,
    /// Digest that the blob must have
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<Digest>,
    /// How strictly an image is checked where readers disagree
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub(crate) policy: PolicyName,
    /// Digest that the image must have
    #[arg(long, value_name = "DIGEST")]
    pub(crate) diff_id: Option<Digest>,
    /// How many devices belong to the image though they are not at hand
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) known_devices: u16,
    /// Print a report as JSON, to stdout or to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) talk: Talk,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// `inspect`
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A layer blob, an EROFS image, or - for stdin
    pub(crate) source: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// What is printed besides the result.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Talk {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// The names of [`Policy`].
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum PolicyName {
    /// What the specification or the kernel takes
    Any,
    /// What containerd reads in the same way
    #[default]
    Containerd,
    /// What the draft specification demands of a producer
    Strict,
}

impl PolicyName {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Containerd => "containerd",
            Self::Strict => "strict",
        }
    }

    const fn policy(self) -> Policy {
        match self {
            Self::Any => Policy::Any,
            Self::Containerd => Policy::Containerd,
            Self::Strict => Policy::Strict,
        }
    }
}

/// How far a check goes.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum LevelName {
    /// Superblock, device table and compression configurations
    Superblock,
    /// All metadata: inodes, directories, xattrs, and where content lies
    #[default]
    Metadata,
    /// All metadata, and that everything compressed decodes to its stated length
    Full,
}

impl LevelName {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Superblock => "superblock",
            Self::Metadata => "metadata",
            Self::Full => "full",
        }
    }
}

/// How an image is checked.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckArgs {
    /// How far an image is checked
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub(crate) level: LevelName,
    /// Switch a rule of the check off, by its id; can be given several times
    #[arg(long, value_name = "RULE")]
    pub(crate) allow: Vec<String>,
}

impl CheckArgs {
    pub(crate) fn options(&self, policy: PolicyName) -> Result<Options, HostError> {
        let mut options = Options::default();
        options.level = match self.level {
            LevelName::Superblock => Level::Superblock,
            LevelName::Metadata => Level::Metadata,
            LevelName::Full => Level::Full,
        };
        options.policy = policy.policy();
        for id in &self.allow {
            if !options.allow(id) {
                let near: Vec<&str> = RULES
                    .iter()
                    .map(erofs_unpack_core::check::Rule::id)
                    .filter(|rule| rule.split('-').next() == id.split('-').next())
                    .collect();
                let near = if near.is_empty() {
                    "core/RULES.md lists them".to_owned()
                } else {
                    format!("there are {}", near.join(", "))
                };
                let text = format!("--allow {id}: there is no such rule: {near}");
                return Err(HostError::Usage(text));
            }
        }
        Ok(options)
    }
}

/// Limits, with the defaults of `zstd -d` for the window and the core's for all else.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Largest blob
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64GiB")]
    max_blob_size: u64,
    /// Largest image, everything that follows it included
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64GiB")]
    max_image_size: u64,
    /// Largest window of a zstd frame
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "128MiB")]
    max_window: u64,
    /// Most zstd frames or gzip members in a blob
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT.frames)]
    max_frames: u64,
    /// Most bytes in the skippable zstd frames of a blob
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64MiB")]
    max_skippable_size: u64,
    /// Largest ratio of image to blob [default: none]
    #[arg(long, value_name = "RATIO")]
    pub(crate) max_expansion: Option<u64>,
    /// Most files in an image
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT.inodes)]
    max_inodes: u64,
    /// Most entries of a directory in an image
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT.directory_entries)]
    max_directory_entries: u64,
    /// Most directories above a file in an image
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT.directory_depth)]
    max_directory_depth: u32,
    /// Longest target of a symbolic link in an image, in bytes
    #[arg(long, value_name = "N", default_value_t = Limits::DEFAULT.symlink_length)]
    max_symlink_length: u32,
    /// Most memory that the check keeps
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "512MiB")]
    max_check_memory: u64,
    /// Most metadata that the check looks at, and most bytes that it decodes
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64GiB")]
    max_check_work: u64,
}

impl LimitArgs {
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::DEFAULT;
        limits.blob_size = self.max_blob_size;
        limits.image_size = self.max_image_size;
        limits.zstd_window = self.max_window;
        limits.frames = self.max_frames;
        limits.skippable_size = self.max_skippable_size;
        limits.expansion_ratio = self.max_expansion;
        limits.check_memory = self.max_check_memory;
        limits.check_work = self.max_check_work;
        limits.inodes = self.max_inodes;
        limits.directory_entries = self.max_directory_entries;
        limits.directory_depth = self.max_directory_depth;
        limits.symlink_length = self.max_symlink_length;
        limits
    }
}

/// Reads a size: bytes, or with a unit (`4096`, `64KiB`, `20GB`, `1.5 GiB`).
fn size(text: &str) -> Result<u64, String> {
    parse_size::parse_size(text)
        .map_err(|_| "expected a number of bytes, or one with a unit such as MiB".to_owned())
}

/// Reads the command line; what is wrong with it is said, and the exit code given.
pub(crate) fn parse() -> Result<Cli, u8> {
    let mut command = Cli::command();
    let names: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    for name in names {
        command = command.mut_subcommand(name, |mut sub| {
            for (flag, _) in UNSERVED {
                // With or without a value: what it is does not matter.
                let arg = Arg::new(*flag)
                    .long(*flag)
                    .num_args(0..=1)
                    .action(ArgAction::Append);
                sub = sub.arg(arg.hide(true));
            }
            sub
        });
    }
    let matches = command.try_get_matches().map_err(|error| {
        // Help and version go to stdout and are no error.
        let _ = error.print();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
            _ => 2,
        }
    })?;
    if let Some((_, matches)) = matches.subcommand()
        && let Some((flag, why)) = UNSERVED.iter().find(|(flag, _)| given(matches, flag))
    {
        let error = HostError::Usage(format!("--{flag}: {why}"));
        say::complain(&error);
        return Err(error.exit_code());
    }
    Cli::from_arg_matches(&matches).map_err(|error| {
        let _ = error.print();
        2
    })
}

fn given(matches: &ArgMatches, flag: &str) -> bool {
    matches.value_source(flag).is_some()
}
