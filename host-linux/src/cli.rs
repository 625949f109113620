//! The command line, as clap reads it.

#[cfg(target_os = "linux")]
mod cache;
mod check;
mod confine;
#[cfg(target_os = "linux")]
mod doctor;
#[cfg(target_os = "linux")]
mod extract;
#[cfg(target_os = "linux")]
mod read;
mod sandbox;
#[cfg(target_os = "linux")]
mod stream;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use erofs_unpack_core::Limits;
use erofs_unpack_core::oci::{Digest, Policy};

#[cfg(target_os = "linux")]
pub use cache::{Cache, CacheCommand, CacheGc, CacheList, CachePut, CacheVerify};
pub use check::{Check, CheckArgs, LevelName, Rules};
pub use confine::ConfineArgs;
#[cfg(target_os = "linux")]
pub use doctor::Doctor;
#[cfg(target_os = "linux")]
pub use extract::Extract;
#[cfg(target_os = "linux")]
pub use read::{Cat, Dump, ImageArgs, Ls, Stat, Tree};
pub use sandbox::{SandboxArgs, SandboxName};
#[cfg(target_os = "linux")]
pub use stream::Stream;

/// The exit codes and what they mean.
pub(crate) const EXIT_CODES: &[(&str, &str)] = &[
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
pub(crate) const SIGNALS: &str = "A signal ends the program as that signal does.";

/// What `--help` says below the options.
fn exit_codes() -> String {
    let mut text = "Exit codes:".to_owned();
    for (code, meaning) in EXIT_CODES {
        text.push_str(&format!("\n  {code}  {meaning}"));
    }
    text.push('\n');
    text.push_str(SIGNALS);
    text
}

/// Unpacks and verifies the EROFS layers of container images.
#[derive(Debug, Parser)]
#[command(
    name = "erofs-unpack",
    version,
    about,
    after_help = exit_codes(),
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Unpack and verify the layers of an image, or one layer
    ///
    /// Nothing appears under its final name or on stdout before all checks have passed. The
    /// layers of an image appear together, and last image.json, which says what was done and
    /// how they are mounted together. What is there already and verifies again is kept.
    Unpack(Box<Unpack>),
    /// Say whether the kernel may be handed an EROFS image
    Check(Box<Check>),
    /// Show what an image, a layer blob or an EROFS image is
    ///
    /// Manifests, indexes and configs are verified by the digests that lead to them. Of a layer
    /// only the first bytes are read: unpack --verify-only verifies it.
    Inspect(Box<Inspect>),
    #[cfg(target_os = "linux")]
    /// Decode a layer from stdin to stdout, as a stream processor of containerd
    ///
    /// An EROFS image, plain, +zstd or +gzip, is unpacked in full and checked before its first
    /// byte goes to stdout; when it is refused, no byte does. A tar archive passes through as it
    /// is decoded. Digests are containerd's to verify: it does so before and after.
    Stream(Box<Stream>),
    #[cfg(target_os = "linux")]
    /// Fill and look after a cache of layer content, from which containerd takes layers
    ///
    /// It is a folder that `layer_content_caches` of containerd's erofs snapshotter names (2.4 and
    /// newer). The image of a layer lies in it under its diffID: ALGORITHM/XX/DIGITS.erofs.
    Cache(Cache),
    #[cfg(target_os = "linux")]
    /// Create the files of an image in a directory, or write them as a tar stream
    ///
    /// The blob of a layer is verified as a whole before anything is extracted. As root
    /// everything is restored; what another user may not restore is left out, with a warning.
    /// Parents of a PATH are made as `mkdir -p` does. No symbolic link in DIR is followed. After
    /// an error DIR holds a part of the files, each of them whole.
    Extract(Box<Extract>),
    #[cfg(target_os = "linux")]
    /// List what is in an image
    Ls(Box<Ls>),
    #[cfg(target_os = "linux")]
    /// Draw what is in an image as a tree
    Tree(Box<Tree>),
    #[cfg(target_os = "linux")]
    /// Show all that an image says of files in it
    Stat(Box<Stat>),
    #[cfg(target_os = "linux")]
    /// Write the content of files in an image to stdout
    Cat(Box<Cat>),
    #[cfg(target_os = "linux")]
    /// Show how an image is laid out: its superblock, or an inode with its extents
    Dump(Box<Dump>),
    #[cfg(target_os = "linux")]
    /// Say what this machine lacks for EROFS layers, and what to do
    ///
    /// One line for each thing: the kernel's EROFS and what it can read, dm-verity, fs-verity,
    /// programs, the file systems of folders, and containerd's configuration. Nothing is changed.
    /// It ends with exit code 3 when a line says fail.
    Doctor(Doctor),
    #[cfg(target_os = "linux")]
    /// List the rules of the check
    Rules(Rules),
    #[cfg(target_os = "linux")]
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    #[cfg(target_os = "linux")]
    /// Write the man pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        folder: PathBuf,
    },
}

/// Which image of a layout is meant, and which layer is one by itself.
#[derive(Debug, Args)]
pub struct Select {
    /// Name of the image in a layout with several (org.opencontainers.image.ref.name)
    #[arg(long = "ref", value_name = "NAME")]
    pub reference: Option<String>,

    /// Platform that the image must have [default: the host's, where there is a choice]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,

    /// Digest that the blob, or the manifest or an index of the layout, must have
    ///
    /// Every document and layer below a manifest or index is verified by a digest that it
    /// states, so this one is an anchor for all of them.
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<Digest>,

    /// How strictly a manifest is read and an image is checked where readers disagree
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub policy: PolicyName,

    /// Largest archive that is spooled when it cannot be read at random
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = size,
        default_value = "64GiB",
        help_heading = LIMITS
    )]
    pub max_archive_size: u64,

    /// Most members of an archive
    #[arg(long, value_name = "N", default_value_t = 1 << 16, help_heading = LIMITS)]
    pub max_archive_members: u64,
}

/// The names of [`Policy`].
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum PolicyName {
    /// What the specification or the kernel takes
    Any,
    /// What containerd reads in the same way
    #[default]
    Containerd,
    /// What the draft specification demands of a producer
    Strict,
}

impl PolicyName {
    /// The name, as it is given.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Containerd => "containerd",
            Self::Strict => "strict",
        }
    }
}

impl From<PolicyName> for Policy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::Any => Self::Any,
            PolicyName::Containerd => Self::Containerd,
            PolicyName::Strict => Self::Strict,
        }
    }
}

/// What is printed besides the result.
#[derive(Clone, Copy, Debug, Args)]
pub struct Talk {
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more
    #[arg(short, long)]
    pub verbose: bool,
}

/// `unpack`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub struct Unpack {
    /// An OCI image layout (a folder, or a tar archive of one), a layer blob, or - for stdin
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: PathBuf,

    /// A folder for an image, a file (or - for stdout) for one layer
    ///
    /// A folder gets one file for each layer, `NN-<start of the diffID>.erofs` (.device for a
    /// device), and image.json. For one layer, FOLDER/ with a slash is a folder too; that layer
    /// is then named in the same way. What waits for stdout waits in TMPDIR, without a name.
    #[arg(
        short,
        long,
        value_name = "DEST",
        value_hint = ValueHint::AnyPath,
        required_unless_present = "verify_only",
        conflicts_with = "verify_only"
    )]
    pub output: Option<PathBuf>,

    /// Do everything but write
    ///
    /// For the check the image waits in TMPDIR, without a name.
    #[arg(long)]
    pub verify_only: bool,

    /// Which image, of a layout with several.
    #[command(flatten)]
    pub select: Select,

    /// Only this layer, counted from 1 in the order of the manifest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub layer: Option<u32>,

    /// Media type of a lone blob [default: by its content]
    #[arg(long, value_name = "TYPE")]
    pub media_type: Option<String>,

    /// Digest that the unpacked layer must have (its diffID)
    #[arg(long, value_name = "DIGEST")]
    pub diff_id: Option<Digest>,

    /// Replace files that exist; a symbolic link is replaced itself, never followed
    #[arg(long)]
    pub force: bool,

    /// Go on to the other layers after a bad one, and sum up; nothing is written then either
    #[arg(long)]
    pub keep_going: bool,

    /// Layers to unpack at the same time [default: half of the processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,

    /// How the image is checked once its digests are verified.
    #[command(flatten)]
    pub check: CheckArgs,

    /// Do not check the inside of the image: only digests, streams and superblock
    #[arg(long, conflicts_with_all = ["level", "allow"])]
    pub no_check: bool,

    /// Print a report as JSON, to stdout or to FILE
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        value_hint = ValueHint::FilePath
    )]
    pub json: Option<PathBuf>,

    /// What is said meanwhile.
    #[command(flatten)]
    pub talk: Talk,

    /// Where it is done.
    #[command(flatten)]
    pub sandbox: SandboxArgs,

    /// What is given up for it.
    #[command(flatten)]
    pub confine: ConfineArgs,

    /// What a layer may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// `inspect`
#[derive(Debug, Args)]
#[command(after_help = exit_codes())]
pub struct Inspect {
    /// An OCI image layout (a folder, or a tar archive of one), a layer blob, an EROFS image,
    /// or - for stdin
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub source: PathBuf,

    /// Which image, of a layout with several.
    #[command(flatten)]
    pub select: Select,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// What is given up for it.
    #[command(flatten)]
    pub confine: ConfineArgs,

    /// What a layer may ask for.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// The heading of limits in `--help`. Each names it by itself: a heading for all of them would
/// go on to the options that follow.
const LIMITS: &str = "Limits";

/// Limits, with the defaults of `zstd -d` for the window and the core's for all else.
#[derive(Clone, Copy, Debug, Args)]
pub struct LimitArgs {
    /// Largest blob
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64GiB")]
    pub max_blob_size: u64,
    /// Largest image, everything that follows it included
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64GiB")]
    pub max_image_size: u64,
    /// Largest window of a zstd frame
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "128MiB")]
    pub max_window: u64,
    /// Most zstd frames or gzip members in a blob
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.frames)]
    pub max_frames: u64,
    /// Most bytes in the skippable zstd frames of a blob
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64MiB")]
    pub max_skippable_size: u64,
    /// Largest ratio of image to blob [default: none]
    #[arg(long, help_heading = LIMITS, value_name = "RATIO")]
    pub max_expansion: Option<u64>,
    /// Largest manifest, index or config
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "4MiB")]
    pub max_json_size: u64,
    /// Most members of an object or an array in a manifest, index or config
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.json_members)]
    pub max_json_members: u32,
    /// Deepest nesting in a manifest, index or config
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.json_depth)]
    pub max_json_depth: u32,
    /// Deepest nesting of image indexes
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.index_depth)]
    pub max_index_depth: u32,
    /// Most layers in an image
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.layers)]
    pub max_layers: u32,
    /// Most files in an image
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.inodes)]
    pub max_inodes: u64,
    /// Most entries of a directory in an image
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.directory_entries)]
    pub max_directory_entries: u64,
    /// Most directories above a file in an image
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.directory_depth)]
    pub max_directory_depth: u32,
    /// Longest target of a symbolic link in an image, in bytes
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = Limits::DEFAULT.symlink_length)]
    pub max_symlink_length: u32,
    /// Most memory that the check keeps, of all its threads together
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "512MiB")]
    pub max_check_memory: u64,
    /// Most metadata that the check looks at, and most bytes that each of its threads decodes
    #[arg(long, help_heading = LIMITS, value_name = "SIZE", value_parser = size, default_value = "64GiB")]
    pub max_check_work: u64,
}

impl LimitArgs {
    /// The limits as the core takes them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::DEFAULT;
        limits.blob_size = self.max_blob_size;
        limits.image_size = self.max_image_size;
        limits.zstd_window = self.max_window;
        limits.frames = self.max_frames;
        limits.skippable_size = self.max_skippable_size;
        limits.expansion_ratio = self.max_expansion;
        limits.json_size = self.max_json_size;
        limits.json_members = self.max_json_members;
        limits.json_depth = self.max_json_depth;
        limits.index_depth = self.max_index_depth;
        limits.layers = self.max_layers;
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_core_but_for_the_window() {
        let cli = Cli::parse_from(["erofs-unpack", "unpack", "x", "--verify-only"]);
        let Command::Unpack(unpack) = cli.command else {
            panic!("another command");
        };
        let mut expected = Limits::DEFAULT;
        expected.zstd_window = 128 << 20;
        assert_eq!(unpack.limits.limits(), expected);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("20GiB"), Ok(20 << 30));
        assert_eq!(size("1kB"), Ok(1000));
        assert!(size("many").is_err());
        assert!(size("-1").is_err());
    }
}
